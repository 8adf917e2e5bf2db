"""Random input: documents varied as documents, text as words, and either as bytes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

from processors.protocol.canonical import SAFE_INTEGER_MAX, Json

BYTES_MAX = 65_536  # of one input; limits above it have tests of their own

_CONTAINERS: tuple[Json, ...] = ([], {}, [[]], {"": None}, {"a": 1})
# Values at the edge of what JSON, I-JSON, Unicode and our own schemas allow.
EDGES: tuple[Json, ...] = (
    *_CONTAINERS,
    *(None, True, False, ""),
    *(0, 1, -1, SAFE_INTEGER_MAX, SAFE_INTEGER_MAX + 1, -SAFE_INTEGER_MAX - 1, 10**40, 10**400),
    *(0.5, 1.0, -0.0, 5e-324, 1e-7, 1e15, 1e21, 1.7e308),
    *(float("nan"), float("inf"), float("-inf")),
    *("a", "\x00", "\x1b[2J", "\x7f", "\x85", "\n", " ", "\u00e9", "e\u0301", "\u2028", "\ufeff"),
    *("\ud800", "\udc80", "\U0001f600", "\uffff", "a" * 300, "\u00e9" * 200),
    *(".", "..", "%2e%2e", "%2F", "%25", "/artifacts/a/", "/artifacts/attached/", "sha256:"),
)
_NAMES = ("", "schema", "status", "error", "a", "\u00e9", "\U0001f600", "\uffff", "\ud800", "<<")
_DEPTHS = (1, 2, 30, 62, 63, 64, 65)


def vary(rng: Random, value: Json) -> Json:
    """A copy of a document with one node changed."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        chosen = rng.choice(tuple(value))
        return {key: vary(rng, item) if key == chosen else item for key, item in value.items()}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [vary(rng, item) if index == at else item for index, item in enumerate(value)]
    if isinstance(value, dict) and rng.random() < 0.5:
        return _vary_members(rng, value)
    if isinstance(value, list) and rng.random() < 0.5:
        return value + value if rng.random() < 0.5 else value[1:]
    if rng.random() < 0.1:
        return _nested(rng, value)
    if isinstance(value, str) and rng.random() < 0.4:
        at = rng.randint(0, len(value))
        edge = rng.choice(EDGES)
        return value[:at] + str(edge if isinstance(edge, str) else "") + value[at + 1 :]
    return rng.choice(EDGES)


def document(rng: Random, examples: Sequence[Json]) -> bytes:
    """An example with a few nodes changed, as JSON (that may not be I-JSON)."""
    value = rng.choice(examples)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        value = vary(rng, value)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")


def sentence(rng: Random, words: Sequence[bytes], most: int) -> bytes:
    """Some words of a vocabulary in any order."""
    return b"".join(rng.choices(words, k=rng.randint(0, most)))


def scramble(rng: Random, data: bytes, words: Sequence[bytes]) -> bytes:
    """Change bytes: overwrite, insert, remove, repeat."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randint(0, len(data))
        end = min(len(data), at + rng.choice((0, 1, 1, 2, 4, 16)))
        kind = rng.randrange(5)
        if kind == 0:
            data = data[:at] + bytes((rng.randrange(256),)) + data[end:]
        elif kind == 1 and words:
            data = data[:at] + rng.choice(words) + data[end:]
        elif kind == 2:
            data = data[:at] + data[end:]
        elif kind == 3:
            data = data[:at] + data[at:end] * rng.choice((2, 3, 64, 1_100)) + data[end:]
        else:
            data = data[:at]
    return data[:BYTES_MAX]


def _vary_members(rng: Random, value: dict[str, Json]) -> Json:
    keys = [*value, *_NAMES]
    if not value or rng.random() < 0.5:
        return value | {rng.choice(keys): rng.choice(EDGES)}
    gone = rng.choice(tuple(value))
    left = {key: item for key, item in value.items() if key != gone}
    return left if rng.random() < 0.5 else left | {rng.choice(keys): value[gone]}


def _nested(rng: Random, value: Json) -> Json:
    for _ in range(rng.choice(_DEPTHS)):
        value = [value] if rng.random() < 0.5 else {"a": value}
    return value
