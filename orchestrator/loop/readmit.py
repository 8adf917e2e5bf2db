"""Decide every admission of a ledger again, from what was recorded, and compare.

Three things have to agree for each ``transition.admitted`` and ``transition.refused``: each verdict
with what its check says of the recorded inputs; the inputs with the rest of the fact, and with the
policy if that is this program's; and what the inputs say of plans, fences, leases and budgets with
a fold of the events before. The fold is one of its own, so a mistake in the projections shows here.

``execution.admitted`` and ``execution.refused`` hold what the lane table was asked and the table's
digest, so they are decided again if the table is this program's.

A certificate that there is no plan is checked again where whoever calls can read it.
"""

from __future__ import annotations

from orchestrator import lanes
from orchestrator.loop import admission
from orchestrator.loop.checks import CHECKS, bound, overlap
from orchestrator.world import loop_facts
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.loop.policy import Policy
    from orchestrator.world.chain import Event

    type Data = dict[str, Json]


LANE_CODE = "ERR_CI_SAFETY"  # of what the lane table refuses


class Disagreement(Exception):  # noqa: N818 - what is found, not what went wrong here
    """The first admission that would be decided otherwise, or does not fit what came before it.

    Attributes:
        seq: Of its event.
        why: What disagrees.
    """

    def __init__(self, seq: int, why: str) -> None:
        self.seq = seq
        self.why = why
        super().__init__(f"event {seq}: {why}")


class Tally:
    """How many admissions were decided again, and by how many policies they were made."""

    __slots__ = ("admitted", "certificates", "other_policy", "refused")

    def __init__(self) -> None:
        self.certificates = 0  # that there is no plan
        self.admitted = 0
        self.refused = 0
        self.other_policy = (
            0  # made by another than this program's; judged by that, if it was recorded
        )

    def as_json(self) -> Data:
        """The tally, as a command answers it."""
        return {
            "decided": self.admitted + self.refused,
            "admitted": self.admitted,
            "refused": self.refused,
            "by_another_policy": self.other_policy,
            "certificates": self.certificates,
        }


def readmit(
    events: Iterable[Event],
    policy: Policy,
    recheck: Callable[[Data], str | None] = lambda _: None,
) -> Tally:
    """Decide again.

    Args:
        events: All events of a ledger, in order.
        policy: This program's.
        recheck: Says what disagrees in a ``plan.refused``, or None.

    Raises:
        Disagreement: At the first admission that does not agree.
    """
    tally, known = Tally(), _Known()
    table = digests.of_json(dict(policy.lanes))
    for event in events:
        data, (kind, _, word) = event.data, event.type.partition(".")
        if kind == "plan" and word == "refused":
            tally.certificates += 1
            if (found := recheck(data)) is not None:
                raise Disagreement(event.seq, found)
        elif word in ("admitted", "refused"):
            found = None
            version = policy.version
            if kind == "transition":
                own = word == "admitted"
                found = _problem(data, admitted=own, policy=policy)
                found = found or known.problem(data, admitted=own)
            else:
                version = table
                found = _lane_problem(data) if data["policy"] == table else None
            if found is not None:
                raise Disagreement(event.seq, found)
            tally.admitted += word == "admitted"
            tally.refused += word == "refused"
            tally.other_policy += data["policy"] != version
        known.take(event)
    return tally


def _lane_problem(data: Data) -> str | None:
    """What disagrees in what the lane table said of an execution by itself."""
    error = shapes.members(data, "error") if "error" in data else None
    said = None
    if error is not None and error["code"] == LANE_CODE:
        said = shapes.text(error, "reason")  # any other refusal came after the lane's yes
    verdict = lanes.answer(shapes.members(data, "question"))
    says = None if verdict is None else verdict.reason
    return None if said == says else f"lane said {said or 'yes'}, and says {says or 'yes'} now"


def _problem(data: Data, *, admitted: bool, policy: Policy) -> str | None:
    """What disagrees within one fact."""
    made = _verdicts(data)
    if list(made) != list(CHECKS):
        return "its checks are not those of admission, in their order"
    for name, check in CHECKS.items():
        inputs = shapes.members(made[name], "inputs")
        found = shapes.problem(inputs, check.shape, f"the inputs of {name}")
        if found is not None:
            return found
        reason = check.judge(inputs)
        if reason != made[name]["reason"]:
            return f"{name} said {made[name]['reason'] or 'yes'}, and says {reason or 'yes'} now"
    inputs_of = {name: shapes.members(each, "inputs") for name, each in made.items()}
    return _misfit(data, inputs_of, admitted=admitted) or _foreign(data, inputs_of, policy)


def _misfit(data: Data, made: dict[str, Data], *, admitted: bool) -> str | None:
    """Where the inputs are not about the fact that they stand in."""
    ask = data["reserve_micro_usd"] if admitted else data["ask_micro_usd"]
    writes = data["writes"]
    assert isinstance(writes, list)
    name = admission.execution_id(
        shapes.text(data, "goal"), str(writes[0]), shapes.count(data, "attempt")
    )
    question = shapes.members(made["lane"], "question")
    same = {
        "goal": made["plan"]["goal"] == data["goal"],
        "plan": made["plan"]["plan"] == made["fresh"]["plan"] == data["plan"],
        "writes": made["lease"]["writes"] == writes,
        "reserve": made["budget"]["ask_micro_usd"] == ask,
        "bound": admitted or data["bound_micro_usd"] == bound(made["budget"]),
        "execution id": data["execution_id"] == name,
        "question": all(
            made[check][key] == question[key]
            for check, key in (("pin", "adapter"), ("pin", "override"), ("secrets", "mode"))
        ),
    }
    wrong = [name for name, fits in same.items() if not fits]
    return f"its {wrong[0]} is not the one that was judged" if wrong else None


def _foreign(data: Data, made: dict[str, Data], policy: Policy) -> str | None:
    """Where a fact that names this program's policy was judged by another."""
    if data["policy"] != policy.version:
        return None
    row = policy.lanes.get(shapes.text(made["lane"]["question"], "lane"))
    same = (
        row is not None
        and made["lane"]["policy"] == row
        and made["pin"]["policy"] == {"artifacts": row["artifacts"]}
        and made["attempts"]["policy"] == {"attempts_max": dict(policy.attempts_max)}
    )
    return None if same else "it names this policy and was judged by another"


def _verdicts(data: Data) -> dict[str, Data]:
    found = data["verdicts"]
    assert isinstance(found, list)
    verdicts = [item for item in found if isinstance(item, dict)]
    made = {shapes.text(item, "check"): item for item in verdicts}
    return made if len(made) == len(verdicts) else {}


class _Held:
    """An admitted transition that has not ended."""

    __slots__ = ("fence", "goal", "of", "reserve", "writes")

    def __init__(
        self, of: tuple[str, str, str], fence: int, reserve: int, writes: list[str]
    ) -> None:
        self.of = of  # goal, step, plan
        self.goal = of[0]
        self.fence = fence
        self.reserve = reserve
        self.writes = writes


class _Known:
    """What the events so far say of plans, attempts, what is held, and budgets."""

    def __init__(self) -> None:
        self._plans: dict[str, tuple[str, bool]] = {}
        self._attempts: dict[tuple[str, str], int] = {}
        self._errors: dict[tuple[str, str, str], int] = {}
        self._held: dict[str, _Held] = {}
        self._limits: dict[str, int] = {}
        self._spent: dict[str, int] = {}
        self._fence = 0

    def problem(self, data: Data, *, admitted: bool) -> str | None:
        """Where the inputs of an admission are not what the events before it say."""
        goal, step, plan = of = _of(data)
        made = {name: shapes.members(each, "inputs") for name, each in _verdicts(data).items()}
        of_goal, accepted = self._plans.get(plan, ("", False))
        held: list[Json] = [
            {"prefix": prefix, "fence": each.fence, "execution_id": name}
            for name, each in self._held.items()
            for prefix in each.writes
            if any(overlap(prefix, str(own)) for own in _items(data, "writes"))
        ]
        reserved = sum(each.reserve for each in self._held.values() if each.goal == goal)
        errors = self._errors.get(of, 0)
        same = {
            "plan": made["plan"]["accepted"] is (accepted if of_goal == goal else None),
            "attempt": data["attempt"] == self._attempts.get((goal, step), 0) + 1,
            "errors": made["attempts"]["errors"] == errors,
            "retry": (made["attempts"]["retry"] is None) == (errors == 0),
            "fence": not admitted or shapes.count(data, "fence") > self._fence,
            "leases": sorted(_items(made["lease"], "held"), key=str) == sorted(held, key=str),
            "budget": made["budget"]["limit_micro_usd"] == self._limits.get(goal)
            and made["budget"]["reserved_micro_usd"] == reserved
            and made["budget"]["spent_micro_usd"] == self._spent.get(goal, 0),
        }
        wrong = [name for name, fits in same.items() if not fits]
        return f"its {wrong[0]} is not what the events before it say" if wrong else None

    def take(self, event: Event) -> None:
        """Note what an event says."""
        data = event.data
        if event.type == "budget.set":
            self._limits[shapes.text(data, "goal")] = shapes.count(data, "limit_micro_usd")
        elif event.type == "plan.proposed":
            accepted = shapes.members(data, "verdict")["accepted"] is True
            self._plans[shapes.text(data, "plan")] = (shapes.text(data, "goal"), accepted)
        elif event.type == admission.ADMITTED:
            goal, step, _ = of = _of(data)
            self._attempts[goal, step] = shapes.count(data, "attempt")
            self._fence = shapes.count(data, "fence")
            self._held[shapes.text(data, "execution_id")] = _Held(
                of,
                self._fence,
                shapes.count(data, "reserve_micro_usd"),
                [str(prefix) for prefix in _items(data, "writes")],
            )
        elif event.type == "transition.settled":
            held = self._held.pop(shapes.text(data, "execution_id"), None)
            if held is not None:  # else an illegal move, which the audit names
                spent = shapes.count(data, "spent_micro_usd")
                self._spent[held.goal] = self._spent.get(held.goal, 0) + spent
                failed = data["outcome"] == loop_facts.ERROR
                self._errors[held.of] = self._errors.get(held.of, 0) + failed


def _of(data: Data) -> tuple[str, str, str]:
    """The goal, the step and the plan that an admission is about."""
    return shapes.text(data, "goal"), shapes.text(data, "step"), shapes.text(data, "plan")


def _items(data: Data, key: str) -> list[Json]:
    found = data[key]
    assert isinstance(found, list)
    return found
