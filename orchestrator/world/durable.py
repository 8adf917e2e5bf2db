"""What reaches the disk, and when: bytes before their name, a name before it is relied on."""

from __future__ import annotations

import fcntl
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

MANY = 32  # from here on, waiting for a whole file system is faster than for each file

_POLL_S = 0.05


class Lock:
    """The lock of a folder, held for the length of a block or until its process ends.

    Args:
        folder: An existing folder.
        shared: Whether others may hold it shared at the same time.
        patience_s: How long to wait for it; None waits for as long as it takes.

    Attributes:
        fd: The folder, open while the lock is held.

    Raises:
        BlockingIOError: On entering, when the patience is over.
    """

    def __init__(self, folder: str, *, shared: bool, patience_s: float | None = None) -> None:
        self._folder = folder
        self._kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._patience_s = patience_s
        self.fd = -1

    def __enter__(self) -> Self:
        self.fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._take()
        except BaseException:
            os.close(self.fd)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def _take(self) -> None:
        if self._patience_s is None:
            fcntl.flock(self.fd, self._kind)
            return
        end = time.monotonic() + self._patience_s
        while True:
            try:
                fcntl.flock(self.fd, self._kind | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise
                time.sleep(_POLL_S)
            else:
                return


def replace_file(path: str, data: bytes) -> None:
    """Put a small file in a name's place: afterwards the old one or the new one is there, whole.

    The caller holds a lock that keeps others from doing the same.
    """
    scratch = path + ".new"
    with open(scratch, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)
    sync(os.path.dirname(path))


def sync_all(paths: list[str], fd: int) -> None:
    """Wait until files or folders are on the disk.

    Args:
        paths: What to wait for; all of it on one file system.
        fd: Anything on that file system, opened before they were written, so that an error of
            writing since then is seen.
    """
    if len(paths) < MANY:
        for path in paths:
            sync(path)
    else:
        sync_system(fd)


def sync_system(fd: int) -> None:
    """Wait until all that was written to a file system is on the disk.

    Args:
        fd: Anything on it; an error of writing since it was opened is seen.
    """
    import ctypes  # takes as long as several waits, so it is for many alone

    if ctypes.CDLL(None, use_errno=True).syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def sync(path: str) -> None:
    """Wait until a file's bytes, or the names in a folder, are on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
