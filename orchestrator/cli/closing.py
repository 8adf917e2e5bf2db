"""The words that ``achieve`` ends with: what became of the goal, and what to type next."""

from __future__ import annotations

import shlex

from orchestrator.goals.plan_shape import money

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.cli.flags import Flag, Given
    from orchestrator.cli.scene import Scene
    from processors.protocol.errors import ContractError

FAILED_MAX = 10  # steps that are named
_PREFIX = "tools/bazel run //:"
_AGAIN = ("interrupted", "terminated")


def lines(scene: Scene) -> list[str]:
    """What was done."""
    ended = scene.ended
    failed = [each for each in ended if each.error is not None]
    earlier = sum(1 for each in ended if each.error is None and not each.executions)
    counts = [
        f"{len(ended) - len(failed) - earlier} step(s) run",
        f"{earlier} taken from earlier",
        f"{len(failed)} failed",
        f"{scene.planned_steps - len(ended)} not begun",
    ]
    executions = sum(len(each.executions) for each in ended)
    found = [f"  {', '.join(counts)}; {executions} execution(s) in {scene.elapsed_s:.1f} s"]
    for each in failed[:FAILED_MAX]:
        assert each.error is not None
        tries = f", after {len(each.executions)} attempts" if len(each.executions) > 1 else ""
        found.append(
            f"  failed  {each.ref}  {each.step}  {each.error.code} / {each.error.reason}{tries}"
        )
    if (hidden := len(failed) - FAILED_MAX) > 0:
        found.append(f"  ... and {hidden} more failed")
    return [*found, f"  {_money(scene)}"]


def after_success(scene: Scene, given: Given) -> list[str]:
    """What to type once the goal is proved."""
    name, world = scene.goal.name, _world(given)
    return _next(
        _command("explain", name, *world),
        _command("report", "--goal", name, "--out", f"{name}.html", *world),
    )


def after_error(
    scene: Scene, given: Given, table: tuple[Flag, ...], error: ContractError
) -> list[str]:
    """What to type where the goal was not proved.

    Args:
        scene: What is known of the run.
        given: The words and flags of the call.
        table: Its flags.
        error: What kept the goal from being proved.
    """
    again = _command("achieve", *_words(given, table))
    failed = [each for each in scene.ended if each.error is not None]
    last = next((each.executions[-1] for each in failed if each.executions), None)
    if error.reason in _AGAIN:
        return _next(again)
    if (least := _budget_needed(scene, error)) is not None:
        return [f"  set budget_micro_usd to {least} in {given.require('--goal')}", *_next(again)]
    if last is not None:
        return _next(_command("world", "why", last, *_world(given)), again)
    explain = _command("explain", scene.goal.name, *_world(given))
    # What holds a lease or a budget ends, and a plan that is stale is made anew.
    return _next(explain, again) if error.reason == "step_refused" else _next(explain)


def _budget_needed(scene: Scene, error: ContractError) -> int | None:
    """What the goal has to be given so that all of its plan fits, if that is what it lacked."""
    if error.reason != "step_refused" or scene.limit_micro_usd is None:
        return None
    least = scene.spent_micro_usd + scene.unfinished_micro_usd()
    return least if least > scene.limit_micro_usd else None


def _money(scene: Scene) -> str:
    own = money(scene.spent_micro_usd - scene.spent_before_micro_usd)
    if scene.limit_micro_usd is None:
        return f"{own} spent"
    whole, limit = money(scene.spent_micro_usd), money(scene.limit_micro_usd)
    if (over := scene.spent_micro_usd - scene.limit_micro_usd) > 0:  # the ledger counts up to it
        return (
            f"{own} spent now, {whole} in all: {money(over)} more than the goal may cost, {limit}"
            " (a step cost more than it had reserved)"
        )
    return f"{own} spent now, {whole} of {limit} in all"


def _world(given: Given) -> tuple[str, ...]:
    world = given.get("--world")
    return () if world is None else ("--world", world)


def _words(given: Given, table: tuple[Flag, ...]) -> list[str]:
    words = []
    for flag in table:
        for value in given.all(flag.name):
            words += [flag.name, value] if flag.metavar else [flag.name]
    return words


def _command(program: str, *words: str) -> str:
    return f"{_PREFIX}{program} -- {shlex.join(words)}"


def _next(*commands: str) -> list[str]:
    return [f"  {'next:' if not at else '     '} {each}" for at, each in enumerate(commands)]
