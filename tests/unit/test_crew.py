"""A crew: so many threads; what a step raises is for who waits."""

from __future__ import annotations

import signal
import threading

import pytest

from orchestrator.loop.crew import Crew
from processors.protocol.errors import ContractError


def test_as_many_run_at_once_as_there_are_threads() -> None:
    both = threading.Barrier(2)

    def work() -> int:
        both.wait(timeout=60)
        return threading.get_ident()

    with Crew[str, int](2) as crew:
        for name in "abcdef":
            crew.begin(name, work)
        ended = dict(crew.wait() for _ in range(6))

    assert sorted(ended) == list("abcdef")
    assert len({*ended.values()}) == 2


def test_what_a_step_raises_is_raised_to_who_waits_and_nothing_more_begins() -> None:
    begun: list[str] = []
    gone = threading.Event()

    def fail() -> None:
        raise ValueError("the first")

    def stay() -> None:
        gone.wait(timeout=60)

    def note() -> None:
        begun.append("never")

    with Crew[str, None](2) as crew:
        crew.begin("fails", fail)
        with pytest.raises(ValueError, match="the first"):
            crew.wait()
        for name in ("one", "other"):
            crew.begin(name, stay)
        crew.begin("late", note)
        threading.Timer(0.2, gone.set).start()

    assert begun == []


def test_a_limit_of_processes_is_named_and_what_runs_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun: list[str] = []

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")  # as on a system that is at its limit

    with Crew[str, None](2) as crew:
        crew.begin("first", lambda: begun.append("first"))
        crew.wait()
        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(ContractError, match="can't start new thread; see ulimit -u") as caught:
            crew.begin("second", lambda: None)

    assert (caught.value.code, caught.value.reason) == ("ERR_ADAPTER_INVOCATION", "spawn_failed")
    assert begun == ["first"]


def test_signals_are_for_the_thread_that_waits() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with Crew[str, set[int]](1) as crew:
        crew.begin("a", lambda: set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        _, blocked = crew.wait()

    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= blocked
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
