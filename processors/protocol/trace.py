"""A trace: the events of one execution, judged by schema and automaton, and folded into a record.

Pure: values in, verdict out. Tests hold every run to it, and whoever keeps logs may hold those to
it; nothing that runs a processor needs it.
"""

from __future__ import annotations

from processors.protocol import shapes
from processors.protocol.canonical import Json, kind
from processors.protocol.events import COMMON, CONTEXT, EVENTS, MOVES, NEW, SETTLED, is_flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Known before anything is resolved, whatever the adapter is.
NAMED = ("processor_ref", "adapter", "mode", "env")

# States in which nothing need be resolved; before the last one it may be.
_UNRESOLVED = (NEW, "asked", "warned", "unanswered")

# What a record takes from the context, under its name there.
_FROM_CONTEXT = {key: "lane" if key == "env" else key for key in CONTEXT}

# What a record takes from an event: event → member → name in the record.
_FROM_EVENTS: dict[str, dict[str, str]] = {
    "execution.resolved": {
        "override": "override",
        "source_root": "source_root",
        "env_fingerprint": "env_fingerprint",
        "inputs_hash": "inputs_hash",
        "memo_key": "memo_key",
    },
    "adapter.invoke.start": {"payload_hash": "payload_hash"},
    "processor.outputs": {"count": "outputs"},
    "adapter.invoke.complete": {"reply_digest": "reply_digest"},
    "adapter.invoke.error": {"reply_digest": "reply_digest"},
    "execution.settle": {
        "status": "status",
        "code": "code",
        "reason": "reason",
        "exit_code": "exit_code",
    },
}


def walk(names: Sequence[str], state: str = NEW) -> str | None:
    """Return the state that events of these names lead to, or None when one is illegal."""
    for name in names:
        after = MOVES[state].get(name)
        if after is None:
            return None
        state = after
    return state


def fault(events: Sequence[Json]) -> str | None:
    """Say what is wrong with a whole trace, or None: the first fault, or that it has no end."""
    state = NEW
    before: dict[str, Json] = {}
    for number, event in enumerate(events, 1):
        where = f"event {number}"
        wrong = _shape_fault(event, where)
        if wrong is not None:
            return wrong
        assert isinstance(event, dict)
        name = shapes.text(event, "event")
        after = walk([name], state)
        if after is None:
            return f"{where} is {name}, which cannot come in state {state}"
        wrong = _numbers_fault(event, before, number) or _context_fault(event, before, state)
        if wrong is not None:
            return f"{where} ({name}): {wrong}"
        state, before = after, event
    return None if state == SETTLED else f"the trace ends in state {state}"


def replay(events: Sequence[dict[str, Json]]) -> dict[str, Json]:
    """Fold a trace, or the beginning of one, into what it says of its execution.

    ``state`` is the automaton's. What no event has said is null. An event that was ``cut`` says
    nothing but its context.

    Raises:
        ValueError: The events do not come in order.
    """
    names = [shapes.text(event, "event") for event in events]
    state = walk(names)
    if state is None:
        raise ValueError("the events do not come in order")
    said = {name for taken in _FROM_EVENTS.values() for name in taken.values()}
    record: dict[str, Json] = dict.fromkeys(("execution_id", *_FROM_CONTEXT.values(), *said))
    for event in events:
        record["execution_id"] = event["execution_id"]
        record |= {name: event[key] for key, name in _FROM_CONTEXT.items()}
        taken = _FROM_EVENTS.get(shapes.text(event, "event"), {})
        record |= {name: event[key] for key, name in taken.items() if key in event}
    return {**record, "state": state}


def _shape_fault(event: Json, where: str) -> str | None:
    """What keeps an event from being one of the schema."""
    if not isinstance(event, dict):
        return f"{where} is a JSON {kind(event)}, not an object"
    known = EVENTS.get(str(event.get("event")))
    if known is None:
        return f"{where} has no name of the schema"
    own = {"cut": is_flag} if "cut" in event else known.fields
    return shapes.problem(event, {**COMMON, **own}, where)


def _numbers_fault(event: dict[str, Json], before: dict[str, Json], number: int) -> str | None:
    """What keeps an event from being the next one of the same execution."""
    if event["seq"] != number:
        return f"seq is {event['seq']}, not {number}"
    if not before:
        return None
    if event["execution_id"] != before["execution_id"]:
        return "the execution id is another"
    if shapes.count(event, "elapsed_ms") < shapes.count(before, "elapsed_ms"):
        return "time goes back"
    return None


def _context_fault(event: dict[str, Json], before: dict[str, Json], state: str) -> str | None:
    """What keeps the context, of an event that came in some state, from being resolved once.

    What an event says, none says differently after it; from execution.resolved on, none says more.
    """
    resolved = state not in _UNRESOLVED
    changed = [key for key in CONTEXT if before.get(key) is not None and event[key] != before[key]]
    if changed:
        return f"{', '.join(changed)} changed"
    if not resolved and event["event"] != "execution.resolved":
        return None
    if missing := [key for key in NAMED if event[key] is None]:
        return f"{', '.join(missing)} is null"
    late = [key for key in CONTEXT if before[key] is None and event[key] is not None]
    if resolved and late:
        return f"{', '.join(late)} came after execution.resolved"
    return None
