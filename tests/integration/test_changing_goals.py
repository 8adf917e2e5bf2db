"""A world that lives on while its goals change: what holds is not undone for what does not yet."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.fixtures.programs import STEPS_ACHIEVE, achieve, goal_file, ledger, world_command
from tests.harness import MOCK, read_until, start

IN = "/artifacts/in/a"
MADE = "/artifacts/mine/outputs/step.txt"
STEP = f"predicate: artifact.exists, args: {{path: {MADE}}}"
LAST = "predicate: artifact.exists, args: {path: /artifacts/mine/outputs/last.txt}"
# Ways to rest on what the first step has made.
RESTS = {
    "path": STEP,
    "invariant": f"{STEP}, scope: invariant",
    "count": "predicate: artifact.count_at_least,"
    ' args: {pattern: "/artifacts/mine/outputs/s{rest}.txt", count: 1}',
    "for_each": 'predicate: artifact.exists, for_each: "/artifacts/{x}/outputs/step.txt",'
    ' args: {path: "/artifacts/{x}/outputs.json"}',
    "goal": "predicate: goal.satisfied, args: {goal: first}",
}


def put(world: Path, text: str = "plain") -> None:
    file = world.parent / "source.txt"
    file.write_text(text)
    world_command("put", str(file), IN, world=world)


def spelled(*names: str) -> str:
    """Steps that write to one place, each over what another has made there."""
    each = (
        f"{{ref: hostile/{name}@1, write_prefix: /artifacts/mine/, use: {{source: {IN}}}}}"
        for name in names
    )
    return f"transitions: [{', '.join(each)}]"


def executions(world: Path) -> int:
    return int(ledger("stats", world=world).result["executions"]["count"])


def begun(folder: Path) -> Path:
    """A world in which the first of the two steps has made what it makes."""
    put(folder / "w")
    first = goal_file(folder, STEP, name="first", more=spelled("step"))
    achieve(first, world=folder / "w").result  # noqa: B018 - a success
    return folder / "w"


@pytest.mark.parametrize("rests", list(RESTS))
def test_a_step_that_would_undo_what_holds_is_not_run(rests: str, tmp_path: Path) -> None:
    world = begun(tmp_path)

    goal = goal_file(tmp_path, RESTS[rests], LAST, more=spelled("step", "last"))
    found = achieve(goal, world=world)

    assert found.error == ("ERR_INPUTS", "no_plan", 2)
    assert f"writes over what has to stay: {MADE}" in found.message
    assert executions(world) == 1
    world_command("cat", MADE, world=world).result  # noqa: B018 - it is still there


def test_a_step_may_undo_what_no_goal_of_the_call_needs(tmp_path: Path) -> None:
    world = begun(tmp_path)

    achieve(goal_file(tmp_path, LAST, more=spelled("step", "last")), world=world).result  # noqa: B018

    assert executions(world) == 2
    assert world_command("cat", MADE, world=world).error == ("ERR_INPUTS", "unknown_artifact", 2)


def test_what_a_step_makes_again_is_not_undone(tmp_path: Path) -> None:
    world = begun(tmp_path)
    current = f"predicate: artifact.current, args: {{path: {MADE}}}"
    put(world, "other")

    goal = goal_file(tmp_path, STEP, current, more=spelled("step"))
    achieve(goal, world=world).result  # noqa: B018 - a success

    assert executions(world) == 2


def test_a_goal_that_may_cost_less_than_is_spent_is_not_declared(tmp_path: Path) -> None:
    world, goal = tmp_path / "w", goal_file(tmp_path, STEP, more=spelled("step"))
    put(world, "wait")
    command = ("--goal", str(goal), *MOCK, "--json")
    with start(*command, world=world, command=STEPS_ACHIEVE) as process:
        read_until(process, "processor.start")
        process.send_signal(signal.SIGINT)  # what has no valid envelope costs its whole reserve
        process.communicate()
    put(world)
    achieve(goal, world=world).result  # noqa: B018 - a success
    before = ledger("stats", world=world).result["events"]

    goal.write_text(goal.read_text().replace("budget_micro_usd: 1000", "budget_micro_usd: 9"))
    found = achieve(goal, world=world)

    assert found.error == ("ERR_INPUTS", "bad_value", 2)
    assert found.message == "goal made: budget_micro_usd is 9, and 10 is spent or reserved"
    assert ledger("stats", world=world).result["events"] == before
