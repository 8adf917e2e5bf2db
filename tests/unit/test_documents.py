"""What the documents say is what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from processors.protocol.envelope import META_KEYS
from tools.docs import generate

README = Path("README.md").read_text()
PAGES = sorted([Path("README.md"), *Path("docs").rglob("*.md"), *Path("tests").glob("*.md")])


@pytest.mark.parametrize("path", generate.documents(README))
def test_generated_documents_are_up_to_date(path: str) -> None:
    """A difference is mended by ``tools/bazel run //tools/docs:write``."""
    assert Path(path).read_text() == generate.documents(README)[path]


def test_the_readme_shows_a_whole_envelope() -> None:
    [shown] = re.findall(r"```json\n(.*?)```", README, re.DOTALL)

    envelope = json.loads(shown)

    assert envelope["status"] == "success"
    assert envelope["meta"].keys() == set(META_KEYS)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())

    missing = [target for target in targets if not (page.parent / target).exists()]

    assert missing == []
