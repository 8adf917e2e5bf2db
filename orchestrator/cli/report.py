"""``report``: a goal of a world as one HTML file, for people and for keeping."""

from __future__ import annotations

import os

from orchestrator.cli import program
from orchestrator.cli.flags import Flag
from orchestrator.cli.program import Call, Command
from orchestrator.report import gather, page
from orchestrator.world import delivery
from orchestrator.world.world import World
from processors.protocol import digests
from processors.protocol.canonical import Json

SUMMARY = "write what is known of a goal into one HTML file that needs nothing else"
TEMPLATE = "orchestrator/report/page.html"  # from the root, as the build laid it out
FLAGS = (
    Flag("--goal", "NAME", "the goal's name", required=True),
    Flag("--out", "FILE", "the file to make; it must not exist", required=True),
)


def main(argv: list[str], root: str) -> int:
    """Run the command; return its exit status."""
    return program.run_alone(command(root), argv)


def command(root: str) -> Command:
    """The command, with the frame of the page that lies below a root."""
    return Command("report", SUMMARY, FLAGS, lambda call: _report(call, root))


def _report(call: Call, root: str) -> tuple[dict[str, Json], list[str]]:
    file = call.given.require("--out")
    with open(os.path.join(root, TEMPLATE), encoding="utf-8") as template:
        frame = template.read()
    with World(call.world, make=False) as world:
        found = gather.of(world, call.given.require("--goal"))
    data = page.page(found, frame).encode("utf-8")
    delivery.save_copy(file, data)
    count, hash_ = found.head
    result: dict[str, Json] = {
        "goal": found.goal.id,
        "name": found.goal.name,
        "status": found.row.status,
        "proof": found.row.proof,
        "head": {"count": count, "hash": hash_},
        "file": {"cid": digests.of_bytes(data), "size_bytes": len(data)},
        "artifacts": {"all": found.artifacts_total, "shown": len(found.items)},
        "executions": {"all": found.runs_total, "shown": len(found.runs)},
    }
    shown = f"{len(found.items)} of {found.artifacts_total} artifacts"
    told = f"{len(found.runs)} of {found.runs_total} executions"
    return result, [
        f"report  {found.goal.name}, {''.join(found.stands)}: {file}, {len(data)} bytes",
        f"  shown are {shown} and {told}",
    ]
