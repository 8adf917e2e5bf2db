"""What a member of a fact may be: predicates over one value, shared by the shapes of all facts.

A shape that events were written with never changes, so neither does what a predicate accepts.
"""

from __future__ import annotations

from processors.protocol import digests, paths, refs, shapes
from processors.protocol.canonical import SAFE_INTEGER_MAX, Json
from processors.protocol.errors import CODES, ContractError

PLAIN_DEPTH_MAX = 8  # levels of a memo's pre-image; what is deeper is hashed into it
LABEL_CHARS_MAX = 255  # of what a goal or a step of a plan is called

_HEX = frozenset("0123456789abcdef")
_SLUG = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_")


def is_plain(value: Json, levels: int = PLAIN_DEPTH_MAX) -> bool:
    """Whether JSON is of the kind that facts hold: no floats, safe integers, keys in ASCII."""
    if value is None or isinstance(value, bool | str):
        return True
    if isinstance(value, int):
        return abs(value) <= SAFE_INTEGER_MAX
    if isinstance(value, dict):
        if not "".join(value).isascii():
            return False
        items = list(value.values())
    elif isinstance(value, list):
        items = value
    else:
        return False
    if levels < 1:
        return False
    for item in items:
        if not (item is None or isinstance(item, str) or is_plain(item, levels - 1)):
            return False
    return True


def is_plain_object(value: Json) -> bool:
    """An object of plain JSON."""
    return isinstance(value, dict) and is_plain(value)


def is_world_id(value: Json) -> bool:
    """32 hex digits, drawn by chance when the world was made."""
    return isinstance(value, str) and len(value) == 32 and _HEX.issuperset(value)


def is_path(value: Json) -> bool:
    """A canonical world path."""
    try:
        return isinstance(value, str) and paths.canonical_path(value) == value
    except ContractError:
        return False


def is_prefix(value: Json) -> bool:
    """A canonical write prefix."""
    try:
        return isinstance(value, str) and paths.canonical_prefix(value) == value
    except ContractError:
        return False


def is_prefix_or_null(value: Json) -> bool:
    """A canonical write prefix, or null."""
    return value is None or is_prefix(value)


def is_execution_id(value: Json) -> bool:
    """What an execution is called."""
    return isinstance(value, str) and refs.is_execution_id(value)


def is_ref(value: Json) -> bool:
    """A processor and its version."""
    return isinstance(value, str) and refs.parse_ref(value) is not None


def is_label(value: Json) -> bool:
    """What a goal or a step is called: printable, and short enough for a line."""
    return isinstance(value, str) and 1 <= len(value) <= LABEL_CHARS_MAX and value.isprintable()


def is_slug(value: Json) -> bool:
    """A word for programs, as the reasons of errors are."""
    return isinstance(value, str) and value != "" and _SLUG.issuperset(value)


def is_slug_or_null(value: Json) -> bool:
    """A word for programs, or null."""
    return value is None or is_slug(value)


def is_bool(value: Json) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_positive(value: Json) -> bool:
    """An integer from 1 to 2^53 - 1."""
    return shapes.is_count(value) and value != 0


def is_count_or_null(value: Json) -> bool:
    """An integer from 0 to 2^53 - 1, or null."""
    return value is None or shapes.is_count(value)


def is_text_or_null(value: Json) -> bool:
    """A string that is not empty, or null."""
    return value is None or shapes.is_text(value)


def is_digest_or_null(value: Json) -> bool:
    """A digest, or null."""
    return value is None or digests.is_digest(value)


def is_error(value: Json) -> bool:
    """A code of the table, with a reason that need not be one of today's."""
    return shapes.problem(value, _ERROR, "error") is None


def is_error_or_null(value: Json) -> bool:
    """An error, or null."""
    return value is None or is_error(value)


def is_file(value: Json) -> bool:
    """A file as facts name it."""
    return shapes.problem(value, FILE, "file") is None


def is_head(value: Json) -> bool:
    """Where a ledger ended: how many events, and the hash of the last."""
    return shapes.problem(value, _HEAD, "head") is None


_ERROR: shapes.Shape = {"code": lambda value: value in CODES, "reason": is_slug}

_HEAD: shapes.Shape = {"count": is_positive, "hash": digests.is_digest}

FILE: shapes.Shape = {
    "path": is_path,
    "cid": digests.is_digest,
    "size_bytes": shapes.is_count,
}
