"""Who works on what: for each function the inputs that wait and the containers that take them.

A container asks for an input when it has none. One that dies with an input in hand has it handed
out again, twice at most. Several starts in a row must fail before the inputs that wait fail with
them, so that one slow container does not spoil what another can do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from modal_proto import api_pb2

from tools.modal_local.call_records import Input
from tools.modal_local.calls import Calls
from tools.modal_local.definitions import Definition
from tools.modal_local.faults import Faults
from tools.modal_local.functions import Functions
from tools.modal_local.workers import Pool, Worker

DELIVERIES_MAX = 3
FAILED_STARTS_MAX = 3
IDLE_S = 60
INTERNAL_FAILURE = api_pb2.GenericResult.GENERIC_STATUS_INTERNAL_FAILURE
TIMEOUT = api_pb2.GenericResult.GENERIC_STATUS_TIMEOUT
PICKLE = api_pb2.DATA_FORMAT_PICKLE


class Pools:
    """All pools.

    Attributes:
        start: Starts a container for a function.
    """

    def __init__(
        self, calls: Calls, functions: Functions, faults: Faults, containers_max: int
    ) -> None:
        self.start: Callable[[str, Definition], Worker]
        self._calls = calls
        self._functions = functions
        self._faults = faults
        self._containers_max = containers_max
        self._pools: dict[str, Pool] = {}
        self.is_closed = False

    @property
    def workers(self) -> list[Worker]:
        """All containers."""
        return [worker for pool in self._pools.values() for worker in pool.workers.values()]

    def offer(self, entry: Input) -> None:
        """Let an input wait for a container."""
        pool = self._pools.setdefault(entry.call.function_id, Pool())
        pool.waiting.append((entry, False))
        self._serve(entry.call.function_id)

    def withdraw(self, entry: Input, is_final: bool) -> None:  # noqa: FBT001 - of a callback
        """Take back an input that was terminated."""
        for worker in self._pools[entry.call.function_id].workers.values():
            if worker.held is entry:
                if is_final:
                    worker.kill("cancelled")
                else:
                    worker.cancellations.put_nowait(entry.input_id)

    async def take(self, worker: Worker) -> Input | None:
        """The next input for a container, or None if it is to end."""
        pool = self._pools[worker.function_id]
        if worker.held is not None and worker.held.output is None:
            return worker.held  # It asks again because the answer did not reach it.
        worker.let_go()
        if not worker.has_asked:
            worker.has_asked = True
            pool.failed_starts = 0
        until = time.monotonic() + _idle_s(worker.definition.function)
        while not self._is_old(worker):
            entry = pool.next()
            if entry is not None:
                if not self._hand_out(worker, entry):
                    continue
                return entry
            left = until - time.monotonic()
            if left <= 0:
                return None
            place = (worker, asyncio.get_running_loop().create_future())
            pool.idle.append(place)
            try:
                await asyncio.wait_for(place[1], left)
            except TimeoutError:
                pass
            finally:
                pool.idle.remove(place)
        return None

    def finish(self, worker: Worker, item: api_pb2.FunctionPutOutputsItem) -> None:
        """Take what a container says came of its input; words about another input are dropped."""
        entry = worker.held
        if entry is None or item.input_id != entry.input_id:
            return
        if item.retry_count != entry.retry_count:
            return
        worker.let_go()
        was_open = entry.output is None
        self._falsify(item)
        self._calls.settle(entry, item.result, item.data_format)
        if was_open and self._faults.take("duplicate_input"):
            self._pools[worker.function_id].waiting.append((entry, True))
            self._serve(worker.function_id)

    def ended(self, worker: Worker, why: str) -> None:
        """A container is gone."""
        pool = self._pools[worker.function_id]
        del pool.workers[worker.task_id]
        entry = worker.let_go()
        if entry is not None and entry.output is None:
            if entry.deliveries < DELIVERIES_MAX:
                pool.waiting.appendleft((entry, False))
            else:
                self._calls.settle(entry, _failure(f"the container ended: {why}"))
        if not worker.has_asked and not self._is_old(worker):
            pool.failed_starts += 1
            if pool.failed_starts >= FAILED_STARTS_MAX:
                pool.failed_starts = 0
                result = worker.failure or _failure(f"no container starts: {why}")
                while (waiting := pool.next()) is not None:
                    self._calls.settle(waiting, result, PICKLE)
        self._serve(worker.function_id)

    def renew(self, _function_ids: list[str]) -> None:
        """Something was published: containers of what ran before end when they are free."""
        for function_id, pool in self._pools.items():
            pool.wake()
            self._serve(function_id)

    def end(self, function_ids: list[str]) -> None:
        """The functions are gone: so are their containers, their variants', and their inputs."""
        gone = [
            each
            for each in self._pools
            if each in function_ids or self._functions.get(each).base in function_ids
        ]
        self._calls.end(gone)
        for function_id in gone:
            for worker in list(self._pools[function_id].workers.values()):
                worker.kill("the app was stopped")

    def _is_gone(self, function_id: str) -> bool:
        function = self._functions.get(function_id)
        base = self._functions.get(function.base) if function.base else function
        return base.current is None

    def _is_old(self, worker: Worker) -> bool:
        if self.is_closed or self._is_gone(worker.function_id):
            return True
        now = self._functions.definition(worker.function_id)
        return now.definition_id != worker.definition.definition_id

    def _serve(self, function_id: str) -> None:
        """Wake who is free, and start what is missing."""
        pool = self._pools[function_id]
        if self.is_closed or not pool.waiting or self._is_gone(function_id):
            return
        pool.wake()
        definition = self._functions.definition(function_id)
        fresh = [worker for worker in pool.workers.values() if not self._is_old(worker)]
        starting = sum(not worker.has_asked for worker in fresh) + len(pool.idle)
        function = definition.function
        limit = function.autoscaler_settings.max_containers or function.concurrency_limit
        limit = min(limit or self._containers_max, self._containers_max)
        for _ in range(min(len(pool.waiting) - starting, limit - len(fresh))):
            worker = self.start(function_id, definition)
            pool.workers[worker.task_id] = worker

    def _hand_out(self, worker: Worker, entry: Input) -> bool:
        """Give a container an input; faults may keep it from getting it."""
        entry.task_id = worker.task_id
        entry.deliveries += 1
        entry.started_at = time.time()
        if self._faults.take("internal_failure"):
            self._calls.settle(entry, _failure("as ordered"))
            return False
        worker.held = entry
        limit_s = float(worker.definition.timeout_s)
        if self._faults.take("remote_timeout"):
            limit_s = 0.0
        loop = asyncio.get_running_loop()
        worker.timer = loop.call_later(limit_s, self._time_out, worker, entry)
        if self._faults.take("kill_mid_input"):
            loop.call_later(0.05, worker.kill, "killed, as ordered")
        return True

    def _time_out(self, worker: Worker, entry: Input) -> None:
        words = f"input {entry.input_id} hit its timeout of {worker.definition.timeout_s}s"
        self._calls.settle(entry, api_pb2.GenericResult(status=TIMEOUT, exception=words))
        worker.kill("timeout")

    def _falsify(self, item: api_pb2.FunctionPutOutputsItem) -> None:
        """Make of a result what a hostile or broken container might send, if that was ordered.

        It is the container that picks the format, whatever its caller would like.
        """
        if self._faults.take("unpicklable_result"):
            item.result.data, item.data_format = b"\x80\x04no pickle", PICKLE
        if fault := self._faults.take("pickle_bomb"):
            item.result.data, item.data_format = fault.data, PICKLE


def _failure(words: str) -> api_pb2.GenericResult:
    return api_pb2.GenericResult(status=INTERNAL_FAILURE, exception=words)


def _idle_s(function: api_pb2.Function) -> float:
    settings = function.autoscaler_settings
    return float(settings.scaledown_window or function.task_idle_timeout_secs or IDLE_S)
