"""The gate of a step: its admission, in the very transaction that begins its execution.

The goal's predicates of scope admission, and its invariants, are judged before that transaction,
since to judge one can mean to read much. In it a verdict counts as long as all that its witness
names is as it was, which look-ups alone tell; what is not is judged there again.
"""

from __future__ import annotations

from orchestrator.goals import goal as goals
from orchestrator.goals import judging, snapshot
from orchestrator.loop import admission, standing
from orchestrator.world.chain import Head
from processors.protocol import shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.goals.goal import Goal, Stated
    from orchestrator.goals.judging import Verdict as Truth
    from orchestrator.goals.snapshot import Snapshot
    from orchestrator.loop.admission import Verdict
    from orchestrator.loop.policy import Policy
    from orchestrator.loop.proposal import Proposal
    from orchestrator.world.ledger import Writing
    from orchestrator.world.world import World


_BEFORE_A_STEP = (goals.ADMISSION, goals.INVARIANT)


class Gate:
    """What one step has to pass.

    Args:
        proposal: The step.
        goal: The goal that it is for.
        policy: By what it is judged.
        secrets: Which of the proposal's secrets have a value, sorted.

    Attributes:
        admitted: Where the chain ends with the fact that admits the attempt, once it is appended.
        overtaken: Whether another loop was faster with the attempt, so that there is no verdict of
            ours on it: it has done the step, or the next attempt is another one.
        waiting: Whether the step may wait and has to: all that it lacks is reserved for others.
    """

    def __init__(
        self, proposal: Proposal, goal: Goal, policy: Policy, secrets: Sequence[str]
    ) -> None:
        self._proposal = proposal
        self._goal = goal
        self._policy = policy
        self._secrets = secrets
        self._judged: dict[str, Truth] = {}
        self._last: tuple[str, Verdict] | None = None  # the head that was judged, and the verdict
        self.admitted: Head | None = None
        self.overtaken = self.waiting = self._may_wait = False

    def judge(self, world: World, *, may_wait: bool = False) -> Verdict:
        """The verdict at the world's head, which the caller holds still by a transaction.

        Args:
            world: The world.
            may_wait: Whether a step for which too much is reserved is to wait and not be refused,
                from here on until it is judged anew.
        """
        self._judged, self._last = {}, None
        self.admitted, self.overtaken, self._may_wait = None, False, may_wait
        return self._verdict(world)

    def _verdict(self, world: World) -> Verdict:
        """The verdict; the last one, if the chain ends where it did then and nothing else was read.

        Predicates read more than the chain: bytes can be gone.
        """
        last = self._last
        if last is not None and not self._judged and last[0] == world.ledger.head().hash:
            return last[1]
        state = standing.read(
            world.ledger, self._proposal, secrets=self._secrets, predicates=self._truths(world)
        )
        verdict = admission.admit(self._proposal, state, self._policy)
        self._last = state.head.hash, verdict
        self.waiting = self._may_wait and verdict.lacks_reserved
        return verdict

    def refuse(self, world: World) -> Verdict:
        """Write down a refusal, if it is still one; return the verdict."""
        with world.ledger.writing() as transaction:
            verdict = self._verdict(world)
            if verdict.fact is not None and not verdict.admitted and not self.waiting:
                transaction.append(*verdict.fact)
        return verdict

    def admit(self, world: World, transaction: Writing, execution_id: str) -> ContractError | None:
        """Write down what becomes of the step; return the error if it may not begin.

        Args:
            world: The world.
            transaction: The one that begins the execution.
            execution_id: The execution.
        """
        verdict = self._verdict(world)
        fact = verdict.fact
        if fact is None or (verdict.admitted and fact[1]["execution_id"] != execution_id):
            self.overtaken = True
            return inputs_error("execution_exists", f"{execution_id} is another loop's attempt")
        if verdict.admitted and world.ledger.execution(execution_id) is not None:
            return inputs_error("execution_exists", f"{execution_id} was begun outside of any plan")
        if self.waiting:
            return refusal(verdict, self._proposal.step)  # for the loop alone, which judges it anew
        event = transaction.append(*fact)
        if not verdict.admitted:
            return refusal(verdict, self._proposal.step)
        self.admitted = Head(event.seq, event.hash)
        return None

    def _truths(self, world: World) -> list[tuple[str, str]]:
        """What must be true of the world for the step to begin, each with what it is now."""
        seen, known = snapshot.held(world), self._judged
        self._judged = {
            stated.name: _again(stated, known.get(stated.name), seen)
            for stated in self._goal.predicates
            if stated.scope in _BEFORE_A_STEP
        }
        return [(name, verdict.value) for name, verdict in self._judged.items()]


def _again(stated: Stated, known: Truth | None, seen: Snapshot) -> Truth:
    """The verdict on a predicate: the one that is known, if it stands."""
    if known is not None and judging.stands(known, seen):
        return known
    return judging.judge(stated, seen)


def refusal(verdict: Verdict, step: str) -> ContractError:
    """The error that a refused step is answered with."""
    assert verdict.fact is not None
    data: dict[str, Json] = verdict.fact[1]
    bound, tail = data.get("bound_micro_usd"), ""
    if verdict.reason == "over_budget":
        tail = f"; it asks for {data['ask_micro_usd']} of {bound} micro-USD that are free"
    elif verdict.reason in ("predicate_false", "predicate_error"):
        tail = f": {', '.join(_untrue(verdict))}"
    return ContractError(
        "ERR_CI_SAFETY", "step_refused", f"{step} was not admitted: {verdict.reason}{tail}"
    )


def _untrue(verdict: Verdict) -> list[str]:
    """Each predicate that kept a step from being admitted, with what it is."""
    [made] = [each for each in verdict.made if each.check == "predicates"]
    truths = made.inputs["truths"]
    assert isinstance(truths, list)
    said = [(shapes.text(each, "predicate"), shapes.text(each, "truth")) for each in truths]
    return [f"{name} is {truth}" for name, truth in said if truth != judging.TRUE]
