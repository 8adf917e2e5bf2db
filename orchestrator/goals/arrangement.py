"""Whether chosen ways can stand in one plan, and in which order.

Which fact comes from which step follows from the choice alone: from the step that makes it, else
from the world. A step replaces everything under its write prefix, so

- no write prefix is another's, or lies in another's,
- what is taken from the world lies under no step's write prefix,
- and no step waits for itself, not even through others, or for a later transition.

Each of these, once broken, stays broken whatever is added.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from itertools import pairwise
from operator import attrgetter

from orchestrator.goals.domain import Task
from orchestrator.goals.graph import Way

_PREFIX = attrgetter("prefix")


class ConflictError(Exception):
    """Two ways, or a way and what the plan relies on, that exclude each other.

    Attributes:
        reason: A slug for programs.
        where: The write prefix, or the fact.
    """

    def __init__(self, reason: str, where: str) -> None:
        self.reason = reason
        self.where = where
        super().__init__(f"{reason}: {where}")


class Arrangement:
    """An order of ways in which each comes after those it takes something from.

    Attributes:
        order: By transition, then by distance from the world, then by write prefix.
        maker: The way that makes each fact.
    """

    __slots__ = ("_kept", "_prefixes", "maker", "order")

    def __init__(self, task: Task, ways: Iterable[Way]) -> None:
        listed = list(ways)
        self.maker = {fact: way for way in listed for fact in way.products}
        self._prefixes = sorted(map(_PREFIX, listed))
        self._kept: dict[str, bool] = {}
        if any(map(str.startswith, self._prefixes[1:], self._prefixes)):
            raise _overlap(self._prefixes)
        self.order = self._ordered(task, listed)

    def keeps(self, fact: str) -> bool:
        """Whether no step replaces what a fact of the world lies in."""
        folder = fact[: fact.rindex("/") + 1]
        kept = self._kept.get(folder)
        if kept is None:
            place = bisect_right(self._prefixes, folder)
            kept = not (place and folder.startswith(self._prefixes[place - 1]))
            self._kept[folder] = kept
        return kept

    def _ordered(self, task: Task, listed: list[Way]) -> list[Way]:
        """Layer after layer, of ways of which the last source is in the layer before."""
        after: dict[Way, list[Way]] = {}
        missing = {way: count for way in listed if (count := self._link(task, way, after))}
        layer = [way for way in listed if way not in missing]
        order: list[Way] = []
        while layer:
            order += sorted(layer, key=_PREFIX)
            following: list[Way] = []
            for way in layer:
                for waits in after.get(way, ()):
                    missing[waits] -= 1
                    if not missing[waits]:
                        following.append(waits)
            layer = following
        if len(order) != len(listed):
            raise ConflictError("cycle", min(way.prefix for way in missing if missing[way]))
        return sorted(order, key=lambda way: way.rule.stage)

    def _link(self, task: Task, way: Way, after: dict[Way, list[Way]]) -> int:
        """Note what a way takes from which other; return how often it does."""
        count = 0
        for fact in way.requires:
            source = self.maker.get(fact)
            if source is None:
                if fact not in task.facts.paths or not self.keeps(fact):
                    raise ConflictError("overwritten", fact)
            elif source.rule.stage > way.rule.stage:
                raise ConflictError("against_transitions", fact)
            else:
                after.setdefault(source, []).append(way)
                count += 1
        return count


def _overlap(prefixes: list[str]) -> ConflictError:
    """Why sorted prefixes exclude each other: what starts with another stands right behind it."""
    pairs = [(one, other) for one, other in pairwise(prefixes) if other.startswith(one)]
    for one, other in pairs:
        if one == other:
            return ConflictError("prefix_taken", one)
    return ConflictError("prefix_nested", pairs[0][1])
