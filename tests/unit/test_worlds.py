"""A few open worlds: each is one thread's at a time, and true to its file."""

from __future__ import annotations

import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestrator.loop.worlds import Worlds
from orchestrator.world import heads
from orchestrator.world.world import World
from processors.protocol.errors import ContractError
from tests.fixtures.lives import AT

THREADS = 12


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """The folder of a world."""
    World(str(tmp_path / "w"), make=True).ledger.close()
    return str(tmp_path / "w")


def _put(world: World, goal: str) -> None:
    with world.ledger.writing() as transaction:
        transaction.append("budget.set", {"goal": goal, "limit_micro_usd": 1})


def test_many_threads_write_by_two_worlds_and_no_world_is_with_two_threads(folder: str) -> None:
    lock = threading.Lock()
    held: set[int] = set()
    seen: set[int] = set()

    def write(number: int) -> None:
        with worlds.lend() as world:
            with lock:
                assert id(world) not in held
                held.add(id(world))
                seen.add(id(world))
            _put(world, f"g{number}")
            with lock:
                held.remove(id(world))

    with Worlds(folder, 2) as worlds, ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(write, range(THREADS)))

    with World(folder, make=False) as world:
        assert world.ledger.head().count == 1 + THREADS
    assert len(seen) <= 2


def test_who_finds_none_free_waits_for_one(folder: str) -> None:
    got = threading.Event()

    def take() -> None:
        with worlds.lend():
            got.set()

    with Worlds(folder, 1) as worlds:
        with worlds.lend():
            other = threading.Thread(target=take)
            other.start()
            assert not got.wait(timeout=0.2)
        assert got.wait(timeout=60)
        other.join()


def test_a_world_sees_what_another_process_has_committed_since_it_was_opened(folder: str) -> None:
    with Worlds(folder, 1) as worlds, World(folder, make=False) as other:
        with worlds.lend() as world:
            assert world.ledger.head().count == 1
        _put(other, "g")
        with worlds.lend() as world:
            assert world.ledger.head().count == 2


def test_a_file_that_took_the_place_of_the_ledger_is_opened(folder: str) -> None:
    ledger = Path(folder, "ledger.sqlite3")
    with Worlds(folder, 1) as worlds:
        with worlds.lend() as world:
            assert world.ledger.head().count == 1
        shutil.copy(ledger, f"{folder}/copy")
        os.replace(f"{folder}/copy", ledger)
        with World(folder, make=False) as other:
            _put(other, "g")
        with worlds.lend() as world:
            assert world.ledger.head().count == 2


def test_a_ledger_that_is_shorter_than_its_head_is_lent_to_nobody(folder: str) -> None:
    ledger = Path(folder, "ledger.sqlite3")
    shutil.copy(ledger, f"{folder}/copy")
    with World(folder, make=False) as world:
        _put(world, "g")
        heads.publish(world.ledger, None, AT)
    os.replace(f"{folder}/copy", ledger)

    with Worlds(folder, 1) as worlds:
        for _ in range(2):  # the second does not find what the first has opened
            with pytest.raises(ContractError, match="truncated") as caught, worlds.lend():
                pass
            assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", "world_corrupt")


def test_a_folder_without_a_world_is_told(tmp_path: Path) -> None:
    with (
        Worlds(str(tmp_path), 1) as worlds,
        pytest.raises(ContractError) as caught,
        worlds.lend(),
    ):
        pass

    assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", "world_absent")
