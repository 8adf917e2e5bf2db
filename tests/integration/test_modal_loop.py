"""The loop over processors on Modal: many calls at once, seen while they run, and all cancelled.

The containers are simulated and answer when they are told to, so that calls can be held.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.modal.session import DEPLOYING, Session
from tests.fixtures.modal_bed import TOKEN, Plane, Shelf
from tests.fixtures.modal_images import layer
from tests.fixtures.programs import ACHIEVE, Answer, goal_file, ledger, world_command
from tests.fixtures.terminals import CONTROL, terminal
from tests.harness import PATIENCE_S, ROOT, run, start

EACH = (
    'predicate: artifact.exists, for_each: "/artifacts/in/{name}",'
    ' args: {path: "/artifacts/step/{name}/outputs/step.txt"}'
)
ERASED = "\x1b[2K"  # before each frame
DIGEST = "sha256:" + "d1" * 32
STEPS, JOBS = 24, 8
STAGING = ("--adapter", "modal", "--mode", "mock", "--lane", "staging")
REAL = ("--adapter", "modal", "--mode", "real", "--lane", "staging", "--allow-real")
DEV = ("--adapter", "local", "--mode", "mock", "--lane", "dev")
SECRET: dict[str, Any] = {"secret": "hostile-step-v1", "environment": "staging"}


@pytest.fixture(scope="module", name="deployed")
def _deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    options = ("--environment", "staging", "--simulated")
    with Shelf() as shelf, Plane(tmp_path_factory.mktemp("state"), *options) as plane:
        with Session(environ(plane), DEPLOYING) as session:
            where = {"app": "hostile-step-v1", "environment": "staging"}
            image = {"image": shelf.pusher.push(layer({"empty": b""})), "digest": DIGEST}
            limits = {"memory_mb": 512, "timeout_s": 120, "startup_timeout_s": 120}
            none: dict[str, Any] = {"content_root": DIGEST, "secret": None, "keys": []}
            session.perform("deploy", {**where, **image, **limits, **none})
            session.perform("put_secret", {**SECRET, "values": {"STEP_KEY": "of the app alone"}})
        yield plane


@pytest.fixture(name="plane")
def _plane(deployed: Plane) -> Iterator[Plane]:
    deployed.reset()
    deployed.ask("/answers", {"hold": True})
    yield deployed
    deployed.ask("/answers", {})


@pytest.fixture(scope="module", name="program")
def _program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program over a test processor that is pinned."""
    return over(tmp_path_factory.mktemp("loop"), secrets=[])


@pytest.fixture(scope="module", name="secretive")
def _secretive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program over the same processor, had it declared a secret."""
    return over(tmp_path_factory.mktemp("secretive"), secrets=["STEP_KEY"])


def over(base: Path, *, secrets: list[str]) -> Path:
    root = base / "loop.runfiles" / ROOT.name
    root.mkdir(parents=True)
    shutil.copy(ACHIEVE, root / "achieve")
    (root / "achieve.tree").symlink_to(ROOT / "achieve.tree")
    for other in ROOT.parent.iterdir():  # the interpreter may lie there
        if other != ROOT:
            (root.parent / other.name).symlink_to(other)
    place = "processors/hostile/step/v1"
    (root / place).mkdir(parents=True)
    (root / place / "tree").symlink_to(ROOT / "tests/fixtures" / place / "tree")
    described = json.loads((ROOT / "tests/fixtures" / place / "processor.json").read_bytes())
    described["registry"]["image"]["digest"] = DIGEST
    described["registry"]["secrets"] = secrets
    (root / place / "processor.json").write_text(json.dumps(described))
    return root / "achieve"


def environ(plane: Plane) -> dict[str, str]:
    return {
        "MODAL_SERVER_URL": plane.server_url,
        "MODAL_TOKEN_ID": TOKEN[0],
        "MODAL_TOKEN_SECRET": TOKEN[1],
    }


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> Path:
    """A world with a text for each step, and a file beside it with the goal."""
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(STEPS):
        (texts / f"n{number:03}").write_text(f"text {number}")
    world_command("put", str(texts), "/artifacts/in", world=tmp_path / "w")
    goal_file(tmp_path, EACH)
    return tmp_path / "w"


def words(world: Path) -> tuple[str, ...]:
    return ("--goal", str(world.parent / "made.yaml"), "--jobs", str(JOBS))


def wait_for_calls(plane: Plane, count: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until so many inputs are with containers."""
    while plane.count("containers") < count:
        assert process.poll() is None
        time.sleep(0.1)


def facts(world: Path, kind: str) -> list[dict[str, Any]]:
    items = [item["body"] for item in ledger("export", world=world).items]
    return [each["data"] for each in items if each["type"] == kind]


@pytest.mark.parametrize(
    ("signum", "status", "reason"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_cancels_every_call_and_the_loop_can_go_on(
    signum: signal.Signals, status: int, reason: str, plane: Plane, program: Path, world: Path
) -> None:
    with start(
        *words(world), *STAGING, "--json", world=world, env=environ(plane), command=program
    ) as process:
        wait_for_calls(plane, JOBS, process)
        process.send_signal(signum)
        stdout, stderr = process.communicate(timeout=PATIENCE_S)

    found = Answer(process.returncode, stdout, stderr)
    assert found.error == ("ERR_ADAPTER_INVOCATION", reason, status)
    assert (plane.count("containers"), plane.count("inputs_unfinished")) == (0, 0)
    assert plane.transcript.count("FunctionMap") == JOBS
    assert plane.transcript.count("FunctionCallCancel") == JOBS
    assert not left(plane)
    settled = facts(world, "execution.settled")
    assert [each["error"]["reason"] for each in settled] == [reason] * JOBS
    assert len(facts(world, "transition.settled")) == JOBS
    ledger("verify", world=world).result  # noqa: B018 - it must be a success
    # What was begun remotely is no reason not to do it here.
    again = run(*words(world), *DEV, "--json", world=world, command=program)
    made = Answer(again.exit_code, again.stdout, again.stderr).result
    assert made["executions"] == STEPS


def test_real_takes_its_secrets_from_the_app_and_none_from_the_caller(
    plane: Plane, secretive: Path, world: Path
) -> None:
    with start(
        *words(world), *REAL, "--json", world=world, env=environ(plane), command=secretive
    ) as process:
        wait_for_calls(plane, JOBS, process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130
    assert plane.transcript.count("FunctionMap") == JOBS
    assert len(facts(world, "transition.admitted")) == JOBS
    assert facts(world, "transition.refused") == []
    assert ledger("readmit", world=world).result["decided"] >= JOBS


def test_real_without_a_secret_of_the_app_calls_nothing(
    plane: Plane, secretive: Path, world: Path
) -> None:
    plane.ask("/secrets/remove", {"environment": "staging", "name": SECRET["secret"]})
    try:
        made = run(
            *words(world), *REAL, "--json", world=world, env=environ(plane), command=secretive
        )
    finally:
        with Session(environ(plane), DEPLOYING) as session:
            session.perform("put_secret", {**SECRET, "values": {"STEP_KEY": "of the app alone"}})

    assert made.exit_code == 1
    told = {(each["error"]["code"], each["error"]["reason"]) for each in refusals(world)}
    assert told == {("ERR_MISSING_SECRET", "absent")}
    assert "FunctionMap" not in plane.transcript


def refusals(world: Path) -> list[dict[str, Any]]:
    return facts(world, "execution.refused")


def left(plane: Plane) -> list[str]:
    """The processes that speak to a plane, its own apart."""
    found = []
    for each in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"MODAL_SERVER_URL={plane.server_url}".encode() in each.read_bytes():
                found.append(each.parent.name)
        except OSError:
            continue
    return found


def test_who_looks_sees_how_many_calls_run_and_how_many_wait(
    plane: Plane, program: Path, world: Path
) -> None:
    looks = {"TERM": "xterm-256color", **environ(plane)}
    with terminal(program, *words(world), *STAGING, world=world, env=looks) as screen:
        wait_for_calls(plane, JOBS, screen.process)
        for _ in range(3):
            screen.read_until(b"more wait")
        *_, whole, _ = [part for part in screen.text.split(ERASED) if "more wait" in part]
        seen = CONTROL.sub("", whole)
        screen.process.send_signal(signal.SIGINT)
        assert screen.finish() == 130

    count = {word: _told(seen, word) for word in ("run", "wait")}
    assert count == {"run": JOBS, "wait": STEPS - JOBS}
    assert f"0 of {STEPS} step(s)" in seen
    assert plane.count("inputs_unfinished") == 0


def _told(seen: str, word: str) -> int:
    """How many steps of a frame run, or wait: those with a line, and those that are counted."""
    more = [line.split() for line in seen.splitlines() if f" more {word}" in line]
    rows = [line for line in seen.splitlines() if line.strip().startswith(f"{word}s ")]
    return len(rows) + sum(int(each[each.index("more") - 1]) for each in more)
