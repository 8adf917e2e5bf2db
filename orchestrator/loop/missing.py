"""What of a goal's world is missing: the paths that have to exist, and those whose bytes are lost.

An unproved predicate asks that the paths exist that it looks at. Where it cannot be judged because
bytes are gone, or are no longer those that were stored, what they belong to counts as missing, so
that the step that made it runs again; so does what was made from something else than lies there
now. What comes with every execution, its receipt and its index, is nobody's product and is not
asked for; where their bytes are lost, what the step had made is.

What holds already is asked for only where a plan would take it away: else two steps that write over
each other's results would run in turns, each for what the other has just undone.
"""

from __future__ import annotations

from orchestrator.goals import goal as goals
from orchestrator.goals import judging, known
from orchestrator.goals.domain import AtLeast, DomainError, Exists, Operator
from orchestrator.goals.predicates import artifact as artifact_family
from orchestrator.goals.predicates import goal as goal_family
from orchestrator.goals.templates import Template
from orchestrator.goals.view import (
    BYTES_GONE,
    READ_BYTES_MAX,
    SOURCE_GONE,
    STALE,
    CannotTellError,
)
from processors.protocol import paths, shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchestrator.goals.domain import Want
    from orchestrator.goals.goal import Goal, Stated
    from orchestrator.goals.judging import Verdict
    from orchestrator.goals.snapshot import Snapshot

    type Find = Callable[[str], Goal]

_WITH_EVERY_RUN = (paths.receipt_path("/"), paths.index_path("/"))


class Missing:
    """What is missing in a world at one moment.

    Attributes:
        lost: The world paths whose bytes are not there, or that go with such, or that are stale.
    """

    def __init__(self, seen: Snapshot, operators: Iterable[Operator]) -> None:
        self.lost: set[str] = set()
        self._seen = seen
        self._products = [Template(each) for one in operators for each in one.produces]
        self._wants: set[Want] = set()
        self._looked: set[str] = set()  # goals, by name

    def look(self, goal: Goal, find: Find) -> None:
        """Look at what of a goal is not proved.

        Args:
            goal: The goal.
            find: Gives another goal of the world by its name.

        Raises:
            DomainError: More matches than can be judged, so that no step would prove anything.
        """
        if goal.name in self._looked:
            return
        self._looked.add(goal.name)
        for stated in goal.predicates:
            if stated.scope == goals.SUCCESS:
                try:
                    self._look(stated, find)
                except CannotTellError as error:
                    raise DomainError("too_many", f"{stated.name}: {error}") from None

    def _look(self, stated: Stated, find: Find) -> None:
        for args, verdict in judging.unproved(stated, self._seen):
            if stated.predicate == goal_family.NAME:
                self.look(find(shapes.text(args, "goal")), find)
                continue
            self._wants.update(_wanted(stated, args))
            self._lose(stated, args, verdict)
            self._lose_stale(stated, args, verdict)
        if stated.for_each is not None:
            self._lose_matching(stated.for_each)

    def wanted(self) -> list[Want]:
        """What has to exist, in order; what does already and is lost is among it."""
        self.lost.update(
            want.path
            for want in self._wants
            if isinstance(want, Exists) and self.is_lost(want.path)
        )
        return sorted({*self._wants, *map(Exists, self.lost)}, key=repr)

    def kept(self, goal: Goal, find: Find, replaced: Iterable[str]) -> set[Want]:
        """What must go on to hold although a plan would write over what lies there.

        Args:
            goal: The goal.
            find: Gives another goal of the world by its name.
            replaced: The paths that the steps of the plan would take away and not make again.
        """
        relied = {path for path in replaced if not self._is_besides(path)}
        found: set[Want] = set()
        waiting, seen = [goal] if relied else [], {goal.name}
        while waiting:
            for stated in waiting.pop().proving:
                if stated.for_each is not None and _any_match(stated.for_each, relied):
                    found.add(AtLeast(stated.for_each, 1))
                for one in judging.instances(stated, self._seen):
                    if one.predicate != goal_family.NAME:
                        found.update(_relying(one, relied))
                    elif (name := shapes.text(one.args, "goal")) not in seen:
                        seen.add(name)
                        waiting.append(find(name))
        return found

    def _is_besides(self, path: str) -> bool:
        """Whether an execution made what lies there besides what its processor declares."""
        there = self._seen.artifact(path)
        assert there is not None
        return not self._is_made(path) and "execution_id" in self._seen.event(there.seq).data

    def is_lost(self, path: str) -> bool:
        """Whether the world has a path and not its bytes, judged by their size."""
        there = self._seen.artifact(path)
        return there is not None and self._seen.bytes_problem(there) is not None

    def _lose(self, stated: Stated, args: dict[str, Json], verdict: Verdict) -> None:
        """Note whose bytes kept a predicate from being judged, if that did."""
        error = shapes.members(verdict.witness, "found").get("error")
        if not isinstance(error, dict) or error["reason"] != BYTES_GONE:
            return
        looked_at = verdict.witness["artifacts"]
        assert isinstance(looked_at, list)
        for path in [shapes.text(item, "path") for item in looked_at]:
            if self.is_lost(path) or self._is_rotten(path):
                self._add(path, args)
        if (
            stated.predicate == artifact_family.COUNT_AT_LEAST
        ):  # it was gone through up to the first
            self._lose_matching(shapes.text(args, "pattern"))

    def _lose_stale(self, stated: Stated, args: dict[str, Json], verdict: Verdict) -> None:
        """Note what a predicate found stale; where a source of it is gone, that first."""
        predicate, found = known.find(stated.predicate), shapes.members(verdict.witness, "found")
        if predicate is None:
            return
        if found.get("why") == SOURCE_GONE and self._is_made(source := str(found["source"])):
            self._wants.add(Exists(source))
        elif found.get("why") in (STALE, SOURCE_GONE):  # it may be made of something else
            about = [str(args[name]) for name in predicate.paths if name in args]
            self.lost.update(path for path in about if self._is_made(path))

    def _is_made(self, path: str) -> bool:
        """Whether a step can make what lies at a path."""
        return any(template.match(path) is not None for template in self._products)

    def _lose_matching(self, pattern: str) -> None:
        template = Template(pattern)
        for artifact in self._seen.artifacts(template.folder):
            if template.match(artifact.path) is not None and self.is_lost(artifact.path):
                self.lost.add(artifact.path)

    def _is_rotten(self, path: str) -> bool:
        """Whether bytes are of the right size and not those that were stored."""
        there = self._seen.artifact(path)
        try:
            if there is not None:
                self._seen.read(there, READ_BYTES_MAX)
        except ContractError as error:
            return error.reason != "too_large"
        return False

    def _add(self, path: str, args: dict[str, Json]) -> None:
        """Count a path as lost; for what comes with a run, all that the run has made."""
        own = [path, *(each for each in args.values() if isinstance(each, str))]
        prefixes = [each.rpartition("/")[0] for each in own if each.endswith(_WITH_EVERY_RUN)]
        if not path.endswith(_WITH_EVERY_RUN) and not path.startswith(paths.EXECUTIONS):
            self.lost.add(path)
            return
        for prefix in prefixes:
            for made in self._seen.artifacts(f"{prefix}/outputs/"):
                if any(template.match(made.path) is not None for template in self._products):
                    self.lost.add(made.path)


def _any_match(pattern: str, paths_: Iterable[str]) -> bool:
    template = Template(pattern)
    return any(template.match(path) is not None for path in paths_)


def _relying(stated: Stated, relied: set[str]) -> Iterator[Want]:
    """What a predicate needs of some paths."""
    predicate = known.find(stated.predicate)
    if stated.predicate == artifact_family.COUNT_AT_LEAST:
        if _any_match(str(stated.args["pattern"]), relied):
            yield AtLeast(str(stated.args["pattern"]), shapes.count(stated.args, "count"))
        return
    for name in () if predicate is None else predicate.paths:
        if (path := str(stated.args.get(name, ""))) in relied:
            yield Exists(path)


def _wanted(stated: Stated, args: dict[str, Json]) -> Iterator[Want]:
    predicate = known.find(stated.predicate)
    whole = stated.for_each is not None and args is stated.args  # no instance: nothing matches
    if stated.predicate == artifact_family.COUNT_AT_LEAST:
        yield AtLeast(str(args["pattern"]), shapes.count(args, "count"))
        return
    for name in () if predicate is None else predicate.paths:
        path = str(args.get(name, ""))
        if whole and Template(path).names:
            yield AtLeast(str(stated.for_each), 1)  # so that there is what it is to hold for
        elif path and not path.endswith(_WITH_EVERY_RUN):
            yield Exists(path)
