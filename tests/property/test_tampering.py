"""Whoever writes to the file by hand is found: by the schema, the chain, or the published head.

Mutations are made with SQL on the file itself, its triggers out of the way. Half of them come from
somebody who knows the format and makes a chain that hangs together again: these are found up to the
count of a published head, and not after it, which is what a chain cannot prove.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.world import audit, chain, heads, ledger_file
from orchestrator.world.chain import START, BrokenChainError, Event, Head
from orchestrator.world.ledger import Ledger
from processors.protocol import digests
from processors.protocol.canonical import Json
from tests.fixtures import lives
from tests.fixtures.lives import AT, story
from tests.property.profile import searched

COUNT = 40
PUBLISHED = 30  # where the head was published; the last events came after it

KEY = heads.SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))

type Row = tuple[int, bytes, str]


class World:
    """A closed world, its rows, and the head that was published for a part of them."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        facts = story(COUNT - 1)
        with Ledger(folder, make=True, clock=lambda: AT) as ledger:
            with ledger.writing() as writing:
                for fact in facts[: PUBLISHED - 1]:
                    writing.append(*fact)
            self.head = heads.publish(ledger, KEY, AT)
            with ledger.writing() as writing:
                for fact in facts[PUBLISHED - 1 :]:
                    writing.append(*fact)
            self.events = list(ledger.events())
        self.rows = [(event.seq, event.body, event.hash) for event in self.events]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One world for every example; each spoils a copy."""
    with tempfile.TemporaryDirectory() as folder:
        yield World(folder)


def write(folder: str, rows: list[Row], *, restore: bool) -> None:
    """Put other rows in the place of the events; perhaps make the schema what it was."""
    file = os.path.join(folder, ledger_file.NAME)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("PRAGMA synchronous = OFF")
        other.execute("BEGIN")
        triggers = other.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name"
        ).fetchall()
        for name, _ in triggers:
            other.execute(f"DROP TRIGGER {name}")
        other.execute("DELETE FROM events")
        other.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
        if restore:
            for text in ledger_file.TRIGGERS:
                other.execute(text)
        other.execute("COMMIT")


def found(world: World, rows: list[Row]) -> tuple[str | None, str | None]:
    """What the chain alone and what the head say of other rows; no look at schema or tables."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(world.folder, folder, dirs_exist_ok=True)
        write(folder, rows, restore=True)
        with Ledger(folder, make=False) as ledger:
            broken = None
            try:
                for _ in chain.verified(ledger.file.select("SELECT * FROM events ORDER BY seq")):
                    pass
            except BrokenChainError as error:
                broken = str(error)
            return broken, None if broken else heads.problem(ledger, world.head, KEY.public)


def edit(rows: list[Row], rng: Random) -> list[Row]:
    """Change some bytes of a body."""
    at = rng.randrange(len(rows))
    seq, body, hash_ = rows[at]
    spot = rng.randrange(len(body))
    changed = body[:spot] + bytes((body[spot] ^ rng.randint(1, 255),)) + body[spot + 1 :]
    rehashed = digests.of_bytes(changed) if rng.random() < 0.5 else hash_
    return [*rows[:at], (seq, changed, rehashed), *rows[at + 1 :]]


def drop(rows: list[Row], rng: Random) -> list[Row]:
    """Leave an event out that is not the last."""
    at = rng.randrange(len(rows) - 1)
    return rows[:at] + rows[at + 1 :]


def reorder(rows: list[Row], rng: Random) -> list[Row]:
    """Swap two events."""
    one, other = rng.sample(range(len(rows)), 2)
    mixed = [*rows]
    mixed[one], mixed[other] = mixed[other], mixed[one]
    return mixed


def repeat(rows: list[Row], rng: Random) -> list[Row]:
    """Have an event twice."""
    at, to = rng.randrange(len(rows)), rng.randrange(len(rows) + 1)
    return [*rows[:to], rows[at], *rows[to:]]


def renumbered(rows: list[Row]) -> list[Row]:
    """The same rows under dense numbers."""
    return [(seq, body, hash_) for seq, (_, body, hash_) in enumerate(rows, 1)]


NAIVE: list[Callable[[list[Row], Random], list[Row]]] = [edit, drop, reorder, repeat]
CHANCE = st.randoms(use_true_random=False)


@pytest.mark.proves("WL-3")
@settings(searched, max_examples=200)
@given(mutate=st.sampled_from(NAIVE), rng=CHANCE)
def test_a_change_that_leaves_the_links_as_they_were_breaks_the_chain(
    world: World, mutate: Callable[[list[Row], Random], list[Row]], rng: Random
) -> None:
    rows = renumbered(mutate(world.rows, rng))

    assert rows != world.rows
    broken, _ = found(world, rows)
    assert broken is not None


@pytest.mark.proves("WL-3")
@settings(searched, max_examples=50)
@given(at=st.integers(1, COUNT - 1))
def test_a_gap_in_the_numbers_is_found(world: World, at: int) -> None:
    broken, _ = found(world, [row for row in world.rows if row[0] != at])

    assert broken == f"event {at}: the event found here is numbered {at + 1}"


@pytest.mark.proves("WL-3")
@settings(searched, max_examples=COUNT)
@given(left=st.integers(1, COUNT))
def test_a_cut_tail_is_found_up_to_the_published_head(world: World, left: int) -> None:
    broken, problem = found(world, world.rows[:left])

    assert broken is None
    if left < PUBLISHED:
        assert str(problem).startswith("truncated")
    else:
        assert problem is None  # what came after the last head can be cut: no head, no proof


def test_a_ledger_without_events_is_found(world: World) -> None:
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(world.folder, folder, dirs_exist_ok=True)
        write(folder, [], restore=True)
        with Ledger(folder, make=False) as ledger:
            assert audit.problem(ledger) is not None


def relinked(events: list[Event]) -> list[Row]:
    """The facts of some events as a chain that hangs together."""
    rows: list[Row] = []
    for event in events:
        head = Head(rows[-1][0], rows[-1][2]) if rows else START
        sealed = chain.seal(head, event.type, event.data, event.at)
        rows.append((sealed.seq, sealed.body, sealed.hash))
    return rows


def other_fact(event: Event) -> Event:
    """An event that says something else of the same type."""
    if event.type == "world.created":
        data: dict[str, Json] = {**event.data, "world": "f" * 32}
        return Event(event.seq, event.type, 1, event.at, data, event.body)
    later = event.at[:-4] + "999Z"
    return Event(event.seq, event.type, 1, later, event.data, event.body)


def forge(events: list[Event], how: str, at: int) -> list[Event]:
    """A history that differs at event number ``at`` first, or where ``how`` can first make it."""
    before, event, after = events[: at - 1], events[at - 1], events[at:]
    if how == "edit":
        return [*before, other_fact(event), *after]
    if how == "drop":
        return [*before, *after]
    if how == "repeat":
        return [*before, event, event, *after]
    if how == "reorder":
        return [*before, *after[:1], event, *after[1:]]
    put, data = lives.put("/artifacts/forged")
    return [*before, event, Event(0, put, 1, AT, data, b"")]


@pytest.mark.proves("WL-3")
@settings(searched, max_examples=200)
@given(
    how=st.sampled_from(["edit", "drop", "repeat", "reorder", "fork"]), at=st.integers(2, COUNT - 1)
)
def test_a_history_forged_with_every_link_is_found_up_to_the_published_head(
    world: World, how: str, at: int
) -> None:
    rows = relinked(forge(world.events, how, at))
    pairs = zip(rows, world.rows, strict=False)
    first = next((row[0] for row, own in pairs if row != own), min(len(rows), COUNT) + 1)

    broken, problem = found(world, rows)

    assert broken is None  # the chain alone cannot tell
    if first <= PUBLISHED:
        assert str(problem).startswith(("forked", "truncated"))
    else:
        assert problem is None


@pytest.mark.proves("WL-3")
def test_another_first_event_is_another_world(world: World) -> None:
    rows = relinked([other_fact(world.events[0]), *world.events[1:]])

    assert found(world, rows) == (None, "the head is of another world")


@pytest.mark.proves("WL-3")
@settings(searched, max_examples=60)
@given(rng=CHANCE, mutate=st.sampled_from([*NAIVE, None]))
def test_triggers_that_are_gone_are_found_whatever_was_done_without_them(
    world: World, rng: Random, mutate: Callable[[list[Row], Random], list[Row]] | None
) -> None:
    rows = world.rows if mutate is None else renumbered(mutate(world.rows, rng))
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(world.folder, folder, dirs_exist_ok=True)
        write(folder, rows, restore=False)
        with Ledger(folder, make=False) as ledger:
            assert "the schema is not the one of a ledger" in str(audit.problem(ledger))


@pytest.mark.proves("WL-3")
def test_an_untouched_copy_has_nothing_to_find(world: World) -> None:
    assert found(world, world.rows) == (None, None)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(world.folder, folder, dirs_exist_ok=True)
        write(folder, world.rows, restore=True)
        with Ledger(folder, make=False) as ledger:
            assert audit.problem(ledger) is None
