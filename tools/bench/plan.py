"""Plans: plan, checker and canonical bytes against GNU make on the same steps, as ratios.

    tools/bazel run //tools/bench:plan [-- --rounds N --steps N --make PROGRAM]

Each document is extracted and then summarised, so half of the steps wait for the other half; no
output exists. Our side reads what exists from a list, plans, has the plan checked, writes its
canonical bytes and hashes them. ``make -n`` reads a Makefile with one rule a step, looks every file
up and prints the commands; ``-rR`` takes its built-in rules away, which is as fast as it gets. All
sides are processes of their own, take turns, and are compared by CPU time, which a busy machine
spoils least. Exponents are of CPU time over steps: 1 is linear. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

from orchestrator.goals.domain import ForEach, Operator, Task
from orchestrator.goals.plan_checker import check
from orchestrator.goals.planner import Plan, encoded, plan

SIZES = (1_000, 10_000)  # besides --steps
TEXT = "/artifacts/text/{name}/outputs/text.md"
REPLY = "/artifacts/chat/{name}/outputs/reply.md"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--make", default=shutil.which("make"))
    parser.add_argument("--ours", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.ours is not None:
        ours(int(given.ours))
        return
    if given.make is None:
        print("no make on PATH: ours alone is measured")
    sizes = sorted({*SIZES, given.steps})
    medians = [compare(steps, given.rounds, given.make) for steps in sizes]
    for name in medians[0]:
        slopes = [
            math.log(large[name] / small[name]) / math.log(to / from_)
            for small, large, from_, to in zip(medians, medians[1:], sizes, sizes[1:], strict=False)
        ]
        print(f"exponents of {name}: {', '.join(f'{slope:.2f}' for slope in slopes)}")


def compare(steps: int, rounds: int, make: str | None) -> dict[str, float]:
    """Let the sides take turns; print and return their medians of CPU seconds."""
    with tempfile.TemporaryDirectory() as folder:
        write_makefile(folder, steps // 2)
        programs = {"ours": [sys.executable, __file__, "--ours", str(steps // 2)]}
        if make is not None:
            programs["make -rRn"] = [make, "-rRn"]
            programs["make -n"] = [make, "-n"]
        spent: dict[str, list[float]] = {name: [] for name in programs}
        peaks: dict[str, int] = {}
        for _ in range(rounds):
            for name, command in programs.items():
                cpu, peak = run(command, folder)
                spent[name].append(cpu)
                peaks[name] = max(peaks.get(name, 0), peak)
    medians = {name: statistics.median(values) for name, values in spent.items()}
    parts = [
        f"{name} {value:.2f} s, {peaks[name]} MiB, ratio {medians['ours'] / value:.2f}"
        for name, value in medians.items()
    ]
    print(f"{steps} steps: {'; '.join(parts)}", flush=True)
    return medians


def run(command: list[str], folder: str) -> tuple[float, int]:
    """Run a program; return its CPU seconds and its peak memory in MiB."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{command[0]} ended with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss // 1_024


def write_makefile(folder: str, documents: int) -> None:
    """The same steps as rules, and the files they begin with."""
    os.makedirs(f"{folder}/artifacts/raw")
    replies = [REPLY.format(name=f"doc{n:06d}")[1:] for n in range(documents)]
    with open(f"{folder}/Makefile", "w") as file:
        file.write(f"all: {' '.join(replies)}\n")
        for number, reply in enumerate(replies):
            name = f"doc{number:06d}"
            text = TEXT.format(name=name)[1:]
            file.write(f"{text}: artifacts/raw/{name}.pdf\n\textract $< $@\n")
            file.write(f"{reply}: {text}\n\tchat $< $@\n")
            with open(f"{folder}/artifacts/raw/{name}.pdf", "w"):
                pass


def ours(documents: int) -> None:
    """One whole answer, as a process of its own."""
    gc.disable()  # a program that answers and ends has no use for looking for cycles
    operators = [
        Operator(
            ref="doc/extract@1",
            requires=(("source", "/artifacts/raw/{name}.pdf"),),
            produces=(TEXT, TEXT.replace("text.md", "metadata.json")),
            cost_micro_usd=1,
            time_ms=100,
        ),
        Operator(
            ref="llm/chat@1",
            requires=(("document", TEXT),),
            produces=(REPLY, REPLY.replace("reply.md", "response.json")),
            cost_micro_usd=5,
            time_ms=1_000,
        ),
    ]
    task = Task(
        goal="bench",
        head=(1, "sha256:" + "0" * 64),
        operators=operators,
        facts=[f"/artifacts/raw/{name}" for name in sorted(os.listdir("artifacts/raw"))],
        wants=[ForEach(REPLY, "/artifacts/raw/{name}.pdf")],
    )
    answer = plan(task)
    assert isinstance(answer, Plan)
    verdict = check(answer.document, task)
    data, digest = encoded(answer.document)
    assert verdict.accepted
    print(f"{2 * documents} steps, {len(data)} bytes, {digest}")


if __name__ == "__main__":
    main()
