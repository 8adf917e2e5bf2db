"""Deployed functions are called through the SDK: no command line of Modal's is anywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import ROOT

# modal run app::fn, modal deploy, python -m modal, and the SDK's own module of commands.
PATTERN = re.compile(
    r"\bmodal\s+(run|deploy|serve|shell|app|secret|volume)\b(?!\s*\|)|-m\s+modal(?![\w._])|modal\.cli\b"
    r"|[\"']modal[\"'],\s*[\"'](run|deploy|serve|shell|app|secret|volume)[\"']"
)
FOLDERS = ("orchestrator", "modal_app", "processors", ".ci")


def found(root: Path) -> list[str]:
    """Every place in the product or its pipeline that calls Modal's command line."""
    files = [
        file
        for folder in FOLDERS
        for file in sorted((root / folder).rglob("*"))
        if file.is_file() and "tree" not in file.relative_to(root).parts and file.suffix != ".pyc"
    ]
    assert files
    return [
        f"{file.relative_to(root)}: {match[0]}"
        for file in files
        for match in PATTERN.finditer(file.read_text(encoding="utf-8", errors="replace"))
    ]


@pytest.mark.proves("CI-4")
def test_nothing_calls_the_command_line() -> None:
    assert (ROOT / ".ci/run").is_file()
    assert (ROOT / "orchestrator/modal/operations.py").is_file()
    assert found(ROOT) == []


@pytest.mark.proves("CI-4")
@pytest.mark.parametrize(
    "line",
    [
        "modal run deployed-app::fn",
        "python3 -m modal deploy app.py",
        'subprocess.run(["modal", "run", "x::y"])',
        "from modal.cli.run import run",
    ],
)
def test_a_planted_call_is_found(line: str, tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_text(f"#!/bin/sh\n{line}\n")

    assert len(found(tmp_path)) >= 1
