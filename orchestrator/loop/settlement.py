"""What settling a transition pays, and the facts of the loop that need no verdict. Pure."""

from __future__ import annotations

from orchestrator.world import loop_facts
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.world.chain import Head
    from orchestrator.world.commitments import Budget, Transition

    type Data = dict[str, Json]


def spent_micro_usd(reserve: int, free: int, cost: int | None) -> int:
    """What a goal's budget is charged for an execution.

    Args:
        reserve: What was reserved for it.
        free: What of the budget is neither reserved nor spent.
        cost: What the processor says that it cost; None if there is no valid envelope, and then the
            whole reserve counts as spent, since nobody can say less.

    Returns:
        The cost, up to all that is left: a processor that costs more than it declared uses the
        budget up, so that nothing follows it. What it did cost is in ``execution.settled``.
    """
    return reserve if cost is None else min(cost, reserve + free)


def settled(
    held: Transition,
    budget: Budget,
    cost: int | None,
    *,
    error: tuple[str, str] | None,
    effects: Iterable[str],
) -> Data:
    """``transition.settled`` of an execution that has ended with success or an error.

    Args:
        held: The transition, as it was admitted.
        budget: The goal's.
        cost: As ``spent_micro_usd``.
        error: Code and reason, or None for a success.
        effects: The declared effects that were found.
    """
    outcome = loop_facts.SUCCESS if error is None else loop_facts.ERROR
    own: Json = None if error is None else {"code": error[0], "reason": error[1]}
    return _settled(held, budget, outcome, own, cost, effects if error is None else ())


def abandoned(held: Transition, budget: Budget) -> Data:
    """``transition.settled`` of an execution whose process is gone; nobody knows what it cost."""
    return _settled(held, budget, loop_facts.ABANDONED, None, None, ())


def budget_set(goal: str, limit_micro_usd: int) -> Data:
    """``budget.set``."""
    return {"goal": goal, "limit_micro_usd": limit_micro_usd}


def plan_proposed(plan: str, goal: str, head: Head, document: Data, problem: str | None) -> Data:
    """``plan.proposed``.

    Args:
        plan: The plan's id.
        goal: The goal's.
        head: The head that the plan was made for.
        document: The file that holds it, under ``loop_facts.PLANS``.
        problem: What the checker has against it, or None if it accepts the plan.
    """
    return {
        "plan": plan,
        "goal": goal,
        "head": {"count": head.count, "hash": head.hash},
        "document": document,
        "verdict": {"accepted": problem is None, "problem": problem},
    }


def _settled(
    held: Transition,
    budget: Budget,
    outcome: str,
    error: Json,
    cost: int | None,
    effects: Iterable[str],
) -> Data:
    reserve = held.reserve_micro_usd
    spent = spent_micro_usd(reserve, budget.free_micro_usd, cost)
    return {
        "execution_id": held.execution_id,
        "fence": held.fence,
        "outcome": outcome,
        "error": error,
        "spent_micro_usd": spent,
        "refunded_micro_usd": max(0, reserve - spent),
        "effects": list[Json](sorted(set(effects))),
    }
