"""Secret values are masked in every form they travel in, and nothing else is."""

from __future__ import annotations

import base64
import json
import textwrap
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.protocol import redact
from processors.protocol.redact import MASK, Redactor
from tests.property.profile import searched

type Encode = Callable[[bytes], bytes]

VALUE = 'k/e+y "\u00e9\u20ac" 0123456789'
PLAIN = "sk-Example/0123456789+abcdefghijklmnopqrstuvwxyz=NRT"
DIGEST = b"sha256:" + b"ab" * 32

# How the value may stand in a stream.
FORMS = {
    "raw": VALUE.encode(),
    "json": json.dumps(VALUE).encode(),
    "json_utf8": json.dumps(VALUE, ensure_ascii=False).encode(),
    "json_slashes": json.dumps(VALUE).replace("/", "\\/").encode(),
    "url": quote(VALUE, safe="").encode(),
    "json_in_json": json.dumps(json.dumps(VALUE)[1:-1]).encode(),
    "python": repr([VALUE]).encode(),
    "python_ascii": ascii(VALUE).encode(),
    "python_bytes": repr(VALUE.encode()).encode(),
    "url_path": quote(VALUE).encode(),
    "url_lower": b"k%2fe%2by%20%22%c3%a9%e2%82%ac%22%200123456789",
    "form": quote_plus(VALUE).encode(),
    "hex": VALUE.encode().hex().encode(),
    "hex_upper": VALUE.encode().hex().upper().encode(),
    "base64_whole": base64.b64encode(VALUE.encode()),
    "base64_after_1": base64.b64encode(b"x" + VALUE.encode() + b"yz"),
    "base64_after_2": base64.b64encode(b"xx" + VALUE.encode() + b"z"),
    "base64_url": base64.urlsafe_b64encode(b"xx" + VALUE.encode()),
    "basic_auth": base64.b64encode(b"user:" + VALUE.encode()),
}


def masked(*chunks: bytes, values: tuple[str, ...] = (VALUE,)) -> bytes:
    """Feed chunks one by one; return all that comes out."""
    redactor = Redactor(values)
    return b"".join([*map(redactor.feed, chunks), redactor.close()])


def pieces(data: bytes) -> set[bytes]:
    """Everything of eight bytes that stands in some data."""
    return {data[at : at + 8] for at in range(len(data) - 7)}


@pytest.mark.proves("SE-5")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_is_masked(form: bytes) -> None:
    found = masked(b"before " + form + b" after\n")

    assert MASK in found
    assert not pieces(form) & pieces(found.replace(MASK, b""))
    assert found.startswith(b"before ")
    assert found.endswith(b" after\n")


@pytest.mark.proves("SE-5")
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_value_split_over_two_writes_is_masked(form: bytes) -> None:
    whole = b"a" + form + b"b"

    assert {masked(whole[:at], whole[at:]) for at in range(len(whole))} == {masked(whole)}


@pytest.mark.proves("SE-5")
def test_digests_and_ordinary_text_survive() -> None:
    text = DIGEST + b" 0123456789 k/e+y and [redacted] \xff\n"

    assert masked(text) == text
    assert masked(text, values=()) == text


def test_a_value_that_contains_another_is_masked_whole() -> None:
    values = ("secret-value", "secret-value-longer")

    assert masked(b"secret-value-longer secret-value", values=values) == MASK + b" " + MASK


def test_a_whole_line_does_not_wait_for_the_next_one() -> None:
    redactor = Redactor([VALUE])

    assert redactor.feed(b"a line\n") == b"a line\n"


def test_a_line_that_ends_like_a_value_begins_waits_for_a_pause_at_most() -> None:
    redactor = Redactor([PLAIN])
    assert redactor.feed(b"a tas") == b"a t"
    assert redactor.pause() == b""  # no line yet
    assert redactor.feed(b"k: s\n") == b"ask: "
    assert redactor.pause() == b"s\n"
    assert redactor.pause() == b""

    assert redactor.feed(b"next\n") + redactor.close() == b"next\n"


def test_a_value_that_goes_on_after_a_pause_is_masked_from_there() -> None:
    redactor = Redactor([PLAIN])
    found = redactor.feed(b"key sk-E\n") + redactor.pause()
    assert found == b"key sk-E\n"

    found = redactor.feed(PLAIN[4:].encode() + b" after") + redactor.close()

    assert found == MASK + b" after"


def test_much_of_a_value_waits_whatever_the_pause() -> None:
    redactor = Redactor([PLAIN])
    found = redactor.feed(b"key sk-Examp\n") + redactor.pause()
    assert found == b"key "

    assert redactor.feed(PLAIN[8:].encode() + b" after") + redactor.close() == MASK + b" after"


def test_a_value_of_two_lines_is_found_across_them() -> None:
    key = "-----BEGIN-----\nabcdefgh\n-----END-----"

    assert masked(b"x" + key[:20].encode(), key[20:].encode() + b"y", values=(key,)) == (
        b"x" + MASK + b"y"
    )


def in_lines(data: bytes, width: int, end: str) -> bytes:
    """Some data, broken after every ``width`` bytes."""
    lines = [data[at : at + width] for at in range(0, len(data), width)]
    return end.encode().join(lines)


ENDS = ["\n", "\r\n", "\\n", "\\r\\n", "\\\\n", "\n    ", "\r\n\t", "=\r\n", "\\\n", " "]


@pytest.mark.proves("SE-5")
@pytest.mark.parametrize("end", ENDS, ids=ascii)
@pytest.mark.parametrize("width", [16, 19, 60, 64, 76])
@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("form", ["raw", "base64", "hex"])
def test_a_value_broken_into_lines_is_masked(form: str, before: int, width: int, end: str) -> None:
    value = PLAIN * 2
    raw = b"x" * before + value.encode() + b"z"
    encode = {"raw": bytes, "base64": base64.b64encode, "hex": lambda data: data.hex().encode()}
    whole = in_lines(encode[form](raw), width, end)

    found = masked(b"before: " + whole + b"!\nafter\n", values=(value,))

    assert found.count(MASK) == 1
    assert len(found.replace(MASK, b"")) <= len(b"before: !\nafter\n") + 4 * before + 8
    assert found.startswith(b"before: ")
    assert found.endswith(b"!\nafter\n")


def wrapped(data: bytes) -> bytes:
    return textwrap.fill(data.decode()).encode()


@pytest.mark.proves("SE-5")
@pytest.mark.parametrize("encode", [base64.encodebytes, wrapped])
def test_what_a_library_breaks_into_lines_is_masked(encode: Encode) -> None:
    found = masked(encode(b"user:" + PLAIN.encode() * 3), values=(PLAIN * 3,))

    assert found.count(MASK) == 1
    assert len(found) < len(MASK) + 12


@pytest.mark.proves("SE-5", "F-12")
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", range(3))
@pytest.mark.parametrize("after", range(3))
def test_no_bit_of_a_value_is_left_at_the_edges_of_base64(
    encode: Encode, before: int, after: int
) -> None:
    """One character on either side can hold bits of the value and of its neighbour."""
    values = ("abcdefghijklmnopqrst", "~}|{zyxwvutsrqponmlk", "0123456789ABCDEFGHIJ")
    texts = [encode(b"x" * before + value.encode() + b"y" * after) for value in values]

    found = [masked(text, values=(value,)) for text, value in zip(texts, values, strict=True)]

    assert found[0] == found[1] == found[2]


def test_a_value_that_is_stretched_out_of_shape_does_not_fill_the_memory() -> None:
    redactor = Redactor([PLAIN])
    redactor.feed(b"key " + PLAIN[:20].encode())
    passed = [redactor.feed(b"\n" * 4_096) for _ in range(64)]

    assert sum(map(len, passed)) > 63 * 4_096
    assert redactor.feed(PLAIN[20:].encode() + b"!\n").endswith(b"!\n")


def test_a_value_whose_end_never_comes_is_masked_as_far_as_it_came() -> None:
    """A processor that is killed leaves half a line."""
    assert masked(b"the key is " + PLAIN[:20].encode(), values=(PLAIN,)) == b"the key is " + MASK
    assert masked(b"the key is " + PLAIN[:7].encode(), values=(PLAIN,)).endswith(b"sk-Exam")


def test_a_value_that_repeats_itself_takes_nothing_with_it() -> None:
    value = "A.much_longer~value" * 3

    assert masked(value.encode() + b"\n", values=(value,)) == MASK + b"\n"


def test_values_that_overlap_become_one_mask_and_neighbours_two() -> None:
    assert masked(b"<secret-value-longer>", values=("secret-value", "value-longer")) == (
        b"<" + MASK + b">"
    )
    assert masked(b"secret-valuesecret-value", values=("secret-value",)) == MASK + MASK


def test_a_value_of_bytes_that_are_no_text_is_masked() -> None:
    value = b"\xffkey\xfe0123456789".decode("utf-8", "surrogateescape")

    for form in (
        b"\xffkey\xfe0123456789",
        b"\\udcffkey\\udcfe0123456789",
        b"\\\\udcffkey\\\\udcfe0123456789",
        base64.b64encode(b"\xffkey\xfe0123456789"),
    ):
        assert masked(b"<" + form + b">", values=(value,)) in (b"<" + MASK + b">", b"<[redacted]=>")


FRAGMENTS = [
    *(PLAIN, PLAIN[:9], PLAIN[9:], PLAIN[:30], PLAIN[30:], "text ", "nrt", "="),
    *ENDS,
    base64.b64encode(PLAIN.encode()).decode(),
    base64.encodebytes(b"x" + PLAIN.encode() * 2).decode(),
]


@pytest.mark.proves("SE-5")
@searched
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=10), st.lists(st.integers(0, 400), max_size=6))
def test_what_comes_out_does_not_depend_on_the_writes(
    fragments: list[str], cuts: list[int]
) -> None:
    stream = "".join(fragments).encode()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    writes = [stream[start:end] for start, end in pairwise(edges)]

    found = masked(*writes, values=(PLAIN,))

    assert found == masked(stream, values=(PLAIN,))
    assert PLAIN.encode() not in found


@pytest.mark.proves("F-12")
@searched
@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=5),
    st.text(st.characters(min_codepoint=48, max_codepoint=57), min_size=8, max_size=40),
    st.text(st.characters(min_codepoint=65, max_codepoint=90), min_size=8, max_size=40),
)
def test_masked_streams_that_differ_in_the_value_alone_are_equal(
    texts: list[str], one: str, other: str
) -> None:
    """Whatever the two lengths are; around the value stands nothing that could be a part of it."""
    found = {
        masked(*(f"<{text.casefold()}>{value}".encode() for text in texts), b"<>", values=(value,))
        for value in (one, other)
        if not any(character in value for text in texts for character in text.casefold())
    }

    assert len(found) <= 1


def test_a_text_is_masked_even_if_it_cannot_be_written() -> None:
    assert redact.masked(f"a {PLAIN} \ud800", [PLAIN]) == "a [redacted] \\ud800"
