"""The bytes of a world, each file under the hash of its content.

``<world>/store/<2 hex>/<62 hex>`` holds a content, read-only and never changed. What is placed is
on the disk, whole, before it has its name; so whatever stops a process, a name means its content.
Equal contents are stored once. Reading verifies.

Whoever places files holds the store's lock, shared, until what refers to them is committed to the
ledger; collecting what nothing refers to takes it alone. So nothing is collected that somebody is
about to refer to, and what a killed process left without a reference is collected some time.
"""

from __future__ import annotations

import hashlib
import os
import stat

from orchestrator.world import durable
from processors.protocol import digests
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from typing import Self

READ_ONLY = 0o444
LASTING_MAX = 1_024  # contents of which a process remembers that they are on the disk
COLLECT_PATIENCE_S = 30.0  # how long a collection waits for writers

_FOLDER = "store"
_SCRATCH = ".new"  # within the store: what has no name yet
_HEX = frozenset("0123456789abcdef")


class Objects:
    """The store of one world. Makes nothing until something is placed."""

    def __init__(self, world: str) -> None:
        self._world = os.path.abspath(world)
        self._root = os.path.join(self._world, _FOLDER)
        self.lasting = Lasting()

    def placing(self) -> Placing:
        """A block that places files and keeps them from being collected until it is left.

        The block commits to the ledger what refers to the files, after ``place`` and before its
        end. A block that relies on contents that are there already holds the lock likewise.
        """
        return Placing(self, self._root)

    def holds(self, cid: str, size_bytes: int) -> bool:
        """Whether a content is there, judged by its size; reading it judges its bytes."""
        return self.file(cid, size_bytes) is not None

    def file(self, cid: str, size_bytes: int) -> os.stat_result | None:
        """What the file system says of a content that is there, judged as by ``holds``."""
        try:
            found = os.lstat(self.path(cid))
        except OSError:
            return None
        return found if stat.S_ISREG(found.st_mode) and found.st_size == size_bytes else None

    def chunks(self, cid: str) -> Iterator[bytes]:
        """The bytes of a content in pieces, hashed on the way; memory stays flat.

        Whoever uses pieces before the last must be able to undo it: the verdict comes at the end.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_corrupt``: the bytes are gone, cannot be read,
                or are not those of the content.
        """
        state = hashlib.sha256()
        try:
            fd = os.open(self.path(cid), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                while chunk := os.read(fd, digests.CHUNK_BYTES):
                    state.update(chunk)
                    yield chunk
            finally:
                os.close(fd)
        except OSError as error:
            raise self._corrupt(cid, f"cannot be read ({error.strerror})") from None
        if "sha256:" + state.hexdigest() != cid:
            raise self._corrupt(cid, "are not those that were stored")

    def read(self, cid: str, bytes_max: int = digests.CHUNK_BYTES) -> bytes:
        """The bytes of a small content, verified.

        Raises:
            ContractError: ``ERR_INPUTS``: ``world_corrupt``, or ``too_large``.
        """
        data = bytearray()
        for chunk in self.chunks(cid):
            data += chunk
            if len(data) > bytes_max:
                raise inputs_error("too_large", f"{cid} has more than {bytes_max} bytes")
        return bytes(data)

    def copy_to(self, cid: str, target: str) -> None:
        """Copy a content to a file that does not exist yet; it exists afterwards if it verified.

        Raises:
            ContractError: ``ERR_INPUTS``: ``world_corrupt``, or ``world_unwritable``.
        """
        chunks = self.chunks(cid)
        first = next(chunks, b"")  # no file is made for a content that is gone
        try:
            fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            try:
                _write(fd, first)
                for chunk in chunks:
                    _write(fd, chunk)
            except BaseException:
                os.unlink(target)
                raise
            finally:
                os.close(fd)
        except OSError as error:
            raise self.unwritable(error) from None

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Every content with its size in bytes, sorted by content id."""
        for outer in sorted(_names(self._root)):
            folder = os.path.join(self._root, outer)
            if len(outer) == 2 and _HEX.issuperset(outer):
                for inner in sorted(_names(folder)):
                    if digests.is_digest(cid := f"sha256:{outer}{inner}"):
                        yield cid, os.lstat(os.path.join(folder, inner)).st_size

    def collect(self, referred: Callable[[], Container[str]]) -> tuple[int, int]:
        """Remove every content that nothing refers to; return how many, and their bytes.

        Args:
            referred: Tells the content ids that are referred to. It is asked once nobody places
                files any more, so it sees what the last of them committed.

        Raises:
            ContractError: ``ERR_INPUTS``: ``world_busy`` while others place files, or
                ``world_unwritable``.
        """
        if not os.path.isdir(self._root):
            return 0, 0
        count = size_bytes = 0
        try:
            with durable.Lock(self._root, shared=False, patience_s=COLLECT_PATIENCE_S):
                keep = referred()
                for cid, size in self.sizes():
                    if cid not in keep:
                        os.unlink(self.path(cid))
                        count += 1
                        size_bytes += size
                scratch = os.path.join(self._root, _SCRATCH)
                for name in _names(scratch):  # of processes that were killed
                    os.unlink(os.path.join(scratch, name))
        except BlockingIOError:
            raise inputs_error("world_busy", f"files are being stored in {self._root!a}") from None
        except OSError as error:
            raise self.unwritable(error) from None
        return count, size_bytes

    def path(self, cid: str) -> str:
        """Where a content lies, if it is there."""
        if not digests.is_digest(cid):
            raise ValueError("a content id is sha256: and 64 hex digits")
        return f"{self._root}/{cid[7:9]}/{cid[9:]}"

    def unwritable(self, error: OSError) -> ContractError:
        """The error that says that this world cannot be written."""
        return inputs_error("world_unwritable", f"world {self._world!a}: {error.strerror}")

    def _corrupt(self, cid: str, what: str) -> ContractError:
        return inputs_error(
            "world_corrupt",
            f"world {self._world!a}: the bytes of {cid} {what};"
            f" restore {self.path(cid)!a} from a copy, or remove it and make it again",
        )


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


class Placing:
    """A block in which files come into the store. See ``Objects.placing``."""

    def __init__(self, objects: Objects, root: str) -> None:
        self._objects = objects
        self._root = root
        self._scratch = os.path.join(root, _SCRATCH)
        self._lock = durable.Lock(root, shared=True)
        self._waiting: dict[str, tuple[str, int]] = {}  # content id → file and size
        self._own: list[str] = []  # files of ours that have no name yet

    def __enter__(self) -> Self:
        try:
            if not os.path.isdir(self._scratch):
                os.makedirs(self._scratch, exist_ok=True)
                durable.sync(os.path.dirname(self._root))
            self._lock.__enter__()
        except OSError as error:
            raise self._objects.unwritable(error) from None
        return self

    def __exit__(self, *_: object) -> None:
        try:
            for file in self._own:
                if os.path.exists(file):
                    os.unlink(file)
        finally:
            self._lock.__exit__()

    def move(self, file: str, cid: str, size_bytes: int) -> None:
        """Take a file whose content the caller has checked; ``place`` moves it away.

        It takes the place of what has its name already, whose bytes may have rotted. It must lie
        in the world's folder, and nothing may write to it any more.
        """
        self._waiting.setdefault(cid, (file, size_bytes))

    def copy(self, fd: int) -> tuple[str, int]:
        """Copy what can be read from a descriptor; return its content id and size. Memory is flat.

        Raises:
            ContractError: ``ERR_INPUTS``: ``unreadable_file`` or ``world_unwritable``.
        """
        return self._take(_pieces(fd))

    def write(self, data: bytes) -> tuple[str, int]:
        """Take some bytes; return their content id and size.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``.
        """
        cid = digests.of_bytes(data)
        if cid in self._waiting or self._objects.holds(cid, len(data)):
            self._waiting.setdefault(cid, ("", len(data)))
            return cid, len(data)
        return self._take(iter((data,)))

    def place(self) -> None:
        """Give what was taken its name; afterwards all of it is on the disk.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``.
        """
        try:
            self._place()
        except OSError as error:
            raise self._objects.unwritable(error) from None
        self._waiting.clear()

    def _place(self) -> None:
        objects, lasting = self._objects, self._objects.lasting
        there = {cid: objects.file(cid, size) for cid, (_, size) in self._waiting.items()}
        # A file that was moved here was hashed just now; what is in its place may have rotted.
        fresh = {
            cid: file
            for cid, (file, _) in self._waiting.items()
            if there[cid] is None or (file and file not in self._own)
        }
        for file in fresh.values():
            os.chmod(file, READ_ONLY)
        durable.sync_all(list(fresh.values()), self._lock.fd)
        # Also what another process has just put, which may not have come to wait for it.
        rest = {
            cid: found
            for cid, found in there.items()
            if found is not None and cid not in fresh and not lasting.has(cid, found)
        }
        folders = {os.path.dirname(objects.path(cid)) for cid in (*fresh, *rest)}
        new = folders - lasting.folders
        for folder in new:
            os.makedirs(folder, exist_ok=True)
        for cid, file in fresh.items():
            os.rename(file, objects.path(cid))
        durable.sync_all([*sorted(folders), *([self._root] if new else [])], self._lock.fd)
        lasting.folders |= new
        for cid, found in rest.items():
            lasting.add(cid, found)

    def _take(self, chunks: Iterator[bytes]) -> tuple[str, int]:
        file = os.path.join(self._scratch, os.urandom(16).hex())
        state = hashlib.sha256()
        size = 0
        try:
            fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._own.append(file)
            try:
                for chunk in chunks:
                    state.update(chunk)
                    size += len(chunk)
                    _write(fd, chunk)
            finally:
                os.close(fd)
        except OSError as error:
            raise self._objects.unwritable(error) from None
        cid = "sha256:" + state.hexdigest()
        self._waiting.setdefault(cid, (file, size))
        return cid, size


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _pieces(fd: int) -> Iterator[bytes]:
    while True:
        try:
            chunk = os.read(fd, digests.CHUNK_BYTES)
        except OSError as error:
            raise inputs_error(
                "unreadable_file", f"a file to be stored: {error.strerror}"
            ) from None
        if not chunk:
            return
        yield chunk


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
