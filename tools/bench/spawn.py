"""The spawn helper: what it costs over a bare ``subprocess.run`` of the same child, as ratios.

    tools/bazel run //tools/bench:spawn [-- --pairs N]

The child is the main of ``llm/chat@1`` in mock, with the same payload on its stdin, each time in a
fresh tree. One side is ``processors.protocol.spawn.run``, which hashes, bounds and ends what it
starts; the other is ``subprocess.run(capture_output=True)``. Both alternate in this process, so a
busy machine slows both. CPU is that of this process and of the child. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from processors.protocol import spawn
from processors.protocol.payload import Payload

WARM_UP = 3  # Runs that fill the page cache and do not count.
ENV = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"}
PAYLOAD = Payload(
    execution_id="bench",
    ref="llm/chat@1",
    mode="mock",
    inputs={
        "endpoint": "openai",
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "hello"}],
    },
    artifacts={},
    write_prefix="/artifacts/bench/",
).encode()

type Cost = tuple[float, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--pairs", type=int, default=100)
    given = parser.parse_args()
    built = Path(os.environ["RUNFILES_DIR"]).resolve() / "_main/processors/llm/chat/v1"
    described = json.loads((built / "processor.json").read_text())
    places = {"python": sys.executable, "tree": str(built / "tree")}
    argv = [word.format_map(places) for word in described["argv"]]
    registry = str(built / "tree" / described["registry_file"])
    with tempfile.TemporaryDirectory() as folder:
        ours, bare = [], []
        for number in range(-WARM_UP, given.pairs):
            sides = []
            for name, side in (("ours", helper), ("bare", plain)):
                root = f"{folder}/{number}-{name}"
                os.makedirs(f"{root}/artifacts/bench")
                words = [*argv, "--root", root, "--registry", registry]
                sides.append(cost(side, words, root))
            if number >= 0:
                ours.append(sides[0])
                bare.append(sides[1])
    for place, name in enumerate(("CPU", "wall")):
        ratios = [one[place] / other[place] for one, other in zip(ours, bare, strict=True)]
        medians = [statistics.median(cost[place] for cost in side) * 1000 for side in (ours, bare)]
        print(
            f"{name}: ratio {statistics.median(ratios):.3f} (median of {given.pairs} interleaved"
            f" pairs); {medians[0]:.1f} ms against {medians[1]:.1f} ms"
        )


def helper(words: list[str], folder: str) -> int:
    """The product's way."""
    ended = spawn.run(
        words,
        attempt="bench",
        env={**ENV, "TMPDIR": folder},
        secret_values=(),
        stdin=PAYLOAD,
        timeout_s=60,
        memory_bytes_max=1_073_741_824,
        stdout_bytes_max=8_388_608,
        on_stderr_line=lambda _: None,
        stop=STOP,
    )
    return ended.returncode


def plain(words: list[str], folder: str) -> int:
    """The standard library's."""
    env = {**ENV, "TMPDIR": folder}
    return subprocess.run(
        words, env=env, cwd=folder, input=PAYLOAD, capture_output=True, timeout=60, check=False
    ).returncode


def cost(side: Callable[[list[str], str], int], words: list[str], folder: str) -> Cost:
    """Seconds of CPU, with the child's, and of wall time."""
    cpu, wall = cpu_s(), time.monotonic()
    if (returncode := side(words, folder)) != 0:
        sys.exit(f"{words[0]} ended with {returncode}")
    return cpu_s() - cpu, time.monotonic() - wall


def cpu_s() -> float:
    """User and system time of this process and of every child it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


STOP = spawn.Stop()

if __name__ == "__main__":
    main()
