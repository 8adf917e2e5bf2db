"""The order in which the steps of a plan begin: as they become ready, and as the budget lets them.

A step that lacks only what others of the loop hold reserved goes back to its place and waits, and
nothing behind it goes first. It is judged again once one of them has ended,
and for good when none is under way. Pure: names in, a name out.
"""

from __future__ import annotations

import heapq


class Line[Name]:
    """The steps that are ready, those that became so first in front.

    Args:
        count_max: How many may be under way.
    """

    def __init__(self, count_max: int) -> None:
        self._count_max = count_max
        self._ready: list[tuple[int, Name]] = []  # a heap, by place; no place is taken twice
        self._places: dict[Name, int] = {}
        self._asks: dict[Name, int] = {}
        self._under_way = 0
        self._lacking: int | None = None  # the least that was not free since some was given back
        self._is_judged_alone = False

    @property
    def is_over(self) -> bool:
        """Whether nothing is ready and nothing under way."""
        return not self._ready and not self._under_way

    def add(self, name: Name, ask_micro_usd: int) -> None:
        """A step has become ready, which asks for so much."""
        self._places[name] = len(self._places)
        self._asks[name] = ask_micro_usd
        heapq.heappush(self._ready, (self._places[name], name))

    def next(self) -> tuple[Name, bool] | None:
        """The step that begins next, and whether it may come back to wait; None while none can."""
        if not self._ready or self._under_way == self._count_max or self._is_judged_alone:
            return None
        _, name = self._ready[0]
        may_fit = self._lacking is None or self._asks[name] < self._lacking
        if not may_fit and self._under_way:
            return None
        heapq.heappop(self._ready)
        self._under_way += 1
        self._is_judged_alone = not may_fit
        return name, may_fit

    def waits(self, name: Name) -> None:
        """A step has come back, since too much is reserved."""
        self._under_way -= 1
        ask = self._asks[name]
        self._lacking = ask if self._lacking is None else min(ask, self._lacking)
        heapq.heappush(self._ready, (self._places[name], name))

    def ends(self, *, gave_back: bool) -> None:
        """A step has ended; ``gave_back`` says whether it had a reserve."""
        self._under_way -= 1
        self._is_judged_alone = False
        if gave_back:
            self._lacking = None
