"""Goal files: YAML of a closed schema in, a checked goal out; a mistake is named with its line.

It imports pydantic and PyYAML, and is needed where a file is read alone; a goal that a world keeps
is read by ``goal.parse``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
)

from orchestrator import strict_yaml
from orchestrator.goals import goal as goals
from orchestrator.goals import known
from orchestrator.goals.goal import Goal
from orchestrator.goals.predicates import goal as goal_family
from orchestrator.goals.templates import Template
from processors.protocol import paths
from processors.protocol.canonical import Json, canonical, parse_object
from processors.protocol.errors import ContractError, inputs_error
from processors.protocol.refs import NAME_GRAMMAR, REF_GRAMMAR

FILE_BYTES_MAX = 262_144
PREDICATES_MAX = 100
TRANSITIONS_MAX = 1_000
SOURCES_MAX = 16

Name = Annotated[str, StringConstraints(pattern=f"^{NAME_GRAMMAR}$")]
Ref = Annotated[str, StringConstraints(pattern=f"^{REF_GRAMMAR}$")]
Path = Annotated[str, StringConstraints(min_length=1, max_length=1_024)]

type Place = tuple[str | int, ...]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PredicateEntry(_Closed):
    """One predicate: what must be true, and when."""

    name: Name
    predicate: Annotated[str, StringConstraints(pattern=f"^{NAME_GRAMMAR}\\.{NAME_GRAMMAR}$")]
    scope: Literal["admission", "success", "invariant"] = "success"
    for_each: Path | None = None
    args: dict[str, JsonValue] = Field(default_factory=dict)


class TransitionEntry(_Closed):
    """One step that the file spells out, once or for each artifact at a path that it uses."""

    ref: Ref
    for_each: Path | None = None
    write_prefix: Path
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    use: dict[Name, Path] = Field(default_factory=dict)


class UseEntry(_Closed):
    """How a processor is asked, whatever step of the goal it is."""

    inputs: dict[str, JsonValue] = Field(default_factory=dict)


class GoalFile(_Closed):
    """The whole of a goal file."""

    schema_: Literal["v1"] = Field(alias="schema")
    name: Name
    summary: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    budget_micro_usd: Annotated[int, Field(ge=0, le=10**12)]
    predicates: Annotated[list[PredicateEntry], Field(min_length=1, max_length=PREDICATES_MAX)]
    sources: Annotated[dict[Path, Path], Field(max_length=SOURCES_MAX)] = Field(
        default_factory=dict
    )
    processors: Annotated[list[Ref], Field(min_length=1, max_length=1_000)] | None = None
    transitions: Annotated[list[TransitionEntry], Field(max_length=TRANSITIONS_MAX)] = Field(
        default_factory=list
    )

    use: dict[Ref, UseEntry] = Field(default_factory=dict)

    def document(self) -> dict[str, Json]:
        """The goal as JSON: every default spelled out, and sorted where order says nothing."""
        found: dict[str, Json] = self.model_dump(mode="json", by_alias=True)
        ordered = sorted(self.predicates, key=lambda entry: entry.name)
        found["predicates"] = [each.model_dump(mode="json") for each in ordered]
        if self.processors is not None:
            found["processors"] = list[Json](sorted(self.processors))
        if not self.sources:
            del found["sources"]
        return found


class _MistakeError(Exception):
    """A mistake, and what leads to it in the file."""

    def __init__(self, place: Place, message: str) -> None:
        self.place = place
        super().__init__(message)


def load(data: bytes, what: str) -> Goal:
    """Parse and check a goal file.

    Args:
        data: The file's bytes.
        what: How messages call the file.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``invalid_goal``, with the line and what was expected.
    """
    try:
        read = strict_yaml.read(data, FILE_BYTES_MAX)
    except ValueError as error:
        raise inputs_error("invalid_goal", f"{what}: {error}") from None
    try:
        found = GoalFile.model_validate(read.value)
        _check(found)
        document = parse_object(
            canonical(found.document()), "goal", bytes_max=goals.DOCUMENT_BYTES_MAX
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place, message = _place(first["loc"]), first["msg"]
    except _MistakeError as error:
        place, message = error.place, str(error)
    except ContractError as error:  # too deep, too large
        place, message = (), error.message
    except (ValueError, RecursionError) as error:  # a number or text that canonical JSON has not
        place, message = (), str(error)
    else:
        return Goal(document)
    field = ".".join(map(str, place)) or "goal"
    raise inputs_error("invalid_goal", f"{what}: line {read.line(place)}: {field}: {message}")


def _place(loc: tuple[int | str, ...]) -> Place:
    """Where pydantic's location lies in the file; what is no part of the file ends it."""
    found: list[str | int] = []
    for part in loc:
        if isinstance(part, str) and part.startswith(
            ("constrained-", "function-", "list[", "[key]")
        ):
            break
        found.append(part)
    return tuple(found)


def _check(found: GoalFile) -> None:
    """What a field cannot say by itself."""
    names: set[str] = set()
    for index, entry in enumerate(found.predicates):
        place: Place = ("predicates", index)
        if entry.name in names:
            raise _MistakeError(
                (*place, "name"), f"{entry.name} is given twice; expected a name of its own"
            )
        names.add(entry.name)
        _check_predicate(entry, place)
        if entry.predicate == goal_family.NAME and entry.args["goal"] == found.name:
            raise _MistakeError((*place, "args", "goal"), "a goal cannot rest on itself")
    if not any(entry.scope == goals.SUCCESS for entry in found.predicates):
        raise _MistakeError(("predicates",), "expected at least one predicate of scope success")
    for index, ref in enumerate(found.processors or []):
        if ref in (found.processors or [])[:index]:
            raise _MistakeError(("processors", index), f"{ref} is listed twice; expected it once")
    for prefix, folder in found.sources.items():
        _check_source(prefix, folder)
    _check_spelled(found)


def _check_source(prefix: str, folder: str) -> None:
    """A source leads from a folder below the file's to a folder of the world."""
    place: Place = ("sources", prefix)
    try:
        canonical_ = paths.canonical_prefix(prefix)
    except ContractError as error:
        raise _MistakeError(place, error.message) from None
    if canonical_ != prefix:
        raise _MistakeError(place, f"expected the prefix as {canonical_!a}")
    if any(part in ("", ".", "..") or "\0" in part for part in folder.split("/")):
        raise _MistakeError(place, f"{folder!a} is no plain path of a folder below the file's own")


def _check_predicate(entry: PredicateEntry, place: Place) -> None:
    predicate = known.find(entry.predicate)
    if predicate is None:
        every = ", ".join(known.names())
        raise _MistakeError(
            (*place, "predicate"), f"no predicate {entry.predicate}; expected one of {every}"
        )
    wildcards = _wildcards(entry.for_each, place)
    args: dict[str, Json] = dict(entry.args)
    wrong, name = predicate.problem(args, wildcards)
    if wrong is not None:
        raise _MistakeError((*place, "args", *([name] if name else [])), wrong)
    used = {each for path in predicate.paths if path in args for each in _names_of(args[path])}
    if entry.for_each is not None and not used:
        raise _MistakeError((*place, "for_each"), "expected its wildcards in a path of args")


def _check_spelled(found: GoalFile) -> None:
    """Steps that are spelled out say all of themselves; what is said elsewhere has to fit."""
    if found.transitions and found.use:
        raise _MistakeError(
            ("use",), "expected none beside transitions, which say their inputs themselves"
        )
    for index, step in enumerate(found.transitions):
        place: Place = ("transitions", index)
        if found.processors is not None and step.ref not in found.processors:
            raise _MistakeError((*place, "ref"), f"{step.ref} is none of processors")
        _check_transition(step, place)


def _check_transition(step: TransitionEntry, place: Place) -> None:
    wildcards = _wildcards(step.for_each, place)
    if step.for_each is not None and step.for_each not in step.use.values():
        raise _MistakeError((*place, "for_each"), "expected one of the paths of use")
    for name, path in (("write_prefix", step.write_prefix), *step.use.items()):
        where = (*place, name) if name == "write_prefix" else (*place, "use", name)
        plain = path.removesuffix("/") if name == "write_prefix" else path
        try:
            template = Template(plain)
            if name == "write_prefix":
                paths.canonical_prefix(
                    template.substitute(dict.fromkeys(template.names, "x")) + "/"
                )
        except (ValueError, ContractError) as error:
            raise _MistakeError(where, getattr(error, "message", str(error))) from None
        if name == "write_prefix" and not path.endswith("/"):
            raise _MistakeError(where, "expected a / at the end")
        if unknown := [each for each in template.names if each not in wildcards]:
            raise _MistakeError(where, f"{{{unknown[0]}}} is no wildcard of for_each")


def _wildcards(for_each: str | None, place: Place) -> tuple[str, ...]:
    if for_each is None:
        return ()
    try:
        names = Template(for_each).names
    except ValueError as error:
        raise _MistakeError((*place, "for_each"), str(error)) from None
    if not names:
        raise _MistakeError((*place, "for_each"), "expected a path with a {name} in it")
    return names


def _names_of(path: Json) -> tuple[str, ...]:
    return Template(str(path)).names
