"""Programs of others accept what the build made: crane, skopeo, umoci, the schema of the bill."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.fixtures import known_processors, rootfs
from tests.harness import ROOT
from tests.simulators import registry

CRANE = ROOT / "tools/images/crane"
PROCESSORS = tuple(known_processors.places(ROOT, "processor.json").values())
BASE = "tools/images/base/debian"
LAYOUTS = (BASE, *(f"processors/{processor}/image" for processor in PROCESSORS))
MEGABYTE = 1_000_000
IMAGE_BYTES_MAX = 60 * MEGABYTE
BASE_BYTES_MAX = 25 * MEGABYTE
PATIENCE_S = 50


def layout(processor: str, name: str = "image") -> Path:
    return ROOT / "processors" / processor / name


def tool(*words: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a program that must succeed; return its stdout."""
    done = subprocess.run(
        [str(word) for word in words],
        env={"PATH": "/usr/bin:/bin", **(env or {})},
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with registry.Server(CRANE) as server:
        yield server.host


@pytest.mark.parametrize("place", LAYOUTS)
def test_crane_validates_what_it_pulls_back(place: str, address: str, tmp_path: Path) -> None:
    image = rootfs.Image(ROOT / place)
    name = f"{address}/{place}@{image.digest}"

    tool(CRANE, "push", ROOT / place, name, env={"HOME": str(tmp_path)})

    assert tool(CRANE, "digest", name, env={"HOME": str(tmp_path)}).strip() == image.digest
    tool(CRANE, "validate", "--remote", name, env={"HOME": str(tmp_path)})


@pytest.mark.parametrize("place", LAYOUTS)
def test_skopeo_inspects_it(place: str, tmp_path: Path) -> None:
    image = rootfs.Image(ROOT / place)

    seen = json.loads(tool("skopeo", "inspect", f"oci:{ROOT / place}", env={"HOME": str(tmp_path)}))

    assert seen["Architecture"] == "amd64"
    assert (seen["Labels"] or {}) == image.labels
    assert len(seen["Layers"]) == len(image.sizes) == (1 if place == BASE else 5)


@pytest.mark.parametrize("place", LAYOUTS)
def test_umoci_unpacks_it_to_the_same_files(place: str, tmp_path: Path) -> None:
    image = rootfs.Image(ROOT / place)
    copy, bundle = tmp_path / "copy", tmp_path / "bundle"
    env = {"HOME": str(tmp_path)}
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}', encoding="ascii")

    tool("skopeo", "--policy", policy, "copy", f"oci:{ROOT / place}", f"oci:{copy}:it", env=env)
    tool("umoci", "unpack", "--rootless", "--image", f"{copy}:it", bundle, env=env)

    image.unpack(tmp_path / "ours")
    ours, theirs = (_files(folder) for folder in (tmp_path / "ours", bundle / "rootfs"))
    assert len(ours) > 100
    assert ours == theirs


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_bill_of_materials_has_its_schema(processor: str) -> None:
    folder = layout(processor, "image_sbom")
    [top] = json.loads((folder / "index.json").read_bytes())["manifests"]
    manifest = json.loads(_blob(folder, top["digest"]))
    [document] = manifest["layers"]

    text = _blob(folder, document["digest"]).decode()

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert manifest["subject"]["digest"] == rootfs.Image(layout(processor)).digest


@pytest.mark.parametrize("processor", PROCESSORS)
def test_an_image_travels_light(processor: str) -> None:
    base, *others = rootfs.Image(layout(processor)).sizes

    assert base < BASE_BYTES_MAX
    assert base + sum(others) < IMAGE_BYTES_MAX


def _files(folder: Path) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = str(path.readlink())
        elif path.is_file():
            found[name] = path.read_bytes()
    return found


def _blob(folder: Path, digest: str) -> bytes:
    return (folder / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
