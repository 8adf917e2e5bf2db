"""A child's stderr, line by line: its breadcrumbs checked and renumbered, the rest wrapped.

A line that is an event of the closed schema, and comes in order, goes out under our own sequence;
anything else becomes a bounded ``processor.log``. So every line on our stderr is ours, whatever a
child prints: calls and responses come in pairs, and one child is worth so many lines and no more.
"""

from __future__ import annotations

from orchestrator.execution.trail import Trail
from processors.protocol.events import Sieve


class Relay:
    """Forwards one child's stderr, in which secrets are masked already, to a trail."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._sieve = Sieve()
        self._missed = 0
        self._opened_ms = 0

    def line(self, raw: bytes) -> None:
        """Forward one line, given without its newline."""
        event = self._sieve.take(raw)
        if event is None:
            return
        name = str(event.pop("event"))
        if name == "provider.call":
            self._opened_ms = self._trail.elapsed_ms
        self._trail.emit(name, event)

    def missed(self, lines: int) -> None:
        """So many lines came that nobody kept."""
        self._missed += lines

    def close(self) -> None:
        """The child has ended: answer an open call, and say how many lines were not forwarded."""
        if (call := self._sieve.open) is not None:
            duration_ms = self._trail.elapsed_ms - self._opened_ms
            own = {**call, "outcome": "unanswered", "duration_ms": duration_ms}
            self._trail.emit("provider.response", own)
        if dropped := self._missed + self._sieve.dropped:
            self._trail.emit("processor.log.dropped", {"lines": dropped})
