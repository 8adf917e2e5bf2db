"""The bytes of a world, each file under the hash of its content.

``<world>/store/<2 hex>/<62 hex>`` holds a content, read-only and never changed. A file is whole
before it has its name; so whatever stops a process, a name means its content. Equal contents are
stored once. Reading verifies.

A content is on the disk before anything refers to it: as its file, or if it is small, as bytes in
the very transaction that refers to it, so that there is one wait for the disk and not two more for
each file. There the bytes stay until the file is known to be on the disk too. Where the machine
went down before, whoever opens the world next puts the file back (``World``).

Whoever places files holds the store's lock, shared, until what refers to them is committed to the
ledger; collecting what nothing refers to takes it alone. So nothing is collected that somebody is
about to refer to, and what a killed process left without a reference is collected some time.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat

from orchestrator.world import durable
from orchestrator.world.placing import SCRATCH, Lasting, Placing, write_all
from processors.protocol import digests
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator

    from orchestrator.world.records import Ahead

COLLECT_PATIENCE_S = 30.0  # how long a collection waits for writers

_FOLDER = "store"
_READING = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_HEX = frozenset("0123456789abcdef")


class Objects:
    """The store of one world. Makes nothing until something is placed."""

    def __init__(self, world: str) -> None:
        self._world = os.path.abspath(world)
        self._root = os.path.join(self._world, _FOLDER)
        self.lasting = Lasting()
        self._fd = -1

    def close(self) -> None:
        """Let go of what is open; no block may be open any more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

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
        except (OSError, ValueError):  # ValueError: a table says what is no content id
            return None
        return found if stat.S_ISREG(found.st_mode) and found.st_size == size_bytes else None

    def chunks(self, cid: str) -> Iterator[bytes]:
        """The bytes of a content in pieces, hashed on the way; memory stays flat.

        Whoever uses pieces before the last must be able to undo it: the verdict comes at the end.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_corrupt``: the bytes are gone, cannot be read,
                or are not those of the content.
        """
        if not digests.is_digest(cid):  # no event says so, thus a table does
            raise inputs_error(
                "world_corrupt",
                f"world {self._world!a}: {cid[:100]!a} is no content id; verify the ledger",
            )
        state = hashlib.sha256()
        try:
            fd = self._open(cid)
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
                write_all(fd, first)
                for chunk in chunks:
                    write_all(fd, chunk)
            except BaseException:
                os.unlink(target)
                raise
            finally:
                os.close(fd)
        except OSError as error:
            raise self.unwritable(error) from None

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Every content with its size in bytes, sorted by content id.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``: nobody can tell.
        """
        try:
            yield from self._sizes()
        except OSError as error:
            raise self.unwritable(error) from None

    def _sizes(self) -> Iterator[tuple[str, int]]:
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
                for cid, size in self._sizes():
                    if cid not in keep:
                        os.unlink(self.path(cid))
                        count += 1
                        size_bytes += size
                scratch = os.path.join(self._root, SCRATCH)
                for name in _names(scratch):  # of processes that were killed
                    os.unlink(os.path.join(scratch, name))
        except BlockingIOError:
            raise inputs_error("world_busy", f"files are being stored in {self._root!a}") from None
        except OSError as error:
            raise self.unwritable(error) from None
        return count, size_bytes

    def fd(self) -> int:
        """The store, open since before the first content was written ahead here."""
        if self._fd < 0:
            self._fd = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        return self._fd

    def put_back(self, ahead: Ahead) -> None:
        """Give contents that were written ahead their files again, where these are not whole.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_unwritable``.
        """
        self._mend([(cid, data) for cid, data in ahead if digests.of_bytes(data) == cid])

    def _mend(self, ahead: Ahead) -> None:
        if broken := [data for cid, data in ahead if not self.is_whole(cid, data)]:
            with self.placing() as placing:
                for data in broken:
                    placing.write(data)
                placing.place()

    def wait(self, ahead: Ahead) -> None:
        """Wait until contents that were written ahead are on the disk as files.

        A system tells of an error of writing once, and takes the file for written afterwards. So
        after one the files are removed, and whoever comes next puts them back anew.

        Raises:
            ContractError: ``ERR_INPUTS``: ``world_unwritable``, or ``world_corrupt`` if what was
                written ahead has another hash.
        """
        for cid, data in ahead:
            if digests.of_bytes(data) != cid:
                raise inputs_error(
                    "world_corrupt",
                    f"world {self._world!a}: what was written ahead as {cid[:100]!a} has another"
                    " hash; restore the ledger from a copy",
                )
        files = sorted({self.path(cid) for cid, _ in ahead})
        folders = sorted({os.path.dirname(file) for file in files})
        with self.placing():  # so that nothing is collected from the first look at a file on
            self._mend(ahead)
            try:
                found = {cid: os.lstat(self.path(cid)) for cid, _ in ahead}
                durable.sync_all([*files, *folders, self._root], self.fd())
            except OSError as error:
                _remove(files)
                raise self.unwritable(error) from None
        for cid, status in found.items():
            self.lasting.add(cid, status)

    def is_whole(self, cid: str, data: bytes) -> bool:
        """Whether a content that is small has a file with just its bytes."""
        try:
            fd = self._open(cid)
            try:
                return os.read(fd, len(data) + 1) == data
            finally:
                os.close(fd)
        except OSError:
            return False

    def _open(self, cid: str) -> int:
        """Open the file of a content; a pipe that lies there is not waited for, nor a link gone."""
        fd = os.open(self.path(cid), _READING)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "it is no regular file")
        return fd

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


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _remove(files: list[str]) -> None:
    for file in files:
        try:
            os.unlink(file)
        except OSError:
            pass  # it is compared with what was written ahead in any case
