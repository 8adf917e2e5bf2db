"""Everything a ledger can be asked without a head: is this file what a ledger is?

In this order, since each rests on the one before: the header, SQLite's own check of its pages, the
schema to the letter, every event and its place in the chain, and the projections row by row against
a fold of the events into a scratch file. Memory stays flat, whatever the size.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from orchestrator.world import facts, ledger_file
from orchestrator.world.ledger import Ledger
from orchestrator.world.projections import TABLES, Projections
from processors.protocol import digests
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

# What a ledger's header and connection say.
_HEADER = (
    ("application_id", ledger_file.APPLICATION_ID),
    ("user_version", facts.FORMAT),
    ("encoding", "UTF-8"),
    ("journal_mode", "wal"),
    ("auto_vacuum", 0),
)


def problem(
    ledger: Ledger, progress: Callable[[int], None] = lambda _: None
) -> ContractError | None:
    """What is wrong with a ledger, with what mends it, or None if nothing is.

    Args:
        ledger: An open ledger, in no transaction.
        progress: Is told the number of each event that was verified.

    Raises:
        ContractError: ``ERR_INPUTS``: the world is busy or cannot be read at all.
    """
    file = ledger.file
    file.run("ATTACH DATABASE '' AS scratch")  # a file without a name, gone when detached
    try:
        with ledger.reading(), closing(_problems(ledger, progress)) as found:
            return next(found, None)
    except ContractError as error:
        if error.reason != "world_corrupt":
            raise
        # A new one: the other holds on to what is read, and that keeps the scratch file locked.
        return ContractError(error.code, error.reason, error.message)
    finally:
        file.run("DETACH DATABASE scratch")


def _problems(ledger: Ledger, progress: Callable[[int], None]) -> Generator[ContractError]:
    file = ledger.file
    for pragma, wanted in _HEADER:
        [value] = file.row(f"PRAGMA main.{pragma}") or [None]
        if value != wanted:
            yield file.corrupt(f"{pragma} is {value!a}, not {wanted!a}")
    for (words,) in file.select("PRAGMA main.integrity_check(1)"):
        if words != "ok":
            yield file.corrupt(f"SQLite's integrity check: {words!a}")
    if (schema := list(file.select(_SCHEMA))) != _own_schema():
        said = "the schema is not the one of a ledger"
        yield file.stale(said) if _kept(schema) == _kept(_own_schema()) else file.corrupt(said)
    for cid, data in ledger.ahead():
        if digests.of_bytes(data) != cid:
            yield file.corrupt(f"what was written ahead as {cid[:100]!a} has another hash")
    yield from _refolded(ledger, progress)
    for table in TABLES:
        yield from _differences(ledger, table)


def _own_schema() -> list[tuple[object, ...]]:
    """What the schema of a new ledger is, as SQLite stores it."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        connection.execute(ledger_file.EVENTS)
        ledger_file.create_all(connection)
        return connection.execute(_SCHEMA).fetchall()
    finally:
        connection.close()


def _kept(schema: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """The tables that are not made anew when the events are folded again."""
    return [row for row in schema if row[:2] in (("table", "events"), ("table", "ahead"))]


def _refolded(ledger: Ledger, progress: Callable[[int], None]) -> Iterator[ContractError]:
    """Verify every event and fold it into the scratch schema."""
    projections = Projections(ledger.file.connection, "scratch")
    ledger.head()  # what is numbered beyond it is no event that is read below
    for (least,) in ledger.file.select("SELECT min(seq) FROM events WHERE seq < 1"):
        if least is not None:
            yield ledger.file.corrupt(f"no event may be numbered {least}")
    try:
        projections.create()
        for event in ledger.events():
            projections.apply(event)
            progress(event.seq)
    except ledger_file.ERRORS as error:
        raise ledger.file.translated(error) from None
    except ValueError as error:  # an illegal move
        yield ledger.file.corrupt(str(error))


def _differences(ledger: Ledger, table: str) -> Iterator[ContractError]:
    """Where a table differs from its fold: the first row, by its key."""
    stored, folded = (
        ledger.file.select(f"SELECT * FROM {schema}.{table} ORDER BY 1")  # noqa: S608
        for schema in ("main", "scratch")
    )
    while True:
        one, other = next(stored, None), next(folded, None)
        if one != other:
            key = min(row[0] for row in (one, other) if row is not None)
            yield ledger.file.stale(
                f"the table {table} is not the fold of the events, first at {key!a}"
            )
        if one is None or other is None:
            return


_SCHEMA = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY type, name"
