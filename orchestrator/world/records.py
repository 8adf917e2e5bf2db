"""Rows of the ledger's file, as values: those of the projections, and contents written ahead."""

from __future__ import annotations

type Ahead = list[tuple[str, bytes]]  # content ids, and the bytes of each


class Artifact:
    """What lies at a world path: one row of the projection."""

    __slots__ = ("cid", "mime", "path", "seq", "size_bytes")

    def __init__(self, path: str, cid: str, size_bytes: int, mime: str, seq: int) -> None:
        self.path = path
        self.cid = cid
        self.size_bytes = size_bytes
        self.mime = mime
        self.seq = seq  # of the event that put it there


class Execution:
    """How far an execution is: one row of the projection. Each ``*_seq`` names an event."""

    __slots__ = (
        "attempt",
        "envelope",
        "execution_id",
        "intent",
        "memo_key",
        "outputs_seq",
        "receipts_seq",
        "ref",
        "requested_seq",
        "settled_seq",
        "started_seq",
        "status",
        "write_prefix",
    )

    def __init__(
        self,
        execution_id: str,
        ref: str,
        intent: str,
        write_prefix: str,
        status: str,
        attempt: int,
        memo_key: str | None,
        envelope: str | None,
        requested_seq: int,
        started_seq: int | None,
        outputs_seq: int | None,
        receipts_seq: int | None,
        settled_seq: int | None,
    ) -> None:
        self.execution_id = execution_id
        self.ref = ref
        self.intent = intent
        self.write_prefix = write_prefix
        self.status = status  # one of fold.STATUSES
        self.attempt = attempt  # the last one; 0 before the first
        self.memo_key = memo_key
        self.envelope = envelope  # its content id
        self.requested_seq = requested_seq
        self.started_seq = started_seq
        self.outputs_seq = outputs_seq
        self.receipts_seq = receipts_seq
        self.settled_seq = settled_seq


class Goal:
    """What is known of a goal: one row of the projection."""

    __slots__ = ("declared_seq", "goal", "judged_seq", "must_hold", "name", "proof", "status")

    def __init__(
        self,
        name: str,
        goal: str,
        must_hold: str,
        status: str,
        proof: str | None,
        declared_seq: int,
        judged_seq: int | None,
    ) -> None:
        self.name = name
        self.goal = goal  # its id: the content id of its document
        self.must_hold = must_hold.strip(",").split(",")  # the predicates that prove it
        self.status = status  # one of fold.GOAL_STATUSES
        self.proof = proof  # the content id of its proof while it is satisfied
        self.declared_seq = declared_seq  # of the event that brought the document
        self.judged_seq = judged_seq  # of the event that the status follows from
