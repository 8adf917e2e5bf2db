"""The store of contents: placed whole or not at all, and once; verified on reading; collected."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.world import objects
from orchestrator.world import placing as placing_module
from orchestrator.world.objects import Objects
from processors.protocol import digests
from processors.protocol.errors import ContractError

DATA = b"some bytes\n"
CID = digests.of_bytes(DATA)


@pytest.fixture
def store(tmp_path: Path) -> Objects:
    """The store of a new world."""
    return Objects(str(tmp_path / "w"))


def put(store: Objects, *contents: bytes) -> None:
    """Place contents."""
    with store.placing() as placing:
        for content in contents:
            placing.write(content)
        placing.place()


def refused(make: Callable[[], object]) -> tuple[str, str]:
    """Code and reason of the refusal."""
    with pytest.raises(ContractError) as caught:
        make()
    return caught.value.code, caught.value.reason


def scratch(store: Objects) -> list[Path]:
    """What lies in the store without a name."""
    return list((Path(store.path(CID)).parents[1] / ".new").iterdir())


def test_a_store_is_made_when_something_is_placed(store: Objects, tmp_path: Path) -> None:
    assert list(store.sizes()) == []
    assert not store.holds(CID, len(DATA))
    assert store.collect(set[str]) == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_what_was_placed_lies_under_its_hash_read_only(store: Objects, tmp_path: Path) -> None:
    put(store, DATA, b"")

    file = tmp_path / "w" / "store" / CID[7:9] / CID[9:]
    assert file.read_bytes() == DATA
    assert stat.S_IMODE(file.stat().st_mode) == 0o444
    assert store.holds(CID, len(DATA))
    assert not store.holds(CID, len(DATA) + 1)
    assert store.read(CID) == DATA
    assert list(store.sizes()) == sorted([(CID, len(DATA)), (digests.of_bytes(b""), 0)])
    assert scratch(store) == []


def test_a_checked_file_is_moved_in(store: Objects, tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    file = tmp_path / "w" / "staged"
    file.write_bytes(DATA)
    with store.placing() as placing:
        placing.move(str(file), CID, len(DATA))
        assert file.exists()
        assert not store.holds(CID, len(DATA))
        placing.place()

    assert not file.exists()
    assert store.read(CID) == DATA


def test_a_descriptor_is_copied_in(store: Objects, tmp_path: Path) -> None:
    data = os.urandom(2 * digests.CHUNK_BYTES + 7)
    source = tmp_path / "source"
    source.write_bytes(data)
    with source.open("rb") as file, store.placing() as placing:
        assert placing.copy(file.fileno(), "a file") == (digests.of_bytes(data), len(data))
        placing.place()

    assert b"".join(store.chunks(digests.of_bytes(data))) == data
    assert source.read_bytes() == data
    target = tmp_path / "target"
    store.copy_to(digests.of_bytes(data), str(target))
    assert target.read_bytes() == data
    assert scratch(store) == []


def test_what_cannot_be_read_is_the_callers_to_mend(store: Objects, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    with store.placing() as placing:
        assert refused(lambda: placing.copy(fd, "a file")) == ("ERR_INPUTS", "unreadable_file")
    os.close(fd)
    assert scratch(store) == []


def test_what_changes_while_it_is_read_is_not_taken(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(2 * digests.CHUNK_BYTES))
    with source.open("rb") as file:
        copied = placing_module.pieces(file.fileno(), str(source))
        next(copied)
        with source.open("ab") as writer:
            writer.write(b"more")

        assert refused(lambda: list(copied)) == ("ERR_INPUTS", "unreadable_file")


@pytest.mark.parametrize("size", [len(DATA), placing_module.SMALL_MAX + 1])
def test_a_copy_takes_the_place_of_bytes_that_have_rotted(
    size: int, store: Objects, tmp_path: Path
) -> None:
    data = b"x" * size
    put(store, data)
    file = Path(store.path(cid := digests.of_bytes(data)))
    file.chmod(0o644)
    file.write_bytes(b"y" * size)
    (tmp_path / "source").write_bytes(data)

    later = Objects(str(tmp_path / "w"))  # another process, which has waited for nothing
    with later.placing() as placing, (tmp_path / "source").open("rb") as source:
        placing.copy(source.fileno(), "a file")
        placing.place()

    assert later.read(cid) == data


def test_an_equal_content_is_stored_once(store: Objects, tmp_path: Path) -> None:
    put(store, DATA)
    before = Path(store.path(CID)).stat()
    file = tmp_path / "w" / "staged"
    file.write_bytes(DATA)

    put(store, DATA, DATA)
    with store.placing() as placing, file.open("rb") as source:
        placing.copy(source.fileno(), "a file")
        placing.move(str(file), CID, len(DATA))
        placing.place()

    after = Path(store.path(CID)).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert len(list(store.sizes())) == 1
    assert scratch(store) == []


@pytest.mark.parametrize("half", [b"", DATA[:-1], DATA + b"x"])
def test_a_content_of_another_size_is_replaced(store: Objects, half: bytes) -> None:
    file = Path(store.path(CID))
    file.parent.mkdir(parents=True)
    file.write_bytes(half)

    put(store, DATA)

    assert store.read(CID) == DATA


def test_what_is_not_placed_leaves_nothing(store: Objects) -> None:
    with store.placing() as placing:
        placing.write(b"x" * (placing_module.SMALL_MAX + 1))
        assert len(scratch(store)) == 1

    assert scratch(store) == []
    assert list(store.sizes()) == []


def spoiled(store: Objects, data: bytes) -> None:
    """Put other bytes in a content's place."""
    put(store, DATA)
    os.chmod(store.path(CID), 0o644)
    Path(store.path(CID)).write_bytes(data)


@pytest.mark.parametrize("data", [b"", DATA[:-1], b"S" + DATA[1:], DATA + b"x"])
def test_bytes_that_are_not_the_contents_are_found_on_reading(
    store: Objects, tmp_path: Path, data: bytes
) -> None:
    spoiled(store, data)
    target = tmp_path / "target"

    assert refused(lambda: store.read(CID)) == ("ERR_INPUTS", "world_corrupt")
    assert refused(lambda: list(store.chunks(CID))) == ("ERR_INPUTS", "world_corrupt")
    assert refused(lambda: store.copy_to(CID, str(target))) == ("ERR_INPUTS", "world_corrupt")
    assert not target.exists()
    with pytest.raises(ContractError, match=f"{CID} are not those.*restore .*{CID[9:]}"):
        store.read(CID)


def test_bytes_that_are_gone_or_no_file_are_named(store: Objects, tmp_path: Path) -> None:
    put(store, DATA)
    os.unlink(store.path(CID))
    assert refused(lambda: store.read(CID)) == ("ERR_INPUTS", "world_corrupt")
    for make in (
        lambda: os.symlink("/dev/zero", store.path(CID)),
        lambda: os.mkdir(store.path(CID)),
    ):
        make()
        assert not store.holds(CID, len(DATA))
        assert refused(lambda: store.read(CID)) == ("ERR_INPUTS", "world_corrupt")
        if os.path.islink(store.path(CID)):
            os.unlink(store.path(CID))
    assert refused(lambda: store.copy_to(CID, str(tmp_path / "t"))) == (
        "ERR_INPUTS",
        "world_corrupt",
    )
    assert not (tmp_path / "t").exists()


def test_a_read_has_a_limit(store: Objects) -> None:
    put(store, DATA)

    assert store.read(CID, len(DATA)) == DATA
    assert refused(lambda: store.read(CID, len(DATA) - 1)) == ("ERR_INPUTS", "too_large")


def test_only_a_content_id_names_a_content(store: Objects) -> None:
    for wrong in ("", "sha256:..", CID.upper(), CID[:-1], "sha256:" + "../" * 21 + "a"):
        with pytest.raises(ValueError, match="content id"):
            store.path(wrong)
        assert refused(lambda wrong=wrong: store.read(wrong)) == ("ERR_INPUTS", "world_corrupt")  # type: ignore[misc]
        assert not store.holds(wrong, len(DATA))


def test_a_copy_never_replaces_a_file(store: Objects, tmp_path: Path) -> None:
    put(store, DATA)
    target = tmp_path / "target"
    target.write_bytes(b"mine")

    assert refused(lambda: store.copy_to(CID, str(target))) == ("ERR_INPUTS", "world_unwritable")
    assert target.read_bytes() == b"mine"


def test_a_world_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "store").write_text("")

    for where in ("file", "w"):
        store = Objects(str(tmp_path / where))
        assert refused(lambda store=store: put(store, DATA)) == ("ERR_INPUTS", "world_unwritable")  # type: ignore[misc]


def test_only_what_nothing_refers_to_is_collected(store: Objects) -> None:
    contents = [b"%d" % number for number in range(20)]
    put(store, *contents)
    kept = {digests.of_bytes(content) for content in contents[::2]}
    (Path(store.path(CID)).parents[1] / ".new" / "left").write_bytes(b"by a killed process")
    (Path(store.path(CID)).parents[1] / "README").write_text("not ours")

    assert store.collect(lambda: kept) == (10, sum(map(len, contents[1::2])))

    assert {cid for cid, _ in store.sizes()} == kept
    assert scratch(store) == []
    assert (Path(store.path(CID)).parents[1] / "README").exists()
    assert store.collect(lambda: kept) == (0, 0)


def test_nothing_is_collected_while_somebody_places(
    store: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "COLLECT_PATIENCE_S", 0.0)
    with store.placing() as one, store.placing() as other:
        one.write(DATA)
        one.place()
        other.write(DATA)
        other.place()
        assert refused(lambda: store.collect(set[str])) == ("ERR_INPUTS", "world_busy")
        assert store.holds(CID, len(DATA))

    assert store.collect(set[str]) == (1, len(DATA))


def test_a_collection_waits_and_asks_for_references_when_the_writers_are_done(
    store: Objects,
) -> None:
    committed: set[str] = set()
    results: list[tuple[int, int]] = []
    with store.placing() as placing:
        placing.write(DATA)
        placing.place()
        collector = threading.Thread(
            target=lambda: results.append(store.collect(lambda: committed))
        )
        collector.start()
        collector.join(0.2)
        committed.add(CID)
    collector.join()

    assert results == [(0, 0)]
    assert store.read(CID) == DATA


@pytest.mark.parametrize("data", [DATA, b""])
def test_what_is_no_file_of_its_own_is_not_read_and_gives_way_to_one(
    data: bytes, store: Objects, tmp_path: Path
) -> None:
    put(store, data)
    cid = digests.of_bytes(data)
    file, copy = Path(store.path(cid)), tmp_path / "copy"
    file.rename(copy)

    for make in (lambda: os.mkfifo(file), lambda: file.symlink_to(copy)):
        make()
        assert refused(lambda: store.read(cid)) == ("ERR_INPUTS", "world_corrupt")
        assert not store.is_whole(cid, data)
        with store.placing() as placing:
            placing.write(data)
            placing.place_ahead()
        assert store.read(cid) == data
        file.unlink()
