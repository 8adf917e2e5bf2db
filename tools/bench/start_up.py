"""Start-up: what one mock run costs over two bare interpreters, as a ratio of CPU time.

    tools/bazel run //tools/bench:start_up [-- --pairs N]

One side is the built ``run_processor`` on ``llm/chat@1`` in mock, everything it starts included;
the other is ``python3.13 -I -c pass`` twice, one for us and one for the processor. Both sides
alternate, so that a busy machine slows both. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

INPUTS = (
    '{"endpoint":"openai","model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}]}'
)
WARM_UP = 3  # Runs that fill the page cache and do not count.


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--pairs", type=int, default=40)
    given = parser.parse_args()
    command = Path(os.environ["RUNFILES_DIR"]).resolve() / "_main/run_processor"
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = [], []
        for number in range(-WARM_UP, given.pairs):
            world = f"{folder}/{number}"
            one = cpu_s(product(command, world))
            other = cpu_s([sys.executable, "-I", "-c", "pass"]) + cpu_s(
                [sys.executable, "-I", "-c", "pass"]
            )
            if number >= 0:
                ours.append(one)
                bare.append(other)
    ratios = [one / other for one, other in zip(ours, bare, strict=True)]
    print(f"run_processor, llm/chat@1 in mock: {_ms(ours)} ms of CPU, median")
    print(f"two bare interpreters:             {_ms(bare)} ms of CPU, median")
    print(f"ratio: {statistics.median(ratios):.2f} (median of {given.pairs} interleaved pairs)")


def product(command: Path, world: str) -> list[str]:
    """One mock run in a world of its own."""
    return [
        str(command),
        *("--ref", "llm/chat@1", "--adapter", "local", "--mode", "mock", "--lane", "pr"),
        *("--write-prefix", "/artifacts/bench/", "--inputs-json", INPUTS),
        *("--world", world, "--json"),
    ]


def cpu_s(command: Sequence[str]) -> float:
    """User and system time of a command and of every child it waited for."""
    null = os.open(os.devnull, os.O_RDWR)
    pid = os.posix_spawn(
        command[0],
        list(command),
        {"PATH": "/usr/bin:/bin"},
        file_actions=[(os.POSIX_SPAWN_DUP2, null, fd) for fd in (0, 1, 2)],
    )
    _, status, usage = os.wait4(pid, 0)
    os.close(null)
    if status != 0:
        sys.exit(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}: run it by hand")
    return usage.ru_utime + usage.ru_stime


def _ms(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f}"


if __name__ == "__main__":
    main()
