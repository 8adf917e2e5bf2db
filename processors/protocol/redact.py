"""Masking of registered secret values in a stream of bytes.

A value is found in every form it can travel in: raw, escaped for JSON, Python or a URL, in
hexadecimal, and in base64 at each of the three offsets that it can have in a longer text. Each form
is also found when white space breaks it up, as MIME, PEM and loggers do with what is long. Only
registered values are masked, never what merely looks like a secret, so digests and ids survive.

What comes out is a function of the stream and not of the writes it came in: what could be the
beginning of a value is held back until more comes, or the writer pauses after a line. Matches that
overlap become one mask.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = b"[redacted]"
FORM_BYTES_MIN = 8  # a shorter remainder would be found everywhere
SPREAD_MAX = 4  # a value that white space stretches further is not found

# By (offset + length) % 3: how many characters at the end of base64 depend on what follows.
_BASE64_TAIL = (0, 3, 2)
# By offset: how many characters at the start depend on what comes before.
_BASE64_HEAD = (0, 2, 3)

_BASE64 = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")

_BLANKS = b" \t\r\n"
# White space in other words: escaped (each level of JSON doubles the backslashes), or the end of a
# line that continues (quoted-printable, shell).
_BREAK = re.compile(rb"\\(?:\\{0,7}[nrt]|\r?\n)|=\r?\n")  # each branch starts with one byte: faster
_OPEN_BREAK = re.compile(rb"(?:\\{1,8}|[=\\]\r?)\Z")
_OPEN_BREAK_BYTES_MAX = 8


class _Form:
    """One byte string that a value appears as.

    ``shares_first`` and ``shares_last`` say that the character before, or after, holds bits of the
    value and of its neighbour, as in base64; it is masked as well.
    """

    __slots__ = ("data", "shares_first", "shares_last")

    def __init__(self, data: bytes, *, shares_first: bool, shares_last: bool) -> None:
        self.data = data
        self.shares_first = shares_first
        self.shares_last = shares_last


class Redactor:
    """Masks values in one stream: ``feed`` what comes, then ``close`` for what was held back."""

    __slots__ = ("_covered", "_held", "_joined", "_passed", "_plain", "_span_max")

    def __init__(self, values: Iterable[str]) -> None:
        plain: set[bytes] = set()
        joined: dict[bytes, _Form] = {}
        for value in values:
            texts = {_joined(text) for text in _texts(value)}
            own = [_Form(text, shares_first=False, shares_last=False) for text in texts]
            encoded = _base64_forms(value)
            plain |= _texts(value) | {form.data for form in encoded}
            joined |= {form.data: form for form in (*own, *encoded)}
        self._plain = [_Form(data, shares_first=False, shares_last=False) for data in sorted(plain)]
        self._joined = [joined[data] for data in sorted(joined) if len(data) >= FORM_BYTES_MIN]
        self._span_max = SPREAD_MAX * max(map(len, plain), default=0) + 64
        self._held = b""
        self._covered = 0  # how much at the start of what is held has its mask already
        self._passed = 0  # how much of it was passed on in a pause, and is held to be known

    def feed(self, chunk: bytes) -> bytes:
        """Return what can be passed on now."""
        if not self._plain:
            return chunk
        data = self._held + chunk
        keep = self._unfinished(data)
        if keep and data[keep - 1] in _BASE64:
            keep -= 1  # it may share bits with what follows
        return self._pass(data, self._spans(data), keep - _open_break(data[:keep]))

    def pause(self) -> bytes:
        """Return the whole lines that are held, since nothing more has come for a while.

        The end of a line is the beginning of some form by chance, now and then. It stays known, so
        the rest of a value that does continue is masked. Eight bytes are no chance, and wait.
        """
        end = self._held.rfind(b"\n") + 1
        start = self._unfinished(self._held)
        written = max(self._covered, self._passed)
        if end <= written or len(_joined(self._held[start:])) >= FORM_BYTES_MIN:
            return b""
        self._passed = end
        return self._held[written:end]

    def close(self) -> bytes:
        """Return the rest; a value whose end never came is masked as far as it came."""
        data = self._held
        spans = self._spans(data)
        start, end = self._unfinished(data), len(data.rstrip(_BLANKS))
        if end - start >= FORM_BYTES_MIN:
            spans = sorted([*spans, (start, end)])
        return self._pass(data, spans, len(data))

    def _pass(self, data: bytes, spans: list[tuple[int, int]], keep: int) -> bytes:
        """Mask what starts before a place, pass that on, and hold the rest."""
        out = []
        covered = self._covered
        written = max(covered, self._passed)
        for start, end in spans:
            if start >= keep:
                break
            if start >= covered:
                out += [data[written:start], MASK]
            covered = max(covered, end)
            written = max(written, covered)
        out.append(data[written:keep])
        self._covered = max(0, covered - keep)
        self._passed = max(0, written - keep)
        self._held = data[keep:]
        return b"".join(out)

    def _spans(self, data: bytes) -> list[tuple[int, int]]:
        """Where values stand, whole or broken up, sorted."""
        found = [(start, start + len(form.data)) for form, start in _occurrences(data, self._plain)]
        view = _joined(data)
        if inner := _occurrences(view, self._joined):
            places = _places(data)
            for form, start in inner:
                end = min(start + len(form.data) + form.shares_last, len(view))
                first, last = places[start], places[end - 1] + 1
                if form.shares_first and first and data[first - 1] in _BASE64:
                    first -= 1
                if last - first <= self._span_max:
                    found.append((first, last))
        return sorted(found)

    def _unfinished(self, data: bytes) -> int:
        """Where the first value starts that only more data can complete."""
        tail = data[-self._span_max :]
        keep = _first_unfinished(tail, self._plain)
        # Whether an open break ends the data or belongs to a value, more data says.
        for end in {len(tail), len(tail) - _open_break(tail)}:
            view = _joined(tail[:end])
            start = _first_unfinished(view, self._joined)
            if start < len(view):
                keep = min(keep, _places(tail[:end])[start])
        return keep + len(data) - len(tail)


def masked(text: str, values: Iterable[str]) -> str:
    """Return a text with every form of the values masked; what is no text in it is escaped."""
    redactor = Redactor(values)
    data = redactor.feed(text.encode("utf-8", "backslashreplace")) + redactor.close()
    return data.decode("utf-8", "replace")


def _texts(value: str) -> set[bytes]:
    """A value raw, in hexadecimal, and escaped for URLs, JSON and Python."""
    from urllib.parse import quote, quote_plus  # only runs that hold a secret pay for it

    raw = value.encode("utf-8", "surrogateescape")
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    for text in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        lower = re.sub("%..", lambda escape: escape[0].lower(), text)
        found |= {text.encode(), lower.encode()}
    printed = value.encode("utf-8", "backslashreplace").decode()
    for text in (value, printed, *_escaped(value), *_escaped(printed)):
        found |= {each.encode("utf-8", "surrogateescape") for each in (text, *_escaped(text))}
    return found


def _base64_forms(value: str) -> list[_Form]:
    """A value in base64, at each of its offsets in a longer text, without what it shares."""
    import base64

    raw = value.encode("utf-8", "surrogateescape")
    found = []
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        tail = _BASE64_TAIL[(offset + len(raw)) % 3]
        inner = encoded[_BASE64_HEAD[offset] : len(encoded) - tail]
        url_safe = inner.translate(bytes.maketrans(b"+/", b"-_"))
        found += [
            _Form(data, shares_first=offset > 0, shares_last=tail > 0) for data in (inner, url_safe)
        ]
    return found


def _escaped(text: str) -> set[str]:
    """A text as JSON and Python write it between quotes."""
    import json

    found = {repr(text)[1:-1], ascii(text)[1:-1]}
    found.add(repr(text.encode("utf-8", "surrogateescape"))[2:-1])
    for ascii_only in (True, False):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        found |= {escaped, escaped.replace("/", "\\/")}
    return found


def _joined(data: bytes) -> bytes:
    """Some data without its white space, in whichever words."""
    if b"\\" in data or b"=" in data:
        data = _BREAK.sub(b"", data)
    return data.translate(None, _BLANKS)


def _places(data: bytes) -> list[int]:
    """Where each byte of ``_joined(data)`` stands in the data."""
    kept: list[int] = []
    at = 0
    for found in _BREAK.finditer(data):
        kept += range(at, found.start())
        at = found.end()
    kept += range(at, len(data))
    return [place for place in kept if data[place] not in _BLANKS]


def _open_break(data: bytes) -> int:
    """How many bytes at the end more data could make a break of."""
    found = _OPEN_BREAK.search(data[-_OPEN_BREAK_BYTES_MAX:])
    return 0 if found is None else len(found[0])


def _occurrences(data: bytes, wanted: list[_Form]) -> list[tuple[_Form, int]]:
    """Every place where a form stands, overlapping ones included."""
    found = []
    for form in wanted:
        start = data.find(form.data)
        while start >= 0:
            found.append((form, start))
            start = data.find(form.data, start + 1)
    return found


def _first_unfinished(data: bytes, wanted: list[_Form]) -> int:
    """Where the longest end of the data starts that is the beginning of a form."""
    first = len(data)
    view = memoryview(data)
    for form in wanted:
        size = len(form.data) + form.shares_last
        start = data.find(form.data[:1], max(0, len(data) - size + 1), first)
        while start >= 0 and not form.data.startswith(view[start:]):
            start = data.find(form.data[:1], start + 1, first)
        first = start if start >= 0 else first
    return first
