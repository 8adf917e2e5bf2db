"""The closed schema of goal files: plain YAML values in, checked entries out.

Written by hand, for it is read at each start of ``achieve``: a library for it takes longer to
import than all the rest (docs/decisions/0017).
"""

from __future__ import annotations

import math

from orchestrator.goals import goal as goals
from processors.protocol.canonical import Json, kind
from processors.protocol.refs import NAME_GRAMMAR, REF_GRAMMAR, is_name, parse_ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    type Place = tuple[str | int, ...]

BUDGET_MAX = 10**12  # micro-USD
SUMMARY_MAX = 500  # characters
PATH_MAX = 1_024  # characters
PREDICATES_MAX = 100
PROCESSORS_MAX = 1_000
SOURCES_MAX = 16
TRANSITIONS_MAX = 1_000


class MistakeError(Exception):
    """A mistake, and what leads to it in the file."""

    def __init__(self, place: Place, message: str) -> None:
        self.place = place
        super().__init__(message)


class Entry:
    """The members of an object of the file, each asked for by name.

    Attributes:
        place: What leads to it.
    """

    __slots__ = ("_members", "place")

    def __init__(self, value: Json, place: Place, needed: str, more: str = "") -> None:
        """Check that a value is an object of these members.

        Args:
            value: The value.
            place: What leads to it.
            needed: The members that must be there, by name, with spaces between.
            more: Those that may be there.

        Raises:
            MistakeError: It is none.
        """
        self._members = members(value, place)
        self.place = place
        for name in self._members:
            if name not in (known := [*needed.split(), *more.split()]):
                raise MistakeError((*place, name), f"no such key; expected {', '.join(known)}")
        for name in needed.split():
            if name not in self._members:
                raise MistakeError((*place, name), "is missing")

    def has(self, name: str) -> bool:
        """Whether a member is there."""
        return name in self._members

    def value(self, name: str, otherwise: Json = None) -> Json:
        """A member as it is, or what stands for it if it is absent."""
        return self._members.get(name, otherwise)

    def text(self, name: str, least: int, most: int) -> str:
        """A member that is a text of so many characters."""
        return text(self._members[name], (*self.place, name), least, most)

    def name(self, name: str) -> str:
        """A member that is a name."""
        return named(self._members[name], (*self.place, name), is_name, NAME_GRAMMAR)

    def ref(self, name: str) -> str:
        """A member that is a ref."""
        return ref(self._members[name], (*self.place, name))

    def path(self, name: str) -> str | None:
        """A member that is a path, or None if it is absent."""
        return self.text(name, 1, PATH_MAX) if name in self._members else None

    def one_of(self, name: str, *allowed: str) -> str:
        """A member that is one of these, the first if it is absent."""
        found = self._members.get(name, allowed[0])
        if found not in allowed or not isinstance(found, str):
            raise MistakeError((*self.place, name), f"expected {' or '.join(allowed)}")
        return found

    def count(self, name: str, most: int) -> int:
        """A member that is an integer from 0 to so much."""
        found, place = self._members[name], (*self.place, name)
        if isinstance(found, bool) or not isinstance(found, int):
            raise MistakeError(place, f"a JSON {kind(found)}; expected an integer")
        if not 0 <= found <= most:
            raise MistakeError(place, f"expected an integer from 0 to {most}")
        return found

    def items(self, name: str, least: int, most: int) -> list[tuple[Json, Place]]:
        """The items of a member that is a list, each with what leads to it; none if absent."""
        place = (*self.place, name)
        if name not in self._members:
            return []
        found = self._members[name]
        if not isinstance(found, list):
            raise MistakeError(place, f"a JSON {kind(found)}; expected a list")
        if not least <= len(found) <= most:
            raise MistakeError(place, f"{len(found)} items; expected {least} to {most}")
        return [(item, (*place, index)) for index, item in enumerate(found)]

    def members(self, name: str) -> dict[str, Json]:
        """A member that is an object of any members; an empty one if it is absent."""
        return members(self._members.get(name, {}), (*self.place, name))

    def texts(self, name: str) -> dict[str, str]:
        """A member that is an object of paths; an empty one if it is absent."""
        place = (*self.place, name)
        found = self.members(name)
        return {key: text(each, (*place, key), 1, PATH_MAX) for key, each in found.items()}


class PredicateEntry:
    """One predicate: what must be true, and when."""

    __slots__ = ("args", "for_each", "name", "place", "predicate", "scope")

    def __init__(self, value: Json, place: Place) -> None:
        read = Entry(value, place, "name predicate", "scope for_each args")
        self.place = place
        self.name = read.name("name")
        self.predicate = read.text("predicate", 1, PATH_MAX)
        named(self.predicate, (*place, "predicate"), _is_predicate, "family.what")
        self.scope = read.one_of("scope", goals.SUCCESS, goals.ADMISSION, goals.INVARIANT)
        self.for_each = read.path("for_each")
        self.args = read.members("args")

    def document(self) -> dict[str, Json]:
        """All of it as JSON."""
        return {
            "args": self.args,
            "for_each": self.for_each,
            "name": self.name,
            "predicate": self.predicate,
            "scope": self.scope,
        }


class TransitionEntry:
    """One step that the file spells out, once or for each artifact at a path that it uses."""

    __slots__ = ("for_each", "inputs", "place", "ref", "use", "write_prefix")

    def __init__(self, value: Json, place: Place) -> None:
        read = Entry(value, place, "ref write_prefix", "for_each inputs use")
        self.place = place
        self.ref = read.ref("ref")
        self.write_prefix = read.text("write_prefix", 1, PATH_MAX)
        self.for_each = read.path("for_each")
        self.inputs = read.members("inputs")
        self.use = read.texts("use")
        for name in self.use:
            named(name, (*place, "use", name), is_name, NAME_GRAMMAR)

    def document(self) -> dict[str, Json]:
        """All of it as JSON."""
        return {
            "for_each": self.for_each,
            "inputs": self.inputs,
            "ref": self.ref,
            "use": dict[str, Json](self.use),
            "write_prefix": self.write_prefix,
        }


class GoalFile:
    """The whole of a goal file."""

    __slots__ = (
        "budget_micro_usd",
        "name",
        "predicates",
        "processors",
        "sources",
        "summary",
        "transitions",
        "use",
    )

    def __init__(self, value: Json) -> None:
        """Check what a file says, but for what fields cannot say by themselves.

        Raises:
            MistakeError: It breaks the schema.
        """
        needed = "schema name summary budget_micro_usd predicates"
        read = Entry(value, (), needed, "sources processors transitions use")
        read.one_of("schema", "v1")
        self.name = read.name("name")
        self.summary = read.text("summary", 1, SUMMARY_MAX)
        self.budget_micro_usd = read.count("budget_micro_usd", BUDGET_MAX)
        listed = read.items("predicates", 1, PREDICATES_MAX)
        self.predicates = [PredicateEntry(*each) for each in listed]
        self.sources = read.texts("sources")
        if len(self.sources) > SOURCES_MAX:
            raise MistakeError(("sources",), f"expected at most {SOURCES_MAX} of them")
        self.processors = (
            [ref(*each) for each in read.items("processors", 1, PROCESSORS_MAX)]
            if read.has("processors")
            else None
        )
        spelled = read.items("transitions", 0, TRANSITIONS_MAX)
        self.transitions = [TransitionEntry(*each) for each in spelled]
        self.use = {
            ref(key, ("use", key)): Entry(each, ("use", key), "", "inputs").members("inputs")
            for key, each in read.members("use").items()
        }

    def document(self) -> dict[str, Json]:
        """The goal as JSON: every default spelled out, and sorted where order says nothing."""
        ordered = sorted(self.predicates, key=lambda entry: entry.name)
        found: dict[str, Json] = {
            "budget_micro_usd": self.budget_micro_usd,
            "name": self.name,
            "predicates": [each.document() for each in ordered],
            "processors": None if self.processors is None else list[Json](sorted(self.processors)),
            "schema": "v1",
            "summary": self.summary,
            "transitions": [each.document() for each in self.transitions],
            "use": {key: {"inputs": inputs} for key, inputs in self.use.items()},
        }
        if self.sources:
            found["sources"] = dict[str, Json](self.sources)
        return found


def plain(value: object, place: Place = ()) -> Json:
    """A value of YAML that is one of JSON too.

    Raises:
        MistakeError: It is a date, no number, or has a key that is no text.
    """
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise MistakeError(place, f"the key {key!a} is no text; put it in quotes")
        return {key: plain(each, (*place, key)) for key, each in value.items()}
    if isinstance(value, list):
        return [plain(each, (*place, index)) for index, each in enumerate(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise MistakeError(place, "expected a number of JSON")
        return int(value) if value.is_integer() else value  # JSON has one kind of number
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise MistakeError(place, f"a {type(value).__name__}; if a text is meant, put it in quotes")


def members(value: Json, place: Place) -> dict[str, Json]:
    """A value that is an object."""
    if not isinstance(value, dict):
        raise MistakeError(place, f"a JSON {kind(value)}; expected keys and values")
    return value


def text(value: Json, place: Place, least: int, most: int) -> str:
    """A value that is a text of so many characters."""
    if not isinstance(value, str):
        raise MistakeError(place, f"a JSON {kind(value)}; expected a text")
    if not least <= len(value) <= most:
        raise MistakeError(place, f"{len(value)} characters; expected {least} to {most}")
    return value


def ref(value: Json, place: Place) -> str:
    """A value that is a ref."""
    return named(value, place, lambda each: parse_ref(each) is not None, REF_GRAMMAR)


def named(value: Json, place: Place, fits: Callable[[str], bool], grammar: str) -> str:
    """A value that is a text of a grammar."""
    found = text(value, place, 1, PATH_MAX)
    if not fits(found):
        raise MistakeError(place, f"{found[:100]!a} does not fit; expected {grammar}")
    return found


def _is_predicate(value: str) -> bool:
    family, _, what = value.partition(".")
    return is_name(family) and is_name(what)
