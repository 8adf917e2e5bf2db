"""The validator of a processor's inputs says where a value breaks its schema."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.execution.input_schema import problem
from processors.protocol.canonical import Json

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 3},
        "size": {"type": "integer", "minimum": 0, "maximum": 9},
        "kind": {"type": "string", "enum": ["a", "b"]},
        "ratio": {"type": "number"},
        "on": {"type": "boolean"},
        "parts": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "items": {"type": "object", "properties": {"x": {"type": "integer"}}},
        },
    },
}


@pytest.mark.parametrize(
    "value",
    [
        {"name": "abc"},
        {"name": "\U0001f600\U0001f600\U0001f600"},
        {"name": "a", "size": 0, "kind": "b", "ratio": 1, "on": False, "parts": [{}, {"x": 1}]},
        {"name": "a", "size": 9.0},
    ],
)
def test_a_value_of_the_schema_has_no_problem(value: Json) -> None:
    assert problem(value, SCHEMA) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "inputs is a JSON array, not of type object"),
        (None, "inputs is a JSON null"),
        ({}, "inputs lacks name"),
        ({"name": "a", "more": 1}, "inputs has 1 unknown member(s)"),
        ({"name": ""}, "inputs.name has 0 characters; at least 1"),
        ({"name": "abcd"}, "inputs.name has 4 characters; at most 3"),
        ({"name": None}, "inputs.name is a JSON null"),
        ({"name": "a", "size": -1}, "inputs.size is less than 0"),
        ({"name": "a", "size": 10}, "inputs.size is more than 9"),
        ({"name": "a", "size": 1.5}, "inputs.size is a JSON number, not of type integer"),
        ({"name": "a", "size": True}, "inputs.size is a JSON boolean"),
        ({"name": "a", "ratio": "1"}, "inputs.ratio is a JSON string"),
        ({"name": "a", "on": 1}, "inputs.on is a JSON number"),
        ({"name": "a", "kind": "c"}, "inputs.kind is none of a, b"),
        ({"name": "a", "parts": []}, "inputs.parts has 0 items; at least 1"),
        ({"name": "a", "parts": [{}, {}, {}]}, "inputs.parts has 3 items; at most 2"),
        ({"name": "a", "parts": [{}, {"x": "canary"}]}, "inputs.parts[1].x is a JSON string"),
        ({"name": "a", "parts": [{"canary": 1}]}, "inputs.parts[0] has 1 unknown member(s)"),
    ],
)
def test_a_problem_names_its_place_and_quotes_nothing(value: Json, words: str) -> None:
    found = problem(value, SCHEMA)

    assert found is not None
    assert found.startswith(words)
    assert "canary" not in found
