"""What a goal may use: all processors that a plan can use, or those that it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.goals import goal_file
from orchestrator.loop import means
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

GOAL = """\
schema: v1
name: made
summary: of a test
budget_micro_usd: 9
predicates:
  - {name: there, predicate: artifact.exists, args: {path: /artifacts/text/a/outputs/text.md}}
"""
TEXT = "/artifacts/text/{name}/outputs/text.md"
PAGE = "/artifacts/pages/{name}/outputs/{page}.png"  # as many as there are: no plan knows which


def described(ref: str, product: str) -> dict[str, Json]:
    """A processor as its build describes it."""
    return {
        "schema": "v1",
        "argv": ["{python}"],
        "registry_file": "registry.json",
        "source_root": "sha256:" + "1" * 64,
        "lock": "sha256:" + "2" * 64,
        "registry": {
            "ref": ref,
            "requires": {"source": "/artifacts/raw/{name}"},
            "produces": [product],
            "cost": {"estimate_micro_usd": 1},
        },
    }


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """One processor that plans can use, and one for calls by hand."""
    for name, product in (("text", TEXT), ("pages", PAGE)):
        own = tmp_path / f"tests/{name}/v1"
        own.mkdir(parents=True)
        document = described(f"tests/{name}@1", product)
        (own / "processor.json").write_text(json.dumps(document))
    return str(tmp_path)


def names(text: str, folder: str) -> list[str]:
    return sorted(means.find(goal_file.load(text.encode(), "goal.yaml"), folder))


def test_a_processor_that_no_plan_can_use_keeps_no_other_goal_from_its_plan(folder: str) -> None:
    assert names(GOAL, folder) == ["tests/text@1"]


def test_a_goal_that_names_it_is_told_why(folder: str) -> None:
    with pytest.raises(ContractError, match=r"no plan can use tests/pages@1: .*\{page\}") as caught:
        names(f"{GOAL}processors: [tests/pages@1, tests/text@1]\n", folder)

    assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", "invalid_goal")
