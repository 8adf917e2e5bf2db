"""A crew: threads that run steps side by side."""

from __future__ import annotations

import queue
import signal
import threading

from processors.protocol.errors import adapter_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Crew[Name, Ended]:
    """Runs what it is given, as many at once as it has threads.

    Args:
        threads_max: How many threads there may be.
    """

    def __init__(self, threads_max: int) -> None:
        self._threads_max = threads_max
        self._threads: list[threading.Thread] = []
        self._todo: queue.SimpleQueue[tuple[Name, Callable[[], Ended]] | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Name, Ended] | BaseException] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what runs; what has not begun never does."""
        while not self._todo.empty():
            try:
                self._todo.get_nowait()
            except queue.Empty:
                break  # a thread was faster
        for _thread in self._threads:
            self._todo.put(None)
        for thread in self._threads:
            thread.join()

    def begin(self, name: Name, work: Callable[[], Ended]) -> None:
        """Run something as soon as a thread is free.

        Raises:
            ContractError: ``ERR_ADAPTER_INVOCATION`` / ``spawn_failed``: there is no thread for it.
        """
        self._todo.put((name, work))
        if len(self._threads) == self._threads_max:
            return
        thread = threading.Thread(target=self._run, name=f"step-{len(self._threads)}")
        # A thread has the mask of the one that starts it. Signals are for this one alone, since one
        # that another thread took would be handled only when this one next wakes up.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            thread.start()
        except RuntimeError as error:  # all that Python says of a limit of processes
            raise adapter_error(
                "spawn_failed", f"a step's thread: {error}; see ulimit -u, or a container's limit"
            ) from None
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        self._threads.append(thread)

    def wait(self) -> tuple[Name, Ended]:
        """The next that has ended, which must be one that was begun; raises what it raised."""
        found = self._done.get()
        if isinstance(found, BaseException):
            raise found
        return found

    def _run(self) -> None:
        while (task := self._todo.get()) is not None:
            name, work = task
            try:
                self._done.put((name, work()))
            except BaseException as error:  # noqa: BLE001 - it is for whoever waits
                self._done.put(error)
