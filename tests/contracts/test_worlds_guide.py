"""The guide to worlds: its commands, run as they stand there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fixtures.guides import commands, said
from tests.harness import ROOT

GUIDE = ROOT / "docs/guides/worlds.md"


@pytest.mark.proves("F-6")
def test_every_command_of_the_guide_does_what_it_says(tmp_path: Path) -> None:
    documents = tmp_path / "examples/digest/documents"
    documents.parent.mkdir(parents=True)
    shutil.copytree(ROOT / "examples/digest/documents", documents, symlinks=False)

    answers = {line: said(line, tmp_path) for line in commands(GUIDE)}

    assert len(answers) == 18
    assert answers["world -- why first second"].split("\n")[2:] == [
        *("  /mode", "    a: mock", "    b: real"),
        "",
    ]
    verified = answers["ledger -- verify --head kept-elsewhere.json --world restored"]
    assert "  0 event(s) behind no head" in verified
    assert "collected  1 content(s)" in answers["world -- gc"]
    assert (tmp_path / "copy.pdf").read_bytes() == (documents / "world.pdf").read_bytes()
