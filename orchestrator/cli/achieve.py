"""``achieve``: make a goal true in a world, and prove it."""

from __future__ import annotations

import os
import resource
import signal
import time

from orchestrator.cli import program
from orchestrator.cli.flags import Flag
from orchestrator.cli.goal_files import GOAL, read_goal
from orchestrator.cli.program import COMMON, Call, Command
from orchestrator.execution import request as asked
from orchestrator.execution.run import Setting
from orchestrator.loop import policy
from orchestrator.loop.driver import achieve
from orchestrator.loop.execute import How
from orchestrator.world import heads
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, inputs_error
from processors.protocol.spawn import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.cli.scene import Scene
    from orchestrator.goals.goal import Goal
    from orchestrator.loop.driver import Achieved

SUMMARY = "make what a goal says true, step by step, and prove it"
JOBS_MAX = 4_096
PAUSE_S = 1.0  # before the second attempt at a step: whom it calls out to gets a moment of rest
FILES_PER_JOB = 8  # open at once: its lock and the pipes of a child, and what it reads or writes
FILES_BESIDE = 128
FLAGS = (
    GOAL,
    Flag("--lane", "pr|dev|staging|main", "the policy that applies", required=True),
    Flag("--adapter", "local|modal", "where processors run", required=True),
    Flag("--mode", "mock|real", "whether they may reach what is real", required=True),
    Flag("--jobs", "N", "how many run at once; 1 by default"),
    Flag("--verify", "", "hash all bytes again, of sources and of what only has to be there"),
    Flag(
        "--allow-env", "NAME", "opt a declared secret in, by its variable (lane dev)", repeats=True
    ),
    Flag("--allow-real", "", "confirm mode real (lanes staging and main)"),
    Flag("--sign-key", "FILE", "sign the world's head with this Ed25519 key (PEM)"),
)


def main(argv: list[str], root: str) -> int:
    """Run the command; return its exit status."""
    return program.run_alone(command(root), argv)


def command(root: str, pause_s: float = PAUSE_S) -> Command:
    """The command, over the processors that were built below a root.

    Args:
        root: The root.
        pause_s: As in ``How``.
    """
    return Command("achieve", SUMMARY, FLAGS, lambda call: _achieve(call, root, pause_s))


def _achieve(call: Call, root: str, pause_s: float) -> tuple[dict[str, Json], list[str]]:
    given = call.given
    stop = Stop()
    how = How(
        lane=asked.check_lane(given.require("--lane")),
        adapter=asked.check_adapter(given.require("--adapter")),
        mode=asked.check_mode(given.require("--mode")),
        jobs=_jobs(given.get("--jobs") or "1"),
        pause_s=pause_s,
        allow_env=given.all("--allow-env"),
        allow_real=given.has("--allow-real"),
        policy=policy.current(),
        setting=_setting(call, root, stop),
    )
    goal = read_goal(given.require(GOAL.name))
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, stop.request)  # what runs is ended and settled first
    folder = os.path.dirname(given.require(GOAL.name)) or "."
    try:
        if call.as_json:
            found = achieve(goal, how, folder=folder, verify=given.has("--verify"))
            return found.as_json(), []
        return _shown(call, goal, how, folder)
    finally:
        how.setting.close()


def _shown(call: Call, goal: Goal, how: How, folder: str) -> tuple[dict[str, Json], list[str]]:
    """Achieve a goal where people look: what happens is the same, and they see it happen."""
    from orchestrator.cli import closing
    from orchestrator.cli.scene import Scene

    if os.isatty(2):
        from orchestrator.cli.live import Drawn

        scene: Scene = Drawn(goal, time.monotonic, how.setting.environ)
    else:
        scene = Scene(goal, time.monotonic)
    how.observer = scene
    try:
        with scene:
            found = achieve(goal, how, folder=folder, verify=call.given.has("--verify"))
    except ContractError as error:
        if scene.rounds:  # or there is nothing to tell of
            said = [f"not satisfied  {goal.name}", *closing.lines(scene)]
            for line in (*said, *closing.after_error(scene, call.given, (*FLAGS, *COMMON), error)):
                error.add_note(line)
        raise
    return found.as_json(), _lines(found, scene, call)


def _setting(call: Call, root: str, stop: Stop) -> Setting:
    key_file = call.given.get("--sign-key")
    return Setting(
        world=call.world,
        processors_folder=os.path.join(root, "processors"),
        environ=os.environ,
        stop=stop,
        debug=call.given.has("--debug"),
        signing_key=None if key_file is None else heads.read_signing_key(key_file),
        publish=False,
    )


def _jobs(text: str) -> int:
    plain = text.isascii() and text.isdigit() and len(text) <= 4
    if not plain or not 1 <= int(text) <= JOBS_MAX:
        raise inputs_error("bad_value", f"--jobs {text[:80]!a} is no number from 1 to {JOBS_MAX}")
    _make_room(int(text))
    return int(text)


def _make_room(jobs: int) -> None:
    """Raise the limit of open files, if so many jobs need it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES_BESIDE + FILES_PER_JOB * jobs
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise inputs_error(
            "bad_value",
            f"--jobs {jobs} takes up to {needed} open files, and {hard} are allowed (ulimit -Hn)",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def _lines(found: Achieved, scene: Scene, call: Call) -> list[str]:
    from orchestrator.cli import closing

    lines = [f"satisfied  {found.goal.name}, proof {found.proof}"]
    if found.brought is not None:
        put, removed = len(found.brought.put), len(found.brought.removed)
        lines.append(f"  sources: {put} file(s) brought in, {removed} gone")
    return [*lines, *closing.lines(scene), *closing.after_success(scene, call.given)]
