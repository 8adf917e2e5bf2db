"""Fuzz a parser, or all of them.

    tools/bazel run //tools/fuzz -- --target NAME|all --executions N --seed S

``all`` shares N among the targets; the slow ones get less. The exit status is 1 if an invariant
broke. ``--target canary`` runs a parser that is broken on purpose, to show that breaks are found.
"""

from __future__ import annotations

import argparse
import random
import sys

from tools.fuzz.search import search
from tools.fuzz.targets import CANARY, TARGETS, Target

SHOWN_BYTES_MAX = 1_000


def main() -> None:
    """Search, print, and end with 1 on a break."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    known = {target.name: target for target in (*TARGETS, CANARY)}
    parser.add_argument("--target", choices=["all", *known], default="all")
    parser.add_argument("--executions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311
    given = parser.parse_args()
    chosen = TARGETS if given.target == "all" else (known[given.target],)
    weight = sum(target.weight for target in chosen)
    print(f"seed {given.seed}")
    broken = [
        target.name
        for target in chosen
        if not report(target, max(1, given.executions * target.weight // weight), given.seed)
    ]
    if broken:
        sys.exit(1)


def report(target: Target, runs: int, seed: int) -> bool:
    """Search one target and print what came of it; whether its invariant held."""
    found = search(target, runs, seed)
    speed = found.runs / max(found.seconds, 1e-9)
    print(
        f"{target.name}: {found.runs} executions, {speed:.0f} a second,"
        f" {found.accepted} accepted, slowest {found.slowest_s * 1000:.0f} ms",
        flush=True,
    )
    if found.data is None:
        return True
    shown = repr(found.shrunk[:SHOWN_BYTES_MAX])
    print(f"  broken: {target.invariant}")
    print(f"  {found.why}")
    print(f"  input of {len(found.shrunk)} bytes (found with {len(found.data)}): {shown}")
    print(f"  repeat: --target {target.name} --executions {found.runs} --seed {seed}")
    return False


if __name__ == "__main__":
    main()
