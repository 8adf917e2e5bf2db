"""Strict JSON in, RFC 8785 out."""

from __future__ import annotations

import json
import math
import struct

import pytest
import rfc8785

from processors.protocol.canonical import (
    DEPTH_MAX,
    DOCUMENT_BYTES_MAX,
    SAFE_INTEGER_MAX,
    Json,
    canonical,
    kind,
    parse,
    parse_object,
)
from processors.protocol.errors import ContractError
from tools.docs.payload import CASES, Case

VALUES: dict[str, Json] = {
    "null": None,
    "true": True,
    "false": False,
    "zero": 0,
    "largest": SAFE_INTEGER_MAX,
    "smallest": -SAFE_INTEGER_MAX,
    "float": 0.1,
    "empty_string": "",
    "quotes": '"\\/',
    "controls": "\x00\x01\x08\x09\x0a\x0c\x0d\x1f\x7f\x80",
    "separators": "\u2028\u2029",
    "astral": "\U0001f600",
    "empty_array": [],
    "empty_object": {},
    "nested": [[], {}, [[{"a": [1, 2.5, None]}]]],
    "keys": {"b": 1, "a": 2, "": 3, "A": 4, "aa": 5},
    "numeric_keys": {"10": 1, "9": 2, "1": 3},
    "rfc_sorting": {
        "\u20ac": "Euro Sign",
        "\r": "Carriage Return",
        "\ufb33": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\U0001f600": "Emoji: Grinning Face",
        "\u0080": "Control",
        "\u00f6": "Latin Small Letter O With Diaeresis",
    },
}

# RFC 8785 appendix B: IEEE 754 bits and the text they must get.
NUMBERS = {
    "0000000000000000": "0",
    "8000000000000000": "0",
    "0000000000000001": "5e-324",
    "8000000000000001": "-5e-324",
    "7fefffffffffffff": "1.7976931348623157e+308",
    "ffefffffffffffff": "-1.7976931348623157e+308",
    "4340000000000000": "9007199254740992",
    "c340000000000000": "-9007199254740992",
    "4430000000000000": "295147905179352830000",
    "44b52d02c7e14af5": "9.999999999999997e+22",
    "44b52d02c7e14af6": "1e+23",
    "44b52d02c7e14af7": "1.0000000000000001e+23",
    "444b1ae4d6e2ef4e": "999999999999999700000",
    "444b1ae4d6e2ef4f": "999999999999999900000",
    "444b1ae4d6e2ef50": "1e+21",
    "3eb0c6f7a0b5ed8c": "9.999999999999997e-7",
    "3eb0c6f7a0b5ed8d": "0.000001",
    "41b3de4355555553": "333333333.3333332",
    "41b3de4355555554": "333333333.33333325",
    "41b3de4355555555": "333333333.3333333",
    "41b3de4355555556": "333333333.3333334",
    "41b3de4355555557": "333333333.33333343",
    "becbf647612f3696": "-0.0000033333333333333333",
    "43143ff3c1cb0959": "1424953923781206.2",
}


def reason_of(data: bytes) -> str:
    with pytest.raises(ContractError) as caught:
        parse(data, "the text")
    assert caught.value.code == "ERR_INPUTS"
    assert caught.value.message.startswith("the text ")
    return caught.value.reason


@pytest.mark.proves("PA-5")
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_canonical_bytes_are_those_of_the_rfc8785_package(value: Json) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@pytest.mark.proves("PA-5")
@pytest.mark.parametrize(("bits", "text"), NUMBERS.items(), ids=NUMBERS.values())
def test_numbers_have_the_form_of_the_rfc(bits: str, text: str) -> None:
    (value,) = struct.unpack(">d", bytes.fromhex(bits))

    assert canonical(value) == text.encode()


@pytest.mark.proves("PA-5")
def test_keys_are_sorted_by_utf16_units_and_not_by_code_points() -> None:
    astral, private = "\U0001f600", "\uffee"  # by code points the other way round

    assert canonical({private: 1, astral: 2}) == f'{{"{astral}":2,"{private}":1}}'.encode()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 2**53, -(2**53)])
def test_what_rfc8785_cannot_write_is_an_error(value: Json) -> None:
    with pytest.raises(ValueError, match=r"not a finite number|beyond"):
        canonical([value])


def test_a_lone_surrogate_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        canonical("\ud800")


@pytest.mark.proves("PA-5")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "bad_json"),
        (b"{", "bad_json"),
        (b"{}{}", "bad_json"),
        (b"[1,]", "bad_json"),
        (b"{'a':1}", "bad_json"),
        (b"01", "bad_json"),
        (b"+1", "bad_json"),
        (b"1.", "bad_json"),
        (b'"\n"', "bad_json"),
        (b'"\\x"', "bad_json"),
        (b"// no\n1", "bad_json"),
        (b"\xef\xbb\xbf{}", "bad_encoding"),
        (b'"\xff"', "bad_encoding"),
        (b'"\xed\xa0\x80"', "bad_encoding"),
        ('{"a":1}'.encode("utf-16"), "bad_encoding"),
        (b'"\\ud800"', "bad_unicode"),
        (b'"\\udc00\\ud800"', "bad_unicode"),
        (b'{"\\ud800":1}', "bad_unicode"),
        (b'[{"a":["\\udfff"]}]', "bad_unicode"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a":1,"\\u0061":2}', "duplicate_key"),
        (b'[{"x":{"b":1,"c":2,"b":3}}]', "duplicate_key"),
        (b"NaN", "number_out_of_range"),
        (b"Infinity", "number_out_of_range"),
        (b"[-Infinity]", "number_out_of_range"),
        (b"9007199254740992", "number_out_of_range"),
        (b"-9007199254740992", "number_out_of_range"),
        (b"9007199254740992.0", "number_out_of_range"),
        (b"1e400", "number_out_of_range"),
        (b"-1e16", "number_out_of_range"),
        (b"1" * 5000, "number_out_of_range"),
        (b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), "too_deep"),
        (b'{"a":' * (DEPTH_MAX + 1) + b"1" + b"}" * (DEPTH_MAX + 1), "too_deep"),
        (b"[" * 200_000, "too_deep"),
        (b" " * DOCUMENT_BYTES_MAX + b"1", "too_large"),
    ],
)
def test_a_refused_text_has_the_reason_that_fits(data: bytes, reason: str) -> None:
    assert reason_of(data) == reason


@pytest.mark.proves("PA-5")
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_every_odd_input_has_the_verdict_that_the_page_states(case: Case) -> None:
    if case.reason:
        with pytest.raises(ContractError) as caught:
            parse_object(case.data, "the text")
        assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", case.reason)
    else:
        found = canonical(parse_object(case.data, "the text"))
        assert found == case.canonical
        assert found == rfc8785.dumps(json.loads(case.data))


def test_a_refusal_never_quotes_the_text() -> None:
    for data in (b'{"canary":', b'{"canary":1,"canary":2}', b'["canary\\ud800"]', b'"canary\xff"'):
        with pytest.raises(ContractError) as caught:
            parse(data, "the text")
        assert "canary" not in caught.value.message


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b" null ", None),
        (b"-0", 0),
        (b"9007199254740991", SAFE_INTEGER_MAX),
        (b"-9007199254740991", -SAFE_INTEGER_MAX),
        (b"1e3", 1000.0),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'{"a":{"a":1}}', {"a": {"a": 1}}),
        (b"[" * DEPTH_MAX + b"]" * DEPTH_MAX, None),
    ],
)
def test_what_lies_just_inside_the_limits_is_accepted(data: bytes, value: Json) -> None:
    found = parse(data, "the text")

    assert value is None or found == value


def test_the_largest_document_is_accepted_and_a_caller_may_lower_the_limit() -> None:
    assert parse(b" " * (DOCUMENT_BYTES_MAX - 1) + b"1", "the text") == 1
    with pytest.raises(ContractError) as caught:
        parse(b"12345", "the text", bytes_max=4)
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"null", "null"),
        (b"true", "boolean"),
        (b"1", "number"),
        (b"1.5", "number"),
        (b'"x"', "string"),
        (b"[]", "array"),
    ],
)
def test_a_document_that_is_no_object_is_named_by_its_type(data: bytes, word: str) -> None:
    with pytest.raises(ContractError) as caught:
        parse_object(data, "the text")

    assert caught.value.reason == "not_an_object"
    assert word in caught.value.message
    assert kind(parse(data, "the text")) == word


def test_an_object_is_parsed() -> None:
    assert parse_object(b'{"a":[1,"x"]}', "the text") == {"a": [1, "x"]}
