"""A layer is input from elsewhere: it writes inside its folder, or nothing at all."""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import tarfile
from pathlib import Path

import pytest

from tools.modal_local import layers
from tools.modal_local.layers import UnpackError

TAR = "application/vnd.oci.image.layer.v1.tar"


def entry(name: str, content: bytes = b"", **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    found = tarfile.TarInfo(name)
    found.size, found.mode = len(content), 0o644
    for field, value in changes.items():
        setattr(found, field, value)
    return found, content


def folder(name: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.DIRTYPE, mode=0o755)


def link(name: str, target: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.SYMTYPE, linkname=target)


def tar(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in entries:
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def unpack(base: Path, *made: bytes, named: list[str] | None = None) -> Path:
    root = base / "root"
    found = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in made]
    paths = []
    for number, data in enumerate(made):
        path = base / f"layer{number}"
        path.write_bytes(data)
        paths.append((path, TAR))
    config = {"rootfs": {"diff_ids": found if named is None else named}}
    layers.unpack(paths, config, root)
    return root


def listed(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def test_a_later_layer_replaces_and_takes_away(tmp_path: Path) -> None:
    low = tar(folder("a"), entry("a/x", b"low"), entry("a/y", b"low"), entry("b", b"low"))
    high = tar(entry("a/x", b"high"), entry("a/.wh.y"), entry(".wh.b"))

    root = unpack(tmp_path, low, high)

    assert listed(root) == ["a", "a/x"]
    assert (root / "a/x").read_bytes() == b"high"


def test_an_opaque_folder_hides_what_lies_below_and_nothing_of_its_own_layer(
    tmp_path: Path,
) -> None:
    low = tar(folder("a"), entry("a/old"), folder("a/b"), entry("a/b/old"))
    high = tar(folder("a"), entry("a/new"), entry("a/.wh..wh..opq"))

    assert listed(unpack(tmp_path, low, high)) == ["a", "a/new"]


def test_a_compressed_layer_is_held_to_the_digest_of_its_content(tmp_path: Path) -> None:
    data = tar(entry("x", b"content"))
    path = tmp_path / "layer"
    path.write_bytes(gzip.compress(data))
    config = {"rootfs": {"diff_ids": [f"sha256:{hashlib.sha256(data).hexdigest()}"]}}

    layers.unpack([(path, TAR + "+gzip")], config, tmp_path / "root")

    assert (tmp_path / "root/x").read_bytes() == b"content"


def test_setuid_is_dropped_and_a_hard_link_is_kept(tmp_path: Path) -> None:
    hard = entry("also", type=tarfile.LNKTYPE, linkname="tool")

    root = unpack(tmp_path, tar(entry("tool", b"x", mode=0o6755), hard))

    assert stat.S_IMODE((root / "tool").stat().st_mode) == 0o755
    assert (root / "also").samefile(root / "tool")


def test_a_path_through_a_link_stays_inside(tmp_path: Path) -> None:
    """As a process in the image would see it: its root is the top of everything."""
    made = tar(link("out", "../../.."), link("abs", "/usr"), entry("out/x", b"1"), entry("abs/y"))

    root = unpack(tmp_path, made)

    assert (root / "x").read_bytes() == b"1"
    assert (root / "usr/y").is_file()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["layer0", "root"]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (tar(entry("../x")), "leaves the image"),
        (tar(entry("a/../../x")), "leaves the image"),
        (tar(entry("null", type=tarfile.CHRTYPE)), "neither file nor folder nor link"),
        (tar(entry("pipe", type=tarfile.FIFOTYPE)), "neither file nor folder nor link"),
        (tar(entry("a", type=tarfile.LNKTYPE, linkname="../layer0")), "leaves the image"),
        (tar(entry("a", type=tarfile.LNKTYPE, linkname="none")), "a hard link to what is no file"),
        (tar(link("a", "/etc"), entry("b", type=tarfile.LNKTYPE, linkname="a")), "no file"),
        (tar(link("a", "b"), link("b", "a"), entry("a/x")), "a circle of links"),
        (tar(entry("a"), entry("a/x")), "lies below a file"),
        (tar(folder("a"), entry("a/.wh...")), "takes nothing away"),
        (tar(folder("a"), entry("a/.wh.")), "takes nothing away"),
        (tar(entry("x", b"content"))[:600], "ReadError"),
    ],
)
def test_what_a_layer_may_not_do(tmp_path: Path, made: bytes, said: str) -> None:
    with pytest.raises(UnpackError, match=said):
        unpack(tmp_path, made)

    assert {each.name for each in tmp_path.iterdir()} == {"layer0", "root"}


def test_a_layer_that_is_not_named_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnpackError, match="does not name"):
        unpack(tmp_path, tar(entry("x")), named=["sha256:" + "0" * 64])


def test_more_layers_than_are_named_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnpackError, match="1 layers"):
        unpack(tmp_path, tar(entry("x")), named=[])
