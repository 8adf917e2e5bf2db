"""Checks of closed JSON objects that come from another process.

A shape maps each key to a predicate; every key is required and no other is allowed.
"""

from __future__ import annotations

from processors.protocol.canonical import SAFE_INTEGER_MAX, Json, kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

type Shape = dict[str, Callable[[Json], bool]]


def is_text(value: Json) -> bool:
    """A string that is not empty."""
    return isinstance(value, str) and value != ""


def is_count(value: Json) -> bool:
    """An integer from 0 to 2^53 - 1."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= SAFE_INTEGER_MAX


def is_object(value: Json) -> bool:
    """An object."""
    return isinstance(value, dict)


def is_list(value: Json) -> bool:
    """An array."""
    return isinstance(value, list)


def text(document: Json, key: str) -> str:
    """The string member of an object that has passed its shape."""
    assert isinstance(document, dict)
    value = document[key]
    assert isinstance(value, str)
    return value


def count(document: Json, key: str) -> int:
    """The integer member of an object that has passed its shape."""
    assert isinstance(document, dict)
    value = document[key]
    assert isinstance(value, int)
    return value


def members(document: Json, key: str) -> dict[str, Json]:
    """The object member of an object that has passed its shape."""
    assert isinstance(document, dict)
    value = document[key]
    assert isinstance(value, dict)
    return value


def problem(value: Json, shape: Shape, where: str) -> str | None:
    """Say what keeps a value from having a shape, or None if nothing does."""
    if not isinstance(value, dict):
        return f"{where} is a JSON {kind(value)}, not an object"
    if value.keys() != shape.keys():
        if missing := sorted(shape.keys() - value.keys()):
            return f"{where} lacks {', '.join(missing)}"
        extra = len(value.keys() - shape.keys())
        return f"{where} has {extra} member(s) that are not of the contract"
    for key, accepts in shape.items():
        if not accepts(value[key]):
            return f"{where}.{key} has a value that is not of the contract"
    return None
