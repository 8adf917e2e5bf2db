"""The store: many small files and one large one, against cp and sha256sum, as ratios.

    tools/bazel run //tools/bench:store [-- --rounds N --files N --large-mib N]

One side is ``world put``: each file is copied, hashed, on the disk under its content before one
transaction refers to it. The other is ``cp -r``, ``sha256sum`` of the copies and ``sync -f``, which
leaves the same durable; and, to know the floor, ``cp`` and ``sha256sum`` without waiting for the
disk. All alternate, each in a fresh folder. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable

from orchestrator.world import intake
from orchestrator.world.world import World

SMALL_BYTES = 1_024
MIB = 1_048_576

type Side = Callable[[str, str], None]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--large-mib", type=int, default=2_048)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(f"{folder}/small")
        for number in range(given.files):
            with open(f"{folder}/small/{number:06d}.bin", "wb") as file:
                file.write(os.urandom(SMALL_BYTES))
        os.makedirs(f"{folder}/large")
        block = os.urandom(MIB)
        with open(f"{folder}/large/one.bin", "wb") as file:
            for number in range(given.large_mib):
                file.write(number.to_bytes(8) + block[8:])
        compare(f"{given.files} files of {SMALL_BYTES} bytes", f"{folder}/small", given.rounds)
        compare(f"one file of {given.large_mib} MiB", f"{folder}/large", given.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024
    print(f"peak memory of this process: {peak} MiB")


def compare(what: str, source: str, rounds: int) -> None:
    """Let the sides take turns, and print their medians."""
    sides: dict[str, Side] = {"put": put, "durable": durable_copy, "plain": plain_copy}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(-1, rounds):  # the first round fills the page cache
        for name, side in sides.items():
            target = f"{os.path.dirname(source)}/target"
            os.sync()
            began = time.monotonic()
            side(source, target)
            if number >= 0:
                seconds[name].append(time.monotonic() - began)
            shutil.rmtree(target)
    ours, durable, plain = (statistics.median(seconds[name]) for name in sides)
    print(
        f"{what}: put {ours:.2f} s, cp + sha256sum + sync {durable:.2f} s,"
        f" without sync {plain:.2f} s; ratios {ours / durable:.2f} and {ours / plain:.2f}",
        flush=True,
    )


def put(source: str, target: str) -> None:
    """What ``world put`` does."""
    with World(target, make=True) as world:
        files = intake.sources(source, "/artifacts/bench", target)
        intake.put(world, files, lambda _: None)


def durable_copy(source: str, target: str) -> None:
    """The same with ordinary programs."""
    plain_copy(source, target)
    subprocess.run(["sync", "-f", target], check=True)


def plain_copy(source: str, target: str) -> None:
    """Copied and hashed, and perhaps on the disk some time."""
    subprocess.run(["cp", "-r", source, target], check=True)
    names = [os.path.join(target, name) for name in os.listdir(target)]
    subprocess.run(["sha256sum", *names], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
