"""Killed at any moment, the next start finds a whole world: nothing half, lost, or locked."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from signal import SIGKILL

import pytest

from orchestrator.world import audit
from orchestrator.world.ledger import Ledger
from tests.fixtures import traces
from tests.harness import (
    REAL,
    ZOO_COMMAND,
    Result,
    artifacts,
    finish,
    read_until,
    run,
    start,
    without_rights_of_root,
    zoo,
    zoo_words,
)

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


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A world that lies on another disk, as it were."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to("disk")
    return tmp_path / "home" / "w"


def test_a_world_behind_a_link_is_that_world(linked: Path, tmp_path: Path) -> None:
    first = zoo("good", *ID, world=linked)
    again = zoo("good", *ID, world=tmp_path / "disk" / "w")

    assert first.exit_code == again.exit_code == 0
    assert first.output("seen.txt") == b"seen\n"
    assert "processor.start" not in traces.names(again)


def test_what_had_finished_behind_a_link_is_settled(linked: Path) -> None:
    killed(linked, "finish_and_hang", "processor.log")

    again = zoo("finish_and_hang", *ID, world=linked)

    assert again.output("seen.txt") == b"seen\n"
    assert "processor.start" not in traces.names(again)


def test_a_link_that_leads_nowhere_is_no_world(tmp_path: Path) -> None:
    (tmp_path / "w").symlink_to("w")

    refused = zoo("good", world=tmp_path / "w")

    assert refused.error == ("ERR_INPUTS", "world_unwritable")


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
    before = facts(tmp_path)
    refused = zoo(
        "good", lane=("--adapter", "modal", "--mode", "mock", "--lane", "main"), world=tmp_path
    )
    assert refused.error == ("ERR_IMAGE_UNPINNED", "no_pin")
    assert traces.names(refused) == ["execution.start", "execution.unrecorded", "execution.settle"]
    assert facts(tmp_path) == before


def hold(world: Path) -> sqlite3.Connection:
    """Keep everybody else from writing to a ledger."""
    writer = sqlite3.connect(world / "ledger.sqlite3", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    return writer


def wait_for(there: Callable[[], bool]) -> None:
    """Wait until something is so, for at most ten seconds."""
    for _ in range(1_000):
        if there():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come")


def test_what_was_moved_into_the_store_and_not_written_down_is_settled(tmp_path: Path) -> None:
    """Killed after the bytes were placed, while another process holds the ledger."""
    zoo("no_outputs", prefix="/artifacts/first/", world=tmp_path)
    words = zoo_words("finish_and_hang_briefly", *ID)
    with start(*words, world=tmp_path, command=ZOO_COMMAND) as process:
        read_until(process, "processor.log")
        writer = hold(tmp_path)
        read_until(process, "processor.receipt")
        [attempt] = os.listdir(tmp_path / ".staging")
        wait_for(lambda: not (tmp_path / ".staging" / attempt / f"tree{OUTPUT}").exists())
        process.send_signal(SIGKILL)
        process.wait()
    writer.close()
    assert OUTPUT not in artifacts(tmp_path)

    again = zoo("finish_and_hang_briefly", *ID, world=tmp_path)

    assert again.output("seen.txt") == b"seen\n"
    assert "processor.start" not in traces.names(again)
    assert facts(tmp_path).count("execution.abandoned") == 0


@pytest.mark.proves("SE-4")
@pytest.mark.parametrize("behaviour", ["leak_in_mime_and_hang"])
def test_a_run_with_secrets_is_never_settled_from_what_it_left(
    behaviour: str, tmp_path: Path
) -> None:
    value = "zoo-key-7f3b51c09d2e4a68"
    words = zoo_words(behaviour, *ID, "--allow-env", "ZOO_SECRET", lane=REAL)
    env = {"ZOO_SECRET": value}
    with start(*words, world=tmp_path, command=ZOO_COMMAND, env=env) as process:
        read_until(process, "processor.log")
        process.send_signal(SIGKILL)
        process.wait()

    zoo("good", prefix="/artifacts/other/", world=tmp_path)

    assert facts(tmp_path).count("execution.abandoned") == 1
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in kept if value.encode() in path.read_bytes()] == []


def test_a_run_that_the_world_could_not_take_is_settled_once_it_can(tmp_path: Path) -> None:
    zoo("no_outputs", prefix="/artifacts/first/", world=tmp_path)
    cid = hashlib.sha256(b"seen\n").hexdigest()
    (tmp_path / "store" / cid[:2]).write_bytes(b"a file where the output's folder should be")

    failed = zoo("good", *ID, world=tmp_path)
    still = zoo("good", prefix="/artifacts/other/", world=tmp_path)
    (tmp_path / "store" / cid[:2]).unlink()
    again = zoo("good", *ID, world=tmp_path)

    assert failed.error == still.error == ("ERR_INPUTS", "world_unwritable")
    assert again.output("seen.txt") == b"seen\n"
    assert "processor.start" not in traces.names(again)
    assert "execution.abandoned" not in facts(tmp_path)
    assert list((tmp_path / ".staging").iterdir()) == []


@pytest.mark.parametrize("end", ["done", "killed"])
def test_what_a_processor_took_its_owners_rights_to_is_settled_all_the_same(
    end: str, tmp_path: Path
) -> None:
    words = zoo_words("lock_away", *ID, text="1" if end == "killed" else None)
    with start(
        *words, world=tmp_path, command=ZOO_COMMAND, preexec_fn=without_rights_of_root
    ) as process:
        if end == "killed":
            read_until(process, "processor.log")
            process.send_signal(SIGKILL)
            process.wait()
        else:
            assert finish(process, world=tmp_path).exit_code == 0

    again = run(*words, world=tmp_path, command=ZOO_COMMAND, preexec_fn=without_rights_of_root)

    assert again.output("seen.txt") == b"seen\n"
    assert "processor.start" not in traces.names(again)
    assert list((tmp_path / ".staging").iterdir()) == []


def test_a_prefix_around_or_inside_one_that_is_worked_on_is_occupied(tmp_path: Path) -> None:
    words = zoo_words("sleep", *ID, prefix="/artifacts/x/y/")
    with start(*words, world=tmp_path, command=ZOO_COMMAND) as process:
        read = read_until(process, "processor.log")
        found = [
            zoo("good", prefix=prefix, world=tmp_path).error
            for prefix in ("/artifacts/x/", "/artifacts/x/y/z/")
        ]
        neighbour = zoo("good", prefix="/artifacts/x/z/", world=tmp_path)
        process.terminate()
        finish(process, world=tmp_path, read=read)

    assert found == [("ERR_INPUTS", "prefix_occupied")] * 2
    assert neighbour.exit_code == 0
