"""Writers that are killed at any moment: what was acknowledged is there, and all of it is whole.

Several processes place contents and append to one world, as fast as they can, from before it
exists. One after the other is killed with SIGKILL and replaced. After each kill the world is judged
as whoever comes next finds it, with the others still at work.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from random import Random

from orchestrator.world import audit, heads
from orchestrator.world.ledger import Ledger, utc_now
from orchestrator.world.objects import Objects
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

DELAY_S = 0.08  # between two kills, on average; a transaction takes a few milliseconds


class Writer:
    """A process that writes until it is killed, and notes what was committed."""

    def __init__(self, world: str, number: int) -> None:
        self._notes = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed in kill()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                write_for_ever(world, number, self._notes.fileno())
            finally:
                os._exit(1)  # it never ends by itself

    def kill(self) -> set[str]:
        """End it at once; return the paths whose transactions it saw committed.

        Raises:
            RuntimeError: It had ended by itself.
        """
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        with self._notes:
            self._notes.seek(0)
            whole, _, _ = self._notes.read().rpartition(b"\n")
        if not os.WIFSIGNALED(status):
            raise RuntimeError(f"a writer ended by itself with {os.waitstatus_to_exitcode(status)}")
        return set(whole.decode().split())


class Report:
    """What came of it."""

    def __init__(self) -> None:
        self.kills = 0
        self.acknowledged = 0
        self.events = 0
        self.wrong: list[str] = []


def torture(folder: str, kills: int, writers: int, rng: Random) -> Report:
    """Kill so many writers of one world.

    Args:
        folder: Where the world is to be; must not exist.
        kills: How many.
        writers: How many write at a time.
        rng: Draws moments and victims.
    """
    report = Report()
    acknowledged: set[str] = set()
    running = [Writer(folder, number) for number in range(writers)]
    number = writers
    while report.kills < kills:
        time.sleep(rng.expovariate(1 / DELAY_S))
        victim = running.pop(rng.randrange(len(running)))
        acknowledged |= victim.kill()
        report.kills += 1
        report.wrong += judge(folder, acknowledged)
        running.append(Writer(folder, number))
        number += 1
    for writer in running:
        acknowledged |= writer.kill()
    report.wrong += judge(folder, acknowledged)
    report.acknowledged = len(acknowledged)
    with Ledger(folder, make=True) as ledger:
        report.events = ledger.head().count
    return report


def judge(folder: str, acknowledged: set[str]) -> Iterator[str]:
    """What is wrong with a world, as one finds it who knows what was acknowledged."""
    with Ledger(folder, make=True) as ledger:
        if (found := audit.problem(ledger)) is not None:
            yield found.message
        head = os.path.join(folder, heads.FILE)
        if os.path.exists(head):
            problem = heads.problem(ledger, heads.read(head), None)
            yield from () if problem is None else (problem,)
        there = {item.path: item for item in ledger.artifacts()}
        yield from (f"{path} was acknowledged and is lost" for path in acknowledged - there.keys())
        store = Objects(folder)
        for item in there.values():
            try:
                size = len(store.read(item.cid))
            except ContractError as error:
                yield error.message
            else:
                yield from () if size == item.size_bytes else (f"{item.path} has another size",)


def write_for_ever(world: str, number: int, notes: int) -> None:
    """Place contents and append to the world; after each commit note the paths it was about."""
    store = Objects(world)
    parent = os.getppid()
    with Ledger(world, make=True) as ledger:
        turn = 0
        while os.getppid() == parent:  # nobody is left to kill it otherwise
            turn += 1
            with store.placing() as placing:
                facts: list[dict[str, Json]] = []
                for part in range(turn % 3 + 1):
                    data = f"{number} {turn} {part}".encode() * (turn % 50)
                    cid, size_bytes = placing.write(data)
                    path = f"/artifacts/{number}/{turn}/{part}"
                    facts.append({"path": path, "cid": cid, "size_bytes": size_bytes})
                placing.place()
                with ledger.writing() as transaction:
                    for fact in facts:
                        own: dict[str, Json] = {"mime": "text/plain", "source": None}
                        transaction.append("artifact.put", {**fact, **own})
            os.write(notes, b"".join(str(fact["path"]).encode() + b"\n" for fact in facts))
            if turn % 10 == 0:
                heads.publish(ledger, None, utc_now())
