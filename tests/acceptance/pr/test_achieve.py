"""The digest of the example's documents, from a goal file alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.programs import ACHIEVE, EXPLAIN, PLAN, achieve, call, ledger, world_command
from tests.harness import ROOT, artifacts

EXAMPLE = ROOT / "examples/digest"
NAMES = ("ledger.html", "loop.md", "world.pdf")
REPLY = "/artifacts/chat/loop.md/outputs/reply.md"
TEXT = "/artifacts/text/loop.md/outputs/text.md"


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy of the example of its own: the goal's file, and its documents beside it."""
    copy = tmp_path / "digest"
    (copy / "documents").mkdir(parents=True)
    for name in ("goal.yaml", *(f"documents/{name}" for name in NAMES)):
        shutil.copyfile(EXAMPLE / name, copy / name)
    return copy


def digest(example: Path) -> dict[str, Any]:
    return achieve(example / "goal.yaml", world=example / "w", command=ACHIEVE).result


def take_out(world: Path, path: str) -> None:
    """Delete an artifact, as a user would."""
    world_command("rm", path, world=world)


def lose_bytes(world: Path, path: str) -> None:
    """Take the bytes of an artifact out of the store, as a disk might."""
    cid = artifacts(world)[path]
    (world / "store" / cid[7:9] / cid[9:]).unlink()


@pytest.mark.proves("WL-14")
def test_a_goal_is_achieved_proved_and_then_left_alone(example: Path) -> None:
    first = digest(example)
    second = digest(example)

    assert first["sources"]["put"] == [f"/artifacts/raw/{name}" for name in NAMES]
    assert second["sources"] == {"put": [], "removed": []}
    assert first["executions"] == 2 * len(NAMES)
    assert [step["error"] for step in first["steps"]] == [None] * 6
    assert first["proof"].startswith("sha256:")
    assert (second["executions"], second["plans"], second["steps"]) == (0, [], [])
    assert second["proof"] == first["proof"]
    verified = ledger("verify", world=example / "w").result
    assert verified["behind_no_head"] == 0
    assert ledger("readmit", world=example / "w").result["refused"] == 0


@pytest.mark.proves("WL-14")
@pytest.mark.parametrize("lose", [take_out, lose_bytes])
@pytest.mark.parametrize(("lost", "ref"), [(REPLY, "llm/chat@1"), (TEXT, "doc/extract@1")])
def test_what_is_missing_is_made_again_and_nothing_else(
    lost: str, ref: str, lose: Callable[[Path, str], None], example: Path
) -> None:
    before = digest(example)
    lose(example / "w", lost)

    after = digest(example)

    [step] = after["steps"]
    [execution] = step["executions"]
    assert (step["ref"], step["step"]) == (ref, lost.partition("outputs/")[0])
    assert execution not in str(before)
    why = world_command("why", lost, world=example / "w").result
    assert why["artifact"]["put"]["execution_id"] == execution
    assert (why["execution"]["ref"], why["execution"]["status"]) == (ref, "success")
    known = world_command("why", "/artifacts/chat/world.pdf/outputs/reply.md", world=example / "w")
    assert known.result["execution"]["execution_id"] in str(before)


def test_what_comes_and_goes_in_the_folder_comes_and_goes_in_the_world(example: Path) -> None:
    digest(example)
    (example / "documents/new.md").write_text("# A new one\n")
    (example / "documents/loop.md").unlink()

    after = digest(example)

    assert after["sources"] == {
        "put": ["/artifacts/raw/new.md"],
        "removed": ["/artifacts/raw/loop.md"],
    }
    assert sorted(step["step"] for step in after["steps"]) == [
        *("/artifacts/chat/new.md/", "/artifacts/text/new.md/"),
    ]
    why = world_command("why", "/artifacts/raw/new.md", world=example / "w").result
    assert why["artifact"]["source"] == {"goal": "digest", "folder": "documents"}


@pytest.mark.proves("WL-14")
def test_what_was_made_of_a_file_that_has_changed_is_made_again(example: Path) -> None:
    digest(example)
    (example / "documents/loop.md").write_text("# Another one\n")

    after = digest(example)

    assert [step["step"] for step in after["steps"]] == [
        "/artifacts/text/loop.md/",
        "/artifacts/chat/loop.md/",
    ]
    assert digest(example)["steps"] == []


def test_a_plan_is_shown_before_anything_runs(example: Path) -> None:
    world_command("put", str(example / "documents"), "/artifacts/raw", world=example / "w")
    events = ledger("stats", world=example / "w").result["events"]
    picture = example / "plan.svg"

    words = ("--goal", str(example / "goal.yaml"), "--svg", str(picture))
    found = call(PLAN, *words, world=example / "w").result

    assert found["problem"] is None
    assert len(found["plan"]["steps"]) == 2 * len(NAMES)
    assert picture.read_text().startswith("<svg ")
    assert ledger("stats", world=example / "w").result["events"] == events


def test_what_proves_a_goal_is_shown_down_to_the_events(example: Path) -> None:
    done = digest(example)

    tree = call(EXPLAIN, "digest", world=example / "w").result

    assert (tree["status"], tree["proof"]) == ("satisfied", done["proof"])
    assert {each["name"]: each["value"] for each in tree["predicates"]} == {
        "summaries": "true",
        "texts": "true",
    }
    [summaries, _] = tree["predicates"]
    makers = {each["path"]: each["event"] for each in summaries["artifacts"]}
    ids = [execution for step in done["steps"] for execution in step["executions"]]
    assert makers[REPLY]["execution_id"] in ids
    assert makers[REPLY]["plan"] == done["plans"][0]
    assert makers["/artifacts/raw/loop.md"]["type"] == "artifact.put"


def test_the_example_is_short() -> None:
    assert len((EXAMPLE / "goal.yaml").read_text().splitlines()) < 25
