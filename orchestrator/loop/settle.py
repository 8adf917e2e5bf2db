"""``settle``: a transition ends in the transaction in which its execution does.

Whoever writes down that an execution has ended, the run itself or the recovery of one that was
killed, calls ``end``. So no step is ever left with its lease when its execution is over.

It is on the way of every execution, and most have no transition: that costs one look at the ledger,
and what settles one is imported once there is one.
"""

from __future__ import annotations

from orchestrator.loop.transitions import LIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from orchestrator.world.commitments import Budget, Transition
    from orchestrator.world.ledger import Ledger, Writing


def end(
    ledger: Ledger,
    transaction: Writing,
    execution_id: str,
    *,
    cost: int | None,
    error: tuple[str, str] | None,
    effects: Iterable[str] = (),
) -> None:
    """Settle the transition of an execution that has just ended, if it has one.

    Args:
        ledger: The ledger.
        transaction: The one with the execution's end.
        execution_id: The execution.
        cost: What it says that it cost; None if there is no valid envelope.
        error: Code and reason, or None for a success.
        effects: The declared effects that were found.
    """
    if (live := _live(ledger, execution_id)) is None:
        return
    from orchestrator.loop import settlement

    data = settlement.settled(*live, cost, error=error, effects=effects)
    transaction.append("transition.settled", data)


def give_up(ledger: Ledger, transaction: Writing, execution_id: str) -> None:
    """Settle the transition of an execution whose process is gone, if it has one."""
    if (live := _live(ledger, execution_id)) is None:
        return
    from orchestrator.loop import settlement

    transaction.append("transition.settled", settlement.abandoned(*live))


def _live(ledger: Ledger, execution_id: str) -> tuple[Transition, Budget] | None:
    """The transition of an execution, with its goal's budget, if it has one that has not ended."""
    if not ledger.has_transition(execution_id):
        return None
    from orchestrator.world import commitments

    held = commitments.transition(ledger, execution_id)
    if held is None or held.status not in LIVE:
        return None
    budget = commitments.budget(ledger, held.goal)
    assert budget is not None  # or it had not been admitted
    return held, budget
