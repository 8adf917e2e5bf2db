"""Judge predicates: a verdict is true, false or error, with the witness of what was looked at.

A verdict is a pure function of a predicate, its arguments and a snapshot: the same snapshot gives
the same verdict. An error is never true.
"""

from __future__ import annotations

from orchestrator.goals import known
from orchestrator.goals.templates import Template
from orchestrator.goals.view import MATCHES_MAX, CannotTellError, Narrowed, View
from orchestrator.world import grammar
from processors.protocol import shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.goals.goal import Stated
    from orchestrator.goals.snapshot import Snapshot
    from orchestrator.goals.view import Answer

TRUE = "true"
FALSE = "false"
ERROR = "error"

MESSAGE_CHARS_MAX = 500


class Verdict:
    """What a predicate is of a snapshot.

    Attributes:
        value: ``TRUE``, ``FALSE`` or ``ERROR``.
        witness: What was looked at and what was found, or the reason of an error.
    """

    __slots__ = ("value", "witness")

    def __init__(self, value: str, witness: dict[str, Json]) -> None:
        self.value = value
        self.witness = witness

    @property
    def is_true(self) -> bool:
        """Whether the predicate is proved."""
        return self.value == TRUE

    def as_json(self) -> dict[str, Json]:
        """The verdict as data."""
        return {"value": self.value, "witness": self.witness}


def judge(stated: Stated, snapshot: Snapshot) -> Verdict:
    """The verdict on a predicate of a goal; never raises for what a world or a goal can hold."""
    view = View(snapshot, answer)
    try:
        value, found = answer(stated, view)
    except CannotTellError as error:
        return _error(view, error.reason, str(error))
    except RecursionError:
        return _error(view, "too_deep", "nested too deep")
    if not grammar.is_plain(found):
        return _error(view, "predicate_failed", "what it found is not plain JSON")
    return Verdict(TRUE if value is True else FALSE, view.witness(found))


def recheck(stated: Stated, verdict: Verdict, snapshot: Snapshot) -> bool:
    """Whether a verdict stands, looking at what its witness names and at nothing else."""
    again = judge(stated, Narrowed(snapshot, verdict.witness))
    return again.as_json() == verdict.as_json()


def stands(verdict: Verdict, snapshot: Snapshot) -> bool:
    """Whether all that a witness names is as it was, by look-ups alone: no byte is read.

    If it is, so is the verdict, since it is a pure function of these contents and of the events
    that put them there: a new look can meet an error where bytes are gone that the witness does not
    need, and never the opposite. A verdict on the ledger is about the events that there were, which
    are never changed.
    """
    there: set[str] = set()
    for item in _list(verdict.witness, "artifacts"):
        path = shapes.text(item, "path")
        found, before = snapshot.artifact(path), shapes.members({"": item}, "")
        now = (None, None) if found is None else (found.cid, found.seq)
        if now != (before["cid"], before["seq"]):
            return False
        if found is not None and snapshot.bytes_problem(found) is not None:
            return False
        there.add(path)
    for pattern in _list(verdict.witness, "whole"):
        template = Template(str(pattern))
        for artifact in snapshot.artifacts(template.folder):
            if artifact.path not in there and template.match(artifact.path) is not None:
                return False
    return True


def unproved(stated: Stated, snapshot: Snapshot) -> Iterator[tuple[dict[str, Json], Verdict]]:
    """Every instance of a predicate that is not true: its arguments, and the verdict.

    Without ``for_each`` a predicate is its one instance. One for which nothing matches is yielded
    whole, its paths still with their wildcards.

    Raises:
        CannotTellError: More match than can be judged, so that no instance decides anything.
    """
    matches = 0
    for one in instances(stated, snapshot):
        matches += 1
        if matches > MATCHES_MAX:
            raise CannotTellError("too_many", f"more than {MATCHES_MAX} match {stated.for_each}")
        if not (verdict := judge(one, snapshot)).is_true:
            yield one.args, verdict
    if matches == 0:
        yield stated.args, judge(stated, snapshot)


def instances(stated: Stated, snapshot: Snapshot) -> Iterator[Stated]:
    """A predicate for each artifact that it is stated for; itself, if it is not stated for any."""
    predicate = known.find(stated.predicate)
    if stated.for_each is None or predicate is None:
        yield stated
        return
    template = Template(stated.for_each)
    for artifact in snapshot.artifacts(template.folder):
        bindings = template.match(artifact.path)
        if bindings is not None:
            yield stated.instance(predicate.bound(stated.args, bindings))


def answer(stated: Stated, view: View) -> Answer:
    """Whether a predicate is true, for each artifact that it is stated for."""
    predicate = known.find(stated.predicate)
    if predicate is None:
        raise CannotTellError("unknown_predicate", f"there is no predicate {stated.predicate}")
    if stated.for_each is None:
        return predicate.judge(stated.args, view)
    count = 0
    for artifact, bindings in view.matching(stated.for_each):
        value, found = predicate.judge(predicate.bound(stated.args, bindings), view)
        if not value:
            return False, {"for": artifact.path, **found}
        count += 1
    return count > 0, {"instances": count}  # true of nothing is not true


def _error(view: View, reason: str, message: str) -> Verdict:
    own: dict[str, Json] = {"reason": reason, "message": message[:MESSAGE_CHARS_MAX]}
    return Verdict(ERROR, view.witness({"error": own}))


def _list(witness: dict[str, Json], key: str) -> list[Json]:
    found = witness[key]
    assert isinstance(found, list)
    return found
