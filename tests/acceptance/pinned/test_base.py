"""The base image: its Python starts in it, with what wheels want and with nothing else."""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest

from tests.fixtures import rootfs
from tools.images import base_lock

LAYER = Path("tools/images/base/layer.tar.gz")
LOCK = Path("tools/images/base.lock.json")
COMPRESSED_BYTES_MAX = 25_000_000
PYTHON = ("/usr/bin/python3.13", "-P", "-s", "-S", "-B")

# Modules that the interpreter knows by name and that the base does without.
ABSENT = {
    # Other systems.
    *("_ios_support", "_overlapped", "_scproxy", "_winapi", "_wmi"),
    *("msvcrt", "nt", "winreg", "winsound"),
    # Terminals, screens and old file formats.
    *("_curses", "_curses_panel", "_dbm", "_gdbm", "_tkinter", "curses", "readline", "tkinter"),
    # What teaches, tests or installs.
    *("ensurepip", "idlelib", "pydoc_data", "turtle", "turtledemo", "venv"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The layer, unpacked."""
    return rootfs.unpack([LAYER], tmp_path_factory.mktemp("base") / "root")


@pytest.fixture(scope="module")
def members() -> list[tarfile.TarInfo]:
    """What the layer holds."""
    with tarfile.open(LAYER) as archive:
        return archive.getmembers()


def _python(root: Path, code: str) -> list[object]:
    """What a program in the base prints, as JSON."""
    done = rootfs.run(root, *PYTHON, "-c", f"import json, sys\n{code}\nprint(json.dumps(found))")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert isinstance(found, list)
    return found


def test_every_module_that_a_wheel_may_want_can_be_imported(root: Path) -> None:
    code = """
import importlib, os
names = sys.stdlib_module_names - {"antigravity", "this"}  # They open a browser, and print.
names |= {name.partition(".")[0] for name in os.listdir("/usr/lib/python3.13/lib-dynload")}
found = []
for name in sorted(names):
    try:
        importlib.import_module(name)
    except ImportError:
        found.append(name)
"""
    assert set(_python(root, code)) == ABSENT


def test_the_trust_store_is_found_by_default(root: Path) -> None:
    found = _python(root, "import ssl; found = ssl.create_default_context().get_ca_certs()")

    assert len(found) > 100


def test_names_times_and_texts_are_what_they_are_elsewhere(root: Path) -> None:
    code = """
import ctypes, datetime, locale, mimetypes, os, pwd, socket, zoneinfo
locale.setlocale(locale.LC_ALL, "")
ctypes.CDLL("libstdc++.so.6")
noon = datetime.datetime(2026, 7, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin"))
found = [
    pwd.getpwuid(os.getuid()).pw_name, locale.getencoding(),
    mimetypes.guess_type("a.md")[0], socket.getservbyname("https"),
    noon.astimezone(datetime.UTC).hour,
]
"""
    assert _python(root, code) == ["nonroot", "UTF-8", "text/markdown", 443, 10]


def test_only_the_two_folders_can_be_written_to(members: list[tarfile.TarInfo]) -> None:
    assert {(each.uid, each.gid) for each in members} == {(0, 0)}
    writable = {each.name for each in members if each.mode & 0o022 and not each.issym()}
    assert writable == {"tmp", "world"}


def test_nothing_can_be_started_but_python(members: list[tarfile.TarInfo]) -> None:
    """So there is no shell, no compiler and no package manager."""
    libraries = "usr/lib/x86_64-linux-gnu/"
    started = {each.name for each in members if each.isfile() and each.mode & 0o111}

    assert {name for name in started if not name.endswith(".py")} == {
        "usr/bin/python3.13",
        libraries + "ld-linux-x86-64.so.2",
        libraries + "libc.so.6",
    }
    assert not [each.name for each in members if each.mode & 0o6000 and not each.issym()]
    assert {each.type for each in members} == {tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.DIRTYPE}


def test_no_link_leads_nowhere(root: Path) -> None:
    code = """
import os
found = []
for folder, folders, files in os.walk("/"):
    if folder.startswith(("/dev", "/proc")):
        continue
    paths = [os.path.join(folder, name) for name in files + folders]
    found += [path for path in paths if os.path.islink(path) and not os.path.exists(path)]
"""
    assert _python(root, code) == []


def test_scanners_find_the_locked_packages_and_their_files(root: Path) -> None:
    stanzas = (root / "var/lib/dpkg/status").read_text(encoding="utf-8").split("\n\n")
    found = [
        dict(line.split(": ", 1) for line in stanza.splitlines() if not line.startswith(" "))
        for stanza in stanzas
    ]

    assert [(each["Package"], each["Version"], each["Architecture"]) for each in found] == [
        (each.name, each.version, each.architecture) for each in base_lock.read(LOCK)
    ]
    listed = 0
    for file in (root / "var/lib/dpkg/info").iterdir():
        for line in file.read_text(encoding="utf-8").splitlines():
            checksum, _, path = line.partition("  ")
            data = (root / path).read_bytes()
            assert hashlib.md5(data, usedforsecurity=False).hexdigest() == checksum, path
            listed += 1
    assert listed > 1000
    assert "VERSION_CODENAME=" in (root / "etc/os-release").read_text(encoding="utf-8")


def test_the_layer_is_small() -> None:
    assert LAYER.stat().st_size < COMPRESSED_BYTES_MAX
