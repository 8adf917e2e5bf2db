"""A world that lives on while its goals change: what holds is not undone for what does not yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.programs import achieve, goal_file, ledger, world_command

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


def put(world: Path) -> None:
    file = world.parent / "source.txt"
    file.write_text("plain")
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
    assert "every plan found " in found.message
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
    (tmp_path / "source.txt").write_text("other")
    world_command("put", str(tmp_path / "source.txt"), IN, world=world)

    goal = goal_file(tmp_path, STEP, current, more=spelled("step"))
    achieve(goal, world=world).result  # noqa: B018 - a success

    assert executions(world) == 2
