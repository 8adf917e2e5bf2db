"""The table of acceptance rows, as docs/acceptance.md has it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STEP = re.compile(r"^Current step: (\d+)$", re.MULTILINE)
_ID = re.compile(r"[A-Z]{1,3}-\d+|ERR_[A-Z_]+")
_DUE = re.compile(r"(later)|(\d+)( \(\d+(, \d+)*\))?")
LANES = frozenset(
    {
        "acceptance/pinned",
        "acceptance/pr",
        "contracts",
        "integration",
        "property",
        "smoke",
        "unit",
    }
)
PLACES = LANES | {"any", "selfcheck"}
LATER = 1_000  # No step is as late.


class TableError(Exception):
    """The table does not say what this program needs; the message names the line."""


@dataclass(frozen=True)
class Row:
    """One claim.

    Attributes:
        name: Its id.
        claim: What it says.
        due: The step that must bring the first proof.
        places: Where its proof may lie.
    """

    name: str
    claim: str
    due: int
    places: frozenset[str]

    def accepts(self, place: str) -> bool:
        """Whether a proof that lies there counts."""
        return "any" in self.places or place in self.places


@dataclass(frozen=True)
class Table:
    """All rows, in the table's order, and the step the project is at."""

    step: int
    rows: tuple[Row, ...]


def parse(text: str) -> Table:
    """Read the page.

    Raises:
        TableError: a line of the table is malformed, an id stands twice, or the step is missing.
    """
    step = _STEP.search(text)
    if step is None:
        raise TableError("no line 'Current step: N'")
    rows: dict[str, Row] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or cells[0] in ("Id", "---"):
            continue
        row = _row(number, cells)
        if row.name in rows:
            raise TableError(f"line {number}: {row.name} stands twice")
        rows[row.name] = row
    return Table(int(step.group(1)), tuple(rows.values()))


def _row(number: int, cells: list[str]) -> Row:
    if len(cells) != 4:
        raise TableError(f"line {number}: {len(cells)} cells; expected id, claim, due, proof")
    name, claim, due, proof = cells
    places = frozenset(proof.split(", "))
    when = _DUE.fullmatch(due)
    if not _ID.fullmatch(name):
        raise TableError(f"line {number}: {name!r} is no id")
    if when is None:
        raise TableError(
            f"line {number}: due is {due!r}; expected a step, perhaps (more), or later"
        )
    if not places <= PLACES:
        odd = ", ".join(sorted(places - PLACES))
        raise TableError(f"line {number}: proof names {odd}; known: {', '.join(sorted(PLACES))}")
    return Row(name, claim, LATER if when.group(1) else int(when.group(2)), places)
