"""Kill writers of a world at random moments and judge what they leave.

    tools/bazel run //tools/torture:kills -- [--kills N] [--writers N] [--worlds N] [--seed S]

Each of ``--worlds`` worlds begins empty, so that its making is killed too. The exit status is 1 if
anything that was acknowledged is lost, or if any state that is found is not valid.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile

from tools.torture.killing import torture


def main() -> None:
    """Torture, print, and end with 1 if something was wrong."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311
    given = parser.parse_args()
    print(f"seed {given.seed}")
    rng = random.Random(given.seed)  # noqa: S311 - repeatable, not secret
    kills = acknowledged = events = 0
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.worlds):
            share = (given.kills - kills) // (given.worlds - number)
            report = torture(os.path.join(folder, str(number)), share, given.writers, rng)
            kills += report.kills
            acknowledged += report.acknowledged
            events += report.events
            wrong += report.wrong
            print(f"{kills} kills, {events} events, {len(wrong)} findings", flush=True)
    for finding in wrong:
        print(finding)
    lost = sum("lost" in finding for finding in wrong)
    print(
        f"{given.writers} writers: {kills} kills, {acknowledged} acknowledged artifacts,"
        f" {lost} lost, {len(wrong) - lost} invalid states"
    )
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
