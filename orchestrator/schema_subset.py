"""Whether a schema is one that ``input_schema`` understands: not more, and nothing else.

Asked where a schema is written down, in a registry or a goal; whoever validates by it later need
not look again.
"""

from __future__ import annotations

from orchestrator.execution.input_schema import TYPES
from processors.protocol.canonical import SAFE_INTEGER_MAX

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


def check(schema: object, where: str, depth: int = 1) -> None:
    """Refuse a schema that says more, or something else, than the validator understands.

    Raises:
        ValueError: The schema is refused; the message says what is wrong, and where.
    """
    if depth > LEVELS_MAX:
        raise ValueError(f"{where} is nested too deep; at most {LEVELS_MAX} levels")
    if not isinstance(schema, dict):
        raise ValueError(f"{where} must be a schema (an object)")
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise ValueError(f"{where}.type must be one of {', '.join(TYPES)}")
    for keyword, value in schema.items():
        _check_keyword(keyword, value, kind, where)
    for name, part in schema.get("properties", {}).items():
        if not isinstance(name, str):
            raise ValueError(f"{where}.properties has a name that is no string")
        check(part, f"{where}.properties.{name}", depth + 1)
    if unknown := sorted(set(schema.get("required", [])) - set(schema.get("properties", {}))):
        raise ValueError(f"{where}.required names {', '.join(unknown)}, which is no property")
    if "items" in schema:
        check(schema["items"], f"{where}.items", depth + 1)


def _check_keyword(keyword: object, value: object, kind: str, where: str) -> None:
    if keyword not in _KEYWORD_RULES:
        raise ValueError(f"{where}: unknown keyword {keyword}")
    kinds, wanted = _KEYWORD_RULES[str(keyword)]
    if kind not in kinds:
        raise ValueError(f"{where}.{keyword} has no meaning for type {kind}")
    if keyword == "items" and not isinstance(value, dict):
        raise ValueError(f"{where}.items must be a schema (an object)")
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise ValueError(f"{where}.{keyword} has a value of the wrong type")
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, int | float) and not abs(part) <= SAFE_INTEGER_MAX:  # NaN fails too
            raise ValueError(
                f"{where}.{keyword} must be a number of at most {SAFE_INTEGER_MAX} in size"
            )
    if isinstance(value, list):
        scalar = str if keyword == "required" else (str, int, float)
        if not all(isinstance(item, scalar) for item in value):
            raise ValueError(f"{where}.{keyword} lists something of the wrong type")
