"""Calls: what was asked of functions, and what came of it.

A call's input is offered to its function's pool; what comes back is kept until it was taken, and a
little longer, so that a lost answer can be asked for again. The client repeats a failed synchronous
input itself, under the same word; an asynchronous one is repeated here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.blobs import Blobs
from tools.modal_local.call_records import Call, Input
from tools.modal_local.functions import Functions
from tools.modal_local.session import Caller, Table, new_id

SYNC = api_pb2.FUNCTION_CALL_INVOCATION_TYPE_SYNC
ASYNC = api_pb2.FUNCTION_CALL_INVOCATION_TYPE_ASYNC
TERMINATED = api_pb2.GenericResult.GENERIC_STATUS_TERMINATED
SUCCESS = api_pb2.GenericResult.GENERIC_STATUS_SUCCESS
INLINE_BYTES: dict[int, int] = {
    SYNC: 2 << 20,
    ASYNC: 8 << 10,
}  # Over that, a result is a blob, as in the SDK.
KEEP_S = 300.0


class Calls:
    """All calls.

    Attributes:
        offer: Hands an input to its function's pool.
        withdraw: Takes an input back from it; its container may be killed for that.
    """

    def __init__(self, functions: Functions, blobs: Blobs) -> None:
        self.offer: Callable[[Input], None]
        self.withdraw: Callable[[Input, bool], None]
        self.total = 0
        self._functions = functions
        self._blobs = blobs
        self._all: dict[str, Call] = {}
        self._inputs: dict[str, Input] = {}
        self._by_jwt: dict[str, Input] = {}
        self._delayed: set[asyncio.TimerHandle] = set()

    def table(self) -> Table:
        """What is served of them to clients."""
        return {
            "FunctionCallCancel": self._cancel,
            "FunctionCallFromId": self._from_id,
            "FunctionGetOutputs": self._get_outputs,
            "FunctionMap": self._map,
            "FunctionRetryInputs": self._retry,
        }

    @property
    def unfinished(self) -> int:
        """How many inputs have no output."""
        return sum(each.output is None for each in self._inputs.values())

    def close(self) -> None:
        """Repeat nothing any more."""
        for handle in self._delayed:
            handle.cancel()

    def make(self, function_id: str, kind: int) -> Call:
        """A new call, without inputs."""
        self._functions.definition(function_id)
        self._forget()
        call = Call(new_id("fc"), function_id, kind)
        self._all[call.call_id] = call
        self.total += 1
        return call

    def put(self, call: Call, item: api_pb2.FunctionPutInputsItem) -> Input:
        """Add an input to a call and offer it."""
        made = Input(new_id("in"), call, item.idx, item.input, new_id("jw"))
        if item.input.WhichOneof("args_oneof") == "args_blob_id":
            self._blobs.data(item.input.args_blob_id)  # Fail now, not in a container.
        call.inputs.append(made)
        self._inputs[made.input_id] = made
        self._by_jwt[made.jwt] = made
        self.offer(made)
        return made

    def input(self, input_id: str) -> Input | None:
        """One of them, if it is known."""
        return self._inputs.get(input_id)

    def by_jwt(self, jwt: str) -> Input:
        """The input of a client's word."""
        if jwt not in self._by_jwt:
            raise failures.not_found("no such input")
        return self._by_jwt[jwt]

    def inline(self, item: api_pb2.FunctionInput) -> api_pb2.FunctionInput:
        """An input as a container gets it: without a blob, which it could not fetch."""
        found = api_pb2.FunctionInput()
        found.CopyFrom(item)
        if item.WhichOneof("args_oneof") == "args_blob_id":
            found.args = self._blobs.data(item.args_blob_id)
        return found

    def again(self, entry: Input) -> None:
        """Offer an input anew; what came of it before is forgotten."""
        if entry.call.is_cancelled:
            return
        entry.output = None
        entry.retry_count += 1
        entry.deliveries = 0
        if all(each.output is None for each in entry.call.inputs):
            entry.call.changed.clear()
        self.offer(entry)

    def settle(self, entry: Input, result: api_pb2.GenericResult, data_format: int = 0) -> None:
        """Say what came of an input; the first word counts.

        An asynchronous one that failed is offered again if its function's policy says so.
        """
        if entry.output is not None:
            return
        kind = entry.call.kind
        if result.status not in (SUCCESS, TERMINATED) and kind == ASYNC:
            policy = self._functions.definition(entry.call.function_id).function.retry_policy
            if entry.retry_count < policy.retries:
                self._later(entry, policy)
                return
        kept = api_pb2.GenericResult()
        kept.CopyFrom(result)
        if len(result.data) > INLINE_BYTES[kind]:
            kept.data_blob_id = self._blobs.keep(result.data)
        entry.output = api_pb2.FunctionGetOutputsItem(
            result=kept,
            idx=entry.idx,
            input_id=entry.input_id,
            data_format=data_format,  # type: ignore[arg-type]
            task_id=entry.task_id,
            input_started_at=entry.started_at,
            output_created_at=time.time(),
            retry_count=entry.retry_count,
        )
        entry.call.changed.set()

    def _later(self, entry: Input, policy: api_pb2.FunctionRetryPolicy) -> None:
        factor = policy.backoff_coefficient or 1.0
        delay_ms = policy.initial_delay_ms * factor**entry.retry_count
        if policy.max_delay_ms:
            delay_ms = min(delay_ms, policy.max_delay_ms)
        handle = asyncio.get_running_loop().call_later(delay_ms / 1000, self.again, entry)
        self._delayed = {each for each in self._delayed if not each.cancelled()} | {handle}

    def end(self, function_ids: list[str]) -> None:
        """Terminate what was asked of functions that are gone."""
        for entry in self._inputs.values():
            if entry.call.function_id in function_ids and entry.output is None:
                self.settle(entry, api_pb2.GenericResult(status=TERMINATED))

    def _forget(self) -> None:
        """Let go of the oldest calls whose outputs were taken long enough ago."""
        now = time.monotonic()
        while self._all:
            oldest = next(iter(self._all.values()))
            if not oldest.taken_at or now - oldest.taken_at < KEEP_S:
                return
            del self._all[oldest.call_id]
            for entry in oldest.inputs:
                del self._inputs[entry.input_id], self._by_jwt[entry.jwt]

    def _get(self, call_id: str) -> Call:
        if call_id not in self._all:
            raise failures.not_found(f"Function call {call_id} not found")
        return self._all[call_id]

    async def _map(
        self, request: api_pb2.FunctionMapRequest, _: Caller
    ) -> api_pb2.FunctionMapResponse:
        kind = request.function_call_invocation_type
        if request.function_call_type != api_pb2.FUNCTION_CALL_TYPE_UNARY or kind not in (
            SYNC,
            ASYNC,
        ):
            raise failures.unimplemented("a map, or an older way to call")
        call = self.make(request.function_id, kind)
        put = [self.put(call, item) for item in request.pipelined_inputs]
        policy = self._functions.definition(request.function_id).function.retry_policy
        return api_pb2.FunctionMapResponse(
            function_call_id=call.call_id,
            function_call_jwt=call.call_id,
            retry_policy=policy,
            sync_client_retries_enabled=kind == SYNC,
            pipelined_inputs=[
                api_pb2.FunctionPutInputsResponseItem(
                    idx=each.idx, input_id=each.input_id, input_jwt=each.jwt
                )
                for each in put
            ],
        )

    async def _get_outputs(
        self, request: api_pb2.FunctionGetOutputsRequest, _: Caller
    ) -> api_pb2.FunctionGetOutputsResponse:
        call = self._get(request.function_call_id)
        try:
            async with asyncio.timeout(max(request.timeout, 0.0)):
                while not call.ready(request):
                    await call.changed.wait()
                    if not call.ready(request):  # another one's output
                        call.changed.clear()
        except TimeoutError:
            pass
        found = call.ready(request)[: request.max_values or None]
        if found and request.clear_on_success:
            call.taken_at = time.monotonic()
        return api_pb2.FunctionGetOutputsResponse(
            idxs=[each.idx for each in found],
            outputs=[each.output for each in found if each.output is not None],
            num_unfinished_inputs=sum(each.output is None for each in call.inputs),
        )

    async def _retry(
        self, request: api_pb2.FunctionRetryInputsRequest, _: Caller
    ) -> api_pb2.FunctionRetryInputsResponse:
        entries = [self.by_jwt(item.input_jwt) for item in request.inputs]
        for entry in entries:
            self.again(entry)
        return api_pb2.FunctionRetryInputsResponse(input_jwts=[each.jwt for each in entries])

    async def _cancel(self, request: api_pb2.FunctionCallCancelRequest, _: Caller) -> Empty:
        call = self._get(request.function_call_id)
        call.is_cancelled = True
        for entry in call.inputs:
            if entry.output is None:
                self.settle(entry, api_pb2.GenericResult(status=TERMINATED))
                self.withdraw(entry, request.terminate_containers)
        return Empty()

    async def _from_id(
        self, request: api_pb2.FunctionCallFromIdRequest, _: Caller
    ) -> api_pb2.FunctionCallFromIdResponse:
        call = self._get(request.function_call_id)
        return api_pb2.FunctionCallFromIdResponse(
            function_call_id=call.call_id, num_inputs=len(call.inputs)
        )
