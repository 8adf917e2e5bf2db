"""What of a goal's world is missing, where goals rest on goals."""

from __future__ import annotations

import pytest

from orchestrator.goals import goal as goals
from orchestrator.goals import view
from orchestrator.goals.domain import DomainError, Exists
from orchestrator.goals.goal import Goal, Stated
from orchestrator.loop.missing import Missing
from orchestrator.world import goal_facts
from processors.protocol.canonical import Json
from tests.simulators.snapshot import MemorySnapshot

A = "/artifacts/a"
REST: dict[str, Json] = {"budget_micro_usd": 0, "processors": None, "transitions": [], "use": {}}


def goal(name: str, predicate: str, **args: Json) -> Goal:
    """A goal that states one thing twice."""
    twice: list[Json] = [
        Stated(each, predicate, goals.SUCCESS, None, args).as_json() for each in ("one", "two")
    ]
    return Goal({"schema": "v1", "name": name, "summary": name, **REST, "predicates": twice})


def test_what_is_too_much_to_be_judged_is_not_planned_for() -> None:
    files = {f"/artifacts/in/{n}": b"x" for n in range(view.MATCHES_MAX + 1)}
    args: dict[str, Json] = {"path": "/artifacts/out/{n}"}
    stated = Stated("each", "artifact.exists", goals.SUCCESS, "/artifacts/in/{n}", args)
    found: dict[str, Json] = {"schema": "v1", "name": "g", "summary": "g", **REST}
    many = Goal({**found, "predicates": [stated.as_json()]})

    with pytest.raises(DomainError, match="each: more than 10000 match /artifacts/in/") as caught:
        Missing(MemorySnapshot(files), []).look(many, {}.__getitem__)

    assert caught.value.reason == "too_many"


def test_a_goal_that_many_rest_on_is_looked_at_once() -> None:
    chain = {f"g{n}": goal(f"g{n}", "goal.satisfied", goal=f"g{n + 1}") for n in range(8)}
    chain["g8"] = goal("g8", "artifact.exists", path=A)
    files = {goal_facts.goal_path(name): each.encode() for name, each in chain.items()}
    snapshot = MemorySnapshot(files)
    missing = Missing(snapshot, [])

    missing.look(chain["g0"], chain.__getitem__)

    assert missing.wanted() == [Exists(A)]
    assert snapshot.asked.count(A) < 50  # of 2^8 ways there
