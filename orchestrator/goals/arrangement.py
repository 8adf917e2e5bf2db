"""Whether chosen ways can stand in one plan, and in which order.

Which fact comes from which step follows from the choice alone: from the step that makes it, else
from the world. A step replaces everything under its write prefix, so

- no write prefix is another's, or lies in another's,
- what is taken from the world lies under no step's write prefix,
- and no step waits for itself, not even through others, or for a later transition.

Each of these, once broken, stays broken whatever is added.
"""

from __future__ import annotations

from collections.abc import Iterable
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

    __slots__ = ("_folders", "_prefixes", "maker", "order")

    def __init__(self, task: Task, ways: Iterable[Way]) -> None:
        listed = list(ways)
        self.maker = {fact: way for way in listed for fact in way.products}
        self._prefixes = {way.prefix for way in listed}
        self._folders: dict[str, bool] = {"": False}
        if len(self._prefixes) != len(listed):
            raise ConflictError("prefix_taken", _repeated(listed))
        for prefix in self._prefixes:
            if not self.keeps(prefix[:-1]):
                raise ConflictError(
                    "prefix_nested",
                    min(each for each in self._prefixes if not self.keeps(each[:-1])),
                )
        self.order = self._ordered(task, listed)

    def keeps(self, fact: str) -> bool:
        """Whether no step replaces what a fact of the world lies in."""
        folder = fact.rpartition("/")[0]
        known = self._folders.get(folder)
        if known is None:
            known = f"{folder}/" in self._prefixes or not self.keeps(folder)
            self._folders[folder] = known
        return not known

    def _ordered(self, task: Task, listed: list[Way]) -> list[Way]:
        after: dict[Way, list[Way]] = {}
        missing = {way: count for way in listed if (count := self._link(task, way, after))}
        depth = dict.fromkeys(listed, 0)
        ready = [way for way in listed if way not in missing]
        for way in ready:  # which grows
            below = depth[way] + 1
            for waits in after.get(way, ()):
                if depth[waits] < below:
                    depth[waits] = below
                missing[waits] -= 1
                if not missing[waits]:
                    ready.append(waits)
        if len(ready) != len(listed):
            raise ConflictError("cycle", min(way.prefix for way in missing if missing[way]))
        ready.sort(key=_PREFIX)
        return sorted(ready, key=lambda way: (way.rule.stage, depth[way]))

    def _link(self, task: Task, way: Way, after: dict[Way, list[Way]]) -> int:
        """Note what a way takes from which other; return how often it does."""
        way.sources = sources = [self.maker.get(fact) for fact in way.requires]
        count = 0
        for fact, source in zip(way.requires, sources, strict=True):
            if source is None:
                if fact not in task.facts.paths or not self.keeps(fact):
                    raise ConflictError("overwritten", fact)
            elif source.rule.stage > way.rule.stage:
                raise ConflictError("against_transitions", fact)
            else:
                after.setdefault(source, []).append(way)
                count += 1
        return count


def _repeated(ways: list[Way]) -> str:
    seen: set[str] = set()
    again: list[str] = []
    for way in ways:
        if way.prefix in seen:
            again.append(way.prefix)
        seen.add(way.prefix)
    return min(again)
