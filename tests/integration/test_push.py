"""Pushing: to a real registry, to a folder; again, after a kill, side by side."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGTERM
from typing import Any

import pytest

from processors.protocol import digests
from tests.fixtures.bench import CRANE, Bench, end
from tests.fixtures.layouts import INDEX_TYPE, MANIFEST_TYPE
from tests.simulators import registry as simulated

MANIFESTS = "/v2/tests/hostile-zoo/manifests/"
LAYERS = tuple(bytes([number]) * 50_000 for number in range(5))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def registry() -> Iterator[simulated.Server]:
    with simulated.Server(CRANE) as server:
        yield server


def arrived(registry: simulated.Server) -> list[str]:
    """The digests of the blobs that the registry has taken, in order; each as often as it came."""
    return [
        "sha256:" + re.findall(r"digest=sha256(?:%3A|:)([0-9a-f]{64})", each.path)[0]
        for each in registry.sent("PUT", simulated.UPLOADS)
        if each.status == 201
    ]


def blobs_of(bench: Bench, digest: str) -> set[str]:
    """The digests of the configs and layers of an image, each of which has to arrive once."""
    manifests = [bench.document(each["digest"]) for each in bench.document(digest)["manifests"]]
    return {
        blob["digest"]
        for manifest in manifests
        for blob in (manifest["config"], *manifest["layers"])
    }


def listed(registry: simulated.Server, digest: str) -> dict[str, str]:
    """The referrers that the registry lists for a digest, by their type."""
    reply = json.loads(registry.ask(f"{MANIFESTS}{digest.replace(':', '-')}"))
    return {each["artifactType"]: each["digest"] for each in reply["manifests"]}


@pytest.mark.proves("IL-2")
def test_what_is_pushed_has_the_digest_that_was_built_and_a_second_push_sends_nothing(
    bench: Bench, registry: simulated.Server
) -> None:
    digest = bench.image(architectures=("amd64", "arm64"))
    referrers = bench.referrers(digest)

    built = bench.build().result
    first = bench.push("--registry", registry.host).result
    sent = len(registry.sent())
    second = bench.push("--registry", registry.host).result

    assert built["digest"] == first["digest"] == second["digest"] == digest
    assert built["platforms"] == ["linux/amd64", "linux/arm64"]
    assert first["existing"] == []
    assert {digest, *referrers.values()} <= set(first["uploaded"])
    assert second == {**first, "uploaded": [], "existing": first["uploaded"]}
    assert {each.method for each in registry.requests[sent:]} == {"GET", "HEAD"}


def test_what_refers_to_the_image_is_listed_with_its_own_type(
    bench: Bench, registry: simulated.Server
) -> None:
    digest = bench.image()
    referrers = bench.referrers(digest)

    bench.push("--registry", f"{registry.host}")

    assert listed(registry, digest) == {
        "application/vnd.cyclonedx+json": referrers["image_sbom"],
        "application/vnd.in-toto+json": referrers["image_provenance"],
    }


def test_a_referrer_that_somebody_else_listed_stays(
    bench: Bench, registry: simulated.Server
) -> None:
    digest = bench.image()
    foreign = bench.referrers(digest)["image_sbom"]
    bench.push("--registry", registry.host)
    digest_again = bench.image()
    ours = bench.referrers(digest_again) | {"image_sbom": ""}
    assert digest_again == digest

    bench.write_referrer("image_sbom", digest, version=2)
    bench.push("--registry", registry.host)

    manifests = registry.ask(f"{MANIFESTS}{digest.replace(':', '-')}")
    digests = [each["digest"] for each in json.loads(manifests)["manifests"]]
    assert len(digests) == len(set(digests)) == 3
    assert {foreign, ours["image_provenance"]} < set(digests)


def test_what_somebody_else_listed_keeps_nobody_from_pushing(
    bench: Bench, registry: simulated.Server
) -> None:
    """One without a media type of its own stays in the list, one that is gone leaves it."""
    digest = bench.image()
    bench.push("--registry", registry.host)
    entries = []
    for note in ("stays", "goes"):
        data = json.dumps({"schemaVersion": 2, "annotations": {"note": note}}).encode()
        own = digests.of_bytes(data)
        registry.ask(f"{MANIFESTS}{own}", "PUT", data, MANIFEST_TYPE)
        entries.append({"mediaType": MANIFEST_TYPE, "digest": own, "size": len(data)})
    tag = f"{MANIFESTS}{digest.replace(':', '-')}"
    index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    registry.ask(tag, "PUT", json.dumps(index).encode(), INDEX_TYPE)
    gone = f"{MANIFESTS}{entries[1]['digest']}"
    registry.tell(simulated.status(404, "MANIFEST_UNKNOWN"), path=gone, times=99)
    referrers = bench.referrers(digest)

    assert bench.push("--registry", registry.host).result["referrers"] == referrers

    left = {each["digest"] for each in json.loads(registry.ask(tag))["manifests"]}
    assert left == {entries[0]["digest"], *referrers.values()}


def test_a_push_that_died_before_the_list_of_referrers_is_mended_by_the_next(
    bench: Bench, registry: simulated.Server
) -> None:
    """The manifest is there then, and a client that looks for it alone would stop."""
    digest = bench.image()
    referrers = bench.referrers(digest)
    registry.tell(simulated.dies(0), method="PUT", path=f"{simulated.MANIFESTS}sha256-")

    assert bench.push("--registry", registry.host).error[0] == "ERR_IMAGE_UNAVAILABLE"
    registry.revive()
    bench.push("--registry", registry.host)

    assert set(listed(registry, digest).values()) == set(referrers.values())


@pytest.mark.proves("IL-2")
def test_a_registry_that_dies_in_the_middle_of_a_blob_gets_the_rest_and_nothing_twice(
    bench: Bench, registry: simulated.Server
) -> None:
    bench.image(contents=LAYERS)
    registry.tell(simulated.honest, method="PATCH", times=3)
    registry.tell(simulated.dies(10, once=arrived), method="PATCH")

    broken = bench.push("--registry", registry.host)
    before = arrived(registry)
    registry.revive()
    result = bench.push("--registry", registry.host).result

    assert broken.error == ("ERR_IMAGE_UNAVAILABLE", "registry_unreachable", 1)
    assert before
    assert sorted(arrived(registry)) == sorted(blobs_of(bench, result["digest"]))
    assert set(before) <= set(result["existing"])


@pytest.mark.proves("IL-2")
def test_a_push_that_is_killed_goes_on_where_it_was(
    bench: Bench, registry: simulated.Server
) -> None:
    digest = bench.image(contents=LAYERS)
    registry.tell(simulated.honest, method="PATCH", times=2)
    registry.tell(simulated.hangs, method="PATCH", times=99)

    with bench.start("push_processor", "--ref", "hostile/zoo@1", "--registry", registry.host) as it:
        registry.wait_for(lambda: arrived(registry))
        it.send_signal(SIGKILL)
        it.communicate()
    registry.revive()
    before = arrived(registry)
    result = bench.push("--registry", registry.host).result

    assert result["digest"] == digest
    assert set(before) <= set(result["existing"])
    assert sorted(arrived(registry)) == sorted(blobs_of(bench, digest))


def test_a_push_that_is_told_to_end_ends_with_its_client(
    bench: Bench, registry: simulated.Server
) -> None:
    bench.image()
    registry.tell(simulated.hangs, method="PATCH", times=9)
    words = ("--ref", "hostile/zoo@1", "--registry", registry.host)

    with bench.start("push_processor", *words) as process:
        registry.wait_for(lambda: registry.sent("POST"))
        before = talking_to(registry.host)
        process.send_signal(SIGTERM)
        answer = end(process)

    assert answer.error == ("ERR_ADAPTER_INVOCATION", "terminated", 143)
    assert len(before) == 2
    assert talking_to(registry.host) == []


def talking_to(host: str) -> list[bytes]:
    """The command lines of the processes that name a registry."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.append(file.read_bytes())
    return [words for words in found if host.encode() in words]


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_credentials_come_from_the_docker_configuration(
    bench: Bench, registry: simulated.Server, scheme: str
) -> None:
    digest = bench.image()
    registry.require(scheme)
    bench.log_in(registry.host, simulated.basic())

    assert bench.push("--registry", registry.host).result["digest"] == digest
    assert bench.pin("--registry", registry.host).result["digest"] == digest


def test_the_docker_configuration_is_where_its_variable_says(
    bench: Bench, registry: simulated.Server
) -> None:
    bench.image()
    registry.require("Basic")
    bench.log_in(registry.host, simulated.basic())
    (bench.home / ".docker").rename(bench.home / "elsewhere")
    env = {"DOCKER_CONFIG": str(bench.home / "elsewhere")}

    assert bench.push("--registry", registry.host).error[1] == "registry_denied"
    assert bench.push("--registry", registry.host, env=env).result["existing"] == []


def test_no_other_source_of_credentials_is_looked_at(
    bench: Bench, registry: simulated.Server
) -> None:
    """Other tools have files and variables of their own; they must not decide as whom we push."""
    bench.image()
    registry.require("Basic")
    bench.log_in(registry.host, simulated.basic())
    auth = bench.home / "containers/auth.json"
    auth.parent.mkdir()
    (bench.home / ".docker/config.json").rename(auth)
    env = {"XDG_RUNTIME_DIR": str(bench.home), "REGISTRY_AUTH_FILE": str(auth)}

    assert bench.push("--registry", registry.host, env=env).error[1] == "registry_denied"


def test_who_is_refused_by_rate_comes_back_when_the_registry_says(
    bench: Bench, registry: simulated.Server
) -> None:
    """Two runs of the client: with pauses of our own alone it would be three and more."""
    digest = bench.image()
    registry.tell(simulated.closed_for(seconds=4), path="/v2/$", times=99)

    result = bench.push("--registry", registry.host).result

    assert result["digest"] == digest
    refused = [each for each in registry.requests if each.status == 429]
    assert len(refused) == 1


def test_a_registry_that_is_away_for_a_moment_is_asked_again(
    bench: Bench, registry: simulated.Server
) -> None:
    digest = bench.image()
    registry.tell(simulated.status(503), method="HEAD", times=9)

    assert bench.push("--registry", registry.host).result["digest"] == digest


# A folder in a registry's place.


def index_of(folder: Path) -> dict[str, str]:
    """What a layout lists: ref name to digest."""
    entries = json.loads((folder / "index.json").read_bytes())["manifests"]
    key = "org.opencontainers.image.ref.name"
    return {each["annotations"][key]: each["digest"] for each in entries}


def blobs(folder: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in (folder / "blobs/sha256").iterdir()}


def times(folder: Path) -> dict[Path, tuple[int, int]]:
    """Which file each is, and when it was written."""
    every = {each: each.stat() for each in folder.rglob("*")}
    return {each: (state.st_ino, state.st_mtime_ns) for each, state in every.items()}


@pytest.mark.proves("IL-2")
def test_a_folder_takes_a_push_and_a_second_one_changes_nothing(
    bench: Bench, tmp_path: Path
) -> None:
    digest = bench.image(architectures=("amd64", "arm64"))
    referrers = bench.referrers(digest)
    folder = tmp_path / "images"

    first = bench.push("--layout", str(folder)).result
    before = times(folder)
    second = bench.push("--layout", str(folder)).result

    assert first["digest"] == digest
    assert first["existing"] == []
    assert second == {**first, "uploaded": [], "existing": first["uploaded"]}
    assert times(folder) == before
    name = "tests/hostile-zoo@"
    assert index_of(folder) == {name + each: each for each in (digest, *referrers.values())}
    assert json.loads((folder / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}


def test_what_a_folder_does_not_list_is_not_there(bench: Bench, tmp_path: Path) -> None:
    """As when a push was killed between its last blob and the list."""
    folder = tmp_path / "images"
    bench.image()
    bench.push("--layout", str(folder))
    listed = (folder / "index.json").read_bytes()
    (folder / "index.json").write_bytes(listed.replace(b"tests/hostile-zoo@", b"tests/other@"))

    assert bench.pin("--layout", str(folder)).error == ("ERR_IMAGE_UNAVAILABLE", "not_in_store", 1)

    (folder / "index.json").unlink()
    assert bench.pin("--layout", str(folder)).error == ("ERR_IMAGE_UNAVAILABLE", "not_in_store", 1)
    assert bench.push("--layout", str(folder)).result["uploaded"]
    assert bench.pin("--layout", str(folder)).exit_code == 0


@pytest.mark.proves("IL-2")
def test_a_folder_is_pushed_to_side_by_side(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    benches = [Bench(tmp_path / str(number)) for number in range(4)]
    digests = [
        bench.image(contents=(*LAYERS, b"%d" % (number // 2)))
        for number, bench in enumerate(benches)
    ]
    words = ("--ref", "hostile/zoo@1", "--layout", str(folder))

    started = [bench.start("push_processor", *words) for bench in benches]
    results: list[dict[str, Any]] = []
    for process in started:
        with process:
            results.append(end(process).result)

    assert [each["digest"] for each in results] == digests
    assert set(index_of(folder).values()) == set(digests)
    sent = [digest for each in results for digest in each["uploaded"]]
    assert sorted(sent) == sorted(set(sent)) == sorted(f"sha256:{name}" for name in blobs(folder))


def test_what_a_killed_push_left_in_a_folder_is_no_part_of_it(bench: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    digest = bench.image(contents=LAYERS)
    config = bench.document(bench.document(digest)["manifests"][0]["digest"])["config"]["digest"]
    bench.push("--layout", str(folder))
    whole = blobs(folder)
    place = folder / "blobs/sha256"
    (place / f"{config[7:]}.new").write_bytes(b"half")
    (place / config[7:]).write_bytes(b"half")  # no rename, and no sync, is that late; a disk may be

    result = bench.push("--layout", str(folder)).result

    assert result["uploaded"] == [config]
    assert blobs(folder) == whole
