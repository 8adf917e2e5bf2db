"""From what is wanted to the steps that make it true, or to the reason why there are none.

The same task gives the same answer to the byte, whatever the order in which it was written down.
There are three answers:

- a ``Plan``: steps in an order in which each finds what it requires;
- ``NoPlan``: a set of facts that no operator leads out of, and a want outside it;
- ``Refused``: neither could be shown within the limits, or every plan found would overwrite what it
  relies on. Nothing is guessed.

The first two are documents that ``plan_checker`` accepts or rejects without this module.
"""

from __future__ import annotations

from orchestrator.goals.arrangement import Arrangement, ConflictError
from orchestrator.goals.closure import UnboundedError
from orchestrator.goals.domain import (
    NO_PLAN_SCHEMA,
    PLAN_SCHEMA,
    WORLD,
    AtLeast,
    Exists,
    ForEach,
    Task,
    Want,
)
from orchestrator.goals.graph import Graph
from orchestrator.goals.patterns import Segments, Template, resembling, rules
from orchestrator.goals.selection import Needs, select
from orchestrator.world.chain import encode
from processors.protocol import digests
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Plan:
    """Steps that make every want true.

    Attributes:
        document: The plan as data; ``encoded`` gives its canonical bytes.
        minimal: Whether it is known that no other plan costs less. No part of the document, since
            the checker does not show it.
    """

    __slots__ = ("document", "minimal")

    def __init__(self, document: dict[str, Json], *, minimal: bool) -> None:
        self.document = document
        self.minimal = minimal


class NoPlan:
    """A proof that nothing makes every want true."""

    __slots__ = ("document",)

    def __init__(self, document: dict[str, Json]) -> None:
        self.document = document


class Refused:
    """No answer.

    Attributes:
        reason: A slug: ``unbounded``, ``undecided``, or how steps exclude each other.
        message: What a person reads.
    """

    __slots__ = ("message", "reason")

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = message


type Answer = Plan | NoPlan | Refused

_EXCLUDE = "has steps that exclude each other"


def plan(task: Task) -> Answer:
    """Answer a task."""
    try:
        return _plan(task)
    except UnboundedError:
        return Refused("unbounded", "the operators lead to more facts than a plan may consider")
    except ConflictError as conflict:
        said = "writes over what it needs" if conflict.reason == "overwritten" else _EXCLUDE
        return Refused(conflict.reason, f"every plan found {said} at {conflict.where}")


def encoded(document: dict[str, Json]) -> tuple[bytes, str]:
    """A document's canonical bytes (RFC 8785), and their digest, which is its id."""
    data = encode(document)
    return data, digests.of_bytes(data)


def _plan(task: Task) -> Answer:
    graph = Graph(task, rules(task))
    aims = [_Aim(graph, want) for want in task.wants]
    graph.explore(_alike(aims).items())
    if (forced := _forced(graph, aims)) is not None:
        return Plan(_plan_document(task, aims, forced), minimal=not graph.capped)
    while widened := _widened(graph, aims):
        graph.explore(_alike(widened).items())
    graph.settle(_kept(task, aims))
    if (found := _unreached(graph, aims)) is not None:
        return found
    selection = select(graph, _needs(aims))
    arranged = Arrangement(task, selection.ways)
    return Plan(_plan_document(task, aims, arranged), minimal=selection.minimal)


def _forced(graph: Graph, aims: list[_Aim]) -> Arrangement | None:
    """The arrangement of all ways, if there is nothing to choose; large plans are such."""
    ways = graph.forced()
    if ways is None:
        return None
    try:
        arranged = Arrangement(graph.task, ways)
    except ConflictError:
        return None
    facts = graph.task.facts.paths
    for aim in aims:
        made = [fact for fact in aim.facts if fact in arranged.maker]
        kept = [fact for fact in aim.facts if fact in facts and fact not in arranged.maker]
        if not all(map(arranged.keeps, kept)):
            return None
        found = len(made) + len(kept)
        if aim.count is not None and (found < aim.count or (made and found > aim.count)):
            return None
    return arranged


def _widened(graph: Graph, aims: list[_Aim]) -> list[_Aim]:
    """The counts that steps could leave short, each once: with all that could ever be counted."""
    short = [aim for aim in aims if not aim.is_wide]
    if short:
        spared = graph.spared()
        short = [aim for aim in short if sum(map(spared, aim.facts)) < (aim.count or 0)]
    for aim in short:
        aim.widen(graph)
    return short


def _alike(aims: list[_Aim]) -> dict[Segments, list[str]]:
    """The facts of all aims by the segments that they have."""
    alike: dict[Segments, list[str]] = {}
    for aim in aims:
        alike.setdefault(aim.segments, []).extend(aim.facts)
    return alike


def _needs(aims: list[_Aim]) -> Needs:
    """What aims ask for; a count that only all of its facts reach asks for each of them."""
    counts = [(aim.count, aim.facts) for aim in aims if aim.count is not None]
    named = [aim.facts for aim in aims if aim.count is None or aim.count == len(aim.facts)]
    return Needs(
        sorted({fact for facts in named for fact in facts}),
        [(count, facts) for count, facts in counts if count < len(facts)],
    )


class _Aim:
    """A want, spelled out.

    Attributes:
        want: The want.
        segments: What each of its facts matches.
        facts: The facts that must exist, or of which enough must; sorted.
        count: How many are enough, if not all.
        is_wide: Whether the facts are all that there can ever be, and not what exists of them.
    """

    __slots__ = ("count", "facts", "is_wide", "segments", "want")

    def __init__(self, graph: Graph, want: Want) -> None:
        self.want = want
        self.count: int | None = None
        self.is_wide = True
        facts = graph.task.facts
        if isinstance(want, Exists):
            self.segments = resembling(want.path)
            self.facts = [want.path]
            return
        template = Template(want.template)
        self.segments = template.segments
        if isinstance(want, ForEach):
            given = Template(want.given)
            fill = template.filler(given.names)
            self.facts = sorted({fill(values) for _, values in given.matches(facts)})
        else:
            self.count = want.count
            self.facts = [path for path, _ in template.matches(facts)]
            self.is_wide = False
            if len(self.facts) < want.count:
                self.widen(graph)

    def widen(self, graph: Graph) -> None:
        """Take up what can be derived besides what exists, of a count."""
        assert isinstance(self.want, AtLeast)
        derived = graph.closure().matches(Template(self.want.template))
        self.facts = sorted([*self.facts, *(path for path, _ in derived)])
        self.is_wide = True


def _kept(task: Task, aims: list[_Aim]) -> list[str]:
    """What exists and has to in the end, by its name."""
    return [
        fact
        for aim in aims
        if aim.count is None or aim.count == len(aim.facts)
        for fact in aim.facts
        if fact in task.facts
    ]


def _unreached(graph: Graph, aims: list[_Aim]) -> Answer | None:
    """The certificate for the first want that cannot be reached, if there is one.

    Without one, what says that a want is reached by no way that may be taken.
    """
    facts, refused = graph.task.facts, None
    for aim in aims:
        if aim.count is not None and len(aim.facts) < aim.count:
            return NoPlan(_no_plan_document(graph, aim.want, None))
        lacking = [fact for fact in aim.facts if fact not in facts and fact not in graph.best]
        if len(lacking) <= len(aim.facts) - (aim.count or len(aim.facts)):
            continue
        for fact in lacking if aim.count is None else ():
            if fact not in graph.closure().derived:
                return NoPlan(_no_plan_document(graph, aim.want, fact))
        refused = refused or _undecided(graph, lacking[0])
    return refused


def _undecided(graph: Graph, fact: str) -> Refused:
    if graph.capped:
        return Refused("undecided", f"too many ways lead to {fact} to try them all")
    undone = [graph.undone[way.prefix] for way in graph.makers[fact] if way.prefix in graph.undone]
    named = f": {undone[0]}" if undone else ""
    return Refused("overwritten", f"every way to {fact} writes over what has to stay{named}")


def _plan_document(task: Task, aims: list[_Aim], arranged: Arrangement) -> dict[str, Json]:
    maker = arranged.maker
    steps: list[Any] = []
    for number, way in enumerate(arranged.order, 1):
        operator = way.rule.operator
        sources: dict[str, Json] = {}
        start = 0
        for name, fact in way.inputs.items():
            source = maker.get(fact)
            if source is None:
                sources[name] = WORLD
            else:
                sources[name] = source.id
                if source.end > start:
                    start = source.end
        way.id = f"s{number}"
        way.end = start + operator.time_ms
        steps.append(
            {
                "bindings": way.bindings,
                "cost_micro_usd": operator.cost_micro_usd,
                "id": way.id,
                "inputs": way.inputs,
                "operator": operator.name,
                "produces": way.products,
                "ref": operator.ref,
                "sources": sources,
                "time_ms": operator.time_ms,
                "write_prefix": way.prefix,
            }
        )
    return {
        "cost_micro_usd": sum([way.rule.operator.cost_micro_usd for way in arranged.order]),
        "goal": task.goal,
        "head": {"count": task.head[0], "hash": task.head[1]},
        "schema": PLAN_SCHEMA,
        "span_ms": max([way.end for way in arranged.order], default=0),
        "steps": steps,
        "time_ms": sum([way.rule.operator.time_ms for way in arranged.order]),
        "transitions": _transitions(task),
        "wants": [_proved(task, aim, arranged) for aim in aims],
    }


def _proved(task: Task, aim: _Aim, arranged: Arrangement) -> dict[str, Json]:
    """A want and the facts that make it true, each with its source.

    Of what a count asks for, all that is made is listed, and what exists as far as it is needed.
    """
    maker = arranged.maker
    facts = aim.facts
    if aim.count is not None:
        made = [fact for fact in facts if fact in maker]
        kept = [fact for fact in facts if fact in task.facts and fact not in maker]
        spare = max(aim.count - len(made), 0)
        facts = sorted(made + [fact for fact in kept if arranged.keeps(fact)][:spare])
    return {
        "facts": list(facts),
        "sources": [maker[fact].id if fact in maker else WORLD for fact in facts],
        "want": aim.want.document(),
    }


def _no_plan_document(graph: Graph, want: Want, missing: str | None) -> dict[str, Json]:
    task, closure = graph.task, graph.closure()
    return {
        "goal": task.goal,
        "head": {"count": task.head[0], "hash": task.head[1]},
        "missing": missing,
        "reachable": [
            {
                "instances": [list(values) for values in sorted(closure.instances[rule.index])],
                "names": list(rule.names),
                "operator": rule.operator.name,
            }
            for rule in graph.rules
        ],
        "schema": NO_PLAN_SCHEMA,
        "transitions": _transitions(task),
        "want": want.document(),
    }


def _transitions(task: Task) -> Json:
    return None if task.transitions is None else list(task.transitions)
