"""Small contents written ahead of their files: durable with the fact, whatever the files were."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.world import audit, durable, intake, world
from orchestrator.world.objects import Objects
from orchestrator.world.placing import SMALL_MAX
from orchestrator.world.records import Ahead
from orchestrator.world.world import World
from processors.protocol import digests
from processors.protocol.errors import ContractError

WORDS, CID = b"words", digests.of_bytes(b"words")
LARGE = b"x" * (SMALL_MAX + 1)


def settle(place: World, *contents: bytes) -> None:
    """Make contents visible, each at a path of its own, written ahead where they are small."""
    with place.objects.placing() as placing:
        files = [placing.write(content) for content in contents]
        ahead = place.place_ahead(placing)
        with place.ledger.writing(ahead) as transaction:
            for cid, size_bytes in files:
                path = f"/artifacts/{cid.removeprefix('sha256:')}"
                transaction.append("artifact.put", intake.fact(path, cid, size_bytes, None))


def move(place: World, data: bytes) -> Ahead:
    """Move a file into the store that had been checked to hold ``WORDS``."""
    file = Path(place.ledger.folder, "moved")
    file.write_bytes(data)
    with place.objects.placing() as placing:
        placing.move(str(file), CID, len(WORDS))
        return placing.place_ahead()


def many(place: World) -> None:
    """Write so much ahead that it is to be waited for."""
    for number in range(world.AHEAD_MAX):
        settle(place, b"%d" % number)
    assert len(place.ledger.ahead()) == world.AHEAD_MAX


@pytest.fixture
def place(tmp_path: Path) -> Iterator[World]:
    with World(str(tmp_path / "w"), make=True) as made:
        yield made


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was waited for from now on: a path, or the whole file system by a folder on it."""
    seen: list[str] = []
    sync, sync_system = durable.sync, durable.sync_system

    def note(path: str) -> None:
        seen.append(os.path.basename(path))
        sync(path)

    def note_system(fd: int) -> None:
        seen.append("all by " + os.path.basename(os.readlink(f"/proc/self/fd/{fd}")))
        sync_system(fd)

    monkeypatch.setattr(durable, "sync", note)
    monkeypatch.setattr(durable, "sync_system", note_system)
    return seen


def test_a_small_content_is_in_the_transaction_and_has_its_file(
    place: World, waits: list[str]
) -> None:
    settle(place, WORDS)

    assert place.ledger.ahead() == [(CID, WORDS)]
    assert place.objects.read(CID) == WORDS
    assert os.stat(place.objects.path(CID)).st_mode & 0o777 == 0o444
    assert waits == ["w"]  # the name of the store, when it was made
    assert audit.problem(place.ledger) is None


def test_a_large_content_is_waited_for_before_the_transaction(
    place: World, waits: list[str]
) -> None:
    settle(place, LARGE)

    assert place.ledger.ahead() == []
    assert len(waits) == 4  # the store's name; the file; its folder, and the folder's own name


def test_a_moved_file_is_written_ahead_and_takes_the_place_of_what_has_rotted(
    place: World,
) -> None:
    settle(place, WORDS)
    path = Path(place.objects.path(CID))
    path.chmod(0o644)
    path.write_bytes(b"WORDS")

    assert move(place, WORDS) == [(CID, WORDS)]
    assert place.objects.read(CID) == WORDS
    assert not Path(place.ledger.folder, "moved").exists()


def test_a_transaction_that_raises_writes_nothing_ahead(place: World) -> None:
    with place.objects.placing() as placing:
        placing.write(WORDS)
        with pytest.raises(LookupError), place.ledger.writing(placing.place_ahead()):
            raise LookupError

    assert place.ledger.ahead() == []


DAMAGE: dict[str, Callable[[Path], object]] = {
    "gone": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "zeros": lambda file: file.write_bytes(bytes(len(WORDS))),
    "longer": lambda file: file.write_bytes(WORDS + b"x"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_a_file_that_the_disk_never_got_is_put_back(how: str, place: World) -> None:
    settle(place, WORDS)
    file = Path(place.objects.path(CID))
    file.chmod(0o644)
    DAMAGE[how](file)
    with pytest.raises(ContractError):
        place.objects.read(CID)
    place.close()

    with World(place.ledger.folder, make=False) as again:
        assert again.objects.read(CID) == WORDS
        assert again.ledger.ahead() == [(CID, WORDS)]


def test_a_file_that_was_waited_for_is_not_put_back(place: World) -> None:
    settle(place, WORDS)
    place.wait()
    os.unlink(place.objects.path(CID))
    place.close()

    with World(place.ledger.folder, make=False) as again, pytest.raises(ContractError) as caught:
        again.objects.read(CID)
    assert caught.value.reason == "world_corrupt"


def test_what_something_refers_to_already_keeps_its_file(place: World) -> None:
    settle(place, WORDS)
    place.wait()
    before = os.stat(place.objects.path(CID))

    assert move(place, WORDS) == [(CID, WORDS)]
    after = os.stat(place.objects.path(CID))
    assert (before.st_ino, before.st_ctime_ns) == (after.st_ino, after.st_ctime_ns)


def test_a_moved_file_that_is_not_what_was_checked_is_refused(place: World) -> None:
    with pytest.raises(ContractError) as caught:
        move(place, b"words!")

    assert (caught.value.code, caught.value.reason) == (
        "ERR_ADAPTER_INVOCATION",
        "output_invalid",
    )
    assert list(place.objects.sizes()) == []


def test_so_many_that_one_wait_is_nothing_are_not_written_ahead(
    place: World, waits: list[str]
) -> None:
    contents = [b"%d" % number for number in range(4 * durable.MANY)]
    settle(place, *contents)

    assert place.ledger.ahead() == []
    assert waits == ["w", "all by store", "all by store"]  # their bytes, their names
    assert all(place.objects.read(digests.of_bytes(data)) == data for data in contents)


def test_a_content_that_is_there_is_kept(place: World, waits: list[str]) -> None:
    with place.objects.placing() as placing:
        files = [placing.write(content) for content in (WORDS, LARGE)]
        placing.place_ahead()
    waits.clear()
    with World(place.ledger.folder, make=False) as other, other.objects.placing() as placing:
        for cid, size_bytes in files:
            placing.keep(cid, size_bytes)

        assert placing.place_ahead() == [(CID, WORDS)]
        large = files[1][0]
        assert waits == [large[7:9], "store"]
        with pytest.raises(ContractError) as caught:
            placing.keep(digests.of_bytes(b"gone"), 4)
    assert caught.value.reason == "world_corrupt"


def test_after_many_all_of_them_are_waited_for_at_once(place: World, waits: list[str]) -> None:
    many(place)
    waits.clear()

    place.wait_if_many()
    settle(place, b"next")

    assert waits == ["all by store"]
    assert [data for _, data in place.ledger.ahead()] == [b"next"]
    settle(place, b"0")  # known to be on the disk
    assert len(place.ledger.ahead()) == 1


def test_few_are_not_waited_for(place: World, waits: list[str]) -> None:
    settle(place, WORDS)
    waits.clear()

    place.wait_if_many()

    assert waits == []


def test_what_an_earlier_process_wrote_ahead_is_waited_for_by_the_next(
    place: World, waits: list[str]
) -> None:
    many(place)
    place.close()
    waits.clear()

    with World(place.ledger.folder, make=False) as again:
        again.wait_if_many()
        assert waits == ["all by store"]
        assert again.ledger.ahead() == []


def test_a_world_at_rest_has_nothing_ahead(place: World, waits: list[str]) -> None:
    settle(place, WORDS)
    waits.clear()

    place.wait()
    place.wait()  # there is nothing more to wait for

    name = os.path.basename(place.objects.path(CID))
    assert waits == [name, CID[7:9], "store"]
    assert place.ledger.ahead() == []


def test_what_comes_while_others_are_waited_for_stays_ahead(
    place: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with World(place.ledger.folder, make=False) as other:
        many(place)
        monkeypatch.setattr(durable, "sync_system", lambda _: settle(other, b"between"))

        place.wait()

    assert [data for _, data in place.ledger.ahead()] == [b"between"]


def test_nothing_is_collected_while_it_is_waited_for(
    place: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(place, WORDS)
    with place.ledger.writing() as transaction:
        path = f"/artifacts/{CID.removeprefix('sha256:')}"
        transaction.append("artifact.removed", {"path": path})  # so it may be collected
    is_whole, store = Objects.is_whole, os.path.join(place.ledger.folder, "store")

    def collect_after(objects: Objects, cid: str, data: bytes) -> bool:
        """Look at a file; then comes a collection, if it may."""
        found = is_whole(objects, cid, data)
        try:
            with durable.Lock(store, shared=False, patience_s=0):
                os.unlink(objects.path(cid))
        except BlockingIOError:
            pass
        return found

    monkeypatch.setattr(Objects, "is_whole", collect_after)

    place.wait()

    assert place.ledger.ahead() == []


def test_a_disk_that_fails_is_an_error_and_nothing_is_forgotten(
    place: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(place, WORDS)

    def fail(_: str) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as failing:
        failing.setattr(durable, "sync", fail)
        for _ in range(2):
            with pytest.raises(ContractError) as caught:
                place.wait()
            assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", "world_unwritable")
            assert place.ledger.ahead() == [(CID, WORDS)]
            # What the system took for written is not relied on.
            assert not os.path.exists(place.objects.path(CID))
    place.wait()

    assert place.ledger.ahead() == []
    assert place.objects.read(CID) == WORDS


def test_a_world_that_cannot_be_written_can_be_read(
    place: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(place, WORDS)
    os.unlink(place.objects.path(CID))

    def fail(_: str) -> None:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as failing:
        failing.setattr(durable, "sync", fail)
        with World(place.ledger.folder, make=False) as again:
            assert again.ledger.artifact(f"/artifacts/{CID.removeprefix('sha256:')}") is not None
            with pytest.raises(ContractError):
                again.objects.read(CID)
            with pytest.raises(ContractError) as caught:
                again.wait()
    assert caught.value.reason == "world_unwritable"
    assert place.ledger.ahead() == [(CID, WORDS)]


def test_projections_are_folded_anew_without_losing_it(place: World) -> None:
    settle(place, WORDS)

    place.ledger.rebuild()

    assert place.ledger.ahead() == [(CID, WORDS)]
    assert audit.problem(place.ledger) is None


def test_a_world_of_the_format_before_gets_its_place(place: World) -> None:
    place.ledger.file.run("DROP TABLE ahead")
    place.ledger.file.run("PRAGMA user_version = 3")
    place.close()

    with World(place.ledger.folder, make=False) as again:
        assert again.ledger.ahead() == []
        assert audit.problem(again.ledger) is None


def test_bytes_of_another_content_are_found_and_put_nowhere(place: World) -> None:
    settle(place, WORDS)
    place.ledger.file.run("UPDATE ahead SET data = ?", b"other")
    os.unlink(place.objects.path(CID))
    place.close()

    with World(place.ledger.folder, make=False) as again:
        assert [cid for cid, _ in again.objects.sizes()] == []
        found = audit.problem(again.ledger)
        assert found is not None
        assert f"what was written ahead as '{CID}' has another hash" in found.message
        with pytest.raises(ContractError) as caught:
            again.wait()
        assert caught.value.reason == "world_corrupt"
        assert len(again.ledger.ahead()) == 1


def test_a_content_that_is_lost_before_it_was_waited_for_is_put_back(place: World) -> None:
    settle(place, WORDS)
    os.unlink(place.objects.path(CID))

    place.wait()

    assert place.objects.read(CID) == WORDS
    assert place.ledger.ahead() == []
