"""The guide to worlds: its commands, run as they stand there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.harness import ROOT

GUIDE = ROOT / "docs/guides/worlds.md"
START = "tools/bazel run //:"


def commands() -> list[str]:
    """The commands of the guide's console blocks, each as one line."""
    blocks = re.findall(r"```console\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    assert all(line.startswith("$ " + START) for line in lines)
    return [line.removeprefix("$ " + START) for line in lines]


def said(line: str, folder: Path) -> str:
    """Run one command, which must succeed; return its stdout, or what went to a file instead."""
    program, _, rest = line.partition(" -- ")
    words, _, target = rest.partition(" > ")
    ended = subprocess.run(
        [ROOT / program, *shlex.split(words)],
        cwd=folder,
        capture_output=True,
        timeout=50,
        check=False,
    )
    assert ended.returncode == 0, (line, ended.stderr)
    if target:
        (folder / target).write_bytes(ended.stdout)
    return ended.stdout.decode("utf-8")


@pytest.mark.proves("F-6")
def test_every_command_of_the_guide_does_what_it_says(tmp_path: Path) -> None:
    documents = tmp_path / "examples/digest/documents"
    documents.parent.mkdir(parents=True)
    shutil.copytree(ROOT / "examples/digest/documents", documents, symlinks=False)

    answers = {line: said(line, tmp_path) for line in commands()}

    assert len(answers) == 18
    assert answers["world -- why first second"].split("\n")[2:] == [
        *("  /mode", "    a: mock", "    b: real"),
        "",
    ]
    verified = answers["ledger -- verify --head kept-elsewhere.json --world restored"]
    assert "  0 event(s) behind no head" in verified
    assert "collected  1 content(s)" in answers["world -- gc"]
    assert (tmp_path / "copy.pdf").read_bytes() == (documents / "world.pdf").read_bytes()
