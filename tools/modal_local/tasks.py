"""What a container asks of the plane while it lives, and what clients ask about containers."""

from __future__ import annotations

import asyncio

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.calls import Calls
from tools.modal_local.containers import Containers
from tools.modal_local.copies import Copy
from tools.modal_local.functions import Functions
from tools.modal_local.pools import Pools
from tools.modal_local.session import Caller, Table
from tools.modal_local.volumes import Volumes

HEARTBEAT_S = 12.0  # The entrypoint gives one up after 15.


class Tasks:
    """The service of containers."""

    def __init__(
        self,
        containers: Containers,
        pools: Pools,
        calls: Calls,
        functions: Functions,
        volumes: Volumes,
    ) -> None:
        self._containers = containers
        self._pools = pools
        self._calls = calls
        self._functions = functions
        self._volumes = volumes

    def table(self) -> Table:
        """What is served of them: to containers most of it, to clients the rest."""
        return {
            "ContainerHeartbeat": self._heartbeat,
            "ContainerHello": self._hello,
            "ContainerStop": self._stop,
            "FunctionGetInputs": self._get_inputs,
            "FunctionPutOutputs": self._put_outputs,
            "TaskList": self._list,
            "TaskResult": self._task_result,
            "VolumeCommit": self._commit,
            "VolumeReload": self._reload,
        }

    async def _hello(self, _request: Empty, caller: Caller) -> Empty:
        self._containers.get(caller.task_id)
        return Empty()

    async def _heartbeat(
        self, _request: api_pb2.ContainerHeartbeatRequest, caller: Caller
    ) -> api_pb2.ContainerHeartbeatResponse:
        waiting = self._containers.get(caller.task_id).worker.cancellations
        event = api_pb2.CancelInputEvent()
        try:
            event.input_ids.append(await asyncio.wait_for(waiting.get(), HEARTBEAT_S))
        except TimeoutError:
            # An event about nothing: after it the entrypoint asks again in a second, not later.
            pass
        return api_pb2.ContainerHeartbeatResponse(cancel_input_event=event)

    async def _get_inputs(
        self, _request: api_pb2.FunctionGetInputsRequest, caller: Caller
    ) -> api_pb2.FunctionGetInputsResponse:
        entry = await self._pools.take(self._containers.get(caller.task_id).worker)
        if entry is None:
            item = api_pb2.FunctionGetInputsItem(kill_switch=True)
        else:
            item = api_pb2.FunctionGetInputsItem(
                input_id=entry.input_id,
                input=self._calls.inline(entry.item),
                function_call_id=entry.call.call_id,
                function_call_invocation_type=entry.call.kind,  # type: ignore[arg-type]
                retry_count=entry.retry_count,
            )
        return api_pb2.FunctionGetInputsResponse(inputs=[item])

    async def _put_outputs(
        self, request: api_pb2.FunctionPutOutputsRequest, caller: Caller
    ) -> Empty:
        worker = self._containers.get(caller.task_id).worker
        for item in request.outputs:
            self._pools.finish(worker, item)
        return Empty()

    async def _task_result(self, request: api_pb2.TaskResultRequest, caller: Caller) -> Empty:
        self._containers.get(caller.task_id).worker.failure = request.result
        return Empty()

    async def _commit(
        self, request: api_pb2.VolumeCommitRequest, caller: Caller
    ) -> api_pb2.VolumeCommitResponse:
        await self._copy(request.volume_id, caller).publish()
        return api_pb2.VolumeCommitResponse()

    async def _reload(self, request: api_pb2.VolumeReloadRequest, caller: Caller) -> Empty:
        try:
            await self._copy(request.volume_id, caller).reload()
        except OSError as error:
            raise failures.conflict(f"the volume cannot be reloaded: {error}") from error
        return Empty()

    def _copy(self, volume_id: str, caller: Caller) -> Copy:
        self._volumes.get(volume_id)
        copies = self._containers.get(caller.task_id).copies
        if volume_id not in copies:
            raise failures.not_found(f"Volume {volume_id} is not mounted to be written")
        return copies[volume_id]

    async def _stop(
        self, request: api_pb2.ContainerStopRequest, _: Caller
    ) -> api_pb2.ContainerStopResponse:
        self._containers.kill(request.task_id, "stopped by a client")
        return api_pb2.ContainerStopResponse()

    async def _list(self, request: api_pb2.TaskListRequest, _: Caller) -> api_pb2.TaskListResponse:
        return api_pb2.TaskListResponse(
            tasks=[
                api_pb2.TaskStats(
                    task_id=worker.task_id,
                    app_id=app_id,
                    started_at=worker.created_at if worker.has_asked else 0.0,
                    enqueued_at=worker.created_at,
                )
                for worker in self._pools.workers
                if (app_id := self._functions.get(worker.function_id).app_id) == request.app_id
            ]
        )
