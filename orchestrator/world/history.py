"""What happened, as a list: every event, or those that touched one path. Pure."""

from __future__ import annotations

from orchestrator.world import fold
from orchestrator.world.chain import Event
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    type Entry = dict[str, Json]

PUT = "put"
REMOVED = "removed"


def entry(event: Event) -> Entry:
    """An event in short: when, what, and what it is about."""
    return {
        "seq": event.seq,
        "at": event.at,
        "type": event.type,
        "execution_id": event.data.get("execution_id"),
        "path": event.data.get("path"),
    }


def touches(events: Iterable[Event], path: str) -> Iterator[Entry]:
    """The events that put something at a path or took it from there, in order.

    An event that replaces everything under a prefix takes from a path only what lay there.
    """
    there: str | None = None
    for event in events:
        before = there
        put = False
        for change in fold.changes(event):
            name, values = change.name, change.values
            if name == "put" and values[0] == path:
                there, put = str(values[1]), True
            elif name == "remove":
                there = None if values[0] == path else there
            elif name == "drop":
                there = None if str(values[0]) <= path < str(values[1]) else there
        if put or there != before:
            change_name = PUT if put else REMOVED
            yield {**entry(event), "path": path, "change": change_name, "cid": there or before}
