"""The same intent again is a no-op that returns what was answered before."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.world.ledger import Ledger
from tests.harness import Result, zoo
from tests.property.profile import searched_by_runs

BEHAVIOURS = st.sampled_from(
    ["good", "many", "no_outputs", "own_error", "raise", "exit_7", "stray"]
)
WORDS = st.sampled_from([(), ("--timeout-s", "9"), ("--debug",), ("--memo",)])


def count(world: Path) -> int:
    """How many events the ledger has."""
    with Ledger(str(world), make=False) as ledger:
        return ledger.head().count


def call(world: Path, behaviour: str, *words: str) -> Result:
    return zoo(behaviour, "--execution-id", "x-1", *words, world=world)


@pytest.mark.proves("WL-11")
@searched_by_runs
@given(BEHAVIOURS, WORDS)
def test_a_settled_execution_answers_with_its_envelope_and_writes_nothing(
    behaviour: str, words: tuple[str, ...]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder)
        first = call(world, behaviour)
        before = count(world)

        again = call(world, behaviour, *words)

        assert (again.stdout, again.exit_code) == (first.stdout, first.exit_code)
        assert count(world) == before
        assert again.visible == first.visible


@pytest.mark.proves("WL-11")
@searched_by_runs
@given(BEHAVIOURS, BEHAVIOURS)
def test_an_id_that_was_given_to_something_else_is_refused(one: str, other: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder)
        call(world, one)
        before = count(world)

        found = call(world, other)

        if one != other:
            assert found.error == ("ERR_INPUTS", "execution_exists")
        assert count(world) == before


@pytest.mark.proves("WL-11")
def test_a_memo_hit_starts_nothing_and_gives_the_same_contents(tmp_path: Path) -> None:
    first = zoo("many", "--execution-id", "x-1", prefix="/artifacts/one/", world=tmp_path)

    hit = zoo("many", "--memo", prefix="/artifacts/two/", world=tmp_path)

    assert hit.envelope["meta"]["reused_from"] == "x-1"
    assert "execution.reused" in [event["event"] for event in hit.events]
    contents = [
        [(item["path"].removeprefix(prefix), item["cid"]) for item in result.envelope["outputs"]]
        for result, prefix in ((first, "/artifacts/one/"), (hit, "/artifacts/two/"))
    ]
    assert contents[0] == contents[1]
    assert "/artifacts/two/receipt.json" not in hit.visible  # nothing started, so nothing attests
    assert hit.file("/artifacts/two/outputs.json").exists()


@pytest.mark.proves("WL-11")
def test_a_memo_hit_whose_bytes_are_gone_runs_again(tmp_path: Path) -> None:
    first = zoo("many", prefix="/artifacts/one/", world=tmp_path)
    first.file("/artifacts/one/outputs/a.txt").unlink()

    again = zoo("many", "--memo", prefix="/artifacts/two/", world=tmp_path)

    assert "reused_from" not in again.envelope["meta"]
    assert again.output("a.txt") == b"a.txt"


@pytest.mark.proves("WL-11")
@pytest.mark.parametrize("behaviour", ["own_error", "raise"])
def test_a_failure_is_never_reused(behaviour: str, tmp_path: Path) -> None:
    zoo(behaviour, prefix="/artifacts/one/", world=tmp_path)

    again = zoo(behaviour, "--memo", prefix="/artifacts/two/", world=tmp_path)

    assert again.envelope["status"] == "error"
    assert "processor.start" in [event["event"] for event in again.events]


@pytest.mark.proves("WL-11")
def test_a_prefix_that_was_reused_is_settled_like_any_other(tmp_path: Path) -> None:
    zoo("good", prefix="/artifacts/one/", world=tmp_path)
    zoo("good", "--memo", prefix="/artifacts/two/", world=tmp_path)

    inside = zoo("good", prefix="/artifacts/two/in/", world=tmp_path)
    failed = zoo("raise", prefix="/artifacts/two/", world=tmp_path)
    kept = failed.visible
    after = zoo("many", prefix="/artifacts/two/", world=tmp_path)

    assert inside.error == ("ERR_INPUTS", "prefix_occupied")
    assert "/artifacts/two/outputs/seen.txt" in kept
    assert after.exit_code == 0


@pytest.mark.proves("WL-11", "F-6")
def test_what_an_artifact_is_called_is_part_of_the_key(tmp_path: Path) -> None:
    (tmp_path / "page").write_bytes(b"words")
    world = tmp_path / "world"
    first = zoo("copy", "--attach", f"source={tmp_path}/page", world=world, prefix="/artifacts/a/")
    copied = "source=/artifacts/a/outputs/copy.bin"

    other = zoo("copy", "--use", copied, "--memo", world=world, prefix="/artifacts/b/")
    same = zoo("copy", "--use", copied, "--memo", world=world, prefix="/artifacts/c/")

    assert first.exit_code == other.exit_code == 0
    assert "reused_from" not in other.envelope["meta"]
    assert same.envelope["meta"]["reused_from"] == other.envelope["execution_id"]
