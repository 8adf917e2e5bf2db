"""Whatever became of the projections, ``world rebuild`` makes them again bit for bit."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.world import audit
from orchestrator.world.ledger import Ledger
from orchestrator.world.projections import TABLES
from tests.fixtures.lives import AT, story
from tests.fixtures.programs import world_command
from tests.property.profile import searched_by_runs

SPOILS = (
    "DELETE FROM artifacts",
    "DELETE FROM executions WHERE attempt = 1",
    "UPDATE artifacts SET cid = 'sha256:' || path",
    "UPDATE executions SET status = 'success', attempt = attempt + 1",
    "INSERT INTO artifacts VALUES ('/artifacts/forged', 'c', 1, 'm', 1)",
    "DELETE FROM leases",
    "UPDATE budgets SET spent_micro_usd = 0, limit_micro_usd = 1000000",
    "UPDATE transitions SET status = 'executing', fence = fence + 1000",
    "INSERT INTO leases VALUES ('/artifacts/forged/', 1, 'forged')",
    "UPDATE plans SET accepted = 1 - accepted",
    "DROP TABLE executions",
    "DROP TABLE transitions",
    "DROP INDEX transitions_by_fence",
    "CREATE TABLE own (a)",
    "DROP INDEX executions_by_memo",
    "DROP TRIGGER events_are_kept",
    "PRAGMA user_version = 0",
)

type Rows = dict[str, list[tuple[object, ...]]]


def rows(world: Path) -> Rows:
    """Everything that the file holds: its schema, its events, its projections."""
    connection = sqlite3.connect(world / "ledger.sqlite3")
    schema = "(SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2)"
    try:
        return {
            name: connection.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608
            for name in ("events", *TABLES, schema)
        }
    finally:
        connection.close()


@pytest.mark.proves("WL-1")
@searched_by_runs
@given(st.integers(0, 60), st.lists(st.sampled_from(SPOILS), min_size=1, max_size=4, unique=True))
def test_a_rebuild_by_command_is_bit_for_bit(count: int, spoils: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "w"
        with (
            Ledger(str(world), make=True, clock=lambda: AT) as ledger,
            ledger.writing() as transaction,
        ):
            for fact in story(count):
                transaction.append(*fact)
        before = rows(world)
        connection = sqlite3.connect(world / "ledger.sqlite3", isolation_level=None)
        for statement in sorted(spoils, key=lambda text: text.startswith("DROP")):
            connection.execute(statement)
        connection.close()

        assert world_command("rebuild", world=world).result["events"] == count + 1

        assert rows(world) == before
        with Ledger(str(world), make=False) as ledger:
            assert audit.problem(ledger) is None
