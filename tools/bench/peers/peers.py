"""Steps: what they cost here and in doit, luigi, parsl, dbos, snakemake and redun, as ratios.

    uv pip install --target FOLDER --python-version 3.13 -r tools/bench/peers/peers.txt
    tools/bazel run //tools/bench/peers -- --peers FOLDER [--rounds N] [--only NAME,...]

Everyone is given the same child: the main of ``llm/chat@1`` in mock with its payload on stdin, run
by Debian's Python 3.13. The floor is a pool of two threads that runs the children and keeps no
record. All take turns; CPU is that of a program and its children. Ours alone settles each step
durably, checks what came out, and can say why. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tools.bench.peers import work
from tools.bench.peers.work import Built, Work

type Cost = tuple[float, float, int]  # CPU seconds, wall seconds, peak MiB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fan", type=int, default=500)
    parser.add_argument("--chain", type=int, default=100)
    parser.add_argument("--settled", type=int, default=10_000)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    only = set(filter(None, given.only.split(",")))
    with tempfile.TemporaryDirectory() as top:
        measure(given, only, Path(top))


def measure(given: argparse.Namespace, only: set[str], top: Path) -> None:
    """Take the turns of every comparison, in folders below one."""
    built = Built()
    for name, tasks, chain in (("fan", given.fan, False), ("chain", given.chain, True)):
        if tasks:
            print(f"{name} of {tasks} tasks", flush=True)
            side_by_side(Work(built, tasks, chain=chain), given.peers, given.rounds, only, top)
    print("first result of one task, from nothing", flush=True)
    side_by_side(Work(built, 1, chain=True), given.peers, 3 * given.rounds, only, top)
    if given.settled:
        print(f"nothing to do at {given.settled} tasks", flush=True)
        nothing_to_do(Work(built, given.settled, chain=False), given.peers, given.rounds, only)


def side_by_side(given: Work, peers: Path, rounds: int, only: set[str], top: Path) -> None:
    """Let all sides run the tasks, each time in a fresh folder, and print their medians."""
    spent: dict[str, list[Cost]] = {}
    # No folder is removed before all is measured: ext4 gives out no inode again for a minute, and
    # whoever makes files meanwhile pays for passing over those of the side before.
    for number in range(rounds):
        for name, command in _chosen(given.sides(peers), only):
            folder = top / f"{given.tasks}-{number}-{name}"
            folder.mkdir()
            given.prepare(folder, ours=name == work.OURS)
            spent.setdefault(name, []).append(run(command(folder), str(folder), peers))
            given.check(folder, ours=name == work.OURS)
    _print(spent, given.tasks)


def nothing_to_do(given: Work, peers: Path, rounds: int, only: set[str]) -> None:
    """Let all sides find out that there is nothing to do, in folders that are made once."""
    with tempfile.TemporaryDirectory() as top:
        ready = []
        for name, command in _chosen(given.settled_sides(peers), only):
            folder = Path(top, name)
            folder.mkdir()
            given.settle(folder, ours=name == work.OURS)
            if name != work.FLOOR:  # what a program finds out about files that it did not make
                run(command(folder), str(folder), peers)
            ready.append((name, command, folder))
        spent: dict[str, list[Cost]] = {}
        for _ in range(rounds):
            for name, command, folder in ready:
                cost = run(command(folder), str(folder), peers)
                spent.setdefault(name, []).append(cost)
    _print(spent, given.tasks)


def _chosen(
    sides: Iterable[tuple[str, Callable[[Path], list[str]]]], only: set[str]
) -> Iterable[tuple[str, Callable[[Path], list[str]]]]:
    always = {work.FLOOR, work.OURS}
    return [side for side in sides if not only or side[0] in only | always]


def run(command: list[str], folder: str, peers: Path) -> Cost:
    """Run a program; its own CPU and that of all it started."""
    environment = {
        "PATH": f"{peers}/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": folder,
        "PYTHONPATH": f"{work.PROJECTS}:{peers}",
        "PYTHONHASHSEED": "0",
    }
    started = time.monotonic()
    with open(f"{folder}/log", "wb") as log:
        child = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        said = Path(folder, "log").read_text(errors="replace")[-2_000:]
        raise SystemExit(f"{command} ended with {child.returncode}: {said}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss // 1_024


def _print(spent: dict[str, list[Cost]], tasks: int) -> None:
    floor = spent[work.FLOOR]
    for name, costs in spent.items():
        cpu, wall, peak = (statistics.median(column) for column in zip(*costs, strict=True))
        ratios = [
            statistics.median(
                mine[place] / least[place] for mine, least in zip(costs, floor, strict=True)
            )
            for place in (0, 1)
        ]
        over = statistics.median(
            (mine[0] - least[0]) / tasks * 1_000 for mine, least in zip(costs, floor, strict=True)
        )
        print(
            f"  {name:10} CPU {cpu:7.2f} s, ratio {ratios[0]:.3f}, {over:6.2f} ms a task over the"
            f" floor; wall {wall:7.2f} s, ratio {ratios[1]:.3f}; {peak} MiB",
            flush=True,
        )


if __name__ == "__main__":
    main()
