"""The report as one HTML file. Pure: the same gathered facts make the same bytes.

The file needs nothing else and asks for nothing: no script, no font, no link to another place.
"""

from __future__ import annotations

from string import Template

from orchestrator.goals import goal as goals
from orchestrator.goals import judging, plan_svg, plan_text
from orchestrator.goals.plan_shape import missing_words, money
from orchestrator.report import preview
from orchestrator.report.executions import executions, timeline
from orchestrator.report.gather import listed
from orchestrator.report.links import Links, badge, path_words, size_words
from orchestrator.report.markup import Html, join, more, table, tag, text
from orchestrator.world import fold
from processors.protocol import shapes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.goal import Stated
    from orchestrator.goals.judging import Verdict
    from orchestrator.report.gather import Gathered, Item
    from processors.protocol.canonical import Json

WITNESSES_MAX = 100  # artifacts of a witness that are listed
FITTED_MAX = 1_500  # pixels; a picture that is no wider is made as wide as the page
OPENED_MAX = 24  # artifacts that are unfolded at first

_TONES = {
    judging.TRUE: "good",
    judging.FALSE: "bad",
    judging.ERROR: "bad",
    fold.SATISFIED: "good",
    fold.UNPROVED: "open",
    fold.REOPENED: "bad",
}
_SECTIONS = (
    *("predicates", "plan", "timeline", "costs"),
    *("artifacts", "executions"),
)


def page(found: Gathered, template: str) -> str:
    """The whole file.

    Args:
        found: What it tells.
        template: The frame, with ``$title``, ``$head``, ``$body`` and ``$foot``.
    """
    links = Links(found)
    sections = (
        _section("predicates", _predicates(found, links)),
        _section("plan", _plan(found)),
        _section("timeline", timeline(found)),
        _section("costs", _costs(found)),
        _section("artifacts", _artifacts(found, links)),
        _section("executions", executions(found, links)),
    )
    return Template(template).substitute(
        title=text(f"{found.goal.name}: {found.stands[0]}"),
        head=_head(found),
        body="\n".join(sections),
        foot=_foot(found),
    )


def _section(name: str, *children: str) -> Html:
    title = tag("h2", name.capitalize(), id=f"{name}-title")
    return tag("section", title, *children, id=name, aria_labelledby=f"{name}-title")


def _head(found: Gathered) -> Html:
    goal, row = found.goal, found.row
    proving = [verdict for stated, verdict in found.judged if stated.scope != goals.ADMISSION]
    held = sum(1 for each in proving if each.is_true)
    spent = "nothing" if found.budget is None else money(found.budget.spent_micro_usd)
    limit = money(goal.budget_micro_usd)
    looked = f"{len(found.items)} shown below"
    count, _ = found.head
    facts = (
        ("Predicates", f"{held} of {len(proving)} true", "at the event below"),
        ("Executions", str(found.runs_total), f"{found.plans} plan(s)"),
        ("Spent", spent, f"of {limit}"),
        ("Artifacts", str(found.artifacts_total), looked),
        ("Ledger", f"event {count}", found.head_at.replace("T", " ").removesuffix("Z") + " UTC"),
    )
    boxes = (
        tag("div", tag("dt", name), tag("dd", value, tag("span", note, class_="less")))
        for name, value, note in facts
    )
    nav = join(tag("li", tag("a", name.capitalize(), href=f"#{name}")) for name in _SECTIONS)
    status, differs = found.stands
    tone = _TONES[fold.UNPROVED if differs else row.status]
    title = tag("div", tag("h1", goal.name), badge(status, tone), class_="title")
    proof = "No proof: not all of it was found true of one moment." if row.proof is None else ""
    return tag(
        "header",
        title,
        tag("p", shapes.text(goal.document, "summary")),
        tag("p", status, differs) if differs else "",
        tag("p", proof or join(("Proof ", tag("code", str(row.proof)))), class_="less"),
        tag("dl", *boxes, class_="facts"),
        tag("nav", tag("ul", nav), aria_label="Sections"),
    )


def _foot(found: Gathered) -> Html:
    count, hash_ = found.head
    return tag(
        "footer",
        tag("h2", "About this page"),
        tag(
            "p",
            f"It tells of world {found.world} as it was after event {count}, whose hash is ",
            tag("code", hash_),
            ". The same events and bytes make the same page; the command ",
            tag("code", "ledger verify"),
            " checks that they are what they were. It needs no other file and asks for none.",
        ),
        more("The goal as it was declared", preview.plain(preview.pretty(found.goal.document))),
    )


def _predicates(found: Gathered, links: Links) -> Html:
    cards = (_predicate(stated, verdict, links) for stated, verdict in found.judged)
    return tag("ul", *cards, class_="cards")


def _predicate(stated: Stated, verdict: Verdict, links: Links) -> Html:
    witness = verdict.witness
    found = preview.pretty(witness.get("found"))
    artifacts = listed(witness, "artifacts")
    rows = (
        (
            links.artifact(shapes.text(item, "path")),
            tag("code", _cid(item.get("cid"))),
            tag("span", str(item.get("seq") or ""), class_="number"),
        )
        for item in artifacts[:WITNESSES_MAX]
    )
    looked = [table(f"What {stated.name} looked at", ("path", "content", "event"), rows)]
    whole = witness.get("whole")
    patterns = [str(each) for each in whole] if isinstance(whole, list) else []
    said = [
        tag("p", "Every artifact was gone through that matches ", path_words(each))
        for each in patterns
    ]
    title = tag(
        "div",
        tag("h3", stated.name),
        tag("span", f"{stated.scope} ", class_="less"),
        badge(verdict.value, _TONES[verdict.value]),
        class_="title",
    )
    each = [] if stated.for_each is None else [join(("for each ", path_words(stated.for_each)))]
    rule = join((tag("code", stated.predicate), " ", *each))
    return tag(
        "li",
        title,
        tag("p", rule),
        preview.plain(preview.pretty(stated.args)) if stated.args else "",
        more(
            f"Witness: {len(artifacts)} artifact(s) looked at",
            *said,
            *(looked if artifacts else ()),
            *preview.left_out(min(len(artifacts), WITNESSES_MAX), len(artifacts), "artifacts"),
            tag("p", "Found:"),
            preview.plain(found),
        ),
        class_="card",
    )


def _cid(value: Json) -> str:
    return f"{value[:19]}\u2026" if isinstance(value, str) else "is not there"


def _plan(found: Gathered) -> Html:
    if found.certificate is None:
        return _drawn(found)
    seq, document = found.certificate
    said = f"The last answer, of event {seq}, was a certificate that no plan exists"
    if document is None:
        parts = [tag("p", f"{said}. Its bytes are gone.")]
    else:
        words = preview.plain(plan_text.plan_text(document))
        parts = [
            tag("p", f"{said}: ", path_words(missing_words(document)), " is missing."),
            more("The certificate in words", words),
        ]
    if found.plans:
        parts += [tag("p", "Before that, this plan was made."), _drawn(found)]
    return join(parts)


def _drawn(found: Gathered) -> Html:
    """The last plan as a picture and in words."""
    if found.plan is None:
        return tag("p", "No plan was needed or made." if not found.plans else "Its bytes are gone.")
    drawn = Html(plan_svg.plan_svg(found.plan))  # which escapes what it shows itself
    picture = tag(
        "div",
        drawn,
        class_="scroll fit" if _width(drawn) <= FITTED_MAX else "scroll",
        role="region",
        aria_label="The plan as a picture",
        tabindex="0",
    )
    last = "" if found.plans == 1 else f"The last of {found.plans} plans. "
    return join(
        (
            tag(
                "p",
                f"{last}What exists is on the left, what is wanted on the right.",
                class_="less",
            ),
            picture,
            more("The plan in words", preview.plain(plan_text.plan_text(found.plan))),
        )
    )


def _width(drawn: str) -> int:
    """How many pixels a picture is wide."""
    return int(drawn.partition(' width="')[2].partition('"')[0])


def _costs(found: Gathered) -> Html:
    budget = found.budget
    by_ref: dict[str, list[int]] = {}
    for run in found.runs:
        if run.held is not None:
            ref = by_ref.setdefault(run.row.ref, [0, 0, 0])
            ref[0] += 1
            ref[1] += run.held.reserve_micro_usd
            ref[2] += run.held.spent_micro_usd or 0
    rows = (
        (
            ref,
            *(
                tag("span", each, class_="number")
                for each in (str(count), money(asked), money(spent))
            ),
        )
        for ref, (count, asked, spent) in sorted(by_ref.items())
    )
    head = ("processor", "executions", "set aside", "spent")
    parts = [table("Costs by processor", head, rows)] if by_ref else []
    parts += preview.left_out(len(found.runs), found.runs_total, "executions")
    if budget is not None:
        words = (
            f"{money(budget.spent_micro_usd)} spent, {money(budget.reserved_micro_usd)} reserved,"
            f" {money(budget.free_micro_usd)} free of {money(budget.limit_micro_usd)}"
        )
        parts[:0] = [
            tag("p", words),
            _meter(
                budget.spent_micro_usd, budget.reserved_micro_usd, budget.limit_micro_usd, words
            ),
        ]
    refused = [
        (
            shapes.text(each, "step"),
            str(each["reason"]),
            _money(each["ask_micro_usd"]),
            _money(each["bound_micro_usd"]),
        )
        for each in found.refusals
    ]
    if refused:
        head = ("step", "refused because", "asked for", "of")
        parts += [tag("h3", "Refused"), table("Steps that were refused", head, refused)]
    return join(parts)


def _money(amount: Json) -> str:
    return money(amount) if isinstance(amount, int) else ""


def _meter(spent: int, reserved: int, limit: int, words: str) -> Html:
    shares = (
        f"width:{100 * each / limit:.2f}%" if limit else "width:0" for each in (spent, reserved)
    )
    spans = (tag("span", style=share) for share in shares)
    return tag("div", *spans, class_="meter", role="img", aria_label=words)


def _artifacts(found: Gathered, links: Links) -> Html:
    cards = (_artifact(at, item, links) for at, item in enumerate(found.items))
    shown = tag("ul", *cards, class_="cards pair")
    intro = (
        "What the goal looks at, and the largest of the others. The loop's own records are listed"
        " below; what they say stands in the other parts of this page."
    )
    rows = (
        (
            path_words(each.path),
            each.mime,
            tag("span", size_words(each.size_bytes), class_="number"),
            links.maker(each.seq),
        )
        for each in found.rest
    )
    rest: list[str] = []
    if found.rest:
        total = found.artifacts_total - len(found.items)
        rest = [
            more(
                f"The other {total} artifacts",
                table("The other artifacts", ("path", "type", "size", "made by"), rows),
                *preview.left_out(len(found.rest), total, "artifacts"),
            )
        ]
    return join((tag("p", intro, class_="less"), shown, *rest))


def _artifact(at: int, item: Item, links: Links) -> Html:
    artifact = item.artifact
    about = join(
        (
            f"{artifact.mime}, ",
            tag("span", size_words(artifact.size_bytes), class_="number"),
            ", ",
            links.maker(artifact.seq),
        )
    )
    shown = (
        item.preview if isinstance(item.preview, Html) else tag("p", item.preview, class_="less")
    )
    return tag(
        "li",
        tag("h3", path_words(artifact.path)),
        tag("p", about, class_="less"),
        more("Preview", shown, opened=at < OPENED_MAX),
        tag("p", tag("code", artifact.cid), class_="less"),
        class_="card",
        id=links.anchor(artifact.path),
    )
