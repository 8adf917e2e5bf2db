"""A container as its pool sees it, and a pool: inputs that wait and containers there are."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from modal_proto import api_pb2

from tools.modal_local.call_records import Input
from tools.modal_local.definitions import Definition


@dataclass(eq=False)
class Worker:
    """One container, as its pool sees it.

    Attributes:
        kill: Ends it at once.
        has_asked: Whether it ever asked for an input, that is, whether it has started.
        failure: Why it did not start, in its own words.
        cancellations: The inputs that it is to let go of.
    """

    task_id: str
    function_id: str
    definition: Definition
    kill: Callable[[str], None]
    created_at: float = field(default_factory=time.time)
    has_asked: bool = False
    held: Input | None = None
    timer: asyncio.TimerHandle | None = None
    failure: api_pb2.GenericResult | None = None
    cancellations: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    def let_go(self) -> Input | None:
        """Hold nothing any more; return what was held."""
        held, self.held = self.held, None
        if self.timer is not None:
            self.timer.cancel()
        return held


@dataclass(eq=False)
class Pool:
    """One function's inputs and containers."""

    # The flag marks one that is handed out again although it was answered.
    waiting: deque[tuple[Input, bool]] = field(default_factory=deque)
    idle: deque[tuple[Worker, asyncio.Future[None]]] = field(default_factory=deque)
    workers: dict[str, Worker] = field(default_factory=dict)
    failed_starts: int = 0

    def next(self) -> Input | None:
        """The next input that still wants an answer."""
        while self.waiting:
            entry, is_repeat = self.waiting.popleft()
            if entry.output is None or is_repeat:
                return entry
        return None

    def wake(self) -> None:
        """Tell the containers without an input to look again."""
        for _, future in self.idle:
            if not future.done():
                future.set_result(None)
