"""Flipped bits: each is found, or provably changes nothing that a ledger says.

A ledger is made, its head published, its file closed, so that everything lies in the one file.
For each flip a copy with one bit or one byte changed is opened and audited, against the head as
well. If nothing is found, everything that can be read through the ledger is read, and must be what
it was.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from random import Random

from orchestrator.world import audit, heads, ledger_file
from orchestrator.world.ledger import Ledger
from processors.protocol import digests
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

type Fact = tuple[str, dict[str, Json]]

_WHERE = ((100, "in SQLite's header"), (4096, "on the first page"))


class Report:
    """What came of it."""

    def __init__(self) -> None:
        self.flips = 0
        self.found = 0
        self.harmless = 0
        self.missed: list[str] = []


class Original:
    """The ledger that is flipped: its file's bytes, its head, and everything it says."""

    def __init__(self, folder: str, facts: Sequence[Fact]) -> None:
        at = "2026-11-24T02:47:24.123Z"
        with Ledger(folder, make=True, clock=lambda: at) as ledger:
            for start in range(0, len(facts), 50):
                with ledger.writing() as transaction:
                    for fact in facts[start : start + 50]:
                        transaction.append(*fact)
            self.head = heads.publish(ledger, None, at)
        with open(os.path.join(folder, ledger_file.NAME), "rb") as file:
            self.data = file.read()
        with Ledger(folder, make=False) as ledger:
            self.says = export(ledger)


def torture(original: Original, scratch: str, flips: int, rng: Random) -> Report:
    """Flip so many places, spread evenly over the whole file.

    Args:
        original: What is flipped.
        scratch: A folder for the copies; is made and removed.
        flips: How many.
        rng: Draws the place within each stretch, and the bits.
    """
    report = Report()
    size = len(original.data)
    for number in range(flips):
        low, high = size * number // flips, size * (number + 1) // flips
        offset = rng.randrange(low, max(high, low + 1))
        # Half of them single bits; the other half any other byte.
        mask = 1 << rng.randrange(8) if rng.random() < 0.5 else rng.randrange(1, 256)
        report.flips += 1
        verdict = judge(original, scratch, offset, mask)
        if verdict is None:
            report.harmless += 1
        elif verdict == "":
            report.found += 1
        else:
            report.missed.append(f"byte {offset} {_place(offset)}, mask {mask:#04x}: {verdict}")
    return report


def judge(original: Original, scratch: str, offset: int, mask: int) -> str | None:
    """An empty text if a flip is found, None if it changes nothing, or what it changed unseen."""
    os.makedirs(scratch)
    try:
        data = bytearray(original.data)
        data[offset] ^= mask
        with open(os.path.join(scratch, ledger_file.NAME), "wb") as file:
            file.write(data)
        try:
            with Ledger(scratch, make=False) as ledger:
                if audit.problem(ledger) or heads.problem(ledger, original.head, None):
                    return ""
                return None if export(ledger) == original.says else "it says something else"
        except ContractError:
            return ""
    finally:
        shutil.rmtree(scratch)


def export(ledger: Ledger) -> str:
    """The digest of everything that can be read: in order, and one by one, by every key."""
    says: list[Json] = [ledger.world(), ledger.head().count, ledger.head().hash]
    for event in ledger.events():
        says += [event.seq, event.hash, event.type, event.version, event.at, event.data]
        at_count = ledger.head_at(event.seq)
        says += [None if at_count is None else at_count.hash, ledger.event(event.seq).hash]
    for item in ledger.artifacts():
        found = ledger.artifact(item.path)
        says += [[getattr(each, key) for key in item.__slots__] for each in (item, found)]
    for row in ledger.executions():
        same = ledger.execution(row.execution_id)
        says += [[getattr(each, key) for key in row.__slots__] for each in (row, same)]
        again = ledger.by_memo(row.memo_key or "")
        says.append(None if again is None else again.execution_id)
    return digests.of_json(says)


def _place(offset: int) -> str:
    return next((words for end, words in _WHERE if offset < end), f"on page {offset // 4096 + 1}")
