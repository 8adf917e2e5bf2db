"""A world on disk: attach, find, stage, publish, discard."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from orchestrator.world.store import Staging, World
from processors.protocol import digests
from processors.protocol.errors import ContractError
from processors.protocol.payload import Artifact

PREFIX = "/artifacts/demo/"


class Place:
    """A world in a folder, and files to put into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "world"
        self.world = World(str(self.root))

    def file(self, name: str, data: bytes) -> str:
        """Make a file outside the world."""
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def put(self, path: str, data: bytes = b"x") -> None:
        """Make a file inside the world."""
        file = self.root / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def read(self, path: str) -> bytes:
        """The bytes at a world path."""
        return (self.root / path.removeprefix("/")).read_bytes()

    def stage(self, attempt: str, **artifacts: Artifact) -> Staging:
        """Begin an attempt and lay out its tree."""
        staging = self.world.begin(attempt)
        self.world.lay_out(staging, artifacts, PREFIX)
        return staging

    def attach(self, source: str) -> Artifact:
        """Attach a file in an attempt that does nothing else."""
        staging = self.world.begin("attach")
        try:
            return self.world.attach(source, staging)
        finally:
            self.world.discard(staging)

    def visible(self) -> list[str]:
        """Every world path that holds a file."""
        files = (self.root / "artifacts").rglob("*")
        return sorted(f"/{file.relative_to(self.root)}" for file in files if file.is_file())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def stage_with(place: Place, files: dict[str, bytes], attempt: str = "x-1") -> Staging:
    staging = place.stage(attempt)
    for path, data in files.items():
        file = Path(staging.tree + path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return staging


def reason_of(caught: pytest.ExceptionInfo[ContractError]) -> str:
    assert caught.value.code == "ERR_INPUTS"
    return caught.value.reason


def test_a_world_creates_nothing_until_something_is_stored(place: Place) -> None:
    place.world.check_free("x-1", PREFIX)

    assert not place.root.exists()


def test_a_file_is_attached_under_its_content(place: Place) -> None:
    found = place.attach(place.file("a.txt", b"words"))

    assert found.cid == digests.of_bytes(b"words")
    assert found.size_bytes == 5
    assert found.path == "/artifacts/attached/" + found.cid.removeprefix("sha256:")
    assert place.read(found.path) == b"words"
    assert place.world.find(found.path).as_json() == found.as_json()


def test_attaching_twice_gives_one_artifact_and_leaves_no_scratch(place: Place) -> None:
    first = place.attach(place.file("a.txt", b"words"))
    again = place.attach(place.file("b.txt", b"words"))

    assert first.as_json() == again.as_json()
    assert place.visible() == [first.path]
    assert list((place.root / ".staging").iterdir()) == []


@pytest.mark.parametrize("name", ["absent", "", ".", "nul\0byte", "fifo"])
def test_what_is_no_readable_file_is_refused_at_once(place: Place, name: str) -> None:
    os.mkfifo(place.folder / "fifo")

    with pytest.raises(ContractError) as caught:
        place.attach(str(place.folder / name) if name else "")

    assert reason_of(caught) == "unreadable_file"


def test_a_world_that_is_a_file_cannot_be_written(place: Place) -> None:
    place.root.write_bytes(b"")

    with pytest.raises(ContractError) as caught:
        place.attach(place.file("a.txt", b"words"))

    assert reason_of(caught) == "world_unwritable"


@pytest.mark.parametrize("path", ["/artifacts/absent", "/artifacts/folder"])
def test_only_a_file_is_an_artifact(place: Place, path: str) -> None:
    place.put("/artifacts/folder/x")

    with pytest.raises(ContractError) as caught:
        place.world.find(path)

    assert reason_of(caught) == "unknown_artifact"


def test_an_execution_id_is_used_once(place: Place) -> None:
    place.put("/artifacts/execution/x-1/determinism.json")

    with pytest.raises(ContractError) as caught:
        place.world.check_free("x-1", PREFIX)

    assert reason_of(caught) == "execution_exists"
    place.world.check_free("x-2", PREFIX)


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
        place.world.check_free("x-1", PREFIX)

    assert reason_of(caught) == "prefix_occupied"


def test_a_prefix_inside_a_settled_one_is_occupied(place: Place) -> None:
    place.put("/artifacts/demo/receipt.json")

    for inner in ("/artifacts/demo/inner/", "/artifacts/demo/outputs/x/y/"):
        with pytest.raises(ContractError) as caught:
            place.world.check_free("x-1", inner)
        assert reason_of(caught) == "prefix_occupied"


def test_a_settled_prefix_may_be_used_again_and_a_neighbour_is_free(place: Place) -> None:
    place.put("/artifacts/demo/receipt.json")

    place.world.check_free("x-1", PREFIX)
    place.world.check_free("x-1", "/artifacts/demo2/")
    place.world.check_free("x-1", "/artifacts/dem/")
    assert place.world.is_settled(PREFIX)
    assert not place.world.is_settled("/artifacts/demo2/")


def test_a_staging_tree_holds_the_artifacts_read_only_and_an_empty_prefix(place: Place) -> None:
    artifact = place.attach(place.file("a.txt", b"words"))

    staging = place.stage("x-1", a=artifact, again=artifact)

    staged = Path(staging.tree + artifact.path)
    assert staged.read_bytes() == b"words"
    assert staged.stat().st_mode & 0o777 == 0o444
    assert staged.stat().st_ino != (place.root / artifact.path.removeprefix("/")).stat().st_ino
    assert list(Path(staging.tree + PREFIX).iterdir()) == []
    assert list(Path(staging.tmp).iterdir()) == []


def test_a_staging_tree_belongs_to_one_attempt(place: Place) -> None:
    stage_with(place, {})

    with pytest.raises(ContractError) as caught:
        stage_with(place, {})

    assert reason_of(caught) == "execution_exists"


def test_an_attempt_that_somebody_works_on_is_not_abandoned(place: Place) -> None:
    stage_with(place, {})

    assert place.world.abandoned() == []


def test_what_is_no_folder_among_the_attempts_is_told(place: Place) -> None:
    stage_with(place, {})
    (place.root / ".staging/x").write_bytes(b"")

    with pytest.raises(ContractError) as caught:
        place.world.abandoned()

    assert reason_of(caught) == "world_unwritable"


def test_a_file_in_the_place_of_all_attempts_is_told(place: Place) -> None:
    place.root.mkdir()
    (place.root / ".staging").write_bytes(b"")

    with pytest.raises(ContractError) as caught:
        place.world.begin("x-1")

    assert reason_of(caught) == "world_unwritable"


def test_an_attempt_whose_worker_is_gone_is_abandoned_and_can_be_discarded(place: Place) -> None:
    staging = stage_with(place, {PREFIX + "outputs/a": b"half"})
    os.close(staging.lock_fd)  # as the kernel does when the process ends

    [found] = World(str(place.root)).abandoned()
    place.world.discard(found)

    assert found.attempt == "x-1"
    assert place.visible() == []
    stage_with(place, {})


def test_a_tree_that_its_maker_locked_away_is_discarded_too(place: Place) -> None:
    staging = stage_with(place, {PREFIX + "outputs/deep/a": b"1"})
    Path(staging.tree + PREFIX + "outputs/deep").chmod(0)
    Path(staging.tree + PREFIX + "outputs").chmod(0)

    place.world.discard(staging)

    assert not Path(staging.folder).exists()


def test_nothing_is_visible_before_it_is_published(place: Place) -> None:
    staging = stage_with(place, {PREFIX + "outputs/a": b"1", PREFIX + "receipt.json": b"2"})
    assert place.visible() == []

    place.world.publish(
        staging, staging.tree, [PREFIX + "outputs/a", PREFIX + "receipt.json"], replace=PREFIX
    )

    assert place.visible() == [PREFIX + "outputs/a", PREFIX + "receipt.json"]
    assert place.read(PREFIX + "outputs/a") == b"1"


def test_publishing_moves_what_is_named_and_nothing_else(place: Place) -> None:
    staging = stage_with(place, {PREFIX + "outputs/a": b"1", PREFIX + "stray": b"2"})

    place.world.publish(staging, staging.tree, [PREFIX + "outputs/a"], replace=PREFIX)

    assert place.visible() == [PREFIX + "outputs/a"]


def test_a_new_execution_takes_the_whole_place_of_an_old_one(place: Place) -> None:
    for attempt, name in (("x-1", "old"), ("x-2", "new")):
        path = f"{PREFIX}outputs/{name}"
        staging = stage_with(place, {path: name.encode()}, attempt)
        place.world.publish(staging, staging.tree, [path], replace=PREFIX)
        place.world.discard(staging)

    assert place.visible() == [PREFIX + "outputs/new"]


def test_without_a_prefix_to_replace_everything_stays(place: Place) -> None:
    place.put(PREFIX + "outputs/old")
    staging = stage_with(place, {"/artifacts/execution/x-1/determinism.json": b"1"})

    place.world.publish(
        staging, staging.tree, ["/artifacts/execution/x-1/determinism.json"], replace=""
    )

    assert PREFIX + "outputs/old" in place.visible()
    assert len(place.visible()) == 2


def test_publishing_what_is_not_there_is_an_error(place: Place) -> None:
    staging = stage_with(place, {})

    with pytest.raises(ContractError) as caught:
        place.world.publish(staging, staging.tree, [PREFIX + "outputs/a"], replace=PREFIX)

    assert reason_of(caught) == "world_unwritable"


def test_a_discarded_staging_tree_is_gone_and_what_it_links_to_is_not(place: Place) -> None:
    outside = Path(place.file("outside", b"words"))
    (place.folder / "folder").mkdir()
    artifact = place.attach(str(outside))
    staging = place.stage("x-1", a=artifact)
    Path(staging.tree + PREFIX + "link").symlink_to(outside)
    Path(staging.tree + PREFIX + "folder").symlink_to(place.folder / "folder")

    place.world.discard(staging)

    assert not Path(staging.folder).exists()
    assert outside.read_bytes() == b"words"
    assert (place.folder / "folder").is_dir()
    assert place.read(artifact.path) == b"words"
