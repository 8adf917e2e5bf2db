"""What made an execution's results, and in what two executions differ. Pure.

``explain`` folds the events of one execution into one account of it. ``differences`` compares what
two results depend on, part by part, down to the members of their inputs.
"""

from __future__ import annotations

from orchestrator.world import fold
from orchestrator.world.chain import Event
from processors.protocol import shapes
from processors.protocol.canonical import Json, canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

REFUSED = "refused"  # a proposal that became no execution

# Type of event → the members that an account takes from it.
_TOLD = {
    "execution.requested": (
        *("ref", "adapter", "mode", "lane", "write_prefix", "intent"),
        *("inputs", "inputs_hash", "artifacts"),
    ),
    "execution.refused": ("ref", "write_prefix", "error"),
    "execution.admitted": (),
    "execution.started": (
        *("attempt", "payload_hash", "memo_key", "memo"),
        *("app", "function", "image_digest", "override"),
    ),
    "execution.outputs": ("outputs", "index"),
    "execution.receipts": (),
    "execution.settled": (
        *("status", "error", "cost_micro_usd", "duration_ms", "reply_digest", "envelope"),
    ),
    "execution.abandoned": (),
    "execution.reused": ("origin", "memo_key", "outputs", "index", "envelope"),
}
_STATUS = {
    "execution.requested": fold.REQUESTED,
    "execution.refused": REFUSED,
    "execution.started": fold.RUNNING,
    "execution.abandoned": fold.ABANDONED,
    "execution.reused": fold.REUSED,
}
_MEMBERS = (
    *("execution_id", "status", "admission", "receipt"),
    *(name for names in _TOLD.values() for name in names if name != "status"),
)
# An attempt that begins has made nothing yet.
_OF_ATTEMPT = ("outputs", "index", "receipt")


def explain(execution_id: str, events: Iterable[Event]) -> dict[str, Json]:
    """One account of an execution; what its events do not say is null.

    Args:
        execution_id: The execution.
        events: Events in order, all of its own among them.
    """
    known: dict[str, Json] = dict.fromkeys(_MEMBERS)
    known["execution_id"] = execution_id
    seen: list[Json] = []
    for event in events:
        data = event.data
        if event.type not in _TOLD or data["execution_id"] != execution_id:
            continue
        if event.type == "execution.refused" and known["status"] not in (None, REFUSED):
            continue  # of another proposal: it says nothing about the execution of this id
        if event.type == "execution.requested":
            known.update({name: None for name in _MEMBERS if name != "execution_id"})
        if event.type == "execution.started":
            known.update(dict.fromkeys(_OF_ATTEMPT))
        if event.type in ("execution.admitted", "execution.refused"):
            known["admission"] = _admission(event)
        if event.type == "execution.receipts":
            receipts = data["receipts"]
            assert isinstance(receipts, list)
            known["receipt"] = {"writer": data["writer"], "files": receipts}
        known.update({name: data[name] for name in _TOLD[event.type]})
        known["status"] = _STATUS.get(event.type, known["status"])
        seen.append({"seq": event.seq, "at": event.at, "type": event.type})
    return {**known, "events": seen}


def differences(
    one: dict[str, Json],
    other: dict[str, Json],
    inputs: tuple[Json, Json] | None = None,
) -> list[Json]:
    """The parts in which two memo pre-images differ: no other part differs, and each of these does.

    A part is named by a JSON pointer (RFC 6901) into the pre-image. Its value in either is ``a``
    and ``b``, and a value that is absent is left out.

    Args:
        one: A pre-image.
        other: Another one.
        inputs: Both inputs, where their bytes are at hand; then their members are compared.
    """
    pair = [_opened(one), _opened(other)]
    if inputs is not None and one["inputs"] != other["inputs"]:
        pair = [{**memo, "inputs": value} for memo, value in zip(pair, inputs, strict=True)]
    return list(_differing(pair[0], pair[1], ""))


def _admission(event: Event) -> dict[str, Json]:
    """The verdict, with what is needed to reach it again."""
    data = event.data
    return {
        "seq": event.seq,
        "verdict": event.type.removeprefix("execution."),
        "policy": data["policy"],
        "question": data["question"],
        "error": data.get("error"),
    }


def _opened(memo: dict[str, Json]) -> dict[str, Json]:
    """A pre-image with its fingerprint taken apart, ``key=value;...``."""
    text = shapes.text(memo, "env_fingerprint")
    pairs: dict[str, Json] = {}
    for item in text.split(";"):
        key, _, value = item.partition("=")
        pairs[key] = value
    whole = ";".join(f"{key}={value}" for key, value in pairs.items()) == text
    return {**memo, "env_fingerprint": pairs if whole else text}


def _differing(one: Json, other: Json, pointer: str) -> Iterator[Json]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            place = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
            yield from _member(one, other, key, place)
    elif isinstance(one, list) and isinstance(other, list):
        sides = [{str(at): item for at, item in enumerate(side)} for side in (one, other)]
        for at in range(max(len(one), len(other))):
            yield from _member(sides[0], sides[1], str(at), f"{pointer}/{at}")
    elif canonical(one) != canonical(other):
        yield {"part": pointer, "a": one, "b": other}


def _member(one: dict[str, Json], other: dict[str, Json], key: str, pointer: str) -> Iterator[Json]:
    if key in one and key in other:
        yield from _differing(one[key], other[key], pointer)
    elif key in one:
        yield {"part": pointer, "a": one[key]}
    else:
        yield {"part": pointer, "b": other[key]}
