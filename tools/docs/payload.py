"""The page about what may be sent to a processor.

It states limits with their units, and a verdict for each odd input. It is written from ``CASES``,
and a test puts every case to the parser.
"""

from __future__ import annotations

from orchestrator.execution.request import TIMEOUT_S_MAX
from processors.protocol.canonical import DEPTH_MAX, DOCUMENT_BYTES_MAX, SAFE_INTEGER_MAX
from processors.protocol.errors import find_row
from processors.protocol.paths import PATH_CHARS_MAX, PREFIX_CHARS_MAX, SEGMENT_BYTES_MAX
from processors.protocol.payload import PAYLOAD_BYTES_MAX
from processors.protocol.refs import EXECUTION_ID_GRAMMAR, NAME_GRAMMAR


class Case:
    """One odd input: what it is, its bytes, and its verdict.

    Attributes:
        what: Words for the page.
        data: The inputs as they are given.
        reason: Why they are refused (``ERR_INPUTS``); "" if they are accepted.
        canonical: What the processor reads if they are accepted.
    """

    def __init__(self, what: str, data: bytes, *, reason: str = "", canonical: bytes = b"") -> None:
        self.what = what
        self.data = data
        self.reason = reason
        self.canonical = canonical


def _nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


_BIGGEST = str(SAFE_INTEGER_MAX).encode()

CASES = (
    # Size and depth.
    Case("no bytes at all", b"", reason="bad_json"),
    Case(
        "one byte more than the limit", b" " * (DOCUMENT_BYTES_MAX - 1) + b"{}", reason="too_large"
    ),
    Case("exactly the limit", b" " * (DOCUMENT_BYTES_MAX - 2) + b"{}", canonical=b"{}"),
    Case("objects at the deepest level", _nested(DEPTH_MAX), canonical=_nested(DEPTH_MAX)),
    Case("objects one level deeper", _nested(DEPTH_MAX + 1), reason="too_deep"),
    Case(
        "arrays one level deeper",
        b'{"a":' + b"[" * DEPTH_MAX + b"]" * DEPTH_MAX + b"}",
        reason="too_deep",
    ),
    Case("a hundred thousand open brackets", b"[" * 100_000, reason="too_deep"),
    Case(
        "a key of a hundred thousand characters",
        b'{"%s":1}' % (b"k" * 100_000),
        canonical=b'{"%s":1}' % (b"k" * 100_000),
    ),
    # Encoding.
    Case("a byte order mark", b"\xef\xbb\xbf{}", reason="bad_encoding"),
    Case("UTF-16", '{"a":1}'.encode("utf-16-le"), reason="bad_json"),
    Case("UTF-16 with its mark", '{"a":1}'.encode("utf-16"), reason="bad_encoding"),
    Case("a byte that is not UTF-8", b'{"a":"\xff"}', reason="bad_encoding"),
    Case("an overlong form", b'{"a":"\xc0\xaf"}', reason="bad_encoding"),
    Case(
        "a surrogate in UTF-8 (CESU-8)", b'{"a":"\xed\xa0\xbd\xed\xb8\x80"}', reason="bad_encoding"
    ),
    Case("a byte NUL between values", b"{}\x00", reason="bad_json"),
    Case("a byte NUL in a string", b'{"a":"\x00"}', reason="bad_json"),
    Case("an escaped NUL in a string", b'{"a":"\\u0000"}', canonical=b'{"a":"\\u0000"}'),
    Case("an escaped NUL in a key", b'{"\\u0000":1}', canonical=b'{"\\u0000":1}'),
    Case("a raw line break in a string", b'{"a":"\n"}', reason="bad_json"),
    Case("a lone surrogate", b'{"a":"\\ud800"}', reason="bad_unicode"),
    Case("a lone surrogate in a key", b'{"\\udfff":1}', reason="bad_unicode"),
    Case("two surrogates in the wrong order", b'{"a":"\\ude00\\ud83d"}', reason="bad_unicode"),
    Case(
        "a pair of surrogates", b'{"a":"\\ud83d\\ude00"}', canonical='{"a":"\U0001f600"}'.encode()
    ),
    Case(
        "a letter and its accent, composed or not: two texts",
        b'{"a":"\\u00e9","b":"e\\u0301"}',
        canonical='{"a":"\u00e9","b":"e\u0301"}'.encode(),
    ),
    Case("a noncharacter", b'{"a":"\\uffff"}', canonical='{"a":"\uffff"}'.encode()),
    # Numbers.
    Case("the largest integer", b'{"a":%s}' % _BIGGEST, canonical=b'{"a":%s}' % _BIGGEST),
    Case("one more", b'{"a":9007199254740992}', reason="number_out_of_range"),
    Case("one less than the smallest", b'{"a":-9007199254740992}', reason="number_out_of_range"),
    Case("a hundred thousand digits", b'{"a":%s}' % (b"9" * 100_000), reason="number_out_of_range"),
    Case("a float beyond the largest integer", b'{"a":1e16}', reason="number_out_of_range"),
    Case("a float beyond all floats", b'{"a":1e400}', reason="number_out_of_range"),
    Case("its negative", b'{"a":-1e400}', reason="number_out_of_range"),
    Case("a float below all floats", b'{"a":1e-400}', canonical=b'{"a":0}'),
    Case("more digits than a float holds", b'{"a":0.1000000000000000055}', canonical=b'{"a":0.1}'),
    Case("minus zero", b'{"a":-0}', canonical=b'{"a":0}'),
    Case("minus zero as a float", b'{"a":-0.0}', canonical=b'{"a":0}'),
    Case("an integer in the form of a float", b'{"a":1.0}', canonical=b'{"a":1}'),
    Case("an exponent", b'{"a":1E3}', canonical=b'{"a":1000}'),
    Case("NaN", b'{"a":NaN}', reason="number_out_of_range"),
    Case("Infinity", b'{"a":-Infinity}', reason="number_out_of_range"),
    Case("a leading zero", b'{"a":01}', reason="bad_json"),
    Case("a plus sign", b'{"a":+1}', reason="bad_json"),
    Case("hexadecimal", b'{"a":0x1}', reason="bad_json"),
    # Structure.
    Case("a key twice", b'{"a":1,"a":1}', reason="duplicate_key"),
    Case("a key twice, once escaped", b'{"a":1,"\\u0061":2}', reason="duplicate_key"),
    Case("a key twice, deep inside", b'{"x":[{"b":1,"b":2}]}', reason="duplicate_key"),
    Case("keys that differ in case", b'{"a":1,"A":2}', canonical=b'{"A":2,"a":1}'),
    Case("a key without characters", b'{"":1}', canonical=b'{"":1}'),
    Case("keys in any order", b'{"b":1,"a":2}', canonical=b'{"a":2,"b":1}'),
    Case("two documents", b"{}{}", reason="bad_json"),
    Case("a comma at the end", b'{"a":1,}', reason="bad_json"),
    Case("a comment", b"{}// no", reason="bad_json"),
    Case("single quotes", b"{'a':1}", reason="bad_json"),
    Case("an array", b"[]", reason="not_an_object"),
    Case("null", b"null", reason="not_an_object"),
    Case("white space around", b" \t\r\n{} \n", canonical=b"{}"),
    Case("white space that JSON does not know", "\u00a0{}".encode(), reason="bad_json"),
)

_LIMITS = (
    ("inputs (`--inputs-json`, `--inputs-file`, `--inputs`)", f"{DOCUMENT_BYTES_MAX:,} bytes"),
    ("the whole payload, in canonical form", f"{PAYLOAD_BYTES_MAX:,} bytes"),
    ("nesting of the inputs", f"{DEPTH_MAX} levels of objects and arrays"),
    (
        "numbers",
        f"from -{SAFE_INTEGER_MAX:,} to {SAFE_INTEGER_MAX:,} (2^53 - 1); larger ones are strings",
    ),
    ("encoding", "UTF-8 without a byte order mark; whole characters; text is not normalised"),
    ("name of an artifact", f"`{NAME_GRAMMAR}`"),
    ("execution id", f"`{EXECUTION_ID_GRAMMAR}`"),
    ("world path", f"{PATH_CHARS_MAX:,} characters, {SEGMENT_BYTES_MAX} bytes a segment, in NFC"),
    ("write prefix", f"{PREFIX_CHARS_MAX} characters"),
    ("`--timeout-s`", f"1 to {TIMEOUT_S_MAX:,} seconds, and never more than the registry's limit"),
    ("an attached file", "the processor's `max_input_bytes`, in bytes"),
)

_SHOWN_CHARS_MAX = 40


def page() -> str:
    """The page."""
    lines = [
        "# Payload",
        "",
        "What a processor reads is one JSON object in the bytes of RFC 8785, the only way in.",
        "`inputs` may be any JSON object within the limits below that the processor's own schema",
        "accepts; whatever else is refused with `ERR_INPUTS`, before anything starts.",
        "",
        "| what | limit |",
        "|---|---|",
        *(f"| {what} | {limit} |" for what, limit in _LIMITS),
        "",
        "Each odd input has a verdict: the reason it is refused for, or what the processor reads.",
        "`<0A>` stands for a byte; long examples are left out.",
        "",
        "| inputs | for example | verdict |",
        "|---|---|---|",
        *(f"| {case.what} | {_shown(case.data)} | {_verdict(case)} |" for case in CASES),
        "",
        "Reasons are explained in the [error table](errors.md).",
        "",
    ]
    return "\n".join(lines)


def _verdict(case: Case) -> str:
    if case.reason:
        assert find_row("ERR_INPUTS", case.reason) is not None
        return f"`{case.reason}`"
    return (
        f"read as {_shown(case.canonical)}" if len(case.canonical) <= _SHOWN_CHARS_MAX else "read"
    )


def _shown(data: bytes) -> str:
    """Bytes as a cell; <0A> is a byte that cannot be shown, and what is long is left out."""
    text = data.decode("utf-8", "surrogateescape")
    shown = "".join(each if each.isprintable() else _hexadecimal(each) for each in text)
    return f"`{shown}`" if 0 < len(shown) <= _SHOWN_CHARS_MAX else ""


def _hexadecimal(character: str) -> str:
    return f"<{character.encode('utf-8', 'surrogateescape').hex(' ').upper()}>"
