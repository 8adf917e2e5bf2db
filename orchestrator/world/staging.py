"""The private folders of attempts: ``<world>/.staging/<attempt>/``.

A processor never sees the world. It works in a tree of its own, laid out alike, and what it made
becomes visible by a fact in the ledger alone. So whatever a killed attempt left is nobody's.

A folder is laid out under a name of chance, and gets that of its attempt in the transaction that
begins it. So the ledger alone decides between two that prepare the same attempt.

What a success has worked in is emptied and used again, as long as its world is open: of all that a
step costs, to make folders and to remove them is the dearest part (docs/decisions/0020).
"""

from __future__ import annotations

import errno
import fcntl
import os

from orchestrator.world import durable
from processors.protocol.errors import inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

_FOLDER = ".staging"
_NAME_BYTES = 16
_SPARE_MAX = 4  # folders that an open world keeps; each is an open file
_DEPTH_KEPT = 3  # slashes: of a tree /artifacts and what is in it are likely to be needed again
PATIENCE_S = 2.0  # how long the folder of an attempt that never began may take to be removed


class Staging:
    """The private folder of one attempt.

    ``tree`` is for the processor's files, ``tmp`` for its scratch, ``own`` for what the supervisor
    writes in the processor's place.

    Whoever works in it holds its lock, which the kernel lets go of when that process ends.
    """

    __slots__ = ("_folders", "_made", "attempt", "folder", "lock_fd", "own", "tmp", "tree")

    def __init__(self, folder: str, lock_fd: int) -> None:
        self.lock_fd = lock_fd
        self._made = os.fstat(lock_fd).st_mode, _attributes(lock_fd)
        self._folders: set[str] = set()  # of the tree, as the world calls them; "" is the tree
        self.lies_in(folder)

    def lies_in(self, folder: str) -> None:
        """Note where the folder is."""
        self.attempt = os.path.basename(folder)
        self.folder = folder
        self.own = os.path.join(folder, "own")
        self.tmp = os.path.join(folder, "tmp")
        self.tree = os.path.join(folder, "tree")

    def lay_out(self, files: Iterable[str]) -> None:
        """Make the folders of some files in the tree, and remove all others.

        Args:
            files: World paths; that of a folder ends with its slash.

        Raises:
            OSError: A folder cannot be made.
        """
        wanted = {""}
        for path in files:
            folder = path
            while (folder := folder.rpartition("/")[0]) not in wanted:
                wanted.add(folder)
        for folder in sorted(self._folders - wanted, reverse=True):
            os.rmdir(self.tree + folder)
        for folder in sorted(wanted - self._folders):
            os.mkdir(self.tree + folder)
        self._folders = wanted

    def clear(self) -> bool:
        """Remove what is in it but for the outermost folders; say whether these are as made.

        Raises:
            OSError: Something cannot be removed, or a folder is gone.
        """
        self._folders = {folder for folder in self._folders if folder.count("/") < _DEPTH_KEPT}
        kept = {self.folder, self.tmp, *(self.tree + folder for folder in self._folders)}
        _empty(self.folder, kept)
        now = [(os.lstat(folder).st_mode, _attributes(folder)) for folder in kept]
        return all(each == self._made for each in now)


class StagingArea:
    """The private folders of one world. Makes nothing until an attempt begins."""

    def __init__(self, world: str) -> None:
        self._world = world
        self._root = os.path.join(world, _FOLDER)
        self._spare: list[Staging] = []
        self._is_closed = False

    def close(self) -> None:
        """Remove what would have been used again."""
        self._is_closed = True
        while (staging := self._taken()) is not None:
            self.discard(staging)

    def _taken(self) -> Staging | None:
        """One of those to use again, if there is any; another thread may give one back."""
        try:
            return self._spare.pop()
        except IndexError:
            return None

    def begin(self) -> Staging:
        """Make a private folder, which is no attempt's yet, or take one that was used.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``.
        """
        if (used := self._taken()) is not None:
            return used
        try:
            try:
                staging = self._make()
            except FileNotFoundError:  # the first of this world
                os.makedirs(self._root, exist_ok=True)
                staging = self._make()
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            os.mkdir(staging.tmp)
        except OSError as error:
            self.discard(staging)
            raise self._unwritable(error) from None
        return staging

    def _make(self) -> Staging:
        folder = self._nobodys()
        with durable.Lock(self._root, shared=False):  # nobody takes it for an abandoned one
            os.mkdir(folder)
            return Staging(folder, _lock(folder))

    def claim(self, staging: Staging, attempt: str) -> None:
        """Make a folder an attempt's. The caller holds the transaction that begins it.

        If there is a folder of its name, the transaction of whoever made it was lost, since the
        ledger knows of none. It is being removed, or its maker was killed.

        Raises:
            ContractError: ``ERR_INPUTS``: ``execution_exists`` while somebody works in a folder of
                this attempt, or ``world_unwritable``.
        """
        folder = os.path.join(self._root, attempt)
        try:
            if os.path.lexists(folder):
                self._set_aside(folder)
            os.rename(staging.folder, folder)
        except OSError as error:
            raise self._unwritable(error) from None
        staging.lies_in(folder)

    def _set_aside(self, folder: str) -> None:
        """Give a folder that nobody works in a name of chance, as one of no attempt."""
        try:
            with durable.Lock(folder, shared=False, patience_s=PATIENCE_S):
                if os.path.lexists(folder):
                    os.rename(folder, self._nobodys())
        except FileNotFoundError:
            pass  # it has been removed
        except BlockingIOError:
            attempt = os.path.basename(folder)
            raise inputs_error("execution_exists", f"attempt {attempt} is under way") from None

    def _nobodys(self) -> str:
        return os.path.join(self._root, os.urandom(_NAME_BYTES).hex())

    def holds(self, attempt: str) -> bool:
        """Whether an attempt has a folder."""
        return os.path.lexists(os.path.join(self._root, attempt))

    def abandoned(self) -> list[Staging]:
        """The folders of attempts whose process is gone; the caller ends and discards them.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``: they cannot be looked into, or
                something else lies among them.
        """
        found: list[Staging] = []
        try:
            self._look_for_abandoned(found)
        except OSError as error:
            for staging in found:
                os.close(staging.lock_fd)
            raise self._unwritable(error) from None
        return found

    def _look_for_abandoned(self, found: list[Staging]) -> None:
        if not os.path.isdir(self._root) or not os.listdir(self._root):
            return
        with durable.Lock(self._root, shared=False):
            for name in sorted(os.listdir(self._root)):
                folder = os.path.join(self._root, name)
                try:
                    lock_fd = _lock(folder)
                except (BlockingIOError, FileNotFoundError):
                    continue  # somebody works in it, or has just removed it
                if os.path.lexists(folder):
                    found.append(Staging(folder, lock_fd))
                else:
                    os.close(lock_fd)  # removed between the opening and the locking

    def recycle(self, staging: Staging) -> None:
        """Empty a folder in which nobody works any more, for an attempt that is to come.

        One that is not as it was made is removed, and so is one too many.
        """
        try:
            is_clear = len(self._spare) < _SPARE_MAX and staging.clear()
        except (OSError, RecursionError):
            is_clear = False
        if not is_clear:
            self.discard(staging)
            return
        self._spare.append(staging)
        if self._is_closed:
            self.close()  # what was given back meanwhile, too

    def discard(self, staging: Staging) -> None:
        """Remove a folder and all that is left in it, whatever its modes are.

        What cannot be removed stays, and is tried again by the next who looks for the abandoned.
        """
        try:
            _remove(staging.folder)
        except (OSError, RecursionError):
            import shutil  # rarely needed: it goes deeper than a path can be long

            _unlock(staging.folder)
            shutil.rmtree(staging.folder, ignore_errors=True)
        os.close(staging.lock_fd)

    def leave(self, staging: Staging) -> None:
        """Let go of a folder, for whoever looks for the abandoned next."""
        os.close(staging.lock_fd)

    def _unwritable(self, error: OSError) -> Exception:
        return inputs_error("world_unwritable", f"world {self._world!a}: {error.strerror}")


def _attributes(folder: str | int) -> dict[str, bytes]:
    """The extended attributes of a folder, access lists among them; none where there cannot be."""
    try:
        return {name: os.getxattr(folder, name) for name in os.listxattr(folder)}
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise


def _remove(folder: str) -> None:
    """Remove a folder and what is in it; fails where something is locked away."""
    _empty(folder, ())
    os.rmdir(folder)


def _empty(folder: str, kept: Collection[str]) -> None:
    """Remove what is in a folder, in one pass, but for some folders, which are emptied likewise."""
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)
            continue
        _empty(entry.path, kept)
        if entry.path not in kept:
            os.rmdir(entry.path)


def _unlock(root: str) -> None:
    """Let every folder be written and read again."""
    for folder, names, _ in os.walk(root):
        for name in names:
            inner = os.path.join(folder, name)
            if not os.path.islink(inner):
                try:
                    os.chmod(inner, 0o700)
                except OSError:
                    pass  # another user's, or too long a path; whoever removes it says so


def _lock(folder: str) -> int:
    """Take the lock of a folder or raise BlockingIOError; it is held until the result is closed."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise
    return fd
