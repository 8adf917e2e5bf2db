"""The ledger against a model: a list of facts, and dicts that are folded from them another way."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator.world import audit, ledger_file
from orchestrator.world.ledger import Ledger
from orchestrator.world.projections import TABLES
from processors.protocol import digests
from tests.fixtures import lives
from tests.fixtures.lives import AT, Data, Fact, story
from tests.property.profile import searched

NAMES = st.sampled_from(["e-1", "e-2"])
PREFIXES = st.sampled_from(["/artifacts/a/", "/artifacts/a/b/", "/artifacts/a-/", "/artifacts/b/"])
PATHS = st.sampled_from(
    [
        *("/artifacts/a/x", "/artifacts/a/b/x", "/artifacts/a-/x", "/artifacts/a"),
        *("/artifacts/a0", "/artifacts/ab/x", "/artifacts/b/outputs"),
    ]
)
KEYS = st.sampled_from(["k", "l"])
FACTS: st.SearchStrategy[Fact] = st.one_of(
    st.builds(lives.put, PATHS, st.integers(0, 2)),
    st.builds(lives.removed, PATHS),
    st.builds(lives.requested, NAMES, PREFIXES),
    st.builds(lives.judged, NAMES, st.sampled_from([None, "lane_mode"])),
    st.builds(lives.reused, NAMES, PREFIXES, NAMES, KEYS),
)
# What an attempt does, and how far its number is from the one that would be right.
WORDS = st.sampled_from(["started", "outputs", "receipts", "failed", "settled", "abandoned"])
OFF = st.sampled_from([0, 0, 0, 0, 1, -1])


def of_attempt(word: str, name: str, prefix: str, attempt: int, key: str) -> Fact:
    """A fact about an attempt."""
    if word == "started":
        return lives.started(name, attempt, key)
    if word == "outputs":
        return lives.outputs(name, prefix, attempt, len(key + prefix) % 3)
    if word == "receipts":
        writer = "supervisor" if key == "l" else "processor"
        return lives.receipts(name, prefix, attempt, writer)
    if word == "abandoned":
        return lives.abandoned(name, attempt)
    return lives.settled(name, attempt, "killed" if word == "failed" else None)


class Model:
    """What is known, folded as plainly as it can be said."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.artifacts: dict[str, tuple[object, ...]] = {}
        self.executions: dict[str, dict[str, Any]] = {}

    def copy(self) -> Model:
        """A model that can go its own way."""
        other = Model()
        other.facts = [*self.facts]
        other.artifacts = dict(self.artifacts)
        other.executions = {name: dict(row) for name, row in self.executions.items()}
        return other

    def take(self, fact: Fact) -> bool:
        """Whether a fact may come next; if so, it has."""
        type_, data = fact
        seq = len(self.facts) + 2  # the first event is the world's
        _, _, word = type_.partition(".")
        if type_.startswith("artifact."):
            allowed = word == "put" or data["path"] in self.artifacts
        else:
            allowed = self._move(word, data, seq)
        if allowed:
            self._files(word, data, seq)
            self.facts.append(fact)
        return allowed

    def _move(self, word: str, data: Data, seq: int) -> bool:
        if word == "refused":
            return True
        name = str(data["execution_id"])
        row = self.executions.get(name)
        if word == "requested" and row is None:
            self.executions[name] = {"status": "requested", "attempt": 0, "memo_key": None}
            self.executions[name] |= {"outputs": None, "receipts": None, "settled": None}
            return True
        if row is None or not self._fits(word, data, row):
            return False
        if word == "started":
            row |= {"status": "running", "attempt": data["attempt"], "memo_key": data["memo_key"]}
            row |= {"outputs": None, "receipts": None}
        elif word in ("outputs", "receipts"):
            row[word] = seq
        elif word == "abandoned":
            row["status"] = "abandoned"
        elif word == "settled":
            row |= {"status": data["status"], "settled": seq}
        elif word == "reused":
            row |= {"status": "reused", "memo_key": data["memo_key"]}
            row |= {"outputs": seq, "settled": seq}
        return True

    def _fits(self, word: str, data: Data, row: dict[str, Any]) -> bool:
        """Whether an execution that exists is where a word about it may come."""
        status = row["status"]
        same = data.get("attempt") == row["attempt"]
        complete = None not in (row["outputs"], row["receipts"])
        origin = self.executions.get(str(data.get("origin")), {})
        return {
            "requested": False,
            "admitted": status in ("requested", "abandoned"),
            "started": status in ("requested", "abandoned")
            and data.get("attempt") == row["attempt"] + 1,
            "outputs": status == "running" and same,
            "receipts": status == "running" and same,
            "abandoned": status == "running" and same,
            "settled": status in ("requested", "running")
            and same
            and (complete or data.get("status") == "error"),
            "reused": status == "requested"
            and origin.get("status") == "success"
            and origin.get("memo_key") == data.get("memo_key"),
        }[word]

    def _files(self, word: str, data: Data, seq: int) -> None:
        if word == "removed":
            del self.artifacts[str(data["path"])]
        prefix = data.get("replaces")
        if isinstance(prefix, str):
            under = [path for path in self.artifacts if path.startswith(prefix)]
            for path in under:
                del self.artifacts[path]
        named: list[Any] = [data] if word == "put" else []
        for member in ("outputs", "receipts"):
            found = data.get(member, [])
            named += found if isinstance(found, list) else []
        named += [data[key] for key in ("index", "envelope", "inputs") if key in data]
        for file in named:
            mime = file.get("mime", "application/json")
            self.artifacts[file["path"]] = (file["cid"], file["size_bytes"], mime, seq)


def tables(ledger: Ledger) -> list[list[tuple[object, ...]]]:
    """The projections, row by row."""
    return [list(ledger.file.select(f"SELECT * FROM {table} ORDER BY 1")) for table in TABLES]  # noqa: S608


class LedgerMachine(RuleBasedStateMachine):
    """Two handles of one world, as two processes would have, and the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.model = Model()
        self.handles = [Ledger(self.folder, make=True, clock=lambda: AT) for _ in range(2)]

    def teardown(self) -> None:
        """Leave nothing behind."""
        for handle in self.handles:
            handle.close()
        shutil.rmtree(self.folder)

    def append(self, which: int, facts: list[Fact]) -> None:
        """Facts that may come are appended in one transaction; one that may not voids it."""
        after = self.model.copy()
        allowed = all(after.take(fact) for fact in facts)
        try:
            with self.handles[which].writing() as transaction:
                for fact in facts:
                    transaction.append(*fact)
        except ValueError:
            assert not allowed
        else:
            assert allowed
            self.model = after

    @rule(which=st.integers(0, 1), facts=st.lists(FACTS, min_size=1, max_size=3))
    def say(self, which: int, facts: list[Fact]) -> None:
        """Any facts but those about an attempt."""
        self.append(which, facts)

    @rule(
        which=st.integers(0, 1),
        name=NAMES,
        prefix=PREFIXES,
        key=KEYS,
        words=st.lists(WORDS),
        off=OFF,
    )
    def attempt(
        self, which: int, name: str, prefix: str, key: str, words: list[str], off: int
    ) -> None:
        """What an attempt may do, or may not, one transaction each."""
        for word in words[:4]:
            number = self.model.executions.get(name, {}).get("attempt", 0) + off
            number = max(1, number + 1 if word == "started" else number)
            self.append(which, [of_attempt(word, name, prefix, number, key)])

    @rule(which=st.integers(0, 1), name=NAMES, prefix=PREFIXES, key=KEYS)
    def retry(self, which: int, name: str, prefix: str, key: str) -> None:
        """An attempt that leaves something behind, is given up, and is followed by another."""
        first = self.model.executions.get(name, {}).get("attempt", 0) + 1
        self.append(which, [lives.requested(name, prefix)])
        self.append(which, [lives.started(name, first, key)])
        self.append(which, [lives.outputs(name, prefix, first)])
        self.append(which, [lives.receipts(name, prefix, first)])
        self.append(which, [lives.abandoned(name, first)])
        self.append(which, [lives.started(name, first + 1, key)])

    @rule(which=st.integers(0, 1), name=NAMES, prefix=PREFIXES, key=KEYS)
    def live(self, which: int, name: str, prefix: str, key: str) -> None:
        """A whole execution, so that there are successes to reuse."""
        self.append(which, lives.success(name, prefix, key))

    @rule(which=st.integers(0, 1), facts=st.lists(FACTS, max_size=4))
    def give_up(self, which: int, facts: list[Fact]) -> None:
        """A block that raises leaves nothing."""
        try:
            with self.handles[which].writing() as transaction:
                for fact in facts:
                    transaction.append(*fact)
                raise ZeroDivisionError
        except (ZeroDivisionError, ValueError):
            pass

    @rule(which=st.integers(0, 1))
    def reopen(self, which: int) -> None:
        """What was acknowledged is there when the file is opened again."""
        self.handles[which].close()
        self.handles[which] = Ledger(self.folder, make=False, clock=lambda: AT)

    @rule(which=st.integers(0, 1))
    def rebuild(self, which: int) -> None:
        """The events alone give the same tables."""
        before = tables(self.handles[which])
        self.handles[which].rebuild()
        assert tables(self.handles[which]) == before

    @rule(which=st.integers(0, 1))
    def look(self, which: int) -> None:
        """The audit finds nothing."""
        assert audit.problem(self.handles[which]) is None

    @invariant()
    def agrees(self) -> None:
        """Both handles say what the model says."""
        for ledger in self.handles:
            assert ledger.head().count == len(self.model.facts) + 1
            assert [(e.type, e.data) for e in ledger.events(after=1)] == self.model.facts
            assert {
                item.path: (item.cid, item.size_bytes, item.mime, item.seq)
                for item in ledger.artifacts()
            } == self.model.artifacts
            assert {
                row.execution_id: {
                    "status": row.status,
                    "attempt": row.attempt,
                    "memo_key": row.memo_key,
                    "outputs": row.outputs_seq,
                    "receipts": row.receipts_seq,
                    "settled": row.settled_seq,
                }
                for row in ledger.executions()
            } == self.model.executions
            for folder in ("/artifacts/a/", "/artifacts/b/"):
                assert [item.path for item in ledger.artifacts(folder)] == sorted(
                    path for path in self.model.artifacts if path.startswith(folder)
                )


TestLedgerAgainstItsModel = pytest.mark.proves("WL-1", "WL-3")(LedgerMachine.TestCase)
TestLedgerAgainstItsModel.settings = settings(searched, max_examples=80, stateful_step_count=20)


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    """A closed world with a story of every type of event."""
    with tempfile.TemporaryDirectory() as folder:
        with Ledger(folder, make=True, clock=lambda: AT) as ledger, ledger.writing() as writing:
            for fact in story(60):
                writing.append(*fact)
        yield folder


SPOILS = st.sampled_from(
    [
        "DELETE FROM artifacts WHERE path > ?",
        "DELETE FROM executions WHERE execution_id > ?",
        "UPDATE artifacts SET cid = 'x', seq = 0 WHERE path > ?",
        "UPDATE executions SET status = 'success', attempt = 9 WHERE execution_id > ?",
        "INSERT INTO artifacts VALUES ('/a' || ?, 'c', 0, 'm', 1)",
        "DROP TABLE artifacts",
        "DELETE FROM transitions WHERE execution_id > ?",
        "UPDATE budgets SET reserved_micro_usd = 7 WHERE goal > ?",
        "INSERT INTO leases VALUES ('/artifacts/' || ?, 1, 'forged')",
        "DELETE FROM plans WHERE plan > ?",
    ]
)


@pytest.mark.proves("WL-1")
@settings(searched, max_examples=60)
@given(
    spoils=st.lists(st.tuples(SPOILS, st.sampled_from(["", "/artifacts/in/2", "e-3"])), max_size=3)
)
def test_whatever_projections_hold_the_events_give_them_back_bit_for_bit(
    base: str, spoils: list[tuple[str, str]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(base, folder, dirs_exist_ok=True)
        with Ledger(folder, make=False) as ledger:
            before = tables(ledger)
            with closing(sqlite3.connect(os.path.join(folder, ledger_file.NAME))) as other:
                for statement, value in spoils:
                    try:
                        other.execute(statement, (value,) if "?" in statement else ())
                    except sqlite3.Error:
                        continue  # the table is gone, or the row is there, by an earlier one
                other.commit()

            ledger.rebuild()

            assert tables(ledger) == before
            assert audit.problem(ledger) is None


@pytest.mark.proves("WL-1")
def test_two_worlds_of_the_same_facts_are_the_same_world() -> None:
    seen = set()
    for groups in (1, 7, 60):
        with tempfile.TemporaryDirectory() as folder, Ledger(folder, make=True) as ledger:
            facts = story(60)
            for start in range(0, len(facts), groups):
                with ledger.writing() as writing:
                    for fact in facts[start : start + groups]:
                        writing.append(*fact)
            seen.add(digests.of_bytes(repr(tables(ledger)).encode()))
    assert len(seen) == 1
