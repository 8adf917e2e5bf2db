"""What a processor left behind, judged by content and never by trust.

``reply`` reads the envelope, re-hashes every output from its bytes, compares index and receipts,
and refuses anything else that lies under the write prefix. ``effects_of`` holds what was made
against what the processor declares.
"""

from __future__ import annotations

import errno
import os
import stat

from orchestrator.goals import effects
from orchestrator.world.placing import SMALL_MAX
from processors.protocol import canonical, digests, envelope, paths, receipt
from processors.protocol.canonical import Json
from processors.protocol.envelope import Reply
from processors.protocol.errors import ContractError, adapter_error
from processors.protocol.payload import Payload

SMALL_FILES_MAX = 32  # of so many the bytes are held on to
DOCUMENT_BYTES_MAX = 16_777_216  # index and receipt, both bounded by the envelope's own limit


def reply(stdout: bytes, payload: Payload, payload_hash: str, left: Tree) -> Reply:
    """Check one finished run.

    Args:
        stdout: All that the processor wrote to its stdout.
        payload: What it was given.
        payload_hash: The digest of the exact bytes it was given.
        left: Its staging tree.

    Raises:
        ContractError: ``ERR_ADAPTER_INVOCATION`` with the first fault found.
    """
    found = envelope.check(stdout, payload)
    _check_receipts(found, payload, payload_hash, left)
    if found.error is None:
        _check_outputs(found, payload, left)
    return found


def effects_of(found: Reply, payload: Payload, products: list[str]) -> list[str]:
    """Check that a success has made everything that its processor declares; return these paths.

    Args:
        found: The reply, checked.
        payload: What the processor was given.
        products: The ``produces`` of the registry that it ran with.

    Raises:
        ContractError: ``ERR_ADAPTER_INVOCATION`` / ``effect_missing``.
    """
    if found.error is not None:
        return []
    made = [output.path for output in found.outputs]
    if (place := effects.missing(products, payload.write_prefix, made)) is not None:
        raise adapter_error("effect_missing", f"{place} is declared, and no output is there")
    return sorted({*made}.intersection(effects.declared(products, payload.write_prefix)))


class Tree:
    """The tree that a processor worked in, now that nobody does any more. Paths are the world's.

    Each folder is looked at once, however many files lie in it. Files are going to be read and
    moved out, so rights that a processor took away from their owner are given back on the way.

    Attributes:
        root: Where it is: ``tree`` in an attempt's folder.
        small: The bytes of some small files, by path, as they were read here.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.small: dict[str, bytes] = {}
        self._folders = {"": _is_in_place(root)}

    def holds(self, path: str) -> bool:
        """Whether a regular file with no second name is there, through no link of anybody's."""
        if not self.holds_folder(path.rpartition("/")[0]):
            return False
        try:
            status = os.lstat(self.root + path)
        except OSError:
            return False
        plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
        return plain and self._allows(path, status.st_mode, stat.S_IRUSR)

    def digest(self, path: str) -> tuple[str, int]:
        """Content id and size of a file that is there."""
        with open(self.root + path, "rb", buffering=0) as file:
            data = file.read(SMALL_MAX + 1)
        if len(data) > SMALL_MAX:
            return digests.of_file(self.root + path)
        self._note(path, data)
        return digests.of_bytes(data), len(data)

    def _note(self, path: str, data: bytes) -> None:
        if len(data) <= SMALL_MAX and len(self.small) < SMALL_FILES_MAX:
            self.small[path] = data

    def _allows(self, path: str, mode: int, needed: int) -> bool:
        """Whether the owner has some rights, or could be given them."""
        if mode & needed != needed:
            try:
                os.chmod(self.root + path, mode | needed)
            except OSError:
                return False  # it is another user's
        return True

    def read(self, path: str) -> bytes:
        """The bytes of an index or a receipt, which must be a plain file.

        Raises:
            ContractError: ``ERR_ADAPTER_INVOCATION`` / ``receipt_invalid``.
        """
        if not self.holds(path):
            raise adapter_error("receipt_invalid", f"{path} is absent or no regular file")
        with open(self.root + path, "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size  # a larger buffer than needed costs its pages
            data = file.read(min(size, DOCUMENT_BYTES_MAX) + 1)
        self._note(path, data)
        return data

    def files(self, prefix: str) -> list[str]:
        """Everything under a prefix that is not a folder, sorted."""
        found = []
        folders = [prefix]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self.root + folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(f"{folder}{entry.name}/")
                        else:
                            found.append(folder + entry.name)
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    continue  # nothing that an envelope could name
                found.append(folder)  # nobody can tell what lies in it
        return sorted(found)

    def holds_folder(self, path: str) -> bool:
        """Whether a folder is there and one itself, and so is every folder around it."""
        known = self._folders.get(path)
        if known is None:
            known = self.holds_folder(path.rpartition("/")[0]) and self._is_folder(path)
            self._folders[path] = known
        return known

    def _is_folder(self, path: str) -> bool:
        try:
            mode = os.lstat(self.root + path).st_mode
        except OSError:
            return False
        return stat.S_ISDIR(mode) and self._allows(path, mode, stat.S_IRWXU)


def _is_in_place(root: str) -> bool:
    """Whether a tree, its attempt's folder and that of all attempts are folders and no links."""
    attempt = os.path.dirname(root)
    try:
        found = [os.lstat(each).st_mode for each in (root, attempt, os.path.dirname(attempt))]
    except OSError:
        return False
    return all(map(stat.S_ISDIR, found))


def _check_outputs(found: Reply, payload: Payload, tree: Tree) -> None:
    for output in found.outputs:
        if not tree.holds(output.path):
            raise adapter_error("output_invalid", f"{output.path} is absent or no regular file")
        if tree.digest(output.path) != (output.cid, output.size_bytes):
            raise adapter_error("output_invalid", f"{output.path} is not what the envelope says")
    index = paths.index_path(payload.write_prefix)
    expected = canonical.canonical(envelope.index_document(found.outputs))
    written = tree.read(index)
    # As bytes if it was written as ours are, else as canonical JSON, for in Python True == 1.
    if written != expected + b"\n" and canonical.canonical(_parse(written, index)) != expected:
        raise adapter_error("output_invalid", f"{index} is not what the envelope says")
    prefix = payload.write_prefix
    named = {output.path for output in found.outputs} | {index, paths.receipt_path(prefix)}
    for path in tree.files(prefix):
        if path not in named:
            raise adapter_error("stray_file", f"{path} is no output, index or receipt")


def _check_receipts(found: Reply, payload: Payload, payload_hash: str, tree: Tree) -> None:
    first = paths.receipt_path(payload.write_prefix)
    second = paths.determinism_path(payload.execution_id)
    both = [tree.read(path) for path in (first, second)]
    if both[0] != both[1]:
        raise adapter_error("receipt_invalid", f"{first} and {second} differ")
    wrong = receipt.problem(
        _parse(both[0], first),
        payload,
        payload_hash,
        outputs=found.outputs,
        error=found.error,
        cost_micro_usd=found.cost_micro_usd,
    )
    if wrong is not None:
        raise adapter_error("receipt_invalid", wrong)


def _parse(data: bytes, path: str) -> Json:
    try:
        return canonical.parse(
            data, path, bytes_max=DOCUMENT_BYTES_MAX, marks_max=envelope.ENVELOPE_MARKS_MAX
        )
    except ContractError as error:
        raise adapter_error("receipt_invalid", error.message) from None
