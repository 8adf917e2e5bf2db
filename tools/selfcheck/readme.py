"""The README's commands, run as they stand there."""

from __future__ import annotations

import json
import re
import shlex

from tools.selfcheck.check import check, expect, expect_same
from tools.selfcheck.scratch import Scratch

_WORLD = ".world"


def commands(readme: str) -> list[str]:
    """The commands of the README's console blocks, each as one line."""
    blocks = re.findall(r"```console\n(.*?)```", readme, re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line[2:] for line in lines if line.startswith("$ ")]


@check(
    "the README's first command prints what the README shows, and leaves what it lists",
    sabotage=[
        ("README.md", "--ref doc/extract@1", "--ref doc/extract@9"),
        ("README.md", "/outputs/text.md", "/outputs/text.txt"),
    ],
)
def first_command(scratch: Scratch) -> None:
    """Ids, times and digests are each run's own; all else is compared."""
    readme = scratch.read("README.md")
    first, *_ = commands(readme)
    program, *words = shlex.split(first)
    expect(program == "tools/bazel", f"the first command starts with {program}")

    done = scratch.bazel(*words)

    expect(done.code == 0, f"exit {done.code}: {done.stdout or done.stderr[-500:]}")
    expect(done.stdout.count("\n") == 1, f"stdout is {done.stdout[:300]!r}")
    shown, listed = re.findall(r"```(?:json)?\n([{.].*?)```", readme, re.DOTALL)
    expect(_masked(done.stdout) == _masked(shown), f"printed {done.stdout}")
    world = scratch.root / _WORLD
    seen = [str(path.relative_to(scratch.root)) for path in world.rglob("*") if path.is_file()]
    expect_same("the world", [_mask(path) for path in seen], _mask(listed).split())


@check(
    "the README's second command is the one that CI runs",
    sabotage=[(".ci/run", "//tests/...", "//tests/unit/...")],
)
def second_command(scratch: Scratch) -> None:
    """CI would otherwise prove something else than what the README promises."""
    _, second, *_ = commands(scratch.read("README.md"))
    expect(f"step tests {second}\n" in scratch.read(".ci/run"), f".ci/run lacks: {second}")


def _masked(envelope: str) -> object:
    document = json.loads(_mask(envelope))
    document["meta"]["duration_ms"] = 0
    document["meta"]["env_fingerprint"] = re.sub("=[^;]*", "=", document["meta"]["env_fingerprint"])
    return document


def _mask(text: str) -> str:
    text = re.sub(r"\d{8}t\d{6}z-[0-9a-f]{10}", "ID", text)
    return re.sub(r"(sha256:|attached/)[0-9a-f]{64}", r"\1DIGEST", text)
