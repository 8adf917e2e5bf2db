"""The loop in small, exhaustively: two proposers, three steps, a crash of each at every step.

Every interleaving is walked over a ledger in memory that is otherwise the product's own, with its
admission, its fold and its statements. A move is one durable transaction, or a crash; one inside of
a transaction is one before it, since SQLite leaves nothing of it. Two ways that lead to the same
state are followed once; refusals are receipts and no part of a state.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from orchestrator.loop import readmit
from orchestrator.world import commitments
from orchestrator.world.chain import Head
from orchestrator.world.ledger import Ledger
from orchestrator.world.projections import TABLES, IllegalMoveError
from tests.fixtures import loops
from tests.fixtures.lives import abandoned, put, story
from tests.fixtures.loops import RETRIED, Step
from tests.simulators.memory_ledger import MemoryLedger

STEPS = (
    Step("/artifacts/a/"),
    Step("/artifacts/b/"),
    Step("/artifacts/c/", reads=("/artifacts/a/",)),
)
COST = 1
CRASHES = 1  # of each proposer
# Two attempts are lost with their reserves and one fails; then there is just enough for the last
# step, so that who still holds a reserve is in the way of the other.
LIMIT = 2 * 2 + COST + 2 * COST + 2


_SETTLED = """\
SELECT json_extract(CAST(body AS TEXT), '$.data.execution_id') FROM events
  WHERE json_extract(CAST(body AS TEXT), '$.type') = 'transition.settled'"""


def tables(ledger: Ledger) -> list[list[tuple[object, ...]]]:
    """The projections, row by row."""
    select = ledger.file.select
    return [list(select(f"SELECT * FROM {table} ORDER BY 1")) for table in TABLES]  # noqa: S608


class Proposer(NamedTuple):
    """What a process knows besides the ledger, and loses when it is killed."""

    alive: bool = True
    holds: str | None = None  # the execution that it runs
    crashes: int = CRASHES


class State(NamedTuple):
    """All processes, and how many errors may still happen."""

    proposers: tuple[Proposer, Proposer] = (Proposer(), Proposer())
    errors: int = 1


class Model:
    """The ledger, and the walk over everything that can happen."""

    def __init__(self, ledger: MemoryLedger) -> None:
        self.ledger = ledger
        loops.limit(self.ledger, LIMIT)
        self.head: Head = loops.plan(self.ledger)
        self.seen: set[object] = set()
        self.ends: set[object] = set()
        self.refusals: set[str | None] = set()

    def walk(self) -> None:
        """Visit every state that can be reached."""
        first = self.key(State())
        open_ = [(State(), first, self.ledger.copy())]
        self.seen.add(first)
        while open_:
            state, own, copied = open_.pop()
            ends = True
            self.ledger.put_back(copied)
            for move in list(self.moves(state)):
                after = self.make(state, *move)
                key = self.key(after)
                ends &= key == own
                if key not in self.seen:
                    self.seen.add(key)
                    self.judge(after)
                    open_.append((after, key, self.ledger.copy()))
                self.ledger.put_back(copied)
            if ends:
                self.judge_end(state)

    def moves(self, state: State) -> Iterator[tuple[int, str, int]]:
        """Everything that may happen next: who, what, and which step."""
        orphans = list(self.orphans(state))
        for who, proposer in enumerate(state.proposers):
            if not proposer.alive:
                yield who, "restart", 0
                continue
            if proposer.crashes:
                yield who, "crash", 0
            if orphans:
                yield who, "recover", 0
            if proposer.holds is None:
                yield from ((who, "propose", step) for step in range(len(STEPS)))
                continue
            yield who, "succeed", 0
            if state.errors:
                yield who, "fail", 0

    def orphans(self, state: State) -> Iterator[str]:
        """The executions whose process is gone."""
        held = {each.holds for each in state.proposers}
        return (
            each.execution_id
            for each in commitments.live(self.ledger)
            if each.execution_id not in held
        )

    def make(self, state: State, who: int, what: str, step: int) -> State:
        """Make a move."""
        own, errors = state.proposers[who], state.errors
        if what == "crash":
            own = Proposer(alive=False, crashes=own.crashes - 1)
        elif what == "restart":
            own = own._replace(alive=True)
        elif what == "recover":
            for name in list(self.orphans(state)):
                loops.abandon(self.ledger, name)
                self.check_fenced(name)
        elif what == "propose":
            verdict = loops.propose(self.ledger, loops.proposal(STEPS[step], self.head))
            self.refusals.add(verdict.reason)
            assert (verdict.earlier is not None) == self.has_succeeded(STEPS[step])
            if verdict.admitted and verdict.fact is not None:
                own = own._replace(holds=str(verdict.fact[1]["execution_id"]))
        else:
            assert own.holds is not None
            loops.settle(self.ledger, own.holds, COST, None if what == "succeed" else RETRIED)
            own = own._replace(holds=None)
            errors -= what == "fail"
        one, other = state.proposers
        return State((own, other) if who == 0 else (one, own), errors)

    def has_succeeded(self, step: Step) -> bool:
        """Whether proposing a step again is a no-op."""
        attempts = commitments.of_step(self.ledger, loops.GOAL, f"make {step.prefix}")
        return "success" in [each.outcome for each in attempts]

    def check_fenced(self, name: str) -> None:
        """Who was given up settles nothing any more, whatever it still believes."""
        held = commitments.transition(self.ledger, name)
        assert held is not None
        with pytest.raises(IllegalMoveError):
            loops.finish(self.ledger, name, held.fence, COST)

    def key(self, state: State) -> object:
        """A state, but for the numbers of events."""
        select = self.ledger.file.select
        return (
            state,
            tuple(select("SELECT execution_id, status, outcome FROM transitions ORDER BY 1")),
            tuple(select("SELECT prefix, execution_id FROM leases ORDER BY 1")),
            tuple(select("SELECT * FROM budgets")),
            tuple(select("SELECT path, cid FROM artifacts ORDER BY 1")),
        )

    def judge(self, state: State) -> None:
        """What holds in every state."""
        assert loops.problem(self.ledger) is None
        held = [each.holds for each in state.proposers if each.holds is not None]
        live = {each.execution_id for each in commitments.live(self.ledger)}
        assert len(set(held)) == len(held)
        assert set(held) <= live
        settled = [row[0] for row in self.ledger.file.select(_SETTLED)]
        assert len(set(settled)) == len(settled)

    def judge_end(self, state: State) -> None:
        """What holds where nothing more can happen: everything is done, once, and none is held."""
        spare = CRASHES * len(state.proposers) - sum(each.crashes for each in state.proposers)
        for step in STEPS:
            attempts = commitments.of_step(self.ledger, loops.GOAL, f"make {step.prefix}")
            assert [each.outcome for each in attempts].count("success") == 1
            assert attempts[-1].outcome == "success"
            assert len(attempts) <= 1 + spare + (1 - state.errors)
        assert list(commitments.leases(self.ledger)) == []
        budget = commitments.budget(self.ledger, loops.GOAL)
        assert budget is not None
        assert budget.reserved_micro_usd == 0
        made = self.ledger.artifacts("/artifacts/")
        self.ends.add(tuple((each.path, each.cid) for each in made if "/outputs" in each.path))
        before = tables(self.ledger)
        self.ledger.rebuild()
        assert tables(self.ledger) == before
        readmit.readmit(self.ledger.events(), loops.POLICY)


def test_a_ledger_in_memory_is_the_real_one_but_for_the_file() -> None:
    known = []
    with tempfile.TemporaryDirectory() as folder:
        for ledger in (MemoryLedger(), Ledger(folder, make=True)):
            with ledger:
                with ledger.writing() as transaction:
                    for fact in story(60):
                        transaction.append(*fact)
                with pytest.raises(IllegalMoveError), ledger.writing() as transaction:
                    transaction.append(*abandoned("e-1"))
                known.append(tables(ledger))
    assert known[0] == known[1]


def test_a_copy_is_put_back_whole_whatever_was_asked_before() -> None:
    with MemoryLedger() as ledger:
        copies = []
        for count in (1, 9, 20):
            copies.append((ledger.copy(), tables(ledger)))
            with ledger.writing() as transaction:
                for at in range(count):
                    transaction.append(*put(f"/artifacts/{count}/{at}"))

        for copied, known in reversed(copies):
            ledger.put_back(copied)
            assert tables(ledger) == known
            with ledger.writing() as transaction:
                transaction.append(*put("/artifacts/other"))
            assert tables(ledger) != known


@pytest.mark.proves("WL-2", "WL-8", "WL-9", "WL-10", "WL-11", "F-9", "F-10")
def test_every_interleaving_with_every_crash_keeps_the_rules_and_comes_to_the_same_end() -> None:
    with MemoryLedger() as ledger:
        model = Model(ledger)

        model.walk()

    assert len(model.ends) == 1
    assert model.refusals == {None, "plan_stale", "lease_held", "over_budget"}
