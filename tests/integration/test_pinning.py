"""Pinning from outside: what is fetched back, what changes in the tree, what is told."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.bench import CRANE, Bench
from tests.simulators import registry as simulated

WORLD = "--world"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def registry() -> Iterator[simulated.Server]:
    with simulated.Server(CRANE) as server:
        yield server


def state(file: Path) -> tuple[int, int]:
    """Which file it is, and when it was written."""
    found = file.stat()
    return found.st_ino, found.st_mtime_ns


@pytest.mark.proves("BZ-5", "CI-5")
def test_a_pin_edits_one_value_and_proposes_the_rest(
    bench: Bench, registry: simulated.Server, tmp_path: Path
) -> None:
    digest = bench.image(architectures=("amd64", "arm64"))
    bench.referrers(digest)
    bench.registry.chmod(0o640)
    before, head = bench.registry.read_text(), bench.git("rev-parse", "HEAD")
    bench.push("--registry", registry.host)

    result = bench.pin("--registry", registry.host).result

    assert bench.registry.read_text() == before.replace("digest: null", f"digest: {digest}")
    assert bench.registry.stat().st_mode & 0o777 == 0o640
    assert bench.git("rev-parse", "HEAD") == head
    assert bench.git("status", "--porcelain").split() == [
        "M",
        "processors/hostile/zoo/v1/registry.yaml",
    ]
    assert (result["changed"], result["previous"], result["digest"]) == (True, None, digest)
    assert result["verified"] == {
        "platforms": ["linux/amd64", "linux/arm64"],
        "referrers": {"image_sbom": "verified", "image_provenance": "verified"},
    }
    assert result["next"][0] == "git diff -- processors/hostile/zoo/v1/registry.yaml"
    bench.git("checkout", "--quiet", "--", ".")
    patch = tmp_path / "pin.patch"
    patch.write_text(result["patch"])
    bench.git("apply", str(patch))
    assert bench.registry.read_text() == before.replace("digest: null", f"digest: {digest}")
    words = shlex.split(result["next"][1])
    subprocess.run(words, cwd=bench.tree, env=author(bench), check=True)
    assert f"image: {digest}" in bench.git("log", "-1", "--format=%B")


def author(bench: Bench) -> dict[str, str]:
    names = {
        f"GIT_{role}_{what}": "test"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    return {"PATH": "/usr/bin:/bin", "HOME": str(bench.home), **names}


def test_from_a_folder_below_the_workspace_the_same_file_is_pinned(
    bench: Bench, registry: simulated.Server
) -> None:
    digest = bench.image()
    bench.push("--registry", registry.host)
    place = {"env": {"BUILD_WORKSPACE_DIRECTORY": str(bench.tree)}, "below": "processors/hostile"}

    result = bench.pin("--registry", registry.host, **place).result
    checked = bench.run("pin_processor", "--check", "--lane", "main", **place)

    assert f"digest: {digest}" in bench.registry.read_text()
    assert result["file"] == "../hostile/zoo/v1/registry.yaml"
    file = "processors/hostile/zoo/v1/registry.yaml"
    assert f"--- a/{file}\n+++ b/{file}\n" in result["patch"]
    assert [pin["state"] for pin in checked.result["pins"]] == ["fresh"]


def test_the_same_digest_again_changes_nothing(bench: Bench, registry: simulated.Server) -> None:
    bench.image()
    bench.push("--registry", registry.host)
    bench.pin("--registry", registry.host)
    before = state(bench.registry)

    result = bench.pin("--registry", registry.host).result

    assert state(bench.registry) == before
    assert (result["changed"], result["patch"], result["next"]) == (False, "", [])
    assert result["previous"] == result["digest"]


def test_every_byte_is_fetched_back(bench: Bench, registry: simulated.Server) -> None:
    digest = bench.image(contents=(b"one\n", b"two\n"), architectures=("amd64", "arm64"))
    referrers = bench.referrers(digest)
    bench.push("--registry", registry.host)
    sent = len(registry.sent())

    bench.pin("--registry", registry.host)

    asked = {each.path.rpartition("/")[2] for each in registry.requests[sent:]}
    manifests = [bench.document(each["digest"]) for each in bench.document(digest)["manifests"]]
    every = {digest, *(each["digest"] for each in bench.document(digest)["manifests"])}
    every |= {each["config"]["digest"] for each in manifests}
    every |= {layer["digest"] for each in manifests for layer in each["layers"]}
    assert every | set(referrers.values()) <= asked
    assert {each.method for each in registry.requests[sent:]} <= {"GET", "HEAD"}


def test_blobs_may_lie_elsewhere_and_the_credentials_stay_here(
    bench: Bench, registry: simulated.Server
) -> None:
    bench.image()
    registry.require("Basic")
    bench.log_in(registry.host, simulated.basic())
    bench.push("--registry", registry.host)
    registry.tell(simulated.redirected, method="GET", path=simulated.BLOBS, times=9)

    assert bench.pin("--registry", registry.host).result["changed"]

    elsewhere = registry.sent("GET", simulated.ELSEWHERE)
    assert elsewhere
    assert [each.headers for each in elsewhere if "authorization" in each.headers] == []


def test_what_was_not_pushed_along_is_told(bench: Bench, registry: simulated.Server) -> None:
    digest = bench.image()
    bench.push("--registry", registry.host)

    without = bench.pin("--registry", registry.host).result
    bench.referrers(digest)
    absent = bench.pin("--registry", registry.host).result

    names = ("image_sbom", "image_provenance")
    assert without["verified"]["referrers"] == dict.fromkeys(names, "not built")
    assert absent["verified"]["referrers"] == dict.fromkeys(names, "absent")


@pytest.mark.proves("BZ-5")
def test_the_digest_is_the_builds_and_never_the_registrys(
    bench: Bench, registry: simulated.Server
) -> None:
    """Another image lies there, newer; what is pinned is what was built."""
    newer = bench.image(contents=(b"newer\n",))
    bench.push("--registry", registry.host)
    older = bench.image(contents=(b"older\n",))
    bench.push("--registry", registry.host)

    result = bench.pin("--registry", registry.host).result

    assert result["digest"] == older != newer
    (bench.own / "image.json.sha256").unlink()
    assert bench.pin("--registry", registry.host).error[1] == "not_built"


def test_a_folder_takes_a_registrys_place(bench: Bench, tmp_path: Path) -> None:
    digest = bench.image()
    bench.referrers(digest)
    folder = str(tmp_path / "images")
    bench.push("--layout", folder)

    result = bench.pin("--layout", folder).result

    assert (result["digest"], result["kind"]) == (digest, "layout")
    assert set(result["verified"]["referrers"].values()) == {"verified"}
    assert f"digest: {digest}" in bench.registry.read_text()


def meanwhile(bench: Bench, action: str) -> None:
    """Let something happen whenever a registry is asked."""
    program = bench.root / "tools/images/crane"
    program.unlink()
    program.write_text(f'#!/bin/sh\n{action}\nexec {CRANE} "$@"\n')
    program.chmod(0o700)


@pytest.mark.proves("IL-3")
def test_what_was_written_while_the_image_was_fetched_back_stays(
    bench: Bench, registry: simulated.Server
) -> None:
    digest = bench.image()
    bench.push("--registry", registry.host)
    meanwhile(bench, f"grep -q theirs {bench.registry} || echo '# theirs' >> {bench.registry}")

    result = bench.pin("--registry", registry.host).result

    assert (result["changed"], result["digest"]) == (True, digest)
    assert bench.registry.read_text().endswith("# theirs\n")
    assert f"digest: {digest}" in bench.registry.read_text()


@pytest.mark.proves("CI-5")
def test_a_branch_that_has_become_a_protected_one_is_not_edited(
    bench: Bench, registry: simulated.Server
) -> None:
    bench.image()
    bench.push("--registry", registry.host)
    before = bench.registry.read_bytes()
    meanwhile(bench, f"git -C {bench.tree} symbolic-ref HEAD refs/heads/main")

    refused = bench.pin("--registry", registry.host)

    assert refused.error[:2] == ("ERR_CI_SAFETY", "protected_branch")
    assert bench.registry.read_bytes() == before


def test_a_branch_whose_name_is_no_text_is_told_escaped(bench: Bench, tmp_path: Path) -> None:
    bench.image()
    folder = str(tmp_path / "images")
    bench.push("--layout", folder)
    bench.git("symbolic-ref", "HEAD", "refs/heads/caf\udce9")

    assert bench.pin("--layout", folder).result["branch"] == "caf\\udce9"


def test_what_others_keep_in_a_folder_is_in_nobodys_way(bench: Bench, tmp_path: Path) -> None:
    """Something of this repository that has lost its blobs, and a digest of another kind."""
    bench.image()
    folder = tmp_path / "images"
    bench.push("--layout", str(folder))
    index = json.loads((folder / "index.json").read_bytes())
    [ours] = index["manifests"]
    lost = "sha256:" + "a" * 64
    name = "org.opencontainers.image.ref.name"
    gone = {**ours, "digest": lost, "annotations": {name: f"tests/hostile-zoo@{lost}"}}
    index["manifests"] = [{**gone, "digest": "sha512:" + "b" * 128}, gone, ours]
    (folder / "index.json").write_text(json.dumps(index))

    assert bench.pin("--layout", str(folder)).result["changed"] is True
    assert bench.push("--layout", str(folder)).result["uploaded"] == []


@pytest.mark.proves("BZ-6")
def test_a_stale_pin_is_an_error_where_pins_run_and_a_word_where_sources_do(
    bench: Bench, tmp_path: Path
) -> None:
    folder = str(tmp_path / "images")
    old = bench.image()
    bench.push("--layout", folder)
    bench.pin("--layout", folder)
    assert [bench.check(lane).exit_code for lane in ("pr", "dev", "staging", "main")] == [0] * 4
    before = state(bench.registry)

    new = bench.image(contents=(b"one byte more\n",))

    for lane in ("pr", "dev"):
        [told] = bench.check(lane).result["pins"]
        assert told == {"ref": "hostile/zoo@1", "pinned": old, "built": new, "state": "stale"}
    for lane in ("staging", "main"):
        refused = bench.check(lane)
        assert refused.error == ("ERR_REGISTRY_MISMATCH", "pin_stale", 1)
        for word in ("hostile/zoo@1", old, new, "//:pin_processor -- --ref hostile/zoo@1"):
            assert word in refused.message
    assert state(bench.registry) == before


@pytest.mark.proves("PA-6")
def test_nothing_but_a_pin_that_is_asked_for_changes_a_registry(
    bench: Bench, registry: simulated.Server
) -> None:
    digest = bench.image()
    before = state(bench.registry)

    bench.build()
    bench.push("--registry", registry.host)
    for lane in ("pr", "dev", "staging", "main"):
        bench.check(lane)
    bench.git("checkout", "--quiet", "-B", "main")
    refused = bench.pin("--registry", registry.host)

    assert refused.error[:2] == ("ERR_CI_SAFETY", "protected_branch")
    assert state(bench.registry) == before
    assert bench.git("status", "--porcelain") == ""
    assert digest not in bench.registry.read_text()


def test_people_are_told_in_words(bench: Bench, tmp_path: Path) -> None:
    digest = bench.image()
    folder = str(tmp_path / "images")
    said = {}
    for command, words in (
        ("build_processor", ()),
        ("push_processor", ("--layout", folder)),
        ("pin_processor", ("--layout", folder)),
    ):
        ended = subprocess.run(
            [bench.root / command, "--ref", "hostile/zoo@1", *words],
            env={"PATH": "/usr/bin:/bin", "HOME": str(bench.home)},
            cwd=bench.tree,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended.stderr == ""
        said[command] = ended.stdout

    assert said["build_processor"].startswith(f"built  hostile/zoo@1  {digest}\n  linux/amd64")
    assert f"tests/hostile-zoo@{digest}\n  4 sent, 0 were there" in said["push_processor"]
    assert f"pinned  hostile/zoo@1  {digest}\n" in said["pin_processor"]
    assert "  next:\n    git diff -- processors/" in said["pin_processor"]
