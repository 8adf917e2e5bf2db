"""Every predicate by its name: the built-in ones, and those that this repository adds.

There is no search: a name is in the table or there is no such predicate. What a repository adds
comes from ``predicates/`` by the build graph (docs/guides/predicates.md).
"""

from __future__ import annotations

import copy

from orchestrator.goals.predicate import Predicate
from orchestrator.goals.predicates import (
    artifact,
    goal,
    json_document,
    ledger,
    receipt,
    table,
    text,
)
from orchestrator.goals.view import CannotTellError
from predicates import registered
from processors.protocol.canonical import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orchestrator.goals.predicate import Args
    from orchestrator.goals.view import Answer, View
    from predicates.contract import Own

_FAMILIES = (artifact, json_document, text, table, receipt, ledger, goal)
BUILT_IN = {each.name: each for family in _FAMILIES for each in family.PREDICATES}


def find(name: str) -> Predicate | None:
    """The predicate of a name."""
    return BUILT_IN.get(name, OWN.get(name))


def names() -> list[str]:
    """Every name, sorted."""
    return sorted({*BUILT_IN, *OWN})


def _guarded(judge: Callable[[Args, Any], Any]) -> Callable[[Args, View], Answer]:
    """A judge whose mistakes are verdicts: what it raises, or an answer of another form."""

    def guarded(args: Args, view: View) -> Answer:
        try:
            value, found = judge(copy.deepcopy(args), view)  # the goal's own stay as they are
        except (CannotTellError, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - a mistake in a predicate is an error verdict
            raise CannotTellError("predicate_failed", f"it raised {type(error).__name__}") from None
        if not isinstance(value, bool) or not isinstance(found, dict):
            raise CannotTellError("predicate_failed", "its answer is not (bool, dict)")
        try:
            canonical(found)  # a lone surrogate, say, cannot be written down
        except (TypeError, ValueError, RecursionError):
            raise CannotTellError("predicate_failed", "what it found is not plain JSON") from None
        return value, found

    return guarded


def own(name: str, each: Own) -> Predicate:
    """A predicate of this repository's own, as ``predicates/`` describes it."""
    return Predicate(
        name,
        each["summary"],
        each["args"],
        _guarded(each["judge"]),
        paths=tuple(each["paths"]),
        check=each.get("check", lambda _: None),
    )


OWN = {name: own(name, each) for name, each in registered.PREDICATES.items()}
