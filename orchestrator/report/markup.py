"""HTML by values: what is not made by ``tag`` is text, and text is always escaped.

So nothing that a world holds can become markup, and no place in the page can forget to escape.
Escaping is the standard library's.
"""

from __future__ import annotations

import html
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_VOID = ("img",)

# What HTML has no way to write, and what turns the direction of the text around it.
_UNSHOWABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufdd0-\ufdef"
    "\ufffe\uffff"
    + "".join(map(chr, range(0x1FFFE, 0x110000, 0x10000)))
    + "".join(map(chr, range(0x1FFFF, 0x110000, 0x10000)))
    + "]"
)


class Html(str):
    """Markup. Made by the functions of this module alone, and of what the build has checked."""

    __slots__ = ()


def text(words: str) -> Html:
    """A text as markup; a character that cannot be shown is a replacement character."""
    if isinstance(words, Html):
        return words
    return Html(html.escape(_UNSHOWABLE.sub("\ufffd", words.replace("\r\n", "\n"))))


def tag(name: str, *children: str, **attributes: str | None) -> Html:
    """An element.

    Args:
        name: Its name.
        children: What it holds: markup, or text.
        attributes: Its attributes; an underscore at the end of a name is dropped, one within is a
            hyphen. One whose value is None is left out.
    """
    parts = [f"<{name}"]
    for key, value in attributes.items():
        if value is not None:
            parts.append(f' {key.rstrip("_").replace("_", "-")}="{text(value)}"')
    if name in _VOID:
        return Html("".join([*parts, "/>"]))  # well-formed as XML too, which any parser can check
    return Html("".join([*parts, ">", *map(text, children), f"</{name}>"]))


def join(parts: Iterable[str]) -> Html:
    """Several parts, one after another."""
    return Html("".join(map(text, parts)))


def table(caption: str, head: Iterable[str], rows: Iterable[Iterable[str]]) -> Html:
    """A table that scrolls by itself where it is wider than the page."""
    columns = join(tag("th", cell, scope="col") for cell in head)
    body = join(tag("tr", join(tag("td", cell) for cell in row)) for row in rows)
    whole = tag(
        "table", tag("caption", caption), tag("thead", tag("tr", columns)), tag("tbody", body)
    )
    return tag("div", whole, class_="scroll", role="region", aria_label=caption, tabindex="0")


def more(summary: str, *children: str, opened: bool = False) -> Html:
    """What is folded away behind a summary, or unfolded at first."""
    return tag("details", tag("summary", summary), *children, open="" if opened else None)
