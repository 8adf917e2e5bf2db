"""One call and its inputs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from modal_proto import api_pb2


@dataclass(eq=False)
class Input:
    """One input, and its output once there is one.

    Attributes:
        jwt: The word under which the client knows it.
        task_id: The container that holds it, or empty.
        deliveries: How often it was handed out in this attempt.
    """

    input_id: str
    call: Call
    idx: int
    item: api_pb2.FunctionInput
    jwt: str
    retry_count: int = 0
    task_id: str = ""
    deliveries: int = 0
    started_at: float = 0.0
    output: api_pb2.FunctionGetOutputsItem | None = None


@dataclass(eq=False)
class Call:
    """One call.

    Attributes:
        changed: Set when there is an output that was not there before.
    """

    call_id: str
    function_id: str
    kind: int
    inputs: list[Input] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    is_cancelled: bool = False
    taken_at: float = 0.0

    def ready(self, request: api_pb2.FunctionGetOutputsRequest) -> list[Input]:
        """The inputs with an output that a request asks for."""
        last = request.end_idx if request.HasField("end_idx") else None
        return [
            each
            for each in self.inputs
            if each.output is not None
            and each.idx >= request.start_idx
            and (last is None or each.idx <= last)
            and (not request.input_jwts or each.jwt in request.input_jwts)
        ]
