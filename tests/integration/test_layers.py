"""A layer's bytes are a function of what it holds."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from processors.protocol import content, digests
from tests.harness import ROOT

PROGRAM = ROOT / "tools/build/pack_layer"
DESCRIPTION = {
    "argv": ["{python}", "-u", "{tree}/start.py"],
    "registry": {"ref": "a/b@1"},
    "registry_file": "app/processors/a/b/v1/registry.json",
    "source_root": digests.of_bytes(b"sources"),
}


def pack(
    folder: Path,
    sources: Mapping[str, bytes],
    *,
    wheel: Mapping[str, bytes] | None = None,
    words: tuple[str, ...] = (),
    env: Mapping[str, str] | None = None,
    umask: int = 0o022,
) -> subprocess.CompletedProcess[bytes]:
    """Pack ``folder/layer.tar.gz`` from sources written into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    argv = [str(PROGRAM), "--layer", "layer.tar.gz", "--files", "files.json", *words]
    for number, (place, data) in enumerate(sources.items()):
        (folder / f"source{number}").write_bytes(data)
        argv += ["--source", f"{place}=source{number}"]
    if wheel is not None:
        with zipfile.ZipFile(folder / "a-1-py3-none-any.whl", "w") as archive:
            for name, data in wheel.items():
                archive.writestr(name, data)
        argv += ["--wheel", "a-1-py3-none-any.whl"]
    return subprocess.run(
        argv,
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **(env or {})},
        umask=umask,
        capture_output=True,
        check=False,
    )


def last(folder: Path, *below: Path) -> tuple[str, ...]:
    """The words for the last layer of an image."""
    (folder / "processor.json").write_text(json.dumps(DESCRIPTION), encoding="utf-8")
    words = ["--description", "processor.json", "--licence", "MIT", "--call", "main(run)"]
    for name in ("labels", "entrypoint", "cmd", "content-root"):
        words += [f"--{name}", name]
    for layer in below:
        words += ["--below", str(layer / "files.json")]
    return tuple(words)


def names(folder: Path) -> list[str]:
    data = gzip.decompress((folder / "layer.tar.gz").read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return [info.name for info in archive if info.isfile()]


SOURCES = {"processors/a/b/v1/main.py": b"main\n", "processors/a/b/v1/registry.json": b"{}\n"}


@pytest.mark.proves("IL-1")
def test_where_when_and_by_whom_change_nothing(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there/below"
    assert pack(here, SOURCES, wheel={"a.py": b"1\n"}).returncode == 0
    there.mkdir(parents=True)
    (there / "source0").touch(0o755)
    os.utime(there, (1, 1))
    other = {"TZ": "Asia/Kathmandu", "LANG": "C", "USER": "x", "PYTHONHASHSEED": "7"}
    assert pack(there, SOURCES, wheel={"a.py": b"1\n"}, env=other, umask=0o077).returncode == 0

    assert (here / "layer.tar.gz").read_bytes() == (there / "layer.tar.gz").read_bytes()
    assert (here / "files.json").read_bytes() == (there / "files.json").read_bytes()


@pytest.mark.proves("IL-1")
@pytest.mark.parametrize("place", SOURCES)
def test_one_byte_changes_the_layer(tmp_path: Path, place: str) -> None:
    assert pack(tmp_path / "one", SOURCES).returncode == 0
    assert pack(tmp_path / "other", SOURCES | {place: b"other\n"}).returncode == 0

    one, other = tmp_path / "one/layer.tar.gz", tmp_path / "other/layer.tar.gz"
    assert one.read_bytes() != other.read_bytes()


def test_the_last_layer_says_what_the_whole_image_holds(tmp_path: Path) -> None:
    below, top = tmp_path / "below", tmp_path / "top"
    assert pack(below, {}, wheel={"a.py": b"1\n", "a-1.dist-info/RECORD": b""}).returncode == 0
    top.mkdir()
    assert pack(top, SOURCES, words=last(top, below)).returncode == 0

    folder = tmp_path / "image"
    for layer in (below, top):
        with tarfile.open(layer / "layer.tar.gz") as archive:
            archive.extractall(folder, filter="tar")
    measured = content.measure(str(folder / content.FOLDER[1:]))
    assert (top / "content-root").read_text(encoding="ascii") == measured + "\n"
    assert (folder / content.ROOT_FILE[1:]).read_text(encoding="ascii") == measured + "\n"
    assert (top / "labels").read_text(encoding="ascii").splitlines() == [
        "org.opencontainers.image.title=a/b@1",
        "org.opencontainers.image.licenses=MIT",
        "processor.ref=a/b@1",
        f"processor.source-root={DESCRIPTION['source_root']}",
        f"processor.content-root={measured}",
    ]
    started = (top / "entrypoint").read_text(encoding="ascii").splitlines()
    assert started == ["/usr/bin/python3.13", "-u", "/opt/processor/start.py"]


def test_a_layer_has_no_bytecode_and_nothing_of_an_installer(tmp_path: Path) -> None:
    wheel = {"a/__init__.py": b"1\n", "a-1.dist-info/RECORD": b"", "a-1.dist-info/METADATA": b"m"}

    assert pack(tmp_path, SOURCES, wheel=wheel).returncode == 0

    assert names(tmp_path) == [
        "opt/processor/app/processors/a/b/v1/main.py",
        "opt/processor/app/processors/a/b/v1/registry.json",
        "opt/processor/site-packages/a/__init__.py",
        "opt/processor/site-packages/a-1.dist-info/METADATA",
    ]


@pytest.mark.parametrize(("data", "mode"), [(b"#!/bin/sh\n", 0o755), (b"text\n", 0o644)])
def test_bytes_tell_what_is_a_program(tmp_path: Path, data: bytes, mode: int) -> None:
    assert pack(tmp_path, {"main": data}).returncode == 0

    with tarfile.open(tmp_path / "layer.tar.gz") as archive:
        assert archive.getmember("opt/processor/app/main").mode == mode


def test_two_layers_that_hold_one_file_are_refused(tmp_path: Path) -> None:
    below, top = tmp_path / "below", tmp_path / "top"
    assert pack(below, SOURCES).returncode == 0
    top.mkdir()

    done = pack(top, SOURCES, words=last(top, below))

    assert done.returncode == 1
    assert b"two layers hold app/processors/a/b/v1/main.py" in done.stderr


@pytest.mark.parametrize("name", ["../a.py", "a/../../a.py"])
def test_a_wheel_that_leaves_its_place_is_refused(tmp_path: Path, name: str) -> None:
    done = pack(tmp_path, {}, wheel={name: b""})

    assert done.returncode == 1
    assert name.encode() in done.stderr
