"""Masking of registered secret values in a stream of bytes.

A value is found in every form it can travel in: raw, escaped for JSON or a URL, in hexadecimal, and
in base64 at each of the three offsets that it can have in a longer text. Only registered values are
masked, never what merely looks like a secret, so digests and ids survive. A value that is split
over two writes is found too: what could be the beginning of one is held back until more comes.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MASK = b"[redacted]"

# By (offset + length) % 3: how many characters at the end of base64 depend on what follows.
_BASE64_TAIL = (0, 3, 2)
# By offset: how many characters at the start depend on what comes before.
_BASE64_HEAD = (0, 2, 3)


class Redactor:
    """Masks values in one stream: ``feed`` what comes, then ``close`` for what was held back."""

    __slots__ = ("_forms", "_held", "_hold_bytes", "_one_line")

    def __init__(self, values: Iterable[str]) -> None:
        # Longest first: a value that contains another is masked whole.
        self._forms = sorted({form for value in values for form in forms(value)}, key=_order)
        self._hold_bytes = max((len(form) for form in self._forms), default=1) - 1
        self._one_line = not any(b"\n" in form for form in self._forms)
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Return what can be passed on now."""
        if not self._forms:
            return chunk
        return self._mask(self._held + chunk, self._hold_bytes)

    def close(self) -> bytes:
        """Return the rest."""
        return self._mask(self._held, 0)

    def _mask(self, data: bytes, hold_bytes: int) -> bytes:
        out = []
        at = 0
        while (match := self._next(data, at)) is not None:
            start, at_next = match
            out += [data[at:start], MASK]
            at = at_next
        keep = max(at, len(data) - hold_bytes)
        if self._one_line:
            # No value crosses a line's end, so a whole line never waits for the next one.
            keep = max(keep, data.rfind(b"\n") + 1)
        out.append(data[at:keep])
        self._held = data[keep:]
        return b"".join(out)

    def _next(self, data: bytes, at: int) -> tuple[int, int] | None:
        """The first match from a place on; of several that start there, the longest."""
        found: tuple[int, int] | None = None
        for form in self._forms:
            start = data.find(form, at, found[0] + len(form) if found else None)
            if start >= 0 and (found is None or start < found[0]):
                found = (start, start + len(form))
        return found


def forms(value: str) -> set[bytes]:
    """Every byte string that a secret value can appear as."""
    import base64  # only runs that hold a secret pay for these
    import json
    from urllib.parse import quote, quote_plus

    raw = value.encode("utf-8", "surrogateescape")
    found = {raw, raw.hex().encode(), raw.hex().upper().encode()}
    found |= {quote(raw, safe="").encode(), quote(raw).encode(), quote_plus(raw).encode()}
    for ascii_only in (True, False):
        escaped = json.dumps(value, ensure_ascii=ascii_only)[1:-1]
        for text in (escaped, escaped.replace("/", "\\/")):
            found.add(text.encode("utf-8", "surrogateescape"))
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        tail = _BASE64_TAIL[(offset + len(raw)) % 3]
        inner = encoded[_BASE64_HEAD[offset] : len(encoded) - tail]
        found |= {inner, inner.translate(bytes.maketrans(b"+/", b"-_"))}
    return found


def _order(form: bytes) -> tuple[int, bytes]:
    return -len(form), form
