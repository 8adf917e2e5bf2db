"""A layer's bytes depend on its members alone, and nothing in it could be unpacked by chance."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from tools.build import layers
from tools.build.layers import LayerError, Member

MEMBERS = (
    Member("usr/bin/tool", 0o755, b"#!tool\n"),
    Member("bin", 0o777, "usr/bin"),
    Member("tmp", 0o1777, None),
    Member("usr/share/note", 0o644, b" ".join(b"%d" % (n * n) for n in range(9999))),
)
# Moves with the form of a layer or the locked libdeflate; then every image's digest does.
GOLDEN = "sha256:97defd70acb73c8200accfb517a7c07885c5776889dd8eb7f8dec83a03abdeba"


def _read(tar: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar), mode="r:") as archive:
        return archive.getmembers()


def test_members_are_sorted_complete_and_belong_to_root_at_the_epoch() -> None:
    found = _read(layers.pack(MEMBERS))

    assert [(each.name, each.mode, each.type) for each in found] == [
        ("bin", 0o777, tarfile.SYMTYPE),
        ("tmp", 0o1777, tarfile.DIRTYPE),
        ("usr", 0o755, tarfile.DIRTYPE),
        ("usr/bin", 0o755, tarfile.DIRTYPE),
        ("usr/bin/tool", 0o755, tarfile.REGTYPE),
        ("usr/share", 0o755, tarfile.DIRTYPE),
        ("usr/share/note", 0o644, tarfile.REGTYPE),
    ]
    assert found[0].linkname == "usr/bin"
    assert {(each.uid, each.gid, each.uname, each.gname, each.mtime) for each in found} == {
        (0, 0, "", "", 0)
    }


def test_the_same_members_in_any_order_give_the_same_bytes(tmp_path: Path) -> None:
    layers.write_layer(tmp_path / "a.tar.gz", MEMBERS)
    layers.write_layer(tmp_path / "b.tar.gz", reversed(MEMBERS))

    data = (tmp_path / "a.tar.gz").read_bytes()
    assert (tmp_path / "b.tar.gz").read_bytes() == data
    assert "sha256:" + hashlib.sha256(data).hexdigest() == GOLDEN


def test_what_is_compressed_is_read_back_and_its_header_names_no_time_and_no_file() -> None:
    data = layers.compress(b"abc" * 1000)

    assert gzip.decompress(data) == b"abc" * 1000
    assert data[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@pytest.mark.parametrize("path", ["a" * 101, "b" * 90 + "/" + "ő" * 90, "c/" * 90 + "d" * 101])
def test_a_name_that_ustar_cannot_hold_is_kept_whole(path: str) -> None:
    found = _read(layers.pack([Member(path, 0o644, b"1"), Member("z", 0o777, path)]))

    assert {path, "z"} <= {each.name for each in found}
    assert found[-1].linkname == path


def test_a_long_name_that_ustar_can_hold_takes_no_further_header() -> None:
    path = "folder/" * 20 + "file"

    assert b"PaxHeader" not in layers.pack([Member(path, 0o644, b"1")])


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../x", "a/../b", "./a", "a//b", "a/", "a\0b", "a/."]
)
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    with pytest.raises(LayerError, match="not a plain path"):
        layers.pack([Member(path, 0o644, b"")])


def test_a_path_that_stands_twice_is_refused() -> None:
    with pytest.raises(LayerError, match="a: stands twice"):
        layers.pack([Member("a", 0o644, b"1"), Member("a", 0o644, b"1")])


@pytest.mark.parametrize("holder", [b"", "usr"])
def test_what_lies_below_a_file_or_a_link_is_refused(holder: bytes | str) -> None:
    with pytest.raises(LayerError, match="a/b: lies below a, which is no folder"):
        layers.pack([Member("a/b", 0o644, b""), Member("a", 0o755, holder)])


@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6755])
def test_a_set_id_file_is_refused(mode: int) -> None:
    with pytest.raises(LayerError, match=r"a: mode .* no set-id file"):
        layers.pack([Member("a", mode, b"")])


@pytest.mark.parametrize("target", ["", "a\0b"])
def test_a_link_to_nothing_is_refused(target: str) -> None:
    with pytest.raises(LayerError, match="a: a link to"):
        layers.pack([Member("a", 0o777, target)])
