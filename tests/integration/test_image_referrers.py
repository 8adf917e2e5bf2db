"""The bill and the provenance that the build made, run again elsewhere and put into a registry."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.images import referrers
from tests.fixtures import synthetic_image as image

ROOT = Path(os.environ["TEST_SRCDIR"]) / os.environ["TEST_WORKSPACE"]
PAPER = ROOT / "tests/fixtures/paper"
PROGRAM = ROOT / "tools/build/make_referrer"
NAME = "tests/paper"
KINDS = {"sbom": referrers.SBOM_TYPE, "provenance": referrers.PROVENANCE_TYPE}
ACCEPT = f"{referrers.INDEX_TYPE}, {referrers.MANIFEST_TYPE}"


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def digest_of(kind: str) -> str:
    return (PAPER / f"about_{kind}.digest").read_text().removesuffix("\n")


def blob(folder: Path, digest: str) -> bytes:
    return (folder / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


def index() -> dict[str, Any]:
    (found,) = json.loads((PAPER / "paper/index.json").read_bytes())["manifests"]
    assert isinstance(found, dict)
    return found


def expected() -> referrers.Expected:
    named = index()
    return referrers.Expected(
        digest=named["digest"], size=named["size"], ref=image.REF, source_root=image.SOURCE_ROOT
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_layout_holds_one_manifest_and_its_two_blobs(kind: str) -> None:
    folder = PAPER / f"about_{kind}"
    digest = digest_of(kind)
    found = files(folder)
    data = blob(folder, digest)
    manifest = json.loads(data)

    assert json.loads(found.pop("oci-layout")) == {"imageLayoutVersion": "1.0.0"}
    assert json.loads(found.pop("index.json"))["manifests"] == [
        {
            "mediaType": referrers.MANIFEST_TYPE,
            "digest": digest,
            "size": len(data),
            "artifactType": KINDS[kind],
        }
    ]
    named = [manifest["config"]["digest"], manifest["layers"][0]["digest"], digest]
    assert found.keys() == {"blobs/sha256/" + each.removeprefix("sha256:") for each in named}
    for place, content in found.items():
        assert place.rpartition("/")[2] == hashlib.sha256(content).hexdigest()
    assert manifest["subject"] == index()


def run_again(kind: str, folder: Path, out: Path, environment: dict[str, str]) -> None:
    """What the rule does, with the same files at other places."""
    lines = {
        "--kind": kind,
        "--image": folder / "paper",
        "--processor": folder / "processor.json",
        "--content-root": folder / "processor.root",
        "--base": folder / "base.tar",
        "--base-lock": folder / "base_lock.json",
        "--lock": folder / "requirements_lock.txt",
        "--target": "//tests/fixtures/paper:paper",
        "--layout": out / "layout",
        "--digest": out / "digest",
    }
    words = [str(word) for pair in lines.items() for word in pair]
    for wheel in sorted(folder.glob("*.whl"), reverse=environment["PYTHONHASHSEED"] == "2"):
        words += ["--wheel", str(wheel)]
    subprocess.run(
        [PROGRAM, *words], env=os.environ | environment, cwd=out, check=True, capture_output=True
    )


@pytest.mark.parametrize("kind", KINDS)
def test_seed_zone_folder_and_order_change_no_byte(kind: str, tmp_path: Path) -> None:
    made = []
    for seed, zone in (("1", "UTC"), ("2", "Pacific/Kiritimati")):
        folder, out = tmp_path / f"in {seed}", tmp_path / f"out {seed}"
        folder.mkdir()
        out.mkdir()
        image.write(folder)
        run_again(kind, folder, out, {"PYTHONHASHSEED": seed, "TZ": zone})
        made.append(files(out))

    assert made[0] == made[1]
    assert made[0]["digest"].startswith(b"sha256:")
    if (
        kind == "sbom"
    ):  # the statement's materials are files that the rule has and this call has not
        assert made[0].pop("digest").decode() == digest_of(kind) + "\n"
        assert made[0] == {f"layout/{k}": v for k, v in files(PAPER / f"about_{kind}").items()}


def test_a_lock_of_the_base_in_another_form_is_refused_by_name(tmp_path: Path) -> None:
    image.write(tmp_path)
    (tmp_path / "base_lock.json").write_text('{"packages": []}')

    with pytest.raises(subprocess.CalledProcessError) as caught:
        run_again("sbom", tmp_path, tmp_path, {"PYTHONHASHSEED": "0"})

    assert b"base_lock.json: it lists no packages" in caught.value.stderr


@contextlib.contextmanager
def registry(log: Path) -> Iterator[str]:
    """A registry in a process of its own; the first line it writes ends in the port it took."""
    command = ["crane", "registry", "serve", "--address", "127.0.0.1:0"]
    with log.open("wb") as sink, subprocess.Popen(command, stderr=sink) as process:
        try:
            deadline = time.monotonic() + 30
            while not (line := log.read_bytes().partition(b"\n"))[1]:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            yield "127.0.0.1:" + line[0].split()[-1].decode()
        finally:
            process.kill()


def get(host: str, path: str) -> bytes:
    connection = http.client.HTTPConnection(host, timeout=30)
    try:
        connection.request("GET", f"/v2/{NAME}/{path}", headers={"Accept": ACCEPT})
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    assert answer.status == 200, data
    return data


def push(folder: Path, where: str) -> None:
    subprocess.run(["crane", "push", folder, where], check=True, capture_output=True)


def listed(host: str) -> list[bytes]:
    """The manifests that the registry lists for the index, by the tag that stands for the list.

    OCI Distribution Specification 1.1, "Referrers Tag Schema": what a client keeps where the
    registry has no referrers API, as this one has not.
    """
    tag = index()["digest"].replace(":", "-")
    named = json.loads(get(host, f"manifests/{tag}"))["manifests"]
    return [get(host, f"manifests/{each['digest']}") for each in named]


def test_a_registry_lists_both_with_the_image_and_gives_them_back(tmp_path: Path) -> None:
    with registry(tmp_path / "log") as host:
        push(PAPER / "paper", f"{host}/{NAME}@{index()['digest']}")
        for kind in (*KINDS, *KINDS):  # the second time changes nothing
            push(PAPER / f"about_{kind}", f"{host}/{NAME}@{digest_of(kind)}")

        manifests = {json.loads(data)["artifactType"]: data for data in listed(host)}

        assert len(listed(host)) == len(manifests) == 2
        for kind, artifact_type in KINDS.items():
            data = manifests[artifact_type]
            assert data == blob(PAPER / f"about_{kind}", digest_of(kind))
            digest, size = referrers.document_of(data, artifact_type, expected())
            document = get(host, f"blobs/{digest}")
            assert len(document) == size
            assert document == blob(PAPER / f"about_{kind}", digest)
            if kind == "sbom":
                bill = referrers.bill_of_materials(data, document, expected())
                assert len(bill.components) == len(image.WHEELS) + len(image.PACKAGES)
            else:
                found = referrers.provenance(data, document, expected())
                assert found.target == "//tests/fixtures/paper:paper"
                assert found.repository == image.REPOSITORY
                assert found.content_root == image.CONTENT_ROOT
                assert found.materials.keys() == {
                    "base",
                    "base-lock",
                    "packages-lock",
                    "protocol",
                    "source-root",
                    "tool:MODULE.bazel",
                }
                assert found.materials["base"] == image.sha256(b"the base")


def test_an_image_without_a_wheel_has_a_bill_of_its_base_alone() -> None:
    manifest = blob(PAPER / "bare_sbom", (PAPER / "bare_sbom.digest").read_text().strip())
    digest, _ = referrers.document_of(manifest, referrers.SBOM_TYPE, expected())
    document = blob(PAPER / "bare_sbom", digest)

    bill = referrers.bill_of_materials(manifest, document, expected())

    assert len(bill.components) == len(image.PACKAGES)


def test_a_wheel_outside_the_lock_stops_the_build_and_is_named(tmp_path: Path) -> None:
    image.write(tmp_path)
    (tmp_path / "zeta-1-py3-none-any.whl").write_bytes(image.wheel("zeta", "1", ()))
    (tmp_path / "out").mkdir()

    with pytest.raises(subprocess.CalledProcessError) as caught:
        run_again("sbom", tmp_path, tmp_path / "out", {"PYTHONHASHSEED": "1"})

    assert b"zeta-1-py3-none-any.whl: zeta 1 with sha256:" in caught.value.stderr
    assert files(tmp_path / "out") == {}
