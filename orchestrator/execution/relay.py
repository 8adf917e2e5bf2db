"""A child's stderr, line by line: its breadcrumbs checked and renumbered, the rest wrapped.

A line that is an event of the closed schema, and comes in order, goes out under our own sequence;
anything else becomes a bounded ``processor.log``. So every line on our stderr is ours, whatever a
child prints: calls and responses come in pairs, and one child is worth so many lines and no more.
"""

from __future__ import annotations

from orchestrator.execution.trail import Trail
from processors.protocol import canonical, events
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

LINES_MAX = 1_000  # lines forwarded for one execution; the tail and its digest tell the rest
CALLS_MAX = 1_000  # pairs of provider.call and provider.response; more are lines like any other

_CALL_KEYS = ("provider", "operation", "attempt")


class Relay:
    """Forwards one child's stderr, in which secrets are masked already, to a trail."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._lines = 0
        self._dropped = 0
        self._calls = 0
        self._open: dict[str, Json] | None = None  # the call that has no response yet
        self._opened_ms = 0

    def line(self, raw: bytes) -> None:
        """Forward one line, given without its newline."""
        event = self._event(raw)
        if event is not None:
            name = str(event.pop("event"))
            self._trail.emit(name, event)
        elif self._lines < LINES_MAX:
            self._lines += 1
            self._trail.emit("processor.log", {"text": raw.decode("utf-8", "replace")})
        else:
            self._dropped += 1

    def missed(self, lines: int) -> None:
        """So many lines came that nobody kept."""
        self._dropped += lines

    def close(self) -> None:
        """The child has ended: answer an open call, and say how many lines were not forwarded."""
        if self._open is not None:
            duration_ms = self._trail.elapsed_ms - self._opened_ms
            own: dict[str, Json] = {key: self._open[key] for key in _CALL_KEYS}
            own.update(outcome="unanswered", duration_ms=duration_ms)
            self._trail.emit("provider.response", own)
            self._open = None
        if self._dropped:
            self._trail.emit("processor.log.dropped", {"lines": self._dropped})
            self._dropped = 0

    def _event(self, raw: bytes) -> dict[str, Json] | None:
        """The event that a line is, if it is one and its turn has come."""
        if not raw.startswith(b"{") or (self._open is None and self._calls >= CALLS_MAX):
            return None
        try:
            event = events.child_event(canonical.parse(raw, "event"))
        except ContractError:
            return None  # no event of ours; it is forwarded as text
        if event is None:
            return None
        if event["event"] == "provider.call":
            if self._open is not None:
                return None
            self._calls += 1
            self._open, self._opened_ms = dict(event), self._trail.elapsed_ms
            return event
        if self._open is None or any(event[key] != self._open[key] for key in _CALL_KEYS):
            return None
        self._open = None
        return event
