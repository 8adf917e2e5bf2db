"""Verdicts can be reached again from what was recorded, and whatever was altered is found."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.loop import readmit
from orchestrator.loop.checks import CHECKS
from orchestrator.loop.policy import Policy
from orchestrator.loop.readmit import Disagreement
from orchestrator.world import chain, facts
from orchestrator.world.chain import Event, Head
from processors.protocol import digests
from processors.protocol.canonical import Json
from tests.fixtures import loops
from tests.fixtures.lives import AT, judged
from tests.fixtures.loops import POLICY, Step
from tests.property.profile import searched
from tests.simulators.memory_ledger import MemoryLedger

type Fact = tuple[str, dict[str, Json]]
type Place = tuple[str | int, ...]

STEPS = [
    Step("/artifacts/a/"),
    Step("/artifacts/a/in/", ask=1),
    Step("/artifacts/b/", reads=("/artifacts/a/",)),
    Step("/artifacts/c/", ask=4),
]
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["propose", "succeed", "fail", "abandon", "limit"]), st.integers(0, 3)
    ),
    max_size=14,
)


def played(moves: list[tuple[str, int]]) -> list[Event]:
    """The events of a loop that has made these moves, as far as they could be made."""
    with MemoryLedger() as ledger:
        loops.limit(ledger, 6)
        head, running = loops.plan(ledger), list[str]()
        for what, at in moves:
            _play(ledger, head, running, what, at)
        return list(ledger.events())


def _play(ledger: MemoryLedger, head: Head, running: list[str], what: str, at: int) -> None:
    if what == "propose":
        verdict = loops.propose(ledger, loops.proposal(STEPS[at], head))
        if verdict.admitted and verdict.fact is not None:
            running.append(str(verdict.fact[1]["execution_id"]))
    elif what == "limit":
        loops.limit(ledger, 20 + at)
    elif running:
        name = running.pop(at % len(running))
        if what == "abandon":
            loops.abandon(ledger, name)
        else:
            loops.settle(ledger, name, at, None if what == "succeed" else loops.RETRIED)


def chained(facts_: list[Fact]) -> list[Event]:
    """A chain of its own of these facts."""
    events, head = [], chain.START
    for kind, data in facts_:
        events.append(chain.seal(head, kind, data, AT))
        head = Head(events[-1].seq, events[-1].hash)
    return events


@pytest.mark.proves("F-9", "WL-8")
@searched
@given(MOVES)
def test_whatever_a_loop_decides_is_decided_again_in_the_same_way(
    moves: list[tuple[str, int]],
) -> None:
    events = played(moves)

    tally = readmit.readmit(events, POLICY)

    counts = dict.fromkeys(facts.VERSIONS, 0)
    for event in events:
        counts[event.type] += 1
        if event.type in ("transition.admitted", "transition.refused"):
            verdicts = event.data["verdicts"]
            assert isinstance(verdicts, list)
            assert [each["check"] for each in verdicts if isinstance(each, dict)] == list(CHECKS)
    # Each step's own execution was judged by the lane table too.
    assert tally.admitted == counts["transition.admitted"] + counts["execution.admitted"]
    assert tally.refused == counts["transition.refused"] + counts["execution.refused"]


STORY = [
    *[("propose", 0), ("propose", 1), ("propose", 2), ("succeed", 1), ("propose", 2)],
    *[("propose", 3), ("fail", 0), ("propose", 2)],
]
# What a check looked at besides what the ledger says, and where another answer says the same.
FREE = {
    ("lane", "endpoints"),
    ("lane", "question"),
    ("secrets", "required"),
    ("secrets", "present"),
    ("fresh", "head"),
    ("fresh", "reads"),
    ("fresh", "written"),
    ("attempts", "retry"),
    ("pin", "pin"),
}


def leaves(value: Json, place: Place = ()) -> Iterator[tuple[Place, Json]]:
    """Every value that holds no other, and where it stands."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*place, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from leaves(item, (*place, at))
    else:
        yield place, value


def otherwise(value: Json) -> Json:
    """Another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if value is None:
        return "lane_mode"
    if str(value).startswith("sha256:"):
        return "sha256:" + "0" * 64
    return f"{value}z/" if str(value).endswith("/") else f"{value}x"


def altered(facts_: list[Fact], at: int, place: Place) -> list[Fact]:
    """The facts, with one leaf of one of them changed."""
    found = copy.deepcopy(facts_)
    inner: Any = found[at][1]
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = otherwise(inner[place[-1]])
    return found


def disagreement(events: list[Event]) -> int | None:
    """The event that is not decided as it was, or None."""
    try:
        readmit.readmit(events, POLICY)
    except Disagreement as found:
        return found.seq
    return None


@pytest.mark.proves("F-9")
def test_every_altered_verdict_and_everything_it_says_of_the_ledger_is_found() -> None:
    own = [(event.type, event.data) for event in played(STORY)]
    readmit.readmit(chained(own), POLICY)
    tried = 0
    for at, (kind, data) in enumerate(own):
        if not kind.startswith("transition.") or "verdicts" not in data:
            continue
        verdicts = data["verdicts"]
        assert isinstance(verdicts, list)
        for place, _ in leaves(verdicts, ("verdicts",)):
            verdict = verdicts[int(place[1])]
            assert isinstance(verdict, dict)
            free = (str(verdict["check"]), str(place[3]) if len(place) > 3 else "")
            if free in FREE or free == ("predicates", "truths"):
                continue
            tried += 1
            try:
                events = chained(altered(own, at, place))
            except ValueError:
                continue  # it is no fact any more, so that it could not have been written
            assert disagreement(events) == at + 1, place
    assert tried > 150


def test_a_fact_that_names_a_check_twice_or_not_at_all_disagrees() -> None:
    own = [(event.type, event.data) for event in played([("propose", 0)])]
    at = [kind for kind, _ in own].index("transition.admitted")
    verdicts = own[at][1]["verdicts"]
    assert isinstance(verdicts, list)

    for other in (verdicts[1:], verdicts[::-1], [verdicts[0], *verdicts]):
        changed = [*own]
        changed[at] = ("transition.admitted", {**own[at][1], "verdicts": other})
        with pytest.raises(Disagreement, match="checks are not those"):
            readmit.readmit(chained(changed), POLICY)


def test_what_was_made_by_another_policy_is_judged_by_that_one_and_counted() -> None:
    events = played([("propose", 0), ("propose", 3)])
    other = Policy(POLICY.lanes, {**POLICY.attempts_max, "bounded": 9})

    tally = readmit.readmit(events, other)

    assert tally.other_policy == 4  # each with the execution's own verdict, which is of no table


def test_a_lane_verdict_of_an_execution_by_itself_is_reached_again() -> None:
    own = [(event.type, event.data) for event in played([])]
    kind, data = judged("e-1", "lane_mode")
    policy = digests.of_json(dict(POLICY.lanes))
    question = {**loops.QUESTION, "mode": "real"}

    good = chained([*own, (kind, {**data, "policy": policy, "question": question})])
    bad = chained([*own, (kind, {**data, "policy": policy})])

    assert readmit.readmit(good, POLICY).refused == 1
    with pytest.raises(Disagreement, match="lane said lane_mode, and says yes now"):
        readmit.readmit(bad, POLICY)
    assert readmit.readmit(chained([*own, (kind, data)]), POLICY).other_policy == 1
