"""The build's look at a ``registry.yaml``: what it says must be what is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from processors.protocol.errors import ContractError
from tests.unit.source_rules import root
from tools.build import check_registry

FOLDER = "processors/llm/chat/v1"
LINE = "entrypoint: main.py\n"


def registry(tmp_path: Path, line: str) -> Path:
    """A registry of the repository with another entrypoint."""
    text = (root() / FOLDER / "registry.yaml").read_text(encoding="utf-8")
    assert text.count(LINE) == 1
    file = tmp_path / "registry.yaml"
    file.write_text(text.replace(LINE, line), encoding="utf-8")
    return file


def test_the_entrypoint_is_what_starts(tmp_path: Path) -> None:
    assert check_registry.load(registry(tmp_path, LINE), FOLDER).entrypoint == "main.py"


def test_another_entrypoint_stops_the_build_and_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"{FOLDER}/registry.yaml: entrypoint is other.py; .*main"):
        check_registry.load(registry(tmp_path, "entrypoint: other.py\n"), FOLDER)


def test_a_product_that_nothing_can_make_stops_the_build_with_its_line(tmp_path: Path) -> None:
    file = registry(tmp_path, LINE)
    text = file.read_text(encoding="utf-8")
    product = next(line for line in text.splitlines() if "/outputs/" in line and "chat" in line)
    file.write_text(text.replace(product, product.replace("/artifacts/", "/streams/")))
    line = text.splitlines().index(product) + 1

    with pytest.raises(ContractError, match=f"{FOLDER}/registry.yaml: line {line}: .*no output"):
        check_registry.load(file, FOLDER)
