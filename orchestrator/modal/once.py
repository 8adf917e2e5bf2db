"""Work that several wait for and that is done once. Pure of what the work is."""

from __future__ import annotations

import asyncio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any


class Once[Key, Result]:
    """Results by key, each made when it is first wanted.

    A failure is not kept: who comes next tries anew. Work that nobody waits for any more is ended,
    or it would go on, and hold what others need, for as long as it pleases.
    """

    def __init__(self) -> None:
        self._tasks: dict[Key, asyncio.Task[Result]] = {}
        self._waiting: dict[asyncio.Task[Result], int] = {}

    async def get(self, key: Key, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result, made by ``work`` unless it is there or on its way; raises what that does."""
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.create_task(work())
            task.add_done_callback(_look_at)
        self._waiting[task] = self._waiting.get(task, 0) + 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[task] -= 1
            ended = False
            if not self._waiting[task]:
                del self._waiting[task]
                ended = task.cancel()  # does nothing, and is false, once it is done
            if (ended or _has_failed(task)) and self._tasks.get(key) is task:
                del self._tasks[key]


def _has_failed(task: asyncio.Task[Any]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _look_at(task: asyncio.Task[Any]) -> None:
    """See a failure, so that nothing is said about one that nobody waited for."""
    if not task.cancelled():
        task.exception()
