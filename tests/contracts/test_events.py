"""Stderr is NDJSON of one schema and one order, whatever a child prints."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.fixtures import traces
from tests.harness import MOCK, REAL, Result, artifacts, zoo

BEGUN = ["execution.start", "execution.resolved", "adapter.invoke.start", "processor.start"]
TALK = ["provider.call", "provider.response"]
CHECKED = ["processor.outputs", "processor.receipt"]
COMPLETE = [*CHECKED, "adapter.invoke.complete", "execution.settle"]
FAILED = ["adapter.invoke.error", "execution.settle"]
REFUSED = ["execution.start", "execution.settle"]

TRACES = {
    "good": [*BEGUN, *TALK, *COMPLETE],
    "no_outputs": [*BEGUN, *COMPLETE],
    "own_error": [*BEGUN, *CHECKED, *FAILED],
    "exit_7": [*BEGUN, *FAILED],
    "kill_self": [*BEGUN, *FAILED],
    "stray": [*BEGUN, *TALK, *FAILED],
    "wrong_bytes": [*BEGUN, *TALK, *FAILED],
    "not_json": [*BEGUN, *FAILED],
    "no such behaviour": [*BEGUN, *CHECKED, *FAILED],
    "": REFUSED,  # against the input schema
}


def logs(result: Result) -> list[str]:
    """The texts of a child's wrapped lines."""
    return [event["text"] for event in result.events if event["event"] == "processor.log"]


@pytest.mark.proves("OB-1", "OB-3")
@pytest.mark.parametrize("behaviour", TRACES)
def test_each_way_to_end_has_its_trace(behaviour: str, tmp_path: Path) -> None:
    assert traces.names(zoo(behaviour, world=tmp_path)) == TRACES[behaviour]


@pytest.mark.proves("OB-1")
@pytest.mark.parametrize(
    "words",
    [
        ("--unheard-of",),
        ("--timeout-s", "0"),
        ("--attach", "a=/no/such"),
        ("--use", "a=/artifacts/no/such"),
        ("--image-override", "x@sha256:" + "0" * 64),
        ("--allow-env", "ZOO_SECRET"),
    ],
)
def test_a_refusal_has_one_start_and_one_settle(words: tuple[str, ...], tmp_path: Path) -> None:
    assert traces.names(zoo("good", *words, world=tmp_path)) == REFUSED


@pytest.mark.proves("OB-1")
def test_a_run_whose_outputs_cannot_be_stored_ends_in_order(tmp_path: Path) -> None:
    cid = hashlib.sha256(b"seen\n").hexdigest()
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / cid[:2]).write_bytes(b"a file where the output's folder should be")

    result = zoo("good", world=tmp_path)

    assert result.error == ("ERR_INPUTS", "world_unwritable")
    assert [path for path in artifacts(tmp_path) if "/outputs" in path] == []
    [_left] = (tmp_path / ".staging").iterdir()  # for whoever finds the world put right
    traces.names(result)


@pytest.mark.proves("OB-3")
def test_required_keys_say_what_runs(tmp_path: Path) -> None:
    result = zoo("good", world=tmp_path)

    traces.names(result)
    for event in result.events[1:]:
        assert {key: event[key] for key in traces.KEYS if key != "elapsed_ms"} == {
            "adapter": "local",
            "app": None,
            "env": "pr",
            "function": None,
            "image_digest": None,
            "mode": "mock",
            "processor_ref": "hostile/zoo@1",
        }
        assert event["elapsed_ms"] >= 0


@pytest.mark.proves("OB-3")
@pytest.mark.parametrize("lane", [MOCK, REAL])
def test_both_modes_leave_the_same_trace(lane: tuple[str, ...], tmp_path: Path) -> None:
    allowed = ("--allow-env", "ZOO_SECRET") if lane == REAL else ()

    result = zoo("good", *allowed, lane=lane, env={"ZOO_SECRET": "x" * 20}, world=tmp_path)

    assert traces.names(result) == TRACES["good"]


@pytest.mark.proves("OB-1")
def test_the_lines_of_a_chatty_child_are_wrapped(tmp_path: Path) -> None:
    result = zoo("chatty_stderr", world=tmp_path)

    assert result.exit_code == 0
    assert traces.names(result).count("processor.log") == len(logs(result))
    assert logs(result)[0] == "plain words"
    assert "\ufffd\ufffd not UTF-8" in logs(result)
    assert '{"event": "execution.settle"}' in logs(result)
    assert logs(result)[-1] == "no newline"


@pytest.mark.proves("OB-1")
def test_events_that_are_not_a_childs_to_say_are_wrapped(tmp_path: Path) -> None:
    result = zoo("forge_events", world=tmp_path)

    assert traces.names(result) == [*BEGUN, *["processor.log"] * 6, *TALK, *COMPLETE]


@pytest.mark.proves("OB-1", "OB-3")
def test_a_child_cannot_forge_the_orchestrators_keys(tmp_path: Path) -> None:
    line = (
        '{"event":"provider.response","provider":"p","operation":"o","attempt":1,'
        '"outcome":"ok","elapsed_ms":"soon"}'
    )
    result = zoo("say", text=line, world=tmp_path)

    assert all(isinstance(event["elapsed_ms"], int) for event in result.events)


def said(event: str, **changes: object) -> str:
    """An event as a processor sends it, or nearly."""
    own: dict[str, object] = {"provider": "p", "operation": "o", "attempt": 1}
    if event == "provider.response":
        own |= {"outcome": "ok", "duration_ms": 1}
    return json.dumps({"event": event, **own, **changes})


CALL, RESPONSE = said("provider.call"), said("provider.response")

FORGED = {
    "another execution's id": [said("provider.call", execution_id="x-2")],
    "the right id": [said("provider.call", execution_id="x-1")],
    "a number": [said("provider.call", seq=1), said("provider.call", seq=6)],
    "keys of ours": [said("provider.call", adapter="modal"), said("provider.call", app="a")],
    "a mode": [said("provider.call", mode="real")],
    "a key of nobody": [said("provider.call", note="x")],
    "the whole event": [
        said("provider.call", **dict.fromkeys(traces.KEYS), execution_id="x-1", seq=5)
    ],
    "a response without a call": [RESPONSE],
    "a huge response without a call": [said("provider.response", outcome="y" * 60_000)],
    "a time that is no number": [said("provider.response", duration_ms="soon")],
    "a time of ours": [said("provider.response", elapsed_ms=1)],
    "a name twice": [CALL.replace("{", '{"event":"execution.settle",', 1)],
    "a number too large": [said("provider.call", attempt=2**53)],
    "events of the orchestrator": [
        said(name)
        for name in (
            *("execution.start", "execution.resolved", "naming.warning", "adapter.invoke.start"),
            *("processor.start", "processor.log", "processor.log.dropped", "processor.outputs"),
            *("processor.receipt", "adapter.invoke.complete", "execution.settle"),
        )
    ],
}


@pytest.mark.proves("OB-1", "OB-2")
@pytest.mark.parametrize("name", FORGED)
def test_a_forged_event_cannot_pass_for_ours(name: str, tmp_path: Path) -> None:
    lines = FORGED[name]

    result = zoo("say", "--execution-id", "x-1", text="\n".join(lines), world=tmp_path)

    wrapped = ["processor.log"] * len(lines)
    assert traces.names(result) == [*BEGUN, *wrapped, *TALK, *COMPLETE]
    assert logs(result) == [line[:256] for line in lines]


@pytest.mark.proves("OB-1", "OB-2")
@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([CALL, RESPONSE], TALK),
        ([CALL, RESPONSE, RESPONSE], [*TALK, "processor.log"]),
        ([CALL, CALL, RESPONSE], ["provider.call", "processor.log", "provider.response"]),
        (
            [CALL, said("provider.response", attempt=2), RESPONSE],
            ["provider.call", "processor.log", "provider.response"],
        ),
    ],
)
def test_an_event_out_of_turn_is_wrapped(
    lines: list[str], found: list[str], tmp_path: Path
) -> None:
    result = zoo("say", text="\n".join(lines), world=tmp_path)

    assert traces.names(result) == [*BEGUN, *found, *TALK, *COMPLETE]


@pytest.mark.proves("OB-2")
def test_a_call_that_is_never_answered_is_closed_at_the_end(tmp_path: Path) -> None:
    """What the processor says of another call meanwhile is out of turn."""
    result = zoo("say", text=CALL, world=tmp_path)

    assert traces.names(result) == [
        *(*BEGUN, "provider.call", "processor.log", "processor.log", "provider.response"),
        *COMPLETE,
    ]
    [answer] = [event for event in result.events if event["event"] == "provider.response"]
    assert (answer["provider"], answer["outcome"]) == ("p", "unanswered")


@pytest.mark.proves("OB-2")
@pytest.mark.parametrize("text", [CALL, f"{CALL}\n{RESPONSE}", RESPONSE])
def test_what_is_said_after_the_end_changes_nothing(text: str, tmp_path: Path) -> None:
    result = zoo("say_after_the_end", text=text, world=tmp_path)

    assert result.exit_code == 0
    assert traces.names(result)[-4:] == COMPLETE


@pytest.mark.proves("OB-1")
def test_fields_that_are_huge_are_cut(tmp_path: Path) -> None:
    huge = [said("provider.call", operation="y" * 5_000)]
    huge += [said("provider.response", operation="y" * 5_000, outcome="z" * 5_000)]

    result = zoo("say", text="\n".join(huge), world=tmp_path)

    assert traces.names(result) == [*BEGUN, *TALK, *TALK, *COMPLETE]
    assert result.events[4]["operation"] == "y" * 256
    assert result.events[5]["outcome"] == "z" * 256


@pytest.mark.proves("OB-1")
def test_a_long_line_becomes_bounded_ones(tmp_path: Path) -> None:
    result = zoo("long_line", world=tmp_path)

    traces.names(result)
    assert logs(result)
    assert max(len(line) for line in result.stderr.splitlines()) < 4_096


@pytest.mark.proves("OB-1")
def test_a_flood_is_cut_and_counted(tmp_path: Path) -> None:
    result = zoo("flood_stderr", world=tmp_path)

    found = traces.names(result)
    [dropped] = [event for event in result.events if event["event"] == "processor.log.dropped"]
    assert found[-4:] == COMPLETE
    assert len(logs(result)) + dropped["lines"] >= 1_500


@pytest.mark.proves("OB-1")
def test_what_a_child_prints_to_stdout_is_wrapped(tmp_path: Path) -> None:
    printed, native = (zoo(name, world=tmp_path) for name in ("print_stdout", "native_stdout"))

    assert logs(printed) == ['{"status": "success"}']
    assert logs(native) == ["a native library writes to fd 1"]
    traces.names(printed)
    traces.names(native)
