"""What a processor may say: two events of a closed schema."""

from __future__ import annotations

import pytest

from processors.protocol.canonical import Json
from processors.protocol.events import CHILD_EVENTS, COMMON, EVENTS, child_event

CALL: dict[str, Json] = {
    "event": "provider.call",
    "provider": "p",
    "operation": "o",
    "attempt": 1,
}
RESPONSE: dict[str, Json] = {
    **CALL,
    "event": "provider.response",
    "outcome": "ok",
    "duration_ms": 3,
}


@pytest.mark.parametrize("event", [CALL, RESPONSE])
def test_an_event_of_the_schema_is_taken_as_it_is(event: dict[str, Json]) -> None:
    assert child_event(event) == event


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "provider.call",
        {},
        {"event": None},
        {"event": ["provider.call"]},
        {**CALL, "event": "execution.settle"},
        {**CALL, "event": "processor.start"},
        {**CALL, "event": "processor.outputs"},
        {**CALL, "event": "processor.receipt"},
        {**CALL, "seq": 1},
        {**CALL, "execution_id": "x"},
        {**CALL, "provider": {}},
        {**CALL, "provider": None},
        {**CALL, "attempt": 1.5},
        {**CALL, "attempt": [1]},
        {key: value for key, value in CALL.items() if key != "attempt"},
        {**RESPONSE, "event": "provider.call"},
    ],
)
def test_anything_else_is_no_event(value: Json) -> None:
    assert child_event(value) is None


def test_a_processor_can_say_nothing_that_the_orchestrator_attests() -> None:
    assert set(CHILD_EVENTS) == {"provider.call", "provider.response"}


@pytest.mark.parametrize("name", CHILD_EVENTS)
def test_what_a_processor_sends_is_what_goes_out(name: str) -> None:
    assert CHILD_EVENTS[name].keys() == {"event", *EVENTS[name].fields}


def test_no_event_has_a_member_twice_or_no_meaning() -> None:
    for name, event in EVENTS.items():
        assert event.meaning, name
        assert not event.fields.keys() & COMMON.keys(), name
