"""Leases and budgets against a model: whatever facts come, in whatever order, from two processes.

The facts are not those that admission would write. The ledger alone has to keep the rules: who
forgets to ask, asks twice, or comes back after it was given up, is refused where it appends.
"""

from __future__ import annotations

import itertools
import shutil
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from orchestrator.loop import transitions
from orchestrator.loop.transitions import EVENTS, MOVES
from orchestrator.world import audit, commitments
from orchestrator.world.ledger import Ledger
from orchestrator.world.projections import IllegalMoveError
from tests.fixtures import lives, loops
from tests.fixtures.lives import AT, Fact
from tests.property.profile import searched
from tests.simulators.memory_ledger import MemoryLedger

PREFIXES = (
    *("/artifacts/a/", "/artifacts/a/b/", "/artifacts/a-/", "/artifacts/ab/"),
    *("/artifacts/a/b/c/", "/artifacts/\U0001f600/", "/artifacts/\uff21/"),
)
AMOUNTS = st.integers(0, 9)


def overlap(one: str, other: str) -> bool:
    """Whether one folder is the other or lies in it, by segments."""
    mine, theirs = one.strip("/").split("/"), other.strip("/").split("/")
    shorter = min(len(mine), len(theirs))
    return mine[:shorter] == theirs[:shorter]


class Held:
    """A transition of the model."""

    def __init__(self, prefix: str, fence: int, reserve: int) -> None:
        self.prefix = prefix
        self.fence = fence
        self.reserve = reserve
        self.live = True


class CommitmentsMachine(RuleBasedStateMachine):
    """Two handles of one world, and what is held and spent in it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.handles = [Ledger(self.folder, make=True, clock=lambda: AT) for _ in range(2)]
        self.append(0, [lives.planned()])
        self.limit: int | None = None
        self.spent = 0
        self.fence = 0
        self.attempts: dict[str, int] = {}
        self.held: dict[str, Held] = {}

    def teardown(self) -> None:
        """Leave nothing behind."""
        for handle in self.handles:
            handle.close()
        shutil.rmtree(self.folder)

    def append(self, which: int, facts: list[Fact], *, crash: bool = False) -> bool:
        """One transaction; say whether it was taken. A crash is what nothing is left of."""
        try:
            with self.handles[which].writing() as transaction:
                for fact in facts:
                    transaction.append(*fact)
                if crash:
                    raise ZeroDivisionError
        except (IllegalMoveError, ZeroDivisionError):
            return False
        return True

    @property
    def reserved(self) -> int:
        """Of everything that is live."""
        return sum(each.reserve for each in self.held.values() if each.live)

    @initialize(limit=st.sampled_from([None, 20, 40]))
    def begin(self, limit: int | None) -> None:
        """Most worlds have a budget that lets something run."""
        if limit is not None:
            self.budget(0, limit)

    @rule(which=st.integers(0, 1), limit=st.integers(0, 30))
    def budget(self, which: int, limit: int) -> None:
        """A limit is never less than what is reserved and spent."""
        allowed = self.reserved + self.spent <= limit
        assert self.append(which, [lives.budget(limit)]) == allowed
        self.limit = limit if allowed else self.limit

    @rule(
        which=st.integers(0, 1),
        prefix=st.sampled_from(PREFIXES),
        reserve=AMOUNTS,
        ahead=st.sampled_from([1, 1, 1, 1, 3, 0, -1]),
        crash=st.sampled_from([False, False, False, True]),
    )
    def admit(self, which: int, prefix: str, reserve: int, ahead: int, *, crash: bool) -> None:
        """A newer fence, a free write set and a free part of the budget, or nothing."""
        attempt, fence = self.attempts.get(prefix, 0) + 1, max(1, self.fence + ahead)
        name = f"t-{PREFIXES.index(prefix)}-{attempt}"
        taken = self.append(
            which,
            [
                lives.allowed(name, prefix, fence, attempt, reserve),
                *(lives.requested(name, prefix), lives.judged(name), lives.started(name)),
            ],
            crash=crash,
        )
        free = not any(each.live and overlap(prefix, each.prefix) for each in self.held.values())
        paid = self.limit is not None and self.reserved + self.spent + reserve <= self.limit
        assert taken == (free and paid and fence > self.fence and not crash)
        if taken:
            self.attempts[prefix], self.fence = attempt, fence
            self.held[name] = Held(prefix, fence, reserve)

    @rule(
        which=st.integers(0, 1),
        at=st.integers(0, 99),
        spent=AMOUNTS,
        outcome=st.sampled_from(["error", "abandoned"]),
        off=st.sampled_from([0, 0, 0, 1, -1]),
        wrong=st.sampled_from([0, 0, 0, 1]),
    )
    def settle(self, which: int, at: int, spent: int, outcome: str, off: int, wrong: int) -> None:
        """Any holder, also one that has ended; by its own fence or another; refunded or not."""
        if not self.held:
            return
        name = sorted(self.held)[at % len(self.held)]
        held = self.held[name]
        fence = max(1, held.fence + off)
        fact, data = lives.ended(name, fence, outcome, spent, held.reserve)
        data["refunded_micro_usd"] = max(0, held.reserve - spent) + wrong
        end = lives.abandoned(name)
        if outcome == "error":
            end = lives.settled(name, reason="time_limit")

        taken = self.append(which, [end, (fact, data)])

        fits = self.reserved - held.reserve + self.spent + spent <= (self.limit or 0)
        assert taken == (held.live and fence == held.fence and wrong == 0 and fits)
        if taken:
            held.live = False
            self.spent += spent

    @rule(which=st.integers(0, 1), at=st.integers(0, 99), outcome=st.sampled_from(["success"]))
    def settle_alone(self, which: int, at: int, outcome: str) -> None:
        """A transition never ends before its execution has, or otherwise than that."""
        if self.held:
            name = sorted(self.held)[at % len(self.held)]
            held = self.held[name]
            fact = lives.ended(name, held.fence, outcome, 0, held.reserve)
            assert not self.append(which, [fact])

    @rule(which=st.integers(0, 1))
    def look(self, which: int) -> None:
        """The audit finds nothing, and the events alone give the same tables."""
        assert audit.problem(self.handles[which]) is None
        self.handles[which].rebuild()

    @invariant()
    def agrees(self) -> None:
        """Both handles say what the model says, and the rules hold."""
        live = {name: each for name, each in self.held.items() if each.live}
        for ledger in self.handles:
            assert loops.problem(ledger) is None
            assert {
                (each.prefix, each.fence, each.execution_id)
                for each in (commitments.leases(ledger))
            } == {(each.prefix, each.fence, name) for name, each in live.items()}
            found = commitments.budget(ledger, lives.GOAL)
            assert (found is None) == (self.limit is None)
            if found is not None:
                assert found.limit_micro_usd == self.limit
                assert found.reserved_micro_usd == self.reserved
                assert found.spent_micro_usd == self.spent
            for prefix in PREFIXES:
                assert [each.prefix for each in commitments.in_the_way(ledger, [prefix])] == sorted(
                    each.prefix for each in live.values() if overlap(prefix, each.prefix)
                )


TestCommitmentsAgainstTheirModel = pytest.mark.proves("WL-9", "WL-10", "F-10")(
    CommitmentsMachine.TestCase
)
TestCommitmentsAgainstTheirModel.settings = settings(
    searched, max_examples=60, stateful_step_count=30
)


def taken(ledger: Ledger, *facts: Fact) -> bool:
    """Whether the ledger takes some facts in one transaction."""
    try:
        with ledger.writing() as transaction:
            for fact in facts:
                transaction.append(*fact)
    except IllegalMoveError:
        return False
    return True


NAME, PREFIX = "t-1", "/artifacts/one/"
_ADMITTED = [lives.allowed(NAME, PREFIX, 1), lives.requested(NAME, PREFIX)]
_EXECUTING = [*_ADMITTED, lives.started(NAME)]
_FAILED = [lives.settled(NAME, reason="time_limit"), lives.ended(NAME, 1, "error")]
_GONE = [lives.abandoned(NAME), lives.ended(NAME, 1, "abandoned")]
# How a transition comes into each state that the ledger keeps. A refusal is a receipt and leaves no
# row, so that what was refused may be proposed again.
INTO: dict[str, list[Fact]] = {
    transitions.PROPOSED: [lives.stopped(NAME, PREFIX)],
    transitions.ADMITTED: _ADMITTED,
    transitions.EXECUTING: _EXECUTING,
    transitions.SETTLED: [*_EXECUTING, *_FAILED],
    transitions.ABANDONED: [*_EXECUTING, *_GONE],
}


def facts_of(state: str, event: str) -> list[Fact]:
    """What happens to the transition and, where that could be, to its execution."""
    if event == transitions.ADMIT:
        return [lives.allowed(NAME, PREFIX, 2)]
    if event == transitions.START:  # an execution that was given up may start again by itself
        return [lives.started(NAME, 2 if state == transitions.ABANDONED else 1)]
    if state == transitions.EXECUTING:
        return _GONE if event == transitions.ABANDON else _FAILED
    if event == transitions.ABANDON:  # nothing that runs is gone
        return [lives.ended(NAME, 1, "abandoned")]
    before = [lives.settled(NAME, 0, "killed")] if state == transitions.ADMITTED else []
    return [*before, lives.ended(NAME, 1, "error")]


@pytest.mark.proves("WL-2")
@pytest.mark.parametrize(
    ("state", "event"),
    [cell for cell in itertools.product(INTO, EVENTS) if cell[1] != transitions.REFUSE],
)
def test_the_ledger_takes_every_move_of_the_table_and_no_other(state: str, event: str) -> None:
    with MemoryLedger() as ledger:
        assert taken(ledger, lives.budget(), lives.planned(), *INTO[state])
        before = commitments.transition(ledger, NAME)
        assert (before.status if before else transitions.PROPOSED) == state

        moved = taken(ledger, *facts_of(state, event))

        found = commitments.transition(ledger, NAME)
        assert moved == (event in MOVES[state])
        after = transitions.advance(state, event) if moved else state
        assert (found.status if found else transitions.PROPOSED) == after


@pytest.mark.proves("WL-10")
@pytest.mark.parametrize(("one", "other"), list(itertools.product(PREFIXES, PREFIXES)))
def test_of_two_write_sets_that_overlap_the_ledger_takes_the_first_alone(
    one: str, other: str
) -> None:
    with MemoryLedger() as ledger:
        assert taken(ledger, lives.budget(), lives.planned(), lives.allowed("t-1", one, 1))
        attempt = 2 if one == other else 1

        second = taken(ledger, lives.allowed("t-2", other, 2, attempt))

        assert second == (not overlap(one, other))


@pytest.mark.proves("WL-9", "WL-10")
@pytest.mark.parametrize(
    ("fence", "spent", "refunded", "fits"),
    [
        *((5, 2, 3, True), (5, 5, 0, True), (5, 7, 0, True), (5, 0, 5, True)),
        *((4, 2, 3, False), (6, 2, 3, False)),  # by another fence
        *((5, 2, 2, False), (5, 2, 4, False), (5, 7, 1, False)),  # refunded too little, too much
        (5, 8, 0, False),  # more than there is
    ],
)
def test_a_settle_names_its_fence_refunds_the_rest_and_overdraws_nothing(
    fence: int, spent: int, refunded: int, *, fits: bool
) -> None:
    with MemoryLedger() as ledger:
        admitted = lives.allowed(NAME, PREFIX, 5)
        assert taken(ledger, lives.budget(7), lives.planned(), admitted, *_EXECUTING[1:])
        kind, data = lives.ended(NAME, fence, "error", spent)
        data["refunded_micro_usd"] = refunded

        assert taken(ledger, lives.settled(NAME, reason="time_limit"), (kind, data)) == fits
        assert loops.problem(ledger) is None


@pytest.mark.proves("WL-10")
@pytest.mark.parametrize(("fence", "newer"), [(6, True), (9, True), (5, False), (4, False)])
def test_every_admission_has_a_newer_fence(fence: int, *, newer: bool) -> None:
    with MemoryLedger() as ledger:
        assert taken(ledger, lives.budget(), lives.planned(), lives.allowed(NAME, PREFIX, 5))

        assert taken(ledger, lives.allowed("t-2", "/artifacts/two/", fence)) == newer


@pytest.mark.parametrize(
    ("plan", "fact"),
    [
        (lives.planned(problem="unjustified"), lives.allowed(NAME, PREFIX, 1)),
        (lives.planned(goal="other"), lives.allowed(NAME, PREFIX, 1)),
        (lives.planned(lives.cid("other")), lives.allowed(NAME, PREFIX, 1)),
        (lives.planned(), lives.allowed(NAME, PREFIX, 1, attempt=2)),
        (lives.planned(), lives.allowed(NAME, PREFIX, 1, reserve=8)),
        (lives.planned(), lives.planned()),
    ],
)
def test_only_a_step_of_an_accepted_plan_within_the_budget_is_admitted(
    plan: Fact, fact: Fact
) -> None:
    with MemoryLedger() as ledger:
        assert taken(ledger, lives.budget(7), plan)

        assert not taken(ledger, fact)


def test_a_transition_is_the_first_word_about_its_execution() -> None:
    with MemoryLedger() as ledger:
        before = (lives.budget(), lives.planned(), lives.requested(NAME, PREFIX))
        assert taken(ledger, *before)

        assert not taken(ledger, lives.allowed(NAME, PREFIX, 1))


@pytest.mark.proves("WL-10")
def test_a_lease_ends_by_the_ledgers_rule_and_an_old_holder_settles_nothing() -> None:
    with tempfile.TemporaryDirectory() as folder, Ledger(folder, make=True) as ledger:
        loops.limit(ledger, 9)
        wanted = loops.proposal(loops.Step(PREFIX), loops.plan(ledger))
        first = loops.propose(ledger, wanted)
        assert first.fact is not None
        held = loops.propose(ledger, wanted)
        assert held.reason == "lease_held"
        name = str(first.fact[1]["execution_id"])

        loops.abandon(ledger, name)  # its process is known to be gone
        second = loops.propose(ledger, wanted)

        assert second.fact is not None
        assert second.fact[1]["fence"] == 2
        for fence in (1, 2):
            with pytest.raises(IllegalMoveError):
                loops.finish(ledger, name, fence, 1)
        other = str(second.fact[1]["execution_id"])
        with pytest.raises(IllegalMoveError):
            loops.finish(ledger, other, 1, 1)  # the newer one's execution, by the older fence
        loops.finish(ledger, other, 2, 1)


@pytest.mark.proves("WL-11")
def test_proposing_again_what_has_succeeded_changes_nothing_and_names_the_earlier_settle() -> None:
    with tempfile.TemporaryDirectory() as folder, Ledger(folder, make=True) as ledger:
        loops.limit(ledger, 9)
        wanted = loops.proposal(loops.Step(PREFIX), loops.plan(ledger))
        first = loops.propose(ledger, wanted)
        assert first.fact is not None
        name = str(first.fact[1]["execution_id"])
        loops.settle(ledger, name, 1)
        count = ledger.head().count

        again = loops.propose(ledger, wanted)

        assert (again.admitted, again.fact, again.reason) == (False, None, None)
        assert again.earlier is not None
        assert again.earlier.execution_id == name
        settled = ledger.event(again.earlier.settled_seq or 0)
        assert (settled.type, settled.data["execution_id"]) == ("transition.settled", name)
        assert ledger.head().count == count
        with pytest.raises(IllegalMoveError), ledger.writing() as transaction:
            transaction.append(*_repeated(first.fact))


def _repeated(fact: Fact) -> Fact:
    """The admission of the next attempt, by somebody who did not ask."""
    kind, data = fact
    return kind, {**data, "execution_id": "t-other", "attempt": 2, "fence": 9}


@pytest.mark.proves("F-10", "WL-8")
def test_a_refusal_by_budget_leaves_a_receipt_with_bound_ask_and_head() -> None:
    with tempfile.TemporaryDirectory() as folder, Ledger(folder, make=True) as ledger:
        loops.limit(ledger, 5)
        head = loops.plan(ledger)
        loops.propose(ledger, loops.proposal(loops.Step("/artifacts/a/", ask=3), head))
        before = ledger.head()

        loops.propose(ledger, loops.proposal(loops.Step("/artifacts/b/", ask=3), head))

        receipt = ledger.event(before.count + 1)
        assert receipt.type == "transition.refused"
        said = {key: receipt.data[key] for key in ("reason", "bound_micro_usd", "ask_micro_usd")}
        assert said == {"reason": "over_budget", "bound_micro_usd": 2, "ask_micro_usd": 3}
        assert receipt.data["head"] == {"count": before.count, "hash": before.hash}
