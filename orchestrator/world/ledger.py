"""The Ledger: every event of a world in order, and the projections that are their fold.

Any number of processes of one machine may have it open. A writer holds the one write lock for the
length of a ``writing`` block, in which it may first read and decide; what it appended is there for
everybody, and durable, when the block is left, and not before. Readers never wait.
"""

from __future__ import annotations

import os
import time

from orchestrator.world import chain, facts, ledger_file
from orchestrator.world.chain import BrokenChainError, Event, Head
from orchestrator.world.fold import prefix_end
from orchestrator.world.ledger_file import LedgerFile
from orchestrator.world.projections import Projections
from orchestrator.world.records import Ahead, Artifact, Execution, Goal
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from typing import Self

    from processors.protocol.canonical import Json

    type Clock = Callable[[], str]

SEQ_MAX = 2**53 - 1

# By the index of those that run, or not at all: there are few of them among all executions.
_RUNNING = "SELECT * FROM executions INDEXED BY executions_running WHERE status = 'running'"


def utc_now() -> str:
    """The machine's clock, in the form of an event's time."""
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1_000_000:03d}Z"


class Ledger:
    """One world's ledger, open. Not for use by two threads at once."""

    def __init__(self, folder: str, *, make: bool, clock: Clock = utc_now) -> None:
        """Open a ledger.

        Args:
            folder: The world's folder, which links may lead to. They are followed once, here: below
                it a link is nothing of ours.
            make: Whether to make the world if the folder holds none.
            clock: Tells the time that events are written with.

        Raises:
            ContractError: ``ERR_INPUTS``: ``world_absent``, ``world_format``, ``world_corrupt``,
                ``world_unwritable`` or ``world_busy``.
        """
        try:
            self.folder = os.path.realpath(folder)
        except OSError as error:  # the working folder is gone
            raise inputs_error("world_unwritable", f"world {folder!a}: {error.strerror}") from None
        self._clock = clock
        if not ledger_file.exists(self.folder):
            if not make:
                raise inputs_error("world_absent", f"there is no world at {self.folder!a}")
            ledger_file.make(self.folder, (ledger_file.first(clock()),), restored=False)
        self.file = LedgerFile(self.folder)
        self._projections = Projections(self.file.connection, "main")
        try:
            self._bring_up_to_date()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the file. Appended events are on the disk whether or not this is called."""
        self.file.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def writing(self, ahead: Ahead | None = None) -> Writing:
        """One durable transaction: ``with ledger.writing() as transaction: ...``.

        What the block reads is what it writes on: no other writer gets between. If the block
        raises, nothing of it happened.

        Args:
            ahead: Contents that it writes ahead of their files (``Placing.place_ahead``).
        """
        return Writing(self.file, self.head, self._projections, self._clock, ahead)

    def ahead(self) -> Ahead:
        """The contents that are written ahead of their files."""
        return list(self.file.select("SELECT cid, data FROM ahead ORDER BY seq"))

    def forget_ahead(self, count: int) -> None:
        """Forget contents that were written ahead, for their files are on the disk by now.

        Args:
            count: How many events there were before that was waited for.
        """
        with self.writing():
            self.file.run(ledger_file.DELETE_AHEAD, count)

    def reading(self) -> Reading:
        """One snapshot for several reads: ``with ledger.reading(): ...``."""
        return Reading(self.file)

    def head(self) -> Head:
        """Where the chain ends.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_corrupt``: there is no event of a chain.
        """
        row = self.file.row("SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1")
        if row is None:
            raise self.file.corrupt("the ledger has no event 1")
        if not 1 <= row[0] <= SEQ_MAX:
            raise self.file.corrupt(f"no event may be numbered {row[0]}")
        return Head(*row)

    def head_at(self, count: int) -> Head | None:
        """Where the chain ended when it had so many events, or None if it never had."""
        if count == 0:
            return chain.START
        row = self.file.row("SELECT seq, hash FROM events WHERE seq = ?", count)
        return None if row is None else Head(*row)

    def world(self) -> str:
        """The world's id."""
        return str(self.event(1).data["world"])

    def event(self, seq: int) -> Event:
        """An event that the ledger must have, verified against the one before."""
        for event in self.events(after=seq - 1, until=seq):
            return event
        count = self.head().count
        if seq > count:
            raise self.file.stale(f"a table names event {seq}, and the ledger has {count}")
        raise self.file.corrupt(f"the ledger has no event {seq}")

    def event_of(self, execution_id: str, seq: int, type_: str) -> Event:
        """An event of an execution, by the number and for the type that a table says.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_corrupt``: it is another one.
        """
        event = self.event(seq)
        if event.type != type_ or event.data["execution_id"] != execution_id:
            raise self.file.stale(f"a table takes event {seq} for {type_} of {execution_id}")
        return event

    def events(self, after: int = 0, until: int = SEQ_MAX) -> Iterator[Event]:
        """Events in order, each verified against the one before; memory stays flat.

        Args:
            after: The number of the event before the first.
            until: The number of the last.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_corrupt``, at the first event that is broken.
        """
        start = self.head_at(after)
        if start is None:
            return
        rows = self.file.select(
            "SELECT seq, body, hash FROM events WHERE seq > ? AND seq <= ? ORDER BY seq",
            after,
            until,
        )
        try:
            yield from chain.verified(rows, start)
        except BrokenChainError as error:
            raise self.file.corrupt(str(error)) from None

    def artifact(self, path: str) -> Artifact | None:
        """What lies at a canonical world path."""
        row = self.file.row("SELECT * FROM artifacts WHERE path = ?", path)
        return None if row is None else self.file.record(Artifact, row)

    def artifacts_at(self, paths: Collection[str]) -> dict[str, Artifact]:
        """What lies at some canonical world paths, by path: one look for all of them."""
        rows = self.file.select(
            f"SELECT * FROM artifacts WHERE path IN ({', '.join('?' * len(paths))})",  # noqa: S608
            *paths,
        )
        return {row[0]: self.file.record(Artifact, row) for row in rows}

    def artifacts(self, folder: str = "/") -> Iterator[Artifact]:
        """What lies under a folder (with its slash), sorted by path."""
        rows = self.file.select(
            "SELECT * FROM artifacts WHERE path >= ? AND path < ? ORDER BY path",
            folder,
            prefix_end(folder),
        )
        return (self.file.record(Artifact, row) for row in rows)

    def execution(self, execution_id: str) -> Execution | None:
        """An execution by its id."""
        row = self.file.row("SELECT * FROM executions WHERE execution_id = ?", execution_id)
        return None if row is None else self.file.record(Execution, row)

    def has_transition(self, execution_id: str) -> bool:
        """Whether an execution is a step of a plan; ``commitments`` tells which."""
        statement = "SELECT 1 FROM transitions WHERE execution_id = ?"
        return self.file.row(statement, execution_id) is not None

    def has_leases(self) -> bool:
        """Whether a step of a plan holds one; ``commitments`` tells which."""
        return self.file.row("SELECT 1 FROM leases") is not None

    def executions(self) -> Iterator[Execution]:
        """Every execution, sorted by id."""
        rows = self.file.select("SELECT * FROM executions ORDER BY execution_id")
        return (self.file.record(Execution, row) for row in rows)

    def running(self) -> list[Execution]:
        """The executions that have begun and not ended, sorted by id."""
        rows = self.file.select(f"{_RUNNING} ORDER BY execution_id")
        return [self.file.record(Execution, row) for row in rows]

    def running_around(self, write_prefix: str) -> Iterator[Execution]:
        """The executions that run and whose write prefix is in this one, or around it."""
        outer, around = write_prefix, []
        while (outer := outer[:-1].rpartition("/")[0] + "/") != "/":
            around.append(outer)
        # Two searches: SQLite would look at every execution for one with OR.
        rows = self.file.select(
            f"{_RUNNING} AND write_prefix >= ? AND write_prefix < ?"
            f" UNION ALL {_RUNNING} AND write_prefix IN ({', '.join('?' * len(around))})"
            " ORDER BY execution_id",
            write_prefix,
            prefix_end(write_prefix),
            *around,
        )
        return (self.file.record(Execution, row) for row in rows)

    def goal(self, name: str) -> Goal | None:
        """A goal by its name."""
        row = self.file.row("SELECT * FROM goals WHERE name = ?", name)
        return None if row is None else self.file.record(Goal, row)

    def goals(self) -> Iterator[Goal]:
        """Every goal, sorted by name."""
        rows = self.file.select("SELECT * FROM goals ORDER BY name")
        return (self.file.record(Goal, row) for row in rows)

    def by_memo(self, memo_key: str) -> Execution | None:
        """The execution of a memo key that succeeded last."""
        row = self.file.row(
            "SELECT * FROM executions WHERE memo_key = ?"
            " AND status = 'success' ORDER BY settled_seq DESC LIMIT 1",
            memo_key,
        )
        return None if row is None else self.file.record(Execution, row)

    def cids(self) -> set[str]:
        """Every content id that something known refers to: visible artifacts and envelopes."""
        rows = self.file.select(
            "SELECT cid FROM artifacts UNION"
            " SELECT envelope FROM executions WHERE envelope IS NOT NULL"
        )
        return {row[0] for row in rows}

    def rebuild(self) -> None:
        """Drop the projections and fold them again from the events, in one transaction.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_corrupt`` if the events do not verify; nothing
                is changed then.
        """
        with self.writing():
            self._rebuild()

    def _bring_up_to_date(self) -> None:
        """Refuse what is no ledger, or one of a newer program; rebuild an older one."""
        if self.file.number("application_id") != ledger_file.APPLICATION_ID:
            raise self.file.corrupt(f"{ledger_file.NAME} is no ledger")
        if self._format() < facts.FORMAT:
            with self.writing():
                if self._format() < facts.FORMAT:  # or another process has done it meanwhile
                    self._rebuild()

    def _format(self) -> int:
        found = self.file.number("user_version")
        if found > facts.FORMAT:
            raise inputs_error(
                "world_format",
                f"world {self.folder!a} has format {found}, and this program knows"
                f" {facts.FORMAT} at most; use a newer one",
            )
        return found

    def _rebuild(self) -> None:
        """Make everything but the events anew; the caller holds the transaction."""
        ledger_file.drop_all(self.file)
        try:
            ledger_file.create_all(self.file.connection)
            for event in self.events():
                self._projections.apply(event)
        except ledger_file.ERRORS as error:
            raise self.file.translated(error) from None
        except ValueError as error:  # a move that the table does not have
            raise self.file.corrupt(str(error)) from None


class Reading:
    """A block whose reads all see the same moment."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file

    def __enter__(self) -> None:
        self._file.run("BEGIN")

    def __exit__(self, *_: object) -> None:
        self._file.run("ROLLBACK")


class Writing:
    """A block that reads, decides and appends, with nobody in between."""

    def __init__(
        self,
        file: LedgerFile,
        head: Callable[[], Head],
        projections: Projections,
        clock: Clock,
        ahead: Ahead | None = None,
    ) -> None:
        self._ahead = ahead or ()
        self._file = file
        self._read_head = head
        self._projections = projections
        self._clock = clock
        self._head = chain.START
        self._at = ""  # when the lock was taken: the time of every event of the block
        self._whole = True  # False once an append broke off, for then a part of it may be written

    def __enter__(self) -> Self:
        if self._file.connection.in_transaction:
            raise RuntimeError("a transaction is open already")
        self._file.run("BEGIN IMMEDIATE")
        try:
            self._head = self._read_head()
            self._at = self._clock()
            for content in self._ahead:
                self._file.run(ledger_file.INSERT_AHEAD, self._head.count + 1, *content)
        except BaseException:
            self._give_up()
            raise
        return self

    def append(self, type_: str, data: dict[str, Json]) -> Event:
        """Append a fact. It is acknowledged when the block has been left, and not before.

        Raises:
            ValueError: The fact is not of the contract, or may not come here: our own mistake.
            ContractError: ``ERR_INPUTS``: the file cannot be written.
        """
        event = chain.seal(self._head, type_, data, self._at)
        self._whole = False
        try:
            self._projections.apply(event)
            self._file.connection.execute(ledger_file.INSERT, (event.seq, event.body, event.hash))
        except ledger_file.ERRORS as error:
            raise self._file.translated(error) from None
        self._whole = True
        self._head = Head(event.seq, event.hash)
        return event

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None or not self._whole:
            self._give_up()
            if kind is None:
                raise RuntimeError("an append broke off, so the transaction is void")
            return
        try:
            self._file.run("COMMIT")
        except ContractError:
            self._give_up()
            raise

    def _give_up(self) -> None:
        # SQLite has ended the transaction by itself when the disk is full or fails.
        if self._file.connection.in_transaction:
            self._file.run("ROLLBACK")
