"""A child's stderr on our stderr: every line is ours, and bounded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution.relay import LINES_MAX, Relay
from orchestrator.execution.trail import KEYS, Trail
from processors.protocol.events import FIELD_CHARS_MAX

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
        assert each.keys() >= {*KEYS, "execution_id", "elapsed_ms"}
        assert each["execution_id"] == "x-1"
        assert each["adapter"] == "local"


def test_an_event_cannot_claim_a_key_of_ours(desk: Desk) -> None:
    for key in ("execution_id", "seq", *KEYS):
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
        **dict.fromkeys(KEYS),
        "count": 1,
        "event": "execution.start",
        "execution_id": "x-1",
        "seq": 1,
    }
