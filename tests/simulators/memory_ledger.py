"""A ledger in memory: the real one, but for the file. It can be copied and put back.

Chain, fold, projections, schema and transactions are the product's own; what lies on no disk can
neither be made durable nor be shared with another process.
"""

from __future__ import annotations

import sqlite3

from orchestrator.world import chain, ledger_file
from orchestrator.world.ledger import Ledger
from orchestrator.world.ledger_file import LedgerFile
from orchestrator.world.projections import Projections
from tests.fixtures.lives import AT, CREATED


class MemoryFile(LedgerFile):
    """The file, in memory."""

    def __init__(self) -> None:
        self.folder = "memory"
        self.connection = sqlite3.connect(
            ":memory:",
            isolation_level=None,
            cached_statements=0,  # one that was prepared would outlive what is put back
        )


class MemoryLedger(Ledger):
    """A new world's ledger, in memory."""

    def __init__(self) -> None:
        self.folder = "memory"
        self.file = MemoryFile()
        self._clock = lambda: AT
        self._projections = Projections(self.file.connection, "main")
        self.file.connection.execute(ledger_file.EVENTS)
        ledger_file.create_all(self.file.connection)
        event = chain.seal(chain.START, *CREATED, AT)
        self.file.connection.execute(ledger_file.INSERT, (event.seq, event.body, event.hash))

    def copy(self) -> bytes:
        """All of it, at this moment."""
        return self.file.connection.serialize()

    def put_back(self, copied: bytes) -> None:
        """Be again what was copied."""
        self.file.connection.deserialize(copied)
