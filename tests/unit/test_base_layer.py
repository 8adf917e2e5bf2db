"""What of its packages the base holds, and what it says of them; and the lock that names them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.debs import deb, entry
from tools.build import layers
from tools.images import base_layer, base_lock, contents, debian_apt
from tools.images.base_layer import BaseError
from tools.images.base_lock import LockError, Package
from tools.images.deb import read
from tools.images.debian_apt import AptError

LOCK = Path("tools/images/base.lock.json")
CERTIFICATES = "./usr/share/ca-certificates/mozilla/"
TRUSTED = read(
    deb(
        entry(CERTIFICATES + "B.crt", b"b"),
        entry(CERTIFICATES + "A_Fő.crt", b"a\n"),
        entry("./usr/share/ca-certificates/other/C.crt", b"c\n"),
        name="trusted",
        control="Package: {name}\nVersion: {version}\nArchitecture: all\n",
    )
)
ONE = Package("pack", "1:1.0~rc1-1+b1", "amd64", "0" * 64, 10, "pool/main/p/pack/pack_1.deb")


def _made(*packages: bytes) -> dict[str, bytes | str | None]:
    found = base_layer.members([TRUSTED, *map(read, packages)])
    layers.pack(found)  # What is made can be packed.
    return {member.path: member.content for member in found}


def test_what_only_people_and_package_managers_need_is_left_out() -> None:
    kept = ("usr/share/doc/pack/copyright", "usr/lib/python3.13/json/test.py", "usr/lib/libx.so.1")
    dropped = (
        "usr/share/doc/pack/changelog.gz",
        "usr/share/doc/pack/examples/copyright",
        "usr/share/man/man1/x.1.gz",
        "usr/sbin/update-ca-certificates",
        "usr/lib/python3.13/test/support/__init__.py",
        "usr/lib/python3.13/sitecustomize.py",
        "usr/lib/python3.13/lib-dynload/_testcapi.cpython-313-x86_64-linux-gnu.so",
        "usr/lib/python3.13/lib-dynload/readline.cpython-313-x86_64-linux-gnu.so",
        "usr/lib/x86_64-linux-gnu/gconv/UTF-7.so",
    )
    made = _made(deb(*(entry(f"./{path}", b"1") for path in (*kept, *dropped))))

    assert set(kept) <= set(made)
    assert not set(dropped) & set(made)


def test_the_trust_store_holds_the_certificates_in_order_of_their_names() -> None:
    made = _made()

    assert made[contents.TRUST_STORE] == b"a\nb\n"
    assert made["usr/lib/ssl/cert.pem"] == f"/{contents.TRUST_STORE}"
    assert not [path for path in made if path.endswith("crt") and path != contents.TRUST_STORE]


def test_no_certificate_at_all_is_an_error() -> None:
    with pytest.raises(BaseError, match="the trust store would be empty"):
        base_layer.members([read(deb())])


def test_the_package_database_lists_each_package_and_the_files_that_are_there() -> None:
    control = "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMulti-Arch: same\n"
    made = _made(
        deb(entry("./b", b"1"), entry("./usr/share/man/x", b"2"), name="late", control=control),
        deb(name="early"),
    )

    status = made["var/lib/dpkg/status"]
    assert isinstance(status, bytes)
    stanzas = [part.splitlines() for part in status.decode().split("\n\n")]
    assert [lines[0] for lines in stanzas] == [
        "Package: early",
        "Package: late",
        "Package: trusted",
    ]
    assert {lines[1] for lines in stanzas} == {"Status: install ok installed"}
    one = hashlib.md5(b"1", usedforsecurity=False).hexdigest()
    assert made["var/lib/dpkg/info/late:amd64.md5sums"] == f"{one}  b\n".encode()
    assert made["var/lib/dpkg/info/early.md5sums"] == b""


def test_a_file_of_two_packages_is_refused_with_both_names() -> None:
    with pytest.raises(BaseError, match="a: in first and in second"):
        _made(deb(entry("./a", b"1"), name="second"), deb(entry("./a", b"1"), name="first"))


def test_the_order_of_packages_does_not_matter() -> None:
    first, second = read(deb(entry("./a"), name="a")), read(deb(entry("./b"), name="b"))

    assert base_layer.members([TRUSTED, second, first]) == base_layer.members(
        [first, second, TRUSTED]
    )


def test_only_two_folders_can_be_written_to_and_the_user_is_known() -> None:
    found = base_layer.members([TRUSTED])

    assert {member.path for member in found if member.mode & 0o002 and member.content is None} == {
        "tmp",
        "world",
    }
    assert f":{contents.USER}:{contents.USER}:" in contents.FILES["etc/passwd"]


def test_the_lock_is_what_the_refresh_would_write_and_names_no_host() -> None:
    text = LOCK.read_text(encoding="utf-8")
    packages = base_lock.parse(text)

    assert base_lock.dump(reversed(packages)) == text
    assert "://" not in text
    names = {package.name for package in packages}
    assert set(contents.WANTED) <= names
    assert not names & set(contents.LEFT_OUT)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "../x"}, "name is"),
        ({"version": "1 0"}, "version is"),
        ({"architecture": "i386"}, "architecture is"),
        ({"sha256": "0" * 63}, "sha256 is"),
        ({"sha256": None}, "sha256 is"),
        ({"size_bytes": 0}, "size_bytes is"),
        ({"size_bytes": True}, "size_bytes is"),
        ({"path": "https://example.com/pool/x.deb"}, "path is"),
        ({"path": "pool/../x.deb"}, "path is"),
        ({"path": "pool//x.deb"}, "path is"),
        ({"other": 1}, "not the lock of a base"),
    ],
)
def test_an_entry_of_another_form_is_refused(change: dict[str, Any], says: str) -> None:
    entries = [{**dataclasses.asdict(ONE), **change}]

    with pytest.raises(LockError, match=says):
        base_lock.parse(json.dumps({"packages": entries}))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"packages": 1}', '{"packages": [1]}', '{"packages": [{"name": "pack"}]}'],
)
def test_what_is_no_lock_is_refused(text: str) -> None:
    with pytest.raises(LockError, match="not the lock of a base"):
        base_lock.parse(text)


def test_a_base_of_nothing_is_refused() -> None:
    with pytest.raises(LockError, match="lists no packages"):
        base_lock.parse('{"packages": []}')


def test_packages_out_of_order_or_named_twice_are_refused() -> None:
    entry_of_one = dataclasses.asdict(ONE)

    with pytest.raises(LockError, match="not sorted by name, each once"):
        base_lock.parse(json.dumps({"packages": [entry_of_one, entry_of_one]}))


def test_a_refresh_says_what_came_what_went_and_what_changed() -> None:
    newer = dataclasses.replace(ONE, version="1:1.0-1", size_bytes=7)
    other = dataclasses.replace(ONE, name="other")
    forged = dataclasses.replace(other, sha256="1" * 64)

    assert list(base_lock.changes([ONE], [ONE])) == []
    assert list(base_lock.changes([ONE], [newer, other])) == [
        "+ other 1:1.0~rc1-1+b1, 10 bytes",
        "  pack 1:1.0~rc1-1+b1 -> 1:1.0-1, -3 bytes",
    ]
    assert list(base_lock.changes([ONE, other], [forged])) == [
        "! other 1:1.0~rc1-1+b1: another file under the same version",
        "- pack 1:1.0~rc1-1+b1, 10 bytes",
    ]


def test_the_mirror_is_one_that_has_a_release_of_debian() -> None:
    """Not a vendor's, and not the one of updates; the lines are as apt prints them."""
    vendor = "nodistro main http://vendor/node/\n"
    updates = "trixie-updates main http://updates/debian/\n"
    other = "trixie main http://vendor/packages/\ntrixie contrib http://contrib/debian/\n"
    debian = "trixie main http://mirror/debian/\n"

    assert debian_apt.choose_mirror(vendor + updates + other + debian, "trixie") == (
        "http://mirror/debian"
    )
    assert debian_apt.choose_mirror("sid main http://mirror/deb\n", "trixie") == "http://mirror/deb"
    for listing in ("", vendor, updates, debian.replace("main", "contrib")):
        with pytest.raises(debian_apt.AptError, match="no Debian repository"):
            debian_apt.choose_mirror(listing, "trixie")


def test_no_setting_of_the_machine_lets_an_unsigned_list_in(tmp_path: Path) -> None:
    """The last line of a name is the one that counts for apt."""
    names = [
        f"Acquire::Allow{each}Repositories" for each in ("Insecure", "Weak", "DowngradeToInsecure")
    ]
    dump = "".join(f'{name} "true";\n' for name in (*names, "Acquire::gpgv::Options"))
    proxy = 'Acquire::http::Proxy "http://proxy:3128";'

    lines = debian_apt.settings(f"{dump}{proxy}\n", tmp_path, tmp_path / "sources.list")

    assert proxy in lines
    assert [line for line in lines if "gpgv" in line] == []
    for name in names:
        assert [line for line in lines if line.startswith(name)][-1] == f'{name} "false";'


def test_what_apt_plans_becomes_packages_without_the_mirror() -> None:
    line = (
        "'http://mirror/debian/pool/main/p/pack/pack_1.deb' pack_1%3a1.0~rc1-1+b1_amd64.deb 10 "
        f"SHA256:{'0' * 64}"
    )

    assert debian_apt.read_plan(f"Reading ...\n{line}\n", "http://mirror/debian") == [ONE]
    for source, text in (("http://other", line), ("http://mirror/debian", line[:-1])):
        with pytest.raises(AptError, match="a form that is not understood"):
            debian_apt.read_plan(text, source)


def test_a_left_out_package_that_nothing_asks_for_is_an_error() -> None:
    left_out = [dataclasses.replace(ONE, name=name) for name in contents.LEFT_OUT]

    assert debian_apt.without_left_out([ONE, *left_out]) == [ONE]
    with pytest.raises(AptError, match="nothing asks for it any more: debconf"):
        debian_apt.without_left_out([ONE, *left_out[1:]])
