"""Secret values are masked in every form they travel in, and nothing else is."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest

from processors.protocol.redact import MASK, Redactor

VALUE = 'k/e+y "\u00e9\u20ac" 0123456789'
DIGEST = b"sha256:" + b"ab" * 32

# How the value may stand in a stream.
FORMS = {
    "raw": VALUE.encode(),
    "json": json.dumps(VALUE).encode(),
    "json_utf8": json.dumps(VALUE, ensure_ascii=False).encode(),
    "json_slashes": json.dumps(VALUE).replace("/", "\\/").encode(),
    "url": quote(VALUE, safe="").encode(),
    "url_path": quote(VALUE).encode(),
    "form": quote_plus(VALUE).encode(),
    "hex": VALUE.encode().hex().encode(),
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


def test_a_value_of_two_lines_is_found_across_them() -> None:
    key = "-----BEGIN-----\nabcdefgh\n-----END-----"

    assert masked(b"x" + key[:20].encode(), key[20:].encode() + b"y", values=(key,)) == (
        b"x" + MASK + b"y"
    )
