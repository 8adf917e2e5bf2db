"""Canonical JSON: one form, equal to another author's, and lossless."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from processors.protocol.canonical import SAFE_INTEGER_MAX, Json, canonical, parse
from processors.protocol.errors import ContractError
from tests.property.profile import searched

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBERS = st.integers(-SAFE_INTEGER_MAX, SAFE_INTEGER_MAX) | st.floats(
    min_value=-SAFE_INTEGER_MAX, max_value=SAFE_INTEGER_MAX
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
VALUES: st.SearchStrategy[Json] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5),
    max_leaves=20,
)


def reordered(value: Json) -> Json:
    """The same value with every object's members in the opposite order."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(item) for item in value] if isinstance(value, list) else value


@pytest.mark.proves("PA-5")
@searched
@given(VALUES)
def test_the_bytes_are_those_of_the_rfc8785_package(value: Json) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.proves("PA-5")
@searched
@given(st.floats(allow_nan=False, allow_infinity=False) | st.floats(1e19, 1e23))
def test_every_finite_number_has_the_form_of_the_rfc8785_package(value: float) -> None:
    assert canonical(value) == rfc8785.dumps(value)
    assert float(canonical(value)) == value


@pytest.mark.proves("PA-5")
@searched
@given(VALUES)
def test_a_value_comes_back_and_its_bytes_stay(value: Json) -> None:
    data = canonical(value)

    assert parse(data, "it") == value
    assert canonical(parse(data, "it")) == data


@pytest.mark.proves("PA-5")
@searched
@given(VALUES)
def test_order_and_spelling_of_the_source_do_not_matter(value: Json) -> None:
    spelled = json.dumps(reordered(value), indent=2, ensure_ascii=True).encode()

    assert canonical(parse(spelled, "it")) == canonical(value)


@searched
@given(st.binary(max_size=40) | VALUES.map(lambda value: canonical(value)[:-1]))
def test_any_bytes_are_a_value_or_one_refusal(data: bytes) -> None:
    code = "ERR_INPUTS"
    try:
        value = parse(data, "it")
    except ContractError as error:
        code = error.code
    else:
        assert canonical(parse(canonical(value), "it")) == canonical(value)
    assert code == "ERR_INPUTS"
