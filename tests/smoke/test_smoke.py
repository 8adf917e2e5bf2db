"""What was deployed answers, in mock mode.

By default the fixture itself deploys, to a control plane of this machine. Built with
``--define smoke=deployed`` it takes what a deployment recorded in the world that SMOKE_WORLD names,
and without such a record it fails: that nothing was deployed is no reason to be green.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from _pytest.outcomes import Failed

from tests.fixtures.modal_bed import Plane, Shelf
from tests.fixtures.modal_house import NOWHERE, House, recorded
from tests.harness import ROOT, Result, run

MARK = ROOT / "tests/smoke/deployed"  # in place if the build says that something is deployed
INPUTS: dict[str, dict[str, Any]] = {
    "doc/extract@1": {"filename": "page.md"},
    "llm/chat@1": {
        "endpoint": "openai",
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "hello"}],
    },
}
PREFIX = "/artifacts/smoke/{execution_id}/"


class Deployment:
    """What is deployed, and how it is called.

    Attributes:
        facts: What was recorded of each processor's deployment, by its ref.
    """

    def __init__(self, facts: dict[str, dict[str, Any]], house: House | None, world: Path) -> None:
        self.facts = facts
        self._house, self._world = house, world

    def run(self, ref: str, *words: str) -> Result:
        """Run a processor where it is deployed, in mock mode."""
        lane = self.facts[ref]["environment"]
        every = ("--adapter", "modal", "--mode", "mock", "--lane", lane, *words)
        every = (*every, "--write-prefix", PREFIX, "--inputs-json", json.dumps(INPUTS[ref]))
        if self._house is not None:
            return self._house.run(ref, *every)
        names = ("MODAL_SERVER_URL", "MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET")
        env = {name: os.environ[name] for name in names if name in os.environ}
        return run("--ref", ref, *every, "--json", world=self._world, env=env)


def of_world(place: str | None) -> Deployment:
    """What a world's ledger says is deployed; it fails if that is nothing."""
    world = Path(place or "/nonexistent")
    facts = recorded(world)
    if missing := sorted(INPUTS.keys() - facts.keys()):
        pytest.fail(f"no deployment of {', '.join(missing)} is recorded in {place}; deploy first")
    return Deployment(facts, None, world)


@pytest.fixture(scope="module", name="deployment")
def _deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    if MARK.exists():
        yield of_world(os.environ.get("SMOKE_WORLD"))
        return
    state, base = (tmp_path_factory.mktemp(name) for name in ("state", "house"))
    with Shelf() as shelf, Plane(state, "--environment", "staging") as plane:
        house = House(base, plane, shelf)
        house.pin_all(NOWHERE)  # nothing is deployed while a processor is unpinned
        for ref in INPUTS:
            house.pin(ref, house.push(ref))
        house.sync("staging")
        for ref in INPUTS:
            made = house.deploy(ref, "staging")
            assert made["status"] == "success", made
        yield Deployment(recorded(house.world), house, house.world)


@pytest.mark.proves("TS-7")
@pytest.mark.parametrize("ref", INPUTS)
def test_a_deployment_answers_with_what_was_deployed(
    deployment: Deployment, ref: str, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Smoke\n\nText.\n")
    attached = ("--attach", f"source={page}") if ref == "doc/extract@1" else ()

    result = deployment.run(ref, *attached)

    assert result.exit_code == 0, (result.stdout, result.stderr)
    meta = result.envelope["meta"]
    assert meta["image_digest"] == deployment.facts[ref]["digest"]
    assert meta["app"] == deployment.facts[ref]["app"]
    assert result.envelope["outputs"]


@pytest.mark.proves("TS-7")
@pytest.mark.parametrize("place", [None, "/nonexistent"])
def test_without_the_fact_of_a_deployment_it_fails_and_does_not_skip(place: str | None) -> None:
    with pytest.raises(Failed, match="deploy first"):
        of_world(place)
