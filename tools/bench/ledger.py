"""The ledger: what appending and verifying cost, as ratios to SQLite and to hashing alone.

    tools/bazel run //tools/bench:ledger [-- --rounds N --large N]

Sides alternate in small pieces, so that a busy machine slows all; ratios are of medians. Raw is
the sqlite3 module with the same settings that inserts the same rows, each event with the hash of
the one before: once events and artifacts, as the ledger does, and once events alone. It checks
nothing. All write into a log that has its full size. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

from orchestrator.world import audit, chain, ledger_file
from orchestrator.world.ledger import Ledger, utc_now
from orchestrator.world.projections import TABLES
from processors.protocol.canonical import Json

type Side = Callable[[int, int], None]  # appends so many events, from a number on

GROUP = 100
PIECE = 5  # transactions that are timed together
WARM_UP = 60  # transactions of 100 events: the log has been checkpointed once and grows no more
SMALL = 1_000  # events of the ledger that a large one is compared with, before warming up


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=300, help="of each comparison")
    parser.add_argument("--large", type=int, default=1_000_000, help="events of a large ledger")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare_with_raw(folder, given.rounds, 1)
        compare_with_raw(folder, given.rounds, GROUP)
    with tempfile.TemporaryDirectory() as folder:
        large = os.path.join(folder, "large")
        fill(large, given.large)
        compare_sizes(folder, large, given.rounds, 1)
        compare_sizes(folder, large, given.rounds, GROUP)
        measure_verify(large)


def fact(number: int) -> dict[str, Json]:
    """What is appended: an artifact of its own, of a thousand that are visible."""
    return {
        "path": f"/artifacts/bench/{number % 1_000:03d}/outputs/text.md",
        "cid": "sha256:" + f"{number:064x}",
        "size_bytes": number,
        "mime": "text/markdown",
        "source": None,
    }


class Raw:
    """The floor: events with a hash chain in SQLite, perhaps artifacts, and nothing else."""

    def __init__(self, path: str, *, artifacts: bool) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode = WAL", "synchronous = FULL"):
            self._connection.execute(f"PRAGMA {setting}")
        self._connection.execute(ledger_file.EVENTS)
        self._connection.execute(TABLES["artifacts"].format(schema="main"))
        self._artifacts = artifacts
        self._seq = 0
        self._prev = chain.START.hash

    def append(self, start: int, count: int) -> None:
        """One transaction."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        at = utc_now()
        for number in range(start, start + count):
            self._seq += 1
            data = fact(number)
            body = json.dumps(
                {
                    "at": at,
                    "data": data,
                    "prev": self._prev,
                    "seq": self._seq,
                    "type": "artifact.put",
                    "v": 2,
                },
                sort_keys=True,
                separators=(",", ":"),
            ).encode()
            self._prev = "sha256:" + hashlib.sha256(body).hexdigest()
            execute("INSERT INTO events VALUES (?, ?, ?)", (self._seq, body, self._prev))
            if self._artifacts:
                execute(
                    "INSERT OR REPLACE INTO artifacts VALUES (?, ?, ?, ?, ?)",
                    (*list(data.values())[:4], self._seq),
                )
        execute("COMMIT")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def append(ledger: Ledger, start: int, count: int) -> None:
    """One transaction."""
    with ledger.writing() as transaction:
        for number in range(start, start + count):
            transaction.append("artifact.put", fact(number))


def compare_with_raw(folder: str, rounds: int, group: int) -> None:
    """Appending in transactions of a size, ours and raw."""
    whole = Raw(os.path.join(folder, f"whole-{group}.sqlite3"), artifacts=True)
    events = Raw(os.path.join(folder, f"events-{group}.sqlite3"), artifacts=False)
    with Ledger(os.path.join(folder, f"ours-{group}"), make=True) as ledger:
        sides: list[Side] = [
            lambda start, count: append(ledger, start, count),
            whole.append,
            events.append,
        ]
        ours, *floors = interleaved(sides, rounds, group)
    for name, floor in zip(("the same rows", "events alone"), floors, strict=True):
        report(f"append, {group} a transaction", ours, floor, group, f"raw, {name}")
    whole.close()
    events.close()


def compare_sizes(folder: str, large: str, rounds: int, group: int) -> None:
    """Appending to a large ledger and to a small one."""
    small = os.path.join(folder, f"small-{group}")
    fill(small, SMALL)
    with Ledger(large, make=False) as many, Ledger(small, make=False) as few:
        sides: list[Side] = [
            lambda start, count: append(many, start, count),
            lambda start, count: append(few, start, count),
        ]
        one, other = interleaved(sides, rounds, group)
        name = f"append at {many.head().count} events, {group} a transaction"
    report(name, one, other, group, f"at {SMALL}")


def interleaved(sides: Sequence[Side], rounds: int, group: int) -> list[list[float]]:
    """The times of each side's transactions, in pieces of a few, in turns that begin anywhere."""
    for start in range(0, WARM_UP * GROUP, GROUP):
        for side in sides:
            side(start, GROUP)
    times: list[list[float]] = [[] for _ in sides]
    start = 0
    for turn in range(rounds):
        for place in range(len(sides)):
            chosen = (turn + place) % len(sides)
            begun = time.perf_counter()
            for number in range(PIECE):
                sides[chosen](start + number * group, group)
            times[chosen].append((time.perf_counter() - begun) / PIECE)
        start += PIECE * group
    return times


def fill(folder: str, count: int) -> None:
    """Make a ledger of so many events."""
    with Ledger(folder, make=True) as ledger:
        for start in range(1, count, 10_000):
            append(ledger, start, min(10_000, count - start))


def measure_verify(folder: str) -> None:
    """Verifying everything, beside hashing the same bytes; memory at the end of each part."""
    with Ledger(folder, make=False) as ledger:
        count = ledger.head().count
        hashing = clocked(lambda: drain(ledger.file.select("SELECT body, hash FROM events")))
        peak_before = peak_mb()
        chained = clocked(lambda: sum(1 for _ in ledger.events()))
        peak_chained = peak_mb()
        whole = clocked(lambda: audit.problem(ledger))
        peak_whole = peak_mb()
    print(f"verify {count} events: hashing the same bytes {hashing:.1f} s")
    for name, seconds, peak in (
        ("chain alone", chained, peak_chained),
        ("whole audit", whole, peak_whole),
    ):
        speed = count / seconds
        print(
            f"  {name}: {seconds:.1f} s, {speed:.0f} events a second, {seconds / hashing:.1f} times"
            f" hashing; peak memory {peak:.0f} MB (before: {peak_before:.0f})"
        )


def drain(rows: Iterator[tuple[bytes, str]]) -> None:
    """Hash every body."""
    for body, _ in rows:
        hashlib.sha256(body).digest()


def clocked(work: Callable[[], object]) -> float:
    """How long it takes, in seconds."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def peak_mb() -> float:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(name: str, one: list[float], other: list[float], events: int, versus: str) -> None:
    """One line."""
    ours, theirs = statistics.median(one), statistics.median(other)
    print(
        f"{name}: {ours / events * 1e6:.0f} us an event, {versus} {theirs / events * 1e6:.0f} us,"
        f" ratio {ours / theirs:.2f} ({len(one)} interleaved pieces)",
        flush=True,
    )


if __name__ == "__main__":
    main()
