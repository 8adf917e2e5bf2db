"""The process that runs Modal's SDK: one loop, one client, requests in and answers out as frames.

A container may answer with a pickle, and the SDK loads what it is answered. So nothing in this
process may look up a class for a pickle: the hook that refuses it is there before the SDK is. This
process has the credentials of Modal and no other secret. It ends when its parent's pipe does, and
cancels first what is still running remotely.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from orchestrator.modal import frames
from orchestrator.modal.answers import CallError
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from orchestrator.modal.operations import Operations, Perform

UNSENT_BYTES_MAX = 67_108_864  # of requests that were read and not sent yet; then reading waits
END_S_MAX = 10.0  # for cancelling what is remote, once the parent is gone


def main(more: Callable[[], Perform] | None = None) -> NoReturn:
    """Serve the parent until its pipe ends.

    Args:
        more: Gives operations besides those of a run; called once classes are refused.
    """
    sys.addaudithook(_refuse_classes)
    answers_fd = os.dup(1)
    os.dup2(2, 1)  # whatever the SDK prints is no answer
    try:
        asyncio.run(_serve(answers_fd, more))
    finally:
        os._exit(0)


def _refuse_classes(event: str, _: object) -> None:
    if event == "pickle.find_class":
        raise RuntimeError("an answer that names a class is not loaded")


async def _serve(answers_fd: int, more: Callable[[], Perform] | None) -> None:
    from orchestrator.modal import operations  # with the SDK, once the hook is there

    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=frames.OBJECT_BYTES_MAX)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    others = None if more is None else more()
    server = _Server(operations.Operations(os.environ, others), answers_fd)
    try:
        while True:
            head = await reader.readexactly(frames.HEAD.size)
            document_bytes, body_bytes = frames.lengths(head)
            document = frames.parse(await reader.readexactly(document_bytes))
            await server.take(document, await reader.readexactly(body_bytes))
    except asyncio.IncompleteReadError:
        watch = threading.Timer(END_S_MAX, os._exit, (1,))
        watch.daemon = True
        watch.start()
        await server.cancel_all()


class _Server:
    """Performs requests side by side."""

    def __init__(self, operations: Operations, answers_fd: int) -> None:
        self._operations = operations
        self._answers_fd = answers_fd
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._unsent = 0
        self._sent = asyncio.Event()

    async def take(self, document: dict[str, Json], body: bytes) -> None:
        """Begin a request, or cancel one; waits while too much has been read and not sent."""
        number = document["id"]
        assert isinstance(number, int)
        if document["op"] == "cancel":
            if (task := self._tasks.get(number)) is not None:
                task.cancel()
            return
        self._unsent += len(body)
        self._tasks[number] = asyncio.create_task(self._perform(number, document, body))
        await asyncio.sleep(0)  # what has not begun when it is cancelled never answers
        while self._unsent > UNSENT_BYTES_MAX:
            self._sent.clear()
            await self._sent.wait()

    async def cancel_all(self) -> None:
        """Cancel every request, and with it what it started remotely."""
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _perform(self, number: int, document: dict[str, Json], body: bytes) -> None:
        from orchestrator.modal import failures  # with the SDK

        answer: dict[str, Json] = {"id": number, "result": None, "error": None}
        data = b""
        held = [body]
        size = len(body)
        del body  # so that what was sent can go
        try:
            answer["result"], data = await self._operations.perform(
                str(document["op"]), document, held, lambda: self._let_go(held, size)
            )
        except CallError as failure:
            answer["error"] = failure.as_json()
        except asyncio.CancelledError:
            cancelled = CallError("ERR_ADAPTER_INVOCATION", "interrupted", "the call was cancelled")
            answer["error"] = cancelled.as_json()
        except Exception as error:  # noqa: BLE001 - every request is answered
            what = f"{document['op']}: unexpected {failures.said(error)}"
            unknown = CallError("ERR_ADAPTER_INVOCATION", "orchestrator_error", what)
            answer["error"] = unknown.as_json()
        finally:
            self._let_go(held, size)
            del self._tasks[number]
        self._answer(frames.encode(answer, data))

    def _let_go(self, held: list[bytes], size: int) -> None:
        """Forget a body that was sent."""
        if held:
            held.clear()
            self._unsent -= size
            self._sent.set()

    def _answer(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._answers_fd, view) :]
        except OSError:
            pass  # the parent is gone; its other pipe says so, too
