"""The README's commands, run as they stand there."""

from __future__ import annotations

import json
import re
import shlex

from tools.selfcheck.check import check, expect, expect_same
from tools.selfcheck.scratch import Scratch

_TIMED = ("receipt.json", "determinism.json", "envelope.json")


def commands(readme: str) -> list[str]:
    """The commands of the README's console blocks, each as one line."""
    blocks = re.findall(r"```console\n(.*?)```", readme, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line[2:] for line in lines if line.startswith("$ ")]


@check(
    "the README's first commands print what the README shows",
    sabotage=[
        ("README.md", "--ref doc/extract@1", "--ref doc/extract@9"),
        ("README.md", "/outputs/text.md", "/outputs/text.txt"),
    ],
)
def first_command(scratch: Scratch) -> None:
    """Ids, times and digests are each run's own, and with them some sizes; all else is compared."""
    readme = scratch.read("README.md")
    first, second, third, *_ = commands(readme)
    program, *words = shlex.split(first)
    expect(program == "tools/bazel", f"the first command starts with {program}")

    done = scratch.bazel(*words)

    expect(done.code == 0, f"exit {done.code}: {done.stdout or done.stderr[-500:]}")
    expect(done.stdout.count("\n") == 1, f"stdout is {done.stdout[:300]!r}")
    [shown] = re.findall(r"```json\n(.*?)```", readme, re.DOTALL)
    expect(_masked(done.stdout) == _masked(shown), f"printed {done.stdout}")
    program, *words = shlex.split(second)
    [listed] = re.findall(r"```\n( +\d.*?)```", readme, re.DOTALL)
    there = scratch.bazel(*words)
    expect(there.code == 0, f"exit {there.code}: {there.stdout or there.stderr[-500:]}")
    expect_same("the world", _sized(there.stdout), _sized(listed))
    program, *words = shlex.split(third)
    [told] = re.findall(r"```\n(satisfied .*?)```", readme, re.DOTALL)
    done = scratch.bazel(*words)
    expect(done.code == 0, f"exit {done.code}: {done.stdout or done.stderr[-500:]}")
    expect_same("what achieve says", _untimed(done.stdout), _untimed(told))


@check(
    "the README's last command is the one that CI runs",
    sabotage=[
        (".ci/run", "//tests/...", "//tests/unit/..."),
        (".ci/run", "//tests/... --", "//tests/... --config=pr --"),
    ],
)
def last_command(scratch: Scratch) -> None:
    """CI would otherwise prove something else than what the README promises.

    CI adds one option, which has Bazel say which results are this run's.
    """
    *_, last = commands(scratch.read("README.md"))
    line = f"step tests {last} --build_event_json_file=.tests.json\n"
    expect(line in scratch.read(".ci/run"), f".ci/run lacks: {line}")


def _masked(envelope: str) -> object:
    document = json.loads(_mask(envelope))
    document["meta"]["duration_ms"] = 0
    document["meta"]["env_fingerprint"] = re.sub("=[^;]*", "=", document["meta"]["env_fingerprint"])
    return document


def _untimed(summary: str) -> list[str]:
    """The lines of a summary; what a run took and the proof's id are its own."""
    return re.sub(r"[0-9.]+ s$|sha256:\S+", "*", summary, flags=re.MULTILINE).splitlines()


def _sized(listing: str) -> list[str]:
    """The rows of a listing but for the sum; what holds a duration is a byte longer or shorter."""
    rows = _mask(listing).splitlines()[:-1]
    return [re.sub(r"^ *\d+", "", row) if row.endswith(_TIMED) else row for row in rows]


def _mask(text: str) -> str:
    text = re.sub(r"\d{8}t\d{6}z-[0-9a-f]{10}", "ID", text)
    return re.sub(r"(sha256:|attached/)[0-9a-f]{64}", r"\1DIGEST", text)
