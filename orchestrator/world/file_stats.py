"""What files outside of a world were when they were last read: so nothing is read twice.

``<world>/sources.json`` maps the world path of a file to its inode, size and times, and to the
content that was found then. It is a help and nothing rests on it: without it everything is read
again. A file that changed shortly before it was read could change once more within what its times
tell apart, so such a file is not kept and is read again next time.
"""

from __future__ import annotations

import json
import os

from orchestrator.world import durable
from processors.protocol import digests
from processors.protocol.errors import inputs_error

FILE = "sources.json"
RECENT_NS = 2_000_000_000  # as coarse as the times of any file system are

_SCHEMA = "v1"


class FileStats:
    """The files that were read for one world."""

    def __init__(self, world: str) -> None:
        self._world = world
        self._files = _read(os.path.join(world, FILE))
        self._changed = False

    def cid(self, path: str, stat: os.stat_result) -> str | None:
        """The content of a file that is as it was, or None if it has to be read.

        Args:
            path: The world path that it goes to.
            stat: What it is now.
        """
        found = self._files.get(path)
        return found[1] if found is not None and found[0] == stamp(stat) else None

    def keep(self, path: str, stat: os.stat_result, cid: str, read_ns: int) -> None:
        """Remember a file that was read.

        Args:
            path: The world path that it goes to.
            stat: What it was while it was read.
            cid: Its content.
            read_ns: When the reading began, by the clock.
        """
        if max(stat.st_mtime_ns, stat.st_ctime_ns) > read_ns - RECENT_NS:
            self.forget(path)
            return
        self._files[path] = [stamp(stat), cid]
        self._changed = True

    def forget(self, path: str) -> None:
        """Remember nothing of what goes to a world path."""
        self._changed |= self._files.pop(path, None) is not None

    def save(self) -> None:
        """Write it down, if anything is new.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``.
        """
        if not self._changed:
            return
        data = json.dumps({"schema": _SCHEMA, "files": self._files}, sort_keys=True)
        try:
            with durable.Lock(self._world, shared=False):
                durable.replace_file(os.path.join(self._world, FILE), data.encode("utf-8"))
        except OSError as error:
            raise inputs_error(
                "world_unwritable", f"world {self._world!a}: {error.strerror}"
            ) from None
        self._changed = False


def stamp(stat: os.stat_result) -> str:
    """What tells whether a file is still the one that was read."""
    times = f"{stat.st_mtime_ns}:{stat.st_ctime_ns}"
    return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{times}"


def _read(file: str) -> dict[str, list[str]]:
    """What was kept; what is not of the form is as good as nothing."""
    if not os.path.isfile(file):  # a pipe or a device could keep its reader for ever
        return {}
    try:
        with open(file, "rb") as opened:
            document = json.loads(opened.read())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict) or document.get("schema") != _SCHEMA:
        return {}
    files = document.get("files")
    if not isinstance(files, dict):
        return {}
    return {
        path: entry
        for path, entry in files.items()
        if isinstance(entry, list) and len(entry) == 2 and digests.is_digest(entry[1])
    }
