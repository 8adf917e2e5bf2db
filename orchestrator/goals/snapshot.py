"""A world at one moment, for reading: all that a predicate may look at.

``Snapshot`` is the interface; ``of`` opens one of a world, and everything that is read until it is
closed is of the same moment of the ledger, whatever others write meanwhile.
"""

from __future__ import annotations

from orchestrator.world.ledger import Ledger
from orchestrator.world.records import Artifact
from orchestrator.world.world import World
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from orchestrator.world.chain import Event, Head

    class Snapshot(Protocol):
        """What a predicate may look at."""

        @property
        def head(self) -> Head:
            """The moment: how many events there were, and the hash of the last."""

        def artifact(self, path: str) -> Artifact | None:
            """What lies at a canonical world path."""

        def artifacts(self, folder: str) -> Iterator[Artifact]:
            """What lies under a folder (with its slash), sorted by path."""

        def bytes_problem(self, artifact: Artifact) -> str | None:
            """What keeps an artifact's bytes from being there, or None. Reads none of them."""

        def read(self, artifact: Artifact, bytes_max: int) -> bytes:
            """The bytes of an artifact, verified.

            Raises:
                ContractError: ``ERR_INPUTS``: ``world_corrupt``, or ``too_large``.
            """

        def event(self, seq: int) -> Event:
            """An event that the ledger has."""

        def request(self, execution_id: str) -> Event | None:
            """The event that asked for an execution that the ledger has."""

        def ledger_problem(self) -> str | None:
            """What is wrong with the ledger up to this moment, or None; looks at all of it."""


class WorldSnapshot:
    """A world's snapshot, inside a transaction."""

    def __init__(self, world: World, *, verify: bool) -> None:
        self._world = world
        self._verify = verify
        self.head = world.ledger.head()

    def artifact(self, path: str) -> Artifact | None:
        """See ``Snapshot``."""
        return self._world.ledger.artifact(path)

    def artifacts(self, folder: str) -> Iterator[Artifact]:
        """See ``Snapshot``."""
        return self._world.ledger.artifacts(folder)

    def bytes_problem(self, artifact: Artifact) -> str | None:
        """See ``Snapshot``; with ``verify`` every byte is hashed again."""
        if not self._world.objects.holds(artifact.cid, artifact.size_bytes):
            return f"the bytes of {artifact.path} are gone"
        if self._verify:
            try:
                for _ in self._world.objects.chunks(artifact.cid):
                    pass
            except ContractError:
                return f"the bytes of {artifact.path} are not those that were stored"
        return None

    def read(self, artifact: Artifact, bytes_max: int) -> bytes:
        """See ``Snapshot``."""
        return self._world.objects.read(artifact.cid, bytes_max)

    def event(self, seq: int) -> Event:
        """See ``Snapshot``."""
        return self._world.ledger.event(seq)

    def request(self, execution_id: str) -> Event | None:
        """See ``Snapshot``."""
        found = self._world.ledger.execution(execution_id)
        if found is None:
            return None
        return self._world.ledger.event_of(execution_id, found.requested_seq, "execution.requested")

    def ledger_problem(self) -> str | None:
        """See ``Snapshot``; what is published beside the ledger counts too."""
        from orchestrator.world import verification  # rarely needed

        # A connection of its own, since this one is in a transaction.
        with Ledger(self._world.ledger.folder, make=False) as ledger:
            try:
                verification.verify(ledger, (), None, lambda _: None)
            except ContractError as error:
                if error.reason != "world_corrupt":
                    raise
                return error.message
            at = ledger.head_at(self.head.count)
        return None if at is not None and at.hash == self.head.hash else "the head is of no event"


class _Moment:
    """A block in which a world's snapshot is of one moment."""

    def __init__(self, world: World, *, verify: bool) -> None:
        self._world = world
        self._verify = verify
        self._reading = world.ledger.reading()

    def __enter__(self) -> WorldSnapshot:
        self._reading.__enter__()
        return WorldSnapshot(self._world, verify=self._verify)

    def __exit__(self, *_: object) -> None:
        self._reading.__exit__()


def of(world: World, *, verify: bool = False) -> _Moment:
    """A block that is entered to have a world's snapshot.

    Args:
        world: The world, in no transaction.
        verify: Whether bytes that only have to be there are hashed again, and not only looked for.
    """
    return _Moment(world, verify=verify)


def held(world: World) -> WorldSnapshot:
    """The snapshot of a world that the caller keeps still by a transaction of its own."""
    return WorldSnapshot(world, verify=False)
