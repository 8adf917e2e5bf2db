"""Goal files: YAML of a closed schema in, a checked goal out; a mistake is named with its line.

It imports PyYAML, and is needed where a file is read alone; a goal that a world keeps is read by
``goal.parse``.
"""

from __future__ import annotations

from orchestrator import strict_yaml
from orchestrator.goals import goal as goals
from orchestrator.goals import known
from orchestrator.goals.goal import Goal
from orchestrator.goals.goal_shape import (
    GoalFile,
    MistakeError,
    PredicateEntry,
    TransitionEntry,
    plain,
)
from orchestrator.goals.predicates import goal as goal_family
from orchestrator.goals.templates import Template
from processors.protocol import paths
from processors.protocol.canonical import Json, canonical, parse_object
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.goal_shape import Place

FILE_BYTES_MAX = 262_144


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
        found = GoalFile(plain(read.value))
        _check(found)
        document = parse_object(
            canonical(found.document()), "goal", bytes_max=goals.DOCUMENT_BYTES_MAX
        )
    except MistakeError as error:
        place, message = error.place, str(error)
    except ContractError as error:  # too deep, too large
        place, message = (), error.message
    except (ValueError, RecursionError) as error:  # a number or text that canonical JSON has not
        place, message = (), str(error)
    else:
        return Goal(document)
    field = ".".join(map(str, place)) or "goal"
    raise inputs_error("invalid_goal", f"{what}: line {read.line(place)}: {field}: {message}")


def _check(found: GoalFile) -> None:
    """What a field cannot say by itself."""
    names: set[str] = set()
    for entry in found.predicates:
        place = entry.place
        if entry.name in names:
            raise MistakeError(
                (*place, "name"), f"{entry.name} is given twice; expected a name of its own"
            )
        names.add(entry.name)
        _check_predicate(entry)
        if entry.predicate == goal_family.NAME and entry.args["goal"] == found.name:
            raise MistakeError((*place, "args", "goal"), "a goal cannot rest on itself")
    if not any(entry.scope == goals.SUCCESS for entry in found.predicates):
        raise MistakeError(("predicates",), "expected at least one predicate of scope success")
    for index, ref in enumerate(found.processors or []):
        if ref in (found.processors or [])[:index]:
            raise MistakeError(("processors", index), f"{ref} is listed twice; expected it once")
    for ref in found.use:
        if found.processors is not None and ref not in found.processors:
            raise MistakeError(("use", ref), "expected one of processors")
    for prefix, folder in found.sources.items():
        _check_source(prefix, folder)
    _check_spelled(found)


def _check_source(prefix: str, folder: str) -> None:
    """A source leads from a folder below the file's to a folder of the world."""
    place: Place = ("sources", prefix)
    try:
        canonical_ = paths.canonical_prefix(prefix)
    except ContractError as error:
        raise MistakeError(place, error.message) from None
    if canonical_ != prefix:
        raise MistakeError(place, f"expected the prefix as {canonical_!a}")
    if any(part in ("", ".", "..") or "\0" in part for part in folder.split("/")):
        raise MistakeError(place, f"{folder!a} is no plain path of a folder below the file's own")


def _check_predicate(entry: PredicateEntry) -> None:
    place = entry.place
    predicate = known.find(entry.predicate)
    if predicate is None:
        every = ", ".join(known.names())
        raise MistakeError(
            (*place, "predicate"), f"no predicate {entry.predicate}; expected one of {every}"
        )
    wildcards = _wildcards(entry.for_each, place)
    args = entry.args
    wrong, name = predicate.problem(args, wildcards)
    if wrong is not None:
        raise MistakeError((*place, "args", *([name] if name else [])), wrong)
    used = {each for path in predicate.paths if path in args for each in _names_of(args[path])}
    if entry.for_each is not None and not used:
        raise MistakeError((*place, "for_each"), "expected its wildcards in a path of args")


def _check_spelled(found: GoalFile) -> None:
    """Steps that are spelled out say all of themselves; what is said elsewhere has to fit."""
    if found.transitions and found.use:
        raise MistakeError(
            ("use",), "expected none beside transitions, which say their inputs themselves"
        )
    for step in found.transitions:
        if found.processors is not None and step.ref not in found.processors:
            raise MistakeError((*step.place, "ref"), f"{step.ref} is none of processors")
        _check_transition(step)


def _check_transition(step: TransitionEntry) -> None:
    place = step.place
    wildcards = _wildcards(step.for_each, place)
    if step.for_each is not None and step.for_each not in step.use.values():
        raise MistakeError((*place, "for_each"), "expected one of the paths of use")
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
            raise MistakeError(where, getattr(error, "message", str(error))) from None
        if name == "write_prefix" and not path.endswith("/"):
            raise MistakeError(where, "expected a / at the end")
        if unknown := [each for each in template.names if each not in wildcards]:
            raise MistakeError(where, f"{{{unknown[0]}}} is no wildcard of for_each")


def _wildcards(for_each: str | None, place: Place) -> tuple[str, ...]:
    if for_each is None:
        return ()
    try:
        names = Template(for_each).names
    except ValueError as error:
        raise MistakeError((*place, "for_each"), str(error)) from None
    if not names:
        raise MistakeError((*place, "for_each"), "expected a path with a {name} in it")
    return names


def _names_of(path: Json) -> tuple[str, ...]:
    return Template(str(path)).names
