"""Planning by trying everything, for domains small enough; it shares nothing with the planner.

Wildcards take every value of a few, a set of steps is tried after another, and whether one is a
plan is decided by the rules as they are written in ``docs/concepts/planning.md``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable

from orchestrator.goals.domain import AtLeast, Exists, Operator, Task, Want
from processors.protocol.canonical import Json

STEPS_MAX = 12


class TooLargeError(Exception):
    """More steps could be taken than can be tried."""


class Step:
    """An operator with all its wildcards filled in."""

    def __init__(self, operator: Operator, stage: int, values: dict[str, str]) -> None:
        self.operator = operator
        self.values = values
        self.cost = operator.cost_micro_usd
        self.stage = stage
        self.requires = [_filled(template, values) for _, template in operator.requires]
        self.produces = [_filled(template, values) for template in operator.produces]
        self.prefix = self.produces[0].split("/outputs/")[0] + "/"


class Answer:
    """What trying everything shows.

    Attributes:
        reachable: Whether every want holds when nothing is ever overwritten.
        best: Cost and number of steps of the best plan; None if there is none.
    """

    def __init__(self, task: Task, names: str) -> None:
        facts = set(task.facts)
        steps, closed = reached(task, facts, names)
        targets, counts = _wanted(task, task.wants)
        self.reachable = _are_among(targets, counts, closed)
        self.best: tuple[int, int] | None = None
        if not self.reachable:
            return
        if len(steps) > STEPS_MAX:
            raise TooLargeError
        for size in range(len(steps) + 1):
            for chosen in itertools.combinations(steps, size):
                rank = sum(step.cost for step in chosen), size
                if (self.best is None or rank < self.best) and _is_plan(
                    chosen, facts, targets, counts
                ):
                    self.best = rank


def reached(task: Task, facts: set[str], names: str) -> tuple[list[Step], set[str]]:
    """Every step that can ever be taken, and everything that can ever exist."""
    every = []
    for operator in task.operators:
        templates = [template for _, template in operator.requires] + [*operator.produces]
        wildcards = sorted({name for each in templates for name in re.findall(r"{(\w+)}", each)})
        for values in itertools.product(names, repeat=len(wildcards)):
            filled = dict(zip(wildcards, values, strict=True))
            every.append(Step(operator, task.stage(operator), filled))
    closed, taken = set(facts), []
    for stage in sorted({step.stage for step in every}):
        size = -1
        while size != len(taken):
            size = len(taken)
            for step in every:
                if step.stage == stage and step not in taken and closed.issuperset(step.requires):
                    taken.append(step)
                    closed.update(step.produces)
    return taken, closed


def is_reachable(task: Task, want: Want, names: str) -> bool:
    """Whether one want holds when nothing is ever overwritten."""
    _, closed = reached(task, set(task.facts), names)
    return _are_among(*_wanted(task, [want]), closed)


def _are_among(targets: set[str], counts: list[tuple[str, int]], closed: set[str]) -> bool:
    return targets <= closed and all(
        sum(_matches(template, fact) for fact in closed) >= count for template, count in counts
    )


def _wanted(task: Task, wants: Iterable[Want]) -> tuple[set[str], list[tuple[str, int]]]:
    targets: set[str] = set()
    counts = []
    for want in wants:
        if isinstance(want, Exists):
            targets.add(want.path)
        elif isinstance(want, AtLeast):
            counts.append((want.template, want.count))
        else:
            for fact in task.facts:
                if (found := _match(want.given, fact)) is not None:
                    targets.add(_filled(want.template, found.groupdict()))
    return targets, counts


def written(task: Task, steps: tuple[Step, ...]) -> dict[str, Json]:
    """The document that claims some steps to be a plan, right or wrong."""
    maker = {fact: step for step in steps for fact in step.produces}
    left = sorted(steps, key=lambda step: (step.stage, step.prefix))
    order: list[Step] = []
    while left:
        ready = [
            step
            for step in left
            if step.stage == left[0].stage and not any(maker.get(f) in left for f in step.requires)
        ]
        order.append((ready or left)[0])
        left.remove(order[-1])
    ids = {step: f"s{number}" for number, step in enumerate(order, 1)}
    ends: dict[Step, int] = {}
    for step in order:
        before = [ends.get(maker[fact], 0) for fact in step.requires if fact in maker]
        ends[step] = max(before, default=0) + step.operator.time_ms

    def source(fact: str) -> Json:
        return ids[maker[fact]] if fact in maker else "world"

    names = [[name for name, _ in step.operator.requires] for step in order]
    return {
        "cost_micro_usd": sum(step.cost for step in order),
        "goal": task.goal,
        "head": {"count": task.head[0], "hash": task.head[1]},
        "schema": "plan/v1",
        "span_ms": max(ends.values(), default=0),
        "steps": [
            {
                "bindings": dict(step.values),
                "cost_micro_usd": step.cost,
                "id": ids[step],
                "inputs": dict(zip(named, step.requires, strict=True)),
                "produces": list(step.produces),
                "operator": step.operator.name,
                "ref": step.operator.ref,
                "sources": {
                    name: source(fact) for name, fact in zip(named, step.requires, strict=True)
                },
                "time_ms": step.operator.time_ms,
                "write_prefix": step.prefix,
            }
            for step, named in zip(order, names, strict=True)
        ],
        "time_ms": sum(step.operator.time_ms for step in order),
        "transitions": None if task.transitions is None else list(task.transitions),
        "wants": [
            {"facts": facts, "sources": [source(fact) for fact in facts], "want": want.document()}
            for want in task.wants
            for facts in [_shown(task, want, steps, maker)]
        ],
    }


def _shown(task: Task, want: Want, steps: tuple[Step, ...], maker: dict[str, Step]) -> list[Json]:
    if isinstance(want, AtLeast):
        kept = {fact for fact in task.facts if not any(fact.startswith(s.prefix) for s in steps)}
        return [*sorted(fact for fact in kept | maker.keys() if _matches(want.template, fact))]
    if isinstance(want, Exists):
        return [want.path]
    found = [_match(want.given, fact) for fact in task.facts]
    return [*sorted({_filled(want.template, each.groupdict()) for each in found if each})]


def is_plan(task: Task, steps: tuple[Step, ...]) -> bool:
    """Whether some steps are a plan of which each is asked for."""
    targets, counts = _wanted(task, task.wants)
    asked = targets.union(*(step.requires for step in steps))
    useful = all(
        any(
            fact in asked or any(_matches(template, fact) for template, _ in counts)
            for fact in step.produces
        )
        for step in steps
    )
    return useful and _is_plan(steps, set(task.facts), targets, counts)


def _is_plan(
    steps: tuple[Step, ...], facts: set[str], targets: set[str], counts: list[tuple[str, int]]
) -> bool:
    for one, other in itertools.permutations(steps, 2):
        if other.prefix.startswith(one.prefix):
            return False
    maker = {fact: step for step in steps for fact in step.produces}
    kept = {fact for fact in facts if not any(fact.startswith(step.prefix) for step in steps)}
    done: set[Step] = set()
    for _ in steps:
        for step in steps:
            if all(
                maker[fact] in done and maker[fact].stage <= step.stage
                if fact in maker
                else fact in kept
                for fact in step.requires
            ):
                done.add(step)
    end = kept | maker.keys()
    return (
        len(done) == len(steps)
        and targets <= end
        and all(sum(_matches(template, f) for f in end) >= count for template, count in counts)
    )


def _filled(template: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", value)
    return template


def _matches(template: str, path: str) -> bool:
    return _match(template, path) is not None


def _match(template: str, path: str) -> re.Match[str] | None:
    seen: set[str] = set()

    def group(found: re.Match[str]) -> str:
        name = found[1]
        again = name in seen
        seen.add(name)
        return f"(?P={name})" if again else f"(?P<{name}>[^/]+)"

    pattern = re.sub(r"\\{(\w+)\\}", group, re.escape(template))
    return re.fullmatch(pattern, path)
