"""Any bytes: a goal that says the same when it is read again, or ``invalid_goal`` with a line."""

from __future__ import annotations

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.goals import goal as goals
from orchestrator.goals import goal_file
from processors.protocol.errors import ContractError
from tests.property.profile import searched

GOOD = """\
schema: v1
name: digest
summary: each document has a text
budget_micro_usd: 500000
processors: [doc/extract@1]
predicates:
  - name: texts
    predicate: artifact.size_between
    for_each: /artifacts/raw/{name}.pdf
    args: {path: "/artifacts/text/{name}/outputs/text.md", at_least_bytes: 1, at_most_bytes: 9}
  - {name: ok, predicate: json.schema_ok, args: {path: /artifacts/a, schema: {type: object}}}
  - {name: says, predicate: text.matches, scope: admission, args: {path: /artifacts/a, pattern: x}}
  - {name: is, predicate: json.matches, args: {path: /artifacts/a, expression: "a == `1`"}}
transitions:
  - {ref: doc/extract@1, write_prefix: /artifacts/x/, use: {source: /artifacts/a}}
"""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
WORDS = [
    "{name}",
    "{",
    "&a ",
    "*a",
    "!!int",
    "1e999",
    "0x1",
    "\x00",
    "\ud800",
    "- ",
    ": ",
    "[" * 40,
]


def mistake(data: bytes) -> str | None:
    """What is wrong with a file, or None if it is a goal, which then reads back as itself."""
    try:
        found = goal_file.load(data, "goal.yaml")
    except ContractError as error:
        wrong = error
    else:
        again = goals.parse(found.encode())
        assert (again.id, again.document) == (found.id, found.document)
        assert found.proving
        return None
    assert (wrong.code, wrong.reason) == ("ERR_INPUTS", "invalid_goal")
    assert wrong.message.startswith("goal.yaml: ")
    return wrong.message.removeprefix("goal.yaml: ")


@pytest.mark.proves("WL-4")
@searched
@given(st.binary(max_size=200))
def test_any_bytes_are_a_goal_or_a_mistake(data: bytes) -> None:
    mistake(data)


@searched
@given(st.integers(0, len(GOOD)), st.integers(0, 12), st.sampled_from(WORDS) | st.text(max_size=6))
def test_a_goal_with_something_else_in_one_place_is_one_or_a_mistake(
    at: int, size: int, text: str
) -> None:
    mistake((GOOD[:at] + text + GOOD[at + size :]).encode("utf-8", "surrogatepass"))


def places(value: object, at: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where anything stands in a document."""
    found = [at] if at else []
    inner = value.items() if isinstance(value, dict) else []
    for key, item in [*inner, *enumerate(value if isinstance(value, list) else [])]:
        found += places(item, (*at, key))
    return found


@searched
@given(st.sampled_from(places(yaml.safe_load(GOOD))), JSON)
def test_a_goal_with_any_other_value_is_one_or_a_mistake_with_a_line(
    place: tuple[str | int, ...], value: object
) -> None:
    document = yaml.safe_load(GOOD)
    at = document
    for part in place[:-1]:
        at = at[part]
    at[place[-1]] = value
    data = yaml.safe_dump(document, allow_unicode=False).encode("utf-8", "surrogatepass")

    message = mistake(data)

    assert message is None or re.match(r"(line [1-9]\d*: |unacceptable character)", message)
