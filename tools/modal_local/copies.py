"""A container's private copy of a volume: laid out before it starts, published when it says so.

The container can put any file, link or device into its copy at any time. So nothing here follows a
link, and only regular files are published.
"""

from __future__ import annotations

import asyncio
import os
import stat
import time
from pathlib import Path

from tools.modal_local.blobs import Store
from tools.modal_local.volumes import BLOCK_BYTES, File, Volume

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW

type Mark = tuple[int, int, int]


class Copy:
    """One volume in one container.

    Attributes:
        folder: What is mounted.
    """

    def __init__(self, volume: Volume, store: Store, folder: Path) -> None:
        self.volume = volume
        self.folder = folder
        self._store = store
        self._base: dict[str, File] = {}
        self._marks: dict[str, Mark] = {}
        self._lock = asyncio.Lock()
        folder.mkdir(parents=True)

    async def reload(self) -> None:
        """Bring in what others have published; what changed here is published first."""
        async with self._lock:
            await self._publish()
            await asyncio.to_thread(self._bring, dict(self.volume.files))

    async def publish(self) -> None:
        """Publish what has changed here since the last time."""
        async with self._lock:
            await self._publish()

    async def _publish(self) -> None:
        changed, removed = await asyncio.to_thread(self._scan)
        self.volume.files.update(changed)
        for path in removed:
            self.volume.files.pop(path, None)

    def _bring(self, files: dict[str, File]) -> None:
        for path, file in files.items():
            if self._base.get(path) != file:
                self._lay(path, file)
        for path in [path for path in self._base if path not in files]:
            self._remove(path)
            self._marks.pop(path, None)
        self._base = files

    def _scan(self) -> tuple[dict[str, File], list[str]]:
        """What is new or different in the folder, and what is gone from it."""
        changed: dict[str, File] = {}
        seen: set[str] = set()
        for parent, _, names, descriptor in os.fwalk(self.folder, follow_symlinks=False):
            for name in names:
                path = str(Path(parent, name).relative_to(self.folder))
                found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if not stat.S_ISREG(found.st_mode):
                    continue
                seen.add(path)
                if self._marks.get(path) != _mark(found):
                    changed[path] = self._take(path, name, descriptor)
        removed = [path for path in self._marks if path not in seen]
        for path in removed:
            del self._marks[path]
            self._base.pop(path, None)
        return changed, removed

    def _take(self, path: str, name: str, parent: int) -> File:
        descriptor = os.open(name, _READ, dir_fd=parent)
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            size, blocks = 0, []
            while block := file.read(BLOCK_BYTES):
                size += len(block)
                blocks.append(self._store.put(block))
        mode = stat.S_IMODE(found.st_mode) & 0o777
        taken = File(size, mode, tuple(blocks), int(time.time()))
        self._base[path] = taken
        self._marks[path] = _mark(found)
        return taken

    def _lay(self, path: str, file: File) -> None:
        *folders, name = path.split("/")
        parent = os.open(self.folder, _FOLDER)
        try:
            for folder in folders:
                try:
                    os.mkdir(folder, 0o755, dir_fd=parent)
                except FileExistsError:
                    pass
                below = os.open(folder, _FOLDER, dir_fd=parent)
                os.close(parent)
                parent = below
            try:
                os.unlink(name, dir_fd=parent)
            except FileNotFoundError:
                pass
            descriptor = os.open(name, _WRITE, file.mode, dir_fd=parent)
            with open(descriptor, "wb") as target:
                target.writelines(self._store.read(digest) for digest in file.blocks)
                target.flush()
                self._marks[path] = _mark(os.fstat(descriptor))
        finally:
            os.close(parent)

    def _remove(self, path: str) -> None:
        *folders, name = path.split("/")
        parent = os.open(self.folder, _FOLDER)
        try:
            for folder in folders:
                below = os.open(folder, _FOLDER, dir_fd=parent)
                os.close(parent)
                parent = below
            os.unlink(name, dir_fd=parent)
        except (FileNotFoundError, NotADirectoryError):
            pass
        finally:
            os.close(parent)


def _mark(found: os.stat_result) -> Mark:
    return (found.st_ino, found.st_size, found.st_mtime_ns)
