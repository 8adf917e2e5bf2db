"""Which events touched a path."""

from __future__ import annotations

import pytest

from orchestrator.world import history
from orchestrator.world.chain import START, Event, Head, seal
from tests.fixtures import lives
from tests.fixtures.lives import AT, CREATED, Fact

PREFIX = "/artifacts/one/"
OUTPUT = PREFIX + "outputs/001.txt"


def chained(*facts: Fact) -> list[Event]:
    """Facts as the events of a chain."""
    head, events = START, []
    for fact in (CREATED, *facts):
        events.append(seal(head, *fact, AT))
        head = Head(events[-1].seq, events[-1].hash)
    return events


def changes(path: str, *facts: Fact) -> list[tuple[object, object]]:
    return [(each["seq"], each["change"]) for each in history.touches(chained(*facts), path)]


def test_an_entry_says_when_and_what_it_is_about() -> None:
    [created, put, requested] = chained(lives.put("/artifacts/a"), lives.requested("e-1", PREFIX))

    assert history.entry(created) == {
        "seq": 1,
        "at": AT,
        "type": "world.created",
        "execution_id": None,
        "path": None,
    }
    assert history.entry(put)["path"] == "/artifacts/a"
    assert history.entry(requested)["execution_id"] == "e-1"


def test_what_is_put_twice_and_removed_is_touched_three_times() -> None:
    path = "/artifacts/a"
    found = changes(
        path,
        lives.put(path, 1),
        lives.put("/artifacts/a/b"),
        lives.put(path, 2),
        lives.removed("/artifacts/a/b"),
        lives.removed(path),
    )

    assert found == [(2, "put"), (4, "put"), (6, "removed")]


def test_a_replaced_prefix_takes_what_lay_there_and_nothing_else() -> None:
    first, second = lives.success("e-1", PREFIX, count=2), lives.success("e-2", PREFIX, count=1)

    assert changes(OUTPUT, *first, *second) == [(5, "put"), (11, "removed")]
    assert changes(PREFIX + "outputs/000.txt", *first, *second) == [(5, "put"), (11, "put")]
    assert changes(PREFIX + "outputs/002.txt", *first, *second) == []


@pytest.mark.parametrize("path", ["/artifacts/one", "/artifacts/one-/x", "/artifacts/one0"])
def test_a_prefix_is_taken_by_segments(path: str) -> None:
    facts = [lives.put(path), *lives.success("e-1", PREFIX)]

    assert changes(path, *facts) == [(2, "put")]


def test_a_removal_names_what_was_there() -> None:
    path = "/artifacts/a"
    events = chained(lives.put(path, 1), lives.removed(path))

    assert [each["cid"] for each in history.touches(events, path)] == [lives.cid(1)] * 2
