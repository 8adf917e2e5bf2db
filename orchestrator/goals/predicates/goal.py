"""``goal``: another goal of the world holds. A goal that rests on itself is an error."""

from __future__ import annotations

from orchestrator.goals.predicate import Predicate, arguments
from processors.protocol import refs, shapes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.predicate import Args
    from orchestrator.goals.view import Answer, View

NAME = "goal.satisfied"


def _satisfied(args: Args, view: View) -> Answer:
    """Judged by its predicates: a status that was written down may be of an earlier moment."""
    name = shapes.text(args, "goal")
    if (known := view.proved.get(name)) is not None:
        return True, known
    goal = view.goal(name)
    if goal is None:
        return False, {"why": "not_declared"}
    try:
        for stated in goal.proving:
            if not view.holds(stated):
                return False, {"goal": goal.id, "predicate": stated.name}
    finally:
        view.leave()
    view.proved[name] = {"goal": goal.id, "predicates": len(goal.proving)}
    return True, view.proved[name]


def _problem(args: Args) -> str | None:
    if not refs.is_name(shapes.text(args, "goal")):
        return f"args.goal is not of the form {refs.NAME_GRAMMAR}"
    return None


PREDICATES = (
    Predicate(
        NAME,
        "every success predicate and invariant of the world's goal of this name is true",
        arguments(["goal"], goal={"type": "string", "minLength": 1, "maxLength": 32}),
        _satisfied,
        paths=(),
        check=_problem,
    ),
)
