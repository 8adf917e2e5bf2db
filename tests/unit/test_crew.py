"""A crew: so many threads, each with one open world; what a step raises is for who waits."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from orchestrator.loop.crew import Crew
from orchestrator.world import heads
from orchestrator.world.world import World
from processors.protocol.errors import ContractError
from tests.fixtures.lives import AT


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """The folder of a world."""
    World(str(tmp_path / "w"), make=True).ledger.close()
    return str(tmp_path / "w")


def test_each_thread_has_one_world_for_all_that_it_runs(folder: str) -> None:
    both = threading.Barrier(2)
    worlds: dict[int, set[int]] = {}

    def work(world: World) -> int:
        both.wait(timeout=60)
        worlds.setdefault(threading.get_ident(), set()).add(id(world))
        return world.ledger.head().count

    with Crew[str, int](folder, 2) as crew:
        for name in "abcdef":
            crew.begin(name, work)
        ended = sorted(crew.wait() for _ in range(6))

    assert ended == [(name, 1) for name in "abcdef"]
    assert [len(each) for each in worlds.values()] == [1, 1]


def test_a_thread_sees_what_another_process_has_committed_since_it_opened_its_world(
    folder: str,
) -> None:
    def count(world: World) -> int:
        return world.ledger.head().count

    with Crew[str, int](folder, 1) as crew, World(folder, make=False) as other:
        crew.begin("before", count)
        assert crew.wait() == ("before", 1)
        with other.ledger.writing() as transaction:
            transaction.append("budget.set", {"goal": "g", "limit_micro_usd": 1})
        crew.begin("after", count)
        assert crew.wait() == ("after", 2)


def test_a_file_that_took_the_place_of_the_ledger_is_opened(folder: str) -> None:
    def count(world: World) -> int:
        return world.ledger.head().count

    ledger = Path(folder, "ledger.sqlite3")
    with Crew[str, int](folder, 1) as crew:
        crew.begin("before", count)
        assert crew.wait() == ("before", 1)
        shutil.copy(ledger, f"{folder}/copy")
        os.replace(f"{folder}/copy", ledger)
        with World(folder, make=False) as other, other.ledger.writing() as transaction:
            transaction.append("budget.set", {"goal": "g", "limit_micro_usd": 1})
        crew.begin("after", count)
        assert crew.wait() == ("after", 2)


def test_a_ledger_that_is_shorter_than_its_head_runs_nothing(folder: str) -> None:
    ledger = Path(folder, "ledger.sqlite3")
    shutil.copy(ledger, f"{folder}/copy")
    with World(folder, make=False) as world:
        with world.ledger.writing() as transaction:
            transaction.append("budget.set", {"goal": "g", "limit_micro_usd": 1})
        heads.publish(world.ledger, None, AT)
    os.replace(f"{folder}/copy", ledger)

    with Crew[str, None](folder, 1) as crew:
        crew.begin("a", lambda _: None)
        with pytest.raises(ContractError, match="truncated") as caught:
            crew.wait()

    assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", "world_corrupt")


def test_what_a_step_raises_is_raised_to_who_waits_and_nothing_more_begins(folder: str) -> None:
    begun: list[str] = []
    gone = threading.Event()

    def fail(_: World) -> None:
        raise ValueError("the first")

    def stay(_: World) -> None:
        gone.wait(timeout=60)

    def note(_: World) -> None:
        begun.append("never")

    with Crew[str, None](folder, 2) as crew:
        crew.begin("fails", fail)
        with pytest.raises(ValueError, match="the first"):
            crew.wait()
        for name in ("one", "other"):
            crew.begin(name, stay)
        crew.begin("late", note)
        threading.Timer(0.2, gone.set).start()

    assert begun == []


def test_a_folder_without_a_world_is_told(tmp_path: Path) -> None:
    with Crew[str, None](str(tmp_path), 1) as crew:
        crew.begin("a", lambda _: None)
        with pytest.raises(ContractError) as caught:
            crew.wait()

    assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", "world_absent")


def test_signals_are_for_the_thread_that_waits(folder: str) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with Crew[str, set[int]](folder, 1) as crew:
        crew.begin("a", lambda _: set(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
        _, blocked = crew.wait()

    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= blocked
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
