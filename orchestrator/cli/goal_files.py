"""The goal file that a command is given."""

from __future__ import annotations

import os

from orchestrator.cli.flags import Flag
from orchestrator.goals.goal import Goal
from orchestrator.world.world import open_regular

GOAL = Flag("--goal", "FILE", "the goal file", required=True)


def read_goal(path: str) -> Goal:
    """Read and check a goal file.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unreadable_file``, or ``invalid_goal`` with the line.
    """
    from orchestrator.goals import goal_file  # heavy (YAML), and a reader of files alone

    with open(open_regular(path), "rb") as file:
        return goal_file.load(file.read(goal_file.FILE_BYTES_MAX + 1), os.path.basename(path))
