"""The inputs' validator agrees with another author's on the subset it understands."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from orchestrator.execution.input_schema import problem
from tests.property.profile import searched

type Schema = dict[str, Any]

NAMES = st.sampled_from(["a", "b", "c", "\u00e9"])
TEXT = st.text(st.sampled_from("ab\u00e9\U0001f600"), max_size=4)
SMALL = st.integers(0, 4)
NUMBERS = st.integers(-3, 6) | st.sampled_from([-1.5, 0.0, 1.0, 2.5, 4.0])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


def with_some(fixed: Schema, **optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    """A schema with any of the optional keywords."""
    return st.fixed_dictionaries({}, optional=optional).map(lambda found: fixed | found)


STRINGS = with_some(
    {"type": "string"},
    minLength=SMALL,
    maxLength=SMALL,
    enum=st.lists(TEXT, min_size=1, max_size=3),
)
QUANTITIES = st.sampled_from(["integer", "number"]).flatmap(
    lambda kind: with_some(
        {"type": kind},
        minimum=NUMBERS,
        maximum=NUMBERS,
        enum=st.lists(NUMBERS, min_size=1, max_size=3),
    )
)


def larger(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    """Arrays and objects of schemas."""
    arrays = with_some({"type": "array"}, minItems=SMALL, maxItems=SMALL, items=inner)
    objects = st.dictionaries(NAMES, inner, max_size=3).flatmap(
        lambda properties: with_some(
            {"type": "object", "properties": properties},
            required=st.lists(st.sampled_from(sorted(properties)), unique=True)
            if properties
            else st.just([]),
        )
    )
    return arrays | objects


SCHEMAS = st.recursive(
    st.just({"type": "boolean"}) | STRINGS | QUANTITIES,
    larger,
    max_leaves=6,
)


def closed(schema: Schema) -> Schema:
    """The schema as everybody else has to write it: objects closed by a keyword."""
    found = dict(schema)
    if "properties" in found:
        found["properties"] = {name: closed(part) for name, part in found["properties"].items()}
    if "items" in found:
        found["items"] = closed(found["items"])
    if found["type"] == "object":
        found["additionalProperties"] = False
    return found


@st.composite
def likely(draw: st.DrawFn, schema: Schema) -> object:
    """A value that has a good chance to be of a schema."""
    if draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    if "enum" in schema and draw(st.booleans()):
        return draw(st.sampled_from(schema["enum"]))
    match schema["type"]:
        case "object":
            names = draw(
                st.lists(st.sampled_from(sorted(schema["properties"])), unique=True)
                if schema["properties"]
                else st.just([])
            )
            names = sorted({*names, *schema.get("required", [])})
            return {name: draw(likely(schema["properties"][name])) for name in names}
        case "array":
            items = schema.get("items")
            return draw(st.lists(likely(items) if items else VALUES, max_size=4))
        case "string":
            return draw(TEXT)
        case "boolean":
            return draw(st.booleans())
    return draw(NUMBERS)


PAIRS = SCHEMAS.flatmap(lambda schema: st.tuples(st.just(schema), likely(schema)))
seen = {True: 0, False: 0}


@searched
@given(PAIRS)
def test_the_verdict_is_that_of_the_jsonschema_package(pair: tuple[Schema, Any]) -> None:
    schema, value = pair
    expected = Draft202012Validator(closed(schema)).is_valid(value)
    seen[expected] += 1

    assert (problem(value, schema) is None) == expected


def test_the_pairs_that_were_tried_are_of_both_kinds() -> None:
    """Runs alone too, so it tries pairs of its own."""
    test_the_verdict_is_that_of_the_jsonschema_package()

    assert min(seen.values()) > 50
