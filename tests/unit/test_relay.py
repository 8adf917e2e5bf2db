"""A child's stderr on our stderr: every line is ours, and bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution.relay import Relay
from orchestrator.execution.trail import Trail
from processors.protocol.events import (
    CALLS_MAX,
    CONTEXT,
    FIELD_CHARS_MAX,
    LINE_BYTES_MAX,
    LINES_MAX,
)

CALL = {"event": "provider.call", "provider": "p", "operation": "o", "attempt": 1}


class Desk:
    """A relay whose trail goes to a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb", buffering=0)
        self.trail = Trail("x-1", self._file.fileno())
        self.relay = Relay(self.trail)

    def tell(self, *lines: bytes) -> list[dict[str, Any]]:
        """Relay lines and return every event written so far."""
        for line in lines:
            self.relay.line(line)
        return [json.loads(line) for line in self._path.read_bytes().splitlines()]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path / "trail")
    yield found
    found.close()


@pytest.mark.proves("OB-1")
@pytest.mark.parametrize(
    "line",
    [
        b"plain words",
        b"",
        b"\xff\xfe",
        b"{",
        b"{}",
        b"[1]",
        b'{"event":"execution.settle"}',
        b'{"event":"processor.receipt"}',
        json.dumps(CALL | {"seq": 99}).encode(),
        json.dumps(CALL).encode() + b" trailing",
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_no_event_is_wrapped(desk: Desk, line: bytes) -> None:
    [event] = desk.tell(line)

    assert event["event"] == "processor.log"
    assert event["text"] == line.decode("utf-8", "replace")[:FIELD_CHARS_MAX]


@pytest.mark.proves("OB-1", "OB-3")
def test_an_event_goes_out_with_our_keys_and_our_sequence(desk: Desk) -> None:
    desk.trail.context["adapter"] = "local"
    desk.trail.emit("adapter.invoke.start")

    [_, event, log] = desk.tell(json.dumps(CALL).encode(), b"words")

    assert {key: event[key] for key in CALL} == CALL
    assert (event["seq"], log["seq"]) == (2, 3)
    for each in (event, log):
        assert each.keys() >= {*CONTEXT, "execution_id", "elapsed_ms"}
        assert each["execution_id"] == "x-1"
        assert each["adapter"] == "local"


def test_an_event_cannot_claim_a_key_of_ours(desk: Desk) -> None:
    for key in ("execution_id", "seq", *CONTEXT):
        [*_, event] = desk.tell(json.dumps(CALL | {key: "forged"}).encode())
        assert event["event"] == "processor.log"
        assert event[key] != "forged"


def test_long_text_in_an_event_is_cut(desk: Desk) -> None:
    [event] = desk.tell(json.dumps(CALL | {"operation": "y" * 5_000}).encode())

    assert event["operation"] == "y" * FIELD_CHARS_MAX


def test_lines_are_capped_and_what_is_dropped_is_counted(desk: Desk) -> None:
    written = desk.tell(*[b"x"] * (LINES_MAX + 3))
    assert len(written) == LINES_MAX

    desk.relay.close()

    [*_, last] = desk.tell()
    assert (last["event"], last["lines"]) == ("processor.log.dropped", 3)


def test_nothing_is_said_when_nothing_was_dropped(desk: Desk) -> None:
    desk.tell(*[b"x"] * LINES_MAX)
    desk.relay.close()

    assert len(desk.tell()) == LINES_MAX


def call(**changes: object) -> bytes:
    """A child's line that says it calls a provider."""
    return json.dumps(CALL | changes).encode()


def response(**changes: object) -> bytes:
    """A child's line that answers ``call``."""
    own = {"event": "provider.response", "outcome": "ok", "duration_ms": 3}
    return json.dumps(CALL | own | changes).encode()


def names(events: list[dict[str, Any]]) -> list[str]:
    return [event["event"] for event in events]


@pytest.mark.proves("OB-5")
def test_calls_are_no_lines_and_outlive_their_cap(desk: Desk) -> None:
    """What dropped a call or a response alone would leave a trace that cannot be."""
    events = desk.tell(*[b"x"] * (LINES_MAX - 1), call(), b"x", b"x", response(), b"x")
    desk.relay.close()

    assert names(events)[LINES_MAX - 1 :] == ["provider.call", "processor.log", "provider.response"]
    assert desk.tell()[-1]["lines"] == 2


@pytest.mark.proves("OB-5")
def test_a_flood_of_calls_is_capped_pair_by_pair(desk: Desk) -> None:
    pairs = [line for _ in range(CALLS_MAX + LINES_MAX) for line in (call(), response())]

    found = names(desk.tell(*pairs))
    desk.relay.close()

    assert found[: 2 * CALLS_MAX] == ["provider.call", "provider.response"] * CALLS_MAX
    assert found[2 * CALLS_MAX :] == ["processor.log"] * LINES_MAX
    assert desk.tell()[-1]["lines"] == LINES_MAX


@pytest.mark.proves("OB-5")
@pytest.mark.parametrize("text", ["x" * 300, "x" * 60_000, "\U0001f600" * 10_000, "\x01" * 60_000])
def test_every_field_and_every_line_is_bounded(desk: Desk, text: str) -> None:
    for name in ("provider", "operation"):
        desk.tell(call(**{name: text}), response(**{name: text}))
    desk.tell(response(outcome=text), text.encode())
    desk.trail.emit("debug.traceback", {"text": text})

    for event in desk.tell():
        assert len(json.dumps(event)) < LINE_BYTES_MAX
        assert all(len(each) <= FIELD_CHARS_MAX for each in event.values() if isinstance(each, str))


def test_a_line_that_is_too_long_in_all_says_that_it_is_cut(desk: Desk) -> None:
    wide = dict.fromkeys(("provider", "operation"), "\U0001f600" * 300)

    [event] = desk.tell(call(**wide))

    assert event["cut"] is True
    assert not event.keys() & CALL.keys() - {"event"}


@pytest.mark.parametrize(
    ("lines", "passed"),
    [
        ([response()], []),
        ([call(), call()], [0]),
        ([call(), call(attempt=2), response()], [0, 2]),
        ([call(), response(), response()], [0, 1]),
        ([call(), response(attempt=2)], [0]),
        ([call(), response(provider="q")], [0]),
        ([call(), response(operation="q"), response()], [0, 2]),
        ([call(), response(), call(attempt=2), response(attempt=2)], [0, 1, 2, 3]),
    ],
)
def test_an_event_out_of_turn_is_a_line_like_any_other(
    desk: Desk, lines: list[bytes], passed: list[int]
) -> None:
    found = names(desk.tell(*lines))

    for number, name in enumerate(found):
        assert name.startswith("provider.") == (number in passed), found


@pytest.mark.proves("OB-5")
def test_an_open_call_is_answered_when_its_child_has_ended(desk: Desk) -> None:
    desk.tell(call(attempt=7), *[b"x"] * (LINES_MAX + 1))

    desk.relay.close()

    *_, answer, dropped = desk.tell()
    assert {key: answer[key] for key in CALL} == CALL | {
        "event": "provider.response",
        "attempt": 7,
    }
    assert answer["outcome"] == "unanswered"
    assert answer["duration_ms"] >= 0
    assert (dropped["event"], dropped["lines"]) == ("processor.log.dropped", 1)


def test_a_trail_that_nobody_reads_stops_nothing(tmp_path: Path) -> None:
    with (tmp_path / "x").open("wb") as file:
        fd = file.fileno()
    trail = Trail("x-1", fd)

    trail.emit("execution.start")

    assert trail.elapsed_ms >= 0


@pytest.mark.proves("OB-3")
def test_a_trail_has_every_key_with_null_where_none_applies(desk: Desk) -> None:
    desk.trail.emit("execution.start", {"count": 1})

    [event] = desk.tell()

    assert event.pop("elapsed_ms") >= 0
    assert event == {
        **dict.fromkeys(CONTEXT),
        "count": 1,
        "event": "execution.start",
        "execution_id": "x-1",
        "seq": 1,
    }
