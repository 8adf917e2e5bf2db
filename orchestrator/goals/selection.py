"""Which ways to take: the cheapest set that makes all that is needed.

Costs add up, a way that serves two is paid once, and of two sets that cost the same the one with
fewer steps is taken. What is still alike is settled by the keys of ways: by those of the whole set
in a search, by that of each fact's maker in sums. In general this is set cover, so what is done
depends on the size:

- What only one way makes is taken; likewise what one way makes at least as well as every other.
- What is left falls into parts that share nothing. A part whose ways form a tree is solved exactly
  by sums; one of at most ``PART_MAX`` ways by search; of a larger one the sums are an estimate.
- When ways exclude each other, or a count leaves a choice, the same search goes over the whole
  graph, if it is of that size.

``Selection.minimal`` says whether the result is known to be the cheapest.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.goals.arrangement import Arrangement, ConflictError
from orchestrator.goals.domain import Task
from orchestrator.goals.graph import Graph, Way, folders

PART_MAX = 40  # ways; a search is at most that deep
NODES_MAX = 100_000  # of all searches for one plan together

type Rank = tuple[int, int, list[tuple[str, str, tuple[tuple[str, str], ...]]]]


class Needs:
    """What must exist in the end.

    Attributes:
        facts: Each of these.
        counts: At least so many of these, for each pair.
    """

    __slots__ = ("counts", "facts")

    def __init__(self, facts: list[str], counts: list[tuple[int, list[str]]]) -> None:
        self.facts = facts
        self.counts = counts


class Selection:
    """Chosen ways.

    Attributes:
        ways: The ways.
        minimal: Whether no other choice is cheaper.
    """

    __slots__ = ("minimal", "ways")

    def __init__(self, ways: list[Way], *, minimal: bool) -> None:
        self.ways = ways
        self.minimal = minimal


def select(graph: Graph, needs: Needs) -> Selection:
    """Choose among reached ways.

    Raises:
        ConflictError: No choice was found of which the ways can stand in one plan.
    """
    last = max((rule.stage for rule in graph.rules), default=0)
    wanted = [(fact, last) for fact in needs.facts]
    budget = _Budget()
    chosen = _Chosen(graph)
    minimal = not graph.capped
    for part in _parts(chosen, chosen.force(wanted)):
        minimal &= _solve(chosen, part, budget)
    free = _fill_counts(chosen, needs, last)
    ways = _justified(chosen, needs)
    conflict = _conflict(graph.task, ways, needs)
    if conflict is None and not free:
        return Selection(ways, minimal=minimal)
    if len(graph.reached()) <= PART_MAX:
        found = _Search(_Chosen(graph), budget, needs).run(wanted)
        if found is not None:
            return Selection(found, minimal=budget.left > 0 and not graph.capped)
    if conflict is not None:
        raise conflict
    return Selection(ways, minimal=False)


class _Budget:
    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = NODES_MAX


class _Chosen:
    """Ways that were taken so far, and what they make."""

    __slots__ = ("_prefixes", "graph", "log", "made", "ways")

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.log: list[str] = []
        self.ways: dict[Way, None] = {}
        self.made: dict[str, Way] = {}
        self._prefixes: set[str] = set()

    def take(self, way: Way) -> list[tuple[str, int]]:
        """Take a way; return what it needs that is not there, and by the end of which stage."""
        self.ways[way] = None
        self._prefixes.add(way.prefix)
        for fact in way.products:
            self.made[fact] = way
        self.log += way.products
        facts, made = self.graph.task.facts, self.made
        return [
            (need, way.rule.stage)
            for need in way.requires
            if need not in facts and need not in made
        ]

    def keeps(self, fact: str) -> bool:
        """Whether a fact exists, and no taken way writes over it."""
        return fact in self.graph.task.facts and self._prefixes.isdisjoint(folders(fact))

    def force(self, needs: Iterable[tuple[str, int]]) -> dict[str, int]:
        """Take what leaves no choice; return the needs that leave one, with their stages."""
        open_: dict[str, int] = {}
        stack = list(needs)
        while stack:
            fact, stage = stack.pop()
            if fact in self.made or fact in self.graph.task.facts:
                continue
            options = self.graph.options(fact, stage)
            if len(options) > 1:
                options = _undominated(self.graph, options)
            if len(options) == 1:
                stack += self.take(options[0])
            else:
                open_[fact] = min(stage, open_.get(fact, stage))
        return {fact: open_[fact] for fact in sorted(open_) if fact not in self.made}

    def cheapest(self, needs: Iterable[tuple[str, int]]) -> None:
        """Take for each need what the sums say is best."""
        stack = list(needs)
        while stack:
            fact, _ = stack.pop()
            if fact not in self.made and fact not in self.graph.task.facts:
                stack += self.take(self.graph.best[fact])


def _undominated(graph: Graph, options: list[Way]) -> list[Way]:
    """Leave out each way for which another does as much, requires no more and costs less."""
    facts = graph.task.facts

    def is_better(one: Way, other: Way) -> bool:
        cost, more = one.rule.operator.cost_micro_usd, other.rule.operator.cost_micro_usd
        return (
            (cost, one.key) < (more, other.key)
            and one.rule.stage <= other.rule.stage
            and all(need in facts or need in other.requires for need in one.requires)
            and {*other.products} & graph.makers.keys() <= {*one.products}
        )

    return [
        way
        for way in options
        if not any(is_better(other, way) for other in options if other is not way)
    ]


class _Part:
    """Needs that share ways with one another and with no other need."""

    __slots__ = ("needs", "seen", "tree")

    def __init__(self, *, tree: bool) -> None:
        self.needs: dict[str, int] = {}
        self.seen: set[str | Way] = set()  # facts and ways
        self.tree = tree

    def ways(self) -> int:
        """How many ways it has."""
        return sum(isinstance(thing, Way) for thing in self.seen)


def _parts(chosen: _Chosen, needs: dict[str, int]) -> list[_Part]:
    """Split needs that leave a choice into parts that share nothing."""
    graph = chosen.graph
    owner: dict[str | Way, _Part] = {}
    parts: dict[_Part, None] = {}
    # What is there first is not always cheapest, so sums show nothing across transitions.
    tree = len({rule.stage for rule in graph.rules}) == 1
    for first, by in needs.items():
        part = _Part(tree=tree)
        part.needs[first] = by
        parts[part] = None
        stack: list[tuple[str | Way, int]] = [(first, by)]
        while stack:
            thing, stage = stack.pop()
            if thing in graph.task.facts.paths:
                continue
            if thing in chosen.made:
                part.tree = False  # paid already, which the sums do not know
                continue
            other = owner.setdefault(thing, part)
            if other is not part or thing in part.seen:
                other.tree = part.tree = False  # asked for twice, or makes two things asked for
                if other is not part:
                    part = _merged(parts, owner, part, other)
                continue
            part.seen.add(thing)
            if isinstance(thing, Way):
                stack += [(need, thing.rule.stage) for need in thing.requires]
            else:
                stack += [(way, stage) for way in graph.options(thing, stage)]
    return list(parts)


def _merged(
    parts: dict[_Part, None], owner: dict[str | Way, _Part], one: _Part, other: _Part
) -> _Part:
    """Put the smaller part into the larger."""
    small, large = sorted((one, other), key=lambda part: len(part.seen))
    del parts[small]
    large.needs.update(small.needs)
    large.tree = False
    large.seen |= small.seen
    owner.update(dict.fromkeys(small.seen, large))
    return large


def _solve(chosen: _Chosen, part: _Part, budget: _Budget) -> bool:
    """Take the ways of one part; say whether they are the cheapest."""
    needs = sorted(part.needs.items())
    if not part.tree and part.ways() <= PART_MAX:
        found = _Search(chosen, budget, None).run(needs)
        if found is not None:
            for way in found:
                chosen.take(way)
            return budget.left > 0
    chosen.cheapest(needs)
    return part.tree


def _fill_counts(chosen: _Chosen, needs: Needs, last: int) -> bool:
    """Take the ways that counts ask for, cheapest first; say whether there was a choice."""
    graph, facts = chosen.graph, chosen.graph.task.facts
    free = False
    for count, candidates in needs.counts:
        counted = set(candidates)
        have = sum(fact in chosen.made or chosen.keeps(fact) for fact in candidates)
        if have >= count:
            continue
        left = [fact for fact in candidates if fact in graph.best and fact not in chosen.made]
        left.sort(key=lambda fact: (graph.best[fact].sum, graph.best[fact].steps, fact))
        free = True
        for fact in left:
            if have >= count:
                break
            before = len(chosen.log)
            chosen.cheapest([(fact, last)])
            have += len(counted.intersection(chosen.log[before:]) - facts.paths)
    return free


def _justified(chosen: _Chosen, needs: Needs) -> list[Way]:
    """The chosen ways that something asks for, if only through others."""
    facts, made = chosen.graph.task.facts, chosen.made
    used: dict[Way, None] = {}

    def use(wanted: Iterable[str]) -> list[str]:
        """Use the makers of some facts; return all that this adds."""
        added: list[str] = []
        stack = [fact for fact in wanted if fact in made and fact not in facts]
        while stack:
            way = made[stack.pop()]
            if way not in used:
                used[way] = None
                added += [fact for fact in way.products if fact not in facts]
                stack += [need for need in way.requires if need in made and need not in facts]
        return added

    use(needs.facts)
    for count, candidates in needs.counts:
        counted = set(candidates)
        have = sum(made.get(fact) in used or chosen.keeps(fact) for fact in candidates)
        for fact in candidates:
            if have >= count:
                break
            have += len(counted.intersection(use([fact])))
    return list(used)


def _conflict(task: Task, ways: Iterable[Way], needs: Needs) -> ConflictError | None:
    """What keeps ways from being a plan for all needs."""
    try:
        arranged = Arrangement(task, ways)
    except ConflictError as conflict:
        return conflict

    def holds(fact: str) -> bool:
        return fact in arranged.maker or (fact in task.facts and arranged.keeps(fact))

    for fact in needs.facts:
        if not holds(fact):
            return ConflictError("overwritten", fact)
    for count, candidates in needs.counts:
        if sum(map(holds, candidates)) < count:
            return ConflictError("too_few", candidates[0])
    return None


class _Search:
    """Depth first over the ways to make what is missing, cut off at the best that is known.

    With ``needs`` a result is a whole plan without conflicts; else only what is missing is made.
    """

    __slots__ = ("_base", "_best", "_budget", "_found", "_made", "_needs", "_seen")

    def __init__(self, base: _Chosen, budget: _Budget, needs: Needs | None) -> None:
        self._base = base
        self._budget = budget
        self._needs = needs
        self._made = dict.fromkeys(base.made)
        self._best: Rank | None = None
        self._found: list[Way] | None = None
        self._seen: set[frozenset[Way]] = set()

    def run(self, wanted: list[tuple[str, int]]) -> list[Way] | None:
        """The best ways to add, or None if there are none or the budget ended before any."""
        facts = self._base.graph.task.facts
        self._walk([need for need in wanted if need[0] not in facts], [], 0)
        return self._found

    def _walk(self, wanted: list[tuple[str, int]], taken: list[Way], cost: int) -> None:
        self._budget.left -= 1
        if self._budget.left <= 0 or (state := frozenset(taken)) in self._seen:
            return
        self._seen.add(state)
        missing = sorted({need for need in wanted if need[0] not in self._made})
        options = {need: self._options(need, taken) for need in missing}
        least = max((_cheapest(ways) for ways in options.values()), default=0)
        bound = cost + least, len(taken) + bool(missing)
        if self._best is not None and bound > self._best[:2]:
            return
        if missing:
            branches = min(options.values(), key=len)
        elif (short := self._short_count(taken)) is not None:
            branches = short
        else:
            self._record(taken, cost)
            return
        facts = self._base.graph.task.facts
        for way in branches:
            new = [fact for fact in way.products if fact not in self._made]
            self._made.update(dict.fromkeys(new))
            needs = [(fact, way.rule.stage) for fact in way.requires if fact not in facts]
            self._walk(missing + needs, [*taken, way], cost + way.rule.operator.cost_micro_usd)
            for fact in new:
                del self._made[fact]

    def _options(self, need: tuple[str, int], taken: list[Way]) -> list[Way]:
        prefixes = {way.prefix for way in taken}
        ways = self._base.graph.options(*need)
        return sorted((way for way in ways if way.prefix not in prefixes), key=_by_cost)

    def _short_count(self, taken: list[Way]) -> list[Way] | None:
        """The ways to go on with when a count is not reached yet."""
        if self._needs is None:
            return None
        facts, graph = self._base.graph.task.facts, self._base.graph
        for count, candidates in self._needs.counts:
            kept = [
                fact
                for fact in candidates
                if fact in self._made
                or (fact in facts and not any(fact.startswith(way.prefix) for way in taken))
            ]
            if len(kept) < count:
                makers = [
                    way
                    for fact in candidates
                    if fact not in facts and fact not in self._made
                    for way in graph.makers.get(fact, ())
                    if way.reached and all(way.prefix != other.prefix for other in taken)
                ]
                return sorted(dict.fromkeys(makers), key=_by_cost)
        return None

    def _record(self, taken: list[Way], cost: int) -> None:
        rank = cost, len(taken), sorted(way.key for way in taken)
        if self._best is not None and rank >= self._best:
            return
        graph = self._base.graph
        if self._needs is None or _conflict(graph.task, taken, self._needs) is None:
            self._best, self._found = rank, taken


def _cheapest(ways: list[Way]) -> int:
    return ways[0].rule.operator.cost_micro_usd if ways else 0


def _by_cost(way: Way) -> tuple[int, tuple[str, str, tuple[tuple[str, str], ...]]]:
    return way.rule.operator.cost_micro_usd, way.key
