"""A block in which files come into a world's store, and get their names there.

``place`` waits until all of it is on the disk. ``place_ahead`` waits for what is large alone, and
hands back the bytes of the rest, for the transaction that is going to refer to it.
"""

from __future__ import annotations

import errno
import hashlib
import os

from orchestrator.world import durable
from processors.protocol import digests
from processors.protocol.errors import adapter_error, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol, Self

    from orchestrator.world.records import Ahead
    from processors.protocol.errors import ContractError

    class Store(Protocol):
        """Where the files are placed: ``objects.Objects``."""

        lasting: Lasting

        def path(self, cid: str) -> str:
            """Where a content lies, if it is there."""

        def file(self, cid: str, size_bytes: int) -> os.stat_result | None:
            """What the file system says of a content that is there, judged by its size."""

        def is_whole(self, cid: str, data: bytes) -> bool:
            """Whether a content has a file with just its bytes."""

        def fd(self) -> int:
            """The store, open since before the first content was written ahead."""

        def read(self, cid: str) -> bytes:
            """The bytes of a small content, verified."""

        def unwritable(self, error: OSError) -> ContractError:
            """The error that says that it cannot be written."""


READ_ONLY = 0o444
SMALL_MAX = 16_384  # bytes of a content that can be written ahead of its file
LASTING_MAX = 1_024  # contents of which a process remembers that they are on the disk
SCRATCH = ".new"  # within the store: what has no name yet


class Lasting:
    """Names in a store that this process knows to be on the disk, so that it waits for each once.

    A folder stays once it is there. A file can be collected, and come back by the hands of another
    process that does not come to wait for its name; then it is another one, or was changed since.

    Attributes:
        folders: Folders of contents.
    """

    __slots__ = ("_files", "folders")

    def __init__(self) -> None:
        self.folders: set[str] = set()
        self._files: dict[str, tuple[int, int]] = {}

    def has(self, cid: str, found: os.stat_result) -> bool:
        """Whether the file of a content that is there is the one that was waited for."""
        return self._files.get(cid) == (found.st_ino, found.st_ctime_ns)

    def add(self, cid: str, found: os.stat_result) -> None:
        """Take note of a file whose name is on the disk."""
        if len(self._files) == LASTING_MAX:
            self._files.clear()
        self._files[cid] = (found.st_ino, found.st_ctime_ns)


class _Taken:
    """A content on its way into the store."""

    __slots__ = ("data", "file", "moved", "size_bytes")

    def __init__(self, size_bytes: int, *, file: str, data: bytes | None, moved: bool) -> None:
        self.size_bytes = size_bytes
        self.file = file  # where it lies now; "" if that is nowhere yet
        self.data = data  # None if it has to be read from there
        self.moved = moved  # whether the file is the caller's

    def is_small(self) -> bool:
        """Whether its bytes can be written ahead."""
        return self.size_bytes <= SMALL_MAX


class Placing:
    """A block in which files come into the store. See ``Objects.placing``."""

    def __init__(self, store: Store, root: str) -> None:
        self._store = store
        self._root = root
        self._scratch = os.path.join(root, SCRATCH)
        self._lock = durable.Lock(root, shared=True)
        self._waiting: dict[str, _Taken] = {}
        self._own: list[str] = []  # files of ours that have no name yet

    def __enter__(self) -> Self:
        try:
            if not os.path.isdir(self._scratch):
                os.makedirs(self._scratch, exist_ok=True)
                durable.sync(os.path.dirname(self._root))
            self._lock.__enter__()
        except OSError as error:
            raise self._store.unwritable(error) from None
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for file in self._own:
                if os.path.exists(file):
                    os.unlink(file)
        finally:
            self._lock.__exit__()

    def move(self, file: str, cid: str, size_bytes: int, data: bytes | None = None) -> None:
        """Take a file whose content the caller has checked; it is moved when it is placed.

        It takes the place of what has its name already where those bytes have rotted. It must lie
        in the world's folder, and nothing may write to it any more.

        Args:
            file: The file.
            cid: Its content id.
            size_bytes: Its size.
            data: The bytes that were checked, where the caller has them.
        """
        self._waiting.setdefault(cid, _Taken(size_bytes, file=file, data=data, moved=True))

    def take(self, file: str, data: bytes | None = None) -> tuple[str, int]:
        """As ``move``; return the content id and size of what was checked, or of what is there."""
        if data is None:
            with open(file, "rb", buffering=0) as opened:
                data = opened.read(SMALL_MAX + 1)
        if len(data) > SMALL_MAX:
            cid, size_bytes = digests.of_file(file)
            self.move(file, cid, size_bytes)
            return cid, size_bytes
        cid = digests.of_bytes(data)
        self._waiting.setdefault(cid, _Taken(len(data), file=file, data=data, moved=True))
        return cid, len(data)

    def keep(self, cid: str, size_bytes: int) -> None:
        """Take a content that is there, and that something more is going to refer to.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_corrupt``: its bytes are gone, or are others.
        """
        data = self._store.read(cid) if size_bytes <= SMALL_MAX else None
        self._waiting.setdefault(cid, _Taken(size_bytes, file="", data=data, moved=False))

    def copy(self, fd: int, name: str) -> tuple[str, int]:
        """Copy what can be read from a descriptor; return its content id and size. Memory is flat.

        Args:
            fd: An open file.
            name: How messages call it.

        Raises:
            ContractError: ``ERR_INPUTS``: ``unreadable_file`` or ``world_unwritable``.
        """
        return self._take(pieces(fd, name))

    def write(self, data: bytes) -> tuple[str, int]:
        """Take some bytes; return their content id and size.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``.
        """
        size, cid = len(data), digests.of_bytes(data)
        if size > SMALL_MAX and self._store.file(cid, size) is None:
            return self._take(iter((data,)))
        self._waiting.setdefault(cid, _Taken(size, file="", data=data, moved=False))
        return cid, size

    def place(self) -> None:
        """Give what was taken its name; afterwards all of it is on the disk.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``.
        """
        try:
            self._place()
        except OSError as error:
            raise self._store.unwritable(error) from None
        self._waiting.clear()

    def place_ahead(self) -> Ahead:
        """Give what was taken its name; afterwards what is large, or one of many, is on the disk.

        Returns:
            What is not. ``Ledger.writing`` takes it into the transaction that refers to it.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``; ``ERR_ADAPTER_INVOCATION`` /
                ``output_invalid``: a file that was moved is no more what it was.
        """
        ahead: Ahead = []
        small = [(cid, taken) for cid, taken in self._waiting.items() if taken.is_small()]
        if len(small) >= durable.MANY:  # one wait for all of them is no more than the commit's
            small = []
        try:
            self._store.fd()
            for cid, taken in small:
                if taken.moved or not self._is_lasting(cid, taken):
                    ahead.append((cid, self._place_small(cid, taken)))
                del self._waiting[cid]
            if self._waiting:
                self._place()
        except OSError as error:
            raise self._store.unwritable(error) from None
        self._waiting.clear()
        return ahead

    def _is_lasting(self, cid: str, taken: _Taken) -> bool:
        found = self._store.file(cid, taken.size_bytes)
        return found is not None and self._store.lasting.has(cid, found)

    def _place_small(self, cid: str, taken: _Taken) -> bytes:
        """Give a small content its name without waiting for anything; return its bytes.

        A file that has its bytes stays: something may refer to it that has waited for it.
        """
        if taken.data is None:
            with open(taken.file, "rb", buffering=0) as file:
                taken.data = file.read(SMALL_MAX)
            if digests.of_bytes(taken.data) != cid:
                raise adapter_error("output_invalid", f"{cid} has changed since it was checked")
        if not self._store.is_whole(cid, taken.data):
            file_, path = self._file(taken), self._store.path(cid)
            os.chmod(file_, READ_ONLY)
            try:
                os.rename(file_, path)
            except FileNotFoundError:  # the first content of its folder
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.rename(file_, path)
        return taken.data

    def _file(self, taken: _Taken) -> str:
        """The file that a content lies in, in the world's folder."""
        if not taken.file:
            if taken.data is None:
                raise FileNotFoundError(errno.ENOENT, "a content is gone")
            taken.file, fd = self._make()
            try:
                write_all(fd, taken.data)
            finally:
                os.close(fd)
        return taken.file

    def _place(self) -> None:
        store, lasting = self._store, self._store.lasting
        fresh: dict[str, str] = {}
        rest: dict[str, os.stat_result] = {}  # what another process has put and may not wait for
        for cid, taken in self._waiting.items():
            found = store.file(cid, taken.size_bytes)
            # A file that was moved here was hashed just now; what is in its place may have rotted.
            if found is None or taken.moved:
                fresh[cid] = self._file(taken)
            elif not lasting.has(cid, found):
                # A small one may have got its name ahead of its bytes; a copy was hashed just now.
                if taken.is_small() or taken.file:
                    fresh[cid] = self._file(taken)
                else:
                    rest[cid] = found
        for file in fresh.values():
            os.chmod(file, READ_ONLY)
        durable.sync_all(list(fresh.values()), self._lock.fd)
        folders = {os.path.dirname(store.path(cid)) for cid in (*fresh, *rest)}
        new = folders - lasting.folders
        for folder in new:
            os.makedirs(folder, exist_ok=True)
        for cid, file in fresh.items():
            os.rename(file, store.path(cid))
            rest[cid] = os.lstat(store.path(cid))
        durable.sync_all([*sorted(folders), *([self._root] if new else [])], self._lock.fd)
        lasting.folders |= new
        for cid, found in rest.items():
            lasting.add(cid, found)

    def _make(self) -> tuple[str, int]:
        """Make a file that has no name yet; return where, and open."""
        file = os.path.join(self._scratch, os.urandom(16).hex())
        fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._own.append(file)
        return file, fd

    def _take(self, chunks: Iterator[bytes]) -> tuple[str, int]:
        state = hashlib.sha256()
        size = 0
        try:
            file, fd = self._make()
            try:
                for chunk in chunks:
                    state.update(chunk)
                    size += len(chunk)
                    write_all(fd, chunk)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._store.unwritable(error) from None
        cid = "sha256:" + state.hexdigest()
        self._waiting.setdefault(cid, _Taken(size, file=file, data=None, moved=False))
        return cid, size


def write_all(fd: int, data: bytes) -> None:
    """Write to a file, however many calls that takes."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def pieces(fd: int, name: str) -> Iterator[bytes]:
    """What an open file holds, in pieces, if it stays the same until all of it was read.

    Args:
        fd: The file.
        name: How messages call it.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``unreadable_file``.
    """
    try:
        before = os.fstat(fd)
        while chunk := os.read(fd, digests.CHUNK_BYTES):
            yield chunk
        after = os.fstat(fd)
    except OSError as error:
        raise inputs_error("unreadable_file", f"{name!a}: {error.strerror}") from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise inputs_error("unreadable_file", f"{name!a}: it changed while it was read")
