"""A child's stderr, line by line: its breadcrumbs checked and renumbered, the rest wrapped.

A line that is an event of the closed schema goes out under our own sequence; anything else becomes
a bounded ``processor.log``. So every line on our stderr is ours, whatever a child prints.
"""

from __future__ import annotations

from orchestrator.execution.trail import Trail
from processors.protocol import canonical, events
from processors.protocol.errors import ContractError

LINES_MAX = 1_000  # lines forwarded for one execution; the tail and its digest tell the rest


class Relay:
    """Forwards one child's stderr, in which secrets are masked already, to a trail."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._lines = 0

    def line(self, raw: bytes) -> None:
        """Forward one line, given without its newline."""
        self._lines += 1
        if self._lines > LINES_MAX:
            return
        event = None
        if raw.startswith(b"{"):
            try:
                event = events.child_event(canonical.parse(raw, "event"))
            except ContractError:
                event = None  # no event of ours; it is forwarded as text
        if event is None:
            self._trail.emit(
                "processor.log", {"text": raw.decode("utf-8", "replace")[: events.FIELD_CHARS_MAX]}
            )
        else:
            name = str(event.pop("event"))
            short = {
                key: value[: events.FIELD_CHARS_MAX] if isinstance(value, str) else value
                for key, value in event.items()
            }
            self._trail.emit(name, short)

    def close(self) -> None:
        """Say how many lines were not forwarded."""
        if self._lines > LINES_MAX:
            self._trail.emit("processor.log.dropped", {"lines": self._lines - LINES_MAX})
