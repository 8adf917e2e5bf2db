"""Print how many acceptance rows are proved, and fail when one lost its proof.

    python3 -m tools.rows [--update] [--count STEPS]

Reads docs/acceptance.md, the results of the run whose events Bazel wrote to ``.tests.json``, and
those of ``tools/selfcheck``; ``.ci/run`` makes both. ``--count`` only prints how many of those
cases passed; STEPS is the number of failed steps around them, so that a step that ended before its
first case is not missed.
``--update`` makes what is proved now the list that later runs must keep.
Standard library only, Python 3.9 and newer: it runs after the tests, on the host's own Python.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tools.rows import proofs
from tools.rows.table import TableError, parse
from tools.rows.verdict import judge

ROOT = Path(__file__).resolve().parents[2]


def main(words: Sequence[str]) -> int:
    """Print the counts; return 1 when a row lost its proof or a claimed row does not exist."""
    parser = argparse.ArgumentParser(prog="tools.rows", allow_abbrev=False)
    parser.add_argument("--table", type=Path, default=ROOT / "docs/acceptance.md")
    parser.add_argument("--baseline", type=Path, default=ROOT / "docs/acceptance_proved.txt")
    parser.add_argument("--tests", type=Path, default=ROOT / ".tests.json")
    parser.add_argument("--selfcheck", type=Path, default=ROOT / ".selfcheck.json")
    parser.add_argument("--update", action="store_true", help="rewrite the list of proved rows")
    parser.add_argument("--count", type=int, metavar="STEPS")
    given = parser.parse_args(words)
    cases = list(proofs.from_selfcheck(given.selfcheck))
    told = True
    try:
        cases += proofs.from_run(given.tests)
    except proofs.RunError as error:
        told = False
        print(f"tools.rows: {error}", file=sys.stderr)
    if given.count is not None:
        failed = max(given.count, sum(not case.passed for case in cases), int(not told))
        print(f"{sum(case.passed for case in cases)} passed, {failed} failed")
        return int(failed > 0)
    if not told:
        return 1
    try:
        table = parse(given.table.read_text(encoding="utf-8"))
    except TableError as error:
        print(f"{given.table}: {error}", file=sys.stderr)
        return 1
    before = given.baseline.read_text().split() if given.baseline.exists() else []
    verdict = judge(table, cases, frozenset(before))
    if given.update:
        given.baseline.write_text("".join(f"{name}\n" for name in sorted(verdict.proved)))
        verdict = judge(table, cases, verdict.proved)
    for title, lines in (
        (f"due by step {table.step} and without a proof", verdict.open),
        ("proofs that do not count", verdict.misplaced),
        ("claimed, but no such row", verdict.unknown),
        (f"LOST: listed in {given.baseline.name} and not proved any more", verdict.lost),
    ):
        if lines:
            print(f"{title} ({len(lines)}):")
            print("\n".join(f"  {line}" for line in lines))
    due = sum(row.due <= table.step for row in table.rows)
    print(f"rows: {len(verdict.proved)} proved / {due} due now / {len(table.rows)} total")
    return int(verdict.is_red)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
