"""The loop: prove, and while something is not proved propose, admit, execute, settle.

What is true already costs nothing: no plan is made for it. Each round plans for the world as it is
then, so a plan that was interrupted, or one that could not see yet what it would bring about, is
gone on with by planning again. A plan without steps ends the loop: all that can be made is there.
"""

from __future__ import annotations

from orchestrator import secrets
from orchestrator.execution.recover import recover
from orchestrator.execution.run import publish
from orchestrator.goals import goal as goals
from orchestrator.goals import judging, snapshot, standing
from orchestrator.loop import means, settlement
from orchestrator.loop.execute import execute
from orchestrator.world import commitments, fold, heads
from orchestrator.world.world import World
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, adapter_error, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.goal import Goal
    from orchestrator.goals.judging import Verdict
    from orchestrator.loop.execute import Ended, How
    from orchestrator.loop.means import Means
    from orchestrator.loop.propose import Proposed
    from orchestrator.world.chain import Head
    from orchestrator.world.commitments import Budget
    from orchestrator.world.source_folders import Brought

ROUNDS_MAX = 16  # each makes visible what the next one has to plan for; a longer chain is one plan


class Achieved:
    """What a call of ``achieve`` has done.

    Attributes:
        goal: The goal.
        proof: The id of its proof.
        plans: The ids of the plans that were proposed.
        ended: How each step ended that was begun.
        brought: What its sources brought in.
        budget: The goal's, at the end.
    """

    __slots__ = ("brought", "budget", "ended", "goal", "plans", "proof")

    def __init__(self, goal: Goal) -> None:
        self.goal = goal
        self.proof: str | None = None
        self.plans: list[str] = []
        self.ended: list[Ended] = []
        self.brought: Brought | None = None
        self.budget: Budget | None = None

    def as_json(self) -> dict[str, Json]:
        """The account as data."""
        return {
            "goal": self.goal.id,
            "name": self.goal.name,
            "proof": self.proof,
            "sources": None if self.brought is None else self.brought.as_json(),
            "plans": list[Json](self.plans),
            "executions": sum(len(each.executions) for each in self.ended),
            "steps": [each.as_json() for each in self.ended],
            "spent_micro_usd": 0 if self.budget is None else self.budget.spent_micro_usd,
        }


def achieve(goal: Goal, how: How, *, folder: str, verify: bool = False) -> Achieved:
    """Make a goal true and prove it.

    Args:
        goal: The goal.
        how: How its steps run, and in which world.
        folder: Where the goal's sources lie.
        verify: Whether bytes that only have to be there are hashed again.

    Raises:
        ContractError: What kept it from being proved: of the first step that failed or was refused;
            ``ERR_INPUTS``: ``no_plan``, ``goal_unproved``, ``bad_value`` for an opt-in that no
            processor declares, ``world_busy`` if another goal of its name was declared meanwhile,
            or what is wrong with goal or world;
            ``ERR_ADAPTER_INVOCATION``: ``interrupted``, ``terminated``.
    """
    setting = how.setting
    usable = means.find(goal, setting.processors_folder)
    declared = {name for each in usable.values() for name in each.processor.secrets}
    secrets.check_declared(declared, how.allow_env, "any processor of the goal declares")
    with World(setting.world, make=True) as world:
        heads.check(world.ledger)
        recover(world, setting.processors_folder)
        _check_funds(goal, commitments.budget(world.ledger, goal.name))  # before it is declared
        standing.declare(world, goal)
        _fund(world, goal)
        found = Achieved(goal)
        try:
            if goal.sources:
                from orchestrator.world import source_folders  # most goals bring nothing in

                found.brought = source_folders.bring_in(
                    world, goal.name, folder, goal.sources, verify=verify
                )
            _rounds(world, found, usable, how, verify=verify)
        finally:  # the loop itself has no execution's id
            publish(world, setting, how.observer.trail(goal.name))
        found.budget = commitments.budget(world.ledger, goal.name)
    return found


def _fund(world: World, goal: Goal) -> None:
    """Set the goal's budget to what its file says, unless it is that already."""
    with world.ledger.writing() as transaction:
        before = commitments.budget(world.ledger, goal.name)
        if before is None or before.limit_micro_usd != goal.budget_micro_usd:
            _check_funds(goal, before)
            data = settlement.budget_set(goal.name, goal.budget_micro_usd)
            transaction.append("budget.set", data)


def _check_funds(goal: Goal, before: Budget | None) -> None:
    """Refuse a budget that is used up already by more than it is.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``bad_value``.
    """
    taken = 0 if before is None else before.reserved_micro_usd + before.spent_micro_usd
    if taken > goal.budget_micro_usd:
        raise inputs_error(
            "bad_value",
            f"goal {goal.name}: budget_micro_usd is {goal.budget_micro_usd}, and {taken} is spent"
            " or reserved",
        )


def _rounds(
    world: World,
    found: Achieved,
    usable: dict[str, Means],
    how: How,
    *,
    verify: bool,
) -> None:
    goal = found.goal
    verdicts: dict[str, Verdict] = {}
    for _ in range(ROUNDS_MAX):
        _check_stopped(how)
        how.observer.judging(commitments.budget(world.ledger, goal.name))
        judged = world.ledger.head()
        stand = standing.prove(world, goal.name, verify=verify)
        if stand.goal.id != goal.id:  # its truth says nothing of the one that was given
            raise inputs_error(
                "world_busy", f"goal {goal.name}: another of its name was declared meanwhile"
            )
        if stand.status == fold.SATISFIED:
            found.proof = stand.proof
            return
        verdicts = stand.verdicts
        check_invariants(goal, verdicts)
        proposed = _proposed(world, goal, usable, verify=verify)
        if proposed is None:
            if _is_as_it_was(world, judged, verdicts):
                raise _unproved(goal, verdicts)
            continue  # what was missing may be there by now, by another loop's hands
        found.plans.append(proposed.id)
        how.observer.planned(proposed)
        ended = execute(proposed, usable, how)
        found.ended += ended
        _check_stopped(how)
        _check_ended(ended)
    raise _unproved(goal, verdicts, f" when {ROUNDS_MAX} rounds were over")


def _is_as_it_was(world: World, judged: Head, verdicts: dict[str, Verdict]) -> bool:
    """Whether nothing that verdicts looked at has changed since they were reached."""
    if world.ledger.head().hash == judged.hash:
        return True
    with snapshot.of(world) as now:
        return all(judging.stands(verdict, now) for verdict in verdicts.values())


def _proposed(
    world: World, goal: Goal, usable: dict[str, Means], *, verify: bool
) -> Proposed | None:
    """A plan that was written down; None if nothing that is not proved can be planned for.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``no_plan``, with what is out of reach.
    """
    from orchestrator.loop import propose  # a goal that is proved does without it

    with snapshot.of(world, verify=verify) as seen:
        proposed = propose.propose(goal, seen, usable, lambda name: standing.find(world, name))
    if proposed is None or (proposed.is_plan and not proposed.steps):
        return None
    propose.keep(world, proposed)
    if not proposed.is_plan:
        raise unreachable(proposed)
    return proposed


def unreachable(proposed: Proposed) -> ContractError:
    """The error that a certificate is answered with."""
    from orchestrator.goals import plan_shape  # a goal that can be planned for does without it

    document = proposed.document
    missing = plan_shape.missing_words(document)
    shown = "checked" if proposed.problem is None else f"rejected: {proposed.problem}"
    return inputs_error(
        "no_plan",
        f"goal {proposed.goal.name}: nothing leads to {missing} from what is there"
        f" (certificate {proposed.id}, {shown})",
    )


def check_invariants(goal: Goal, verdicts: dict[str, Verdict]) -> None:
    """Refuse to begin anything while an invariant does not hold.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``goal_unproved``.
    """
    for stated in goal.proving:
        if stated.scope == goals.INVARIANT and not verdicts[stated.name].is_true:
            raise _unproved(goal, verdicts)


def _unproved(goal: Goal, verdicts: dict[str, Verdict], when: str = "") -> ContractError:
    listed = [f"{name} is {each.value}" for name, each in verdicts.items() if not each.is_true]
    return inputs_error("goal_unproved", f"goal {goal.name}: {', '.join(listed)}{when}")


def _check_stopped(how: How) -> None:
    """Raise the error that a signal is, if one came."""
    signum = how.setting.stop.signum
    if signum is not None:
        import signal  # rarely needed

        reason = "interrupted" if signum == signal.SIGINT else "terminated"
        raise adapter_error(
            reason, f"signal {signum} ended the loop; what ran is settled, run it again to go on"
        )


def _check_ended(ended: list[Ended]) -> None:
    """Raise what the first step failed with that did."""
    failed = next((each for each in ended if each.error is not None), None)
    if failed is not None and failed.error is not None:
        error = failed.error
        raise ContractError(
            error.code, error.reason, f"{failed.ref} at {failed.step}: {error.message}"
        )
