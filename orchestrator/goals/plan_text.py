"""A plan, or the proof that there is none, as text for people."""

from __future__ import annotations

from orchestrator.goals.domain import NO_PLAN_SCHEMA
from orchestrator.goals.plan_shape import Group, Shape, money, objects, seconds, want_words
from processors.protocol.canonical import Json
from processors.protocol.shapes import count, members, text

SHOWN_MAX = 3  # steps of a group
GROUPS_MAX = 40
WANTS_MAX = 40
WORDS_MAX = 160  # characters of a path or template


def plan_text(document: dict[str, Json]) -> str:
    """Describe an accepted document in a bounded number of lines."""
    if document["schema"] == NO_PLAN_SCHEMA:
        return _no_plan_text(document)
    shape = Shape(document, singles_max=0)
    steps = sum(len(group.steps) for group in shape.groups)
    lines = [_head(document)]
    if not steps:
        lines.append("Nothing to do: everything that is wanted exists.")
    else:
        lines.append(
            f"{_number(steps, 'step')}: {money(count(document, 'cost_micro_usd'))},"
            f" {seconds(count(document, 'time_ms'))} one after another,"
            f" {seconds(count(document, 'span_ms'))} if all that can runs at once"
        )
    for group in shape.groups[:GROUPS_MAX]:
        lines += ["", *_group_lines(group)]
    if (hidden := len(shape.groups) - GROUPS_MAX) > 0:
        lines += ["", f"... and {_number(hidden, 'group')} more"]
    lines += ["", "Then there will be:"]
    for want, sources in shape.wants[:WANTS_MAX]:
        there = sources.get(-1, 0)
        made = sum(sources.values()) - there
        lines.append(f"  {_short(want_words(want))}  ({there} exist, {made} to be made)")
    if (hidden := len(shape.wants) - WANTS_MAX) > 0:
        lines.append(f"  ... and {hidden} more")
    return "\n".join(lines) + "\n"


def _head(document: dict[str, Json]) -> str:
    head = members(document, "head")
    return f"Goal {_short(text(document, 'goal'))}, world at event {count(head, 'count')}"


def _group_lines(group: Group) -> list[str]:
    first = group.steps[0]
    each = f"{money(count(first, 'cost_micro_usd'))}, {seconds(count(first, 'time_ms'))} each"
    lines = [f"{group.ref} x {len(group.steps)}  ({each})"]
    for step in group.steps[:SHOWN_MAX]:
        inputs = members(step, "inputs")
        lines.append(f"  {_short(text(step, 'write_prefix'))}")
        lines += [f"    {name} {_short(text(inputs, name))}" for name in inputs]
    if (hidden := len(group.steps) - SHOWN_MAX) > 0:
        lines.append(f"  ... and {hidden} more")
    return lines


def _no_plan_text(document: dict[str, Json]) -> str:
    want = members(document, "want")
    missing = document["missing"]
    lines = [_head(document), f"No plan: {_short(want_words(want))}"]
    if isinstance(missing, str) and missing != want.get("exists"):
        lines.append(f"  {_short(missing)} cannot be made")
    lines.append("All that can be made of what exists:")
    for entry in objects(document, "reachable"):
        instances = entry["instances"]
        assert isinstance(instances, list)
        lines.append(f"  {text(entry, 'operator')}: {_number(len(instances), 'step')}")
    return "\n".join(lines) + "\n"


def _number(amount: int, what: str) -> str:
    return f"{amount} {what}" if amount == 1 else f"{amount} {what}s"


def _short(words: str) -> str:
    shown = "".join(each if each.isprintable() else "\ufffd" for each in words)
    return shown if len(shown) <= WORDS_MAX else f"{shown[: WORDS_MAX - 3]}..."
