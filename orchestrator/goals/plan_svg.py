"""A plan as a picture: one SVG that needs nothing else, for light and dark.

The world is on the left, what is wanted on the right, and a step stands right of all that it takes
something from. The picture has a bounded size: large plans are folded (``plan_shape``), and beyond
``LAYERS_MAX`` columns or ``ROWS_MAX`` boxes in one, what is left out is counted in one box.
"""

from __future__ import annotations

from orchestrator.goals.plan_shape import Shape, money, seconds, want_words
from processors.protocol.canonical import Json
from processors.protocol.shapes import count, text

LAYERS_MAX = 16
ROWS_MAX = 12
CHARS_MAX = 30  # of a line in a box; the whole text is in its title

WIDTH, HEIGHT = 236, 58  # of a box
GAP_X, GAP_Y, EDGE = 72, 18, 20

STYLE = (
    "svg{color-scheme:light dark;background:#fff;font:12px ui-monospace,monospace}"
    "rect{fill:#f4f6f9;stroke:#8592a6}.end rect{fill:#e7f0e6;stroke:#5c8a57}"
    "text{fill:#1d2530}.less{fill:#5a6675}path{fill:none;stroke:#8592a6;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){svg{background:#12161c}rect{fill:#1e252f;stroke:#6f7d92}"
    ".end rect{fill:#1b2b1e;stroke:#6ba365}text{fill:#e6ebf2}.less{fill:#a3afbf}"
    "path{stroke:#6f7d92}}"
)


class _Box:
    __slots__ = ("end", "lines", "title", "x", "y")

    def __init__(self, lines: tuple[str, str, str], title: str, *, end: bool) -> None:
        self.lines = lines
        self.title = title
        self.end = end
        self.x = self.y = 0


def plan_svg(document: dict[str, Json]) -> str:
    """Draw an accepted plan."""
    shape = Shape(document)
    columns: list[list[_Box]] = [[_Box(("world", "what exists", ""), "what exists", end=True)]]
    place: dict[int, _Box] = {-1: columns[0][0]}
    edges: dict[tuple[_Box, _Box], int] = {}
    folded: dict[_Box, int] = {}
    for number, group in enumerate(shape.groups):
        layer = min(group.layer, LAYERS_MAX - 1) + 1
        while len(columns) <= layer:
            columns.append([])
        column = columns[layer]
        if len(column) < ROWS_MAX:
            column.append(_group_box(group.steps))
        else:
            folded[column[-1]] = folded.get(column[-1], 1) + 1
        place[number] = column[-1]
        for source, amount in group.sources.items():
            _join(edges, place[source], place[number], amount)
    for box, amount in folded.items():
        box.lines = (f"{amount} more", "", "kinds of steps")
        box.title = f"{amount} groups of steps that are not drawn"
    columns.append(_want_boxes(shape, place, edges))
    _set_out(columns)
    return _written(document, columns, edges)


def _group_box(steps: list[dict[str, Json]]) -> _Box:
    first = steps[0]
    prefix = text(first, "write_prefix")
    each = f"{money(count(first, 'cost_micro_usd'))}, {seconds(count(first, 'time_ms'))}"
    if len(steps) == 1:
        return _Box((text(first, "ref"), prefix, each), prefix, end=False)
    ref = f"{text(first, 'ref')} \u00d7 {len(steps)}"
    title = f"{prefix} and {len(steps) - 1} more"
    return _Box((ref, f"{prefix} ...", f"{each} each"), title, end=False)


def _want_boxes(
    shape: Shape, place: dict[int, _Box], edges: dict[tuple[_Box, _Box], int]
) -> list[_Box]:
    boxes: list[_Box] = []
    for number, (want, sources) in enumerate(shape.wants):
        if len(boxes) < ROWS_MAX:
            amount = sum(sources.values())
            words = want_words(want)
            boxes.append(_Box(("wanted", words, f"{amount} in all"), words, end=True))
        else:
            left = f"{len(shape.wants) - ROWS_MAX + 1} more"
            boxes[-1].lines = ("wanted", left, "")
            boxes[-1].title = left
        for source, amount in sources.items():
            _join(edges, place[source], boxes[min(number, ROWS_MAX - 1)], amount)
    return boxes


def _join(edges: dict[tuple[_Box, _Box], int], one: _Box, other: _Box, amount: int) -> None:
    if one is not other:
        edges[one, other] = edges.get((one, other), 0) + amount


def _set_out(columns: list[list[_Box]]) -> None:
    """Give each box its place; columns are centred on the tallest."""
    tallest = max(map(len, columns))
    for number, column in enumerate(columns):
        top = EDGE + (tallest - len(column)) * (HEIGHT + GAP_Y) // 2
        for row, box in enumerate(column):
            box.x = EDGE + number * (WIDTH + GAP_X)
            box.y = top + row * (HEIGHT + GAP_Y)


def _written(
    document: dict[str, Json],
    columns: list[list[_Box]],
    edges: dict[tuple[_Box, _Box], int],
) -> str:
    width = 2 * EDGE + len(columns) * (WIDTH + GAP_X) - GAP_X
    height = 2 * EDGE + max(map(len, columns)) * (HEIGHT + GAP_Y) - GAP_Y
    title = _escaped(f"Plan for {text(document, 'goal')}")
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size}>',
        f"<title>{title}</title><style>{STYLE}</style>",
    ]
    for (one, other), amount in edges.items():
        x, y, to_x, to_y = one.x + WIDTH, one.y + HEIGHT // 2, other.x, other.y + HEIGHT // 2
        if to_x < x:  # both in the column that holds all that lies deeper
            continue
        bend = (to_x - x) // 2
        parts.append(
            f'<path d="M{x} {y}C{x + bend} {y} {to_x - bend} {to_y} {to_x} {to_y}">'
            f"<title>{amount}</title></path>"
        )
    for box in (box for column in columns for box in column):
        kind = ' class="end"' if box.end else ""
        parts.append(
            f"<g{kind}><title>{_escaped(box.title)}</title>"
            f'<rect x="{box.x}" y="{box.y}" width="{WIDTH}" height="{HEIGHT}" rx="6"/>'
        )
        for line, (words, style) in enumerate(
            zip(box.lines, ("", ' class="less"', ' class="less"'), strict=True)
        ):
            shown = _escaped(
                words if len(words) <= CHARS_MAX else f"{words[: CHARS_MAX - 1]}\u2026"
            )
            parts.append(
                f'<text x="{box.x + 9}" y="{box.y + 18 + line * 16}"{style}>{shown}</text>'
            )
        parts.append("</g>")
    return "".join([*parts, "</svg>\n"])


def _escaped(words: str) -> str:
    """Text for XML 1.0, which has no way to write some characters."""
    kept = "".join(
        each if each.isprintable() and each not in "\ufffe\uffff" else "\ufffd" for each in words
    )
    return (
        kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    )
