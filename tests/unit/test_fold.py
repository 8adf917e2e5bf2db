"""The fold: what each event changes, and which events may follow which."""

from __future__ import annotations

import pytest

from orchestrator.world import fold
from orchestrator.world.chain import Event
from orchestrator.world.facts import VERSIONS
from processors.protocol.canonical import canonical
from tests.fixtures import lives
from tests.fixtures.lives import AT, ONE_OF_EACH, Fact, cid

PREFIX = "/artifacts/one/"
SILENT = ("world.created", "execution.refused", "transition.refused")
MEMO_KEY = ONE_OF_EACH["execution.started"]["memo_key"]


def changes(fact: Fact, seq: int = 9) -> list[tuple[object, ...]]:
    """The changes of a fact, as plain tuples."""
    type_, data = fact
    event = Event(seq, type_, VERSIONS[type_], AT, data, canonical(data))
    return [(change.name, *change.values) for change in fold.changes(event)]


def put(path: str, of: object, mime: str = "application/json") -> tuple[object, ...]:
    """The change that puts a file of the fixtures."""
    return ("put", path, cid(of), len(path), mime, 9)


def test_a_worlds_creation_changes_nothing_that_is_known() -> None:
    assert changes(lives.CREATED) == []


def test_artifacts_come_and_go() -> None:
    assert changes(lives.put("/artifacts/a", "x")) == [put("/artifacts/a", "x", "text/plain")]
    assert changes(lives.removed("/artifacts/a")) == [("remove", "/artifacts/a")]


def test_a_request_is_an_execution_and_its_inputs() -> None:
    inputs = "/artifacts/execution/e-1/inputs.json"

    assert changes(lives.requested("e-1", PREFIX)) == [
        ("requested", "e-1", "doc/extract@1", cid(("intent", "e-1")), PREFIX, 9),
        put(inputs, inputs),
    ]


def test_a_verdict_admits_or_refuses() -> None:
    assert changes(lives.judged("e-1")) == [("admitted", "e-1")]
    assert changes(lives.judged("e-1", "lane_mode")) == []


def test_an_attempt_follows_the_one_before() -> None:
    assert changes(lives.started("e-1", 3)) == [
        ("started", 3, MEMO_KEY, 9, "e-1", 2),
        ("start", "e-1"),
    ]


def test_outputs_replace_everything_under_their_prefix() -> None:
    assert changes(lives.outputs("e-1", PREFIX)) == [
        ("outputs", 9, "e-1", 1),
        ("drop", PREFIX, "/artifacts/one0"),
        put(PREFIX + "outputs/000.txt", ("e-1", 0), "text/plain"),
        put(PREFIX + "outputs/001.txt", ("e-1", 1), "text/plain"),
        put(PREFIX + "outputs.json", "e-1"),
    ]


def test_receipts_are_put_and_a_supervisors_replace_what_was_there() -> None:
    copies = [
        put(PREFIX + "receipt.json", ("receipt", "e-1")),
        put("/artifacts/execution/e-1/determinism.json", ("receipt", "e-1")),
    ]

    assert changes(lives.receipts("e-1", PREFIX)) == [("receipts", 9, "e-1", 1), *copies]
    assert changes(lives.receipts("e-1", PREFIX, writer="supervisor")) == [
        ("receipts", 9, "e-1", 1),
        ("drop", PREFIX, "/artifacts/one0"),
        *copies,
    ]


@pytest.mark.parametrize(("reason", "status"), [(None, "success"), ("killed", "error")])
def test_settling_sets_the_status_and_puts_the_envelope(reason: str | None, status: str) -> None:
    envelope = "/artifacts/execution/e-1/envelope.json"

    assert changes(lives.settled("e-1", reason=reason)) == [
        ("settled", status, cid(envelope), 9, "e-1", 1, status),
        put(envelope, envelope),
    ]


def test_giving_up_names_the_attempt() -> None:
    assert changes(lives.abandoned("e-1", 2)) == [("abandoned", "e-1", 2)]


def test_a_reuse_names_its_origin_and_puts_the_same_contents() -> None:
    envelope = "/artifacts/execution/e-2/envelope.json"

    first, drop, *puts = changes(lives.reused("e-2", "/artifacts/two/", "e-1"))

    assert first == ("reused", MEMO_KEY, cid(envelope), 9, 9, "e-2", "e-1", MEMO_KEY)
    assert drop == ("drop", "/artifacts/two/", "/artifacts/two0")
    assert puts[0] == put("/artifacts/two/outputs/000.txt", ("e-1", 0), "text/plain")
    assert puts[-1] == put(envelope, envelope)


def test_a_goal_is_its_document_and_what_must_hold() -> None:
    document = put("/goals/digest/goal.json", ("digest", 1))
    changed = put("/goals/digest/goal.json", ("digest", 2))

    assert changes(lives.declared("digest")) == [
        ("goal.declared", "digest", cid(("digest", 1)), ",one,two,", 9),
        document,
    ]
    assert changes(lives.declared("digest", 2, replaces=1)) == [
        ("goal.changed", cid(("digest", 2)), ",one,two,", 9, "digest", cid(("digest", 1))),
        ("drop", "/goals/digest/", "/goals/digest0"),
        changed,
    ]


def test_a_goals_status_follows_from_what_was_proved() -> None:
    proof = "/goals/digest/proof.json"

    assert changes(lives.satisfied("digest")) == [
        ("goal.satisfied", cid(proof), 9, "digest", cid(("digest", 1)), ",one,two,"),
        put(proof, proof),
    ]
    regressed, (name, start, end) = changes(lives.regressed("digest"))
    assert regressed == ("predicate.regressed", 9, "digest", cid(("digest", 1)), ",two,")
    assert name == "drop"
    assert str(start) <= proof < str(end)
    assert not str(start) <= "/goals/digest/goal.json" < str(end)


def test_a_plan_is_known_and_its_document_put() -> None:
    document = str(lives.file(f"/plan/{lives.PLAN.removeprefix('sha256:')}.json")["path"])

    assert changes(lives.planned()) == [
        ("plan", lives.PLAN, "digest", 1, 1, cid("head"), 9),
        put(document, document),
    ]
    assert changes(lives.planned(problem="unjustified"))[0][3] == 0


def test_an_admitted_step_holds_its_write_set_and_its_reserve() -> None:
    assert changes(lives.allowed("t-1", PREFIX, 3, 2)) == [
        ("admit", "t-1", "digest", lives.PLAN, f"make {PREFIX}", 2, 3, 5, 9),
        ("lease", PREFIX, "/artifacts/one0", 3, "t-1"),
        ("reserve", "digest", 5),
    ]
    assert changes(lives.stopped("t-1", PREFIX)) == []


@pytest.mark.parametrize(
    ("outcome", "event"), [("success", "settle"), ("error", "settle"), ("abandoned", "abandon")]
)
def test_a_step_that_ended_gives_back_its_lease_and_the_rest(outcome: str, event: str) -> None:
    assert changes(lives.ended("t-1", 3, outcome)) == [
        (event, "t-1", 3, outcome, 2, 3, 9),
        ("release", "t-1"),
        ("pay", "t-1", 2),
    ]


def test_a_budget_is_a_limit() -> None:
    assert changes(lives.budget(7)) == [("limit", "digest", 7)]


def test_every_event_has_its_changes() -> None:
    for type_, data in ONE_OF_EACH.items():
        told = type_ in SILENT or type_.startswith(("image.", "deployment.", "secrets."))
        assert bool(changes((type_, data))) != told


def test_everything_under_a_folder_and_nothing_else_is_between_its_ends() -> None:
    end = fold.prefix_end("/artifacts/a/")

    for inside in (
        "/artifacts/a/",
        "/artifacts/a/!",
        "/artifacts/a/\U0010ffff",
        "/artifacts/a/b/c",
    ):
        assert "/artifacts/a/" <= inside < end
    for outside in ("/artifacts/a", "/artifacts/a!", "/artifacts/a.b/c", "/artifacts/a0", "/b"):
        assert not "/artifacts/a/" <= outside < end


def test_the_moves_are_these() -> None:
    assert fold.MOVES == {
        "execution.admitted": ("requested", "abandoned"),
        "execution.started": ("requested", "abandoned"),
        "execution.outputs": ("running",),
        "execution.receipts": ("running",),
        "execution.settled": ("requested", "running"),
        "execution.abandoned": ("running",),
        "execution.reused": ("requested",),
    }
    assert fold.GOAL_MOVES == {
        "goal.changed": ("unproved", "satisfied", "reopened"),
        "goal.satisfied": ("unproved", "satisfied", "reopened"),
        "predicate.regressed": ("satisfied", "reopened"),
    }
    assert {word for words in fold.MOVES.values() for word in words} < set(fold.STATUSES)
