"""What a plan is made for, as values: operators, facts, wants. Nothing here plans or matches.

A **fact** is a world path that exists. An **operator** is a processor with its declared effects:
templates of the paths that it requires and produces. A template is a world path of which a segment
may hold one ``{name}`` with fixed text around it; the name stands for one or more characters of
that segment, and for the same ones wherever the operator repeats it.

Rules of an operator, each refused with a ``DomainError`` that names it:

- Its products share one write prefix, what precedes their one ``outputs`` segment.
- Each wildcard of its products stands in the write prefix, so that a prefix belongs to one instance
  of an operator, and in a requirement, so that nothing is made out of nothing.
- A wildcard that only requirements have is *existential*: any value will do, the same one in all.

A **want** is what a goal needs to be true of facts. A **transition list** fixes which operators may
be used and in which order: all steps of one come before all steps of the next.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from processors.protocol import paths, refs
from processors.protocol.canonical import SAFE_INTEGER_MAX, Json
from processors.protocol.errors import ContractError

PLAN_SCHEMA = "plan/v1"
NO_PLAN_SCHEMA = "no_plan/v1"
WORLD = "world"  # the source, in a plan, of a fact that no step makes

OUTPUTS = "outputs"
REQUIRES_MAX = 16  # requirements of one operator; a join of more is a mistake
PRODUCES_MAX = 256


class DomainError(ValueError):
    """A domain that no plan can be made for; its author must act.

    Attributes:
        reason: A slug for programs.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class _Value:
    """What is its members: equal to another with the same, and never changed."""

    __slots__: tuple[str, ...] = ()

    def members(self) -> tuple[object, ...]:
        """All of it."""
        return tuple([getattr(self, name) for name in self.__slots__])

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.members() == self.members()

    def __hash__(self) -> int:
        return hash(self.members())

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.members()}"


class Operator(_Value):
    """A processor and its declared effects.

    Attributes:
        ref: ``ns/name@N``.
        requires: Pairs of an artifact name, under which the processor is handed the file, and the
            template of its world path.
        produces: Templates of what exists afterwards.
        cost_micro_usd: The estimate for one execution.
        time_ms: The estimate for one execution.
        number: Which of the goal's transitions it is, from 1; 0 where the goal spells none out.
    """

    __slots__ = ("cost_micro_usd", "number", "produces", "ref", "requires", "time_ms")

    def __init__(
        self,
        *,
        ref: str,
        requires: tuple[tuple[str, str], ...],
        produces: tuple[str, ...],
        cost_micro_usd: int,
        time_ms: int,
        number: int = 0,
    ) -> None:
        self.ref = ref
        self.requires = requires
        self.produces = produces
        self.cost_micro_usd = cost_micro_usd
        self.time_ms = time_ms
        self.number = number
        self._check()

    @property
    def name(self) -> str:
        """What tells it from the task's other operators."""
        return f"{self.ref}#{self.number}" if self.number else self.ref

    def _check(self) -> None:
        if refs.parse_ref(self.ref) is None:
            raise DomainError("bad_ref", f"{self.ref!a} is no ref")
        for count in (self.cost_micro_usd, self.time_ms):
            if type(count) is not int or not 0 <= count <= SAFE_INTEGER_MAX:
                raise DomainError("bad_estimate", f"{self.ref}: an estimate is no count")
        names = [name for name, _ in self.requires]
        if len(set(names)) != len(names) or not all(map(refs.is_name, names)):
            raise DomainError("bad_input_name", f"{self.ref}: artifact names are bad or repeated")
        if len(names) > REQUIRES_MAX or not 1 <= len(self.produces) <= PRODUCES_MAX:
            raise DomainError("bad_size", f"{self.ref}: too many templates, or no product")
        bound: set[str] = set()
        for _, template in self.requires:
            bound.update(wildcards(template))
        if len({write_prefix(template) for template in self.produces}) != 1:
            raise DomainError("many_prefixes", f"{self.ref}: products have one write prefix")
        prefix = set(wildcards(write_prefix(self.produces[0])[:-1]))
        for template in self.produces:
            if stray := sorted({*wildcards(template)} - (prefix & bound)):
                raise DomainError(
                    "unbound_wildcard",
                    f"{self.ref}: {{{stray[0]}}} of {template} has to stand in the write prefix"
                    " and in a requirement",
                )


class Facts:
    """The paths that exist in a world, sorted; looking up a path or a prefix needs no walk."""

    __slots__ = ("paths", "sorted")

    def __init__(self, found: Iterable[str]) -> None:
        self.paths = frozenset(found)
        self.sorted = sorted(self.paths)

    def __contains__(self, path: object) -> bool:
        return path in self.paths

    def __iter__(self) -> Iterator[str]:
        return iter(self.sorted)

    def __len__(self) -> int:
        return len(self.sorted)

    def starting(self, lead: str) -> list[str]:
        """The paths that start with a text that is not empty, in order."""
        first = bisect_left(self.sorted, lead)
        # Those that start with it stand together. The last character has no next to look for.
        beyond = bisect_left(self.sorted, 1, first, key=lambda path: not path.startswith(lead))
        return self.sorted[first:beyond]


class Exists(_Value):
    """The path exists."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path
        if wildcards(path):
            raise DomainError("bad_want", f"{path} has a wildcard; it names one path")

    def document(self) -> dict[str, Json]:
        """The want as data."""
        return {"exists": self.path}


class ForEach(_Value):
    """For every path that now matches ``given``, the path of ``template`` exists.

    What ``given`` matches is read off the world that the plan is made for, and not off what the
    plan will add to it.
    """

    __slots__ = ("given", "template")

    def __init__(self, template: str, given: str) -> None:
        self.template = template
        self.given = given
        if stray := sorted({*wildcards(template)} - {*wildcards(given)}):
            raise DomainError("bad_want", f"{{{stray[0]}}} of {template} is not given")

    def document(self) -> dict[str, Json]:
        """The want as data."""
        return {"for_each": self.given, "template": self.template}


class AtLeast(_Value):
    """At least so many paths match a template."""

    __slots__ = ("count", "template")

    def __init__(self, template: str, count: int) -> None:
        self.template = template
        self.count = count
        wildcards(template)
        if type(count) is not int or not 1 <= count <= SAFE_INTEGER_MAX:
            raise DomainError("bad_want", f"a count of {template} is at least 1")

    def document(self) -> dict[str, Json]:
        """The want as data."""
        return {"at_least": self.count, "template": self.template}


type Want = Exists | ForEach | AtLeast


class Task:
    """What is asked of the planner, and of the checker again.

    Two tasks that differ in the order or repetition of operators, facts or wants are the same.

    Args:
        goal: The goal's id.
        head: Count and hash of the ledger's events up to which ``facts`` were folded.
        operators: What may be used.
        facts: What exists.
        wants: What must exist.
        transitions: Names of the only operators to use, in the order to use them; None for any.

    Raises:
        DomainError: A name is declared twice, or a transition's ref is not declared.
    """

    __slots__ = ("_stages", "facts", "goal", "head", "operators", "transitions", "wants")

    def __init__(
        self,
        *,
        goal: str,
        head: tuple[int, str],
        operators: Iterable[Operator],
        facts: Iterable[str],
        wants: Iterable[Want],
        transitions: Iterable[str] | None = None,
    ) -> None:
        declared = {operator.name: operator for operator in sorted(set(operators), key=_name)}
        if len(declared) != len(set(operators)):
            raise DomainError("repeated_operator", "a name is declared with different effects")
        self.transitions = None if transitions is None else tuple(transitions)
        if self.transitions is not None:
            if len(set(self.transitions)) != len(self.transitions):
                raise DomainError("repeated_transition", "a transition is listed twice")
            for name in self.transitions:
                if name not in declared:
                    raise DomainError("unknown_transition", f"{name!a} is not declared")
            declared = {name: declared[name] for name in sorted(self.transitions)}
        self._stages = {name: place for place, name in enumerate(self.transitions or ())}
        self.goal = goal
        self.head = head
        self.operators = tuple(declared.values())
        self.facts = facts if isinstance(facts, Facts) else Facts(facts)
        self.wants = tuple(sorted(set(wants), key=_want_key))

    def stage(self, operator: Operator) -> int:
        """Where an operator stands in the order of transitions; 0 for all where none is fixed."""
        return self._stages.get(operator.name, 0)


def wildcards(template: str) -> list[str]:
    """The names in a template, in order, repeated where it repeats them.

    Raises:
        DomainError: The template is not of the form that the module describes.
    """
    found: list[str] = []
    plain: list[str] = []
    for segment in template.split("/"):
        before, opened, rest = segment.partition("{")
        name, closed, after = rest.partition("}")
        if opened:
            if not (closed and refs.is_name(name)):
                raise DomainError("bad_template", f"{template!a} has a brace that is no {{name}}")
            found.append(name)
        plain.append(f"{before}x{after}" if opened else segment)
    text = "/".join(plain)
    if "{" in text or "}" in text:
        raise DomainError("bad_template", f"{template!a}: a segment holds at most one {{name}}")
    try:
        canonical = paths.canonical_path(text)
    except ContractError as error:
        raise DomainError("bad_template", f"{template!a}: {error.message}") from None
    if canonical != text:
        raise DomainError("bad_template", f"{template!a} is not canonical")
    return found


def write_prefix(template: str) -> str:
    """What precedes the one ``outputs`` segment of a product's template, with its slash.

    Raises:
        DomainError: There is no such segment, or more than one, or nothing behind it.
    """
    segments = template.split("/")
    if segments.count(OUTPUTS) != 1 or segments[-1] == OUTPUTS:
        raise DomainError("bad_product", f"{template!a} has one /outputs/ segment, not at its end")
    prefix = "/".join(segments[: segments.index(OUTPUTS)]) + "/"
    shown = "".join(part.rpartition("{")[0] + "x" for part in prefix.split("}")[:-1])
    try:
        paths.canonical_prefix(shown + prefix.rpartition("}")[2])
    except ContractError as error:
        raise DomainError("bad_product", f"{template!a}: {error.message}") from None
    return prefix


def _name(operator: Operator) -> str:
    return operator.name


def _want_key(want: Want) -> tuple[str, tuple[str, ...]]:
    if isinstance(want, Exists):
        return "exists", (want.path,)
    if isinstance(want, ForEach):
        return "for_each", (want.template, want.given)
    return "at_least", (want.template, f"{want.count:020d}")
