"""The parts of a report: markup that cannot be broken out of, previews, bars, colours."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from orchestrator.report import preview
from orchestrator.report.links import size_words
from orchestrator.report.markup import Html, join, table, tag, text
from orchestrator.report.timeline import PAUSE_LEAST_MS, Axis

FRAME = Path("orchestrator/report/page.html").read_text()
PNG = b"\x89PNG\r\n\x1a\n"

# A text's colour, and what it stands on.
TEXTS = [
    *itertools.product(("ink", "less", "link"), ("page", "panel")),
    *((tone, f"{tone}-tint") for tone in ("good", "bad", "open")),
]
BARS = itertools.product(("good-fill", "bad-fill", "open-fill"), ("page", "panel"))


def test_what_is_no_markup_is_escaped() -> None:
    assert text("<b> & \"'") == "&lt;b&gt; &amp; &quot;&#x27;"
    assert tag("p", "<b>", tag("i", "&"), class_='a"b') == (
        '<p class="a&quot;b">&lt;b&gt;<i>&amp;</i></p>'
    )
    assert join(("<", Html("<br/>"))) == "&lt;<br/>"


@pytest.mark.parametrize("odd", ["\x00", "\x1b", "\x85", "\ud800", "\u202e", "\u2066", "\uffff"])
def test_what_cannot_be_shown_is_replaced(odd: str) -> None:
    assert text(f"a{odd}b") == "a\ufffdb"


def test_an_attribute_may_be_left_out() -> None:
    assert tag("a", "x", href=None, aria_label="y") == '<a aria-label="y">x</a>'


def test_a_table_has_a_caption_and_can_be_reached_by_keys() -> None:
    found = table("of what", ("a",), (("<1>",),))

    assert "<caption>of what</caption>" in found
    assert 'tabindex="0"' in found
    assert "<td>&lt;1&gt;</td>" in found


@pytest.mark.parametrize(
    ("data", "mime", "says"),
    [
        (b"", "text/plain", "It is empty."),
        (b"plain <b>", "text/plain", "<pre>plain &lt;b&gt;</pre>"),
        (b"\xff\xfe", "text/plain", "0000  ff fe"),
        (b"a\0b", "text/plain", "0000  61 00 62"),
        (b"<svg/>", "image/svg+xml", "<pre>&lt;svg/&gt;</pre>"),
        (PNG, "image/png", '<img src="data:image/png;base64,iVBORw0KGgo=" alt="The image /a"/>'),
        (b"GIF89a", "image/png", "<pre>GIF89a</pre>"),
        (b'[{"a": 1}, {"b": "<"}]', "application/json", "<td>&lt;</td>"),
        (b"[1, 2]", "application/json", "<td>2</td>"),
        (b'{"b": 1, "a": 2}', "application/json", "&quot;a&quot;: 2,\n"),
        (b"{", "application/json", "<pre>{</pre>"),
        (b"9" * 5_000, "application/json", "<pre>9999"),
        (b"[" * 60_000, "application/json", "Only the beginning is shown."),
        (b"a,b\n1,<2>\n", "text/csv", "<td>&lt;2&gt;</td>"),
        (b"a,b\n", "text/csv", "<pre>a,b</pre>"),
        (b"a\tb\n1\t2\n", "text/tab-separated-values", '<th scope="col">b</th>'),
    ],
)
def test_a_preview_shows_what_is_there(data: bytes, mime: str, says: str) -> None:
    assert says in preview.of(data, len(data), mime, "/a")


def test_of_what_is_long_the_beginning_is_shown() -> None:
    data = b"line\n" * 30_000

    found = preview.of(data[: preview.KEPT_BYTES_MAX], len(data), "text/plain", "/a")

    assert "Only the beginning is shown. It has 150000 bytes." in found
    assert len(found) < 2 * preview.CHARS_MAX


def test_a_character_that_is_cut_in_two_makes_no_bytes_of_a_text() -> None:
    whole = ("x" * (preview.KEPT_BYTES_MAX - 1) + "\u00e9\u00e9").encode()

    found = preview.of(whole[: preview.KEPT_BYTES_MAX], len(whole), "text/plain", "/a")

    assert "xxxx" in found
    assert "0000  " not in found


def test_an_image_of_which_a_part_is_missing_is_none() -> None:
    assert "<img" not in preview.of(PNG, len(PNG) + 1, "image/png", "/a")


def test_rows_and_columns_that_are_left_out_are_counted() -> None:
    data = (",".join("abcdefghijkl") + "\n").encode() * 60

    found = preview.of(data, len(data), "text/csv", "/a")

    assert "Shown are 20 of 59 rows and 10 of 12 columns." in found


def test_bars_stand_where_their_time_is() -> None:
    axis = Axis([(1_000, 2_000), (1_500, 3_000)])

    assert axis.place(1_000, 2_000) == (0.0, 50.0)
    assert axis.place(1_500, 3_000) == (25.0, 75.0)
    assert (axis.busy_ms, axis.pauses) == (2_000, 0)


def test_a_long_pause_is_cut_short_and_told() -> None:
    day = 86_400_000

    axis = Axis([(0, 1_000), (day, day + 1_000)])

    assert axis.pauses == 1
    assert axis.cut_ms == day - 1_000 - 80
    (first, width), (second, _) = axis.place(0, 1_000), axis.place(day, day + 1_000)
    assert first == 0
    assert 45 < width < second < 55


def test_a_short_pause_is_left() -> None:
    assert Axis([(0, 10), (10 + PAUSE_LEAST_MS, 2_000)]).pauses == 0


@pytest.mark.parametrize("spans", [[], [(5, 5)], [(7, 5), (5, 5)]])
def test_no_time_at_all_is_no_error(spans: list[tuple[int, int]]) -> None:
    left, width = Axis(spans).place(5, 5)

    assert 0 <= left <= 100
    assert 0 < width <= 100


@pytest.mark.parametrize(
    ("size", "words"), [(9_999, "9999 bytes"), (12_000, "12.0 kB"), (5_000_000_000_000, "5.0 TB")]
)
def test_a_size_has_a_unit(size: int, words: str) -> None:
    assert size_words(size) == words


@pytest.mark.parametrize(
    ("text_colour", "ground", "least"),
    [*((one, other, 4.5) for one, other in TEXTS), *((one, other, 3.0) for one, other in BARS)],
)
def test_colours_stand_out_in_light_and_dark(text_colour: str, ground: str, least: float) -> None:
    """By the formula of WCAG 2.2: 4.5 for text, 3 for what is drawn."""
    themes = [dict(re.findall(r"--([\w-]+): (#\w+)", each)) for each in _themes()]
    assert len(themes) == 2
    for theme in themes:
        one, other = sorted((_light(theme[text_colour]), _light(theme[ground])), reverse=True)
        assert (one + 0.05) / (other + 0.05) >= least


def _themes() -> list[str]:
    return re.findall(r":root \{(.*?)\}", FRAME, re.DOTALL)


def _light(colour: str) -> float:
    digits = colour[1:]
    whole = digits if len(digits) == 6 else "".join(each * 2 for each in digits)
    parts = [int(whole[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
