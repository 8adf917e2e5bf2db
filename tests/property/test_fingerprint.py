"""A fingerprint gives back the facts it was made of, so none of them can be forged."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.execution import fingerprint
from tests.property.profile import searched

KEYS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)
TEXTS = st.text(st.sampled_from("%;=3BD25abc\u00e9 "), max_size=12) | st.text(max_size=8)
FACTS = st.dictionaries(KEYS, TEXTS, max_size=6)


@pytest.mark.proves("EV-5")
@searched
@given(FACTS)
def test_parsing_what_was_formatted_is_the_identity(facts: dict[str, str]) -> None:
    text = fingerprint.encode(facts)

    assert fingerprint.decode(text) == facts
    assert fingerprint.encode(fingerprint.decode(text)) == text


@pytest.mark.proves("EV-5")
@searched
@given(FACTS, st.randoms())
def test_the_order_in_which_facts_are_found_does_not_matter(
    facts: dict[str, str], chance: random.Random
) -> None:
    shuffled = list(facts.items())
    chance.shuffle(shuffled)

    text = fingerprint.encode(dict(shuffled))

    assert text == fingerprint.encode(facts)
    items = [item.split("=") for item in text.split(";") if item]
    assert all(len(item) == 2 for item in items)
    assert [key for key, _ in items] == sorted(facts)


@pytest.mark.proves("EV-5")
@searched
@given(FACTS, FACTS)
def test_two_environments_never_share_a_fingerprint(
    one: dict[str, str], other: dict[str, str]
) -> None:
    same = fingerprint.encode(one) == fingerprint.encode(other)

    assert same == (one == other)
