"""The chain's encoder gives the bytes of canonical JSON for everything that facts can hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.world import facts, grammar
from orchestrator.world.chain import START, encode, seal, verified
from processors.protocol.canonical import SAFE_INTEGER_MAX, Json, canonical
from tests.fixtures.lives import AT, CREATED
from tests.property.profile import searched

# What encoders differ on: controls, DEL, what JavaScript escapes, beyond the basic plane.
ODD = st.sampled_from([*map(chr, range(0x20)), *'"\\/\x7f\x80\u2028\u2029\ufeff\uffff\U0001f600'])
TEXT = st.text(st.characters(exclude_categories=["Cs"]) | ODD, max_size=12)
KEYS = st.text(st.characters(max_codepoint=0x7F), max_size=6)
INTEGERS = st.integers(-SAFE_INTEGER_MAX, SAFE_INTEGER_MAX)
PLAIN: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | INTEGERS | TEXT,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
ANY: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.proves("WL-3")
@searched
@given(PLAIN)
def test_plain_json_is_encoded_as_rfc_8785_has_it(value: Json) -> None:
    assert encode(value) == canonical(value)


@searched
@given(PLAIN | ANY)
def test_what_counts_as_plain_is_encoded_as_rfc_8785_has_it(value: Json) -> None:
    if grammar.is_plain(value):
        try:
            expected = canonical(value)
        except UnicodeEncodeError:  # a lone surrogate
            with pytest.raises(UnicodeEncodeError):
                encode(value)
        else:
            assert encode(value) == expected


@searched
@given(st.text(min_size=1))
def test_any_text_in_a_fact_is_sealed_and_comes_back_or_is_refused(mime: str) -> None:
    first = seal(START, *CREATED, AT)
    data: dict[str, Json] = {
        "path": "/artifacts/a",
        "cid": first.hash,
        "size_bytes": 1,
        "mime": mime,
        "source": None,
    }
    assert facts.problem("artifact.put", 2, data) is None
    try:
        mime.encode("utf-8")
    except UnicodeEncodeError:
        return
    stored = [(1, first.body, first.hash)]
    [created] = verified(stored)
    event = seal(type(START)(created.seq, created.hash), "artifact.put", data, AT)

    *_, last = verified([*stored, (2, event.body, event.hash)])

    assert last.data == data
    assert canonical(last.data) in event.body
