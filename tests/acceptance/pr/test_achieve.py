"""The digest of the example's documents, from a goal file alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.programs import ACHIEVE, EXPLAIN, PLAN, achieve, call, ledger, world_command
from tests.harness import ROOT

GOAL = ROOT / "examples/digest/goal.yaml"
NAMES = ("ledger.html", "loop.md", "world.pdf")
REPLY = "/artifacts/chat/loop.md/outputs/reply.md"


def bring_in(world: Path) -> None:
    """Put the documents of the examples into a new world."""
    for name in NAMES:
        file = ROOT / "examples/documents" / name
        world_command("put", str(file), f"/artifacts/raw/{name}", world=world)


def digest(world: Path) -> dict[str, Any]:
    return achieve(GOAL, world=world, command=ACHIEVE).result


@pytest.mark.proves("WL-14")
def test_a_goal_is_achieved_proved_and_then_left_alone(tmp_path: Path) -> None:
    bring_in(tmp_path / "w")

    first = digest(tmp_path / "w")
    second = digest(tmp_path / "w")

    assert first["executions"] == 2 * len(NAMES)
    assert [step["error"] for step in first["steps"]] == [None] * 6
    assert first["proof"].startswith("sha256:")
    assert (second["executions"], second["plans"], second["steps"]) == (0, [], [])
    assert second["proof"] == first["proof"]
    verified = ledger("verify", world=tmp_path / "w").result
    assert verified["behind_no_head"] == 0
    assert ledger("readmit", world=tmp_path / "w").result["refused"] == 0


@pytest.mark.proves("WL-14")
def test_what_is_missing_is_made_again_and_nothing_else(tmp_path: Path) -> None:
    bring_in(tmp_path / "w")
    before = digest(tmp_path / "w")
    world_command("rm", REPLY, world=tmp_path / "w")

    after = digest(tmp_path / "w")

    [step] = after["steps"]
    assert (step["ref"], step["step"]) == ("llm/chat@1", "/artifacts/chat/loop.md/")
    assert step["executions"][0] not in str(before)
    made = world_command("why", REPLY, world=tmp_path / "w").result
    assert step["executions"][0] in str(made)


def test_a_plan_is_shown_before_anything_runs(tmp_path: Path) -> None:
    bring_in(tmp_path / "w")
    events = ledger("stats", world=tmp_path / "w").result["events"]
    picture = tmp_path / "plan.svg"

    words = ("--goal", str(GOAL), "--svg", str(picture))
    found = call(PLAN, *words, world=tmp_path / "w").result

    assert found["problem"] is None
    assert len(found["plan"]["steps"]) == 2 * len(NAMES)
    assert picture.read_text().startswith("<svg ")
    assert ledger("stats", world=tmp_path / "w").result["events"] == events


def test_what_proves_a_goal_is_shown_down_to_the_events(tmp_path: Path) -> None:
    bring_in(tmp_path / "w")
    done = digest(tmp_path / "w")

    tree = call(EXPLAIN, "digest", world=tmp_path / "w").result

    assert (tree["status"], tree["proof"]) == ("satisfied", done["proof"])
    assert {each["name"]: each["value"] for each in tree["predicates"]} == {
        "summaries": "true",
        "texts": "true",
    }
    [summaries, _] = tree["predicates"]
    makers = {each["path"]: each["event"] for each in summaries["artifacts"]}
    ids = [execution for step in done["steps"] for execution in step["executions"]]
    assert makers[REPLY]["execution_id"] in ids
    assert makers[REPLY]["plan"] == done["plans"][0]
    assert makers["/artifacts/raw/loop.md"]["type"] == "artifact.put"


def test_the_example_is_short() -> None:
    assert len(GOAL.read_text().splitlines()) < 25
