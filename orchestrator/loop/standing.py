"""How a proposal stands in a ledger: what admission asks of it, read at one head."""

from __future__ import annotations

from orchestrator.loop.proposal import Found, State
from orchestrator.world import commitments, loop_facts
from processors.protocol import paths
from processors.protocol.errors import find_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.loop.proposal import Proposal
    from orchestrator.world.commitments import Plan, Transition
    from orchestrator.world.ledger import Ledger


def read(
    ledger: Ledger,
    proposal: Proposal,
    *,
    secrets: Sequence[str],
    predicates: Sequence[tuple[str, str]],
) -> State:
    """What is the case; inside of a ``writing`` block it stays so until the block is left.

    Args:
        ledger: The ledger.
        proposal: What is asked for.
        secrets: Which of the proposal's secrets have a value, sorted.
        predicates: The goal's predicates of scope admission and its invariants, with their truth.

    Raises:
        ContractError: ``ERR_INPUTS``: the world is busy, or its ledger is not what was written.
    """
    plan = commitments.plan(ledger, proposal.plan)
    before = commitments.of_step(ledger, proposal.goal, proposal.step)
    own = [each for each in before if each.plan == proposal.plan]
    failed = [each for each in own if each.outcome == loop_facts.ERROR]
    return State(
        head=ledger.head(),
        head_known=plan is not None and _is_head_of(ledger, plan, proposal),
        accepted=None if plan is None or plan.goal != proposal.goal else plan.accepted,
        earlier=next((each for each in own if each.outcome == loop_facts.SUCCESS), None),
        attempts=before[-1].attempt if before else 0,
        errors=len(failed),
        retry=_retry(ledger, failed[-1]) if failed else None,
        fence=commitments.last_fence(ledger),
        reads={path: _found(ledger, path) for path in proposal.reads},
        written=_written(ledger, proposal.writes),
        leases=commitments.in_the_way(ledger, proposal.writes),
        budget=commitments.budget(ledger, proposal.goal),
        secrets=secrets,
        predicates=predicates,
    )


def _is_head_of(ledger: Ledger, plan: Plan, proposal: Proposal) -> bool:
    """Whether a proposal's head is its plan's, and lies on this ledger's chain."""
    there = ledger.head_at(plan.head_count)
    same = (proposal.head.count, proposal.head.hash) == (plan.head_count, plan.head_hash)
    return same and there is not None and there.hash == plan.head_hash


def _retry(ledger: Ledger, failed: Transition) -> str:
    """The retry class of the error that an attempt ended with; one of no table is never tried."""
    error = commitments.settled_error(ledger, failed)
    row = None if error is None else find_row(*error)
    return "never" if row is None else row.retry


def _found(ledger: Ledger, path: str) -> Found:
    there = ledger.artifact(path)
    if there is None:
        return Found(None, None)
    made = commitments.made_by(ledger, there.seq)
    done = made is not None and made.outcome == loop_facts.SUCCESS
    return Found(there.cid, made.plan if made is not None and done else None)


def _written(ledger: Ledger, writes: Sequence[str]) -> int | None:
    """When the results under a write set were made: an index is put by a success alone."""
    found = [ledger.artifact(paths.index_path(prefix)) for prefix in writes]
    return max((each.seq for each in found if each is not None), default=None)
