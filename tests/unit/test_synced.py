"""When a sync of secrets is good enough for a deployment."""

from __future__ import annotations

import pytest

from orchestrator.modal import synced
from orchestrator.world.chain import Event
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import ContractError
from tests.fixtures import lives

A, B = "sha256:" + "aa" * 32, "sha256:" + "bb" * 32


def part(registry: str = A, *names: str) -> dict[str, Json]:
    found = list[Json](names or ("A_KEY",))
    return {
        "ref": "doc/extract@1",
        "secret": "doc-extract-v1",
        "names": found,
        "registry": registry,
    }


def events(*facts: lives.Fact) -> list[Event]:
    return [
        Event(seq, kind, 1, lives.AT, data, canonical(data))
        for seq, (kind, data) in enumerate(facts, start=2)
    ]


def test_the_last_sync_of_an_environment_counts() -> None:
    found = synced.last(events(lives.synced(1), lives.synced(2), lives.deployed()), "staging")

    assert found is not None
    assert found["epoch"] == 2
    assert synced.last(events(lives.synced()), "main") is None


def test_a_sync_that_was_not_finished_leaves_the_number_of_the_one_before_alone() -> None:
    begun = synced.last(events(lives.synced(3, part()), lives.sending()), "staging")
    again = synced.last(events(lives.sending(), lives.synced(4, part())), "staging")
    first = synced.last(events(lives.sending()), "staging")

    assert begun is not None
    assert first is not None
    assert (begun["epoch"], first["epoch"]) == (3, 0)
    assert "was not finished" in str(synced.problem(begun, part(), "staging"))
    assert synced.problem(again, part(), "staging") is None


@pytest.mark.proves("PA-3")
@pytest.mark.parametrize(
    ("fact", "words"),
    [
        (None, "never been synced"),
        (lives.synced()[1], "not in the last sync"),
        (lives.synced(1, part(B))[1], "has changed"),
        (lives.synced(1, part(A, "A_KEY", "B_KEY"))[1], "has changed"),
    ],
)
def test_anything_but_the_same_registry_is_refused(
    fact: dict[str, Json] | None, words: str
) -> None:
    with pytest.raises(ContractError, match=words) as caught:
        synced.check(fact, part(), "staging")

    assert (caught.value.code, caught.value.reason) == ("ERR_MISSING_SECRET", "not_synced")


def test_the_same_registry_is_enough() -> None:
    synced.check(lives.synced(1, part())[1], part(), "staging")
