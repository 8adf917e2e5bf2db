"""Breadcrumbs: one JSON object a line on stderr, one closed schema, one automaton.

``EVENTS`` says which members each event has besides the common ones, ``MOVES`` which event may come
when; ``processors.protocol.trace`` judges a trace by the two. docs/reference/events.md is written
from them.

A processor may say only what it alone knows: ``provider.call``, ``provider.response`` and
``processor.log``. The orchestrator parses those lines, adds its own sequence and keys, and writes
them out again; ``processor.start``, ``.outputs`` and ``.receipt`` are its own words about what it
checked, so a processor cannot forge them.
"""

from __future__ import annotations

from processors.protocol import canonical, digests, shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

LINES_MAX = 1_000  # lines forwarded for one execution; the tail and its digest tell the rest
CALLS_MAX = 1_000  # pairs of provider.call and provider.response; more are lines like any other
FIELD_CHARS_MAX = 256  # longer text is cut; an event is a breadcrumb, not a document
LINE_BYTES_MAX = 4_096  # PIPE_BUF of Linux: what a pipe takes whole or not at all


class Event:
    """One kind of event: what it says, and its own members."""

    __slots__ = ("fields", "meaning")

    def __init__(self, meaning: str, fields: shapes.Shape | None = None) -> None:
        self.meaning = meaning
        self.fields = fields or {}


def is_field(value: Json) -> bool:
    """Text of an event: cut where it is longer than a field may be."""
    return isinstance(value, str) and len(value) <= FIELD_CHARS_MAX


def is_flag(value: Json) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_field_or_null(value: Json) -> bool:
    """Text of an event, or null."""
    return value is None or is_field(value)


def is_digest_or_null(value: Json) -> bool:
    """``sha256:<hex>``, or null."""
    return value is None or digests.is_digest(value)


def is_fields(value: Json) -> bool:
    """An array of texts."""
    return isinstance(value, list) and all(map(is_field, value))


# On every event; null where it does not apply or is not known yet, never absent.
CONTEXT = ("processor_ref", "adapter", "mode", "env", "app", "function", "image_digest")
COMMON: shapes.Shape = {
    "event": is_field,
    "execution_id": is_field,
    "seq": shapes.is_count,
    "elapsed_ms": shapes.is_count,
    **dict.fromkeys(CONTEXT, is_field_or_null),
}

_CALL: shapes.Shape = {"provider": is_field, "operation": is_field, "attempt": shapes.is_count}

EVENTS: dict[str, Event] = {
    "execution.start": Event("an execution has its id; nothing is judged yet"),
    "naming.warning": Event(
        "the app's name is the canonical one, for want of what is `missing`", {"missing": is_fields}
    ),
    "execution.resolved": Event(
        "every name and digest is known, and none changes from here on; what only a started run"
        " has is null",
        {
            "override": is_flag,
            "source_root": is_digest_or_null,
            "env_fingerprint": is_field_or_null,
            "inputs_hash": is_digest_or_null,
            "memo_key": is_digest_or_null,
        },
    ),
    "execution.recorded": Event("the ledger has the envelope of this id; nothing starts"),
    "execution.reused": Event(
        "what an earlier execution made is taken, as `--memo` asks; nothing starts",
        {"origin": is_field},
    ),
    "execution.unrecorded": Event(
        "a refusal, or the published head, could not be written, for this reason",
        {"code": is_field, "reason": is_field},
    ),
    "adapter.invoke.start": Event(
        "the adapter gets the payload, of this digest", {"payload_hash": digests.is_digest}
    ),
    "processor.start": Event("the processor's process is about to start"),
    "processor.log": Event("a line that the processor printed", {"text": is_field}),
    "provider.call": Event("the processor calls a provider", _CALL),
    "provider.response": Event(
        "the call is over: `outcome` is `ok`, what went wrong, or `unanswered` where the processor"
        " ended first; `duration_ms` is how long it took",
        {**_CALL, "outcome": is_field, "duration_ms": shapes.is_count},
    ),
    "processor.log.dropped": Event(
        "so many lines were not forwarded, for there were too many", {"lines": shapes.is_count}
    ),
    "processor.outputs": Event(
        "envelope and outputs are checked; there are so many", {"count": shapes.is_count}
    ),
    "processor.receipt": Event("both receipts are checked"),
    "adapter.invoke.complete": Event(
        "the processor has succeeded, and what it made is in the ledger",
        {"reply_digest": digests.is_digest},
    ),
    "adapter.invoke.error": Event(
        "the run has failed; `reply_digest` is null without a valid envelope",
        {"code": is_field, "reason": is_field, "reply_digest": is_digest_or_null},
    ),
    "debug.traceback": Event(
        "with --debug: one frame of an error nobody foresaw, outermost first", {"text": is_field}
    ),
    "execution.unanswered": Event(
        "stdout did not take the envelope, and not because its reader had gone", {"why": is_field}
    ),
    "execution.settle": Event(
        "the envelope is printed, or will never be; code and reason are null on success",
        {
            "status": is_field,
            "code": is_field_or_null,
            "reason": is_field_or_null,
            "exit_code": shapes.is_count,
        },
    ),
}

# State → event that may come → the state it leads to. What is absent is illegal.
NEW, SETTLED = "new", "settled"
MOVES: dict[str, dict[str, str]] = {
    NEW: {"execution.start": "asked"},
    "asked": {
        "naming.warning": "warned",
        "execution.resolved": "resolved",
        "debug.traceback": "asked",
        "execution.unrecorded": "over",
        "execution.unanswered": "unanswered",
        "execution.settle": SETTLED,
    },
    "warned": {
        "execution.resolved": "resolved",
        "debug.traceback": "warned",
        "execution.unrecorded": "over",
        "execution.unanswered": "unanswered",
        "execution.settle": SETTLED,
    },
    "resolved": {
        "adapter.invoke.start": "invoked",
        "execution.recorded": "over",
        "execution.reused": "over",
        "debug.traceback": "resolved",
        "execution.unrecorded": "over",
        "execution.unanswered": "unanswered",
        "execution.settle": SETTLED,
    },
    "invoked": {"processor.start": "running", "adapter.invoke.error": "over"},
    "running": {
        "processor.log": "running",
        "provider.call": "calling",
        "processor.log.dropped": "quiet",
        "processor.outputs": "checked",
        "adapter.invoke.error": "over",
    },
    "calling": {"processor.log": "calling", "provider.response": "running"},
    "quiet": {"processor.outputs": "checked", "adapter.invoke.error": "over"},
    "checked": {"processor.receipt": "attested"},
    "attested": {"adapter.invoke.complete": "over", "adapter.invoke.error": "over"},
    "over": {
        "debug.traceback": "over",
        "execution.unrecorded": "over",
        "execution.unanswered": "unanswered",
        "execution.settle": SETTLED,
    },
    "unanswered": {"execution.settle": SETTLED},
    SETTLED: {},
}

# What a processor may send; its text may be longer than a field, and is cut when it is passed on.
_SENT_CALL: shapes.Shape = {
    "event": shapes.is_text,
    "provider": shapes.is_text,
    "operation": shapes.is_text,
    "attempt": shapes.is_count,
}
CHILD_EVENTS: dict[str, shapes.Shape] = {
    "provider.call": _SENT_CALL,
    "provider.response": {
        **_SENT_CALL,
        "outcome": shapes.is_text,
        "duration_ms": shapes.is_count,
    },
}


def child_event(value: Json) -> dict[str, Json] | None:
    """Return a processor's event if it is one of the closed schema, else None."""
    if not isinstance(value, dict):
        return None
    shape = CHILD_EVENTS.get(str(value.get("event")))
    fits = shape is not None and shapes.problem(value, shape, "event") is None
    return value if fits else None


_CALL_KEYS = ("provider", "operation", "attempt")


class Sieve:
    """What of a child's stderr is forwarded: events in their turn, the first other lines, no more.

    One for both adapters: what it lets pass on Modal, it lets pass again where that arrives.

    Attributes:
        dropped: How many lines were not let pass.
        open: The call that has no response yet, as its response has to name it.
    """

    __slots__ = ("_calls", "_lines", "dropped", "open")

    def __init__(self) -> None:
        self.dropped = 0
        self.open: dict[str, Json] | None = None
        self._calls = 0
        self._lines = 0

    def take(self, raw: bytes) -> dict[str, Json] | None:
        """The event that a line becomes, its text not cut yet; None if it is one too many."""
        event = self._event(raw)
        if event is not None:
            return event
        if self._lines == LINES_MAX:
            self.dropped += 1
            return None
        self._lines += 1
        return {"event": "processor.log", "text": raw.decode("utf-8", "replace")}

    def _event(self, raw: bytes) -> dict[str, Json] | None:
        """The event that a line is, if it is one and its turn has come."""
        if not raw.startswith(b"{") or (self.open is None and self._calls == CALLS_MAX):
            return None
        try:
            event = child_event(canonical.parse(raw, "event"))
        except ContractError:
            return None  # no event of ours; it is forwarded as text
        if event is None or _is_mended(event):
            return None
        if event["event"] == "provider.call":
            if self.open is not None:
                return None
            self._calls += 1
            self.open = {key: event[key] for key in _CALL_KEYS}
            return event
        if self.open is None or any(event[key] != self.open[key] for key in _CALL_KEYS):
            return None
        self.open = None
        return event


def _is_mended(event: dict[str, Json]) -> bool:
    """Whether a text holds U+FFFD, which what is no text becomes on its way from a container.

    Here such a line would be an event that it was not there.
    """
    return any(isinstance(value, str) and "\ufffd" in value for value in event.values())


def cut(event: dict[str, Json]) -> dict[str, Json]:
    """An event with its long text cut."""
    return {
        key: value[:FIELD_CHARS_MAX] if isinstance(value, str) else value
        for key, value in event.items()
    }
