"""A tail holds the last bytes of its stream, however the stream was cut."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from processors.protocol.spawn import Tail
from tests.property.profile import searched

CHUNKS = st.lists(st.binary(max_size=40), max_size=20)


@searched
@given(CHUNKS, st.integers(1, 50))
def test_the_last_bytes_the_digest_and_the_length_are_those_of_the_stream(
    chunks: list[bytes], keep_bytes: int
) -> None:
    stream = b"".join(chunks)
    tail = Tail(keep_bytes)
    for chunk in chunks:
        tail.feed(chunk)
        assert len(tail.data) <= 2 * keep_bytes

    assert stream.endswith(tail.data)
    assert len(tail.data) >= min(len(stream), keep_bytes)
    assert tail.complete == (tail.data == stream)
    assert tail.size_bytes == len(stream)
    assert tail.digest == "sha256:" + hashlib.sha256(stream).hexdigest()


@searched
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), st.integers(4, 40))
def test_the_tail_of_a_text_is_its_end_without_a_broken_character(
    whole: str, bytes_max: int
) -> None:
    tail = Tail(1_000)
    tail.feed(whole.encode())

    text = tail.text(bytes_max)

    assert whole.endswith(text)
    size = len(text.encode())
    assert size <= bytes_max
    assert size == len(whole.encode()) or size > bytes_max - 4
