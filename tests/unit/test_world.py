"""A world: attach, find, keep prefixes apart, stage, discard. Nothing is visible but by a fact."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.execution import record
from orchestrator.world import intake
from orchestrator.world.staging import Staging, StagingArea
from orchestrator.world.world import World
from processors.protocol import digests
from processors.protocol.errors import ContractError
from processors.protocol.payload import Artifact

PREFIX = "/artifacts/demo/"


class Place:
    """A world in a folder, and files to put into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "world"
        self.world = World(str(self.root), make=True)

    def file(self, name: str, data: bytes) -> str:
        """Make a file outside the world."""
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def put(self, path: str, data: bytes = b"x") -> None:
        """Make something visible."""
        with self.world.objects.placing() as placing:
            cid, size_bytes = placing.write(data)
            placing.place()
            with self.world.ledger.writing() as transaction:
                put = intake.fact(path, cid, size_bytes, None)
                transaction.append("artifact.put", put)

    def stage(self, attempt: str, **artifacts: Artifact) -> Staging:
        """Begin an attempt and lay out its tree."""
        staging = self.world.stagings.begin()
        self.world.stagings.claim(staging, attempt)
        self.world.lay_out(staging, artifacts, PREFIX)
        return staging

    def attach(self, source: str) -> Artifact:
        """Attach a file, and say so in the ledger."""
        with self.world.objects.placing() as placing:
            found = self.world.attach(source, placing)
            placing.place()
            with self.world.ledger.writing() as transaction:
                transaction.append("artifact.put", record.attached(found))
        return found

    def visible(self) -> list[str]:
        """Every world path that holds something."""
        return [artifact.path for artifact in self.world.ledger.artifacts()]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    found = Place(tmp_path)
    with found.world:
        yield found


def stage_with(place: Place, files: dict[str, bytes], attempt: str = "x-1.1") -> Staging:
    staging = place.stage(attempt)
    for path, data in files.items():
        file = Path(staging.tree + path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return staging


def reason_of(caught: pytest.ExceptionInfo[ContractError]) -> str:
    assert caught.value.code == "ERR_INPUTS"
    return caught.value.reason


def test_a_file_is_attached_under_its_content(place: Place) -> None:
    found = place.attach(place.file("a.txt", b"words"))

    assert found.cid == digests.of_bytes(b"words")
    assert found.size_bytes == 5
    assert found.path == "/artifacts/attached/" + found.cid.removeprefix("sha256:")
    assert place.world.objects.read(found.cid) == b"words"
    assert place.world.find(found.path).as_json() == found.as_json()


def test_attaching_twice_gives_one_artifact_and_leaves_no_scratch(place: Place) -> None:
    first = place.attach(place.file("a.txt", b"words"))
    again = place.attach(place.file("b.txt", b"words"))

    assert first.as_json() == again.as_json()
    assert place.visible() == [first.path]
    assert [cid for cid, _ in place.world.objects.sizes()] == [first.cid]
    assert list((place.root / "store/.new").iterdir()) == []


@pytest.mark.parametrize("name", ["absent", "", ".", "nul\0byte", "fifo"])
def test_what_is_no_readable_file_is_refused_at_once(place: Place, name: str) -> None:
    os.mkfifo(place.folder / "fifo")

    with pytest.raises(ContractError) as caught:
        place.attach(str(place.folder / name) if name else "")

    assert reason_of(caught) == "unreadable_file"


def test_a_world_that_is_a_file_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "world").write_bytes(b"")

    with pytest.raises(ContractError) as caught:
        World(str(tmp_path / "world"), make=True)

    assert reason_of(caught) == "world_unwritable"


@pytest.mark.parametrize("path", ["/artifacts/absent", "/artifacts/folder"])
def test_only_a_file_is_an_artifact(place: Place, path: str) -> None:
    place.put("/artifacts/folder/x")

    with pytest.raises(ContractError) as caught:
        place.world.find(path)

    assert reason_of(caught) == "unknown_artifact"


@pytest.mark.parametrize(
    "occupied",
    [
        "/artifacts/demo/inner/receipt.json",
        "/artifacts/demo/outputs/a.md",
        "/artifacts/demo/file",
    ],
)
def test_a_prefix_with_something_else_in_it_is_occupied(place: Place, occupied: str) -> None:
    place.put(occupied)

    with pytest.raises(ContractError) as caught:
        place.world.check_free(PREFIX, "x-1")

    assert reason_of(caught) == "prefix_occupied"


def test_a_prefix_inside_a_settled_one_is_occupied(place: Place) -> None:
    place.put("/artifacts/demo/receipt.json")

    for inner in ("/artifacts/demo/inner/", "/artifacts/demo/outputs/x/y/"):
        with pytest.raises(ContractError) as caught:
            place.world.check_free(inner, "x-1")
        assert reason_of(caught) == "prefix_occupied"


@pytest.mark.parametrize("prefix", ["/artifacts/demo/", "/artifacts/demo/inner/"])
def test_a_prefix_that_a_file_is_at_or_around_is_occupied(place: Place, prefix: str) -> None:
    place.put("/artifacts/demo")

    with pytest.raises(ContractError) as caught:
        place.world.check_free(prefix, "x-1")

    assert reason_of(caught) == "prefix_occupied"


def test_a_settled_prefix_may_be_used_again_and_a_neighbour_is_free(place: Place) -> None:
    place.put("/artifacts/demo/receipt.json")

    place.world.check_free(PREFIX, "x-1")
    place.world.check_free("/artifacts/demo2/", "x-1")
    place.world.check_free("/artifacts/dem/", "x-1")
    assert place.world.is_settled(PREFIX)
    assert not place.world.is_settled("/artifacts/demo2/")


def test_a_staging_tree_holds_the_artifacts_read_only_and_an_empty_prefix(place: Place) -> None:
    artifact = place.attach(place.file("a.txt", b"words"))

    staging = place.stage("x-1.1", a=artifact, again=artifact)

    staged = Path(staging.tree + artifact.path)
    assert staged.read_bytes() == b"words"
    assert staged.stat().st_mode & 0o777 == 0o444
    assert staged.stat().st_ino != Path(place.world.objects.path(artifact.cid)).stat().st_ino
    assert list(Path(staging.tree + PREFIX).iterdir()) == []
    assert list(Path(staging.tmp).iterdir()) == []


def test_a_staging_tree_belongs_to_one_attempt(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestrator.world.staging.PATIENCE_S", 0)
    stage_with(place, {})

    with pytest.raises(ContractError) as caught:
        stage_with(place, {})

    assert reason_of(caught) == "execution_exists"


def test_an_attempt_whose_beginning_was_killed_is_no_obstacle(place: Place) -> None:
    killed = stage_with(place, {PREFIX + "outputs/a": b"half"})
    os.close(killed.lock_fd)  # as the kernel does when the process ends

    begun = stage_with(place, {})

    assert list(Path(begun.tree + PREFIX).iterdir()) == []
    [found] = place.world.stagings.abandoned()
    assert Path(found.tree + PREFIX + "outputs/a").read_bytes() == b"half"


def test_an_attempt_whose_beginning_was_lost_is_waited_for(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = stage_with(place, {})
    monkeypatch.setattr(time, "sleep", lambda _: place.world.stagings.discard(lost))

    begun = stage_with(place, {})

    assert Path(begun.tree).is_dir()
    assert place.world.stagings.abandoned() == []


def test_an_attempt_that_somebody_works_on_is_not_abandoned(place: Place) -> None:
    stage_with(place, {})

    assert place.world.stagings.abandoned() == []


def test_what_is_no_folder_among_the_attempts_is_told(place: Place) -> None:
    stage_with(place, {})
    (place.root / ".staging/x").write_bytes(b"")

    with pytest.raises(ContractError) as caught:
        place.world.stagings.abandoned()

    assert reason_of(caught) == "world_unwritable"


def test_a_file_in_the_place_of_all_attempts_is_told(place: Place) -> None:
    (place.root / ".staging").write_bytes(b"")

    with pytest.raises(ContractError) as caught:
        place.world.stagings.begin()

    assert reason_of(caught) == "world_unwritable"


def test_attempts_that_cannot_be_looked_into_are_the_worlds_trouble(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.world.stagings.discard(place.stage("e-1.1"))

    def denied(path: str) -> list[str]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    monkeypatch.setattr(os, "listdir", denied)  # root, who may run this, is denied nothing

    with pytest.raises(ContractError, match="Permission denied") as caught:
        place.world.stagings.abandoned()
    assert caught.value.reason == "world_unwritable"


def test_an_attempt_whose_worker_is_gone_is_abandoned_and_can_be_discarded(place: Place) -> None:
    staging = stage_with(place, {PREFIX + "outputs/a": b"half"})
    os.close(staging.lock_fd)  # as the kernel does when the process ends

    [found] = StagingArea(str(place.root)).abandoned()
    place.world.stagings.discard(found)

    assert found.attempt == "x-1.1"
    assert place.visible() == []
    stage_with(place, {})


def test_a_tree_that_its_maker_locked_away_is_discarded_too(place: Place) -> None:
    staging = stage_with(place, {PREFIX + "outputs/deep/a": b"1"})
    Path(staging.tree + PREFIX + "outputs/deep").chmod(0)
    Path(staging.tree + PREFIX + "outputs").chmod(0)

    place.world.stagings.discard(staging)

    assert not Path(staging.folder).exists()


def test_bytes_that_are_gone_or_changed_are_told_before_anything_starts(place: Place) -> None:
    artifact = place.attach(place.file("a.txt", b"words"))
    stored = Path(place.world.objects.path(artifact.cid))
    stored.chmod(0o600)
    for damage in (lambda: stored.write_bytes(b"other"), stored.unlink):
        damage()
        staging = place.world.stagings.begin()
        with pytest.raises(ContractError) as caught:
            place.world.lay_out(staging, {"a": artifact}, PREFIX)
        assert reason_of(caught) == "world_corrupt"
        assert not os.path.exists(staging.tree + artifact.path)
        place.world.stagings.discard(staging)


def test_the_same_attempt_carries_another_mark_in_another_world(tmp_path: Path) -> None:
    marks = set()
    for name in ("one", "other"):
        with World(str(tmp_path / name), make=True) as world:
            staging = world.stagings.begin()
            world.stagings.claim(staging, "x-1.1")
            marks.add(world.mark(staging))

    assert len(marks) == 2


def test_a_discarded_staging_tree_is_gone_and_what_it_links_to_is_not(place: Place) -> None:
    outside = Path(place.file("outside", b"words"))
    (place.folder / "folder").mkdir()
    artifact = place.attach(str(outside))
    staging = place.stage("x-1.1", a=artifact)
    Path(staging.tree + PREFIX + "link").symlink_to(outside)
    Path(staging.tree + PREFIX + "folder").symlink_to(place.folder / "folder")

    place.world.stagings.discard(staging)

    assert not Path(staging.folder).exists()
    assert outside.read_bytes() == b"words"
    assert (place.folder / "folder").is_dir()
    assert place.world.objects.read(artifact.cid) == b"words"


def test_what_an_attempt_has_worked_in_is_emptied_and_used_again(place: Place) -> None:
    artifact = place.attach(place.file("a.txt", b"words"))
    first = place.stage("x-1.1", a=artifact)
    inode = os.stat(first.folder).st_ino
    for name in ("tree/artifacts/stray/deep", "tree/other", "tmp/deep", "own"):
        Path(first.folder, name).mkdir(parents=True)
        Path(first.folder, name, "file").write_bytes(b"left")
    Path(first.tree + PREFIX + "link").symlink_to("/etc")

    place.world.stagings.recycle(first)
    assert place.world.stagings.abandoned() == []
    second = place.stage("x-2.1")

    assert os.stat(second.folder).st_ino == inode
    assert second.attempt == "x-2.1"
    there = sorted(str(path.relative_to(second.folder)) for path in Path(second.folder).rglob("*"))
    around = [each.rstrip("/") for each in ("", "/artifacts", PREFIX)]
    assert there == sorted(["tmp", *(f"tree{folder}" for folder in around)])


def test_few_are_kept_to_be_used_again(place: Place) -> None:
    begun = [place.stage(f"x-{number}.1") for number in range(10)]
    for staging in begun:
        place.world.stagings.recycle(staging)

    assert len(list((place.root / ".staging").iterdir())) == 4
    assert len([each for each in begun if Path(each.folder).exists()]) == 4


@pytest.mark.parametrize("spoil", ["mode", "link", "gone", "attribute"])
def test_what_an_attempt_has_changed_is_not_used_again(
    place: Place, tmp_path: Path, spoil: str
) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "file").write_bytes(b"of somebody")
    first = place.stage("x-1.1")
    inode = os.stat(first.folder).st_ino
    tmp = Path(first.tmp)
    if spoil == "mode":
        tmp.chmod(0o500)
    elif spoil == "attribute":
        try:
            os.setxattr(tmp, "user.note", b"of an attempt")
        except OSError:
            tmp.chmod(0o500)  # this file system has none
    else:
        tmp.rmdir()
    if spoil == "link":
        tmp.symlink_to(outside)
    kept = os.open(first.folder, os.O_RDONLY)  # so that the number is not given out again

    place.world.stagings.recycle(first)
    second = place.stage("x-2.1")

    assert os.stat(second.folder).st_ino != inode
    assert not Path(first.folder).exists()
    assert (outside / "file").read_bytes() == b"of somebody"
    os.close(kept)


def test_nothing_is_left_of_what_would_have_been_used_again(place: Place) -> None:
    place.world.stagings.recycle(place.stage("x-1.1"))
    last = place.stage("x-2.1")

    place.world.close()
    place.world.stagings.recycle(last)

    assert list((place.root / ".staging").iterdir()) == []
