"""Breadcrumbs: one JSON object a line on stderr, one closed schema.

A processor may say only what it alone knows: ``provider.call``, ``provider.response`` and
``processor.log``. The orchestrator parses those lines, adds its own sequence and keys, and writes
them out again; ``processor.start``, ``.outputs`` and ``.receipt`` are its own words about what it
checked, so a processor cannot forge them.
"""

from __future__ import annotations

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

# What a processor may send, with the keys each event has besides ``event``.
CHILD_EVENTS: dict[str, tuple[str, ...]] = {
    "provider.call": ("provider", "operation", "attempt"),
    "provider.response": ("provider", "operation", "attempt", "outcome", "elapsed_ms"),
}

FIELD_CHARS_MAX = 256  # longer text is cut; an event is a breadcrumb, not a document


def child_event(value: Json) -> dict[str, Json] | None:
    """Return a processor's event if it is one of the closed schema, else None."""
    if not isinstance(value, dict):
        return None
    keys = CHILD_EVENTS.get(str(value.get("event")))
    if keys is None or value.keys() != {"event", *keys}:
        return None
    scalars = all(isinstance(item, str | int) for item in value.values())
    return value if scalars else None
