"""What a world is committed to: plans, transitions, their leases, and budgets, as rows and queries.

The tables are projections (``projections``); nothing here writes.
"""

from __future__ import annotations

from orchestrator.loop.transitions import LIVE, STATES
from orchestrator.world import loop_facts
from orchestrator.world.fold import prefix_end
from orchestrator.world.records import Record, are_digests, are_seqs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.world.ledger import Ledger


class Plan(Record):
    """A plan that was proposed, and the head that it was made for."""

    __slots__ = ("accepted", "goal", "head_count", "head_hash", "plan", "seq")
    TABLE = "plans"

    def __init__(
        self, plan: str, goal: str, accepted: int, head_count: int, head_hash: str, seq: int
    ) -> None:
        self.plan = plan
        self.goal = goal
        self.accepted = accepted == 1  # by the checker
        self.head_count = head_count
        self.head_hash = head_hash
        self.seq = seq

    def fits(self) -> bool:
        """See ``Record``."""
        return are_digests(self.plan, self.head_hash) and are_seqs(self.head_count, self.seq)


class Transition(Record):
    """One attempt at a step of a plan: one row of the projection."""

    __slots__ = (
        "admitted_seq",
        "attempt",
        "execution_id",
        "fence",
        "goal",
        "outcome",
        "plan",
        "reserve_micro_usd",
        "settled_seq",
        "spent_micro_usd",
        "status",
        "step",
    )
    TABLE = "transitions"

    def __init__(
        self,
        execution_id: str,
        goal: str,
        plan: str,
        step: str,
        attempt: int,
        status: str,
        fence: int,
        reserve_micro_usd: int,
        spent_micro_usd: int | None,
        outcome: str | None,
        admitted_seq: int,
        settled_seq: int | None,
    ) -> None:
        self.execution_id = execution_id
        self.goal = goal
        self.plan = plan
        self.step = step
        self.attempt = attempt
        self.status = status  # one of loop.transitions.STATES
        self.fence = fence
        self.reserve_micro_usd = reserve_micro_usd
        self.spent_micro_usd = spent_micro_usd
        self.outcome = outcome  # one of loop_facts.OUTCOMES, once it has ended
        self.admitted_seq = admitted_seq
        self.settled_seq = settled_seq

    def fits(self) -> bool:
        """See ``Record``."""
        return (
            self.status in STATES
            and (self.outcome is None or self.outcome in loop_facts.OUTCOMES)
            and min(self.attempt, self.fence) > 0
            and min(self.reserve_micro_usd, self.spent_micro_usd or 0) >= 0
            and are_digests(self.plan)
            and are_seqs(self.admitted_seq, self.settled_seq)
        )


class Lease(Record):
    """A folder that an admitted transition alone may write, until it ends."""

    __slots__ = ("execution_id", "fence", "prefix")
    TABLE = "leases"

    def __init__(self, prefix: str, fence: int, execution_id: str) -> None:
        self.prefix = prefix
        self.fence = fence
        self.execution_id = execution_id

    def fits(self) -> bool:
        """See ``Record``."""
        return self.fence > 0


class Budget(Record):
    """What a goal may cost, what is reserved of it for what runs, and what is spent."""

    __slots__ = ("goal", "limit_micro_usd", "reserved_micro_usd", "spent_micro_usd")
    TABLE = "budgets"

    def __init__(
        self, goal: str, limit_micro_usd: int, reserved_micro_usd: int, spent_micro_usd: int
    ) -> None:
        self.goal = goal
        self.limit_micro_usd = limit_micro_usd
        self.reserved_micro_usd = reserved_micro_usd
        self.spent_micro_usd = spent_micro_usd

    def fits(self) -> bool:
        """See ``Record``."""
        return min(self.reserved_micro_usd, self.spent_micro_usd, self.free_micro_usd) >= 0

    @property
    def free_micro_usd(self) -> int:
        """What can still be reserved."""
        return self.limit_micro_usd - self.reserved_micro_usd - self.spent_micro_usd


def plan(ledger: Ledger, digest: str) -> Plan | None:
    """A plan by its id."""
    row = ledger.file.row("SELECT * FROM plans WHERE plan = ?", digest)
    return None if row is None else ledger.file.record(Plan, row)


def budget(ledger: Ledger, goal: str) -> Budget | None:
    """A goal's budget."""
    row = ledger.file.row("SELECT * FROM budgets WHERE goal = ?", goal)
    return None if row is None else ledger.file.record(Budget, row)


def transition(ledger: Ledger, execution_id: str) -> Transition | None:
    """A transition by the id of its execution."""
    row = ledger.file.row("SELECT * FROM transitions WHERE execution_id = ?", execution_id)
    return None if row is None else ledger.file.record(Transition, row)


def of_step(ledger: Ledger, goal: str, step: str) -> list[Transition]:
    """Every attempt at a step, of whichever plan, in order."""
    rows = ledger.file.select(
        "SELECT * FROM transitions WHERE goal = ? AND step = ? ORDER BY attempt", goal, step
    )
    return [ledger.file.record(Transition, row) for row in rows]


def of_goal(ledger: Ledger, goal: str) -> list[Transition]:
    """Every transition of a goal, in the order in which they were admitted."""
    rows = ledger.file.select(
        "SELECT * FROM transitions WHERE goal = ? ORDER BY admitted_seq", goal
    )
    return [ledger.file.record(Transition, row) for row in rows]


def plans(ledger: Ledger, goal: str) -> list[Plan]:
    """Every plan of a goal, in the order in which they were proposed."""
    return [
        ledger.file.record(Plan, row)
        for row in ledger.file.select("SELECT * FROM plans WHERE goal = ? ORDER BY seq", goal)
    ]


def refusals(ledger: Ledger, goal: str, most: int) -> list[int]:
    """The numbers of the last events that refused a step of a goal, in order; it looks at all."""
    return sorted(row[0] for row in ledger.file.select(_REFUSALS, goal, most))


def certificate(ledger: Ledger, goal: str) -> int | None:
    """The number of the last event that refused a goal a plan, if one did; it looks at all."""
    row = ledger.file.row(_CERTIFICATE, goal)
    return None if row is None else int(row[0])


def live(ledger: Ledger) -> list[Transition]:
    """The transitions that hold a lease, by fence."""
    marks = ", ".join("?" * len(LIVE))
    rows = ledger.file.select(
        "SELECT transitions.* FROM transitions WHERE execution_id IN"  # noqa: S608 - marks alone
        f" (SELECT execution_id FROM leases) AND status IN ({marks}) ORDER BY fence",
        *LIVE,
    )
    return [ledger.file.record(Transition, row) for row in rows]


def last_fence(ledger: Ledger) -> int:
    """The greatest fence that was given out; 0 before the first."""
    row = ledger.file.row("SELECT coalesce(max(fence), 0) FROM transitions")
    assert row is not None
    return int(row[0])


def leases(ledger: Ledger) -> Iterator[Lease]:
    """Every lease that is held, sorted by prefix."""
    rows = ledger.file.select("SELECT * FROM leases ORDER BY prefix")
    return (ledger.file.record(Lease, row) for row in rows)


def in_the_way(ledger: Ledger, writes: Iterable[str]) -> list[Lease]:
    """The leases that overlap a write set, by segments: around a part of it, or in one."""
    found: dict[str, Lease] = {}
    for prefix in writes:
        before = ledger.file.row(
            "SELECT * FROM leases WHERE prefix < ? ORDER BY prefix DESC LIMIT 1", prefix
        )
        if before is not None and prefix.startswith(before[0]):
            found[before[0]] = ledger.file.record(Lease, before)
        inside = ledger.file.select(
            "SELECT * FROM leases WHERE prefix >= ? AND prefix < ?", prefix, prefix_end(prefix)
        )
        found.update((row[0], ledger.file.record(Lease, row)) for row in inside)
    return [found[prefix] for prefix in sorted(found)]


def made_by(ledger: Ledger, seq: int) -> Transition | None:
    """The transition whose execution an event tells of, if it does and there is one."""
    row = ledger.file.row(_MADE_BY, seq)  # the one word, without reading the event as a whole
    return None if row is None else ledger.file.record(Transition, row)


def settled_error(ledger: Ledger, ended: Transition) -> tuple[str, str] | None:
    """The code and the reason with which a transition settled, or None if it names none."""
    if ended.outcome != loop_facts.ERROR or ended.settled_seq is None:
        return None
    settled = ledger.event_of(ended.execution_id, ended.settled_seq, "transition.settled")
    error = settled.data["error"]
    assert isinstance(error, dict)
    return str(error["code"]), str(error["reason"])


_MADE_BY = """\
SELECT transitions.* FROM events JOIN transitions
  ON execution_id = json_extract(CAST(body AS TEXT), '$.data.execution_id') WHERE seq = ?"""

_CERTIFICATE = """\
SELECT seq FROM events WHERE json_extract(CAST(body AS TEXT), '$.type') = 'plan.refused'
  AND json_extract(CAST(body AS TEXT), '$.data.goal') = ? ORDER BY seq DESC LIMIT 1"""

_REFUSALS = """\
SELECT seq FROM events WHERE json_extract(CAST(body AS TEXT), '$.type') = 'transition.refused'
  AND json_extract(CAST(body AS TEXT), '$.data.goal') = ? ORDER BY seq DESC LIMIT ?"""
