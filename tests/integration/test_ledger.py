"""The ledger as a file: append, read, refuse; what the schema itself forbids; formats."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.world import audit, chain, fold, ledger_file
from orchestrator.world.facts import FORMAT
from orchestrator.world.ledger import SEQ_MAX, Ledger, utc_now
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError
from tests.fixtures import lives
from tests.fixtures.lives import AT, ONE_OF_EACH, Fact, cid, story


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A new world's ledger, with a clock that stands."""
    with Ledger(str(tmp_path), make=True, clock=lambda: AT) as opened:
        yield opened


def append(ledger: Ledger, *facts: Fact) -> None:
    """Append facts in one transaction."""
    with ledger.writing() as transaction:
        for fact in facts:
            transaction.append(*fact)


def refused(make: Callable[[], object]) -> tuple[str, str]:
    """Code and reason of the refusal."""
    with pytest.raises(ContractError) as caught:
        make()
    return caught.value.code, caught.value.reason


def test_a_new_world_has_one_event_that_names_it(ledger: Ledger) -> None:
    [event] = ledger.events()

    assert (event.seq, event.type, event.at) == (1, "world.created", AT)
    assert event.data == {"world": ledger.world(), "format": FORMAT}
    assert len(ledger.world()) == 32
    assert (ledger.head().count, ledger.head().hash) == (1, event.hash)
    assert audit.problem(ledger) is None


def test_a_world_is_made_on_request_alone(tmp_path: Path) -> None:
    where = str(tmp_path / "sub" / "w %41?#\u00e9")

    assert refused(lambda: Ledger(where, make=False)) == ("ERR_INPUTS", "world_absent")
    assert not (tmp_path / "sub").exists()
    with Ledger(where, make=True) as made, Ledger(where, make=False) as found:
        assert made.world() == found.world()


def test_events_come_back_as_they_were_appended(ledger: Ledger) -> None:
    facts = story(60)
    append(ledger, *facts)

    assert [(event.type, event.data) for event in ledger.events(after=1)] == facts
    assert [event.seq for event in ledger.events(after=5, until=8)] == [6, 7, 8]
    assert list(ledger.events(after=61)) == []
    assert list(ledger.events(after=99)) == []
    assert ledger.head().count == 61
    assert ledger.event(7).seq == 7
    assert refused(lambda: ledger.event(62)) == ("ERR_INPUTS", "world_corrupt")


def test_the_end_of_the_chain_is_known_at_every_count(ledger: Ledger) -> None:
    append(ledger, *story(5))
    hashes = [event.hash for event in ledger.events()]

    found = [ledger.head_at(count) for count in range(1, 7)]

    assert [head.hash for head in found if head is not None] == hashes
    assert ledger.head_at(0) is chain.START
    assert ledger.head_at(7) is None


def test_a_block_that_raises_leaves_nothing(ledger: Ledger) -> None:
    def breaking() -> None:
        with ledger.writing() as transaction:
            transaction.append(*lives.put("/artifacts/a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaking()
    assert ledger.head().count == 1
    assert ledger.artifact("/artifacts/a") is None


def test_a_fact_that_is_refused_voids_its_transaction_even_if_it_is_caught(ledger: Ledger) -> None:
    def catching() -> None:
        with ledger.writing() as transaction:
            transaction.append(*lives.put("/artifacts/a"))
            with pytest.raises(ValueError, match="not in the state"):
                transaction.append(*lives.settled("nobody"))

    with pytest.raises(RuntimeError, match="void"):
        catching()
    assert ledger.head().count == 1
    append(ledger, *lives.success("e-1", "/artifacts/one/"))
    assert audit.problem(ledger) is None


def test_a_mistake_in_a_fact_is_our_own(ledger: Ledger) -> None:
    for wrong in ({}, {**ONE_OF_EACH["artifact.put"], "size_bytes": 1.5}):
        data: dict[str, Json] = wrong
        with pytest.raises(ValueError, match=r"artifact\.put"), ledger.writing() as transaction:
            transaction.append("artifact.put", data)
    assert ledger.head().count == 1


def test_transactions_do_not_nest(ledger: Ledger) -> None:
    with ledger.writing() as transaction:
        with pytest.raises(RuntimeError, match="open already"), ledger.writing():
            pass
        transaction.append(*lives.put("/artifacts/a"))
    assert ledger.head().count == 2


def test_what_a_block_reads_is_what_it_writes_on(ledger: Ledger) -> None:
    with ledger.writing() as transaction:
        event = transaction.append(*lives.put("/artifacts/a", "x"))
        found = ledger.artifact("/artifacts/a")
        assert found is not None
        assert (found.cid, found.seq) == (cid("x"), event.seq)
        with Ledger(ledger.folder, make=False) as other:
            assert other.artifact("/artifacts/a") is None  # not acknowledged yet


def test_a_reading_block_sees_one_moment(ledger: Ledger) -> None:
    with Ledger(ledger.folder, make=False) as other, other.reading():
        assert other.head().count == 1
        append(ledger, lives.put("/artifacts/a"))
        assert other.head().count == 1
        assert other.artifact("/artifacts/a") is None


def test_artifacts_are_found_by_path_and_by_folder(ledger: Ledger) -> None:
    paths = [
        "/artifacts/a/b",
        "/artifacts/a/b/c",
        "/artifacts/a-b",
        "/artifacts/a/\u00e9",
        "/plan/x",
    ]
    append(ledger, *(lives.put(path) for path in paths))

    assert [item.path for item in ledger.artifacts()] == sorted(paths)
    assert [item.path for item in ledger.artifacts("/artifacts/a/")] == [
        "/artifacts/a/b",
        "/artifacts/a/b/c",
        "/artifacts/a/\u00e9",
    ]
    found = ledger.artifact("/artifacts/a-b")
    assert found is not None
    assert (found.path, found.cid, found.mime) == (
        "/artifacts/a-b",
        cid("/artifacts/a-b"),
        "text/plain",
    )
    assert (found.size_bytes, found.seq) == (14, 4)
    assert ledger.artifact("/artifacts/a") is None


def test_a_success_is_a_whole_row(ledger: Ledger) -> None:
    append(ledger, *lives.success("e-1", "/artifacts/one/"))
    found = ledger.execution("e-1")

    assert found is not None
    assert (found.execution_id, found.ref, found.intent) == (
        "e-1",
        "doc/extract@1",
        cid(("intent", "e-1")),
    )
    assert (found.write_prefix, found.status, found.attempt) == ("/artifacts/one/", "success", 1)
    assert found.memo_key == ONE_OF_EACH["execution.started"]["memo_key"]
    assert found.envelope == cid("/artifacts/execution/e-1/envelope.json")
    assert (found.requested_seq, found.started_seq, found.outputs_seq) == (2, 4, 5)
    assert (found.receipts_seq, found.settled_seq) == (6, 7)
    assert ledger.execution("e-2") is None
    assert [item.path for item in ledger.artifacts()] == [
        "/artifacts/execution/e-1/determinism.json",
        "/artifacts/execution/e-1/envelope.json",
        "/artifacts/execution/e-1/inputs.json",
        "/artifacts/one/outputs.json",
        "/artifacts/one/outputs/000.txt",
        "/artifacts/one/outputs/001.txt",
        "/artifacts/one/receipt.json",
    ]


def test_a_memo_key_finds_its_last_success_alone(ledger: Ledger) -> None:
    key = str(ONE_OF_EACH["execution.started"]["memo_key"])
    append(ledger, *lives.failure("e-0", "/artifacts/none/"))
    assert ledger.by_memo(key) is None

    append(ledger, *lives.success("e-9", "/artifacts/one/"))
    append(ledger, *lives.success("e-1", "/artifacts/two/"))
    append(ledger, lives.requested("e-2", "/artifacts/three/"))
    append(ledger, lives.reused("e-2", "/artifacts/three/", "e-1"))

    found = ledger.by_memo(key)
    assert found is not None
    assert found.execution_id == "e-1"
    assert ledger.by_memo(cid("other")) is None
    reused = ledger.execution("e-2")
    assert reused is not None
    assert (reused.status, reused.memo_key) == ("reused", key)


def test_those_that_run_in_a_prefix_or_around_it_are_found_and_no_others(ledger: Ledger) -> None:
    prefixes = {
        "outer": "/artifacts/a/",
        "same": "/artifacts/a/b/",
        "inner": "/artifacts/a/b/c/d/",
        "like it": "/artifacts/a/bc/",
        "beside": "/artifacts/a/x/b/",
    }
    for number, prefix in enumerate(prefixes.values()):
        name = f"e-{number}"
        append(ledger, lives.requested(name, prefix), lives.judged(name), lives.started(name))
    append(ledger, *lives.success("e-9", "/artifacts/a/b/done/"))

    found = [each.write_prefix for each in ledger.running_around("/artifacts/a/b/")]

    assert found == [prefixes[name] for name in ("outer", "same", "inner")]
    assert [each.write_prefix for each in ledger.running()] == list(prefixes.values())


def test_few_that_run_are_not_looked_for_among_all_that_ran(ledger: Ledger) -> None:
    statements: list[str] = []
    ledger.file.connection.set_trace_callback(statements.append)

    list(ledger.running_around("/artifacts/a/b/"))
    ledger.running()

    ledger.file.connection.set_trace_callback(None)
    assert len(statements) == 2
    plans = [
        [row[3] for row in ledger.file.select(f"EXPLAIN QUERY PLAN {statement}")]
        for statement in statements
    ]
    searches = [each for each in plans[0] if "executions" in each]
    assert len(searches) == 2
    assert all(each.startswith("SEARCH executions USING INDEX") for each in searches)
    assert plans[1][0] == "SCAN executions USING INDEX executions_running"


def test_everything_known_is_referred_to(ledger: Ledger) -> None:
    append(ledger, *lives.success("e-1", "/artifacts/one/"), lives.put("/artifacts/a", "x"))
    before = ledger.cids()
    envelope = "/artifacts/execution/e-1/envelope.json"
    append(ledger, lives.removed("/artifacts/a"), lives.removed(envelope))

    assert cid("x") in before
    assert before - ledger.cids() == {cid("x")}  # an execution keeps its envelope


# What brings an execution into each status.
BEGINNINGS: dict[str, list[Fact]] = {
    "none": [],
    "requested": [lives.requested("e-1", "/artifacts/one/")],
    "running": [lives.requested("e-1", "/artifacts/one/"), lives.started("e-1")],
    "success": lives.success("e-1", "/artifacts/one/"),
    "error": lives.failure("e-1", "/artifacts/one/"),
    "abandoned": [
        lives.requested("e-1", "/artifacts/one/"),
        lives.started("e-1"),
        lives.abandoned("e-1"),
    ],
    "reused": [
        lives.requested("e-1", "/artifacts/one/"),
        lives.reused("e-1", "/artifacts/one/", "e-0"),
    ],
}


def next_fact(type_: str, attempt: int) -> Fact:
    """A fact about the execution that is right in all but perhaps its moment."""
    prefix = "/artifacts/one/"
    return {
        "execution.requested": lives.requested("e-1", prefix),
        "execution.admitted": lives.judged("e-1"),
        "execution.started": lives.started("e-1", attempt + 1),
        "execution.outputs": lives.outputs("e-1", prefix, attempt or 1),
        "execution.receipts": lives.receipts("e-1", prefix, attempt or 1),
        "execution.settled": lives.settled("e-1", attempt, "killed"),
        "execution.abandoned": lives.abandoned("e-1", attempt or 1),
        "execution.reused": lives.reused("e-1", prefix, "e-0"),
    }[type_]


@pytest.mark.parametrize("status", BEGINNINGS)
def test_every_cell_of_the_table_of_moves(status: str, tmp_path: Path) -> None:
    moves = {"execution.requested": ("none",), **fold.MOVES}
    for number, (type_, allowed) in enumerate(moves.items()):
        with Ledger(str(tmp_path / str(number)), make=True) as ledger:
            append(ledger, *lives.success("e-0", "/artifacts/zero/"), *BEGINNINGS[status])
            found = ledger.execution("e-1")
            assert status == (found.status if found else "none")
            fact = next_fact(type_, found.attempt if found else 0)
            if status in allowed:
                append(ledger, fact)
                assert audit.problem(ledger) is None
            else:
                with pytest.raises(ValueError, match="not in the state"):
                    append(ledger, fact)


@pytest.mark.parametrize(
    "late",
    [
        lives.outputs("e-1", "/artifacts/one/", 1),
        lives.receipts("e-1", "/artifacts/one/", 1),
        lives.settled("e-1", 1, "killed"),
        lives.abandoned("e-1", 1),
        lives.started("e-1", 2),
        lives.settled("e-1", 2),  # a success without outputs and receipts
        lives.removed("/artifacts/never"),
    ],
)
def test_an_attempt_that_was_given_up_changes_nothing_any_more(ledger: Ledger, late: Fact) -> None:
    append(ledger, *BEGINNINGS["abandoned"], lives.started("e-1", 2))

    with pytest.raises(ValueError, match="not in the state"):
        append(ledger, late)


@pytest.mark.parametrize(
    ("origin", "key"), [("e-1", "k"), ("e-9", "k"), ("e-0", "other"), ("e-bad", "k")]
)
def test_only_a_success_of_the_same_key_is_reused(ledger: Ledger, origin: str, key: str) -> None:
    append(ledger, *lives.success("e-0", "/artifacts/zero/"))
    append(ledger, *lives.failure("e-bad", "/artifacts/bad/"), *BEGINNINGS["requested"])

    with pytest.raises(ValueError, match="not in the state"):
        append(ledger, lives.reused("e-1", "/artifacts/one/", origin, key))
    append(ledger, lives.reused("e-1", "/artifacts/one/", "e-0"))


def raw(ledger: Ledger) -> sqlite3.Connection:
    """The same file through another program."""
    return sqlite3.connect(os.path.join(ledger.folder, ledger_file.NAME), isolation_level=None)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET hash = hash",
        "UPDATE events SET body = x'7b7d' WHERE seq = 2",
        "UPDATE events SET seq = seq + 1",
        "DELETE FROM events",
        "DELETE FROM events WHERE seq = 3",
        "INSERT INTO events VALUES (9, x'7b7d', 'h')",
        "INSERT INTO events VALUES (3, x'7b7d', 'h')",
        "INSERT INTO events VALUES (0, x'7b7d', 'h')",
        "INSERT INTO events VALUES (-1, x'7b7d', 'h')",
        "INSERT INTO events VALUES (NULL, x'7b7d', 'h')",
        "INSERT INTO events (body, hash) VALUES (x'7b7d', 'h')",
        "INSERT OR REPLACE INTO events VALUES (3, x'7b7d', 'h')",
        "REPLACE INTO events VALUES (1, x'7b7d', 'h')",
        "INSERT INTO events VALUES (2, x'7b7d', 'h') ON CONFLICT DO UPDATE SET hash = 'h'",
        "UPDATE OR REPLACE events SET seq = 1 WHERE seq = 2",
        "INSERT INTO events VALUES (4, 'text', 'h')",
        "INSERT INTO events VALUES (4, x'7b7d', NULL)",
    ],
)
def test_the_schema_itself_refuses_to_change_events(ledger: Ledger, statement: str) -> None:
    append(ledger, *story(2))
    before = [event.body for event in ledger.events()]
    other = raw(ledger)
    for setting in ("ON", "OFF"):
        other.execute(f"PRAGMA recursive_triggers = {setting}")
        with pytest.raises(sqlite3.IntegrityError):
            other.execute(statement)
    other.close()

    assert [event.body for event in ledger.events()] == before


def test_a_file_that_is_no_ledger_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / ledger_file.NAME
    for content in (b"", b"not a database", b"SQLite format 3\x00" + bytes(4080)):
        file.write_bytes(content)
        assert refused(lambda: Ledger(str(tmp_path), make=True)) == ("ERR_INPUTS", "world_corrupt")
        assert file.read_bytes() == content
    file.unlink()
    other = sqlite3.connect(file)
    other.execute("CREATE TABLE events (seq)")
    other.close()
    assert refused(lambda: Ledger(str(tmp_path), make=True)) == ("ERR_INPUTS", "world_corrupt")


def test_a_file_whose_schema_is_not_even_text_is_corrupt(ledger: Ledger) -> None:
    """SQLite quotes such a schema in its message, which then cannot be decoded."""
    ledger.close()
    file = Path(ledger.folder, ledger_file.NAME)
    data = file.read_bytes()
    for text in (b"seq INTEGER", b"BEFORE DELETE", b"path TEXT"):
        assert text in data
        file.write_bytes(data.replace(text, text.replace(b" ", b"\xa0")))
        found = refused(lambda: Ledger(ledger.folder, make=False))
        assert found == ("ERR_INPUTS", "world_corrupt")


def test_what_cannot_be_opened_or_made_is_unwritable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "w" / ledger_file.NAME).mkdir(parents=True)

    for where in ("file", "file/below", "w"):
        found = refused(lambda where=where: Ledger(str(tmp_path / where), make=True))  # type: ignore[misc]
        assert found == ("ERR_INPUTS", "world_unwritable")


def test_a_log_without_its_ledger_is_not_taken_for_a_new_world(ledger: Ledger) -> None:
    append(ledger, *story(3))
    os.unlink(os.path.join(ledger.folder, ledger_file.NAME))

    assert refused(lambda: Ledger(ledger.folder, make=True)) == ("ERR_INPUTS", "world_corrupt")


def test_what_a_killed_maker_left_is_no_hindrance(tmp_path: Path) -> None:
    for ending in ("", "-journal", "-wal", "-shm"):
        (tmp_path / f"{ledger_file.NAME}.new{ending}").write_bytes(b"half")

    with Ledger(str(tmp_path), make=True) as made:
        assert audit.problem(made) is None
    assert [path.name for path in tmp_path.iterdir()] == [ledger_file.NAME]


def test_a_newer_format_is_refused_and_left_alone(ledger: Ledger) -> None:
    other = raw(ledger)
    other.execute(f"PRAGMA user_version = {FORMAT + 1}")

    assert refused(lambda: Ledger(ledger.folder, make=True)) == ("ERR_INPUTS", "world_format")
    assert other.execute("PRAGMA user_version").fetchone() == (FORMAT + 1,)
    other.close()


def test_an_older_format_has_its_projections_rebuilt_and_keeps_its_events(ledger: Ledger) -> None:
    append(ledger, *story(60))
    events = [(event.seq, event.body, event.hash) for event in ledger.events()]
    known = [[getattr(row, key) for key in row.__slots__] for row in ledger.executions()]
    other = raw(ledger)
    for statement in (
        "DROP TABLE artifacts",
        "ALTER TABLE executions RENAME TO jobs",
        "CREATE VIEW seen AS SELECT execution_id FROM jobs",
        'CREATE TABLE "odd "" name" (x)',
        "DROP TRIGGER events_are_kept",
        f"PRAGMA user_version = {FORMAT - 1}",
    ):
        other.execute(statement)
    other.close()

    with Ledger(ledger.folder, make=False) as found:
        assert [(event.seq, event.body, event.hash) for event in found.events()] == events
        assert [[getattr(row, key) for key in row.__slots__] for row in found.executions()] == known
        assert audit.problem(found) is None


def test_a_world_from_before_the_loop_gets_the_loops_tables(ledger: Ledger) -> None:
    append(ledger, *lives.success("e-1", "/artifacts/one/"))
    other = raw(ledger)
    for table in ("plans", "transitions", "leases", "budgets"):
        other.execute(f"DROP TABLE {table}")
    other.execute("PRAGMA user_version = 1")
    other.close()

    with Ledger(ledger.folder, make=False) as found:
        assert audit.problem(found) is None
        append(found, lives.budget(), lives.planned(), lives.allowed("t-1", "/artifacts/two/", 1))
        assert found.file.number("user_version") == FORMAT


def test_broken_events_are_not_folded_again(ledger: Ledger) -> None:
    append(ledger, *story(5))
    other = raw(ledger)
    other.execute("DROP TRIGGER events_are_final")
    other.execute("UPDATE events SET body = x'7b7d' WHERE seq = 3")
    other.close()
    before = [item.path for item in ledger.artifacts()]

    assert refused(ledger.rebuild) == ("ERR_INPUTS", "world_corrupt")
    assert [item.path for item in ledger.artifacts()] == before
    assert refused(lambda: list(ledger.events())) == ("ERR_INPUTS", "world_corrupt")


def test_a_held_world_is_busy_after_the_patience(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_file, "BUSY_S", 0.0)
    with Ledger(ledger.folder, make=False) as other, ledger.writing():
        assert refused(lambda: append(other, lives.put("/artifacts/a"))) == (
            "ERR_INPUTS",
            "world_busy",
        )
    append(ledger, lives.put("/artifacts/a"))


def test_the_machines_clock_has_the_form_of_an_events_time() -> None:
    assert chain.is_time(utc_now())
    assert utc_now()[:2] == "20"


# What each part of the audit finds, and nothing else would.
SPOILS: list[tuple[str, list[str]]] = [
    ("application_id", ["PRAGMA application_id = 7"]),
    ("journal_mode", ["PRAGMA journal_mode = DELETE"]),
    ("the schema", ["DROP TRIGGER events_are_kept"]),
    ("the schema", ["CREATE TABLE more (x)"]),
    ("the schema", ["DROP INDEX executions_by_memo"]),
    (
        "event 3: its body",
        ["DROP TRIGGER events_are_final", "UPDATE events SET body = x'7b7d' WHERE seq = 3"],
    ),
    (
        "first at '/artifacts/execution/e-1/determinism.json'",
        ["UPDATE artifacts SET size_bytes = 1"],
    ),
    (
        "first at '/artifacts/zzz'",
        ["INSERT INTO artifacts VALUES ('/artifacts/zzz', 'c', 1, 'm', 1)"],
    ),
    (
        "first at '/artifacts/in/2.txt'",
        ["DELETE FROM artifacts WHERE path = '/artifacts/in/2.txt'"],
    ),
    ("the table executions", ["UPDATE executions SET status = 'error' WHERE status = 'success'"]),
    *(
        (
            f"no event may be numbered {seq}",
            [
                "DROP TRIGGER events_are_dense",
                f"INSERT INTO events SELECT {seq}, body, hash FROM events WHERE seq = 1",  # noqa: S608
            ],
        )
        for seq in (-1, 0, SEQ_MAX + 1, 2**63 - 1)
    ),
    ("the ledger has no event 1", ["DROP TRIGGER events_are_kept", "DELETE FROM events"]),
]


@pytest.mark.parametrize(("words", "statements"), SPOILS, ids=[str(n) for n in range(len(SPOILS))])
def test_the_audit_finds_what_is_wrong(ledger: Ledger, words: str, statements: list[str]) -> None:
    append(ledger, *story(20))
    assert audit.problem(ledger) is None
    ledger.close()
    other = raw(ledger)
    triggers = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'"
    kept = dict(other.execute(triggers).fetchall())
    for statement in statements:
        other.execute(statement)
    if len(statements) > 1:  # the trigger was in the way, and is back
        other.execute(kept[statements[0].removeprefix("DROP TRIGGER ")])
    other.close()

    if words == "application_id":
        assert refused(lambda: Ledger(ledger.folder, make=False)) == ("ERR_INPUTS", "world_corrupt")
        return
    with Ledger(ledger.folder, make=False) as found:
        problem = audit.problem(found)
        assert problem is not None
        assert words in problem.message
        assert str(audit.problem(found)) == str(problem)


def test_the_audit_says_how_far_it_is(ledger: Ledger) -> None:
    append(ledger, *story(9))
    seen: list[int] = []

    assert audit.problem(ledger, seen.append) is None
    assert seen == list(range(1, 11))


@pytest.mark.parametrize("seq", [None, 0, 2**63 - 1])
def test_nothing_is_added_to_events_that_are_not_numbered_from_one(
    seq: int | None, ledger: Ledger
) -> None:
    append(ledger, *story(3))
    ledger.close()
    other = raw(ledger)
    for trigger in ("events_are_dense", "events_are_kept"):
        other.execute(f"DROP TRIGGER {trigger}")
    if seq is None or seq == 0:
        other.execute("DELETE FROM events")
    if seq is not None:
        other.execute("INSERT INTO events VALUES (?, x'7b7d', 'x')", (seq,))
    other.close()

    with Ledger(ledger.folder, make=False) as found:
        artifacts = len(list(found.artifacts()))
        for act in (lambda: append(found, *story(1)), found.rebuild, found.head):
            assert refused(act) == ("ERR_INPUTS", "world_corrupt")
        assert len(list(found.artifacts())) == artifacts
