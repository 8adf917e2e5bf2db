"""Breadcrumbs: one JSON object a line on stderr, one closed schema.

A processor may say only what it alone knows: ``provider.call``, ``provider.response`` and
``processor.log``. The orchestrator parses those lines, adds its own sequence and keys, and writes
them out again; ``processor.start``, ``.outputs`` and ``.receipt`` are its own words about what it
checked, so a processor cannot forge them.
"""

from __future__ import annotations

from processors.protocol import shapes
from processors.protocol.canonical import Json

ORDER = (
    "execution.start",
    "adapter.invoke.start",
    "processor.start",
    "provider.call",
    "provider.response",
    "processor.outputs",
    "processor.receipt",
    "adapter.invoke.complete",
    "adapter.invoke.error",
    "execution.settle",
)

# What a processor may send.
CHILD_EVENTS: dict[str, shapes.Shape] = {
    "provider.call": {
        "event": shapes.is_text,
        "provider": shapes.is_text,
        "operation": shapes.is_text,
        "attempt": shapes.is_count,
    },
    "provider.response": {
        "event": shapes.is_text,
        "provider": shapes.is_text,
        "operation": shapes.is_text,
        "attempt": shapes.is_count,
        "outcome": shapes.is_text,
        "elapsed_ms": shapes.is_count,
    },
}

FIELD_CHARS_MAX = 256  # longer text is cut; an event is a breadcrumb, not a document
LINE_BYTES_MAX = 4_096  # PIPE_BUF of Linux: what a pipe takes whole or not at all


def child_event(value: Json) -> dict[str, Json] | None:
    """Return a processor's event if it is one of the closed schema, else None."""
    if not isinstance(value, dict):
        return None
    shape = CHILD_EVENTS.get(str(value.get("event")))
    fits = shape is not None and shapes.problem(value, shape, "event") is None
    return value if fits else None
