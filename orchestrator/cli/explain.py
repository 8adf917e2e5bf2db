"""``explain``: from a goal to each of its predicates, and to the facts that make these true.

Without a goal's name it tells which goals a world has, and how each stood when it was judged last.
"""

from __future__ import annotations

from orchestrator.cli import program
from orchestrator.cli.flags import Flag
from orchestrator.cli.program import Call, Command
from orchestrator.goals import explanation
from orchestrator.world.world import World
from processors.protocol.canonical import Json

SUMMARY = "show what proves a goal, down to the events of the ledger"
FLAGS = (Flag("GOAL", "", "the goal's name; without it every goal of the world is listed"),)


def main(argv: list[str], _: str) -> int:
    """Run the command; return its exit status."""
    return program.run_alone(COMMAND, argv)


def _explain(call: Call) -> tuple[dict[str, Json], list[str]]:
    name = call.given.get("GOAL")
    with World(call.world, make=False) as world:
        if name is None:
            found = explanation.goals(world.ledger)
            return found, explanation.goal_lines(found)
        tree = explanation.of(world, name)
    return tree, explanation.lines(tree)


COMMAND = Command("explain", SUMMARY, FLAGS, _explain)
