"""A world on disk: artifacts at canonical paths, below one folder.

``<world>/artifacts/...`` holds what is visible, each file at its world path. A processor never
sees it: it gets a staging tree of its own (``<world>/.staging/<attempt>/tree``), laid out alike,
and ``publish`` moves what was checked into sight.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat

from processors.protocol import digests, paths
from processors.protocol.errors import inputs_error
from processors.protocol.payload import Artifact

READ_ONLY = 0o444


class Staging:
    """The private folder of one attempt.

    ``tree`` is for the processor's files, ``tmp`` for its scratch, ``own`` for what the supervisor
    writes in the processor's place.

    Whoever works in it holds its lock, which the kernel lets go of when that process ends.
    """

    __slots__ = ("attempt", "folder", "lock_fd", "own", "tmp", "tree")

    def __init__(self, folder: str, lock_fd: int) -> None:
        self.attempt = os.path.basename(folder)
        self.folder = folder
        self.lock_fd = lock_fd
        self.own = os.path.join(folder, "own")
        self.tmp = os.path.join(folder, "tmp")
        self.tree = os.path.join(folder, "tree")


class World:
    """One world's folder. Creates nothing until something is stored."""

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)
        self._staging = os.path.join(self._root, ".staging")

    def begin(self, attempt: str) -> Staging:
        """Make the private folder of an attempt.

        Raises:
            ContractError: ``ERR_INPUTS``: ``execution_exists`` while another process works under
                this id, or ``world_unwritable``.
        """
        folder = os.path.join(self._staging, attempt)
        try:
            os.makedirs(self._staging, exist_ok=True)
            with _Lock(self._staging):
                if os.path.lexists(folder):
                    raise inputs_error("execution_exists", f"execution {attempt} is under way")
                os.mkdir(folder)
                staging = Staging(folder, _lock(folder))
            os.mkdir(staging.tmp)
        except OSError as error:
            raise self._unwritable(error) from None
        return staging

    def abandoned(self) -> list[Staging]:
        """The folders of attempts whose process is gone; the caller ends and discards them.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``: something else lies among them.
        """
        if not os.path.isdir(self._staging) or not os.listdir(self._staging):
            return []
        found = []
        with _Lock(self._staging):
            for name in os.listdir(self._staging):
                folder = os.path.join(self._staging, name)
                try:
                    lock_fd = _lock(folder)
                except (BlockingIOError, FileNotFoundError):
                    continue  # somebody works in it, or has just removed it
                except OSError as error:
                    raise self._unwritable(error) from None
                if os.path.lexists(folder):
                    found.append(Staging(folder, lock_fd))
                else:
                    os.close(lock_fd)  # removed between the opening and the locking
        return found

    def attach(self, source: str, staging: Staging) -> Artifact:
        """Copy a file into the world under its own content; return where it lies.

        Raises:
            ContractError: ``ERR_INPUTS``: unreadable file, or a world that cannot be written.
        """
        fd = _open_regular(source)
        scratch = os.path.join(staging.tmp, "attached")
        try:
            cid, size = _copy(fd, scratch)
            path = paths.ATTACHED + cid.removeprefix("sha256:")
            _place(scratch, self._physical(path))
        except OSError as error:
            raise self._unwritable(error) from None
        finally:
            os.close(fd)
            _remove(scratch)
        return Artifact(path, cid, size)

    def find(self, path: str) -> Artifact:
        """Return the artifact at a canonical world path.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``unknown_artifact``.
        """
        try:
            cid, size = digests.of_file(self._physical(path))
        except OSError:
            raise inputs_error("unknown_artifact", f"the world has no artifact {path}") from None
        return Artifact(path, cid, size)

    def check_free(self, execution_id: str, write_prefix: str) -> None:
        """Refuse an execution that would mix its artifacts with another one's.

        Raises:
            ContractError: ``ERR_INPUTS``: ``execution_exists`` or ``prefix_occupied``.
        """
        if os.path.lexists(self._physical(paths.determinism_path(execution_id))):
            raise inputs_error("execution_exists", f"the world has an execution {execution_id}")
        outer = write_prefix[:-1]
        while (outer := outer.rpartition("/")[0]) != "/artifacts":
            if os.path.lexists(self._physical(paths.receipt_path(outer + "/"))):
                raise inputs_error("prefix_occupied", f"{outer}/ holds another execution's outputs")
        own = self._physical(write_prefix)
        if os.path.isdir(own) and os.listdir(own) and not self.is_settled(write_prefix):
            raise inputs_error("prefix_occupied", f"{write_prefix} holds other artifacts")

    def lay_out(self, staging: Staging, artifacts: dict[str, Artifact], write_prefix: str) -> None:
        """Make the tree that a processor sees: its artifacts, read-only, and an empty prefix.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``.
        """
        try:
            os.makedirs(staging.tree + write_prefix)
            for artifact in artifacts.values():
                target = staging.tree + artifact.path
                os.makedirs(os.path.dirname(target), exist_ok=True)
                if os.path.exists(target):
                    continue  # two names may share one artifact
                fd = os.open(self._physical(artifact.path), os.O_RDONLY | os.O_CLOEXEC)
                try:
                    _copy(fd, target)
                finally:
                    os.close(fd)
                os.chmod(target, READ_ONLY)
        except OSError as error:
            raise self._unwritable(error) from None

    def is_settled(self, write_prefix: str) -> bool:
        """Whether an execution has put its receipt under a write prefix."""
        return os.path.lexists(self._physical(paths.receipt_path(write_prefix)))

    def publish(self, staging: Staging, tree: str, world_paths: list[str], *, replace: str) -> None:
        """Move checked files into sight.

        Args:
            staging: The attempt's folder.
            tree: Where the files lie in it, laid out like the world.
            world_paths: What becomes visible, in this order.
            replace: The write prefix under which nothing else stays visible; "" for none.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``.
        """
        try:
            if replace and os.path.isdir(self._physical(replace)):
                os.rename(self._physical(replace), os.path.join(staging.folder, "old"))
            for path in world_paths:
                _place(tree + path, self._physical(path))
        except OSError as error:
            raise self._unwritable(error) from None

    def discard(self, staging: Staging) -> None:
        """Remove a staging folder and all that is left in it, whatever its modes are."""
        for folder, names, _ in os.walk(staging.folder):
            for name in names:
                inner = os.path.join(folder, name)
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)
        for folder, names, files in os.walk(staging.folder, topdown=False):
            for name in files:
                os.unlink(os.path.join(folder, name))
            for name in names:
                inner = os.path.join(folder, name)
                os.unlink(inner) if os.path.islink(inner) else os.rmdir(inner)
        os.rmdir(staging.folder)
        os.close(staging.lock_fd)

    def _physical(self, world_path: str) -> str:
        return self._root + world_path

    def _unwritable(self, error: OSError) -> Exception:
        return inputs_error("world_unwritable", f"world {self._root!a}: {error.strerror}")


class _Lock:
    """Holds the lock of a folder, waiting for it, for the length of a block."""

    def __init__(self, folder: str) -> None:
        self._fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def _lock(folder: str) -> int:
    """Take the lock of a folder or raise BlockingIOError; it is held until the result is closed."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise
    return fd


def _open_regular(source: str) -> int:
    """Open a file for reading; a device or a pipe has no content to name and could block."""
    try:
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise inputs_error("unreadable_file", f"{source!a}: {why}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise inputs_error("unreadable_file", f"{source!a} is not a regular file")
    return fd


def _copy(source_fd: int, target: str) -> tuple[str, int]:
    """Copy and hash in one pass; memory stays flat."""
    state = hashlib.sha256()
    size = 0
    with open(target, "wb", buffering=0) as writer:
        while chunk := os.read(source_fd, digests.CHUNK_BYTES):
            state.update(chunk)
            size += len(chunk)
            view = memoryview(chunk)
            while view:
                view = view[writer.write(view) :]
    return "sha256:" + state.hexdigest(), size


def _place(source: str, target: str) -> None:
    """Move a file to its place, durably: its bytes before its name."""
    with open(source, "rb") as file:
        os.fsync(file.fileno())
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.replace(source, target)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass  # it was moved to its place
