"""The checks of admission, in their order: what each looks at, and what it says.

A check is two functions. One takes its inputs, as plain JSON, from a proposal and what was found,
the fields of the policy that it reads included; the other gives a reason to refuse, or None, from
these inputs alone. The ledger keeps the inputs, so each verdict can be reached again (``readmit``).

What was recorded stays readable: a check whose inputs or meaning change gets another name.
"""

from __future__ import annotations

from orchestrator import lanes
from orchestrator.loop import proposal as asked
from orchestrator.world import grammar
from processors.protocol import digests, refs, shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.loop.policy import Policy
    from orchestrator.loop.proposal import Proposal, State

    type Inputs = dict[str, Json]
    type Taken = Callable[[Proposal, State, Policy], Inputs]
    type Judged = Callable[[Inputs], str | None]


class Check:
    """One check: the shape of its inputs, how they are taken, how they are judged."""

    __slots__ = ("judge", "shape", "take")

    def __init__(self, shape: shapes.Shape, take: Taken, judge: Judged) -> None:
        self.shape = shape
        self.take = take
        self.judge = judge


def _plan(proposal: Proposal, state: State, _: Policy) -> Inputs:
    return {"goal": proposal.goal, "plan": proposal.plan, "accepted": state.accepted}


def _judge_plan(inputs: Inputs) -> str | None:
    """The checker has accepted this plan, for this goal."""
    if inputs["accepted"] is None:
        return "plan_unknown"
    return None if inputs["accepted"] is True else "plan_rejected"


def _lane(proposal: Proposal, _: State, policy: Policy) -> Inputs:
    row = policy.lanes[str(proposal.question["lane"])]
    return {"question": proposal.question, "endpoints": proposal.endpoints, "policy": row}


def _judge_lane(inputs: Inputs) -> str | None:
    """The lane's row allows what is asked, and a processor that calls out may do so there."""
    question, row = shapes.members(inputs, "question"), shapes.members(inputs, "policy")
    lane = shapes.text(question, "lane")
    table = {lane: lanes.of_document(lane, row)}
    if (refused := lanes.answer(question, table)) is not None:
        return refused.reason
    calls_out = inputs["endpoints"] is True and question["mode"] == "real"
    return "lane_egress" if calls_out and not table[lane].egress else None


def _pin(proposal: Proposal, _: State, policy: Policy) -> Inputs:
    question = proposal.question
    return {
        "adapter": question["adapter"],
        "override": question["override"],
        "pin": proposal.pin,
        "policy": {"artifacts": policy.lanes[str(question["lane"])]["artifacts"]},
    }


def _judge_pin(inputs: Inputs) -> str | None:
    """What runs as an image is pinned; only where any artifact may run, an override will do."""
    artifacts = shapes.members(inputs, "policy")["artifacts"]
    if inputs["adapter"] == "local" and artifacts != "pinned":
        return None  # it runs from source
    overridden = inputs["override"] is True and artifacts == "any"
    return None if overridden or inputs["pin"] is not None else "no_pin"


def _secrets(proposal: Proposal, state: State, _: Policy) -> Inputs:
    return {
        "mode": proposal.question["mode"],
        "required": list(proposal.secrets),
        "present": list(state.secrets),
    }


def _judge_secrets(inputs: Inputs) -> str | None:
    """In mode real every declared name has a value. Presence is all that is looked at."""
    required, present = _texts(inputs, "required"), _texts(inputs, "present")
    return "absent" if inputs["mode"] == "real" and not required <= present else None


def _attempts(_: Proposal, state: State, policy: Policy) -> Inputs:
    return {
        "errors": state.errors,
        "retry": state.retry,
        "policy": {"attempts_max": dict(policy.attempts_max)},
    }


def _judge_attempts(inputs: Inputs) -> str | None:
    """A step that ended with an error gets as many attempts as the error's retry class allows."""
    if inputs["retry"] is None:
        return None
    most = shapes.members(shapes.members(inputs, "policy"), "attempts_max")
    allowed = shapes.count(most, shapes.text(inputs, "retry"))
    return None if shapes.count(inputs, "errors") < allowed else "attempts_spent"


def _fresh(proposal: Proposal, state: State, _: Policy) -> Inputs:
    reads: list[Json] = [
        {
            "path": path,
            "planned": planned,
            "found": state.reads[path].cid,
            "plan": state.reads[path].plan,
        }
        for path, planned in sorted(proposal.reads.items())
    ]
    return {
        "plan": proposal.plan,
        "head": {"count": proposal.head.count, "hash": proposal.head.hash},
        "head_known": state.head_known,
        "reads": reads,
        "written": state.written,
    }


def _judge_fresh(inputs: Inputs) -> str | None:
    """What the plan was made with is what is there, and nobody has done the step since.

    What no earlier step of the plan makes has the content that it was planned with; what one makes
    is there, and one of the plan has put it there.
    """
    if inputs["head_known"] is not True:
        return "plan_foreign"
    for read in _objects(inputs, "reads"):
        own = read["planned"] is None and read["plan"] == inputs["plan"]
        if read["found"] is None or not (own or read["planned"] == read["found"]):
            return "plan_stale"
    written, head = inputs["written"], shapes.members(inputs, "head")
    newer = isinstance(written, int) and written > shapes.count(head, "count")
    return "plan_stale" if newer else None


def _predicates(_: Proposal, state: State, __: Policy) -> Inputs:
    return {"truths": [{"predicate": name, "truth": truth} for name, truth in state.predicates]}


def _judge_predicates(inputs: Inputs) -> str | None:
    """Every predicate that must be true before a step is; one that cannot be decided is not."""
    truths = {shapes.text(each, "truth") for each in _objects(inputs, "truths")}
    if asked.FALSE in truths:
        return "predicate_false"
    return "predicate_error" if asked.ERROR in truths else None


def _lease(proposal: Proposal, state: State, _: Policy) -> Inputs:
    held: list[Json] = [
        {"prefix": each.prefix, "fence": each.fence, "execution_id": each.execution_id}
        for each in state.leases
    ]
    return {"writes": list(proposal.writes), "held": held}


def _judge_lease(inputs: Inputs) -> str | None:
    """Nobody holds a part of the write set, what lies around it or what lies in it."""
    writes = inputs["writes"]
    assert isinstance(writes, list)
    mine = [str(prefix) for prefix in writes]
    if any(overlap(one, other) for at, one in enumerate(mine) for other in mine[at + 1 :]):
        return "writes_overlap"
    held = [shapes.text(each, "prefix") for each in _objects(inputs, "held")]
    return "lease_held" if any(overlap(one, other) for one in mine for other in held) else None


def overlap(one: str, other: str) -> bool:
    """Whether two prefixes are one, or one lies in the other, by segments."""
    return one.startswith(other) or other.startswith(one)


def _budget(proposal: Proposal, state: State, _: Policy) -> Inputs:
    found = state.budget
    return {
        "limit_micro_usd": None if found is None else found.limit_micro_usd,
        "reserved_micro_usd": 0 if found is None else found.reserved_micro_usd,
        "spent_micro_usd": 0 if found is None else found.spent_micro_usd,
        "ask_micro_usd": proposal.ask_micro_usd,
    }


def _judge_budget(inputs: Inputs) -> str | None:
    """What is asked for is free of what the goal may cost."""
    free = bound(inputs)
    if free is None:
        return "no_budget"
    return None if shapes.count(inputs, "ask_micro_usd") <= free else "over_budget"


def bound(inputs: Inputs) -> int | None:
    """What the inputs of the check of budgets leave free; None without a budget."""
    if inputs["limit_micro_usd"] is None:
        return None
    limit, *taken = (
        shapes.count(inputs, f"{name}_micro_usd") for name in ("limit", "reserved", "spent")
    )
    return limit - sum(taken)


def _texts(inputs: Inputs, key: str) -> set[str]:
    found = inputs[key]
    assert isinstance(found, list)
    return {str(item) for item in found}


def _objects(inputs: Inputs, key: str) -> list[Inputs]:
    found = inputs[key]
    assert isinstance(found, list)
    return [item for item in found if isinstance(item, dict)]


def _fits(shape: shapes.Shape) -> Callable[[Json], bool]:
    return lambda value: shapes.problem(value, shape, "") is None


def _fits_all(shape: shapes.Shape) -> Callable[[Json], bool]:
    fits = _fits(shape)
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _are_texts(value: Json) -> bool:
    return isinstance(value, list) and all(map(shapes.is_text, value))


def _are_prefixes(value: Json) -> bool:
    return isinstance(value, list) and value != [] and all(map(grammar.is_prefix, value))


def _is_mode(value: Json) -> bool:
    return value in refs.MODES


_QUESTION: shapes.Shape = {
    "lane": shapes.is_text,
    "adapter": shapes.is_text,
    "mode": _is_mode,
    **dict.fromkeys(("override", "secrets", "registry_root", "allow_real"), grammar.is_bool),
}

_ROW: shapes.Shape = {
    **dict.fromkeys(("artifacts", "real"), shapes.is_text),
    **dict.fromkeys(("adapters", "modes"), _are_texts),
    **dict.fromkeys(("egress", "override", "secrets", "registry_root"), grammar.is_bool),
}

_ATTEMPTS_MAX: shapes.Shape = dict.fromkeys(("never", "once", "bounded"), shapes.is_count)

_READ: shapes.Shape = {
    "path": grammar.is_path,
    **dict.fromkeys(("planned", "found", "plan"), grammar.is_digest_or_null),
}

# In the order in which they are recorded; the first that refuses gives the reason.
CHECKS: dict[str, Check] = {
    "plan": Check(
        {
            "goal": grammar.is_label,
            "plan": digests.is_digest,
            "accepted": lambda value: value is None or isinstance(value, bool),
        },
        _plan,
        _judge_plan,
    ),
    "lane": Check(
        {"question": _fits(_QUESTION), "endpoints": grammar.is_bool, "policy": _fits(_ROW)},
        _lane,
        _judge_lane,
    ),
    "pin": Check(
        {
            "adapter": shapes.is_text,
            "override": grammar.is_bool,
            "pin": grammar.is_digest_or_null,
            "policy": _fits({"artifacts": shapes.is_text}),
        },
        _pin,
        _judge_pin,
    ),
    "secrets": Check(
        {"mode": _is_mode, "required": _are_texts, "present": _are_texts},
        _secrets,
        _judge_secrets,
    ),
    "attempts": Check(
        {
            "errors": shapes.is_count,
            "retry": lambda value: value is None or value in _ATTEMPTS_MAX,
            "policy": _fits({"attempts_max": _fits(_ATTEMPTS_MAX)}),
        },
        _attempts,
        _judge_attempts,
    ),
    "fresh": Check(
        {
            "plan": digests.is_digest,
            "head": _fits({"count": grammar.is_positive, "hash": digests.is_digest}),
            "head_known": grammar.is_bool,
            "reads": _fits_all(_READ),
            "written": grammar.is_count_or_null,
        },
        _fresh,
        _judge_fresh,
    ),
    "predicates": Check(
        {
            "truths": _fits_all(
                {"predicate": grammar.is_label, "truth": lambda value: value in asked.TRUTHS}
            )
        },
        _predicates,
        _judge_predicates,
    ),
    "lease": Check(
        {
            "writes": _are_prefixes,
            "held": _fits_all(
                {
                    "prefix": grammar.is_prefix,
                    "fence": grammar.is_positive,
                    "execution_id": grammar.is_execution_id,
                }
            ),
        },
        _lease,
        _judge_lease,
    ),
    "budget": Check(
        {
            "limit_micro_usd": grammar.is_count_or_null,
            "reserved_micro_usd": shapes.is_count,
            "spent_micro_usd": shapes.is_count,
            "ask_micro_usd": shapes.is_count,
        },
        _budget,
        _judge_budget,
    ),
}

# Every reason that a check gives by itself; the lane's others are those of ``lanes``.
REASONS = (
    *("plan_unknown", "plan_rejected", "lane_egress", "no_pin", "absent", "attempts_spent"),
    *("plan_foreign", "plan_stale", "predicate_false", "predicate_error"),
    *("writes_overlap", "lease_held", "no_budget", "over_budget"),
)
