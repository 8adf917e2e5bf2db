"""Prove facts about Bazel on a scratch copy of the repository.

    python3 -m tools.selfcheck [--only WORD] [--sabotage]

One line a check, then ``N passed, N failed``; the result goes to .selfcheck.json, where tools/rows
reads it. ``--sabotage`` breaks the copy before each check, once for each change that the check
names, and counts a check that stays green, or stumbles instead of saying no, as failed. Standard
library only, Python 3.9 and newer.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.selfcheck import (
    adding,
    base,
    building,
    images,
    lanes,
    layout,
    readme,
    running,
    stand_in,
    surface,
)
from tools.selfcheck.check import CHECKS, Check, CheckError, Sabotage
from tools.selfcheck.scratch import Scratch

ROOT = Path(__file__).resolve().parents[2]
RESULT = ".selfcheck.json"
MODULES = (
    adding,
    base,
    building,
    images,
    lanes,
    layout,
    readme,
    running,
    stand_in,
    surface,
)  # Importing them registers their checks.


@dataclass(frozen=True)
class Outcome:
    """How one run of a check ended.

    Attributes:
        passed: Whether its fact holds.
        stumbled: Whether it ended without a verdict.
        why: What was found instead, or what it stumbled over.
        seconds: How long it took.
    """

    passed: bool
    stumbled: bool
    why: str
    seconds: float


def main(words: Sequence[str]) -> int:
    """Run the checks; return 0 if all of them passed."""
    parser = argparse.ArgumentParser(prog="tools.selfcheck", allow_abbrev=False)
    parser.add_argument("--only", default="", metavar="WORD", help="checks whose name has it")
    parser.add_argument("--sabotage", action="store_true", help="see each check fail")
    given = parser.parse_args(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    chosen = [check for check in CHECKS if given.only in check.name]
    for check, change in _stale(chosen):
        print(f"FAIL  {check.name}: {change.file} has no {change.old!r}", flush=True)
        return 1
    scratch = Scratch(ROOT)
    try:
        scratch.fill()
        if given.sabotage:
            results = [_seen_failing(check, scratch) for check in chosen]
        else:
            results = [_run(check, scratch) for check in chosen]
    finally:
        scratch.close()
    if not given.sabotage and not given.only:
        checks = [
            {"name": check.name, "passed": passed, "proves": check.proves}
            for check, passed in zip(chosen, results)
        ]
        (ROOT / RESULT).write_text(json.dumps({"checks": checks}, indent=1) + "\n")
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    return 0 if results and all(results) else 1


def _stale(chosen: Sequence[Check]) -> list[tuple[Check, Sabotage]]:
    """Changes that nothing could be seen to fail by, since the text that they replace has gone."""
    return [
        (check, change)
        for check in chosen
        for change in check.sabotage
        if change.old and change.old not in (ROOT / change.file).read_text(encoding="utf-8")
    ]


def _run(check: Check, scratch: Scratch) -> bool:
    done = _attempt(check, scratch)
    rows = f" [{', '.join(check.proves)}]" if check.proves else ""
    verdict = "ok" if done.passed else "FAIL"
    print(f"{verdict}  {check.name}{rows} ({done.seconds:.1f} s)", flush=True)
    if not done.passed:
        print(f"      {done.why}", flush=True)
    return done.passed


def _seen_failing(check: Check, scratch: Scratch) -> bool:
    if not check.sabotage:
        print(f"FAIL  {check.name}: names no sabotage", flush=True)
    seen = [_turns_red(check, scratch, change) for change in check.sabotage]
    return bool(seen) and all(seen)


def _turns_red(check: Check, scratch: Scratch, change: Sabotage) -> bool:
    path = scratch.root / change.file
    text = path.read_text(encoding="utf-8") if path.exists() else None
    if change.old not in (text or ""):
        seen, why = False, f"it has no {change.old!r}"
    else:
        path.write_text((text or "").replace(change.old, change.new, 1), encoding="utf-8")
        done = _attempt(check, scratch)
        # Whatever breaks a build makes a check stumble; that shows nothing of what it looks for.
        seen = not done.passed and not done.stumbled
        why = f"{'stumbles: ' * done.stumbled}{done.why}"
        if text is None:
            path.unlink()
        else:
            path.write_text(text, encoding="utf-8")
    print(f"{'ok' if seen else 'FAIL'}  {check.name}, after a change of {change.file}")
    print(f"      {why[:300] or 'stays green'}", flush=True)
    return seen


def _attempt(check: Check, scratch: Scratch) -> Outcome:
    started = time.monotonic()
    stumbled, why = False, None
    try:
        check.run(scratch)
    except CheckError as error:
        why = str(error)
    except Exception as error:  # noqa: BLE001 - a check that stumbles has not shown its fact
        stumbled, why = True, f"{type(error).__name__}: {error}"
    finally:
        scratch.restore()
    return Outcome(why is None, stumbled, why or "", time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
