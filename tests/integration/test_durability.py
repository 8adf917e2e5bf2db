"""What is on the disk, and when: bytes before their name, a name before anything relies on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.world import durable, heads, ledger_file
from orchestrator.world.ledger import Ledger
from orchestrator.world.objects import Objects
from orchestrator.world.placing import SMALL_MAX
from processors.protocol import digests
from tests.fixtures.lives import AT

LARGE = b"x" * (SMALL_MAX + 1)

type Step = tuple[str, str]


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[Step]:
    """Every fsync and rename of this process from now on, each by the path it is about."""
    seen: list[Step] = []
    fsync, rename, replace = os.fsync, os.rename, os.replace

    def note_sync(fd: int) -> None:
        seen.append(("sync", os.readlink(f"/proc/self/fd/{fd}")))
        fsync(fd)

    def note_rename(source: str, target: str) -> None:
        seen.extend((("from", source), ("to", target)))
        rename(source, target)

    def note_replace(source: str, target: str) -> None:
        seen.extend((("from", source), ("to", target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "rename", note_rename)
    monkeypatch.setattr(os, "replace", note_replace)
    return seen


def expect_durable(steps: list[Step]) -> int:
    """Whatever got a name was synced before, and its folder after; return how many did."""
    names = [(number, path) for number, (what, path) in enumerate(steps) if what == "to"]
    for number, target in names:
        assert ("sync", steps[number - 1][1]) in steps[: number - 1]
        assert ("sync", os.path.dirname(target)) in steps[number:]
    return len(names)


def test_a_new_ledger_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, steps: list[Step]
) -> None:
    Ledger(str(tmp_path / "w"), make=True).close()

    assert expect_durable(steps) == 1


def test_a_commit_waits_for_the_disk(tmp_path: Path) -> None:
    with Ledger(str(tmp_path), make=True) as ledger:
        assert ledger.file.number("synchronous") == 2  # FULL
        assert ledger.file.row("PRAGMA journal_mode") == ("wal",)
        assert ledger.file.number("busy_timeout") == ledger_file.BUSY_S * 1000


def test_a_head_is_on_the_disk_before_it_takes_the_place_of_another(
    tmp_path: Path, steps: list[Step]
) -> None:
    with Ledger(str(tmp_path), make=True) as ledger:
        steps.clear()
        heads.publish(ledger, None, AT)

    assert expect_durable(steps) == 1


def test_contents_are_on_the_disk_before_they_have_their_names(
    tmp_path: Path, steps: list[Step]
) -> None:
    contents = [b"%d" % number for number in range(5)]
    moved = tmp_path / "w" / "staged"
    moved.parent.mkdir()
    moved.write_bytes(b"moved")
    with Objects(str(tmp_path / "w")).placing() as placing:
        for content in contents:
            placing.write(content)
        placing.move(str(moved), digests.of_bytes(b"moved"), 5)
        placing.place()

    assert expect_durable(steps) == 6
    assert steps[-1][0] == "sync"
    assert ("sync", str(tmp_path / "w" / "store")) in steps[-8:]  # the names of the new folders


def placed(store: Objects, *contents: bytes) -> None:
    """Place some contents."""
    with store.placing() as placing:
        for content in contents:
            placing.write(content)
        placing.place()


@pytest.mark.parametrize("content", [b"words", LARGE])
def test_a_name_that_another_process_gave_is_waited_for_once(
    content: bytes, tmp_path: Path, steps: list[Step]
) -> None:
    store = Objects(str(tmp_path))
    placed(Objects(str(tmp_path)), content)
    placed(store, content)
    steps.clear()

    placed(store, content)

    assert steps == []


def test_a_name_that_came_back_by_another_process_is_waited_for_again(
    tmp_path: Path, steps: list[Step]
) -> None:
    store, other = Objects(str(tmp_path)), Objects(str(tmp_path))
    folder = os.path.dirname(store.path(digests.of_bytes(LARGE)))
    placed(other, LARGE)
    placed(store, LARGE)
    store.collect(set[str])
    placed(other, LARGE)
    steps.clear()

    placed(store, LARGE)

    assert steps == [("sync", folder)]


def test_a_new_content_in_a_known_folder_is_waited_for(tmp_path: Path, steps: list[Step]) -> None:
    store = Objects(str(tmp_path))
    folder = os.path.dirname(store.path(digests.of_bytes(b"words")))
    beside = next(
        content
        for content in (b"%d" % number for number in range(100_000))
        if os.path.dirname(store.path(digests.of_bytes(content))) == folder
    )
    placed(store, beside)
    steps.clear()

    placed(store, b"words")

    assert expect_durable(steps) == 1
    assert ("sync", str(tmp_path / "store")) not in steps


def test_many_contents_are_waited_for_together(
    tmp_path: Path, steps: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[int] = []
    sync_all = durable.sync_all

    def note(paths: list[str], fd: int) -> None:
        waited.append(len(paths))
        assert all(os.path.exists(path) for path in paths)
        assert os.readlink(f"/proc/self/fd/{fd}") == str(tmp_path / "store")
        sync_all(paths, fd)

    monkeypatch.setattr(durable, "sync_all", note)
    store = Objects(str(tmp_path))
    count = 4 * durable.MANY
    with store.placing() as placing:
        for number in range(count):
            placing.write(b"%d" % number)
        steps.clear()
        placing.place()

    assert waited[0] == count
    assert waited[1] > durable.MANY
    assert [what for what, _ in steps].count("to") == count
    assert "sync" not in [what for what, _ in steps]
    assert len(list(store.sizes())) == count


def test_a_file_system_that_cannot_be_waited_for_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        durable.sync_all([str(tmp_path)] * durable.MANY, -1)


def test_a_content_that_another_process_has_just_placed_is_relied_on_when_its_name_is_on_the_disk(
    tmp_path: Path, steps: list[Step]
) -> None:
    for _ in range(2):
        store = Objects(str(tmp_path))  # as another process has it
        steps.clear()
        placed(store, LARGE)

    assert [what for what, _ in steps] == ["sync", "sync"]
    assert {path for _, path in steps} == {
        str(tmp_path / "store"),
        os.path.dirname(store.path(digests.of_bytes(LARGE))),
    }


def test_a_small_content_that_may_have_its_name_ahead_of_its_bytes_is_placed_again(
    tmp_path: Path, steps: list[Step]
) -> None:
    with Objects(str(tmp_path)).placing() as placing:
        placing.write(b"x")
        placing.place_ahead()
    assert "sync" not in [what for what, path in steps if path != str(tmp_path)]
    steps.clear()

    placed(Objects(str(tmp_path)), b"x")

    assert expect_durable(steps) == 1
