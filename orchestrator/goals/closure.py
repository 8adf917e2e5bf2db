"""All that can ever exist: the facts of a world, closed under its operators.

Overwriting is left out of account, so nothing that some plan could reach is missing. Each new fact
is joined once with what came before it (semi-naive evaluation), a transition after the other; what
a later transition requires waits for its turn.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.goals.domain import Facts, Task
from orchestrator.goals.patterns import Rule, Template, Values

DERIVED_MAX = 1_000_000  # facts; templates that lengthen a name by themselves would not end


class UnboundedError(Exception):
    """More facts than ``DERIVED_MAX`` can be derived."""


class Closure:
    """What is reachable besides the facts themselves.

    Attributes:
        instances: By rule, the values of the instances that can run and make something new.
        derived: The facts that they add.
    """

    __slots__ = ("derived", "instances")

    def __init__(self, task: Task, rules: list[Rule]) -> None:
        self.instances: list[set[Values]] = [set() for _ in rules]
        self.derived: set[str] = set()
        joins = [_Join(rule) for rule in rules]
        consumers = {
            (rule.index, place): [
                (join, wanted)
                for join in joins
                for wanted, template in enumerate(join.rule.requires)
                if template.meets(product.segments)
            ]
            for rule in rules
            for place, product in enumerate(rule.produces)
        }
        waiting: dict[int, list[tuple[_Join, int, str]]] = {
            stage: [] for stage in sorted({rule.stage for rule in rules})
        }
        for stage, earlier in waiting.items():
            fresh: list[tuple[int, int, str]] = []
            for join in joins:
                if join.rule.stage == stage:
                    for values in join.over(task.facts):
                        fresh += self._run(task, join.rule, values)
            for join, wanted, path in earlier:
                fresh += self._take(task, join, wanted, path)
            while fresh:
                index, place, path = fresh.pop()
                for join, wanted in consumers[index, place]:
                    if join.rule.stage == stage:
                        fresh += self._take(task, join, wanted, path)
                    elif join.rule.stage > stage:
                        waiting[join.rule.stage].append((join, wanted, path))

    def matches(self, template: Template) -> list[tuple[str, Values]]:
        """The derived facts that match, in order, each with its values."""
        found = [(path, template.match(path)) for path in self.derived]
        return sorted((path, values) for path, values in found if values is not None)

    def _take(self, task: Task, join: _Join, wanted: int, path: str) -> list[tuple[int, int, str]]:
        """Join what was made with what came before it; return what that adds."""
        new: list[tuple[int, int, str]] = []
        row = join.rule.requires[wanted].match(path)
        if row is not None:
            for values in join.add(wanted, row):
                new += self._run(task, join.rule, values)
        return new

    def _run(self, task: Task, rule: Rule, values: Values) -> list[tuple[int, int, str]]:
        """Note an instance; return its new facts, each with the product that it is."""
        if values in self.instances[rule.index]:
            return []
        products = rule.products(values)
        if products is None:
            return []
        new = [
            (rule.index, place, path)
            for place, path in enumerate(products)
            if path not in task.facts and path not in self.derived
        ]
        if new:
            self.instances[rule.index].add(values)
            self.derived.update(path for _, _, path in new)
        if len(self.derived) > DERIVED_MAX:
            raise UnboundedError
        return new


class _Join:
    """The requirements of one rule as relations, joined row by row as rows come.

    A row keeps only what the products or another requirement ask for, so that wildcards that nobody
    shares cost nothing however much they match.
    """

    __slots__ = ("_kept", "_names", "_orders", "_rows", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        names = [template.names for template in rule.requires]
        self._kept: list[tuple[int, ...]] = []
        self._names: list[Values] = []
        for place, own in enumerate(names):
            used = {*rule.names}.union(*names[:place], *names[place + 1 :])
            kept = tuple(index for index, name in enumerate(own) if name in used)
            self._kept.append(kept)
            self._names.append(tuple(own[index] for index in kept))
        # For each requirement that a row may come to: the others, and by what each is looked up.
        self._orders = [self._order(place) for place in range(len(names))]
        self._rows: list[dict[Values, dict[Values, dict[Values, None]]]] = [{} for _ in names]
        for order in self._orders:
            for place, shared in order:
                self._rows[place].setdefault(shared, {})

    def over(self, facts: Facts) -> Iterator[Values]:
        """The values that what exists allows, perhaps repeated."""
        if not self._names:
            yield ()
        for place, template in enumerate(self.rule.requires):
            for _, row in template.matches(facts):
                yield from self.add(place, row)

    def add(self, place: int, row: Values) -> Iterator[Values]:
        """Take in what a requirement is matched by; return the values that this allows."""
        kept = tuple([row[index] for index in self._kept[place]])
        names = self._names[place]
        bound = dict(zip(names, kept, strict=True))
        for shared, index in self._rows[place].items():
            rows = index.setdefault(tuple([bound[name] for name in shared]), {})
            if kept in rows:
                return iter(())  # known, so joined before
            rows[kept] = None
        return self._extend(self._orders[place], 0, bound)

    def _extend(
        self, order: list[tuple[int, Values]], step: int, bound: dict[str, str]
    ) -> Iterator[Values]:
        if step == len(order):
            yield tuple([bound[name] for name in self.rule.names])
            return
        place, shared = order[step]
        key = tuple([bound[name] for name in shared])
        for row in list(self._rows[place][shared].get(key, ())):
            further = bound | dict(zip(self._names[place], row, strict=True))
            yield from self._extend(order, step + 1, further)

    def _order(self, first: int) -> list[tuple[int, Values]]:
        """The other requirements, those that share most with what is bound first."""
        bound = set(self._names[first])
        left = [place for place in range(len(self._names)) if place != first]
        order: list[tuple[int, Values]] = []
        while left:
            place = max(left, key=lambda each: (len(bound & {*self._names[each]}), -each))
            left.remove(place)
            shared = tuple(name for name in self._names[place] if name in bound)
            order.append((place, shared))
            bound.update(self._names[place])
        return order
