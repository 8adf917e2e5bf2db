"""A goal as a value: what its document says, and the id that is the document's digest. Pure.

``goal_file`` makes the document of a file and checks it; a world keeps the document's canonical
bytes, so the content id under which they lie is the goal's id. Two files that say the same in
another order or form are the same goal.
"""

from __future__ import annotations

from processors.protocol import digests, shapes
from processors.protocol.canonical import Json, canonical, parse_object
from processors.protocol.errors import ContractError, inputs_error

ADMISSION = "admission"  # must be true before a step of the goal is admitted
SUCCESS = "success"  # true of every one of them: the goal is satisfied
INVARIANT = "invariant"  # must be true before, during and after
SCOPES = (ADMISSION, SUCCESS, INVARIANT)

DOCUMENT_BYTES_MAX = 1_048_576


class Stated:
    """One predicate of a goal.

    Attributes:
        name: What the goal calls it.
        predicate: Which predicate it is.
        scope: One of ``SCOPES``.
        for_each: A path with wildcards: it is to hold for each artifact there; or None.
        args: Its arguments, checked.
    """

    __slots__ = ("args", "for_each", "name", "predicate", "scope")

    def __init__(
        self, name: str, predicate: str, scope: str, for_each: str | None, args: dict[str, Json]
    ) -> None:
        self.name = name
        self.predicate = predicate
        self.scope = scope
        self.for_each = for_each
        self.args = args

    def instance(self, args: dict[str, Json]) -> Stated:
        """The predicate for one of the artifacts that it is stated for."""
        return Stated(self.name, self.predicate, self.scope, None, args)

    def as_json(self) -> dict[str, Json]:
        """The predicate as the document has it."""
        return {key: getattr(self, key) for key in _STATED}


class Goal:
    """A goal whose document was checked.

    Attributes:
        document: The whole of it.
        name: What people call it; a world has one goal of a name.
        budget_micro_usd: What reaching it may cost.
        predicates: Every predicate, sorted by name.
        processors: The refs that may be used, or None for all.
        transitions: Steps that the file spells out, in its order.
        inputs: What a processor is asked with, by its ref; one that is not named gets no inputs.
        sources: Prefix of the world → the folder whose files are brought there, as the file names
            it: below the folder of the file.
    """

    __slots__ = (
        *("budget_micro_usd", "document", "inputs", "name", "predicates"),
        *("processors", "sources", "transitions"),
    )

    def __init__(self, document: dict[str, Json]) -> None:
        self.document = document
        self.name = shapes.text(document, "name")
        self.budget_micro_usd = shapes.count(document, "budget_micro_usd")
        self.predicates = [_stated(item) for item in _items(document, "predicates")]
        named = document["processors"]
        self.processors = [str(ref) for ref in named] if isinstance(named, list) else None
        self.transitions = _items(document, "transitions")
        use = shapes.members(document, "use")
        self.inputs = {ref: shapes.members(shapes.members(use, ref), "inputs") for ref in use}
        brought = shapes.members(document, "sources") if "sources" in document else {}
        self.sources = {prefix: str(folder) for prefix, folder in brought.items()}

    @property
    def id(self) -> str:
        """The digest of the document."""
        return digests.of_bytes(self.encode())

    @property
    def proving(self) -> list[Stated]:
        """The predicates whose truth is the goal's: those of success, and the invariants."""
        return [stated for stated in self.predicates if stated.scope != ADMISSION]

    def encode(self) -> bytes:
        """The canonical bytes."""
        return canonical(self.document)


def parse(data: bytes) -> Goal:
    """The goal whose canonical bytes a world has kept.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``world_corrupt``: they are no goal's.
    """
    try:
        document = parse_object(data, "it", bytes_max=DOCUMENT_BYTES_MAX)
    except ContractError as error:
        raise _corrupt(error.message) from None
    shape = _WITH_SOURCES if "sources" in document else _GOAL
    if (wrong := shapes.problem(document, shape, "goal")) is not None:
        raise _corrupt(wrong)
    return Goal(document)


def _corrupt(wrong: str) -> ContractError:
    return inputs_error("world_corrupt", f"a goal that the world keeps: {wrong}")


def _items(document: dict[str, Json], key: str) -> list[Json]:
    found = document[key]
    assert isinstance(found, list)
    return found


def _stated(item: Json) -> Stated:
    for_each = shapes.members({"item": item}, "item")["for_each"]
    return Stated(
        shapes.text(item, "name"),
        shapes.text(item, "predicate"),
        shapes.text(item, "scope"),
        None if for_each is None else str(for_each),
        shapes.members(item, "args"),
    )


def _are_stated(value: Json) -> bool:
    return isinstance(value, list) and all(
        shapes.problem(item, _STATED, "predicate") is None for item in value
    )


def _are_uses(value: Json) -> bool:
    return isinstance(value, dict) and all(
        shapes.problem(item, {"inputs": shapes.is_object}, "use") is None for item in value.values()
    )


_STATED: shapes.Shape = {
    "name": shapes.is_text,
    "predicate": shapes.is_text,
    "scope": lambda value: value in SCOPES,
    "for_each": lambda value: value is None or shapes.is_text(value),
    "args": shapes.is_object,
}

_GOAL: shapes.Shape = {
    "schema": lambda value: value == "v1",
    "name": shapes.is_text,
    "summary": shapes.is_text,
    "budget_micro_usd": shapes.is_count,
    "predicates": _are_stated,
    "processors": lambda value: value is None or shapes.is_list(value),
    "transitions": shapes.is_list,
    "use": _are_uses,
}

# What a goal that brings nothing in leaves out.
_WITH_SOURCES: shapes.Shape = {
    **_GOAL,
    "sources": lambda value: isinstance(value, dict) and all(map(shapes.is_text, value.values())),
}
