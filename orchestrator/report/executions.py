"""The timeline, and what is told of each execution."""

from __future__ import annotations

from orchestrator.goals.plan_shape import money, seconds
from orchestrator.report import preview
from orchestrator.report.links import badge, path_words
from orchestrator.report.markup import Html, join, more, tag
from orchestrator.report.timeline import Axis
from orchestrator.world import fold
from processors.protocol import shapes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.report.gather import Gathered, Run
    from orchestrator.report.links import Links

OPENED_MAX = 3  # executions whose receipts are unfolded at first
INPUTS_MAX = 20
_TONES = {fold.SUCCESS: "good", fold.REUSED: "good", fold.ERROR: "bad", fold.ABANDONED: "bad"}


def timeline(found: Gathered) -> Html:
    """A bar for each execution, in the order in which they began."""
    spans = [span for run in found.runs if (span := run.span_ms) is not None]
    axis = Axis(spans)
    said = []
    if spans:
        said.append(f"Something ran for {_duration(axis.busy_ms)} in all.")
    if axis.pauses:
        said.append(f"{axis.pauses} pause(s) are cut short by {_duration(axis.cut_ms)}.")
    if not found.runs:
        said.append("Nothing ran.")
    return join(
        (
            tag("p", " ".join(said), class_="less"),
            tag("ol", *(_bar(run, axis) for run in found.runs), class_="bars"),
            *preview.left_out(len(found.runs), found.runs_total, "executions"),
        )
    )


def executions(found: Gathered, links: Links) -> Html:
    """A card for each execution, with its receipt."""
    cards = (_card(at, run, links) for at, run in enumerate(found.runs))
    return join(
        (
            tag("ul", *cards, class_="cards"),
            *preview.left_out(len(found.runs), found.runs_total, "executions"),
        )
    )


def _bar(run: Run, axis: Axis) -> Html:
    span = run.span_ms
    outcome = _outcome(run)
    took = "has not ended" if span is None else _duration(span[1] - span[0])
    attempt = "" if run.held is None else f", attempt {run.held.attempt}"
    link = tag("a", run.row.ref, href=f"#x-{run.row.execution_id}")
    what = tag(
        "span",
        link,
        f" {outcome}, {took}{attempt}",
        tag("span", path_words(run.row.write_prefix), class_="less"),
        class_="what",
    )
    if span is None:
        return tag("li", what, tag("span", class_="track"))
    left, width = axis.place(*span)
    tone = _TONES.get(run.row.status, "open")
    bar = tag(
        "span",
        class_=f"bar {tone}",
        style=f"left:{left}%;width:{width}%",
        title=f"{outcome}, {took}",
    )
    return tag("li", what, tag("span", bar, class_="track"))


def _outcome(run: Run) -> str:
    error = None if run.settled is None else run.settled.get("error")
    if isinstance(error, dict):
        return f"{error['code']} / {error['reason']}"
    return run.row.status


def _card(at: int, run: Run, links: Links) -> Html:
    row = run.row
    title = tag(
        "div",
        tag("h3", f"{row.ref} ", path_words(row.write_prefix)),
        badge(row.status, _TONES.get(row.status, "open")),
        class_="title",
    )
    pairs: list[tuple[str, str]] = [
        ("execution", tag("code", row.execution_id)),
        ("asked for", f"{_moment(run.begin)} UTC"),
    ]
    if run.end is not None:
        pairs.append(("ended", f"{_moment(run.end)} UTC"))
    if _outcome(run) != row.status:
        pairs.append(("failed with", _outcome(run)))
    if run.held is not None:
        spent = (
            "not settled" if run.held.spent_micro_usd is None else money(run.held.spent_micro_usd)
        )
        pairs += [
            ("attempt", str(run.held.attempt)),
            ("cost", f"{spent} of {money(run.held.reserve_micro_usd)} set aside"),
            ("plan", tag("code", run.held.plan)),
        ]
    pairs += [(f"takes {name}", links.artifact(path)) for name, path in _taken(run)]
    listed = (join((tag("dt", name), tag("dd", value))) for name, value in pairs)
    return tag(
        "li",
        title,
        tag("dl", *listed, class_="pairs"),
        more(
            "Receipt",
            # A browser that goes to an id unfolds what it lies in.
            tag("div", preview.plain(run.receipt), id=f"r-{row.execution_id}"),
            opened=at < OPENED_MAX,
        ),
        class_="card",
        id=f"x-{row.execution_id}",
    )


def _taken(run: Run) -> list[tuple[str, str]]:
    artifacts = run.requested.get("artifacts")
    if not isinstance(artifacts, dict):
        return []
    named = [(name, shapes.text(item, "path")) for name, item in artifacts.items()]
    return named[:INPUTS_MAX]


def _moment(at: str) -> str:
    return at.replace("T", " ").removesuffix("Z")


def _duration(ms: int) -> str:
    return f"{ms} ms" if ms < 1_000 else seconds(ms)
