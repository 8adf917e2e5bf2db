"""Sources: a folder of files and a prefix of the world hold the same, and nothing is read twice."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.world import file_stats, intake, source_folders
from orchestrator.world.file_stats import RECENT_NS
from orchestrator.world.placing import SMALL_MAX
from orchestrator.world.source_folders import Brought
from orchestrator.world.world import World
from processors.protocol.errors import ContractError

RAW = "/artifacts/raw/"


class Bench:
    """A folder named ``papers``, a world, and the one brought into the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.papers = folder / "papers"
        self.papers.mkdir()
        self.world = World(str(folder / "w"), make=True)

    def bring_in(self, *, goal: str = "digest", verify: bool = False, late: bool = True) -> Brought:
        """Bring it in; ``late``, when every file has been as it is for long enough."""
        ahead = RECENT_NS + 1_000_000_000 if late else 0
        return source_folders.bring_in(
            self.world,
            goal,
            str(self.folder),
            {RAW: "papers"},
            verify=verify,
            now_ns=lambda: time.time_ns() + ahead,
        )

    def there(self) -> dict[str, bytes]:
        """What the world holds, by name."""
        return {
            each.path.removeprefix(RAW): self.world.objects.read(each.cid)
            for each in self.world.ledger.artifacts(RAW)
        }

    def put(self, name: str, data: bytes) -> None:
        """Put a file there by hand."""
        (self.folder / "own").write_bytes(data)
        intake.put(self.world, {RAW + name: str(self.folder / "own")}, lambda _: None)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    found = Bench(tmp_path)
    with found.world:
        yield found


class Opened:
    """The names of the files that are opened for reading while it looks."""

    def __init__(self) -> None:
        self.names: list[str] | None = None
        sys.addaudithook(self._see)

    def _see(self, event: str, args: tuple[object, ...]) -> None:
        if self.names is not None and event == "open" and isinstance(args[0], str):
            self.names.append(args[0])

    def during(self, bench: Bench, *, verify: bool = False, late: bool = True) -> list[str]:
        """Which of the papers are opened while they are brought in."""
        self.names = []
        bench.bring_in(verify=verify, late=late)
        found, self.names = self.names, None
        return sorted(name for name in found if name in os.listdir(bench.papers))


OPENED = Opened()


def refused(bench: Bench) -> tuple[str, str]:
    before = bench.world.ledger.head().count
    with pytest.raises(ContractError) as caught:
        bench.bring_in()
    assert bench.world.ledger.head().count == before
    return caught.value.code, caught.value.reason


def test_a_prefix_holds_what_its_folder_holds(bench: Bench) -> None:
    (bench.papers / "a.pdf").write_bytes(b"one")
    (bench.papers / "b.html").write_bytes(b"two")

    found = bench.bring_in()

    assert (found.put, found.removed) == ([RAW + "a.pdf", RAW + "b.html"], [])
    assert bench.there() == {"a.pdf": b"one", "b.html": b"two"}
    event = bench.world.ledger.event(bench.world.ledger.head().count)
    assert (event.type, event.data["mime"]) == ("artifact.put", "text/html")
    assert event.data["source"] == {"goal": "digest", "folder": "papers"}


def test_only_what_has_changed_is_an_event(bench: Bench) -> None:
    (bench.papers / "a").write_bytes(b"one")
    (bench.papers / "b").write_bytes(b"two")
    bench.bring_in()
    count = bench.world.ledger.head().count

    assert bench.bring_in().as_json() == {"put": [], "removed": []}
    assert bench.world.ledger.head().count == count
    (bench.papers / "b").write_bytes(b"2")
    assert bench.bring_in().as_json() == {"put": [RAW + "b"], "removed": []}
    assert bench.there() == {"a": b"one", "b": b"2"}


def test_what_is_gone_from_the_folder_leaves_the_world_if_the_source_had_put_it(
    bench: Bench,
) -> None:
    (bench.papers / "a").write_bytes(b"one")
    bench.put("mine", b"by hand")
    bench.bring_in()
    bench.bring_in(goal="other")
    (bench.papers / "a").unlink()

    assert bench.bring_in(goal="other").removed == []  # another goal's
    found = bench.bring_in()

    assert found.as_json() == {"put": [], "removed": [RAW + "a"]}
    assert bench.there() == {"mine": b"by hand"}
    last = bench.world.ledger.event(bench.world.ledger.head().count)
    assert (last.type, last.data) == ("artifact.removed", {"path": RAW + "a"})
    assert bench.bring_in().removed == []


def test_what_was_put_over_a_source_by_hand_is_no_longer_the_sources(bench: Bench) -> None:
    (bench.papers / "a").write_bytes(b"one")
    bench.bring_in()
    (bench.papers / "a").unlink()
    bench.put("a", b"another")

    assert bench.bring_in().removed == []
    assert bench.there() == {"a": b"another"}


def test_nothing_is_read_again_that_is_as_it_was(bench: Bench) -> None:
    (bench.papers / "a").write_bytes(b"one")
    (bench.papers / "b").write_bytes(b"two")

    assert OPENED.during(bench) == ["a", "b"]
    assert OPENED.during(bench) == []
    (bench.papers / "b").write_bytes(b"TWO")
    assert OPENED.during(bench) == ["b"]
    assert OPENED.during(bench, verify=True) == ["a", "b"]
    (bench.folder / "w" / file_stats.FILE).write_text("broken")
    assert OPENED.during(bench) == ["a", "b"]


def test_what_was_kept_of_files_is_not_waited_for(bench: Bench) -> None:
    (bench.papers / "a").write_bytes(b"one")
    file = bench.folder / "w" / file_stats.FILE
    for make in (lambda: os.mkfifo(file), lambda: file.symlink_to("/dev/zero")):
        file.unlink(missing_ok=True)
        make()
        assert OPENED.during(bench) == ["a"]
        assert OPENED.during(bench) == []


def test_bytes_that_have_rotted_are_stored_anew_when_all_is_verified(bench: Bench) -> None:
    data = b"x" * (SMALL_MAX + 1)
    (bench.papers / "a").write_bytes(data)
    bench.bring_in()
    [there] = bench.world.ledger.artifacts(RAW)
    file = Path(bench.world.objects.path(there.cid))
    file.chmod(0o644)
    file.write_bytes(b"y" * len(data))

    brought = bench.bring_in(verify=True)

    assert (brought.put, brought.removed) == ([], [])
    assert bench.there() == {"a": data}


def test_a_file_that_may_change_unseen_is_read_again(bench: Bench) -> None:
    (bench.papers / "a").write_bytes(b"one")

    assert OPENED.during(bench, late=False) == ["a"]
    assert OPENED.during(bench, late=False) == ["a"]
    assert OPENED.during(bench) == ["a"]
    assert OPENED.during(bench) == []


def test_what_is_swapped_behind_the_times_of_a_file_is_seen(bench: Bench) -> None:
    file = bench.papers / "a"
    file.write_bytes(b"one")
    bench.bring_in()
    times = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))

    assert bench.bring_in().put == [RAW + "a"]


def test_bytes_that_the_store_has_lost_are_brought_back(bench: Bench) -> None:
    (bench.papers / "a").write_bytes(b"one")
    bench.bring_in()
    [artifact] = bench.world.ledger.artifacts(RAW)
    os.unlink(bench.world.objects.path(artifact.cid))

    assert bench.bring_in().put == []
    assert bench.there() == {"a": b"one"}


@pytest.mark.parametrize("where", ["file", "folder"])
def test_no_link_leads_out(bench: Bench, where: str) -> None:
    (bench.folder / "secret").mkdir()
    (bench.folder / "secret/a").write_bytes(b"x")
    if where == "file":
        (bench.papers / "a").symlink_to(bench.folder / "secret/a")
    else:
        bench.papers.rmdir()
        bench.papers.symlink_to(bench.folder / "secret")

    assert refused(bench) == ("ERR_INPUTS", "unreadable_file")
    assert bench.there() == {}


def test_a_source_holds_plain_files_alone(bench: Bench) -> None:
    (bench.papers / "a").write_bytes(b"x")
    (bench.papers / "inner").mkdir()
    assert refused(bench) == ("ERR_INPUTS", "unreadable_file")
    (bench.papers / "inner").rmdir()
    os.mkfifo(bench.papers / "pipe")
    assert refused(bench) == ("ERR_INPUTS", "unreadable_file")


def test_a_folder_that_is_not_there_is_said(bench: Bench) -> None:
    bench.papers.rmdir()

    assert refused(bench) == ("ERR_INPUTS", "unreadable_file")


def test_a_name_has_to_be_one_of_the_world(bench: Bench) -> None:
    (bench.papers / "a%41").write_bytes(b"x")
    assert refused(bench) == ("ERR_INPUTS", "path_bad_percent")
    (bench.papers / "a%41").rename(bench.papers / "a\n")
    assert refused(bench) == ("ERR_INPUTS", "path_bad_character")


def test_a_folder_has_a_limit(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_folders, "FILES_MAX", 2)
    for name in "ab":
        (bench.papers / name).write_bytes(b"x")
    bench.bring_in()
    (bench.papers / "c").write_bytes(b"x")

    assert refused(bench) == ("ERR_INPUTS", "too_large")


def test_a_file_does_not_come_where_the_world_has_a_folder(bench: Bench) -> None:
    (bench.papers / "a").write_bytes(b"x")
    bench.put("a/b", b"x")

    assert refused(bench) == ("ERR_INPUTS", "unwritable_target")
