"""The World is a fold over the Ledger: what each event changes in what is known.

Two projections: ``artifacts`` (world path → content) and ``executions`` (id → how far it is).
``changes`` says what an event does to them. It is pure, and the same list is applied when an event
is appended, when projections are rebuilt and when a ledger is verified, so the three cannot differ.

``MOVES`` is the table of what may happen to an execution. A fact that finds no row it may change
is refused where it is appended: an attempt that was given up settles nothing, and nothing settles
twice.
"""

from __future__ import annotations

from orchestrator.world.chain import Event
from processors.protocol import shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    type Value = str | int | None
    type Fold = Callable[[Event], list[Change]]

REQUESTED = "requested"
RUNNING = "running"
SUCCESS = "success"
ERROR = "error"
ABANDONED = "abandoned"  # its process is gone; another attempt may follow
REUSED = "reused"

STATUSES = (REQUESTED, RUNNING, SUCCESS, ERROR, ABANDONED, REUSED)

# Event → the statuses of an execution it may follow. ``execution.requested`` follows none: it is
# the first word about an id. What is absent here is an illegal move.
MOVES: dict[str, tuple[str, ...]] = {
    "execution.admitted": (REQUESTED, ABANDONED),
    "execution.started": (REQUESTED, ABANDONED),
    "execution.outputs": (RUNNING,),
    "execution.receipts": (RUNNING,),
    "execution.settled": (REQUESTED, RUNNING),
    "execution.abandoned": (RUNNING,),
    "execution.reused": (REQUESTED,),
}

JSON_MIME = "application/json"  # of the documents we write: index, receipts, envelopes, inputs


class Change:
    """One change to the projections.

    Attributes:
        name: ``put``, ``remove`` or ``drop`` of artifacts; for an execution the last word of the
            event's type.
        values: What the change is about, in the order that its statement takes it.
    """

    __slots__ = ("name", "values")

    def __init__(self, name: str, *values: Value) -> None:
        self.name = name
        self.values = values


def changes(event: Event) -> list[Change]:
    """What an event that has passed ``facts.problem`` changes, in order."""
    return _FOLDS[event.type, event.version](event)


def prefix_end(prefix: str) -> str:
    """The least text that is greater than everything under a folder: "0" comes after "/"."""
    return prefix[:-1] + "0"


def _put(file: Json, seq: int, mime: str = JSON_MIME) -> Change:
    return Change(
        "put",
        shapes.text(file, "path"),
        shapes.text(file, "cid"),
        shapes.count(file, "size_bytes"),
        mime,
        seq,
    )


def _drop(prefix: str) -> Change:
    return Change("drop", prefix, prefix_end(prefix))


def _files(event: Event, member: str) -> list[Json]:
    found = event.data[member]
    assert isinstance(found, list)
    return found


def _made(event: Event) -> list[Change]:
    """The set of files that replaces everything under a prefix."""
    outputs = [
        _put(file, event.seq, shapes.text(file, "mime")) for file in _files(event, "outputs")
    ]
    index = _put(event.data["index"], event.seq)
    return [_drop(shapes.text(event.data, "replaces")), *outputs, index]


def _artifact_put(event: Event) -> list[Change]:
    return [_put(event.data, event.seq, shapes.text(event.data, "mime"))]


def _artifact_removed(event: Event) -> list[Change]:
    return [Change("remove", shapes.text(event.data, "path"))]


def _requested(event: Event) -> list[Change]:
    data = event.data
    words = [shapes.text(data, key) for key in ("execution_id", "ref", "intent", "write_prefix")]
    return [Change("requested", *words, event.seq), _put(data["inputs"], event.seq)]


def _admitted(event: Event) -> list[Change]:
    return [Change("admitted", shapes.text(event.data, "execution_id"))]


def _started(event: Event) -> list[Change]:
    data = event.data
    attempt = shapes.count(data, "attempt")
    return [
        Change(
            "started",
            attempt,
            shapes.text(data, "memo_key"),
            event.seq,
            shapes.text(data, "execution_id"),
            attempt - 1,
        )
    ]


def _of_attempt(name: str, event: Event, *values: Value) -> Change:
    """A change that only the attempt that runs may make."""
    data = event.data
    return Change(name, *values, shapes.text(data, "execution_id"), shapes.count(data, "attempt"))


def _outputs(event: Event) -> list[Change]:
    return [_of_attempt("outputs", event, event.seq), *_made(event)]


def _receipts(event: Event) -> list[Change]:
    replaced = event.data["replaces"]
    drops = [_drop(replaced)] if isinstance(replaced, str) else []
    puts = [_put(file, event.seq) for file in _files(event, "receipts")]
    return [_of_attempt("receipts", event, event.seq), *drops, *puts]


def _settled(event: Event) -> list[Change]:
    status = shapes.text(event.data, "status")
    envelope = event.data["envelope"]
    change = _of_attempt("settled", event, status, shapes.text(envelope, "cid"), event.seq)
    return [Change(change.name, *change.values, status), _put(envelope, event.seq)]


def _abandoned(event: Event) -> list[Change]:
    return [_of_attempt("abandoned", event)]


def _reused(event: Event) -> list[Change]:
    data = event.data
    key = shapes.text(data, "memo_key")
    change = Change(
        "reused",
        key,
        shapes.text(data["envelope"], "cid"),
        event.seq,
        event.seq,
        shapes.text(data, "execution_id"),
        shapes.text(data, "origin"),
        key,
    )
    return [change, *_made(event), _put(data["envelope"], event.seq)]


_FOLDS: dict[tuple[str, int], Fold] = {
    ("world.created", 1): lambda _: [],
    ("artifact.put", 1): _artifact_put,
    ("artifact.removed", 1): _artifact_removed,
    ("execution.requested", 1): _requested,
    # A refused proposal changes nothing that is known, its id included.
    ("execution.refused", 1): lambda _: [],
    ("execution.admitted", 1): _admitted,
    ("execution.started", 1): _started,
    ("execution.outputs", 1): _outputs,
    ("execution.receipts", 1): _receipts,
    ("execution.settled", 1): _settled,
    ("execution.abandoned", 1): _abandoned,
    ("execution.reused", 1): _reused,
    # What images/chain.py reads; nothing of the World.
    ("image.built", 1): lambda _: [],
    ("image.pushed", 1): lambda _: [],
    ("image.pinned", 1): lambda _: [],
}
