"""``table``: how many rows a table has. What is no table of the format is false."""

from __future__ import annotations

import csv
import io

from orchestrator.goals.predicate import COUNT, TEXT, Predicate, arguments
from orchestrator.goals.predicates.json_document import MARKS_MAX
from orchestrator.goals.view import READ_BYTES_MAX, CannotTellError
from processors.protocol import shapes
from processors.protocol.canonical import parse_object
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.predicate import Args
    from orchestrator.goals.view import Answer, View

FORMATS = ("csv", "csv_with_header", "jsonl")

csv.field_size_limit(READ_BYTES_MAX)  # a field may be as long as all that is read


def _rows_between(args: Args, view: View) -> Answer:
    found = view.artifact(shapes.text(args, "path"))
    if found is None:
        return False, {"why": "absent"}
    text = view.text(found)
    if text is None:
        return False, {"why": "bad_encoding"}
    kind = shapes.text(args, "format")
    try:
        rows = _json_lines(text) if kind == "jsonl" else _csv_rows(text)
    except ContractError as error:
        if error.reason == "too_large":
            raise CannotTellError("too_large", error.message) from None
        return False, {"why": "no_table"}
    except (csv.Error, ValueError):
        return False, {"why": "no_table"}
    if kind == "csv_with_header":
        if rows == 0:
            return False, {"why": "no_header"}
        rows -= 1
    least, most = shapes.count(args, "at_least_rows"), shapes.count(args, "at_most_rows")
    return least <= rows <= most, {"rows": rows}


def _csv_rows(text: str) -> int:
    """How many records a CSV text (RFC 4180) has.

    Raises:
        csv.Error: It is none.
        ValueError: Its records have different numbers of fields.
    """
    width, count = None, 0
    for row in csv.reader(io.StringIO(text, newline=""), strict=True):
        width = len(row) if width is None else width
        if len(row) != width or width == 0:
            raise ValueError("a record with another number of fields")
        count += 1
    return count


def _json_lines(text: str) -> int:
    """How many objects a text of JSON lines has; the last line may end without a newline."""
    lines = text.removesuffix("\n").split("\n") if text else []
    for line in lines:
        data = line.encode("utf-8")
        parse_object(data, "a line", bytes_max=READ_BYTES_MAX, marks_max=MARKS_MAX)
    return len(lines)


def _problem(args: Args) -> str | None:
    if shapes.count(args, "at_least_rows") > shapes.count(args, "at_most_rows"):
        return "args.at_least_rows is more than args.at_most_rows"
    return None


PREDICATES = (
    Predicate(
        "table.rows_between",
        "the table at the path has so many rows, ends included; a header is no row",
        arguments(
            ["path", "format", "at_least_rows", "at_most_rows"],
            path=TEXT,
            format={"type": "string", "enum": list(FORMATS)},
            at_least_rows=COUNT,
            at_most_rows=COUNT,
        ),
        _rows_between,
        check=_problem,
    ),
)
