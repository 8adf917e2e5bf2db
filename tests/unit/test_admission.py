"""Admission: what each check says, in which order, and that every knob of the policy counts."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from orchestrator import lanes
from orchestrator.loop import admission, policy, settlement
from orchestrator.loop.admission import Verdict
from orchestrator.loop.checks import CHECKS, REASONS
from orchestrator.loop.policy import Policy
from orchestrator.loop.proposal import Found, Proposal, State
from orchestrator.world import facts
from orchestrator.world.chain import Head
from orchestrator.world.commitments import Budget, Lease, Transition
from processors.protocol import refs, shapes
from processors.protocol.canonical import Json
from tests.fixtures import lives

NOW = policy.current()
PLAN, PIN, CID, OTHER = (lives.cid(name) for name in ("plan", "pin", "content", "other"))
PREFIX, SOURCE = "/artifacts/text/a/", "/artifacts/raw/a.pdf"
HEAD = Head(7, lives.cid("head"))
QUESTION: dict[str, Json] = {
    "lane": "dev",
    "adapter": "local",
    "mode": "mock",
    "override": False,
    "secrets": False,
    "registry_root": False,
    "allow_real": False,
}


def proposal(**changes: Any) -> Proposal:
    """A proposal that nothing is against."""
    members: dict[str, Any] = {
        "goal": "digest",
        "plan": PLAN,
        "head": HEAD,
        "step": "s1",
        "writes": (PREFIX,),
        "reads": {SOURCE: CID},
        "ask_micro_usd": 5,
        "question": QUESTION,
        "endpoints": False,
        "pin": None,
        "secrets": (),
    }
    return Proposal(**{**members, **changes})


def state(**changes: Any) -> State:
    """A state in which nothing is against it."""
    members: dict[str, Any] = {
        "head": Head(9, lives.cid("now")),
        "head_known": True,
        "accepted": True,
        "earlier": None,
        "attempts": 0,
        "errors": 0,
        "retry": None,
        "fence": 3,
        "reads": {SOURCE: Found(CID, None)},
        "written": None,
        "leases": (),
        "budget": Budget("digest", 10, 2, 3),
        "secrets": (),
        "predicates": (("raw.there", "true"),),
    }
    return State(**{**members, **changes})


def asked(**changes: Json) -> dict[str, Json]:
    """What the lane table is asked, with changes."""
    return {**QUESTION, **changes}


def decide(wanted: dict[str, object], found: dict[str, object], by: Policy = NOW) -> Verdict:
    """Judge a proposal that differs in some members, in a state that does."""
    return admission.admit(proposal(**wanted), state(**found), by)


def lease(prefix: str) -> Lease:
    """A lease of somebody else."""
    return Lease(prefix, 3, "t-other")


def test_what_nothing_is_against_is_admitted_with_every_verdict_and_a_new_fence() -> None:
    verdict = decide({}, {})

    assert verdict.admitted
    assert verdict.fact is not None
    kind, data = verdict.fact
    assert kind == "transition.admitted"
    assert facts.problem(kind, 1, data) is None
    assert (data["fence"], data["reserve_micro_usd"], data["attempt"]) == (4, 5, 1)
    assert [each.check for each in verdict.made] == list(CHECKS)
    assert data["policy"] == NOW.version


CASES: list[tuple[str, str, dict[str, object], dict[str, object]]] = [
    ("plan", "plan_unknown", {}, {"accepted": None}),
    ("plan", "plan_rejected", {}, {"accepted": False}),
    ("lane", "lane_mode", {"question": asked(lane="pr", mode="real")}, {}),
    ("lane", "lane_adapter", {"question": asked(lane="main")}, {}),
    ("lane", "lane_allow_real", {"question": asked(allow_real=True)}, {}),
    ("pin", "no_pin", {"question": asked(adapter="modal")}, {}),
    ("secrets", "absent", {"question": asked(mode="real"), "secrets": ("A", "B")}, {}),
    ("attempts", "attempts_spent", {}, {"errors": 1, "retry": "never"}),
    ("attempts", "attempts_spent", {}, {"errors": 2, "retry": "once"}),
    ("attempts", "attempts_spent", {}, {"errors": 3, "retry": "bounded"}),
    ("fresh", "plan_foreign", {}, {"head_known": False}),
    ("fresh", "plan_stale", {}, {"reads": {SOURCE: Found(OTHER, None)}}),
    ("fresh", "plan_stale", {}, {"reads": {SOURCE: Found(None, None)}}),
    ("fresh", "plan_stale", {"reads": {SOURCE: None}}, {}),
    ("fresh", "plan_stale", {"reads": {SOURCE: None}}, {"reads": {SOURCE: Found(CID, OTHER)}}),
    ("fresh", "plan_stale", {"reads": {SOURCE: None}}, {"reads": {SOURCE: Found(None, None)}}),
    ("fresh", "plan_stale", {}, {"written": 8}),
    ("predicates", "predicate_false", {}, {"predicates": (("a", "error"), ("b", "false"))}),
    ("predicates", "predicate_error", {}, {"predicates": (("a", "true"), ("b", "error"))}),
    ("lease", "lease_held", {}, {"leases": (lease(PREFIX),)}),
    ("lease", "lease_held", {}, {"leases": (lease("/artifacts/text/"),)}),
    ("lease", "lease_held", {}, {"leases": (lease(PREFIX + "in/"),)}),
    ("lease", "writes_overlap", {"writes": (PREFIX, PREFIX + "in/")}, {}),
    ("budget", "no_budget", {}, {"budget": None}),
    ("budget", "over_budget", {"ask_micro_usd": 6}, {}),
]


@pytest.mark.parametrize(("check", "reason", "wanted", "found"), CASES)
def test_a_check_refuses_alone_and_the_refusal_is_a_fact(
    check: str, reason: str, wanted: dict[str, object], found: dict[str, object]
) -> None:
    verdict = decide(wanted, found)

    assert (verdict.admitted, verdict.reason) == (False, reason)
    assert [each.check for each in verdict.made if each.reason == reason] == [check]
    assert verdict.fact is not None
    kind, data = verdict.fact
    assert kind == "transition.refused"
    assert facts.problem(kind, 1, data) is None
    assert data["reason"] == reason


GOOD: list[tuple[dict[str, object], dict[str, object]]] = [
    ({"question": asked(adapter="modal"), "pin": PIN}, {}),
    ({"question": asked(adapter="modal", override=True)}, {}),
    ({"secrets": ("A",)}, {}),
    ({"question": asked(mode="real"), "secrets": ("A",)}, {"secrets": ("A", "B")}),
    ({"question": asked(mode="real"), "endpoints": True}, {}),
    ({}, {"errors": 1, "retry": "once"}),
    ({}, {"errors": 2, "retry": "bounded"}),
    ({"reads": {SOURCE: None}}, {"reads": {SOURCE: Found(CID, PLAN)}}),
    ({}, {"written": 7}),
    ({}, {"leases": (lease("/artifacts/text/a-/"), lease("/artifacts/text/b/"))}),
    ({"ask_micro_usd": 0}, {"budget": Budget("digest", 5, 2, 3)}),
    ({"writes": ("/artifacts/a-/", "/artifacts/a/")}, {}),
]


@pytest.mark.parametrize(("wanted", "found"), GOOD)
def test_a_check_lets_through_what_it_should(
    wanted: dict[str, object], found: dict[str, object]
) -> None:
    assert decide(wanted, found).reason is None


def test_every_check_is_made_after_one_that_refuses_and_the_first_gives_the_reason() -> None:
    verdict = decide({"ask_micro_usd": 6}, {"accepted": None, "leases": (lease(PREFIX),)})

    assert verdict.reason == "plan_unknown"
    assert [each.reason for each in verdict.made if each.reason] == [
        "plan_unknown",
        "lease_held",
        "over_budget",
    ]


def test_every_reason_is_given_by_a_case() -> None:
    own = {reason for _, reason, _, _ in CASES if not reason.startswith("lane_")}
    assert own | {"lane_egress"} == set(REASONS)


def test_a_check_decides_by_its_recorded_inputs_which_have_its_shape() -> None:
    for _, reason, wanted, found in CASES:
        verdict = decide(wanted, found)
        for each in verdict.made:
            assert shapes.problem(each.inputs, CHECKS[each.check].shape, each.check) is None
            assert CHECKS[each.check].judge(copy.deepcopy(each.inputs)) == each.reason
        assert reason in {each.reason for each in verdict.made}


def test_what_has_succeeded_is_a_no_op_that_names_the_earlier_attempt() -> None:
    done = Transition("t-1", "digest", PLAN, "s1", 1, "settled", 1, 5, 2, "success", 4, 6)

    verdict = decide({}, {"earlier": done, "accepted": False})

    assert (verdict.admitted, verdict.fact, verdict.earlier) == (False, None, done)


def test_an_execution_is_named_by_goal_prefix_and_attempt_alone() -> None:
    name = admission.execution_id("digest", PREFIX, 1)

    assert refs.is_execution_id(name)
    assert name == admission.execution_id("digest", PREFIX, 1)
    others = {
        admission.execution_id(goal, prefix, attempt)
        for goal in ("digest", "dig")
        for prefix in (PREFIX, "/artifacts/text/b/")
        for attempt in (1, 2, 2**53 - 1)
    }
    assert len(others) == 12
    assert all(map(refs.is_execution_id, others))


def changed(knob: str) -> Policy:
    """The policy of this program, but for one knob."""
    rows = copy.deepcopy({lane: dict(row) for lane, row in NOW.lanes.items()})
    attempts = dict(NOW.attempts_max)
    if knob in attempts:
        attempts[knob] += 1
    else:
        rows["dev"][knob] = OTHERWISE[knob]
    return Policy(rows, attempts)


# What each column of the lane table says instead.
OTHERWISE: dict[str, Json] = {
    "artifacts": "pinned",
    "adapters": ["modal"],
    "modes": ["mock"],
    "egress": False,
    "override": False,
    "secrets": False,
    "registry_root": False,
    "real": "confirmed",
}
# Knob → a proposal and a state that this policy and the changed one judge differently.
KNOBS: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "artifacts": ({"question": asked(adapter="modal", override=True)}, {}),
    "adapters": ({}, {}),
    "modes": ({"question": asked(mode="real")}, {}),
    "egress": ({"question": asked(mode="real"), "endpoints": True}, {}),
    "override": ({"question": asked(adapter="modal", override=True)}, {}),
    "secrets": ({"question": asked(mode="real", secrets=True)}, {}),
    "registry_root": ({"question": asked(registry_root=True)}, {}),
    "real": ({"question": asked(mode="real")}, {}),
    "never": ({}, {"errors": 1, "retry": "never"}),
    "once": ({}, {"errors": 2, "retry": "once"}),
    "bounded": ({}, {"errors": 3, "retry": "bounded"}),
}


@pytest.mark.proves("F-9")
@pytest.mark.parametrize("knob", KNOBS)
def test_each_knob_of_the_policy_changes_a_verdict_and_the_version(knob: str) -> None:
    other = changed(knob)
    here, there = decide(*KNOBS[knob]), decide(*KNOBS[knob], other)

    assert here.admitted != there.admitted
    assert other.version != NOW.version


@pytest.mark.proves("F-9")
def test_every_knob_of_the_policy_has_such_a_pair() -> None:
    document = NOW.document()
    rows, attempts = document["lanes"], document["attempts_max"]
    assert isinstance(rows, dict)
    assert isinstance(attempts, dict)
    columns = {column for row in rows.values() if isinstance(row, dict) for column in row}

    assert document.keys() == {"lanes", "attempts_max"}
    assert columns | attempts.keys() == KNOBS.keys()
    assert rows == lanes.document()


@pytest.mark.parametrize(
    ("reserve", "free", "cost", "spent"),
    [(5, 3, 2, 2), (5, 3, 5, 5), (5, 3, 7, 7), (5, 3, 9, 8), (5, 3, None, 5), (0, 0, 4, 0)],
)
def test_a_cost_is_paid_from_the_reserve_and_beyond_it_as_far_as_the_budget_goes(
    reserve: int, free: int, cost: int | None, spent: int
) -> None:
    assert settlement.spent_micro_usd(reserve, free, cost) == spent
    held = Transition("t-1", "digest", PLAN, "s1", 1, "executing", 4, reserve, None, None, 4, None)
    budget = Budget("digest", reserve + free, reserve, 0)

    done = settlement.settled(
        held, budget, cost, error=None, effects=["/artifacts/b", "/artifacts/a"]
    )
    failed = settlement.settled(held, budget, cost, error=("ERR_INPUTS", "no_text"), effects=["/a"])
    gone = settlement.abandoned(held, budget)

    assert done["effects"] == ["/artifacts/a", "/artifacts/b"]
    assert gone["spent_micro_usd"] == reserve
    for data in (done, failed, gone):
        assert facts.problem("transition.settled", 1, data) is None
        assert data["refunded_micro_usd"] == max(0, reserve - int(str(data["spent_micro_usd"])))
