"""The ledger's SQLite file: its schema, how it is opened and made, what its errors mean.

WAL with ``synchronous = FULL``: a commit is on the disk when it returns. The schema refuses to
update or delete an event and to leave a gap, from whatever program the statement comes.
"""

from __future__ import annotations

import os
import sqlite3

from orchestrator.world import chain, durable, facts
from orchestrator.world.projections import INDEXES, TABLES, Projections
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from orchestrator.world.chain import Event
    from orchestrator.world.records import Record
    from processors.protocol.canonical import Json

NAME = "ledger.sqlite3"
HEAD = "head.json"  # what was published of it (``heads``)
APPLICATION_ID = 0x574C4447  # "WLDG", in the file's header
FOLDER_BYTES_MAX = 485  # SQLite takes a path of 504 bytes, the name of the file included
BUSY_S = 30.0  # how long a writer waits for another one before it gives up

EVENTS = """\
CREATE TABLE events (
  seq INTEGER PRIMARY KEY,
  body BLOB NOT NULL,
  hash TEXT NOT NULL
) STRICT"""

# Small contents that events refer to and whose files may not be on the disk yet (``objects``). An
# event is ``seq`` or later. They are no projection: nothing can tell them again.
AHEAD = """\
CREATE TABLE ahead (
  seq INTEGER NOT NULL,
  cid TEXT NOT NULL,
  data BLOB NOT NULL
) STRICT"""

TRIGGERS = (
    """\
CREATE TRIGGER events_are_dense BEFORE INSERT ON events
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM events)
BEGIN SELECT raise(ABORT, 'events are numbered without gaps'); END""",
    """\
CREATE TRIGGER events_are_kept BEFORE DELETE ON events
BEGIN SELECT raise(ABORT, 'events are never deleted'); END""",
    """\
CREATE TRIGGER events_are_final BEFORE UPDATE ON events
BEGIN SELECT raise(ABORT, 'events are never changed'); END""",
)

# What the binding raises; the second where a broken file makes it quote what is not UTF-8.
ERRORS = (sqlite3.Error, UnicodeDecodeError)

INSERT = "INSERT INTO events VALUES (?, ?, ?)"
INSERT_AHEAD = "INSERT INTO ahead VALUES (?, ?, ?)"
DELETE_AHEAD = "DELETE FROM ahead WHERE seq <= ?"

# What mends a ledger: events are told by nothing else, and all else is told by the events.
_RESTORE = "restore the ledger from a copy"
_GONE = ("no such table", "no such index")  # SQLite's words
_FOLD_AGAIN = "world rebuild folds the tables again from the events"


class LedgerFile:
    """The file of a world's ledger, open. Everything that SQLite raises leaves as one error."""

    def __init__(self, folder: str) -> None:
        """Open the file.

        Args:
            folder: The world's folder; absolute.

        Raises:
            ContractError: ``ERR_INPUTS``: ``world_unwritable`` or ``world_corrupt``.
        """
        self.folder = folder
        self._identity = _identity(folder)  # before it is opened: at worst it is taken for another
        try:
            self.connection = _connect(os.path.join(folder, NAME), "rw")
        except ERRORS as error:
            raise self.translated(error) from None

    def is_current(self) -> bool:
        """Whether the file that is open is still the one that has its name."""
        return self._identity is not None and _identity(self.folder) == self._identity

    def select(self, statement: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Rows of a query, read as they are asked for."""
        # "yield from" would close the cursor of a generator that is dropped, and that raises once
        # the connection is closed.
        try:
            for row in self.connection.execute(statement, values):  # noqa: UP028
                yield row
        except ERRORS as error:
            raise self.translated(error) from None

    def row(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        """The first row of a query."""
        try:
            found: tuple[Any, ...] | None = self.connection.execute(statement, values).fetchone()
        except ERRORS as error:
            raise self.translated(error) from None
        return found

    def number(self, pragma: str) -> int:
        """The value of a pragma that is a number."""
        row = self.row(f"PRAGMA {pragma}")
        assert row is not None
        return int(row[0])

    def run(self, statement: str, *values: object) -> None:
        """Run a statement that has no rows."""
        try:
            self.connection.execute(statement, values)
        except ERRORS as error:
            raise self.translated(error) from None

    def record[R: Record](self, kind: type[R], row: tuple[object, ...]) -> R:
        """A row of a projection as a value.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_corrupt``: no event made it, so the table was
                damaged or written to.
        """
        if len(row) != len(kind.__slots__):
            raise self.stale(f"the table {kind.TABLE} has {len(row)} columns")
        found = kind(*row)
        if not found.fits():
            raise self.stale(f"the table {kind.TABLE} holds what no event says, at {row[0]!a}")
        return found

    def corrupt(self, why: str, remedy: str = _RESTORE) -> ContractError:
        """The error that says that this ledger is not what was written."""
        return _corrupt(self.folder, why, remedy)

    def stale(self, why: str) -> ContractError:
        """The error that says that a projection is not the fold of the events."""
        return _corrupt(self.folder, why, _FOLD_AGAIN)

    def translated(self, error: Exception) -> Exception:
        """The error of the table that an error of SQLite is."""
        return _translated(error, self.folder)


def _identity(folder: str) -> tuple[int, int] | None:
    """Which file has the ledger's name, if one does."""
    try:
        found = os.stat(os.path.join(folder, NAME))
    except OSError:
        return None
    return found.st_dev, found.st_ino


def exists(folder: str) -> bool:
    """Whether a folder holds a ledger.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``world_unwritable``: nobody can tell.
    """
    try:
        os.stat(os.path.join(folder, NAME))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise inputs_error("world_unwritable", f"world {folder!a}: {error.strerror}") from None
    return True


def make(folder: str, events: Iterable[Event], *, restored: bool) -> bool:
    """Make a world, unless there is one: it appears whole, with its events, or not at all.

    Args:
        folder: The world's folder.
        events: Its chain from the first event on, verified.
        restored: Whether it may be one that was there before, of which the head is left.

    Returns:
        Whether there was none. If there was one, it stays as it is and no event is asked for.

    Raises:
        ContractError: ``ERR_INPUTS``: ``world_unwritable``, or ``world_corrupt`` if one was.
        IllegalMoveError: An event may not come where it is.
    """
    path = os.path.join(folder, NAME)
    scratch = path + ".new"
    try:
        os.makedirs(folder, exist_ok=True)
        with durable.Lock(folder, shared=False):
            if os.path.exists(path):
                return False
            if os.path.exists(path + "-wal"):
                raise _corrupt(folder, f"{NAME} is gone, but its write-ahead log is there")
            if not restored and os.path.lexists(os.path.join(folder, HEAD)):
                raise _corrupt(folder, f"{NAME} is gone, but its head is there ({HEAD})")
            _discard(scratch)  # of a process that was killed here
            try:
                _write_new(scratch, events)
                durable.sync(scratch)
                os.rename(scratch, path)
            finally:
                _discard(scratch)
            durable.sync(folder)
    except OSError as error:
        raise inputs_error("world_unwritable", f"world {folder!a}: {error.strerror}") from None
    except ERRORS as error:
        raise _translated(error, folder) from None
    return True


def first(at: str) -> Event:
    """The event that a new world begins with; its id is drawn by chance."""
    data: dict[str, Json] = {"world": os.urandom(16).hex(), "format": facts.FORMAT}
    return chain.seal(chain.START, chain.FIRST, data, at)


def create_all(connection: sqlite3.Connection) -> None:
    """Make everything but the table of events, in a transaction of the caller.

    Contents that were written ahead stay if they are there already.
    """
    connection.execute(AHEAD.replace("TABLE", "TABLE IF NOT EXISTS"))
    for text in TRIGGERS:
        connection.execute(text)
    Projections(connection, "main").create()
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {facts.FORMAT}")


def drop_all(file: LedgerFile) -> None:
    """Drop everything that events can tell again, in a transaction of the caller."""
    order = ("index", "trigger", "view", "table")  # what depends on others first
    found = file.select(
        "SELECT type, name FROM sqlite_schema"
        " WHERE name NOT IN ('events', 'ahead') AND sql IS NOT NULL"
    )
    for kind, name in sorted(found, key=lambda row: order.index(row[0])):
        quoted = name.replace('"', '""')
        file.run(f'DROP {kind} IF EXISTS "{quoted}"')


def _connect(path: str, access: str) -> sqlite3.Connection:
    """Open a file that exists, or with access ``rwc`` make it."""
    quoted = os.path.abspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    connection = sqlite3.connect(
        f"file://{quoted}?mode={access}",  # or what follows two slashes of a path were a host
        uri=True,
        timeout=BUSY_S,
        isolation_level=None,
        check_same_thread=False,  # one thread has it at a time, not always the same
    )
    try:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _write_new(path: str, events: Iterable[Event]) -> None:
    """Write a ledger to a file that nobody else knows yet."""
    connection = _connect(path, "rwc")
    try:
        for setting in ("page_size = 4096", "encoding = 'UTF-8'", "auto_vacuum = NONE"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(EVENTS)
        create_all(connection)
        projections = Projections(connection, "main")
        for event in events:
            projections.apply(event)
            connection.execute(INSERT, (event.seq, event.body, event.hash))
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
    finally:
        connection.close()


def _discard(scratch: str) -> None:
    for ending in ("", "-journal", "-wal", "-shm"):
        if os.path.exists(scratch + ending):
            os.unlink(scratch + ending)


def _translated(error: Exception, folder: str) -> Exception:
    if isinstance(error, sqlite3.ProgrammingError):
        return error  # ours to mend
    # What has no code was raised by the binding itself, over text that is not UTF-8.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return inputs_error(
            "world_busy", f"world {folder!a} was held by another process for {BUSY_S:.0f} s"
        )
    if code in _UNWRITABLE:
        return inputs_error("world_unwritable", f"world {folder!a}: {error}{_hint(error, folder)}")
    kind, _, name = str(error).partition(": ")
    is_told = kind in _GONE and name.removeprefix("main.") in (*TABLES, *INDEXES)
    return _corrupt(folder, f"{NAME}: {error}", _FOLD_AGAIN if is_told else _RESTORE)


def _hint(error: Exception, folder: str) -> str:
    """What SQLite does not say of an error."""
    if (size := len(os.fsencode(folder))) > FOLDER_BYTES_MAX:
        return f"; its path has {size} bytes, and SQLite takes {FOLDER_BYTES_MAX}"
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE:
        return "; no room for what its readers and writers share (disk full, quota or ulimit -f)"
    if not os.access(folder, os.W_OK):  # a system that is mounted read-only says so too
        return (
            "; the folder cannot be written, which takes reading too: copy it whole to where it can"
        )
    return ""


def _corrupt(folder: str, why: str, remedy: str = _RESTORE) -> ContractError:
    return inputs_error("world_corrupt", f"world {folder!a}: {why}. Nothing was changed; {remedy}")


_UNWRITABLE = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_TOOBIG,
    }
)
