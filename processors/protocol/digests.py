"""SHA-256, always written ``sha256:<64 lower-case hex digits>``; there is no second algorithm."""

from __future__ import annotations

import hashlib

from processors.protocol.canonical import Json, canonical

CHUNK_BYTES = 1_048_576
_PREFIX = "sha256:"
_HEX = frozenset("0123456789abcdef")


def of_bytes(data: bytes) -> str:
    """The digest of some bytes."""
    return _PREFIX + hashlib.sha256(data).hexdigest()


def of_json(value: Json) -> str:
    """The digest of a value's canonical JSON (RFC 8785)."""
    return of_bytes(canonical(value))


def of_file(path: str) -> tuple[str, int]:
    """Digest and size in bytes of a file, read in pieces so that memory stays flat."""
    state = hashlib.sha256()
    size = 0
    with open(path, "rb", buffering=0) as file:
        while chunk := file.read(CHUNK_BYTES):
            state.update(chunk)
            size += len(chunk)
    return _PREFIX + state.hexdigest(), size


def is_digest(text: object) -> bool:
    """Whether a value is a digest in the one form that is written."""
    return (
        isinstance(text, str)
        and len(text) == 71
        and text.startswith(_PREFIX)
        and _HEX.issuperset(text[7:])
    )


def is_pin(text: object) -> bool:
    """Whether a value can be a pin: a digest, and not the zeros that stand in for one."""
    return is_digest(text) and text != _PREFIX + "0" * 64
