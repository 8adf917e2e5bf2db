"""Goals in a world: a change is an event, a status follows from verdicts and is never set."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.goals import goal_file, judging, known, snapshot, standing
from orchestrator.goals.goal import Goal
from orchestrator.goals.judging import Verdict
from orchestrator.goals.view import View
from orchestrator.world import fold, goal_facts, intake
from orchestrator.world.chain import Head
from orchestrator.world.projections import IllegalMoveError
from orchestrator.world.world import World
from processors.protocol import digests
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

A = "/artifacts/a"
HEAD = Head(3, digests.of_bytes(b"head"))


def goal(name: str = "one", path: str = A, *more: str) -> Goal:
    """A goal with one predicate, and more of them as YAML."""
    lines = [f"  - {{name: there, predicate: artifact.exists, args: {{path: {path}}}}}", *more]
    head = f"schema: v1\nname: {name}\nsummary: x\nbudget_micro_usd: 0\npredicates:\n"
    return goal_file.load((head + "\n".join(lines)).encode(), "goal.yaml")


def rests_on(name: str) -> str:
    return f"  - {{name: on_{name}, predicate: goal.satisfied, args: {{goal: {name}}}}}"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(str(tmp_path / "w"), make=True) as found:
        yield found


def put(world: World, path: str, data: bytes = b"x") -> None:
    with world.objects.placing() as placing:
        cid, size_bytes = placing.write(data)
        placing.place()
        with world.ledger.writing() as transaction:
            put: dict[str, Json] = {"path": path, "cid": cid, "size_bytes": size_bytes}
            transaction.append("artifact.put", {**put, "mime": "text/plain", "source": None})


def remove(world: World, path: str) -> None:
    with world.ledger.writing() as transaction:
        transaction.append("artifact.removed", {"path": path})


def types(world: World) -> list[str]:
    return [event.type for event in world.ledger.events() if event.type[:4] in ("goal", "pred")]


def reason(caught: pytest.ExceptionInfo[ContractError]) -> str:
    return caught.value.reason


@pytest.mark.proves("WL-4")
def test_declaring_a_goal_is_an_event_and_the_same_again_is_none(world: World) -> None:
    assert standing.declare(world, goal())
    assert not standing.declare(world, goal())

    assert types(world) == ["goal.declared"]
    row = world.ledger.goal("one")
    assert row is not None
    assert (row.goal, row.status, row.must_hold) == (goal().id, fold.UNPROVED, ["there"])
    kept = world.ledger.artifact(goal_facts.goal_path("one"))
    assert kept is not None
    assert kept.cid == goal().id
    assert standing.find(world, "one").document == goal().document


@pytest.mark.proves("WL-4")
def test_changing_a_goal_is_an_event_and_it_has_to_be_proved_again(world: World) -> None:
    standing.declare(world, goal())
    put(world, A)
    assert standing.prove(world, "one").status == fold.SATISFIED

    assert standing.declare(world, goal(path="/artifacts/b"))

    assert types(world) == ["goal.declared", "goal.satisfied", "goal.changed"]
    row = world.ledger.goal("one")
    assert row is not None
    assert (row.status, row.proof) == (fold.UNPROVED, None)
    assert world.ledger.artifact(goal_facts.proof_path("one")) is None


@pytest.mark.proves("WL-4")
def test_a_status_follows_from_verdicts_alone(world: World) -> None:
    standing.declare(world, goal())

    open_ = standing.prove(world, "one")
    put(world, A)
    proved = standing.prove(world, "one")
    again = standing.prove(world, "one")

    assert (open_.status, open_.proof) == (fold.UNPROVED, None)
    assert (proved.status, again.proof) == (fold.SATISFIED, proved.proof)
    assert types(world) == ["goal.declared", "goal.satisfied"]
    assert proved.proof is not None
    document = json.loads(world.objects.read(proved.proof))
    assert document["goal"] == goal().id
    [verdict] = document["verdicts"]
    assert (verdict["name"], verdict["value"]) == ("there", "true")


def test_a_proof_whose_bytes_are_gone_is_put_back(world: World) -> None:
    standing.declare(world, goal())
    put(world, A)
    proved = standing.prove(world, "one")
    assert proved.proof is not None
    kept = world.objects.read(proved.proof)
    os.unlink(world.objects.path(proved.proof))

    again = standing.prove(world, "one")

    assert again.proof == proved.proof
    assert world.objects.read(proved.proof) == kept
    assert types(world) == ["goal.declared", "goal.satisfied"]


@pytest.mark.proves("WL-4")
@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("goal.satisfied", {"proved": ["other"]}),
        ("goal.satisfied", {"proved": ["other", "there"]}),
        ("goal.satisfied", {"goal": digests.of_bytes(b"another")}),
        ("predicate.regressed", {}),
    ],
)
def test_a_status_that_does_not_follow_cannot_be_written(
    kind: str, change: dict[str, Json], world: World
) -> None:
    standing.declare(world, goal())
    at: Json = {"count": HEAD.count, "hash": HEAD.hash}
    data: dict[str, Json] = {"name": "one", "goal": goal().id, "head": at}
    if kind == "goal.satisfied":
        file: Json = {"path": goal_facts.proof_path("one"), "cid": HEAD.hash, "size_bytes": 1}
        data |= {"proved": ["there"], "proof": file}
    else:
        data |= {"predicate": "there", "value": "false", "witness": {}}

    with pytest.raises(IllegalMoveError), world.ledger.writing() as transaction:
        transaction.append(kind, data | change)

    assert types(world) == ["goal.declared"]


TRUE, FALSE, ERROR = (Verdict(value, {}) for value in ("true", "false", "error"))


@pytest.mark.proves("WL-4")
@pytest.mark.parametrize("is_kept", [True, False], ids=["kept", "stale"])
@pytest.mark.parametrize("status", fold.GOAL_STATUSES)
@pytest.mark.parametrize(
    "verdicts", [{"a": TRUE, "b": TRUE}, {"a": TRUE, "b": FALSE}, {"a": ERROR, "b": FALSE}]
)
def test_what_follows_is_decided_by_status_and_verdicts(
    status: str, verdicts: dict[str, Verdict], *, is_kept: bool
) -> None:
    wrong = [name for name, verdict in verdicts.items() if not verdict.is_true]
    expected = []
    if status == fold.SATISFIED and (wrong or is_kept):
        expected = ["predicate.regressed"] * len(wrong)
    elif not wrong:
        expected = ["goal.satisfied"]

    found = standing.decide(status, goal(), verdicts, HEAD, is_kept=is_kept)

    assert [kind for kind, _ in found] == expected
    assert [data["predicate"] for _, data in found if "predicate" in data] == (
        wrong if status == fold.SATISFIED else []
    )


def test_what_is_true_of_something_else_is_proved_anew(world: World) -> None:
    standing.declare(world, goal())
    put(world, A)
    first = standing.prove(world, "one").proof
    put(world, A, b"another")
    second = standing.prove(world, "one")
    third = standing.prove(world, "one")

    assert second.status == fold.SATISFIED
    assert second.proof not in (None, first)
    assert third.proof == second.proof
    assert types(world).count("goal.satisfied") == 2
    assert "predicate.regressed" not in types(world)
    kept = world.ledger.artifact("/goals/one/proof.json")
    assert kept is not None
    assert kept.cid == second.proof


def test_a_goal_and_its_proof_cannot_be_taken_away(world: World) -> None:
    standing.declare(world, goal())
    put(world, A)
    standing.prove(world, "one")
    before = types(world)

    for name in ("goal.json", "proof.json"):
        with pytest.raises(ContractError) as caught:
            intake.remove(world, f"/goals/one/{name}")
        assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", "path_bad_prefix")

    assert types(world) == before


def test_a_proof_is_the_same_whatever_else_happens_in_the_world(world: World) -> None:
    standing.declare(world, goal())
    put(world, A)
    first = standing.prove(world, "one").proof
    remove(world, A)
    assert standing.prove(world, "one").status == fold.REOPENED
    put(world, "/artifacts/elsewhere")
    put(world, A, b"another")

    again = standing.prove(world, "one")

    assert again.status == fold.SATISFIED
    assert again.proof not in (None, first)
    put(world, "/artifacts/elsewhere", b"new")
    with snapshot.of(world) as seen:
        verdicts = {stated.name: judging.judge(stated, seen) for stated in goal().proving}
    assert digests.of_bytes(standing.proof_of(goal(), verdicts)) == again.proof
    assert standing.prove(world, "one").proof == again.proof


def test_goals_that_would_rest_on_each_other_are_refused(world: World) -> None:
    standing.declare(world, goal("one", A, rests_on("two")))
    standing.declare(world, goal("two", A, rests_on("three")))

    with pytest.raises(ContractError) as caught:
        standing.declare(world, goal("three", A, rests_on("one")))

    assert reason(caught) == "goal_cycle"
    assert types(world) == ["goal.declared"] * 2
    assert standing.declare(world, goal("three"))


def test_a_goal_that_the_world_does_not_have_is_told(world: World) -> None:
    for asked in (standing.find, standing.prove):
        with pytest.raises(ContractError) as caught:
            asked(world, "one")
        assert reason(caught) == "unknown_goal"


def declare_with_meddling(
    world: World, monkeypatch: pytest.MonkeyPatch, meddle: Callable[[World], object]
) -> list[int]:
    """Declare a goal at whose first judgement something else happens; return the looks at it."""
    looks: list[int] = []

    def judge(_: object, view: View) -> tuple[bool, dict[str, Json]]:
        found = view.artifact(A)
        looks.append(1)
        if len(looks) == 1:
            with World(world.ledger.folder, make=False) as other:
                meddle(other)
        return found is not None, {}

    arguments = {"type": "object", "required": [], "properties": {}}
    own = known.own("own.meddle", {"summary": "", "args": arguments, "paths": [], "judge": judge})
    monkeypatch.setitem(known.OWN, "own.meddle", own)
    standing.declare(world, goal("one", A, "  - {name: meddle, predicate: own.meddle}"))
    put(world, A)
    return looks


def test_verdicts_of_a_moment_that_is_gone_are_judged_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process takes the artifact away between the look and the writing."""
    looks = declare_with_meddling(world, monkeypatch, lambda other: remove(other, A))

    found = standing.prove(world, "one")

    assert found.status == fold.UNPROVED
    assert len(looks) == 2
    assert types(world) == ["goal.declared"]


def test_what_another_loop_has_just_proved_is_not_proved_once_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = declare_with_meddling(world, monkeypatch, lambda other: standing.prove(other, "one"))

    found = standing.prove(world, "one")

    assert found.status == fold.SATISFIED
    assert len(looks) == 2
    assert types(world) == ["goal.declared", "goal.satisfied"]


def test_what_was_written_elsewhere_meanwhile_changes_nothing(world: World) -> None:
    standing.declare(world, goal())
    put(world, A)
    with snapshot.of(world) as seen:
        verdicts = {"there": judging.judge(goal().proving[0], seen)}
        head = seen.head
    put(world, "/artifacts/elsewhere")

    assert judging.stands(verdicts["there"], snapshot.held(world))
    assert world.ledger.head().hash != head.hash
    remove(world, A)
    assert not judging.stands(verdicts["there"], snapshot.held(world))


def test_bytes_that_are_not_those_that_were_stored_are_found_on_request(world: World) -> None:
    standing.declare(world, goal())
    put(world, A)
    found = world.ledger.artifact(A)
    assert found is not None
    place = Path(world.objects.path(found.cid))
    place.chmod(0o644)
    place.write_bytes(b"y")

    assert standing.prove(world, "one").status == fold.SATISFIED
    verified = standing.prove(world, "one", verify=True)

    assert (verified.status, verified.verdicts["there"].value) == (fold.REOPENED, "error")


def test_a_ledger_is_intact_until_its_file_is_changed(world: World) -> None:
    """Goal and proof lie in the same ledger that is judged."""
    standing.declare(world, goal("one", A, "  - {name: history, predicate: ledger.intact}"))
    put(world, A)

    assert standing.prove(world, "one").status == fold.SATISFIED
    assert standing.prove(world, "one").status == fold.SATISFIED
    world.ledger.file.connection.execute("UPDATE artifacts SET mime = 'x' WHERE path = ?", [A])
    found = standing.prove(world, "one")
    assert (found.status, found.verdicts["history"].value) == (fold.REOPENED, "false")
