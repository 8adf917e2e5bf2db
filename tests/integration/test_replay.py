"""Stderr alone rebuilds an execution, as far as ids, states and hashes go."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from orchestrator.world.ledger import Ledger
from processors.protocol import trace
from tests.harness import (
    MOCK,
    REAL,
    ZOO_COMMAND,
    Result,
    finish,
    read_until,
    start,
    zoo,
    zoo_words,
)

DETERMINISM = "/artifacts/execution/x-1/determinism.json"
DIGEST = "sha256:" + "7" * 64
OVERRIDE = ("--image-override", f"tests/zoo@{DIGEST}")
DEV_MODAL = ("--adapter", "modal", "--mode", "mock", "--lane", "dev")


def record(stderr: bytes) -> dict[str, Any]:
    """What the lines of a trace say, and nothing else is looked at."""
    events = [json.loads(line) for line in stderr.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["execution_id"] for event in events} == {"x-1"}
    return dict(trace.replay(events))


def expected(result: Result) -> dict[str, Any]:
    """What envelope, receipt and exit status say of the same execution."""
    envelope = result.envelope
    meta, error = envelope["meta"], envelope.get("error", {})
    keys = ("processor_ref", "adapter", "mode", "lane", "app", "function", "image_digest")
    keys += ("env_fingerprint", "inputs_hash", "memo_key")
    found = {key: meta[key] for key in keys} | {
        "execution_id": envelope["execution_id"],
        "state": "settled",
        "status": envelope["status"],
        "code": error.get("code"),
        "reason": error.get("reason"),
        "exit_code": result.exit_code,
        "payload_hash": None,
    }
    file = result.file(DETERMINISM)
    if file.exists():
        found["payload_hash"] = json.loads(file.read_bytes())["volatile"]["payload_hash"]
    return found


def compare(result: Result) -> dict[str, Any]:
    """Judge a trace against what the call left; return its record."""
    found = record(result.stderr)
    wanted = expected(result)
    assert {key: found[key] for key in wanted} == wanted
    assert found.keys() - wanted.keys() == {"override", "outputs", "reply_digest", "source_root"}
    return found


@pytest.mark.proves("OB-7")
@pytest.mark.parametrize("lane", [MOCK, REAL], ids=["mock", "real"])
@pytest.mark.parametrize("behaviour", ["good", "many", "no_outputs"])
def test_a_success_is_rebuilt(behaviour: str, lane: tuple[str, ...], tmp_path: Path) -> None:
    words = ["--execution-id", "x-1"]
    if lane == REAL:
        words += ["--allow-env", "ZOO_SECRET"]

    result = zoo(behaviour, *words, lane=lane, env={"ZOO_SECRET": "x" * 20}, world=tmp_path)

    found = compare(result)
    assert result.exit_code == 0
    assert found["outputs"] == len(result.envelope["outputs"])
    assert found["reply_digest"].startswith("sha256:")


@pytest.mark.proves("OB-7")
@pytest.mark.parametrize(
    ("behaviour", "checked"),
    [
        *(("own_error", True), ("raise", True), ("no such behaviour", True)),
        *(("exit_7", False), ("kill_self", False), ("stray", False), ("not_json", False)),
        *(("wrong_bytes", False), ("other_id", False), ("sleep", False)),
    ],
)
def test_a_failure_is_rebuilt(behaviour: str, checked: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a column of the table
    result = zoo(behaviour, "--execution-id", "x-1", "--timeout-s", "2", world=tmp_path)

    found = compare(result)
    assert result.exit_code != 0
    assert found["payload_hash"].startswith("sha256:")
    if checked:  # the processor's envelope was valid, and its tail is all of it
        tail = result.envelope["meta"]["tails"]["stdout"]
        said = "sha256:" + hashlib.sha256(tail["text"].encode()).hexdigest()
        assert found["reply_digest"] == tail["digest"] == said
    else:
        assert found["reply_digest"] is None


@pytest.mark.proves("OB-7")
@pytest.mark.parametrize(
    ("words", "lane"),
    [
        (("--timeout-s", "0"), MOCK),
        (("--use", "a=/artifacts/no/such"), MOCK),
        (("--allow-real",), MOCK),
        ((), DEV_MODAL),
        (OVERRIDE, DEV_MODAL),
        ((*OVERRIDE, "--branch", "b", "--user", "u"), DEV_MODAL),
    ],
)
def test_a_refusal_is_rebuilt(
    words: tuple[str, ...], lane: tuple[str, ...], tmp_path: Path
) -> None:
    result = zoo("good", "--execution-id", "x-1", *words, lane=lane, world=tmp_path)

    found = compare(result)
    assert (found["payload_hash"], found["outputs"], found["reply_digest"]) == (None,) * 3
    assert found["override"] is (True if words[:2] == OVERRIDE else None)


@pytest.mark.proves("OB-7")
def test_an_interrupted_run_is_rebuilt(tmp_path: Path) -> None:
    words = zoo_words("sleep", "--execution-id", "x-1")
    with start(*words, world=tmp_path, command=ZOO_COMMAND) as process:
        read = read_until(process, "processor.log")
        process.send_signal(SIGTERM)
        result = finish(process, world=tmp_path, read=read)

    assert compare(result)["reason"] == "terminated"


@pytest.mark.proves("OB-7")
@pytest.mark.parametrize(
    ("behaviour", "event", "state"),
    [("sleep", "processor.log", "running"), ("sleep_in_a_call", "provider.call", "calling")],
)
def test_what_a_killed_orchestrator_did_is_rebuilt_as_far_as_it_came(
    behaviour: str, event: str, state: str, tmp_path: Path
) -> None:
    words = zoo_words(behaviour, "--execution-id", "x-1")
    with start(*words, world=tmp_path, command=ZOO_COMMAND) as process:
        read = read_until(process, event)
        process.send_signal(SIGKILL)
        process.wait(20)
    again = zoo(behaviour, "--execution-id", "x-1", "--timeout-s", "1", world=tmp_path)

    begun, ended = record(read), record(again.stderr)
    assert (begun["state"], begun["status"], begun["exit_code"]) == (state, None, None)
    for key in ("payload_hash", "memo_key", "inputs_hash", "processor_ref", "lane"):
        assert begun[key] == ended[key] is not None, key


# What a trace says of an execution, and which event of the ledger says the same.
SAID = {
    "execution.requested": {
        "execution_id": "execution_id",
        "processor_ref": "ref",
        "adapter": "adapter",
        "mode": "mode",
        "lane": "lane",
        "inputs_hash": "inputs_hash",
    },
    "execution.started": {
        "payload_hash": "payload_hash",
        "memo_key": "memo_key",
        "app": "app",
        "function": "function",
        "image_digest": "image_digest",
        "override": "override",
    },
    "execution.settled": {"status": "status", "reply_digest": "reply_digest"},
}


@pytest.mark.proves("OB-7", "PA-2")
@pytest.mark.parametrize("behaviour", ["good", "many", "own_error", "raise", "exit_7", "sleep"])
def test_a_trace_and_the_ledger_say_the_same_of_an_execution(
    behaviour: str, tmp_path: Path
) -> None:
    result = zoo(behaviour, "--execution-id", "x-1", "--timeout-s", "2", world=tmp_path)

    found = compare(result)
    with Ledger(str(tmp_path), make=False) as ledger:
        facts = {event.type: event.data for event in ledger.events()}
    for type_, words in SAID.items():
        for said, kept in words.items():
            assert found[said] == facts[type_][kept], (type_, said)
    settled, meta = facts["execution.settled"], result.envelope["meta"]
    error = settled["error"] or {"code": None, "reason": None}
    assert (found["code"], found["reason"]) == (error["code"], error["reason"])
    assert (settled["cost_micro_usd"], settled["duration_ms"]) == (
        meta["cost_micro_usd"],
        meta["duration_ms"],
    )
    if found["outputs"] is not None and found["status"] == "success":
        assert found["outputs"] == len(facts["execution.outputs"]["outputs"])
    kept_envelope = result.file(settled["envelope"]["path"]).read_bytes()
    assert kept_envelope + b"\n" == result.stdout
