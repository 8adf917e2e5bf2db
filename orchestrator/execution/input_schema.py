"""The subset of JSON Schema that ``registry.yaml`` may use for inputs, and its validator.

Keywords: ``type, description, properties, required, enum, minimum, maximum, minLength, maxLength,
items, minItems, maxItems``. An object is always closed (as with ``additionalProperties: false``).
What a registry may say is checked when it is built; a keyword outside the subset never gets here.
"""

from __future__ import annotations

from processors.protocol.canonical import Json, kind

TYPES = ("string", "integer", "number", "boolean", "object", "array")
_SIZES = (
    ("minLength", "maxLength", str, "characters"),
    ("minItems", "maxItems", list, "items"),
)


def problem(value: Json, schema: dict[str, Json], where: str = "inputs") -> str | None:
    """Say where and how a value breaks a schema, or None. Never quotes the value."""
    wanted = schema["type"]
    if not _is_type(value, wanted):
        return f"{where} is a JSON {kind(value)}, not of type {wanted}"
    allowed = schema.get("enum")
    if isinstance(allowed, list) and not any(_is_same(value, item) for item in allowed):
        return f"{where} is none of {', '.join(str(item) for item in allowed)}"
    if (found := _range_problem(value, schema, where)) is not None:
        return found
    if isinstance(value, dict):
        return _object_problem(value, schema, where)
    if isinstance(value, list):
        return _array_problem(value, schema, where)
    return None


def _is_type(value: Json, wanted: Json) -> bool:
    if isinstance(value, bool):
        return wanted == "boolean"
    if isinstance(value, float):
        return wanted == "number" or (wanted == "integer" and value.is_integer())
    if isinstance(value, int):
        return wanted in ("integer", "number")
    return kind(value) == wanted


def _is_same(value: Json, other: Json) -> bool:
    """Equality as JSON has it: true is not 1."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _range_problem(value: Json, schema: dict[str, Json], where: str) -> str | None:
    if isinstance(value, int | float):
        low, high = schema.get("minimum"), schema.get("maximum")
        if isinstance(low, int | float) and value < low:
            return f"{where} is less than {low}"
        if isinstance(high, int | float) and value > high:
            return f"{where} is more than {high}"
    for low_key, high_key, sized, unit in _SIZES:
        if isinstance(value, sized):
            low, high = schema.get(low_key), schema.get(high_key)
            if isinstance(low, int) and len(value) < low:
                return f"{where} has {len(value)} {unit}; at least {low}"
            if isinstance(high, int) and len(value) > high:
                return f"{where} has {len(value)} {unit}; at most {high}"
    return None


def _object_problem(value: dict[str, Json], schema: dict[str, Json], where: str) -> str | None:
    properties, required = schema.get("properties"), schema.get("required")
    known = properties if isinstance(properties, dict) else {}
    needed = [str(name) for name in required] if isinstance(required, list) else []
    if missing := [name for name in needed if name not in value]:
        return f"{where} lacks {', '.join(missing)}"
    if extra := [name for name in value if name not in known]:
        return f"{where} has {len(extra)} unknown member(s); known: {', '.join(known) or 'none'}"
    for name, item in value.items():
        part = known[name]
        assert isinstance(part, dict)
        if (found := problem(item, part, f"{where}.{name}")) is not None:
            return found
    return None


def _array_problem(value: list[Json], schema: dict[str, Json], where: str) -> str | None:
    part = schema.get("items")
    if isinstance(part, dict):
        for index, item in enumerate(value):
            if (found := problem(item, part, f"{where}[{index}]")) is not None:
                return found
    return None
