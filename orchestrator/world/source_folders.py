"""Sources: folders whose plain files lie at a prefix of the world, as a goal's file says.

Bringing a source in makes the prefix hold what the folder holds: a file that is new or has changed
is stored and put there, and one that is gone leaves the world if this goal's source had put what
lies there. Folders within it, links and devices are refused, and so is a way to it through a link,
so that a goal's file brings in nothing but what lies beside it. All of it is one transaction.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time

from orchestrator.world import intake
from orchestrator.world.file_stats import FileStats, stamp
from orchestrator.world.placing import Placing
from orchestrator.world.world import World
from processors.protocol import digests
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Self

    from orchestrator.world.records import Artifact

    type Data = dict[str, Json]

FILES_MAX = 10_000  # of one folder; as many as a predicate goes through

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Brought:
    """What bringing sources in has changed: the world paths."""

    __slots__ = ("put", "removed")

    def __init__(self, put: list[str], removed: list[str]) -> None:
        self.put = put
        self.removed = removed

    def as_json(self) -> Data:
        """The account as data."""
        return {"put": list[Json](self.put), "removed": list[Json](self.removed)}


def bring_in(
    world: World,
    goal: str,
    base: str,
    folders: Mapping[str, str],
    *,
    verify: bool,
    now_ns: Callable[[], int] = time.time_ns,
) -> Brought:
    """Make each prefix hold what its folder holds.

    Args:
        world: The world, in no transaction.
        goal: The name of the goal whose sources they are.
        base: The folder that the goal's file lies in.
        folders: Prefix → folder, below ``base``.
        verify: Whether files are read again that are as they were.
        now_ns: Tells the time, by the clock that the times of files are by.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unreadable_file``, ``too_large``, a ``path_*`` reason,
            ``prefix_occupied``, ``unwritable_target``, ``world_unwritable`` or ``world_busy``; then
            nothing of it was brought in.
    """
    stats = FileStats(world.ledger.folder)
    coming: list[Data] = []
    going: list[Artifact] = []
    with world.objects.placing() as placing:
        for prefix, name in sorted(folders.items()):
            with _Folder(base, name) as folder:
                found = _Reading(world, placing, stats, folder, now_ns, verify=verify)
                coming += found.changed(prefix, {"goal": goal, "folder": name})
                going += found.gone(goal)
        placing.place()
        brought = _write(world, coming, going)
    stats.save()
    return brought


def _write(world: World, coming: list[Data], going: list[Artifact]) -> Brought:
    """Say what has changed, in one transaction."""
    brought = Brought([], [])
    if not coming and not going:
        return brought
    with world.ledger.writing() as transaction:
        for artifact in going:
            now = world.ledger.artifact(artifact.path)
            if now is not None and now.seq == artifact.seq:
                transaction.append("artifact.removed", {"path": artifact.path})
                brought.removed.append(artifact.path)
        intake.check_places(world, [str(data["path"]) for data in coming])
        for data in coming:
            if not intake.is_there(world, data):
                transaction.append("artifact.put", data)
                brought.put.append(str(data["path"]))
    return brought


class _Folder:
    """A folder of plain files, open while it is read."""

    def __init__(self, base: str, name: str) -> None:
        self.shown = os.path.join(base, name)
        self._base = base
        self._name = name
        self._fd = -1

    def __enter__(self) -> Self:
        self._fd = _open(self._base, self._name, self.shown)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def files(self) -> dict[str, os.stat_result]:
        """The name of each file, sorted, with what it is now."""
        found: dict[str, os.stat_result] = {}
        try:
            with os.scandir(self._fd) as entries:
                for entry in entries:
                    status = found[entry.name] = entry.stat(follow_symlinks=False)
                    if not stat.S_ISREG(status.st_mode):
                        raise _unreadable(self.file(entry.name), "a source holds plain files alone")
                    if len(found) > FILES_MAX:
                        raise inputs_error(
                            "too_large", f"{self.shown!a} holds more than {FILES_MAX} files"
                        )
        except OSError as error:
            raise _unreadable(self.shown, error.strerror) from None
        return dict(sorted(found.items()))

    def file(self, name: str) -> str:
        """How messages call a file."""
        return os.path.join(self.shown, name)

    def open(self, name: str) -> int:
        """A file, open for reading."""
        try:
            return os.open(name, _FILE_FLAGS, dir_fd=self._fd)
        except OSError as error:
            raise _unreadable(self.file(name), error.strerror) from None


class _Reading:
    """One source against what the world has at its prefix."""

    def __init__(
        self,
        world: World,
        placing: Placing,
        stats: FileStats,
        folder: _Folder,
        now_ns: Callable[[], int],
        *,
        verify: bool,
    ) -> None:
        self._world = world
        self._placing = placing
        self._stats = stats
        self._folder = folder
        self._now_ns = now_ns
        self._verify = verify
        self._left: dict[str, Artifact] = {}

    def changed(self, prefix: str, source: Data) -> list[Data]:
        """``artifact.put`` of each file that is not in the world as it is in the folder."""
        files, named = self._folder.files(), dict[str, str]()
        for name in files:
            intake.add(named, prefix, name, self._folder.file(name))
        self._left = {
            each.path: each
            for each in self._world.ledger.artifacts(prefix)
            if "/" not in each.path.removeprefix(prefix)
        }
        intake.check_places(self._world, named)  # before anything is copied
        found: list[Data] = []
        for (path, _), (name, status) in zip(named.items(), files.items(), strict=True):
            there = self._left.pop(path, None)
            if there is not None and not self._is_whole(there):
                there = None  # its bytes are gone, so it is as good as new
            known = None if self._verify else self._stats.cid(path, status)
            if there is None or known != there.cid:
                cid, size_bytes = self._read(path, name, there)
                found.append(intake.fact(path, cid, size_bytes, source))
        return found

    def gone(self, goal: str) -> list[Artifact]:
        """What a source of the goal had put and the folder no longer holds."""
        found = []
        for path, artifact in self._left.items():
            source = self._world.ledger.event(artifact.seq).data.get("source")
            if isinstance(source, dict) and source["goal"] == goal:
                found.append(artifact)
                self._stats.forget(path)
        return found

    def _is_whole(self, there: Artifact) -> bool:
        """Whether the world has an artifact's bytes, judged by their size, or all hashed again."""
        objects = self._world.objects
        if not objects.holds(there.cid, there.size_bytes):
            return False
        try:
            for _ in objects.chunks(there.cid) if self._verify else ():
                pass
        except ContractError:
            return False
        return True

    def _read(self, path: str, name: str, there: Artifact | None) -> tuple[str, int]:
        """The content of a file, which is in the store afterwards."""
        fd, read_ns = self._folder.open(name), self._now_ns()
        try:
            before = os.fstat(fd)
            cid, size_bytes = ("", 0) if there is None else _hashed(fd)
            if there is None or cid != there.cid:
                os.lseek(fd, 0, os.SEEK_SET)
                cid, size_bytes = self._placing.copy(fd, self._folder.file(name))
            if stamp(os.fstat(fd)) != stamp(before):
                raise _unreadable(self._folder.file(name), "it changed while it was read")
        except OSError as error:
            raise _unreadable(self._folder.file(name), error.strerror) from None
        finally:
            os.close(fd)
        self._stats.keep(path, before, cid, read_ns)
        return cid, size_bytes


def _hashed(fd: int) -> tuple[str, int]:
    """Content id and size of an open file; memory stays flat."""
    state, size = hashlib.sha256(), 0
    while chunk := os.read(fd, digests.CHUNK_BYTES):
        state.update(chunk)
        size += len(chunk)
    return "sha256:" + state.hexdigest(), size


def _open(base: str, name: str, shown: str) -> int:
    """Open a folder below another one, through no link."""
    try:
        fd = os.open(base, _FOLDER_FLAGS)
        for part in name.split("/"):
            try:
                inner = os.open(part, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=fd)
            finally:
                os.close(fd)
            fd = inner
    except OSError as error:
        raise _unreadable(shown, f"no folder without links on the way ({error.strerror})") from None
    return fd


def _unreadable(file: str, why: str | None) -> ContractError:
    return inputs_error("unreadable_file", f"source {file!a}: {why}")
