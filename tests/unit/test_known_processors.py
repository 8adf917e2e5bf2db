"""What tests take for the processors are those of the one list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fixtures import known_processors
from tests.unit.source_rules import root

LISTED = re.compile(r'^    "//processors/(\S+)/v(\d+)",$', re.MULTILINE)


def test_every_processor_of_the_list_is_found_and_no_other() -> None:
    text = (root() / "processors/processors.bzl").read_text(encoding="utf-8")
    listed = {f"{name}@{version}": f"{name}/v{version}" for name, version in LISTED.findall(text)}

    assert len(listed) >= 2
    assert known_processors.places(root(), "registry.yaml") == listed


def test_a_processor_counts_if_it_has_what_the_test_needs(tmp_path: Path) -> None:
    for place in ("b/c/v10", "a/d/v2", "a/d/v1", "protocol"):
        (tmp_path / "processors" / place).mkdir(parents=True)
        (tmp_path / "processors" / place / "registry.yaml").touch()
    (tmp_path / "processors/a/d/v1/processor.json").touch()

    every = known_processors.places(tmp_path, "registry.yaml")
    built = known_processors.places(tmp_path, "processor.json")

    assert every == {"a/d@1": "a/d/v1", "a/d@2": "a/d/v2", "b/c@10": "b/c/v10"}
    assert built == {"a/d@1": "a/d/v1"}


def test_to_find_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match=r"no processor's registry\.yaml"):
        known_processors.places(tmp_path, "registry.yaml")
