"""One world, open: its ledger, the bytes that the ledger refers to, its attempts' folders.

Nothing is visible but what the ledger says. Bytes come first, the fact that refers to them after.
Small ones that come with the fact are forgotten there once their files have been waited for, many
at once; whoever opens a world sees to it first that those files are what they should be.
"""

from __future__ import annotations

import os
import stat

from orchestrator.world.ledger import Ledger
from orchestrator.world.objects import Objects
from orchestrator.world.placing import READ_ONLY, Placing
from orchestrator.world.staging import Staging, StagingArea
from processors.protocol import paths
from processors.protocol.errors import ContractError, inputs_error
from processors.protocol.payload import Artifact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from orchestrator.world.records import Ahead
    from orchestrator.world.records import Artifact as Found

AHEAD_MAX = 512  # contents that are written ahead by one open world before it waits for their files


class World:
    """A world's three parts, opened and closed together. Not for two threads at once."""

    def __init__(self, folder: str, *, make: bool) -> None:
        """Open a world.

        Args:
            folder: The world's folder.
            make: Whether to make it if it is none yet.

        Raises:
            ContractError: ``ERR_INPUTS``: as ``Ledger``.
        """
        self.ledger = Ledger(folder, make=make)
        self.objects = Objects(self.ledger.folder)
        self.stagings = StagingArea(self.ledger.folder)
        self._id: str | None = None
        try:
            ahead = self.ledger.ahead()
            try:
                self.objects.put_back(ahead)
            except ContractError:
                pass  # it can be read; whoever waits for what is ahead puts it back or fails
        except BaseException:
            self.close()
            raise
        self._ahead = len(ahead)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of what is open; what was settled stays so."""
        self.stagings.close()
        self.ledger.close()
        self.objects.close()

    def place_ahead(self, placing: Placing) -> Ahead:
        """As ``Placing.place_ahead``, and counted.

        Raises:
            ContractError: As there.
        """
        ahead = placing.place_ahead()
        self._ahead += len(ahead)
        return ahead

    def wait_if_many(self) -> None:
        """As ``wait``, once this world has written enough ahead to make it worth while.

        Raises:
            ContractError: As there.
        """
        if self._ahead >= AHEAD_MAX:
            self.wait()

    def wait(self) -> None:
        """Wait for the files of all that is written ahead, by whomever, and forget it.

        Raises:
            ContractError: ``ERR_INPUTS``: ``world_unwritable``, ``world_corrupt`` or
                ``world_busy``; nothing is forgotten then.
        """
        with self.ledger.reading():
            count, ahead = self.ledger.head().count, self.ledger.ahead()
        if ahead:
            self.objects.wait(ahead)
            self.ledger.forget_ahead(count)
        self._ahead = 0

    def mark(self, staging: Staging) -> str:
        """What an attempt's processes carry: unlike any other's, in a copy of the world too."""
        if self._id is None:
            self._id = self.ledger.world()
        return f"{self._id}.{staging.attempt}.{os.fstat(staging.lock_fd).st_ino}"

    def attach(self, source: str, placing: Placing) -> Artifact:
        """Take a file into the store; return where it lies once the ledger says so.

        Raises:
            ContractError: ``ERR_INPUTS``: unreadable file, or a world that cannot be written.
        """
        fd = open_regular(source)
        try:
            cid, size_bytes = placing.copy(fd, source)
        finally:
            os.close(fd)
        return Artifact(paths.ATTACHED + cid.removeprefix("sha256:"), cid, size_bytes)

    def find(self, path: str) -> Artifact:
        """The artifact at a canonical world path.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``unknown_artifact``.
        """
        found = self.ledger.artifact(path)
        if found is None:
            raise inputs_error("unknown_artifact", f"the world has no artifact {path}")
        return Artifact(found.path, found.cid, found.size_bytes)

    def is_settled(self, write_prefix: str) -> bool:
        """Whether an execution has put its receipt, or what it took over, under a write prefix."""
        return self._is_settled(write_prefix, self.ledger.artifacts_at(_ends(write_prefix)))

    def _is_settled(self, write_prefix: str, found: dict[str, Found]) -> bool:
        receipt, index = (found.get(path) for path in _ends(write_prefix))
        if receipt is not None:
            return True
        return index is not None and self.ledger.event(index.seq).type == "execution.reused"

    def check_free(self, write_prefix: str, execution_id: str) -> None:
        """Refuse a prefix where an execution would mix its artifacts with another one's.

        Args:
            write_prefix: Where it would write.
            execution_id: The execution, which may hold a lease of its own.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``prefix_occupied``.
        """
        folders = _around(write_prefix)
        found = self.ledger.artifacts_at(
            [path for folder in folders for path in (folder[:-1], *_ends(folder))]
        )
        for folder in folders:
            if folder[:-1] in found:  # no path is a file and a folder
                raise inputs_error("prefix_occupied", f"{folder[:-1]} is a file of the world")
            if folder != write_prefix and self._is_settled(folder, found):
                raise inputs_error("prefix_occupied", f"{folder} holds another execution's outputs")
        for running in self.ledger.running_around(write_prefix):
            if running.write_prefix != write_prefix:
                raise inputs_error(
                    "prefix_occupied",
                    f"execution {running.execution_id} works on {running.write_prefix}",
                )
        self._check_leases(write_prefix, execution_id)
        there = next(self.ledger.artifacts(write_prefix), None)
        if there is not None and not self._is_settled(write_prefix, found):
            raise inputs_error("prefix_occupied", f"{write_prefix} holds other artifacts")

    def _check_leases(self, write_prefix: str, execution_id: str) -> None:
        if not self.ledger.has_leases():
            return
        from orchestrator.world import commitments  # there are none without a loop

        for lease in commitments.in_the_way(self.ledger, [write_prefix]):
            if lease.execution_id != execution_id:
                raise inputs_error(
                    "prefix_occupied", f"execution {lease.execution_id} has leased {lease.prefix}"
                )

    def lay_out(self, staging: Staging, artifacts: dict[str, Artifact], write_prefix: str) -> None:
        """Make the tree that a processor sees: its artifacts, read-only, and an empty prefix.

        Raises:
            ContractError: ``ERR_INPUTS``: ``world_unwritable``, or ``world_corrupt`` when an
                artifact's bytes are gone or not what they were.
        """
        try:
            staging.lay_out([write_prefix, *(artifact.path for artifact in artifacts.values())])
            for artifact in artifacts.values():
                target = staging.tree + artifact.path
                if os.path.exists(target):
                    continue  # two names may share one artifact
                self.objects.copy_to(artifact.cid, target)
                os.chmod(target, READ_ONLY)
        except OSError as error:
            raise self.objects.unwritable(error) from None


def _ends(write_prefix: str) -> tuple[str, str]:
    """Where an execution puts its receipt, and its index."""
    return paths.receipt_path(write_prefix), paths.index_path(write_prefix)


def _around(write_prefix: str) -> list[str]:
    """A write prefix and the folders around it, from the inside out, but for /artifacts/."""
    folders = [write_prefix]
    while (outer := folders[-1][:-1].rpartition("/")[0]) != "/artifacts":
        folders.append(outer + "/")
    return folders


def open_regular(source: str) -> int:
    """Open a file for reading; a device or a pipe has no content to name and could block.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``unreadable_file``.
    """
    try:
        fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise inputs_error("unreadable_file", f"{source!a}: {why}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise inputs_error("unreadable_file", f"{source!a} is not a regular file")
    return fd
