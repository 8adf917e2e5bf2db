"""Strict JSON in, canonical JSON out.

``parse`` accepts RFC 8259 text that is also I-JSON (RFC 7493): UTF-8, no duplicate keys, no lone
surrogates, no number beyond 2^53 - 1. ``canonical`` writes the bytes of RFC 8785 (JCS): keys in
UTF-16 order, numbers in the form of ECMA-262 section 6.1.6.1.20. For every value that ``parse``
returns, ``parse(canonical(value))`` gives the value back and ``canonical`` of that the same bytes.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring

from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

type Json = bool | int | float | str | list[Json] | dict[str, Json] | None

SAFE_INTEGER_MAX = 2**53 - 1  # RFC 7493 section 2.2
DEPTH_MAX = 64  # levels; deeper data is a document and belongs in an artifact
DOCUMENT_BYTES_MAX = 1_048_576  # one MiB of JSON; larger data is attached as a file


def parse(
    data: bytes,
    what: str,
    *,
    bytes_max: int = DOCUMENT_BYTES_MAX,
    depth_max: int = DEPTH_MAX,
    marks_max: int | None = None,
) -> Json:
    """Parse one JSON document.

    Args:
        data: The whole document, UTF-8.
        what: How messages call the document, for example ``"--inputs-json"``.
        bytes_max: The largest document accepted, in bytes.
        depth_max: The deepest nesting accepted, in levels.
        marks_max: How many commas and opening brackets are accepted, those in strings included.
            They bound the values: as Python's objects, these take up to thirty times their text.

    Raises:
        ContractError: ``ERR_INPUTS`` with the reason that fits; the message never holds data.
    """
    if len(data) > bytes_max:
        raise inputs_error("too_large", f"{what} has {len(data)} bytes; at most {bytes_max}")
    if marks_max is not None and sum(map(data.count, (b",", b"[", b"{"))) > marks_max:
        raise inputs_error("too_large", f"{what} has more than {marks_max} commas and brackets")
    if data.startswith(b"\xef\xbb\xbf"):
        raise inputs_error("bad_encoding", f"{what} starts with a byte order mark; leave it out")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise inputs_error("bad_encoding", f"{what} is not UTF-8 at byte {error.start}") from None
    guard = _Guard(what)
    try:
        value: Json = json.loads(
            text,
            object_pairs_hook=guard.pairs,
            parse_int=guard.integer,
            parse_float=guard.number,
            parse_constant=guard.number,
        )
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise inputs_error("bad_json", f"{what} is not JSON: {error.msg} at {where}") from None
    except RecursionError:
        raise _too_deep(what) from None
    # UTF-8 has no surrogates, so only an escape can be one; and so few brackets nest no deeper.
    if b"\\u" in data or data.count(b"[") + data.count(b"{") > depth_max:
        _check(value, what, depth_max)
    return value


def parse_object(
    data: bytes,
    what: str,
    *,
    bytes_max: int = DOCUMENT_BYTES_MAX,
    depth_max: int = DEPTH_MAX,
    marks_max: int | None = None,
) -> dict[str, Json]:
    """Parse one JSON document that must be an object; see ``parse``."""
    value = parse(data, what, bytes_max=bytes_max, depth_max=depth_max, marks_max=marks_max)
    if not isinstance(value, dict):
        raise inputs_error("not_an_object", f"{what} is a JSON {kind(value)}, not an object")
    return value


def canonical(value: Json) -> bytes:
    """Return the RFC 8785 bytes of a value.

    Raises:
        ValueError: The value has a number or string that RFC 8785 cannot write.
    """
    if _is_plain((value,)):
        return _ENCODER.encode(value).encode("utf-8")
    out: list[str] = []
    _write(value, out)
    return "".join(out).encode("utf-8")


def kind(value: Json) -> str:
    """The JSON type of a value, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return {str: "string", list: "array", dict: "object"}[type(value)]


class _Guard:
    """The parser's hooks: they see every object and number before it becomes a value."""

    __slots__ = ("what",)

    def __init__(self, what: str) -> None:
        self.what = what

    def pairs(self, pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise inputs_error("duplicate_key", f"{self.what} names a key twice in one object")
        return found

    def integer(self, text: str) -> int:
        # The length check comes first: int() of a long literal takes quadratic time.
        if len(text) > 17 or abs(value := int(text)) > SAFE_INTEGER_MAX:
            raise self._range()
        return value

    def number(self, text: str) -> float:
        # NaN fails the comparison, so it is refused here too.
        if not abs(value := float(text)) <= SAFE_INTEGER_MAX:
            raise self._range()
        return value

    def _range(self) -> ContractError:
        limit = f"at most {SAFE_INTEGER_MAX} in size"
        return inputs_error("number_out_of_range", f"{self.what} has a number that is not {limit}")


def _too_deep(what: str) -> ContractError:
    return inputs_error("too_deep", f"{what} is nested too deep; at most {DEPTH_MAX} levels")


def _check(value: Json, what: str, levels: int) -> None:
    """Refuse what the parser's hooks cannot see: depth and lone surrogates."""
    if isinstance(value, str):
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise inputs_error("bad_unicode", f"{what} holds a lone surrogate") from None
    elif isinstance(value, list | dict):
        if levels < 1:
            raise _too_deep(what)
        if isinstance(value, dict):
            for key in value:
                _check(key, what, levels)
        for item in value.values() if isinstance(value, dict) else value:
            _check(item, what, levels - 1)


def _is_plain(values: Iterable[Json]) -> bool:
    """Whether there is no float, no unsafe integer and no key outside ASCII in any of some values.

    For these, as nearly all are, the standard encoder, written in C, gives the same bytes.
    """
    for value in values:
        found = type(value)
        if found is str or value is None or found is bool:
            continue
        if isinstance(value, dict):
            if not ("".join(value).isascii() and _is_plain(value.values())):
                return False
        elif isinstance(value, list):
            if not _is_plain(value):
                return False
        elif not isinstance(value, int) or not -SAFE_INTEGER_MAX <= value <= SAFE_INTEGER_MAX:
            return False
    return True


def _write(value: Json, out: list[str]) -> None:
    if value is None:
        out.append("null")
    elif isinstance(value, bool):
        out.append("true" if value else "false")
    elif isinstance(value, str):
        out.append(encode_basestring(value))
    elif isinstance(value, int):
        if abs(value) > SAFE_INTEGER_MAX:
            raise ValueError("integer beyond 2^53 - 1")
        out.append(str(value))
    elif isinstance(value, float):
        out.append(_number(value))
    elif isinstance(value, list):
        separator = "["
        for item in value:
            out.append(separator)
            _write(item, out)
            separator = ","
        out.append("]" if value else "[]")
    else:
        separator = "{"
        # Code points and UTF-16 units sort ASCII alike; the codec costs start-up time.
        for key in sorted(value, key=None if "".join(value).isascii() else _utf16):
            out.append(separator)
            out.append(encode_basestring(key))
            out.append(":")
            _write(value[key], out)
            separator = ","
        out.append("}" if value else "{}")


_ENCODER = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, sort_keys=True, check_circular=False, separators=(",", ":")
)


def _utf16(key: str) -> bytes:
    """The sort key of RFC 8785 section 3.2.3."""
    return key.encode("utf-16-be")


def _number(value: float) -> str:
    """ECMA-262 Number::toString; Python's repr has the same shortest digits, not the same form."""
    if value == 0:
        return "0"
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError("not a finite number")
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    point = len(whole) + int(exponent or 0)
    digits = whole + fraction
    point -= len(digits) - len(digits.lstrip("0"))
    digits = digits.strip("0")
    count = len(digits)
    if count <= point <= 21:
        text = digits + "0" * (point - count)
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{digits}"
    else:
        tail = f".{digits[1:]}" if count > 1 else ""
        text = f"{digits[0]}{tail}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return sign + text
