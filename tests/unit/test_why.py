"""The account of an execution, folded from its events."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.world import why
from orchestrator.world.chain import START, Event, Head, seal
from tests.fixtures import lives
from tests.fixtures.lives import AT, CREATED, Fact

PREFIX = "/artifacts/one/"


def chained(*facts: Fact) -> list[Event]:
    """Facts as the events of a chain."""
    head, events = START, []
    for fact in (CREATED, *facts):
        events.append(seal(head, *fact, AT))
        head = Head(events[-1].seq, events[-1].hash)
    return events


def told(*facts: Fact, name: str = "e-1") -> dict[str, Any]:
    return why.explain(name, chained(*facts))


def test_a_success_is_told_whole_and_others_are_left_out() -> None:
    own, other = lives.success("e-1", PREFIX), lives.success("e-2", "/artifacts/two/")
    mixed = [fact for pair in zip(own, other, strict=True) for fact in pair]

    account = told(*mixed)

    assert account["status"] == "success"
    assert account["memo"] == lives.memo_of("k")
    assert account["write_prefix"] == PREFIX
    assert account["admission"]["verdict"] == "admitted"
    assert account["receipt"]["writer"] == "processor"
    assert [output["path"] for output in account["outputs"]] == [
        f"{PREFIX}outputs/000.txt",
        f"{PREFIX}outputs/001.txt",
    ]
    assert [event["type"] for event in account["events"]] == [type_ for type_, _ in own]


def test_every_account_has_the_same_members() -> None:
    begun = lives.success("e-1", PREFIX)
    accounts = [
        told(),
        told(lives.judged("e-1", "lane_mode")),
        *(told(*begun[:count]) for count in range(1, len(begun) + 1)),
        told(lives.requested("e-1", PREFIX), lives.reused("e-1", PREFIX, "e-0")),
    ]

    assert len({frozenset(account) for account in accounts}) == 1


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        ([], None),
        ([lives.judged("e-1", "lane_mode")], "refused"),
        ([lives.judged("e-1", "lane_mode"), lives.requested("e-1", PREFIX)], "requested"),
        (lives.success("e-1", PREFIX)[:3], "running"),
        ([*lives.success("e-1", PREFIX)[:3], lives.abandoned("e-1")], "abandoned"),
        (lives.success("e-1", PREFIX), "success"),
        (lives.failure("e-1", PREFIX), "error"),
        ([*lives.success("e-1", PREFIX), lives.judged("e-1", "lane_mode")], "success"),
        ([lives.requested("e-1", PREFIX), lives.reused("e-1", PREFIX, "e-0")], "reused"),
    ],
)
def test_the_status_is_where_the_events_lead(facts: list[Fact], status: str | None) -> None:
    account = told(*facts)

    assert account["status"] == status
    assert (account["error"] is None) == (status not in ("refused", "error"))


def test_an_attempt_that_begins_again_has_made_nothing() -> None:
    before = [*lives.success("e-1", PREFIX)[:5], lives.abandoned("e-1")]

    account = told(*before, lives.started("e-1", 2))

    assert (account["attempt"], account["status"]) == (2, "running")
    assert account["outputs"] is account["index"] is account["receipt"] is None


def test_a_pointer_escapes_what_it_must() -> None:
    one: Any = {"inputs": "x", "artifacts": {"a/b~c": "1"}, "env_fingerprint": "os=linux"}
    other: Any = {"inputs": "x", "artifacts": {}, "env_fingerprint": "os=linux"}

    assert why.differences(one, other) == [{"part": "/artifacts/a~1b~0c", "a": "1"}]


def test_what_is_no_list_of_pairs_is_compared_whole() -> None:
    one: Any = {"inputs": "x", "env_fingerprint": "linux"}
    other: Any = {"inputs": "x", "env_fingerprint": "a=1;a=2"}

    assert why.differences(one, other) == [
        {"part": "/env_fingerprint", "a": "linux", "b": "a=1;a=2"}
    ]


def test_true_is_not_one() -> None:
    memo: Any = {"inputs": "x", "env_fingerprint": ""}

    found = why.differences({**memo, "inputs": "y"}, memo, ({"n": True}, {"n": 1}))

    assert found == [{"part": "/inputs/n", "a": True, "b": 1}]
