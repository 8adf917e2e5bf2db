"""What a processor may say: two events of a closed schema."""

from __future__ import annotations

import pytest

from processors.protocol.canonical import Json
from processors.protocol.events import CHILD_EVENTS, ORDER, child_event

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
    "elapsed_ms": 3,
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
    assert set(CHILD_EVENTS) < set(ORDER)
    assert len(set(ORDER)) == len(ORDER)
    assert (ORDER[0], ORDER[-1]) == ("execution.start", "execution.settle")
