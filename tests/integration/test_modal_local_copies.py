"""A container's copy of a volume: what it publishes, and what it cannot reach through it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from grpclib.exceptions import GRPCError

from tools.modal_local.blobs import Store
from tools.modal_local.copies import Copy
from tools.modal_local.volumes import BLOCK_BYTES, Volume, plain_path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "bytes")


@pytest.fixture
def volume() -> Volume:
    return Volume("vo-1", "name", "main", 0.0)


def text(volume: Volume, store: Store, path: str) -> bytes:
    return b"".join(store.read(digest) for digest in volume.files[path].blocks)


def test_nothing_is_seen_before_it_is_published(
    tmp_path: Path, store: Store, volume: Volume
) -> None:
    copy = Copy(volume, store, tmp_path / "one")
    (copy.folder / "file").write_bytes(b"x" * (BLOCK_BYTES + 1))
    before = dict(volume.files)

    asyncio.run(copy.publish())

    assert before == {}
    assert volume.files["file"].size == BLOCK_BYTES + 1
    assert len(volume.files["file"].blocks) == 2


def test_two_writers_of_different_files_lose_nothing(
    tmp_path: Path, store: Store, volume: Volume
) -> None:
    one, two = (Copy(volume, store, tmp_path / name) for name in ("one", "two"))
    (one.folder / "a").write_bytes(b"a")
    (two.folder / "b").write_bytes(b"b")

    asyncio.run(one.publish())
    asyncio.run(two.publish())
    asyncio.run(one.reload())

    assert (one.folder / "b").read_bytes() == b"b"
    assert sorted(volume.files) == ["a", "b"]


def test_what_is_removed_is_removed_for_all(tmp_path: Path, store: Store, volume: Volume) -> None:
    one, two = (Copy(volume, store, tmp_path / name) for name in ("one", "two"))
    (one.folder / "deep/er").mkdir(parents=True)
    (one.folder / "deep/er/a").write_bytes(b"a")
    asyncio.run(one.publish())
    asyncio.run(two.reload())
    assert (two.folder / "deep/er/a").read_bytes() == b"a"

    (two.folder / "deep/er/a").unlink()
    asyncio.run(two.publish())
    asyncio.run(one.reload())

    assert volume.files == {}
    assert not (one.folder / "deep/er/a").exists()


def test_the_last_writer_of_a_file_wins(tmp_path: Path, store: Store, volume: Volume) -> None:
    one, two = (Copy(volume, store, tmp_path / name) for name in ("one", "two"))
    (one.folder / "a").write_bytes(b"one")
    (two.folder / "a").write_bytes(b"two")

    asyncio.run(two.publish())
    asyncio.run(one.publish())

    assert text(volume, store, "a") == b"one"


def test_a_link_is_neither_published_nor_followed(
    tmp_path: Path, store: Store, volume: Volume
) -> None:
    secret = tmp_path / "outside"
    secret.mkdir()
    (secret / "file").write_bytes(b"of the machine")
    copy = Copy(volume, store, tmp_path / "one")
    (copy.folder / "link").symlink_to(secret / "file")
    (copy.folder / "folder").symlink_to(secret)
    os.mkfifo(copy.folder / "pipe")

    asyncio.run(copy.publish())

    assert volume.files == {}


def test_what_others_publish_is_not_written_through_a_link(
    tmp_path: Path, store: Store, volume: Volume
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    one, two = (Copy(volume, store, tmp_path / name) for name in ("one", "two"))
    (one.folder / "folder").mkdir()
    (one.folder / "folder/file").write_bytes(b"a")
    asyncio.run(one.publish())
    (two.folder / "folder").symlink_to(outside)

    with pytest.raises(OSError, match="folder"):
        asyncio.run(two.reload())

    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("path", ["../x", "a/../../x", "a\0b"])
def test_a_path_that_leaves_the_volume_is_refused(path: str) -> None:
    with pytest.raises(GRPCError):
        plain_path(path)


def test_a_path_is_relative_and_without_dots() -> None:
    assert plain_path("/a/./b//c") == "a/b/c"
    assert plain_path("/") == ""
