"""What goes wrong because the admin port was told so, and how often.

A fault names its kind and how many times it is to happen; some are for one RPC. Whoever is about to
do what a fault concerns takes it from here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from grpclib.const import Status
from grpclib.exceptions import GRPCError
from modal_proto import api_pb2

# kind → what it does; the admin port refuses every other word.
KINDS: dict[str, str] = {
    "unavailable": "an RPC answers UNAVAILABLE and does nothing",
    "answer_lost": "an RPC does its work and answers UNAVAILABLE",
    "throttle": "an RPC answers RESOURCE_EXHAUSTED and orders a delay of seconds",
    "expired_token": "an RPC answers UNAUTHENTICATED",
    "remote_timeout": "an input ends with TIMEOUT as soon as it is handed out",
    "slow_start": "a container starts after a delay of seconds",
    "kill_mid_input": "a container is killed as soon as it holds an input",
    "duplicate_input": "an input is handed out once more after it was answered",
    "internal_failure": "an input ends with INTERNAL_FAILURE",
    "unpicklable_result": "a result's bytes are no pickle",
    "pickle_bomb": "a result's bytes are a pickle of another's making (data, base64)",
    "blob_truncated": "a download ends early",
    "blob_503": "the blob host answers 503",
    "blob_silent": "the blob host takes a request and answers after seconds",
    "blob_wrong_etag": "an upload is answered with another ETag",
}
OF_AN_RPC = frozenset({"answer_lost", "expired_token", "throttle", "unavailable"})


@dataclass
class Fault:
    """One that is still to happen.

    Attributes:
        kind: One of KINDS.
        times: How often it is still to happen.
        rpc: For which RPC, if it is of one.
        seconds: How long, for those that last.
        data: What to put in place, for those that replace.
    """

    kind: str
    times: int = 1
    rpc: str = ""
    seconds: float = 0.0
    data: bytes = b""


@dataclass
class Faults:
    """The faults to come.

    Attributes:
        happened: How often each kind has happened.
    """

    happened: dict[str, int] = field(default_factory=dict)
    _pending: list[Fault] = field(default_factory=list)

    def add(self, fault: Fault) -> None:
        """Let a fault come."""
        self._pending.append(fault)

    def clear(self) -> None:
        """Let none come that has not come yet."""
        self._pending.clear()
        self.happened.clear()

    @property
    def pending(self) -> int:
        """How many are still to happen."""
        return sum(fault.times for fault in self._pending)

    def take(self, kind: str, rpc: str = "") -> Fault | None:
        """Whether a fault is to happen now; it counts as happened."""
        for fault in self._pending:
            if fault.kind == kind and fault.times > 0 and fault.rpc in ("", rpc):
                fault.times -= 1
                self._pending = [each for each in self._pending if each.times > 0]
                self.happened[kind] = self.happened.get(kind, 0) + 1
                return fault
        return None

    def before(self, rpc: str) -> None:
        """Fail an RPC before its work is done, if that was ordered."""
        if self.take("unavailable", rpc):
            raise GRPCError(Status.UNAVAILABLE, "as ordered")
        if self.take("expired_token", rpc):
            raise GRPCError(Status.UNAUTHENTICATED, "token has expired, as ordered")
        if fault := self.take("throttle", rpc):
            policy = api_pb2.RPCRetryPolicy(retry_after_secs=fault.seconds)
            raise GRPCError(Status.RESOURCE_EXHAUSTED, "throttled, as ordered", [policy])

    def after(self, rpc: str) -> None:
        """Lose an RPC's answer, if that was ordered."""
        if self.take("answer_lost", rpc):
            raise GRPCError(Status.UNAVAILABLE, "the answer was lost, as ordered")
