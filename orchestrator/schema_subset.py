"""Whether a schema is one that ``input_schema`` understands: not more, and nothing else.

Asked where a schema is written down, in a registry or a goal; whoever validates by it later need
not look again.
"""

from __future__ import annotations

import math

from orchestrator.execution import input_schema
from orchestrator.execution.input_schema import TYPES
from processors.protocol.canonical import SAFE_INTEGER_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from processors.protocol.canonical import Json

    type Place = tuple[str | int, ...]

LEVELS_MAX = 16  # a level takes two of DEPTH_MAX, where the built registry is read as JSON

# What the value of each keyword must be, and for which types the keyword has a meaning.
_ANY = frozenset(TYPES)
_NUMBERS = frozenset({"integer", "number"})
_KEYWORD_RULES: dict[str, tuple[frozenset[str], type | tuple[type, ...]]] = {
    "type": (_ANY, str),
    "description": (_ANY, str),
    "enum": (_ANY - {"object", "array"}, list),
    "minimum": (_NUMBERS, (int, float)),
    "maximum": (_NUMBERS, (int, float)),
    "minLength": (frozenset({"string"}), int),
    "maxLength": (frozenset({"string"}), int),
    "minItems": (frozenset({"array"}), int),
    "maxItems": (frozenset({"array"}), int),
    "items": (frozenset({"array"}), dict),
    "properties": (frozenset({"object"}), dict),
    "required": (frozenset({"object"}), list),
}

# Pairs of which the first is at most the second, or no value fits.
_RANGES = (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems"))
_SIZES = frozenset({"minLength", "maxLength", "minItems", "maxItems"})


class PlacedError(ValueError):
    """A mistake in a document that people write, and the keys that lead to it."""

    def __init__(self, place: Place, message: str) -> None:
        self.place = place
        super().__init__(message)


def check(schema: object, place: Place, depth: int = 1) -> None:
    """Refuse a schema that says more, or something else, than the validator understands.

    So is one that nothing can fit: whoever wrote it meant something else.

    Raises:
        PlacedError: The schema is refused; the message says what is wrong, and where.
    """
    where = ".".join(map(str, place))
    if depth > LEVELS_MAX:
        raise PlacedError(place, f"{where} is nested too deep; at most {LEVELS_MAX} levels")
    if not isinstance(schema, dict):
        raise PlacedError(place, f"{where} must be a schema (an object)")
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise PlacedError((*place, "type"), f"{where}.type must be one of {', '.join(TYPES)}")
    for keyword, value in schema.items():
        if (wrong := _keyword_problem(keyword, value, kind, where)) is not None:
            raise PlacedError((*place, str(keyword)), wrong)
    _check_something_fits(schema, place, where)
    for name, part in schema.get("properties", {}).items():
        if not isinstance(name, str):
            raise PlacedError(
                (*place, "properties"), f"{where}.properties has a name that is no string"
            )
        check(part, (*place, "properties", name), depth + 1)
    if unknown := sorted(set(schema.get("required", [])) - set(schema.get("properties", {}))):
        raise PlacedError(
            (*place, "required"),
            f"{where}.required names {', '.join(unknown)}, which is no property",
        )
    if "items" in schema:
        check(schema["items"], (*place, "items"), depth + 1)


def _check_something_fits(schema: dict[str, Json], place: Place, where: str) -> None:
    """Refuse a schema of keywords that are right one by one, and contradict each other."""
    for low, high in _RANGES:
        least, most = schema.get(low), schema.get(high)
        if isinstance(least, int | float) and isinstance(most, int | float) and least > most:
            raise PlacedError(
                (*place, low),
                f"{where}.{low} is {least}, more than {high}, {most}; no value is both",
            )
    _check_a_whole_number_fits(schema, place, where)
    listed = schema.get("enum")
    if not isinstance(listed, list):
        return
    if not listed:
        raise PlacedError((*place, "enum"), f"{where}.enum is empty; expected a value")
    rest = {keyword: value for keyword, value in schema.items() if keyword != "enum"}
    for index, item in enumerate(listed):
        if (wrong := input_schema.problem(item, rest, f"{where}.enum[{index}]")) is not None:
            raise PlacedError((*place, "enum", index), wrong)


def _check_a_whole_number_fits(schema: dict[str, Json], place: Place, where: str) -> None:
    least, most = schema.get("minimum"), schema.get("maximum")
    if (
        schema["type"] == "integer"
        and isinstance(least, int | float)
        and isinstance(most, int | float)
        and math.ceil(least) > math.floor(most)
    ):
        raise PlacedError((*place, "minimum"), f"{where}: no integer is between {least} and {most}")


def _keyword_problem(keyword: object, value: object, kind: str, where: str) -> str | None:
    if keyword not in _KEYWORD_RULES:
        return f"{where}: unknown keyword {keyword}; expected {', '.join(_KEYWORD_RULES)}"
    kinds, wanted = _KEYWORD_RULES[str(keyword)]
    if kind not in kinds:
        return f"{where}.{keyword} has no meaning for type {kind}"
    if keyword == "items" and not isinstance(value, dict):
        return f"{where}.items must be a schema (an object)"
    if not isinstance(value, wanted) or isinstance(value, bool):
        return f"{where}.{keyword} has a value of the wrong type"
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, int | float) and not abs(part) <= SAFE_INTEGER_MAX:  # NaN fails too
            return f"{where}.{keyword} must be a number of at most {SAFE_INTEGER_MAX} in size"
    if keyword in _SIZES and isinstance(value, int) and value < 0:
        return f"{where}.{keyword} is {value}; expected 0 or more"
    if isinstance(value, list):
        scalar = str if keyword == "required" else (str, int, float)
        if not all(isinstance(item, scalar) for item in value):
            return f"{where}.{keyword} lists something of the wrong type"
    return None
