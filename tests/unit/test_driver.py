"""The loop answers for the goal that it was given, whatever the world is told meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.execution.run import Setting
from orchestrator.goals import goal_file, standing
from orchestrator.goals.goal import Goal
from orchestrator.loop.driver import achieve
from orchestrator.loop.execute import How
from orchestrator.loop.observer import Observer
from orchestrator.world.commitments import Budget
from orchestrator.world.world import World
from processors.protocol.errors import ContractError
from processors.protocol.spawn import Stop
from tests.fixtures import loops


def goal(predicate: str) -> Goal:
    """A goal of the one name."""
    head = "schema: v1\nname: made\nsummary: of a test\nbudget_micro_usd: 9\npredicates:\n"
    return goal_file.load(f"{head}  - {{name: it, {predicate}}}\n".encode(), "goal.yaml")


FALSE = goal("predicate: artifact.exists, args: {path: /artifacts/nothing}")
TRUE = goal("predicate: ledger.intact")


class Changing(Observer):
    """Declares another goal of the name when the first round begins."""

    def __init__(self, world: str) -> None:
        self._world = world

    def judging(self, budget: Budget | None) -> None:  # noqa: ARG002 - its interface
        """See ``Observer``."""
        with World(self._world, make=False) as other:
            standing.declare(other, TRUE)


def test_the_truth_of_another_goal_of_the_name_is_no_success(tmp_path: Path) -> None:
    (tmp_path / "processors").mkdir()
    setting = Setting(
        world=str(tmp_path / "w"),
        processors_folder=str(tmp_path / "processors"),
        environ={},
        stop=Stop(),
        debug=False,
        publish=False,
    )
    how = How(
        lane="pr",
        adapter="local",
        mode="mock",
        jobs=1,
        pause_s=0,
        allow_env=[],
        allow_real=False,
        policy=loops.POLICY,
        setting=setting,
        observer=Changing(setting.world),
    )

    with pytest.raises(ContractError) as caught:
        achieve(FALSE, how, folder=str(tmp_path))

    assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", "world_busy")
    assert "made" in caught.value.message
