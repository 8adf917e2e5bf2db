"""A plan folded for people: steps of one operator at one distance from the world are one group.

What is shown is bounded however large the plan is; what is left out is counted.
"""

from __future__ import annotations

from processors.protocol.canonical import Json
from processors.protocol.shapes import count, members, text

SINGLES_MAX = 12  # steps; a plan that is no larger is shown step by step


class Group:
    """Steps that are shown as one.

    Attributes:
        ref: Their operator.
        layer: Their distance from the world in steps, from 0.
        steps: The steps.
        sources: How many inputs come from each group, by its place in the list; -1 is the world.
    """

    __slots__ = ("layer", "ref", "sources", "steps")

    def __init__(self, ref: str, layer: int) -> None:
        self.ref = ref
        self.layer = layer
        self.steps: list[dict[str, Json]] = []
        self.sources: dict[int, int] = {}


class Shape:
    """The groups of a plan, in its order.

    Attributes:
        groups: The groups.
        wants: For each want, how many of its facts come from each group; -1 is the world.
    """

    __slots__ = ("groups", "wants")

    def __init__(self, document: dict[str, Json], *, singles_max: int = SINGLES_MAX) -> None:
        self.groups: list[Group] = []
        place: dict[tuple[str, int, str], int] = {}
        home: dict[Json, int] = {"world": -1}
        steps = objects(document, "steps")
        for step in steps:
            sources = members(step, "sources").values()
            from_ = [home[source] for source in sources]
            layer = max((self.groups[each].layer + 1 for each in from_ if each >= 0), default=0)
            alone = text(step, "id") if len(steps) <= singles_max else ""
            key = text(step, "ref"), layer, alone
            if key not in place:
                place[key] = len(self.groups)
                self.groups.append(Group(key[0], layer))
            group = self.groups[place[key]]
            group.steps.append(step)
            for each in from_:
                group.sources[each] = group.sources.get(each, 0) + 1
            home[step["id"]] = place[key]
        self.wants: list[tuple[dict[str, Json], dict[int, int]]] = []
        for proved in objects(document, "wants"):
            counts: dict[int, int] = {}
            listed = proved["sources"]
            assert isinstance(listed, list)
            for source in listed:
                counts[home[source]] = counts.get(home[source], 0) + 1
            self.wants.append((members(proved, "want"), counts))


def objects(document: dict[str, Json], key: str) -> list[dict[str, Json]]:
    """A member that is a list of objects."""
    listed = document[key]
    assert isinstance(listed, list)
    found = [each for each in listed if isinstance(each, dict)]
    assert len(found) == len(listed)
    return found


def want_words(want: dict[str, Json]) -> str:
    """A want in words."""
    if "exists" in want:
        return text(want, "exists")
    if "at_least" in want:
        return f"at least {count(want, 'at_least')} of {text(want, 'template')}"
    return f"{text(want, 'template')} for every {text(want, 'for_each')}"


def missing_words(document: dict[str, Json]) -> str:
    """What keeps a certificate's want from being planned for, in words."""
    missing = document["missing"]
    return missing if isinstance(missing, str) else want_words(members(document, "want"))


def money(micro_usd: int) -> str:
    """An amount, exactly."""
    whole, rest = divmod(micro_usd, 1_000_000)
    cents = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"${whole}.{cents}"


def seconds(ms: int) -> str:
    """A duration, in the unit that suits it."""
    if ms < 120_000:
        return f"{ms / 1_000:g} s"
    minutes, rest = divmod(ms // 1_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
