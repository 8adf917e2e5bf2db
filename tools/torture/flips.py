"""Flip bits and bytes all over a ledger's file, and see that none changes what it says unseen.

    tools/bazel run //tools/torture:flips -- [--flips N] [--events N] [--seed S]

The exit status is 1 if a flip was missed.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile

from tests.fixtures.lives import story
from tools.torture.flipping import Original, torture

BATCH = 500


def main() -> None:
    """Torture, print, and end with 1 if something was missed."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--flips", type=int, default=10_000)
    parser.add_argument("--events", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311
    given = parser.parse_args()
    print(f"seed {given.seed}")
    rng = random.Random(given.seed)  # noqa: S311 - repeatable, not secret
    missed: list[str] = []
    flips = found = harmless = 0
    with tempfile.TemporaryDirectory() as folder:
        original = Original(os.path.join(folder, "original"), story(given.events - 1))
        print(f"{given.events} events, {len(original.data)} bytes")
        while flips < given.flips:
            # Each batch goes over the whole file.
            batch = min(BATCH, given.flips - flips)
            report = torture(original, os.path.join(folder, "copy"), batch, rng)
            flips += report.flips
            found += report.found
            harmless += report.harmless
            missed += report.missed
            print(f"{flips} flips, {len(missed)} missed", flush=True)
    for line in missed:
        print(line)
    print(f"{flips} flips: {found} found, {harmless} change nothing, {len(missed)} missed")
    if missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
