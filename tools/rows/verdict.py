"""Which rows are proved, which are due, and what was lost: values in, verdict out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tools.rows.proofs import Case
from tools.rows.table import Table


@dataclass(frozen=True)
class Verdict:
    """What a run showed.

    Attributes:
        proved: Rows with a passed proof in one of their folders.
        open: Rows that are due and not proved.
        lost: Rows that were proved before and are not now.
        misplaced: Lines about proofs outside their rows' folders, which do not count.
        unknown: Lines about claimed ids that the table does not have.
    """

    proved: frozenset[str]
    open: tuple[str, ...]
    lost: tuple[str, ...]
    misplaced: tuple[str, ...]
    unknown: tuple[str, ...]

    @property
    def is_red(self) -> bool:
        """Whether a row lost its proof, or a proof is for a row that does not exist."""
        return bool(self.lost or self.unknown)


def judge(table: Table, cases: Iterable[Case], proved_before: frozenset[str]) -> Verdict:
    """Compare the table with the run's cases and with what was proved before."""
    rows = {row.name: row for row in table.rows}
    claims = [(name, case) for case in cases for name in case.proves]
    unknown = sorted({f"{name}: {case.name}" for name, case in claims if name not in rows})
    known = [(rows[name], case) for name, case in claims if name in rows and case.passed]
    proved = frozenset(row.name for row, case in known if row.accepts(case.place))
    misplaced = sorted(
        {
            f"{row.name}: {case.name.partition('[')[0]} lies in {case.place}; its proof belongs to "
            + " or ".join(sorted(row.places))
            for row, case in known
            if not row.accepts(case.place) and row.name not in proved
        }
    )
    due = [row.name for row in table.rows if row.due <= table.step]
    return Verdict(
        proved=proved,
        open=tuple(name for name in due if name not in proved),
        lost=tuple(sorted(proved_before - proved)),
        misplaced=tuple(misplaced),
        unknown=tuple(unknown),
    )
