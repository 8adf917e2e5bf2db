"""Several processes and one world: appending at once, and being killed at any moment."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from orchestrator.world import audit, heads
from orchestrator.world.heads import publish
from orchestrator.world.ledger import Ledger, utc_now
from tests.fixtures import lives
from tools.torture.killing import torture

PROCESSES = 4
TRANSACTIONS = 50
KILLS = 20


def spawned(work: list[tuple[str, int]]) -> list[int]:
    """Run each piece of work in a process of its own, all at once; return their exit statuses."""
    pids = []
    for world, number in work:
        pid = os.fork()
        if pid == 0:
            try:
                append(world, number)
                os._exit(0)
            finally:
                os._exit(1)
        pids.append(pid)
    return [os.waitpid(pid, 0)[1] for pid in pids]


def append(world: str, number: int) -> None:
    """Append to a world that may not exist yet, and publish heads in between."""
    with Ledger(world, make=True) as ledger:
        for turn in range(TRANSACTIONS):
            with ledger.writing() as transaction:
                before = ledger.head().count
                for part in range(turn % 3 + 1):
                    put = lives.put(f"/artifacts/{number}/{turn}/{part}")
                    assert transaction.append(*put).seq == before + part + 1
            if turn % 10 == 9:
                publish(ledger, None, utc_now())


def test_what_several_processes_append_at_once_is_one_chain_with_nothing_lost(
    tmp_path: Path,
) -> None:
    world = str(tmp_path / "w")

    assert spawned([(world, number) for number in range(PROCESSES)]) == [0] * PROCESSES

    with Ledger(world, make=False) as ledger:
        events = list(ledger.events())
        paths = [str(event.data["path"]) for event in events[1:]]
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        expected = [
            f"/artifacts/{number}/{turn}/{part}"
            for number in range(PROCESSES)
            for turn in range(TRANSACTIONS)
            for part in range(turn % 3 + 1)
        ]
        assert Counter(paths) == Counter(expected)
        for number in range(PROCESSES):
            own = [path for path in paths if path.startswith(f"/artifacts/{number}/")]
            assert own == [path for path in expected if path.startswith(f"/artifacts/{number}/")]
        # A transaction is not torn apart by another process's.
        assert all(
            paths[place - 1] == f"{path.rpartition('/')[0]}/{int(path[-1]) - 1}"
            for place, path in enumerate(paths)
            if path[-1] != "0"
        )
        assert audit.problem(ledger) is None
        head = heads.read(os.path.join(world, heads.FILE))
        assert heads.problem(ledger, head, None) is None


@pytest.fixture
def disk() -> Path:
    """A folder on a disk. In memory nobody waits, so killed writers would hardly be in the middle.

    And so much would be written between two kills that judging it takes longer than the test may.
    """
    return Path(tempfile.mkdtemp(dir=os.environ["TEST_TMPDIR"]))


def test_killed_writers_lose_nothing_that_was_acknowledged_and_leave_nothing_half_done(
    disk: Path,
) -> None:
    report = torture(str(disk / "w"), KILLS, PROCESSES, Random(20))  # noqa: S311 - repeatable

    assert report.wrong == []
    assert report.kills == KILLS
    assert report.acknowledged > 0
    assert report.events > report.acknowledged
