"""What the image commands leave in a world's ledger, when they are told to: a fact for each hop."""

from __future__ import annotations

from orchestrator.images import chain
from orchestrator.images.chain import Record
from orchestrator.world import heads
from orchestrator.world.chain import Event
from orchestrator.world.ledger import Ledger, utc_now
from processors.protocol import shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self


class Records:
    """A world's ledger, open from before the work begins, so that it cannot fail afterwards alone.

    Args:
        world: The world's folder, made if it is not there; "" to keep no record.
    """

    def __init__(self, world: str) -> None:
        self._ledger = Ledger(world, make=True) if world else None
        if self._ledger is not None:
            try:
                heads.check(self._ledger)
            except BaseException:
                self._ledger.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._ledger is not None:
            self._ledger.close()

    def events(self) -> Iterator[Event]:
        """What the ledger holds; nothing where no record is kept."""
        return iter(()) if self._ledger is None else self._ledger.events()

    def add(self, type_: str, data: dict[str, Json]) -> None:
        """Append a fact, durably."""
        if self._ledger is None:
            return
        with self._ledger.writing() as transaction:
            transaction.append(type_, data)
        heads.publish(self._ledger, None, utc_now())


def of_event(event: Event, ref: str) -> Record | None:
    """What an event says of the hops of a processor's image, or None if it says nothing."""
    hop = chain.FACTS.get(event.type)
    # An override is recorded where it was used, and contradicts no pin.
    if hop is None or event.data.get("override") is True:
        return None
    if hop == "run":
        if event.data["image_digest"] is None or shapes.members(event.data, "memo")["ref"] != ref:
            return None
        return Record(hop, shapes.text(event.data, "image_digest"), event.seq)
    if event.data["ref"] != ref:
        return None
    return Record(hop, shapes.text(event.data, "digest"), event.seq)
