"""One picture of the live view, as the library draws it. The only module that knows the library.

Every line is cut to the terminal's width as it is at that moment, and there are never more lines
than the terminal has.
"""

from __future__ import annotations

from typing import cast

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment
from rich.text import Text

from orchestrator.cli import output
from orchestrator.goals.plan_shape import money
from processors.protocol import shapes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import IO

    from rich.console import ConsoleOptions, RenderableType

    from orchestrator.cli.scene import Picture, Row
    from orchestrator.goals.goal import Goal

STDERR = 2
NARROW_CELLS = 72  # below, a step takes two lines
BAR_CELLS = 30
OWN_LINES = 6  # of a picture, besides the steps
RUNNING_MAX, FAILED_MAX = 8, 3
LINES_LEAST = 8  # of a terminal that says nothing sensible


class Frame:
    """A picture of a goal, to be drawn."""

    def __init__(self, goal: Goal, seen: Picture) -> None:
        self._goal = goal
        self._seen = seen

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType | Segment]:
        """Its lines, for a terminal of such a size."""
        width = options.max_width
        height = max(LINES_LEAST, console.size.height)
        summary = shapes.text(self._goal.document, "summary")
        head = Text(output.shown(self._goal.name), style="bold")
        head.append(f"  {output.shown(summary)}", style="not bold dim")
        yield _cut(head, width)
        seen = self._seen
        if seen.total:
            yield ProgressBar(seen.total, seen.done, width=min(width, BAR_CELLS))
            yield Segment.line()
        yield _cut(Text(_progress(seen)), width)
        if seen.limit_micro_usd is not None:
            yield _cut(Text(_budget(seen), style="dim"), width)
        yield from _steps(seen, width, (height - OWN_LINES) // (2 if width < NARROW_CELLS else 1))


def screen(picture: Callable[[], Frame], looks: Mapping[str, str]) -> Live:
    """Where pictures are drawn one over the other, as a block; the last one is gone at its end."""
    file = cast("IO[str]", _Stderr())  # all of a file that the library uses
    return Live(
        console=_Screen(file=file, force_terminal=True, _environ=looks),
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        vertical_overflow="crop",
        get_renderable=picture,
    )


class _Screen(Console):
    """A terminal whose cursor stays visible, so that no end of the program leaves it hidden."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: FBT001, FBT002, ARG002 - as the library calls it
        """Leave the cursor as it is."""
        return False


class _Stderr:
    """Stderr as a file; that nobody reads it changes nothing."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        """Write a text, all of it or what the terminal takes."""
        output.tell(text)
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""

    def fileno(self) -> int:
        """The descriptor, of which the library asks the size."""
        return STDERR

    def isatty(self) -> bool:
        """It is one, or there were no view."""
        return True


def _progress(seen: Picture) -> str:
    if not seen.total:
        return seen.phase
    words = f"{seen.done} of {seen.total} step(s)"
    if seen.left_s is not None:
        words += f", about {_duration(seen.left_s)} left"
    return words if seen.phase == "running" else f"{words}; {seen.phase}"


def _budget(seen: Picture) -> str:
    assert seen.limit_micro_usd is not None
    reserved = f", {money(seen.reserved_micro_usd)} reserved" if seen.reserved_micro_usd else ""
    return f"{money(seen.spent_micro_usd)} spent{reserved} of {money(seen.limit_micro_usd)}"


def _steps(seen: Picture, width: int, room: int) -> Iterator[Text]:
    """The steps that there is room for: what failed, what runs, what waits."""
    failed = seen.failed[: min(FAILED_MAX, max(1, room // 4))]
    for each in failed:
        assert each.error is not None
        error = f"{each.error.code} / {each.error.reason}"
        yield from _step("failed", "red", each.ref, each.step, error, width)
    room -= len(failed)
    running = seen.running[: max(1, min(RUNNING_MAX, room - 1))]
    for row in running:
        yield from _row("runs", "green", row, width)
    if hidden := len(seen.running) - len(running):
        yield _cut(Text(f"... and {hidden} more run", style="dim"), width)
    room -= len(running) + bool(hidden)
    waiting = seen.waiting[: max(0, room - 1)]
    for row in waiting:
        yield from _row("waits", "yellow", row, width)
    if hidden := len(seen.waiting) - len(waiting) + seen.more_waiting:
        yield _cut(Text(f"... and {hidden} more wait", style="dim"), width)


def _row(word: str, style: str, row: Row, width: int) -> Iterator[Text]:
    time = "" if row.elapsed_s is None else _duration(row.elapsed_s)
    return _step(word, style, row.ref, row.step, "  ".join(filter(None, (time, row.note))), width)


def _step(word: str, style: str, ref: str, step: str, note: str, width: int) -> Iterator[Text]:
    """A step on one line, or on two where there is little room; a long path loses its start."""
    line = Text(f"{word:<6} ", style=style)
    ref, step, note = (output.shown(each) for each in (ref, step, note))
    line.append(ref, style="default")
    if width < NARROW_CELLS:
        if note:
            line.append(f"  {note}", style="dim default")
        yield _cut(line, width)
        yield _cut(Text(f"       {_tail(step, width - 7)}"), width)
        return
    room = width - cell_len(line.plain) - 2
    step = _tail(step, max(20, room - cell_len(note) - 2))
    line.append(f"  {step}", style="default")
    if note:
        line.append(f"  {note}", style="dim default")
    yield _cut(line, width)


def _tail(path: str, cells: int) -> str:
    """A path, or as much of its end as there is room for."""
    if cell_len(path) <= cells:
        return path
    kept = path
    while kept and cell_len(kept) >= cells:
        kept = kept[1 + (cell_len(kept) - cells) // 2 :]
    return f"\u2026{kept}"


def _cut(line: Text, width: int) -> Text:
    line.no_wrap = True
    line.truncate(width, overflow="ellipsis")
    return line


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
