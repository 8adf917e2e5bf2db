"""A bounded look at what an artifact holds: as a text, a table, an image, or bytes.

Only the first bytes are looked at. What claims to be something and is not is shown as what it is.
An image is one that a browser draws and cannot run: SVG is a text here.
"""

from __future__ import annotations

import base64
import csv
import io
import json

from orchestrator.report.markup import Html, join, table, tag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT_BYTES_MAX = 65_536
IMAGE_BYTES_MAX = 262_144
CHARS_MAX, LINES_MAX, LINE_CHARS_MAX = 4_000, 60, 500
ROWS_MAX, COLUMNS_MAX, CELL_CHARS_MAX = 20, 10, 120
HEX_BYTES_MAX = 128
UNSCROLLED_LINES_MAX, UNSCROLLED_CHARS_MAX = 10, 600
_HEX_ROW = 8  # fits a telephone

# Type → how such a file begins.
_IMAGES = {
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF87a", b"GIF89a"),
    "image/webp": (b"RIFF",),
}
_TABLES = {"text/csv": ",", "text/tab-separated-values": "\t"}


def kept_bytes_max(mime: str) -> int:
    """How many of an artifact's first bytes a preview may need."""
    return IMAGE_BYTES_MAX if mime in _IMAGES else KEPT_BYTES_MAX


def of(data: bytes, size_bytes: int, mime: str, path: str) -> Html:
    """A preview.

    Args:
        data: The first bytes.
        size_bytes: How many there are in all.
        mime: The type that the artifact was stored with.
        path: Where it lies, which is what an image is called.
    """
    whole = len(data) == size_bytes
    if not size_bytes:
        return _note("It is empty.")
    if whole and data.startswith(_IMAGES.get(mime, ())) and mime in _IMAGES:
        source = f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
        return tag("img", src=source, alt=f"The image {path}")
    words = _decoded(data[:KEPT_BYTES_MAX], whole=whole and size_bytes <= KEPT_BYTES_MAX)
    if words is None:
        return _hex(data, size_bytes)
    found = None
    if whole and mime == "application/json":
        found = _json(words)
    elif mime in _TABLES:
        found = _csv(words, _TABLES[mime], whole=whole)
    return found or plain(words, size_bytes)


def plain(words: str, size_bytes: int | None = None) -> Html:
    """A text, or as much of its beginning as is shown; it says what is left out."""
    lines = words.splitlines()
    kept = [
        line if len(line) <= LINE_CHARS_MAX else f"{line[:LINE_CHARS_MAX]} \u2026"
        for line in lines[:LINES_MAX]
    ]
    shown = "\n".join(kept)[:CHARS_MAX]
    cut = len(lines) > LINES_MAX or len(shown) == CHARS_MAX or kept != lines[:LINES_MAX]
    said = _pre(shown)
    if not cut and (size_bytes is None or size_bytes <= KEPT_BYTES_MAX):
        return said
    whole = "" if size_bytes is None else f" It has {size_bytes} bytes."
    return join((said, _note(f"Only the beginning is shown.{whole}")))


def pretty(value: object) -> str:
    """JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True)


def _decoded(data: bytes, *, whole: bool) -> str | None:
    """The text that bytes are, or None; a character that was cut in two at the end is left out."""
    try:
        words = data.decode("utf-8")
    except UnicodeDecodeError as error:
        if whole or error.start < len(data) - 3:
            return None
        words = data[: error.start].decode("utf-8")
    odd = sum(1 for each in words if ord(each) < 32 and each not in "\t\n\r\f\x1b")
    return None if "\x00" in words or odd * 20 > len(words) else words


def _json(words: str) -> Html | None:
    """A list as a table, any other document laid out; None if it is no JSON."""
    try:
        value = json.loads(words)
        laid_out = pretty(value)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or not value:
        return plain(laid_out)
    if all(isinstance(item, dict) for item in value):
        shown = value[:ROWS_MAX]
        columns = list(dict.fromkeys(key for item in shown for key in item))
        keys = columns[:COLUMNS_MAX]
        rows = [[_cell(item[key]) if key in item else "" for key in keys] for item in shown]
        return _table("The list", columns, rows, len(value))
    return _table("The list", ["value"], [[_cell(item)] for item in value[:ROWS_MAX]], len(value))


def _csv(words: str, separator: str, *, whole: bool) -> Html | None:
    if not whole:
        words = words.rpartition("\n")[0]  # the last line may be cut
    try:
        rows = list(csv.reader(io.StringIO(words, newline=""), delimiter=separator))
    except csv.Error:
        return None
    if len(rows) < 2:
        return None
    found = _table("The table", rows[0], rows[1:], len(rows) - 1 if whole else None)
    return found if whole else join((found, _note("Only the beginning was read.")))


def _table(caption: str, head: list[str], rows: list[list[str]], total: int | None) -> Html:
    shown = [[_short(cell) for cell in row[:COLUMNS_MAX]] for row in rows[:ROWS_MAX]]
    said = table(caption, [_short(cell) for cell in head[:COLUMNS_MAX]], shown)
    left, count = [], len(rows) if total is None else total
    if count > ROWS_MAX:
        left.append(f"{ROWS_MAX} of {count} rows")
    if len(head) > COLUMNS_MAX:
        left.append(f"{COLUMNS_MAX} of {len(head)} columns")
    return join((said, _note(f"Shown are {' and '.join(left)}."))) if left else said


def _cell(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(cell: str) -> str:
    return cell if len(cell) <= CELL_CHARS_MAX else f"{cell[: CELL_CHARS_MAX - 1]}\u2026"


def _hex(data: bytes, size_bytes: int) -> Html:
    shown = data[:HEX_BYTES_MAX]
    lines = [_hex_line(shown, at) for at in range(0, len(shown), _HEX_ROW)]
    note = f"Bytes, of which the first {len(shown)} of {size_bytes} are shown."
    return join((_pre("\n".join(lines), "hex"), _note(note)))


def _hex_line(data: bytes, at: int) -> str:
    row = data[at : at + _HEX_ROW]
    letters = "".join(chr(each) if 32 <= each < 127 else "." for each in row)
    return f"{at:04x}  {row.hex(' '):<{3 * _HEX_ROW}} {letters}"


def _pre(words: str, class_: str | None = None) -> Html:
    """A text as it is; one that may have to be scrolled can be reached by keys."""
    scrolls = words.count("\n") > UNSCROLLED_LINES_MAX or len(words) > UNSCROLLED_CHARS_MAX
    return tag("pre", words, class_=class_, tabindex="0" if scrolls else None)


def _note(words: str) -> Html:
    return tag("p", words, class_="less")


def left_out(shown: int, total: int, what: str) -> Iterable[Html]:
    """What a list says of its rest, if it has one."""
    if total > shown:
        yield _note(f"{total - shown} more {what} of {total} are left out here.")
