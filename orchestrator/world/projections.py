"""The projections as tables: where the changes that ``fold`` names become SQL.

The tables hold nothing that the events do not say, so they can be dropped and folded again. One
object applies events to one schema of a connection: ``main`` when a ledger is written, a scratch
schema when it is verified.
"""

from __future__ import annotations

from orchestrator.loop import transitions
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
    "goals": """\
CREATE TABLE {schema}.goals (
  name TEXT NOT NULL PRIMARY KEY,
  goal TEXT NOT NULL,
  must_hold TEXT NOT NULL,
  status TEXT NOT NULL,
  proof TEXT,
  declared_seq INTEGER NOT NULL,
  judged_seq INTEGER
) STRICT, WITHOUT ROWID""",
    "plans": """\
CREATE TABLE {schema}.plans (
  plan TEXT NOT NULL PRIMARY KEY,
  goal TEXT NOT NULL,
  accepted INTEGER NOT NULL,
  head_count INTEGER NOT NULL,
  head_hash TEXT NOT NULL,
  seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
    "transitions": """\
CREATE TABLE {schema}.transitions (
  execution_id TEXT NOT NULL PRIMARY KEY,
  goal TEXT NOT NULL,
  plan TEXT NOT NULL,
  step TEXT NOT NULL,
  attempt INTEGER NOT NULL,
  status TEXT NOT NULL,
  fence INTEGER NOT NULL,
  reserve_micro_usd INTEGER NOT NULL,
  spent_micro_usd INTEGER,
  outcome TEXT,
  admitted_seq INTEGER NOT NULL,
  settled_seq INTEGER
) STRICT, WITHOUT ROWID""",
    "leases": """\
CREATE TABLE {schema}.leases (
  prefix TEXT NOT NULL PRIMARY KEY,
  fence INTEGER NOT NULL,
  execution_id TEXT NOT NULL
) STRICT, WITHOUT ROWID""",
    "budgets": """\
CREATE TABLE {schema}.budgets (
  goal TEXT NOT NULL PRIMARY KEY,
  limit_micro_usd INTEGER NOT NULL,
  reserved_micro_usd INTEGER NOT NULL,
  spent_micro_usd INTEGER NOT NULL
) STRICT, WITHOUT ROWID""",
}

INDEXES = {
    "executions_by_memo": """\
CREATE INDEX {schema}.executions_by_memo ON executions (memo_key, settled_seq)
  WHERE status = 'success'""",
    "executions_running": """\
CREATE INDEX {schema}.executions_running ON executions (write_prefix)
  WHERE status = 'running'""",
    "transitions_by_fence": """\
CREATE UNIQUE INDEX {schema}.transitions_by_fence ON transitions (fence)""",
    "transitions_by_step": """\
CREATE UNIQUE INDEX {schema}.transitions_by_step ON transitions (goal, step, attempt)""",
    "leases_by_holder": """\
CREATE INDEX {schema}.leases_by_holder ON leases (execution_id)""",
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


def _words(words: tuple[str, ...]) -> str:
    """Words of our own tables, as SQL."""
    return ", ".join(f"'{word}'" for word in words)


def _update(type_: str, assignments: str, *conditions: str) -> tuple[str, bool]:
    """A change of an execution that is in a status from which the table of moves allows it."""
    allowed = _words(fold.MOVES[f"execution.{type_}"])
    where = " AND ".join(["execution_id = ?", *conditions, f"status IN ({allowed})"])
    # Nothing in here comes from outside this module and the table of moves.
    return f"UPDATE {{schema}}.executions SET {assignments} WHERE {where}", True  # noqa: S608


def _goal(type_: str, assignments: str, *conditions: str) -> tuple[str, bool]:
    """A change of a goal whose document is the one that was judged, likewise."""
    allowed = f"status IN ({_words(fold.GOAL_MOVES[type_])})"
    where = " AND ".join(["name = ?", "goal = ?", *conditions, allowed])
    return f"UPDATE {{schema}}.goals SET {assignments} WHERE {where}", True  # noqa: S608


def _end(event: str) -> tuple[str, bool]:
    """The end of a transition, by the fence it was admitted with, as its execution ended.

    What is not spent of the reserve is refunded, to the last micro-dollar.
    """
    allowed = transitions.sources(event)
    [after] = {transitions.advance(state, event) for state in allowed}
    return (
        f"""\
UPDATE {{schema}}.transitions
  SET status = '{after}', outcome = ?3, spent_micro_usd = ?4, settled_seq = ?6
  WHERE execution_id = ?1 AND fence = ?2 AND status IN ({_words(allowed)})
  AND ?5 = max(0, reserve_micro_usd - ?4)
  AND EXISTS (SELECT 1 FROM {{schema}}.executions WHERE execution_id = ?1 AND status = ?3)""",  # noqa: S608
        True,
    )


_PUT = """\
INSERT INTO {schema}.artifacts VALUES (?, ?, ?, ?, ?)
  ON CONFLICT (path) DO UPDATE SET cid = excluded.cid, size_bytes = excluded.size_bytes,
  mime = excluded.mime, seq = excluded.seq"""

_REQUESTED = """\
INSERT INTO {schema}.executions
  (execution_id, ref, intent, write_prefix, requested_seq, status, attempt)
  VALUES (?, ?, ?, ?, ?, 'requested', 0) ON CONFLICT DO NOTHING"""

_DECLARED = """\
INSERT INTO {schema}.goals (name, goal, must_hold, declared_seq, status)
  VALUES (?, ?, ?, ?, 'unproved') ON CONFLICT DO NOTHING"""

# What is reused is a success of the same key.
_ORIGIN = """\
EXISTS (SELECT 1 FROM {schema}.executions
  WHERE execution_id = ? AND memo_key = ? AND status = 'success')"""

# A success has put its outputs and receipts before.
_COMPLETE = "(? = 'error' OR (outputs_seq IS NOT NULL AND receipts_seq IS NOT NULL))"

# An execution that has a transition starts when that may start.
_MAY_START = f"""\
NOT EXISTS (SELECT 1 FROM {{schema}}.transitions
  WHERE transitions.execution_id = executions.execution_id
  AND transitions.status NOT IN ({_words(transitions.sources(transitions.START))}))"""  # noqa: S608

# A step of a plan that was accepted and has not succeeded; the first word about its execution; with
# a fence greater than every one before.
_ADMIT = f"""\
INSERT INTO {{schema}}.transitions
  (execution_id, goal, plan, step, attempt, status, fence, reserve_micro_usd, admitted_seq)
  SELECT ?1, ?2, ?3, ?4, ?5, '{transitions.ADMITTED}', ?6, ?7, ?8
  WHERE EXISTS (SELECT 1 FROM {{schema}}.plans WHERE plan = ?3 AND goal = ?2 AND accepted = 1)
  AND NOT EXISTS (SELECT 1 FROM {{schema}}.executions WHERE execution_id = ?1)
  AND NOT EXISTS (SELECT 1 FROM {{schema}}.transitions
    WHERE goal = ?2 AND step = ?4 AND plan = ?3 AND outcome = '{fold.SUCCESS}')
  AND ?5 = 1 + (SELECT coalesce(max(attempt), 0) FROM {{schema}}.transitions
    WHERE goal = ?2 AND step = ?4)
  AND ?6 > (SELECT coalesce(max(fence), 0) FROM {{schema}}.transitions)
  ON CONFLICT DO NOTHING"""  # noqa: S608

_START = f"""\
UPDATE {{schema}}.transitions SET status = '{transitions.EXECUTING}'
  WHERE execution_id = ? AND status IN ({_words(transitions.sources(transitions.START))})"""  # noqa: S608

# Leases never overlap, so of all that lie before a prefix only the last can be around it.
_LEASE = """\
INSERT INTO {schema}.leases SELECT ?1, ?3, ?4
  WHERE NOT EXISTS (SELECT 1 FROM {schema}.leases WHERE prefix >= ?1 AND prefix < ?2)
  AND NOT EXISTS (SELECT 1 FROM
    (SELECT prefix FROM {schema}.leases WHERE prefix < ?1 ORDER BY prefix DESC LIMIT 1)
    WHERE prefix = substr(?1, 1, length(prefix)))"""

_LIMIT = """\
INSERT INTO {schema}.budgets VALUES (?1, ?2, 0, 0)
  ON CONFLICT (goal) DO UPDATE SET limit_micro_usd = ?2
  WHERE reserved_micro_usd + spent_micro_usd <= ?2"""

_RESERVE = """\
UPDATE {schema}.budgets SET reserved_micro_usd = reserved_micro_usd + ?2
  WHERE goal = ?1 AND limit_micro_usd - reserved_micro_usd - spent_micro_usd >= ?2"""

_PAY = """\
UPDATE {schema}.budgets SET reserved_micro_usd = reserved_micro_usd - held.reserve_micro_usd,
  spent_micro_usd = budgets.spent_micro_usd + ?2
  FROM {schema}.transitions AS held WHERE held.execution_id = ?1 AND budgets.goal = held.goal
  AND reserved_micro_usd - held.reserve_micro_usd + budgets.spent_micro_usd + ?2
    <= limit_micro_usd"""

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
        _MAY_START,
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
    "goal.declared": (_DECLARED, True),
    "goal.changed": _goal(
        "goal.changed",
        (
            "goal = ?, must_hold = ?, declared_seq = ?,"
            " status = 'unproved', proof = NULL, judged_seq = NULL"
        ),
    ),
    # Satisfied is a goal of which everything that must hold was proved.
    "goal.satisfied": _goal(
        "goal.satisfied", "status = 'satisfied', proof = ?, judged_seq = ?", "must_hold = ?"
    ),
    "predicate.regressed": _goal(
        "predicate.regressed",
        "status = 'reopened', proof = NULL, judged_seq = ?",
        "instr(must_hold, ?) > 0",
    ),
    "limit": (_LIMIT, True),
    "plan": ("INSERT INTO {schema}.plans VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", True),
    transitions.ADMIT: (_ADMIT, True),
    transitions.START: (_START, False),  # an execution of its own has no transition
    transitions.SETTLE: _end(transitions.SETTLE),
    transitions.ABANDON: _end(transitions.ABANDON),
    "lease": (_LEASE, True),
    "release": ("DELETE FROM {schema}.leases WHERE execution_id = ?", False),
    "reserve": (_RESERVE, True),
    "pay": (_PAY, True),
}
