"""Rows of the ledger's file, as values: those of the projections, and contents written ahead.

A projection is a table that any program can write to. So what is read of it is held against what an
event could have put there (``LedgerFile.record``); that it is what the events put there is for
``audit`` to say.
"""

from __future__ import annotations

from orchestrator.world.fold import GOAL_STATUSES, STATUSES
from processors.protocol import digests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

type Ahead = list[tuple[str, bytes]]  # content ids, and the bytes of each


class Record:
    """One row of a projection.

    Attributes:
        TABLE: The projection.
    """

    __slots__: tuple[str, ...] = ()  # one for each column
    TABLE = ""

    def __init__(self, *columns: Any) -> None:
        raise NotImplementedError

    def fits(self) -> bool:
        """Whether events could have made such a row."""
        raise NotImplementedError


def are_seqs(*seqs: int | None) -> bool:
    """Whether these could be the numbers of events, where there are any."""
    return all(seq is None or seq > 0 for seq in seqs)


def are_digests(*found: str | None) -> bool:
    """Whether these are digests, where there are any."""
    return all(each is None or digests.is_digest(each) for each in found)


class Artifact(Record):
    """What lies at a world path: one row of the projection."""

    __slots__ = ("cid", "mime", "path", "seq", "size_bytes")
    TABLE = "artifacts"

    def __init__(self, path: str, cid: str, size_bytes: int, mime: str, seq: int) -> None:
        self.path = path
        self.cid = cid
        self.size_bytes = size_bytes
        self.mime = mime
        self.seq = seq  # of the event that put it there

    def fits(self) -> bool:
        """See ``Record``."""
        return digests.is_digest(self.cid) and self.size_bytes >= 0 and self.seq > 0


class Execution(Record):
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
    TABLE = "executions"

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

    def fits(self) -> bool:
        """See ``Record``."""
        made = (self.started_seq, self.outputs_seq, self.receipts_seq, self.settled_seq)
        return (
            self.status in STATUSES
            and self.attempt >= 0
            and are_digests(self.intent, self.memo_key, self.envelope)
            and are_seqs(self.requested_seq, *made)
        )


class Goal(Record):
    """What is known of a goal: one row of the projection."""

    __slots__ = ("declared_seq", "goal", "judged_seq", "must_hold", "name", "proof", "status")
    TABLE = "goals"

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

    def fits(self) -> bool:
        """See ``Record``."""
        return (
            self.status in GOAL_STATUSES
            and are_digests(self.goal, self.proof)
            and are_seqs(self.declared_seq, self.judged_seq)
        )
