"""The facts of goals: that one is declared, changed, satisfied, or no longer so.

``facts`` takes them into its closed set; the rules there hold here.
"""

from __future__ import annotations

from orchestrator.world import grammar
from processors.protocol import digests, refs, shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    type Rule = Callable[[dict[str, Json]], str | None]

# What an event of each type is written as today.
VERSIONS = {
    "goal.declared": 1,
    "goal.changed": 1,
    "goal.satisfied": 1,
    "predicate.regressed": 1,
}


def goal_path(name: str) -> str:
    """Where a goal's document lies; its content id is the goal's id."""
    return f"/goals/{name}/goal.json"


def proof_path(name: str) -> str:
    """Where the proof of a goal that is satisfied lies."""
    return f"/goals/{name}/proof.json"


def _is_name(value: Json) -> bool:
    return isinstance(value, str) and refs.is_name(value)


def _are_names(value: Json) -> bool:
    """Names, at least one, sorted, each once."""
    if not isinstance(value, list) or value == []:
        return False
    last = ""
    for item in value:
        if not isinstance(item, str) or not refs.is_name(item) or item <= last:
            return False
        last = item
    return True


def _goal_rule(data: dict[str, Json]) -> str | None:
    """A goal's document lies where goals of its name do, and a change changes it."""
    if shapes.text(data["document"], "path") != goal_path(shapes.text(data, "name")):
        return "a goal's document does not lie in the goal's folder"
    if data.get("replaces") == shapes.text(data["document"], "cid"):
        return "goal.changed changes nothing"
    return None


def _satisfied_rule(data: dict[str, Json]) -> str | None:
    """A proof lies where proofs of its goal do."""
    if shapes.text(data["proof"], "path") != proof_path(shapes.text(data, "name")):
        return "a goal's proof does not lie in the goal's folder"
    return None


_GOAL: shapes.Shape = {"name": _is_name, "document": grammar.is_file, "must_hold": _are_names}

SHAPES: dict[tuple[str, int], shapes.Shape] = {
    ("goal.declared", 1): _GOAL,
    ("goal.changed", 1): {**_GOAL, "replaces": digests.is_digest},
    ("goal.satisfied", 1): {
        "name": _is_name,
        "goal": digests.is_digest,
        "head": grammar.is_head,
        "proved": _are_names,
        "proof": grammar.is_file,
    },
    ("predicate.regressed", 1): {
        "name": _is_name,
        "goal": digests.is_digest,
        "head": grammar.is_head,
        "predicate": _is_name,
        "value": lambda value: value in ("false", "error"),
        "witness": grammar.is_plain_object,
    },
}

# What a shape cannot say, because it is about two members at once.
RULES: dict[tuple[str, int], Rule] = {
    ("goal.declared", 1): _goal_rule,
    ("goal.changed", 1): _goal_rule,
    ("goal.satisfied", 1): _satisfied_rule,
}
