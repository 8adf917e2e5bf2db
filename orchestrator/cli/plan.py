"""``plan``: show what ``achieve`` would do, before anything runs and with nothing written."""

from __future__ import annotations

import os

from orchestrator.cli import program
from orchestrator.cli.flags import Flag
from orchestrator.cli.goal_files import GOAL, read_goal
from orchestrator.cli.program import Call, Command
from orchestrator.goals import goal as goals
from orchestrator.goals import judging, plan_svg, plan_text, snapshot, standing
from orchestrator.loop import means, propose
from orchestrator.loop.driver import check_invariants, unreachable
from orchestrator.world import delivery
from orchestrator.world.world import World
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.goal import Goal
    from orchestrator.goals.snapshot import Snapshot

SUMMARY = "show the steps that would make a goal true, before anything runs"
FLAGS = (
    GOAL,
    Flag("--svg", "FILE", "draw the plan into a file that does not exist yet"),
)


def main(argv: list[str], root: str) -> int:
    """Run the command; return its exit status."""
    return program.run_alone(command(root), argv)


def command(root: str) -> Command:
    """The command, over the processors that were built below a root."""
    return Command("plan", SUMMARY, FLAGS, lambda call: _plan(call, root))


def _check_begins(world: World, goal: Goal, seen: Snapshot) -> None:
    """Refuse what ``achieve`` would not begin, as it would."""
    standing.check_cycle(world, goal)
    if any(stated.scope == goals.INVARIANT for stated in goal.proving):
        check_invariants(goal, {each.name: judging.judge(each, seen) for each in goal.proving})


def _plan(call: Call, root: str) -> tuple[dict[str, Json], list[str]]:
    goal = read_goal(call.given.require(GOAL.name))
    usable = means.find(goal, os.path.join(root, "processors"))
    with World(call.world, make=False) as world, snapshot.of(world) as seen:
        _check_begins(world, goal, seen)
        proposed = propose.propose(goal, seen, usable, lambda name: standing.find(world, name))
    if proposed is None:
        nothing: dict[str, Json] = {"id": None, "plan": None, "problem": None}
        return nothing, [f"nothing to plan for {goal.name}: no path that it needs is missing"]
    if not proposed.is_plan:
        raise unreachable(proposed)
    if (file := call.given.get("--svg")) is not None:
        delivery.save_copy(file, plan_svg.plan_svg(proposed.document).encode("utf-8"))
    found: dict[str, Json] = {
        "id": proposed.id,
        "plan": proposed.document,
        "problem": proposed.problem,
    }
    judged = "accepted" if proposed.problem is None else f"rejected: {proposed.problem}"
    lines = plan_text.plan_text(proposed.document).splitlines()
    return found, [*lines, f"plan {proposed.id}, {judged} by the checker"]
