"""Killed at any moment, the next start finds a whole world: nothing half, lost, or locked."""

from __future__ import annotations

import json
import os
from pathlib import Path
from signal import SIGKILL

import pytest

from orchestrator.world import audit
from orchestrator.world.ledger import Ledger
from tests.fixtures import traces
from tests.harness import ZOO_COMMAND, Result, artifacts, read_until, start, zoo, zoo_words

ID = ("--execution-id", "x-1")
OUTPUT = "/artifacts/zoo/outputs/seen.txt"

# The last thing that a killed run says, in the order of a run.
MOMENTS = [
    *("execution.start", "execution.resolved", "adapter.invoke.start", "processor.start"),
    *("provider.call", "provider.response", "processor.outputs", "processor.receipt"),
    *("adapter.invoke.complete", "execution.settle"),
]


def killed(world: Path, behaviour: str, moment: str) -> None:
    """Run until an event was read, and kill the orchestrator."""
    words = zoo_words(behaviour, *ID)
    with start(*words, world=world, command=ZOO_COMMAND) as process:
        read_until(process, moment)
        process.send_signal(SIGKILL)
        process.wait()


def facts(world: Path) -> list[str]:
    """The types of every event; the ledger passes every check on the way."""
    with Ledger(str(world), make=False) as ledger:
        assert audit.problem(ledger) is None
        return [event.type for event in ledger.events()]


def whole(world: Path) -> None:
    """Every visible path has its bytes."""
    for path, cid in artifacts(world).items():
        assert (world / "store" / cid[7:9] / cid[9:]).exists(), path


@pytest.mark.proves("RC-2")
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_that_was_killed_runs_again_or_is_settled(moment: str, tmp_path: Path) -> None:
    killed(tmp_path, "good", moment)
    if (tmp_path / "ledger.sqlite3").exists():
        facts(tmp_path)
        whole(tmp_path)

    result = zoo("good", *ID, world=tmp_path)

    assert result.exit_code == 0
    assert result.output("seen.txt") == b"seen\n"
    traces.names(result)
    whole(tmp_path)
    found = facts(tmp_path)
    assert found.count("execution.requested") == found.count("execution.settled") == 1
    attempts = found.count("execution.started")
    assert attempts == 1 + found.count("execution.abandoned") <= 2
    assert os.listdir(tmp_path / ".staging") == []


def test_what_had_finished_is_settled_from_its_receipt_and_not_run_again(tmp_path: Path) -> None:
    killed(tmp_path, "finish_and_hang", "processor.log")
    assert OUTPUT not in artifacts(tmp_path)

    other = zoo("good", prefix="/artifacts/other/", world=tmp_path)  # any start in the world does
    again = zoo("finish_and_hang", *ID, world=tmp_path)

    assert other.exit_code == again.exit_code == 0
    assert again.output("seen.txt") == b"seen\n"
    assert "processor.start" not in traces.names(again)
    meta = again.envelope["meta"]
    receipt = json.loads(again.file("/artifacts/execution/x-1/determinism.json").read_bytes())
    assert receipt["writer"] == "processor"
    assert meta["duration_ms"] == receipt["volatile"]["duration_ms"]
    assert facts(tmp_path).count("execution.abandoned") == 0


def test_an_error_of_its_own_is_settled_likewise(tmp_path: Path) -> None:
    killed(tmp_path, "fail_and_hang", "processor.log")

    again = zoo("fail_and_hang", *ID, world=tmp_path)

    assert again.error == ("ERR_ADAPTER_INVOCATION", "provider_unavailable")
    assert "processor.start" not in traces.names(again)
    assert facts(tmp_path).count("execution.abandoned") == 0


def test_what_the_receipt_does_not_cover_is_run_again(tmp_path: Path) -> None:
    """An output was changed after the receipt was written: the attempt cannot stand."""
    killed(tmp_path, "finish_and_hang", "processor.log")
    [attempt] = os.listdir(tmp_path / ".staging")
    with (tmp_path / ".staging" / attempt / f"tree{OUTPUT}").open("ab") as file:
        file.write(b"more")

    again = zoo("finish_and_hang", *ID, "--timeout-s", "1", world=tmp_path)

    assert again.error == ("ERR_ADAPTER_INVOCATION", "time_limit")
    assert facts(tmp_path).count("execution.abandoned") == 1
    assert facts(tmp_path).count("execution.started") == 2


def test_a_killed_attempt_of_another_world_is_left_alone(tmp_path: Path) -> None:
    """Two worlds may have an execution of one name."""
    words = zoo_words("sleep", *ID)
    with start(*words, world=tmp_path / "busy", command=ZOO_COMMAND) as process:
        read = read_until(process, "processor.log")
        killed(tmp_path / "dead", "sleep", "processor.log")
        after = zoo("good", world=tmp_path / "dead")
        alive = process.poll() is None
        process.terminate()
        stdout, stderr = process.communicate()

    ended = Result(process.returncode, stdout, read + stderr, tmp_path / "busy")
    assert after.exit_code == 0
    assert alive
    assert ended.error == ("ERR_ADAPTER_INVOCATION", "terminated")


def test_a_ledger_that_was_cut_takes_nothing_more(tmp_path: Path) -> None:
    """The head that was published beside it is evidence, and stays as it is."""
    zoo("good", prefix="/artifacts/one/", world=tmp_path)
    cut = (tmp_path / "ledger.sqlite3").read_bytes()
    zoo("good", prefix="/artifacts/two/", world=tmp_path)
    for ending in ("-wal", "-shm"):
        (tmp_path / f"ledger.sqlite3{ending}").unlink(missing_ok=True)
    (tmp_path / "ledger.sqlite3").write_bytes(cut)
    head = (tmp_path / "head.json").read_bytes()

    result = zoo("good", prefix="/artifacts/three/", world=tmp_path)

    assert result.error == ("ERR_INPUTS", "world_corrupt")
    assert "truncated" in result.envelope["error"]["message"]
    assert traces.names(result) == ["execution.start", "execution.settle"]
    assert (tmp_path / "head.json").read_bytes() == head
