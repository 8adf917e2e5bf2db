"""The projections as tables: where the changes that ``fold`` names become SQL.

The tables hold nothing that the events do not say, so they can be dropped and folded again. One
object applies events to one schema of a connection: ``main`` when a ledger is written, a scratch
schema when it is verified.
"""

from __future__ import annotations

from orchestrator.world import fold
from orchestrator.world.chain import Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

# Ordered by their keys, so that the same rows are the same table.
TABLES = {
    "artifacts": """\
CREATE TABLE {schema}.artifacts (
  path TEXT NOT NULL PRIMARY KEY,
  cid TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  mime TEXT NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
    "executions": """\
CREATE TABLE {schema}.executions (
  execution_id TEXT NOT NULL PRIMARY KEY,
  ref TEXT NOT NULL,
  intent TEXT NOT NULL,
  write_prefix TEXT NOT NULL,
  status TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  memo_key TEXT,
  envelope TEXT,
  requested_seq INTEGER NOT NULL,
  started_seq INTEGER,
  outputs_seq INTEGER,
  receipts_seq INTEGER,
  settled_seq INTEGER
) STRICT, WITHOUT ROWID""",
}

INDEXES = {
    "executions_by_memo": """\
CREATE INDEX {schema}.executions_by_memo ON executions (memo_key, settled_seq)
  WHERE status = 'success'""",
    "executions_running": """\
CREATE INDEX {schema}.executions_running ON executions (execution_id)
  WHERE status = 'running'""",
}


class IllegalMoveError(ValueError):
    """A fact that the facts before it do not allow: a mistake in our code, not in any input."""


class Projections:
    """The projections of one schema of a connection. The caller holds the transaction."""

    def __init__(self, connection: sqlite3.Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._statements = {
            name: (text.format(schema=schema), exact) for name, (text, exact) in _STATEMENTS.items()
        }

    def create(self) -> None:
        """Make the tables, empty."""
        for text in (*TABLES.values(), *INDEXES.values()):
            self._connection.execute(text.format(schema=self._schema))

    def apply(self, event: Event) -> None:
        """Make the changes of an event.

        Raises:
            IllegalMoveError: The event may not come here. Some of its changes may be made already;
                the transaction has to be given up.
        """
        for change in fold.changes(event):
            statement, exact = self._statements[change.name]
            if self._connection.execute(statement, change.values).rowcount != 1 and exact:
                raise IllegalMoveError(
                    f"event {event.seq}, {event.type}: what it changes is not in the state for it"
                )


def _update(type_: str, assignments: str, *conditions: str) -> tuple[str, bool]:
    """A change of an execution that is in a status from which the table of moves allows it."""
    allowed = ", ".join(f"'{status}'" for status in fold.MOVES[f"execution.{type_}"])
    where = " AND ".join(["execution_id = ?", *conditions, f"status IN ({allowed})"])
    # Nothing in here comes from outside this module and the table of moves.
    return f"UPDATE {{schema}}.executions SET {assignments} WHERE {where}", True  # noqa: S608


_PUT = """\
INSERT INTO {schema}.artifacts VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (path) DO UPDATE SET cid = excluded.cid, size_bytes = excluded.size_bytes,
  mime = excluded.mime, seq = excluded.seq"""

_REQUESTED = """\
INSERT INTO {schema}.executions
  (execution_id, ref, intent, write_prefix, requested_seq, status, attempt)
  VALUES (?, ?, ?, ?, ?, 'requested', 0) ON CONFLICT DO NOTHING"""

# What is reused is a success of the same key.
_ORIGIN = """\
EXISTS (SELECT 1 FROM {schema}.executions
  WHERE execution_id = ? AND memo_key = ? AND status = 'success')"""

# A success has put its outputs and receipts before.
_COMPLETE = "(? = 'error' OR (outputs_seq IS NOT NULL AND receipts_seq IS NOT NULL))"

# Change → its statement, and whether it must find exactly one row.
_STATEMENTS: dict[str, tuple[str, bool]] = {
    "put": (_PUT, True),
    "remove": ("DELETE FROM {schema}.artifacts WHERE path = ?", True),
    "drop": ("DELETE FROM {schema}.artifacts WHERE path >= ? AND path < ?", False),
    "requested": (_REQUESTED, True),
    "admitted": _update("admitted", "status = status"),
    "started": _update(
        "started",
        (
            "status = 'running', attempt = ?, memo_key = ?, started_seq = ?,"
            " outputs_seq = NULL, receipts_seq = NULL"
        ),
        "attempt = ?",
    ),
    "outputs": _update("outputs", "outputs_seq = ?", "attempt = ?"),
    "receipts": _update("receipts", "receipts_seq = ?", "attempt = ?"),
    "settled": _update(
        "settled", "status = ?, envelope = ?, settled_seq = ?", "attempt = ?", _COMPLETE
    ),
    "abandoned": _update("abandoned", "status = 'abandoned'", "attempt = ?"),
    "reused": _update(
        "reused",
        "status = 'reused', memo_key = ?, envelope = ?, outputs_seq = ?, settled_seq = ?",
        _ORIGIN,
    ),
}
