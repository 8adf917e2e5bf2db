"""A flipped bit is found, or changes nothing that a ledger says; ``tools/torture`` flips more."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.lives import story
from tests.property.profile import searched
from tools.torture.flipping import Original, judge

EVENTS = 120
HEADER_BYTES = 100


@pytest.fixture(scope="module")
def original() -> Iterator[Original]:
    """The ledger whose copies are flipped."""
    with tempfile.TemporaryDirectory() as folder:
        yield Original(os.path.join(folder, "w"), story(EVENTS - 1))


def unseen(original: Original, offset: int, mask: int) -> str | None:
    """What a flip changes without being found; None if it is found or harmless."""
    with tempfile.TemporaryDirectory() as folder:
        return judge(original, os.path.join(folder, "copy"), offset, mask) or None


def spots(original: Original, words: bytes) -> list[int]:
    """Where some bytes stand in the file."""
    return [found.start() for found in re.finditer(re.escape(words), original.data)]


@pytest.mark.proves("WL-3")
@settings(searched, max_examples=150)
@given(share=st.floats(0, 1, exclude_max=True), mask=st.integers(1, 255))
def test_a_flip_anywhere_is_found_or_harmless(original: Original, share: float, mask: int) -> None:
    assert unseen(original, int(share * len(original.data)), mask) is None


@pytest.mark.proves("WL-3")
@settings(searched, max_examples=150)
@given(offset=st.integers(0, HEADER_BYTES - 1), mask=st.integers(1, 255))
def test_a_flip_in_the_files_header_is_found_or_harmless(
    original: Original, offset: int, mask: int
) -> None:
    assert unseen(original, offset, mask) is None


@pytest.mark.proves("WL-3")
@settings(searched, max_examples=150)
@given(data=st.data(), mask=st.integers(1, 255))
def test_a_flip_in_a_digest_is_found_in_tables_and_indexes_too(
    original: Original, data: st.DataObject, mask: int
) -> None:
    spot = data.draw(st.sampled_from(spots(original, b"sha256:"))) + data.draw(st.integers(0, 70))

    assert unseen(original, min(spot, len(original.data) - 1), mask) is None


@pytest.mark.proves("WL-3")
@settings(searched, max_examples=60)
@given(data=st.data())
def test_a_flip_in_a_stored_event_is_always_found(original: Original, data: st.DataObject) -> None:
    """Free space may take a flip unnoticed; what was written for an event may not."""
    spot = data.draw(st.sampled_from(spots(original, b'"type":"'))) + data.draw(st.integers(0, 7))
    mask = data.draw(st.integers(1, 255))

    with tempfile.TemporaryDirectory() as folder:
        assert judge(original, os.path.join(folder, "copy"), spot, mask) == ""
