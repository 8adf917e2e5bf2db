"""Two kills, at every two operations on the ledger: the goal still comes to the same end.

A goal of three steps is driven over a ledger in memory that is otherwise the product's own, with
its admission, its fold and its statements. Each begin of a transaction, each append and each commit
is an operation; a kill comes right before it or right after it. What is known besides the ledger is
lost, and whoever comes next gives up what nobody holds and goes on. From every ledger that a first
kill can leave (the hash of its head names it), there is a second kill at every operation that
follows, and a third run to the end.
"""

from __future__ import annotations

import itertools
import sys

import pytest

from orchestrator.cli import (
    achieve,
    build_processor,
    explain,
    ledger,
    pin_processor,
    plan,
    push_processor,
    run_processor,
    world,
)
from orchestrator.loop import readmit
from orchestrator.world import commitments
from orchestrator.world.chain import Event, Head
from orchestrator.world.ledger import Writing
from orchestrator.world.projections import TABLES
from processors.protocol.canonical import Json
from tests.fixtures import lives, loops
from tests.fixtures.loops import GOAL, Step
from tests.simulators.memory_ledger import MemoryLedger

STEPS = (
    Step("/artifacts/a/"),
    Step("/artifacts/b/", reads=("/artifacts/a/",)),
    Step("/artifacts/c/", reads=("/artifacts/b/",)),
)
COST = 1
KILLS = 2
LIMIT = KILLS * 2 + 3 * COST + 1  # each kill can cost a reserve of two


class Killed(BaseException):
    """The process is gone."""


class Doomed(MemoryLedger):
    """A ledger whose writer is killed at one moment; of a transaction it cuts nothing is left."""

    def __init__(self) -> None:
        super().__init__()
        self.at: int | None = None
        self.moments = 0

    def moment(self) -> None:
        """One moment to be killed at: before or after an operation."""
        self.moments += 1
        if self.moments - 1 == self.at:
            raise Killed

    def arm(self, at: int | None) -> None:
        """Be killed so many moments from now, or never."""
        self.at, self.moments = at, 0

    def writing(self) -> Writing:
        """See ``Ledger``."""
        return _Cut(self)


class _Cut(Writing):
    def __init__(self, ledger: Doomed) -> None:
        super().__init__(ledger.file, ledger.head, ledger._projections, ledger._clock)  # noqa: SLF001
        self._ledger = ledger

    def __enter__(self) -> _Cut:
        self._ledger.moment()
        super().__enter__()
        try:
            self._ledger.moment()
        except Killed:
            super().__exit__(*sys.exc_info())
            raise
        return self

    def append(self, type_: str, data: dict[str, Json]) -> Event:
        self._ledger.moment()
        event = super().append(type_, data)
        self._ledger.moment()
        return event

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._ledger.moment()
        except Killed:
            super().__exit__(*sys.exc_info())
            raise
        super().__exit__(kind, *rest)
        if kind is None:
            self._ledger.moment()


def drive(ledger: Doomed) -> None:
    """Bring the goal to its end, from whatever state the ledger is in."""
    for each in commitments.live(ledger):  # nobody holds what an earlier process began
        loops.abandon(ledger, each.execution_id)
    if ledger.goal(GOAL) is None:
        append(ledger, lives.declared(GOAL))
    if commitments.budget(ledger, GOAL) is None:
        loops.limit(ledger, LIMIT)
    known = commitments.plan(ledger, lives.PLAN)
    head = loops.plan(ledger) if known is None else Head(known.head_count, known.head_hash)
    for step in STEPS:
        verdict = loops.propose(ledger, loops.proposal(step, head))
        if verdict.earlier is None:
            assert verdict.admitted, verdict.reason
            assert verdict.fact is not None
            loops.settle(ledger, str(verdict.fact[1]["execution_id"]), COST)
    goal = ledger.goal(GOAL)
    assert goal is not None
    if goal.status != "satisfied":
        append(ledger, lives.satisfied(GOAL))


def append(ledger: Doomed, fact: lives.Fact) -> None:
    with ledger.writing() as transaction:
        transaction.append(*fact)


def kills(ledger: Doomed, start: bytes) -> tuple[dict[str, bytes], int]:
    """Every ledger that a kill can leave, by its head, and how many kills that took."""
    found: dict[str, bytes] = {}
    for at in itertools.count():
        ledger.put_back(start)
        ledger.arm(at)
        try:
            drive(ledger)
        except Killed:
            found[ledger.head().hash] = ledger.copy()
        else:
            return found, at
    raise AssertionError


def end(ledger: Doomed) -> object:
    """What the goal has come to, which has to be sound."""
    assert loops.problem(ledger) is None
    assert list(commitments.leases(ledger)) == []
    budget = commitments.budget(ledger, GOAL)
    assert budget is not None
    attempts = [commitments.of_step(ledger, GOAL, f"make {step.prefix}") for step in STEPS]
    outcomes = [[each.outcome for each in of_step] for of_step in attempts]
    assert [of_step.count("success") for of_step in outcomes] == [1] * len(STEPS)
    lost = sum(of_step.count("abandoned") for of_step in outcomes)
    assert sum(map(len, outcomes)) == len(STEPS) + lost
    assert lost <= KILLS
    assert budget.spent_micro_usd == COST * len(STEPS) + 2 * lost
    readmit.readmit(ledger.events(), loops.POLICY)
    before = tables(ledger)
    ledger.rebuild()
    assert tables(ledger) == before
    goal = ledger.goal(GOAL)
    assert goal is not None
    made = tuple((each.path, each.cid) for each in ledger.artifacts() if "/outputs" in each.path)
    return made, goal.status, goal.proof, budget.limit_micro_usd


def tables(ledger: Doomed) -> list[list[tuple[object, ...]]]:
    select = ledger.file.select
    return [list(select(f"SELECT * FROM {table} ORDER BY 1")) for table in TABLES]  # noqa: S608


@pytest.mark.proves("WL-12", "F-8")
def test_killed_twice_at_any_two_operations_a_goal_comes_to_the_same_end() -> None:
    with Doomed() as ledger:
        fresh = ledger.copy()
        drive(ledger)
        expected = end(ledger)
        firsts, count = kills(ledger, fresh)
        ends: dict[str, object] = {}
        pairs = 0
        for first in firsts.values():
            seconds, tried = kills(ledger, first)
            pairs += tried
            for second in seconds.values():
                ledger.put_back(second)
                ledger.arm(None)
                drive(ledger)
                ends[ledger.head().hash] = end(ledger)

    # Ten transactions with 28 events in all: their begins, appends and commits, twice each.
    assert (count, len(firsts), pairs) == (2 * (10 + 28 + 10), 11, 672)
    assert set(ends.values()) == {expected}


@pytest.mark.proves("F-8")
def test_nothing_has_to_be_unlocked_by_hand_and_nothing_can_be() -> None:
    alone = (
        *(achieve.command(""), build_processor.command(""), explain.COMMAND),
        *(pin_processor.command(""), plan.command(""), push_processor.command("")),
    )
    commands = (*alone, *world.COMMANDS, *ledger.COMMANDS)
    words = [command.name for command in commands]
    words += [flag.name for command in commands for flag in command.table]
    words += [flag.name for flag in run_processor.FLAGS]

    assert len(words) > 100
    for word in words:
        for forbidden in ("lock", "force", "steal", "release", "abandon", "lease", "recover"):
            assert forbidden not in word, word
