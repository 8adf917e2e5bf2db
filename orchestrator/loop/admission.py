"""``admit``: judge a proposal. Pure: values in, a verdict out; nothing is read and nothing written.

Every check is made and recorded, also after one that refuses, in the order of ``checks.CHECKS``.
What has succeeded already is neither admitted nor refused: proposing it again changes nothing, and
the verdict names the earlier attempt.
"""

from __future__ import annotations

from orchestrator.loop.checks import CHECKS, bound
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.loop.policy import Policy
    from orchestrator.loop.proposal import Proposal, State
    from orchestrator.world.commitments import Transition

ADMITTED = "transition.admitted"
REFUSED = "transition.refused"


class Made:
    """What one check said, and of what."""

    __slots__ = ("check", "inputs", "reason")

    def __init__(self, check: str, reason: str | None, inputs: dict[str, Json]) -> None:
        self.check = check
        self.reason = reason  # None: nothing against it
        self.inputs = inputs

    def as_json(self) -> dict[str, Json]:
        """The verdict as facts hold it."""
        return {"check": self.check, "reason": self.reason, "inputs": self.inputs}


class Verdict:
    """What becomes of a proposal.

    Attributes:
        earlier: The attempt that has succeeded already; then there is no fact to append.
        reason: Why it is refused: that of the first check that does so. None if it is admitted.
        made: What every check said.
        fact: The type and the data of the fact to append, or None.
    """

    __slots__ = ("earlier", "fact", "made", "reason")

    def __init__(
        self,
        earlier: Transition | None,
        made: list[Made],
        fact: tuple[str, dict[str, Json]] | None,
    ) -> None:
        self.earlier = earlier
        self.made = made
        self.reason = next((each.reason for each in made if each.reason is not None), None)
        self.fact = fact

    @property
    def admitted(self) -> bool:
        """Whether the step may run."""
        return self.earlier is None and self.reason is None

    @property
    def lacks_reserved(self) -> bool:
        """Whether nothing is against it but that what it asks for is reserved for others."""
        against = [each for each in self.made if each.reason is not None]
        if [each.reason for each in against] != ["over_budget"]:
            return False
        [inputs] = [each.inputs for each in against]
        free, reserved = bound(inputs), shapes.count(inputs, "reserved_micro_usd")
        return free is not None and shapes.count(inputs, "ask_micro_usd") <= free + reserved


def admit(proposal: Proposal, state: State, policy: Policy) -> Verdict:
    """Judge a proposal.

    Args:
        proposal: What is asked for.
        state: What is the case, at the head that the fact will follow.
        policy: By what it is judged.
    """
    if state.earlier is not None:
        return Verdict(state.earlier, [], None)
    made = []
    for name, check in CHECKS.items():
        inputs = check.take(proposal, state, policy)
        made.append(Made(name, check.judge(inputs), inputs))
    verdict = Verdict(None, made, None)
    verdict.fact = _fact(proposal, state, policy, verdict)
    return verdict


def execution_id(goal: str, write_prefix: str, attempt: int) -> str:
    """What the execution of an attempt at a step is called: the same for everybody who asks."""
    stem = digests.of_json({"goal": goal, "write_prefix": write_prefix})
    return f"t-{stem.removeprefix('sha256:')[:32]}-{attempt}"


def _fact(
    proposal: Proposal, state: State, policy: Policy, verdict: Verdict
) -> tuple[str, dict[str, Json]]:
    attempt = state.attempts + 1
    data: dict[str, Json] = {
        "goal": proposal.goal,
        "plan": proposal.plan,
        "step": proposal.step,
        "attempt": attempt,
        "execution_id": execution_id(proposal.goal, proposal.writes[0], attempt),
        "writes": list(proposal.writes),
        "policy": policy.version,
        "verdicts": [each.as_json() for each in verdict.made],
    }
    if verdict.reason is None:
        fence = state.fence + 1
        return ADMITTED, {**data, "fence": fence, "reserve_micro_usd": proposal.ask_micro_usd}
    [budget] = [each for each in verdict.made if each.check == "budget"]
    return REFUSED, {
        **data,
        "reason": verdict.reason,
        "bound_micro_usd": bound(budget.inputs),
        "ask_micro_usd": proposal.ask_micro_usd,
        "head": {"count": state.head.count, "hash": state.head.hash},
    }
