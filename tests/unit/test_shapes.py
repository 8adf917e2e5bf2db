"""Shapes: closed objects, judged key by key."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from processors.protocol import shapes
from processors.protocol.canonical import Json

SHAPE: shapes.Shape = {"name": shapes.is_text, "size": shapes.is_count}
NOTHING: list[Json] = [None, True, False, 0, 1, 1.0, "", "x", [], {}]


def test_an_object_of_the_shape_has_no_problem() -> None:
    assert shapes.problem({"size": 0, "name": "a"}, SHAPE, "it") is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "it is a JSON null"),
        ([], "it is a JSON array"),
        ("{}", "it is a JSON string"),
        ({}, "it lacks name, size"),
        ({"name": "a"}, "it lacks size"),
        ({"name": "a", "size": 1, "more": 1, "most": 1}, "it has 2 member(s)"),
        ({"name": "", "size": 1}, "it.name has a value"),
        ({"name": "a", "size": -1}, "it.size has a value"),
    ],
)
def test_the_first_problem_is_named_and_no_value_is_quoted(value: Json, words: str) -> None:
    found = shapes.problem(value, SHAPE, "it")

    assert found is not None
    assert found.startswith(words)
    assert "more" not in found


def test_each_predicate_accepts_its_own_type_alone() -> None:
    accepted: dict[Callable[[Json], bool], list[Json]] = {
        shapes.is_text: ["x"],
        shapes.is_count: [0, 1],
        shapes.is_object: [{}],
        shapes.is_list: [[]],
    }
    for predicate, values in accepted.items():
        seen = [value for value in NOTHING if predicate(value)]
        assert [(type(value), value) for value in seen] == [
            (type(value), value) for value in values
        ]


def test_a_count_ends_at_the_largest_safe_integer() -> None:
    assert shapes.is_count(2**53 - 1)
    assert not shapes.is_count(2**53)


def test_members_are_read_by_their_type() -> None:
    document: Json = {"text": "a", "count": 3, "members": {"x": 1}}

    assert shapes.text(document, "text") == "a"
    assert shapes.count(document, "count") == 3
    assert shapes.members(document, "members") == {"x": 1}
