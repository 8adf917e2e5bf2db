"""A line on stderr that says how far a command is, for whoever looks at a terminal."""

from __future__ import annotations

import os
import time

from orchestrator.cli import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_PAUSE_S = 0.1  # between two looks of the line; more often nobody can read
_BAR_CHARS = 24
_CLEAR = "\r\x1b[K"


class Progress:
    """A bar, for the length of a block. Nothing is written where stderr is no terminal."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._shows = os.isatty(2)
        self._next_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __call__(self, done: int) -> None:
        """Say how much is done."""
        if not self._shows or (now := time.monotonic()) < self._next_s:
            return
        self._next_s = now + _PAUSE_S
        output.tell(_CLEAR + bar(self._what, done, self._total))

    def __exit__(self, *_: object) -> None:
        if self._next_s:
            output.tell(_CLEAR)


def bar(what: str, done: int, total: int) -> str:
    """The line: a bar of the share that is done, and the numbers."""
    share = min(1.0, done / total) if total else 1.0
    full = int(share * _BAR_CHARS)
    return f"{what} [{'#' * full}{'.' * (_BAR_CHARS - full)}] {done} of {total}"
