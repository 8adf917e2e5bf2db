"""The World is a fold over the Ledger: what each event changes in what is known.

Projections: ``artifacts`` (world path → content), ``executions`` (id → how far it is), ``goals``
(name → document and status), and what the loop is committed to: ``plans``, ``transitions``, their
``leases`` and ``budgets``. ``changes`` says what an event does to them. It is pure, and the same
list is applied when an event is appended, when projections are rebuilt and when a ledger is
verified, so the three cannot differ.

``MOVES`` is the table of what may happen to an execution, ``GOAL_MOVES`` that of a goal,
``loop.transitions.MOVES`` that of a transition. A fact that finds no row it may change is refused
where it is appended: an attempt that was given up settles nothing, and nothing settles twice. No
event says what a goal's status is: it follows from what was proved of each predicate.
"""

from __future__ import annotations

from orchestrator.loop import transitions
from orchestrator.world import loop_facts
from orchestrator.world.chain import Event
from processors.protocol import shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    type Value = str | int | None
    type Fold = Callable[[Event], list[Change]]

REQUESTED = "requested"
RUNNING = "running"
SUCCESS = "success"
ERROR = "error"
ABANDONED = "abandoned"  # its process is gone; another attempt may follow
REUSED = "reused"

STATUSES = (REQUESTED, RUNNING, SUCCESS, ERROR, ABANDONED, REUSED)

# Event → the statuses of an execution it may follow. ``execution.requested`` follows none: it is
# the first word about an id. What is absent here is an illegal move.
MOVES: dict[str, tuple[str, ...]] = {
    "execution.admitted": (REQUESTED, ABANDONED),
    "execution.started": (REQUESTED, ABANDONED),
    "execution.outputs": (RUNNING,),
    "execution.receipts": (RUNNING,),
    "execution.settled": (REQUESTED, RUNNING),
    "execution.abandoned": (RUNNING,),
    "execution.reused": (REQUESTED,),
}

UNPROVED = "unproved"
SATISFIED = "satisfied"
REOPENED = "reopened"  # it was satisfied, and one of its predicates is no longer true

GOAL_STATUSES = (UNPROVED, SATISFIED, REOPENED)

# Event → the statuses of a goal it may follow. ``goal.declared`` follows none.
GOAL_MOVES: dict[str, tuple[str, ...]] = {
    "goal.changed": GOAL_STATUSES,
    "goal.satisfied": GOAL_STATUSES,  # again once what was proved has changed and is still true
    "predicate.regressed": (SATISFIED, REOPENED),  # several can turn at once
}

JSON_MIME = "application/json"  # of the documents we write: index, receipts, envelopes, inputs


class Change:
    """One change to the projections.

    Attributes:
        name: ``put``, ``remove`` or ``drop`` of artifacts; for an execution the last word of the
            event's type; for a goal the whole type; for a transition what happens to it, then
            what that does to its lease (``lease``, ``release``) and to its budget (``limit``,
            ``reserve``, ``pay``).
        values: What the change is about, in the order that its statement takes it.
    """

    __slots__ = ("name", "values")

    def __init__(self, name: str, *values: Value) -> None:
        self.name = name
        self.values = values


def changes(event: Event) -> list[Change]:
    """What an event that has passed ``facts.problem`` changes, in order."""
    return _FOLDS[event.type, event.version](event)


def prefix_end(prefix: str) -> str:
    """The least text that is greater than everything under a folder: "0" comes after "/"."""
    return prefix[:-1] + "0"


def _put(file: Json, seq: int, mime: str = JSON_MIME) -> Change:
    return Change(
        "put",
        shapes.text(file, "path"),
        shapes.text(file, "cid"),
        shapes.count(file, "size_bytes"),
        mime,
        seq,
    )


def _drop(prefix: str) -> Change:
    return Change("drop", prefix, prefix_end(prefix))


def _files(event: Event, member: str) -> list[Json]:
    found = event.data[member]
    assert isinstance(found, list)
    return found


def _made(event: Event) -> list[Change]:
    """The set of files that replaces everything under a prefix."""
    outputs = [
        _put(file, event.seq, shapes.text(file, "mime")) for file in _files(event, "outputs")
    ]
    index = _put(event.data["index"], event.seq)
    return [_drop(shapes.text(event.data, "replaces")), *outputs, index]


def _artifact_put(event: Event) -> list[Change]:
    return [_put(event.data, event.seq, shapes.text(event.data, "mime"))]


def _artifact_removed(event: Event) -> list[Change]:
    return [Change("remove", shapes.text(event.data, "path"))]


def _requested(event: Event) -> list[Change]:
    data = event.data
    words = [shapes.text(data, key) for key in ("execution_id", "ref", "intent", "write_prefix")]
    return [Change("requested", *words, event.seq), _put(data["inputs"], event.seq)]


def _admitted(event: Event) -> list[Change]:
    return [Change("admitted", shapes.text(event.data, "execution_id"))]


def _started(event: Event) -> list[Change]:
    data = event.data
    attempt = shapes.count(data, "attempt")
    return [
        Change(
            "started",
            attempt,
            shapes.text(data, "memo_key"),
            event.seq,
            shapes.text(data, "execution_id"),
            attempt - 1,
        ),
        Change(transitions.START, shapes.text(data, "execution_id")),
    ]


def _of_attempt(name: str, event: Event, *values: Value) -> Change:
    """A change that only the attempt that runs may make."""
    data = event.data
    return Change(name, *values, shapes.text(data, "execution_id"), shapes.count(data, "attempt"))


def _outputs(event: Event) -> list[Change]:
    return [_of_attempt("outputs", event, event.seq), *_made(event)]


def _receipts(event: Event) -> list[Change]:
    replaced = event.data["replaces"]
    drops = [_drop(replaced)] if isinstance(replaced, str) else []
    puts = [_put(file, event.seq) for file in _files(event, "receipts")]
    return [_of_attempt("receipts", event, event.seq), *drops, *puts]


def _settled(event: Event) -> list[Change]:
    status = shapes.text(event.data, "status")
    envelope = event.data["envelope"]
    change = _of_attempt("settled", event, status, shapes.text(envelope, "cid"), event.seq)
    return [Change(change.name, *change.values, status), _put(envelope, event.seq)]


def _abandoned(event: Event) -> list[Change]:
    return [_of_attempt("abandoned", event)]


def _reused(event: Event) -> list[Change]:
    data = event.data
    key = shapes.text(data, "memo_key")
    change = Change(
        "reused",
        key,
        shapes.text(data["envelope"], "cid"),
        event.seq,
        event.seq,
        shapes.text(data, "execution_id"),
        shapes.text(data, "origin"),
        key,
    )
    return [change, *_made(event), _put(data["envelope"], event.seq)]


def _names(event: Event, member: str) -> str:
    """A list of names as the projection keeps it: each between two commas."""
    return f",{','.join(map(str, _files(event, member)))},"


def _goal_declared(event: Event) -> list[Change]:
    data = event.data
    name, document = shapes.text(data, "name"), data["document"]
    words = (name, shapes.text(document, "cid"), _names(event, "must_hold"))
    return [Change("goal.declared", *words, event.seq), _put(document, event.seq)]


def _goal_changed(event: Event) -> list[Change]:
    data = event.data
    name, document = shapes.text(data, "name"), data["document"]
    words = (shapes.text(document, "cid"), _names(event, "must_hold"), event.seq)
    return [
        Change("goal.changed", *words, name, shapes.text(data, "replaces")),
        _drop(f"/goals/{name}/"),  # a proof of what it was is none of what it is
        _put(document, event.seq),
    ]


def _goal_satisfied(event: Event) -> list[Change]:
    data = event.data
    own = (shapes.text(data, "name"), shapes.text(data, "goal"))
    cid = shapes.text(data["proof"], "cid")
    return [
        Change("goal.satisfied", cid, event.seq, *own, _names(event, "proved")),
        _put(data["proof"], event.seq),
    ]


def _predicate_regressed(event: Event) -> list[Change]:
    data = event.data
    own = (shapes.text(data, "name"), shapes.text(data, "goal"))
    predicate = f",{shapes.text(data, 'predicate')},"
    stale = f"/goals/{own[0]}/proof."  # no longer one
    return [
        Change("predicate.regressed", event.seq, *own, predicate),
        Change("drop", stale, stale[:-1] + "/"),
    ]


def _budget_set(event: Event) -> list[Change]:
    data = event.data
    return [Change("limit", shapes.text(data, "goal"), shapes.count(data, "limit_micro_usd"))]


def _plan_proposed(event: Event) -> list[Change]:
    data = event.data
    plan = Change(
        "plan",
        shapes.text(data, "plan"),
        shapes.text(data, "goal"),
        int(shapes.members(data, "verdict")["accepted"] is True),
        shapes.count(data["head"], "count"),
        shapes.text(data["head"], "hash"),
        event.seq,
    )
    return [plan, _put(data["document"], event.seq)]


def _transition_admitted(event: Event) -> list[Change]:
    """A row, a lease for each part of the write set, and the reserve."""
    data = event.data
    execution_id, goal = shapes.text(data, "execution_id"), shapes.text(data, "goal")
    fence, reserve = shapes.count(data, "fence"), shapes.count(data, "reserve_micro_usd")
    admitted = Change(
        transitions.ADMIT,
        execution_id,
        goal,
        shapes.text(data, "plan"),
        shapes.text(data, "step"),
        shapes.count(data, "attempt"),
        fence,
        reserve,
        event.seq,
    )
    writes = data["writes"]
    assert isinstance(writes, list)
    leases = [
        Change("lease", prefix, prefix_end(prefix), fence, execution_id)
        for prefix in writes
        if isinstance(prefix, str)
    ]
    return [admitted, *leases, Change("reserve", goal, reserve)]


def _transition_settled(event: Event) -> list[Change]:
    """The row's end, the leases given back, and the reserve turned into what was spent."""
    data = event.data
    execution_id, outcome = shapes.text(data, "execution_id"), shapes.text(data, "outcome")
    gone = outcome == loop_facts.ABANDONED
    spent = shapes.count(data, "spent_micro_usd")
    settled = Change(
        transitions.ABANDON if gone else transitions.SETTLE,
        execution_id,
        shapes.count(data, "fence"),
        outcome,
        spent,
        shapes.count(data, "refunded_micro_usd"),
        event.seq,
    )
    return [settled, Change("release", execution_id), Change("pay", execution_id, spent)]


_FOLDS: dict[tuple[str, int], Fold] = {
    ("world.created", 1): lambda _: [],
    ("artifact.put", 1): _artifact_put,
    ("artifact.put", 2): _artifact_put,
    ("artifact.removed", 1): _artifact_removed,
    ("execution.requested", 1): _requested,
    # A refused proposal changes nothing that is known, its id included.
    ("execution.refused", 1): lambda _: [],
    ("execution.admitted", 1): _admitted,
    ("execution.started", 1): _started,
    ("execution.outputs", 1): _outputs,
    ("execution.receipts", 1): _receipts,
    ("execution.settled", 1): _settled,
    ("execution.abandoned", 1): _abandoned,
    ("execution.reused", 1): _reused,
    # What images/chain.py reads; nothing of the World.
    ("image.built", 1): lambda _: [],
    ("image.pushed", 1): lambda _: [],
    ("image.pinned", 1): lambda _: [],
    # What modal/deploy.py reads; nothing of the World.
    ("deployment.made", 1): lambda _: [],
    ("deployment.unchanged", 1): lambda _: [],
    ("deployment.stopped", 1): lambda _: [],
    ("secrets.sending", 1): lambda _: [],
    ("secrets.synced", 1): lambda _: [],
    ("goal.declared", 1): _goal_declared,
    ("goal.changed", 1): _goal_changed,
    ("goal.satisfied", 1): _goal_satisfied,
    ("predicate.regressed", 1): _predicate_regressed,
    ("budget.set", 1): _budget_set,
    ("plan.proposed", 1): _plan_proposed,
    # Nothing can be admitted by it: it is no plan.
    ("plan.refused", 1): lambda event: [
        _put(event.data["document"], event.seq),
        _put(event.data["question"], event.seq),
    ],
    ("transition.admitted", 1): _transition_admitted,
    # A refused transition changes nothing that is known, its id included.
    ("transition.refused", 1): lambda _: [],
    ("transition.settled", 1): _transition_settled,
}
