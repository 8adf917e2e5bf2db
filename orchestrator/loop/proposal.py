"""What admission decides about, as values: a proposal, and what was found when it was judged."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestrator.world.chain import Head
    from orchestrator.world.commitments import Budget, Lease, Transition
    from processors.protocol.canonical import Json

TRUE = "true"
FALSE = "false"
ERROR = "error"  # of a predicate that could not be decided; never as good as true
TRUTHS = (TRUE, FALSE, ERROR)


class Proposal:
    """One step of a plan that somebody wants to run.

    Attributes:
        goal: The goal's id.
        plan: The plan's id.
        head: The head that the plan was made for.
        step: The step's id in the plan.
        writes: The write set: prefixes, sorted and apart. The first is where the execution writes.
        reads: What the step is handed: world path → the content id that it was planned with, or
            None where an earlier step of the same plan makes it.
        ask_micro_usd: The most that the step may cost.
        question: What the lane table is asked, as ``execution.record.question`` says it.
        endpoints: Whether the processor calls a provider in mode real.
        pin: The image that the registry pins, or None.
        secrets: The names that the registry declares, sorted; none where not the caller but the app
            gives the processor its secrets.
    """

    __slots__ = (
        *("ask_micro_usd", "endpoints", "goal", "head", "pin", "plan"),
        *("question", "reads", "secrets", "step", "writes"),
    )

    def __init__(
        self,
        *,
        goal: str,
        plan: str,
        head: Head,
        step: str,
        writes: Sequence[str],
        reads: Mapping[str, str | None],
        ask_micro_usd: int,
        question: dict[str, Json],
        endpoints: bool,
        pin: str | None,
        secrets: Sequence[str],
    ) -> None:
        self.goal = goal
        self.plan = plan
        self.head = head
        self.step = step
        self.writes = writes
        self.reads = reads
        self.ask_micro_usd = ask_micro_usd
        self.question = question
        self.endpoints = endpoints
        self.pin = pin
        self.secrets = secrets


class Found:
    """What lies at a path that a step reads.

    Attributes:
        cid: The content id, or None if nothing is there.
        plan: The plan of which a step that succeeded has put it there, if one has.
    """

    __slots__ = ("cid", "plan")

    def __init__(self, cid: str | None, plan: str | None) -> None:
        self.cid = cid
        self.plan = plan


class State:
    """What is the case when a proposal is judged: the ledger at one head, and a few observations.

    Attributes:
        head: The head.
        head_known: Whether the plan was proposed for its head, and that is one of this ledger's.
        accepted: What the checker said of the plan for this goal; None if nobody proposed it.
        earlier: The attempt of this plan at this step that has succeeded, if one has.
        attempts: How many there were at this step, of whichever plan.
        errors: How many of this plan's ended with an error.
        retry: The retry class of the last of these errors.
        fence: The greatest one that was given out.
        reads: What lies at the paths that the step reads.
        written: The number of the last event that made the results under the write set, if any has.
        leases: Those that overlap the write set.
        budget: The goal's, if it has one.
        secrets: Which of the proposal's names have a value; never a value.
        predicates: The goal's predicates of scope admission and its invariants, with their truth.
    """

    __slots__ = (
        *("accepted", "attempts", "budget", "earlier", "errors", "fence", "head", "head_known"),
        *("leases", "predicates", "reads", "retry", "secrets", "written"),
    )

    def __init__(
        self,
        *,
        head: Head,
        head_known: bool,
        accepted: bool | None,
        earlier: Transition | None,
        attempts: int,
        errors: int,
        retry: str | None,
        fence: int,
        reads: Mapping[str, Found],
        written: int | None,
        leases: Sequence[Lease],
        budget: Budget | None,
        secrets: Sequence[str],
        predicates: Sequence[tuple[str, str]],
    ) -> None:
        self.head = head
        self.head_known = head_known
        self.accepted = accepted
        self.earlier = earlier
        self.attempts = attempts
        self.errors = errors
        self.retry = retry
        self.fence = fence
        self.reads = reads
        self.written = written
        self.leases = leases
        self.budget = budget
        self.secrets = secrets
        self.predicates = predicates
