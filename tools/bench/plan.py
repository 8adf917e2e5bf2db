"""Plans: plan, checker and canonical bytes against make, ninja and doit on the same steps.

    tools/bazel run //tools/bench:plan [-- --rounds N --steps N --make PROGRAM --ninja PROGRAM]
    tools/bazel run //tools/bench:plan -- --peers FOLDER   # filled as //tools/bench/peers says

Each document is extracted and then summarised, so half of the steps wait for the other half; no
output exists. Every side finds out what is to be done, says so, and does nothing:

- ours reads what exists from a list, plans, has the plan checked, writes its canonical bytes and
  hashes them (``plan_ours``);
- ``make -n`` reads a Makefile with one rule a step, looks every file up and prints the commands;
  ``-rR`` takes its built-in rules away, which is as fast as it gets;
- ``ninja -n`` does the same with a build file that has one build statement a step;
- ``doit list --all --status`` loads a task a step, each with its file and its target, links them
  and says of each whether it is to be run. doit cannot say what a run would do; to run actions that
  do nothing would ask less of it, since without the files they fail at the first.

All sides are processes of their own, each with a folder of its own, and take turns. A first run of
each is not counted, since ninja makes the folders of outputs even when it is to do nothing.
Ratios are of CPU time, which a busy machine spoils least, and medians of each round's. Exponents
are of CPU time over steps: 1 is linear. Peaks are of resident memory; one below this program's own
is not seen. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from tools.bench import plan_dodo, plan_ours

SIZES = (1_000, 10_000)  # besides --steps
OURS = "ours"

type Cost = tuple[float, float, int]  # CPU seconds, wall seconds, peak KiB


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--make", default=shutil.which("make"))
    parser.add_argument("--ninja", default=shutil.which("ninja"))
    parser.add_argument("--peers", help="a folder that doit is installed in")
    given = parser.parse_args()
    sides = programs(given.make, given.ninja, given.peers)
    sizes = sorted({*SIZES, given.steps})
    medians = [compare(steps, given.rounds, sides) for steps in sizes]
    for name in sides:
        slopes = [
            math.log(large[name][0] / small[name][0]) / math.log(to / from_)
            for small, large, from_, to in zip(medians, medians[1:], sizes, sizes[1:], strict=False)
        ]
        more = (medians[-1][name][1] - medians[0][name][1]) / (sizes[-1] - sizes[0])
        shown = ", ".join(f"{slope:.2f}" for slope in slopes)
        print(f"{name}: exponents {shown}; {more:.2f} KiB a step")


def programs(make: str | None, ninja: str | None, peers: str | None) -> dict[str, list[str]]:
    """The command of each side that is there; those that are not are named."""
    python = [sys.executable, "-P", "-s"]
    sides = {OURS: [*python, plan_ours.__file__]}
    if make is None:
        print("no make on PATH: it is left out")
    else:
        sides["make -rRn"] = [make, "-rRn"]
        sides["make -n"] = [make, "-n"]
    if ninja is None:
        print("no ninja on PATH: it is left out")
    else:
        sides["ninja -n"] = [ninja, "-n"]
    if peers is None:
        print("no --peers: doit is left out")
    else:
        sys.path.append(os.path.abspath(peers))  # which the sides are given, ours first
        given = ["-f", plan_dodo.__file__, "--dir", ".", "--all", "--status"]
        sides["doit list"] = [*python, "-m", "doit", "list", *given]
    return sides


def compare(steps: int, rounds: int, sides: dict[str, list[str]]) -> dict[str, tuple[float, int]]:
    """Let the sides take turns; print them, and return their CPU seconds and peak KiB."""
    spent: dict[str, list[Cost]] = {name: [] for name in sides}
    with tempfile.TemporaryDirectory() as top:
        for number in range(rounds + 1):
            for name, command in sides.items():
                folder = f"{top}/{name}"
                if not number:
                    write_files(folder, steps // 2)
                more = [str(steps // 2)] if name == OURS else []
                cost = run([*command, *more], folder)
                if number:
                    spent[name].append(cost)
        print(f"{steps} steps, {rounds} rounds, load {os.getloadavg()[0]:.1f}")
        return {name: show(name, costs, spent[OURS]) for name, costs in spent.items()}


def show(name: str, costs: list[Cost], ours: list[Cost]) -> tuple[float, int]:
    """Print what a side took; return its median of CPU seconds, and its peak."""
    cpu, wall = (statistics.median(column) for column in list(zip(*costs, strict=True))[:2])
    peak = max(cost[2] for cost in costs)
    ratio = statistics.median(mine[0] / other[0] for mine, other in zip(ours, costs, strict=True))
    print(
        f"  {name:10} CPU {cpu:6.2f} s, wall {wall:6.2f} s, {peak // 1_024:4} MiB;"
        f" ours takes {ratio:.2f} times its CPU",
        flush=True,
    )
    return cpu, peak


def run(command: list[str], folder: str) -> Cost:
    """Run a program."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    started = time.monotonic()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss


def write_files(folder: str, documents: int) -> None:
    """The same steps for each program, and the files they begin with."""
    os.makedirs(f"{folder}/artifacts/raw")
    names = [f"doc{number:06d}" for number in range(documents)]
    triples = [
        (
            f"artifacts/raw/{name}.pdf",
            plan_ours.TEXT.format(name=name)[1:],
            plan_ours.REPLY.format(name=name)[1:],
        )
        for name in names
    ]
    for source, _, _ in triples:
        with open(f"{folder}/{source}", "w"):
            pass
    wanted = " ".join(reply for _, _, reply in triples)
    with open(f"{folder}/Makefile", "w") as file:
        file.write(f"all: {wanted}\n")
        for source, text, reply in triples:
            file.write(f"{text}: {source}\n\textract $< $@\n{reply}: {text}\n\tchat $< $@\n")
    with open(f"{folder}/build.ninja", "w") as file:
        file.write("rule extract\n  command = extract $in $out\n")
        file.write("rule chat\n  command = chat $in $out\n")
        for source, text, reply in triples:
            file.write(f"build {text}: extract {source}\nbuild {reply}: chat {text}\n")
        file.write(f"build all: phony {wanted}\ndefault all\n")


if __name__ == "__main__":
    main()
