"""``json``: what a JSON document holds. What is no JSON (RFC 8259, strictly) is false."""

from __future__ import annotations

from orchestrator import schema_subset
from orchestrator.execution import input_schema
from orchestrator.goals.predicate import TEXT, Predicate, arguments
from orchestrator.goals.predicates import jmespath_bounded
from orchestrator.goals.view import READ_BYTES_MAX, CannotTellError
from processors.protocol import shapes
from processors.protocol.canonical import Json, parse
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.predicate import Args
    from orchestrator.goals.view import Answer, View

MARKS_MAX = (
    1_000_000  # commas and brackets; as Python's objects a document takes many times its text
)


def _document(args: Args, view: View) -> tuple[Json, str | None]:
    """The document at the path, or why there is none."""
    found = view.artifact(shapes.text(args, "path"))
    if found is None:
        return None, "absent"
    try:
        data = view.read(found)
        return parse(data, found.path, bytes_max=READ_BYTES_MAX, marks_max=MARKS_MAX), None
    except ContractError as error:
        if error.reason == "too_large":
            raise CannotTellError("too_large", error.message) from None
        return None, error.reason


def _schema_ok(args: Args, view: View) -> Answer:
    document, absent = _document(args, view)
    if absent is not None:
        return False, {"why": absent}
    wrong = input_schema.problem(document, shapes.members(args, "schema"), "document")
    return wrong is None, {} if wrong is None else {"why": "schema_violation"}


def _schema_problem(args: Args) -> str | None:
    try:
        schema_subset.check(args["schema"], ("args", "schema"))
    except ValueError as error:
        return str(error)
    return None


def _matches(args: Args, view: View) -> Answer:
    document, absent = _document(args, view)
    if absent is not None:
        return False, {"why": absent}
    return jmespath_bounded.holds(shapes.text(args, "expression"), document)


def _expression_problem(args: Args) -> str | None:
    wrong = jmespath_bounded.problem(shapes.text(args, "expression"))
    return None if wrong is None else f"args.expression: {wrong}"


PREDICATES = (
    Predicate(
        "json.schema_ok",
        "the document at the path fits the schema, of the subset that registries use",
        arguments(["path", "schema"], path=TEXT, schema={"type": "object"}),
        _schema_ok,
        free=("schema",),
        check=_schema_problem,
    ),
    Predicate(
        "json.matches",
        "the JMESPath expression gives `true` for the document at the path",
        arguments(["path", "expression"], path=TEXT, expression=TEXT),
        _matches,
        check=_expression_problem,
    ),
)
