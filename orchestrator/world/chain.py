"""A chain of events: each holds the hash of the one before it.

An event is stored as its body, the RFC 8785 bytes of ``{at, data, prev, seq, type, v}``, and the
body's hash. ``prev`` is the hash of the event before, so an event's hash is about every event up to
it. What that proves ends with the last hash that was written down elsewhere (``heads``): whoever
can write the file can also write another chain.
"""

from __future__ import annotations

import json

from orchestrator.world import facts
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    type Row = tuple[
        object, object, object
    ]  # seq, body, hash, as a file that may be broken has them

# The largest envelope has 8 MiB; its event repeats the outputs and adds little to them.
BODY_BYTES_MAX = 16_777_216
FIRST = "world.created"


class Head:
    """Where a chain ends: how many events it has, and the last one's hash."""

    __slots__ = ("count", "hash")

    def __init__(self, count: int, hash_: str) -> None:
        self.count = count
        self.hash = hash_


START = Head(0, "sha256:" + "0" * 64)


class Event:
    """One event. ``body`` is what is stored and hashed; the rest is what it says."""

    __slots__ = ("at", "body", "data", "hash", "seq", "type", "version")

    def __init__(
        self, seq: int, type_: str, version: int, at: str, data: dict[str, Json], body: bytes
    ) -> None:
        self.seq = seq
        self.type = type_
        self.version = version
        self.at = at
        self.data = data
        self.body = body
        self.hash = digests.of_bytes(body)


class BrokenChainError(Exception):
    """The first event that is not the one its chain needs there.

    Attributes:
        seq: The place in the chain, counted from 1.
        why: What is wrong with the event that is there.
    """

    def __init__(self, seq: int, why: str) -> None:
        self.seq = seq
        self.why = why
        super().__init__(f"event {seq}: {why}")


def encode(value: Json) -> bytes:
    """RFC 8785 bytes of JSON without floats, unsafe integers and keys outside ASCII.

    For exactly these values the standard library's own encoder, which is written in C and ten times
    as fast, gives the bytes of ``processors.protocol.canonical``; a property shows it.
    """
    return _ENCODER.encode(value).encode("utf-8")


def seal(head: Head, type_: str, data: dict[str, Json], at: str) -> Event:
    """Make the event that comes next.

    Args:
        head: Where the chain ends.
        type_: A type of ``facts.VERSIONS``.
        data: What the fact says.
        at: When, RFC 3339 in UTC with milliseconds.

    Raises:
        ValueError: The event is not of the contract: a mistake in our code, not in any input.
    """
    version = facts.check(type_, data)
    seq = head.count + 1
    if not is_time(at):
        raise ValueError("an event's time is RFC 3339, UTC, with milliseconds")
    if (seq == 1) != (type_ == FIRST):
        raise ValueError(f"{FIRST} is the first event and no other")
    # The members that only we write need no encoder: none has a character that JSON escapes.
    body = (
        f'{{"at":"{at}","data":{_ENCODER.encode(data)},"prev":"{head.hash}","seq":{seq},'
        f'"type":"{type_}","v":{version}}}'
    ).encode()
    if len(body) > BODY_BYTES_MAX:
        raise ValueError(f"an event of {len(body)} bytes; at most {BODY_BYTES_MAX}")
    return Event(seq, type_, version, at, data, body)


def verified(rows: Iterable[Row], after: Head = START) -> Iterator[Event]:
    """Yield stored events as long as each is the one that its chain needs; memory stays flat.

    Args:
        rows: What is stored, in order, beginning after ``after``.
        after: Where the verified part ends; by default everything is verified.

    Raises:
        BrokenChainError: At the first event that is not.
    """
    count, prev = after.count, after.hash
    for seq, body, stored in rows:
        count += 1
        if seq != count:
            raise BrokenChainError(count, f"the event found here is numbered {seq}")
        event = _read(count, prev, body)
        if event.hash != stored:
            raise BrokenChainError(count, "its stored hash is not the hash of its body")
        prev = event.hash
        yield event


def is_time(text: Json) -> bool:
    """Whether a text has the form ``2026-11-24T02:47:24.123Z``; the calendar is not consulted."""
    return (
        isinstance(text, str)
        and len(text) == 24
        and text[4] == text[7] == "-"
        and text[10] == "T"
        and text[13] == text[16] == ":"
        and text[19] == "."
        and text[23] == "Z"
        and text.isascii()
        and (text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16]).isdigit()
        and (text[17:19] + text[20:23]).isdigit()
    )


def _read(seq: int, prev: str, body: object) -> Event:
    """Judge one body by itself and by its place."""
    if not isinstance(body, bytes):
        raise BrokenChainError(seq, "its body is not bytes")
    if len(body) > BODY_BYTES_MAX:
        raise BrokenChainError(seq, f"it has {len(body)} bytes; at most {BODY_BYTES_MAX}")
    try:
        value = json.loads(body.decode("utf-8"))
        same = encode(value) == body
    except (ValueError, RecursionError):
        raise BrokenChainError(seq, "its body is not JSON in UTF-8") from None
    if not same:
        raise BrokenChainError(seq, "its body is not canonical")
    if (found := shapes.problem(value, _EVENT, "its body")) is not None:
        raise BrokenChainError(seq, found)
    if value["seq"] != seq:
        raise BrokenChainError(seq, f"its body is numbered {value['seq']}")
    if value["prev"] != prev:
        raise BrokenChainError(seq, "its prev is not the hash of the event before it")
    if (found := facts.problem(value["type"], value["v"], value["data"])) is not None:
        raise BrokenChainError(seq, found)
    if (seq == 1) != (value["type"] == FIRST):
        raise BrokenChainError(seq, f"{FIRST} is the first event and no other")
    return Event(seq, value["type"], value["v"], value["at"], value["data"], body)


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, check_circular=False, separators=(",", ":")
)

_EVENT: shapes.Shape = {
    "at": is_time,
    "data": shapes.is_object,
    "prev": digests.is_digest,
    "seq": shapes.is_count,
    "type": shapes.is_text,
    "v": shapes.is_count,
}
