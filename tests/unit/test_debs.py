"""A Debian package is unpacked without running any of it, and nothing of it leaves the root."""

from __future__ import annotations

import tarfile

import pytest

from tests.fixtures.debs import ar, deb, entry
from tools.build.layers import Member
from tools.images.deb import DebError, read


def test_files_and_links_come_out_with_plain_modes_and_folders_do_not() -> None:
    found = read(
        deb(
            entry("./", kind=tarfile.DIRTYPE),
            entry("./usr/bin/", kind=tarfile.DIRTYPE, mode=0o700),
            entry("./usr/bin/tool", b"1", mode=0o4711),
            entry("./usr/bin/group", b"2", mode=0o2775),
            entry("./usr/lib/data", b"3", mode=0o600),
            entry("./usr/bin/again", kind=tarfile.LNKTYPE, to="./usr/bin/tool"),
            entry("./bin", kind=tarfile.SYMTYPE, to="usr/bin"),
            entry("./usr/lib/up", kind=tarfile.SYMTYPE, to="../bin/tool"),
            entry("./usr/lib/etc", kind=tarfile.SYMTYPE, to="/etc/x"),
        )
    )

    assert found.members == (
        Member("usr/bin/tool", 0o755, b"1"),
        Member("usr/bin/group", 0o755, b"2"),
        Member("usr/lib/data", 0o644, b"3"),
        Member("usr/bin/again", 0o755, b"1"),
        Member("bin", 0o777, "usr/bin"),
        Member("usr/lib/up", 0o777, "../bin/tool"),
        Member("usr/lib/etc", 0o777, "/etc/x"),
    )


def test_maintainer_scripts_are_no_part_of_what_is_read() -> None:
    found = read(deb(entry("./a", b"1"), scripts=("preinst", "postinst")))

    assert found.members == (Member("a", 0o644, b"1"),)
    assert (found.name, found.fields["Version"]) == ("pack", "1.0-1")
    assert "exit 1" not in found.control


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "./a/../../x", "./a/../b"])
def test_a_path_that_leaves_the_root_is_refused(name: str) -> None:
    with pytest.raises(DebError, match="leaves the root"):
        read(deb(entry(name, b"1")))


@pytest.mark.parametrize("target", ["../../x", "../a/../../x"])
def test_a_link_that_leaves_the_root_is_refused(target: str) -> None:
    with pytest.raises(DebError, match=r"^a/link: leaves the root for /a/\.\./"):
        read(deb(entry("./a/link", kind=tarfile.SYMTYPE, to=target)))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_device_or_a_pipe_is_refused(kind: bytes) -> None:
    with pytest.raises(DebError, match="dev/x: neither file, link nor folder"):
        read(deb(entry("./dev/x", kind=kind)))


def test_a_hard_link_to_what_is_not_there_is_refused() -> None:
    with pytest.raises(DebError, match=r"a: a hard link to \./b, which is not before it"):
        read(deb(entry("./a", kind=tarfile.LNKTYPE, to="./b")))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no Debian package: it starts with b''"),
        (b"PK\x03\x04", "no Debian package"),
        (ar(("x", b"1")), "no Debian package of format 2"),
        (ar(("debian-binary", b"2.0\n")), "no control.tar"),
        (ar(("debian-binary", b"2.0\n"), ("control.tar.zst", b"")), "no control.tar, .gz or .xz"),
        (ar(("debian-binary", b"2.0\n"), ("control.tar.xz", b"1")), "broken: "),
        (deb()[:-1], "broken: ends 1 bytes early"),
        (deb() + b"\n\n", "broken: no member's header at byte"),
        (deb().replace(b"`\n", b"xx", 1), "broken: no member's header at byte 8"),
        (deb(control="Package: {name}\n"), "its control file has no Version, Architecture"),
    ],
)
def test_what_is_no_package_is_refused_by_what_was_seen(data: bytes, says: str) -> None:
    with pytest.raises(DebError, match=says):
        read(data)
