"""The facts of the loop: budgets, plans, and what became of each proposed step of one.

``facts`` takes them into its closed set; the rules there hold here.
"""

from __future__ import annotations

from orchestrator.world import grammar
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    type Rule = Callable[[dict[str, Json]], str | None]

PLANS = "/plan/"  # where plans lie as documents
SUCCESS = "success"
ERROR = "error"
ABANDONED = "abandoned"  # the process of the execution is gone
OUTCOMES = (SUCCESS, ERROR, ABANDONED)

# What an event of each type is written as today.
VERSIONS = {
    "budget.set": 1,
    "plan.proposed": 1,
    "plan.refused": 1,
    "transition.admitted": 1,
    "transition.refused": 1,
    "transition.settled": 1,
}


def _is_checked(value: Json) -> bool:
    return shapes.problem(value, _CHECKED, "verdict") is None


def _are_prefixes(value: Json) -> bool:
    return isinstance(value, list) and value != [] and all(map(grammar.is_prefix, value))


def _are_paths(value: Json) -> bool:
    """World paths, sorted, each once."""
    if not isinstance(value, list):
        return False
    last = ""
    for item in value:
        if not isinstance(item, str) or item <= last or not grammar.is_path(item):
            return False
        last = item
    return True


def _are_verdicts(value: Json) -> bool:
    return (
        isinstance(value, list)
        and value != []
        and all(shapes.problem(item, _VERDICT, "verdict") is None for item in value)
    )


def _first_reason(data: dict[str, Json]) -> str | None:
    """Why the first check that refuses does so."""
    verdicts = data["verdicts"]
    assert isinstance(verdicts, list)
    for verdict in verdicts:
        assert isinstance(verdict, dict)
        if verdict["reason"] is not None:
            return shapes.text(verdict, "reason")
    return None


def _proposed_rule(data: dict[str, Json]) -> str | None:
    """A plan lies among plans, and a checker that accepts finds no problem."""
    if not shapes.text(data["document"], "path").startswith(PLANS):
        return f"a plan's document is not under {PLANS}"
    verdict = shapes.members(data, "verdict")
    if verdict["accepted"] is not (verdict["problem"] is None):
        return "a plan's verdict contradicts itself"
    return None


def _no_plan_rule(data: dict[str, Json]) -> str | None:
    """As for a plan; what was asked lies there too."""
    if not shapes.text(data["question"], "path").startswith(PLANS):
        return f"plan.refused.question is not under {PLANS}"
    return _proposed_rule(data)


def _admitted_rule(data: dict[str, Json]) -> str | None:
    """Nothing refuses what is admitted, and no part of a write set lies in another."""
    if _first_reason(data) is not None:
        return "transition.admitted: a check refuses it"
    writes = data["writes"]
    assert isinstance(writes, list)
    last: str | None = None
    for prefix in writes:
        assert isinstance(prefix, str)
        if last is not None and (prefix <= last or prefix.startswith(last)):
            return "transition.admitted.writes are not sorted and apart"
        last = prefix
    return None


def _refused_rule(data: dict[str, Json]) -> str | None:
    """The reason is that of the first check that refuses."""
    if data["reason"] != _first_reason(data):
        return "transition.refused.reason is not that of the first check that refuses"
    return None


def _settled_rule(data: dict[str, Json]) -> str | None:
    """An error names one, and effects are those of a success."""
    if (data["outcome"] == ERROR) != (data["error"] is not None):
        return "transition.settled: outcome and error contradict each other"
    if data["outcome"] != SUCCESS and data["effects"] != []:
        return "transition.settled: effects without a success"
    return None


_PLAN: shapes.Shape = {
    "plan": digests.is_digest,
    "goal": grammar.is_label,
    "head": grammar.is_head,
    "document": grammar.is_file,
    "verdict": _is_checked,
}

_CHECKED: shapes.Shape = {"accepted": grammar.is_bool, "problem": grammar.is_text_or_null}

_VERDICT: shapes.Shape = {
    "check": grammar.is_slug,
    "reason": grammar.is_slug_or_null,  # null: the check has nothing against it
    "inputs": grammar.is_plain_object,
}

# What a proposal and the fact of its admission or refusal have in common.
_PROPOSAL: shapes.Shape = {
    "goal": grammar.is_label,
    "plan": digests.is_digest,
    "step": grammar.is_label,
    "attempt": grammar.is_positive,
    "execution_id": grammar.is_execution_id,
    "writes": _are_prefixes,
    "policy": digests.is_digest,
    "verdicts": _are_verdicts,
}

SHAPES: dict[tuple[str, int], shapes.Shape] = {
    ("budget.set", 1): {"goal": grammar.is_label, "limit_micro_usd": shapes.is_count},
    ("plan.proposed", 1): _PLAN,
    ("plan.refused", 1): {**_PLAN, "question": grammar.is_file},
    ("transition.admitted", 1): {
        **_PROPOSAL,
        "fence": grammar.is_positive,
        "reserve_micro_usd": shapes.is_count,
    },
    ("transition.refused", 1): {
        **_PROPOSAL,
        "reason": grammar.is_slug,
        "bound_micro_usd": grammar.is_count_or_null,
        "ask_micro_usd": shapes.is_count,
        "head": grammar.is_head,
    },
    ("transition.settled", 1): {
        "execution_id": grammar.is_execution_id,
        "fence": grammar.is_positive,
        "outcome": lambda value: value in OUTCOMES,
        "error": grammar.is_error_or_null,
        "spent_micro_usd": shapes.is_count,
        "refunded_micro_usd": shapes.is_count,
        "effects": _are_paths,
    },
}

# What a shape cannot say, because it is about two members at once.
RULES: dict[tuple[str, int], Rule] = {
    ("plan.proposed", 1): _proposed_rule,
    ("plan.refused", 1): _no_plan_rule,
    ("transition.admitted", 1): _admitted_rule,
    ("transition.refused", 1): _refused_rule,
    ("transition.settled", 1): _settled_rule,
}
