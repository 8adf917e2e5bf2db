"""The guide to goals: its commands, run as they stand there."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.fixtures.guides import commands, said
from tests.harness import ROOT

GUIDE = ROOT / "docs/guides/goals.md"


def test_every_command_of_the_guide_does_what_it_says(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples/digest", tmp_path / "examples/digest", symlinks=False)

    answers = {line: said(line, tmp_path) for line in commands(GUIDE)}

    assert len(answers) == 3
    [achieved] = [text for line, text in answers.items() if line.startswith("achieve")]
    assert "6 step(s) run, 0 taken from earlier, 0 failed, 0 not begun" in achieved
    assert "  next: tools/bazel run //:explain -- digest\n" in achieved
    assert (tmp_path / "digest.html").read_text().startswith("<!DOCTYPE html>")
