"""A trace is judged by schema, numbers, context and order, and folded into a record."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from processors.protocol import trace
from processors.protocol.canonical import Json
from processors.protocol.events import CONTEXT, EVENTS, MOVES, NEW, SETTLED

DIGEST = "sha256:" + "0" * 64
KNOWN: dict[str, Json] = {
    "processor_ref": "a/b@1",
    "adapter": "local",
    "mode": "mock",
    "env": "pr",
}
OWN: dict[str, dict[str, Json]] = {
    "execution.start": {},
    "execution.resolved": {
        "override": False,
        "source_root": DIGEST,
        "env_fingerprint": "os=linux",
        "inputs_hash": DIGEST,
        "memo_key": DIGEST,
    },
    "adapter.invoke.start": {"payload_hash": DIGEST},
    "processor.start": {},
    "processor.log": {"text": ""},
    "provider.call": {"provider": "p", "operation": "o", "attempt": 1},
    "provider.response": {
        "provider": "p",
        "operation": "o",
        "attempt": 1,
        "outcome": "ok",
        "duration_ms": 5,
    },
    "processor.outputs": {"count": 2},
    "processor.receipt": {},
    "adapter.invoke.complete": {"reply_digest": DIGEST},
    "execution.settle": {"status": "success", "code": None, "reason": None, "exit_code": 0},
}


def whole() -> list[dict[str, Json]]:
    """The trace of a success, in the order of the contract."""
    found = []
    for number, (name, own) in enumerate(OWN.items(), 1):
        context = dict.fromkeys(CONTEXT) | (KNOWN if number > 1 else {})
        common = {"event": name, "execution_id": "x-1", "seq": number, "elapsed_ms": 10 * number}
        found.append({**common, **context, **own})
    return found


def test_the_order_of_the_contract_is_a_trace() -> None:
    assert trace.fault(list(whole())) is None


def set_key(at: int, key: str, value: Json) -> Callable[[list[dict[str, Json]]], None]:
    def change(events: list[dict[str, Json]]) -> None:
        events[at][key] = value

    return change


def remove_key(at: int, key: str) -> Callable[[list[dict[str, Json]]], None]:
    def change(events: list[dict[str, Json]]) -> None:
        del events[at][key]

    return change


def lose(at: int) -> Callable[[list[dict[str, Json]]], None]:
    def change(events: list[dict[str, Json]]) -> None:
        del events[at]
        for number, event in enumerate(events, 1):
            event["seq"] = number

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_key(0, "event", "execution.begin"), "no name of the schema"),
        (set_key(2, "event", "processor.start"), "not of the contract"),
        (set_key(3, "seq", 5), "seq is 5"),
        (set_key(3, "seq", 4.0), "seq"),
        (remove_key(3, "seq"), "lacks seq"),
        (remove_key(1, "app"), "lacks app"),
        (remove_key(2, "payload_hash"), "lacks payload_hash"),
        (set_key(2, "payload_hash", "sha256:x"), "payload_hash"),
        (set_key(4, "text", "x" * 257), "text"),
        (set_key(4, "inputs", "x"), "not of the contract"),
        (set_key(4, "execution_id", "x-2"), "execution id"),
        (set_key(4, "elapsed_ms", 39), "time goes back"),
        (set_key(4, "mode", "real"), "mode changed"),
        (set_key(4, "env", None), "env changed"),
        (set_key(5, "app", "late"), "app came after"),
        (set_key(0, "app", "x"), "app changed"),
        (set_key(10, "status", 1), "status"),
        (set_key(4, "cut", 1), "not of the contract"),
        (lose(0), "cannot come in state new"),
        (lose(1), "cannot come in state asked"),
        (lose(5), "cannot come in state running"),
        (lose(6), "cannot come in state calling"),
        (lose(8), "cannot come in state checked"),
        (lose(10), "ends in state over"),
        (list.clear, "ends in state new"),
        (lambda events: events.append({**events[-1], "seq": 12}), "cannot come in state settled"),
    ],
)
def test_a_fault_is_found(change: Callable[[list[dict[str, Json]]], None], said: str) -> None:
    events = whole()
    change(events)

    found = trace.fault(list(events))

    assert found is not None
    assert said in found


def test_what_is_resolved_has_a_name_for_everything_that_always_has_one() -> None:
    events = whole()
    for event in events:
        event["mode"] = None

    assert "mode is null" in (trace.fault(list(events)) or "")


def test_no_line_is_taken_for_an_event() -> None:
    for line in (None, [], "execution.start", {}, {"event": ["execution.start"]}):
        assert trace.fault([line]) is not None


def test_an_event_that_was_cut_says_nothing_of_its_own() -> None:
    events = whole()
    for key in OWN["provider.call"]:
        del events[5][key]
    events[5]["cut"] = True

    assert trace.fault(list(events)) is None


def test_every_state_is_reached_and_every_event_has_its_place() -> None:
    assert {name for moves in MOVES.values() for name in moves} == EVENTS.keys()
    assert {after for moves in MOVES.values() for after in moves.values()} | {NEW} == MOVES.keys()
    assert MOVES[SETTLED] == {}
    assert [state for state, moves in MOVES.items() if not moves] == [SETTLED]


@pytest.mark.parametrize("state", MOVES)
@pytest.mark.parametrize("name", EVENTS)
def test_an_absent_cell_is_illegal(state: str, name: str) -> None:
    assert trace.walk([name], state) == MOVES[state].get(name)


def test_a_record_says_what_the_events_say() -> None:
    record = trace.replay(whole())

    assert record == {
        "execution_id": "x-1",
        "processor_ref": "a/b@1",
        "adapter": "local",
        "mode": "mock",
        "lane": "pr",
        "app": None,
        "function": None,
        "image_digest": None,
        "override": False,
        "source_root": DIGEST,
        "env_fingerprint": "os=linux",
        "inputs_hash": DIGEST,
        "memo_key": DIGEST,
        "payload_hash": DIGEST,
        "outputs": 2,
        "reply_digest": DIGEST,
        "status": "success",
        "code": None,
        "reason": None,
        "exit_code": 0,
        "state": SETTLED,
    }


def test_the_record_of_a_beginning_has_the_state_reached() -> None:
    states = [trace.replay(whole()[:count])["state"] for count in range(len(OWN) + 1)]

    assert states == [
        *("new", "asked", "resolved", "invoked", "running", "running", "calling", "running"),
        *("checked", "attested", "over", "settled"),
    ]


def test_events_out_of_order_have_no_record() -> None:
    with pytest.raises(ValueError, match="in order"):
        trace.replay(whole()[1:])
