"""A goal that was satisfied and is no longer true is open again, and the ledger says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.goals import goal_file, standing
from orchestrator.world import audit, fold
from orchestrator.world.world import World
from tests.harness import zoo

GOAL = b"""\
schema: v1
name: seen
summary: the test processor has seen something, and the history is whole
budget_micro_usd: 0
predicates:
  - name: seen
    predicate: text.matches
    args: {path: /artifacts/zoo/outputs/seen.txt, pattern: "^seen"}
  - name: attested
    predicate: receipt.deterministic
    args: {path: /artifacts/zoo/receipt.json}
  - name: history
    predicate: ledger.intact
    scope: invariant
"""


@pytest.mark.proves("WL-13")
def test_a_goal_whose_predicate_turns_false_is_open_again_and_can_be_proved_again(
    tmp_path: Path,
) -> None:
    def prove() -> standing.Standing:
        with World(str(tmp_path), make=True) as world:
            return standing.prove(world, "seen")

    def run(behaviour: str) -> None:
        assert zoo(behaviour, world=tmp_path).exit_code == 0

    with World(str(tmp_path), make=True) as world:
        standing.declare(world, goal_file.load(GOAL, "goal.yaml"))
    assert prove().status == fold.UNPROVED
    run("good")
    first = prove()
    assert (first.status, prove().proof) == (fold.SATISFIED, first.proof)

    run("many")  # takes the place of what the other one has made
    reopened = prove()

    assert (reopened.status, reopened.proof) == (fold.REOPENED, None)
    assert {name: verdict.value for name, verdict in reopened.verdicts.items()} == {
        "seen": "false",
        "attested": "true",
        "history": "true",
    }
    run("good")
    assert prove().status == fold.SATISFIED
    with World(str(tmp_path), make=False) as world:
        assert audit.problem(world.ledger) is None
        told = [event for event in world.ledger.events() if event.type[:5] in ("goal.", "predi")]
        assert [event.type for event in told] == [
            *("goal.declared", "goal.satisfied", "predicate.regressed", "goal.satisfied"),
        ]
        assert told[2].data["predicate"] == "seen"
        [named] = told[2].data["witness"]["artifacts"]  # type: ignore[index, call-overload]
        assert named["path"] == "/artifacts/zoo/outputs/seen.txt"
        assert named["cid"] is None


@pytest.mark.proves("WL-13")
def test_what_was_taken_over_from_an_earlier_execution_is_attested_by_its_receipt(
    tmp_path: Path,
) -> None:
    goal = GOAL.replace(b"/artifacts/zoo/", b"/artifacts/again/")
    zoo("good", world=tmp_path)
    assert zoo("good", "--memo", prefix="/artifacts/again/", world=tmp_path).exit_code == 0

    with World(str(tmp_path), make=False) as world:
        standing.declare(world, goal_file.load(goal, "goal.yaml"))
        found = standing.prove(world, "seen")
        kinds = [event.type for event in world.ledger.events()]

    assert "execution.reused" in kinds
    assert {name: verdict.value for name, verdict in found.verdicts.items()} == dict.fromkeys(
        ("seen", "attested", "history"), "true"
    )
    assert found.status == fold.SATISFIED
