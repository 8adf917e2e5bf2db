"""Where each bar of a timeline stands. Pure.

Pauses in which nothing ran are cut short, so that a goal that was reached on two days is still two
groups of bars and not two dots; how much was cut is told.
"""

from __future__ import annotations

from itertools import pairwise

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PAUSE_SHARE = 0.04  # of all the time in which something ran: what is left of a longer pause
PAUSE_LEAST_MS = 1_000  # a pause that is shorter is left as it is
WIDTH_LEAST = 0.6  # percent; a bar that is thinner nobody sees


class Axis:
    """A scale for spans of time, in percent of the width.

    Attributes:
        busy_ms: How long something ran.
        pauses: How many pauses were cut.
        cut_ms: How much of them.
    """

    def __init__(self, spans: Sequence[tuple[int, int]]) -> None:
        """Lay out spans, each a begin and an end in milliseconds."""
        groups = _joined(spans)
        self.busy_ms = sum(end - begin for begin, end in groups)
        self.pauses = self.cut_ms = 0
        most = int(self.busy_ms * PAUSE_SHARE)
        self._marks: list[tuple[int, int]] = []  # a moment, and how much was cut before it
        for (_, before), (begin, _) in pairwise(groups):
            if begin - before > max(most, PAUSE_LEAST_MS):
                self.pauses += 1
                self.cut_ms += begin - before - most
                self._marks.append((begin, self.cut_ms))
        self._first = groups[0][0] if groups else 0
        last = groups[-1][1] if groups else 0
        self._length = max(1, last - self._first - self.cut_ms)

    def place(self, begin: int, end: int) -> tuple[float, float]:
        """Where a span begins, and how wide it is; all of it stands within the width."""
        left, right = self._at(begin), self._at(end)
        width = max(WIDTH_LEAST, right - left)
        return round(min(left, 100 - width), 3), round(width, 3)

    def _at(self, moment: int) -> float:
        cut = 0
        for mark, amount in self._marks:
            if mark > moment:
                break
            cut = amount
        return 100 * (moment - self._first - cut) / self._length


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The times in which anything ran, in order."""
    found: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if found and begin <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((begin, end))
    return found
