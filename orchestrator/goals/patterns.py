"""Templates as the planner uses them: match a path, fill in values, tell which can ever meet.

What a template is made of is read by ``templates``. Its values are a tuple in the order of its
``names``, which is the order in which they first stand in it. The checker of plans has a reader and
a matcher of its own; nothing here is used by it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import chain

from orchestrator.goals import domain, templates
from orchestrator.goals.domain import Facts, Operator
from orchestrator.goals.templates import Segment
from processors.protocol import paths
from processors.protocol.errors import ContractError

type Values = tuple[str, ...]
type Segments = tuple[Segment, ...]


class Template:
    """One compiled template."""

    __slots__ = ("_compiled", "lead", "names", "segments", "text")

    def __init__(self, text: str) -> None:
        """Compile a template.

        Raises:
            DomainError: It is none, or has more wildcards than a template may have.
        """
        try:
            read = templates.Template(text)
        except ValueError as error:
            raise domain.DomainError("bad_template", str(error)) from None
        self.text = text
        self.names = read.names
        self.segments: Segments = tuple(read.segments)
        self.lead = text.partition("{")[0]
        self._compiled: re.Pattern[str] | None = None

    @property
    def _pattern(self) -> re.Pattern[str]:
        """Compiled when first asked for, since of many operators a plan needs few."""
        if self._compiled is None:
            seen: set[str] = set()
            pattern = "/".join(_pattern(segment, seen) for segment in self.segments)
            self._compiled = re.compile(pattern, re.DOTALL)
        return self._compiled

    def match(self, path: str) -> Values | None:
        """The values with which the template is this path, which are the only ones."""
        found = self._pattern.fullmatch(path)
        return None if found is None else found.groups()

    def filler(self, names: Values) -> Callable[[Values], str]:
        """A function from values in the order of ``names`` to the path."""
        return _filler(self.text, names)

    def matches(self, facts: Facts) -> Iterable[tuple[str, Values]]:
        """The facts that match, in order, each with its values."""
        if not self.names:
            return [(self.text, ())] if self.text in facts else []
        return self.matched(facts.starting(self.lead))

    def matched(self, listed: Iterable[str]) -> list[tuple[str, Values]]:
        """Those that match, in the same order, each with its values."""
        match = self._pattern.fullmatch
        return [(path, found.groups()) for path in listed if (found := match(path))]

    def meets(self, segments: Segments) -> bool:
        """Whether some path could match this and another; a yes may be wrong, a no never is."""
        return len(self.segments) == len(segments) and all(map(_meets, self.segments, segments))


class Rule:
    """An operator, compiled.

    Attributes:
        operator: What it was compiled from.
        index: Its place among the task's operators.
        stage: Its place in the order of transitions.
        names: The wildcards of its products, which tell its instances apart.
        inputs: The names under which the requirements are handed over.
        requires: The compiled requirements.
        produces: The compiled products.
        groups: The requirements that have wildcards of their own, joined by those they share.
    """

    __slots__ = (
        *("index", "operator", "stage", "names", "requires", "produces", "inputs", "groups"),
        *("_is_plain", "_paths", "_prefix", "fixed"),
    )

    def __init__(self, operator: Operator, index: int, stage: int) -> None:
        self.operator = operator
        self.index = index
        self.stage = stage
        self.requires = [Template(template) for _, template in operator.requires]
        self.produces = [Template(template) for template in operator.produces]
        self.names = self.produces[0].names
        self.inputs = [name for name, _ in operator.requires]
        prefix = domain.write_prefix(operator.produces[0])
        self._prefix = _filler(prefix, self.names)
        # No value leads under a reserved folder if the first two segments are fixed.
        self._is_plain = "{" not in "/".join(prefix.split("/")[:3]) and all(
            template.isascii() for template in operator.produces
        )
        self._paths = [template.filler(self.names) for template in self.produces]
        own = [frozenset(template.names) - {*self.names} for template in self.requires]
        self.groups = _joined(own)
        self.fixed = [
            (place, template.filler(self.names))
            for place, template in enumerate(self.requires)
            if not own[place]
        ]

    def prefix(self, values: Values) -> str:
        """The write prefix of an instance."""
        return self._prefix(values)

    def products(self, values: Values) -> tuple[str, ...] | None:
        """The products of an instance; None if its paths are none of a world."""
        made = tuple([fill(values) for fill in self._paths])
        try:
            if paths.canonical_prefix(self._prefix(values)) != self._prefix(values):
                return None
            for path in made:
                if paths.canonical_path(path) != path:
                    return None
        except ContractError:
            return None
        return made

    def instances(self, listed: list[Values]) -> tuple[list[Values], list[str], list[list[str]]]:
        """The values of which all paths are of a world; their prefixes; their products."""
        if not (self._is_plain and self._are_plain(listed)):
            listed = [values for values in listed if self.products(values) is not None]
        columns = [map(fill, listed) for fill in self._paths]
        return listed, list(map(self._prefix, listed)), list(map(list, zip(*columns, strict=True)))

    def _are_plain(self, listed: list[Values]) -> bool:
        """Whether values can be seen at a glance to leave plain templates canonical."""
        values = list(chain.from_iterable(listed))
        text = "/".join(["", *values])
        longest = max(map(len, values), default=0)
        return (
            text.isascii()
            and text.isprintable()
            and "%" not in text
            and "/." not in text
            and all(
                len(each.text) + longest * each.text.count("{") <= paths.SEGMENT_BYTES_MAX
                for each in self.produces
            )
        )


def resembling(path: str) -> Segments:
    """What a path matches and many others, too: its first folders, and how deep it lies."""
    parts = path.split("/")
    return tuple([(part, "", "") for part in parts[:3]] + [("", "any", "")] * len(parts[3:]))


def rules(task: domain.Task) -> list[Rule]:
    """The operators of a task, compiled."""
    return [
        Rule(operator, index, task.stage(operator)) for index, operator in enumerate(task.operators)
    ]


def _filler(text: str, names: Values) -> Callable[[Values], str]:
    places: list[int] = []
    literal: list[str] = []
    rest = text
    while rest:
        before, opened, rest = rest.partition("{")
        literal.append(before.replace("%", "%%"))
        if opened:
            name, _, rest = rest.partition("}")
            places.append(names.index(name))
            literal.append("%s")
    form = "".join(literal)
    if places == list(range(len(names))):
        return form.__mod__
    return lambda values: form % tuple([values[place] for place in places])


def _pattern(segment: Segment, seen: set[str]) -> str:
    before, name, after = segment
    if not name:
        return re.escape(before)
    middle = f"(?P={name})" if name in seen else f"(?P<{name}>[^/]+)"
    seen.add(name)
    return re.escape(before) + middle + re.escape(after)


def _meets(one: Segment, other: Segment) -> bool:
    if not one[1] and not other[1]:
        return one[0] == other[0]
    if not one[1]:
        one, other = other, one
    before, _, after = one
    if not other[1]:
        text = other[0]
        fits = len(text) > len(before) + len(after)
        return fits and text.startswith(before) and text.endswith(after)
    heads = before.startswith(other[0]) or other[0].startswith(before)
    return heads and (after.endswith(other[2]) or other[2].endswith(after))


def _joined(own: list[frozenset[str]]) -> list[list[int]]:
    """Places of requirements with wildcards of their own, in groups that share none."""
    groups: list[tuple[set[str], list[int]]] = []
    for place, names in enumerate(own):
        if not names:
            continue
        apart = [group for group in groups if not group[0] & names]
        shared = [group for group in groups if group[0] & names]
        merged = set(names).union(*(group[0] for group in shared))
        places = sorted([place, *(each for group in shared for each in group[1])])
        groups = [*apart, (merged, places)]
    return sorted(places for _, places in groups)
