"""What is kept of a stream: its last bytes, and the digest and length of all of it."""

from __future__ import annotations

import hashlib

import pytest

from processors.protocol.spawn import RETURNCODE_TIME_LIMIT, TAIL_BYTES_MAX, Ended, Tail


def fed(*chunks: bytes, keep_bytes: int = 8) -> Tail:
    tail = Tail(keep_bytes)
    for chunk in chunks:
        tail.feed(chunk)
    return tail


def test_a_short_stream_is_kept_whole() -> None:
    tail = fed(b"ab", b"", b"cd")

    assert tail.data == b"abcd"
    assert tail.complete
    assert tail.size_bytes == 4


def test_an_empty_stream_has_a_digest_too() -> None:
    assert fed().digest == "sha256:" + hashlib.sha256().hexdigest()
    assert fed().complete
    assert fed().text() == ""


def test_digest_and_length_are_those_of_the_whole_stream() -> None:
    tail = fed(*[b"0123456789"] * 100)

    assert tail.digest == "sha256:" + hashlib.sha256(b"0123456789" * 100).hexdigest()
    assert tail.size_bytes == 1_000
    assert not tail.complete


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, 16, 17, 1_000])
def test_memory_is_bounded_and_the_last_bytes_are_kept(size: int) -> None:
    stream = bytes(range(256)) * 8
    tail = Tail(8)
    for start in range(0, len(stream), size):
        tail.feed(stream[start : start + size])
        assert len(tail.data) <= 16

    assert tail.data[-8:] == stream[-8:]
    assert stream.endswith(tail.data)


def test_text_is_cut_at_a_characters_boundary() -> None:
    for character in ("\u00e9", "\u20ac", "\U0001f600"):
        stream = (character * 5_000).encode()
        for extra in range(len(character.encode())):
            text = fed(stream, b"x" * extra, keep_bytes=TAIL_BYTES_MAX).text()
            assert "\ufffd" not in text
            assert text.endswith(character + "x" * extra)
            assert TAIL_BYTES_MAX - 4 < len(text.encode()) <= TAIL_BYTES_MAX


def test_text_of_bytes_that_are_no_text_is_still_text() -> None:
    assert fed(b"a\xff\xfeb").text() == "a\ufffd\ufffdb"


def test_text_of_bytes_that_are_no_text_stays_within_the_limit() -> None:
    text = fed(b"\xff" * TAIL_BYTES_MAX).text()

    assert 0 < len(text.encode()) <= TAIL_BYTES_MAX


def test_text_can_be_asked_for_shorter() -> None:
    assert fed(b"abcdef").text(3) == "def"


@pytest.mark.proves("SP-6")
def test_the_end_of_a_child_has_status_tails_and_time() -> None:
    ended = Ended(
        returncode=RETURNCODE_TIME_LIMIT,
        stdout=fed(b"out"),
        stderr=fed(b"err"),
        elapsed_ms=7,
        timed_out=True,
        stopped=None,
    )

    assert (ended.returncode, ended.elapsed_ms, ended.timed_out) == (124, 7, True)
    assert (ended.stdout.text(), ended.stderr.text(), ended.stopped) == ("out", "err", None)
