"""What could be run for what: from the wanted facts backward over the declared effects.

A *way* is an instance of an operator, with the facts that it would be handed. The graph holds every
way to make each fact that is wanted or required, but for two things that would only make it large:

- A wildcard that only requirements have takes the smallest value that exists and that no step could
  overwrite. Where there is none, up to ``VALUES_MAX`` values are ways of their own, and fewer of
  each where several wildcards would make more than ``CHOICES_MAX`` ways together.
- What exists is not made anew for its own sake.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, ValuesView

from orchestrator.goals import domain
from orchestrator.goals.closure import Closure, UnboundedError
from orchestrator.goals.domain import Task
from orchestrator.goals.patterns import Rule, Segments, Template, Values

VALUES_MAX = 8  # ways that differ in one existential wildcard alone
CHOICES_MAX = 512  # ways that differ in existential wildcards alone
WAYS_MAX = 1_000_000
SUM_MAX = 2**62  # sums of shared costs double with each level; beyond this they are all alike

_NONE: frozenset[str] = frozenset()

type Makers = list[tuple[Rule, Template]]


class Way:
    """One instance of an operator.

    Attributes:
        rule: The operator.
        bindings: What its wildcards stand for, by name.
        own: Those that its requirements alone have, in order.
        prefix: Its write prefix.
        inputs: The facts it is handed, by name, in the order of its requirements.
        products: The facts it makes.
        reached: Whether all that it requires can exist by the time its turn comes.
        id: Its step, once it has one.
        end: When that ends, in milliseconds.
    """

    __slots__ = (
        *("bindings", "end", "id", "inputs", "missing", "own"),
        *("prefix", "products", "reached", "rule", "steps", "sum"),
    )

    # Set by who works with them: ``Graph.settle`` and the planner.
    missing: int
    steps: int
    sum: int
    id: str
    end: int

    def __init__(
        self,
        rule: Rule,
        bindings: dict[str, str],
        own: tuple[tuple[str, str], ...],
        prefix: str,
        inputs: dict[str, str],
        products: list[str],
    ) -> None:
        self.rule = rule
        self.bindings = bindings
        self.own = own
        self.prefix = prefix
        self.inputs = inputs
        self.products = products
        self.reached = False

    @property
    def requires(self) -> ValuesView[str]:
        """The facts it is handed."""
        return self.inputs.values()

    @property
    def key(self) -> tuple[str, str, tuple[tuple[str, str], ...]]:
        """What tells it from every other way, and in which order they come."""
        return self.prefix, self.rule.operator.name, self.own


class Graph:
    """Ways by the facts they make.

    Attributes:
        makers: For each fact in question, the ways that make it, in order.
        several: The facts that more than one way makes.
        best: For each fact that can exist, the way with the smallest sum of costs.
        capped: Whether these limits left ways out.
        undone: For each prefix of a way that is in no plan, what it would write over.
    """

    __slots__ = (
        *("_closure", "_instances", "_tables"),
        *("best", "capped", "makers", "rules", "several", "task", "undone"),
    )

    def __init__(self, task: Task, rules: list[Rule]) -> None:
        self.task = task
        self.rules = rules
        self.makers: dict[str, tuple[Way, ...]] = {}
        self.several: dict[str, None] = {}
        self.best: dict[str, Way] = {}
        self.capped = False
        self.undone: dict[str, str] = {}
        self._closure: Closure | None = None
        self._instances: list[dict[Values, tuple[Way, ...]]] = [{} for _ in rules]
        self._tables: dict[tuple[int, int], _Table] = {}

    def closure(self) -> Closure:
        """Everything that can exist; worked out when first asked for."""
        if self._closure is None:
            self._closure = Closure(self.task, self.rules)
        return self._closure

    def explore(self, targets: Iterable[tuple[Segments, list[str]]]) -> None:
        """Find every way to make what does not exist of some facts, and what these ways require.

        Args:
            targets: Facts, for the segments that each of them matches.

        Raises:
            UnboundedError: There are more than ``WAYS_MAX``.
        """
        facts, makers = self.task.facts.paths, self.makers
        producers: dict[Segments, Makers] = {}
        stack = list(targets)
        while stack:
            segments, wanted = stack.pop()
            fresh = {fact: () for fact in wanted if fact not in facts and fact not in makers}
            makers.update(fresh)
            if segments not in producers:
                producers[segments] = self._producers(segments)
            for rule, product in producers[segments]:
                self._explore(rule, product, fresh, stack)
            if sum(map(len, self._instances)) > WAYS_MAX:
                raise UnboundedError
        for fact in self.several:
            makers[fact] = tuple(sorted(makers[fact], key=_key))

    def _explore(
        self,
        rule: Rule,
        product: Template,
        fresh: Iterable[str],
        stack: list[tuple[Segments, list[str]]],
    ) -> None:
        """Find the ways in which one operator makes some facts."""
        makers, known = self.makers, self._instances[rule.index]
        found = product.matched(fresh)
        new = self._ways(rule, [values for _, values in found if values not in known])
        known.update(new)
        for name, template in zip(rule.inputs, rule.requires, strict=True):
            if needs := [way.inputs[name] for ways in new.values() for way in ways]:
                stack.append((template.segments, needs))
        for fact, values in found:
            ways = known.get(values, ())
            before = makers[fact]
            if before or len(ways) > 1:
                self.several[fact] = None
                ways = (*before, *(way for way in ways if way not in before))
            makers[fact] = ways

    def settle(self, kept: Iterable[str]) -> None:
        """Find what can be reached, cheapest first (Knuth's generalisation of Dijkstra).

        Costs of what two requirements share count twice, so sums are an estimate; which ways are
        reached is exact.

        Args:
            kept: What exists and has to in the end.
        """
        facts, best, makers = self.task.facts, self.best, self.makers
        waiting: dict[str, list[Way]] = {}
        heap: list[tuple[int, int, int, str, str, tuple[tuple[str, str], ...], Way]] = []
        for way in self._sparing(kept):
            way.missing, way.sum, way.steps = 0, way.rule.operator.cost_micro_usd, 1
            for need in way.requires if len(way.requires) == 1 else dict.fromkeys(way.requires):
                if need not in facts:
                    way.missing += 1
                    waiting.setdefault(need, []).append(way)
            if not way.missing:
                heap.append((way.rule.stage, way.sum, 1, *way.key, way))
        heapq.heapify(heap)
        while heap:
            stage, cost, steps, *_, way = heapq.heappop(heap)
            way.reached = True
            for fact in way.products:
                if fact in best or fact not in makers:
                    continue
                best[fact] = way
                for waits in waiting.get(fact, ()):
                    waits.missing -= 1
                    waits.sum = min(waits.sum + cost, SUM_MAX)
                    waits.steps = min(waits.steps + steps, SUM_MAX)
                    # A transition cannot wait for a later one.
                    if not waits.missing and waits.rule.stage >= stage:
                        entry = (waits.rule.stage, waits.sum, waits.steps, *waits.key, waits)
                        heapq.heappush(heap, entry)

    def spared(self) -> Callable[[str], bool]:
        """A test: whether each way found leaves a fact that exists, or makes it anew."""
        over: dict[str, list[Way]] = {}
        for way in self._every():
            over.setdefault(way.prefix, []).append(way)

        def is_spared(fact: str) -> bool:
            return all(
                fact in way.products for folder in folders(fact) for way in over.get(folder, ())
            )

        return is_spared

    def options(self, fact: str, stage: int) -> list[Way]:
        """The reached ways to make a fact by the end of a stage."""
        return [way for way in self.makers[fact] if way.reached and way.rule.stage <= stage]

    def reached(self) -> list[Way]:
        """All reached ways, in order."""
        return sorted((way for way in self._every() if way.reached), key=_key)

    def forced(self) -> list[Way] | None:
        """All ways, if each is needed because nothing else makes what it makes; else None."""
        if self.several or not all(self.makers.values()):
            return None
        return self._every()

    def _every(self) -> list[Way]:
        chain = itertools.chain.from_iterable
        return list(chain(chain(known.values() for known in self._instances)))

    def _sparing(self, kept: Iterable[str]) -> list[Way]:
        """The ways that write over nothing that has to stay, unless they make it anew.

        No other is in any plan: who else made it anew would write to the same place.
        """
        over: dict[str, set[str]] = {}
        for fact in kept:
            for folder in folders(fact):
                over.setdefault(folder, set()).add(fact)
        if not over:
            return self._every()
        sparing = []
        for way in self._every():
            if undone := over.get(way.prefix, _NONE).difference(way.products):
                self.undone[way.prefix] = min(undone)
            else:
                sparing.append(way)
        return sparing

    def _producers(self, segments: Segments) -> Makers:
        return [
            (rule, product)
            for rule in self.rules
            for product in rule.produces
            if product.meets(segments)
        ]

    def _ways(self, rule: Rule, listed: list[Values]) -> dict[Values, tuple[Way, ...]]:
        """The ways to run some instances of an operator."""
        found, prefixes, products = rule.instances(listed)
        if not found:
            return {}
        bindings = _objects(rule.names, zip(*found, strict=True), len(found))
        names = [rule.inputs[place] for place, _ in rule.fixed]
        inputs = _objects(names, [map(fill, found) for _, fill in rule.fixed], len(found))
        if not rule.groups:
            rules, own = itertools.repeat(rule), itertools.repeat(())
            made = map(Way, rules, bindings, own, prefixes, inputs, products)
            return dict(zip(found, zip(made, strict=True), strict=True))
        tables = [self._table(rule, number) for number in range(len(rule.groups))]
        ways: dict[Values, tuple[Way, ...]] = {}
        rows = zip(found, bindings, prefixes, inputs, products, strict=True)
        for values, named, prefix, fixed, facts in rows:
            choices = [table.choices(named) for table in tables]
            while math.prod(map(len, choices)) > CHOICES_MAX:
                max(choices, key=len).pop()
                self.capped = True
            several = []
            for picked in itertools.product(*choices):
                own_ = tuple(sorted(pair for pairs, _ in picked for pair in pairs))
                taken = dict(fixed)
                for _, places in picked:
                    taken.update((rule.inputs[place], path) for place, path in places)
                handed = {name: taken[name] for name in rule.inputs}
                several.append(Way(rule, named | dict(own_), own_, prefix, handed, list(facts)))
            ways[values] = tuple(several)
        self.capped |= any(table.capped for table in tables)
        return ways

    def _table(self, rule: Rule, number: int) -> _Table:
        key = rule.index, number
        if key not in self._tables:
            self._tables[key] = _Table(self.task, self.rules, rule, number, self.closure)
        return self._tables[key]


type _Choice = tuple[tuple[tuple[str, str], ...], tuple[tuple[int, str], ...]]
type _Row = tuple[dict[str, str], dict[int, str]]


class _Table:
    """Values for the wildcards that a group of requirements has for itself."""

    __slots__ = ("_any", "_bound", "_closure", "_group", "_rule", "_safe", "_task", "capped")

    def __init__(
        self,
        task: Task,
        rules: list[Rule],
        rule: Rule,
        number: int,
        closure: Callable[[], Closure],
    ) -> None:
        self._task = task
        self._rule = rule
        self._group = rule.groups[number]
        self._closure = closure
        self.capped = False
        names = {name for place in self._group for name in rule.requires[place].names}
        self._bound = tuple(name for name in rule.names if name in names)
        written = [Template(domain.write_prefix(each.operator.produces[0])[:-1]) for each in rules]
        self._safe = self._grouped(lambda path: not _may_be_written(path, written), derived=False)
        self._any: dict[Values, list[_Choice]] | None = None

    def choices(self, values: dict[str, str]) -> list[_Choice]:
        """What an instance can be handed, best first."""
        key = tuple([values[name] for name in self._bound])
        if safe := self._safe.get(key):
            return safe[:1]
        if self._any is None:
            self._any = self._grouped(lambda _: True, derived=True)
        every = self._any.get(key, [])
        self.capped |= len(every) > VALUES_MAX
        return every[:VALUES_MAX]

    def _grouped(
        self, accepts: Callable[[str], bool], *, derived: bool
    ) -> dict[Values, list[_Choice]]:
        """Join the group's requirements over the facts; key the best rows by what products bind.

        The requirement that shares most with what is bound comes next. What neither a product nor a
        requirement still to come asks for is decided by the order alone, so that wildcards that
        nobody shares are never joined with each other.
        """
        names = {place: {*self._rule.requires[place].names} for place in self._group}
        rows: list[_Row] = [({}, {})]
        bound: set[str] = set()
        left = list(self._group)
        while left:
            place = max(left, key=lambda each: (len(bound & names[each]), -each))
            left.remove(place)
            asked = {*self._bound}.union(*(names[each] for each in left))
            found = self._matches(place, accepts, derived=derived)
            shared = sorted(names[place] & bound)
            index: dict[Values, list[_Row]] = {}
            for each in self._best(found, sorted(names[place] & (bound | asked))):
                index.setdefault(tuple(each[0][name] for name in shared), []).append(each)
            rows = [
                (row | named, handed | taken)
                for row, handed in rows
                for named, taken in index.get(tuple(row[name] for name in shared), ())
            ]
            bound |= names[place]
            rows = self._best(rows, sorted(bound & asked))
        table: dict[Values, list[_Choice]] = {}
        for row, handed in rows:
            key = tuple(row[name] for name in self._bound)
            table.setdefault(key, []).append((self._own(row), tuple(handed.items())))
        return table

    def _matches(self, place: int, accepts: Callable[[str], bool], *, derived: bool) -> list[_Row]:
        """What one requirement can be handed."""
        template = self._rule.requires[place]
        found = [each for each in template.matches(self._task.facts) if accepts(each[0])]
        if derived:
            found += self._closure().matches(template)
        return [
            (dict(zip(template.names, values, strict=True)), {place: path})
            for path, values in found
        ]

    def _best(self, rows: list[_Row], names: list[str]) -> list[_Row]:
        """Of rows that are alike in some names the first, in order: what exists before the rest.

        Whatever is joined to rows alike in all that it shares leaves them in the same order. One
        more than may be ways is kept, which tells that some were left out.
        """

        def rank(row: _Row) -> tuple[int, tuple[tuple[str, str], ...]]:
            return sum(path not in self._task.facts for path in row[1].values()), self._own(row[0])

        alike: dict[Values, list[_Row]] = {}
        for row in rows:
            alike.setdefault(tuple(row[0][name] for name in names), []).append(row)
        kept = (
            listed if len(listed) == 1 else heapq.nsmallest(VALUES_MAX + 1, listed, key=rank)
            for listed in alike.values()
        )
        return list(itertools.chain.from_iterable(kept))

    def _own(self, row: dict[str, str]) -> tuple[tuple[str, str], ...]:
        """What a row binds and products do not, in order."""
        return tuple(sorted((name, row[name]) for name in row.keys() - {*self._bound}))


def _objects(
    names: Iterable[str], columns: Iterable[Iterable[str]], count: int
) -> list[dict[str, str]]:
    """Values by name, of which each name has a column."""
    found: list[dict[str, str]] = [{} for _ in range(count)]
    for name, column in zip(names, columns, strict=False):
        for each, value in zip(found, column, strict=True):
            each[name] = value
    return found


def folders(fact: str) -> list[str]:
    """What a fact lies in, the write prefixes that would replace it among them."""
    return [fact[: at + 1] for at, letter in enumerate(fact) if letter == "/"]


def _may_be_written(path: str, prefixes: list[Template]) -> bool:
    """Whether a path lies under what some instance of an operator would replace."""
    segments = path.split("/")
    return any(
        len(prefix.segments) < len(segments)
        and prefix.match("/".join(segments[: len(prefix.segments)])) is not None
        for prefix in prefixes
    )


def _key(way: Way) -> tuple[str, str, tuple[tuple[str, str], ...]]:
    return way.key
