"""An image is what its digest names, from loopback and in a form that is taken, or no image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fixtures import layouts
from tests.fixtures.modal_bed import Plane, Shelf
from tests.fixtures.modal_images import TAR_TYPE, compressed, layer
from tests.simulators import registry

BUILD_ERROR = "modal.exception.ImageBuildError"


@pytest.fixture(scope="module")
def shelf() -> Iterator[Shelf]:
    with Shelf() as shelf:
        yield shelf


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with Plane(tmp_path_factory.mktemp("state"), "--simulated") as plane:
        yield plane


@pytest.fixture
def reference(shelf: Shelf, request: pytest.FixtureRequest) -> str:
    """An image of the test's own."""
    return shelf.pusher.push(layer({"name": request.node.name.encode()}))


def config(*layers: bytes, **changes: Any) -> dict[str, Any]:
    found = [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in layers]
    return {
        "os": "linux",
        "architecture": "amd64",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": found},
        **changes,
    }


def test_an_image_lies_in_the_state_folder_as_a_layout(plane: Plane, reference: str) -> None:
    assert "app_id" in plane.run("deploy", reference=reference)

    layout = plane.state / "images/layout"
    named = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert reference.rpartition("@")[2] in [each["digest"] for each in named]
    for blob in (layout / "blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name


def test_a_flipped_bit_fails_the_build_and_names_the_digest(
    plane: Plane, shelf: Shelf, reference: str
) -> None:
    shelf.server.tell(registry.corrupted, method="GET", path=registry.BLOBS)

    told = plane.run("deploy", reference=reference)
    again = plane.run("deploy", reference=reference)

    assert told["error"] == BUILD_ERROR
    assert "the registry sent other bytes, of sha256:" in told["text"]
    assert "app_id" in again  # A failure is not kept.


def test_a_flipped_bit_of_the_manifest_fails_the_build(
    plane: Plane, shelf: Shelf, reference: str
) -> None:
    shelf.server.tell(registry.corrupted, method="GET", path=registry.MANIFESTS)

    told = plane.run("deploy", reference=reference)

    assert told["error"] == BUILD_ERROR
    assert reference.rpartition("@")[2] in told["text"]


def test_a_digest_that_the_registry_does_not_have(plane: Plane, reference: str) -> None:
    name = reference.rpartition("@")[0]

    told = plane.run("deploy", reference=f"{name}@sha256:{'ab' * 32}")

    assert told["error"] == BUILD_ERROR
    assert "the registry answers 404" in told["text"]


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("127.0.0.1:1/a@sha256:12", "not of the form"),
        ("127.0.0.1:1/a:latest", "not of the form"),
        ("registry.example/a@sha256:" + "ab" * 32, "is not loopback"),
        ("127.0.0.1.example:1/a@sha256:" + "ab" * 32, "is not loopback"),
        ("user@127.0.0.1:1/a@sha256:" + "ab" * 32, "not of the form"),
        ("127.0.0.1:1/../a@sha256:" + "ab" * 32 + "\nRUN id", "not"),
    ],
)
def test_a_reference_that_is_not_taken(plane: Plane, reference: str, said: str) -> None:
    told = plane.run("deploy", reference=reference)

    assert told["error"] == BUILD_ERROR
    assert said in told["text"]


def test_an_index_means_its_image_for_this_platform(plane: Plane, shelf: Shelf) -> None:
    made = shelf.pusher.push(layer({"for": b"amd64"}))
    other = shelf.pusher.push(layer({"for": b"arm64"}))
    index = {
        "schemaVersion": 2,
        "mediaType": layouts.INDEX_TYPE,
        "manifests": [
            {
                "mediaType": layouts.MANIFEST_TYPE,
                "digest": each.rpartition("@")[2],
                "size": 1,
                "platform": {"os": "linux", "architecture": architecture},
            }
            for each, architecture in ((other, "arm64"), (made, "amd64"))
        ],
    }

    told = plane.run("deploy", reference=shelf.pusher.push_document(index))

    assert "app_id" in told
    root = plane.state / "images/roots" / made.rpartition(":")[2]
    assert (root / "for").read_bytes() == b"amd64"


def test_a_layer_that_the_configuration_does_not_name(plane: Plane, shelf: Shelf) -> None:
    named, sent = layer({"a": b"named"}), layer({"a": b"sent"})
    described = shelf.pusher.put_blob(sent) | {"mediaType": TAR_TYPE}

    told = plane.run("deploy", reference=shelf.pusher.push_manifest(config(named), [described]))

    assert told["error"] == BUILD_ERROR
    assert f"sha256:{hashlib.sha256(sent).hexdigest()}" in told["text"]
    assert "a layer that the configuration does not name" in told["text"]


def test_an_image_for_another_platform(plane: Plane, shelf: Shelf) -> None:
    data = layer({"a": b"b"})
    described = shelf.pusher.put_blob(compressed(data)) | {"mediaType": layouts.LAYER_TYPE}
    other = config(data, architecture="arm64")

    told = plane.run("deploy", reference=shelf.pusher.push_manifest(other, [described]))

    assert told["error"] == BUILD_ERROR
    assert "is not for linux/amd64" in told["text"]


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_private_registry_gets_the_names_in_the_secret(plane: Plane, scheme: str) -> None:
    with Shelf() as private:
        reference = private.pusher.push(layer({"private": scheme.encode()}))
        private.server.require(scheme)
        login = {"REGISTRY_USERNAME": registry.USER, "REGISTRY_PASSWORD": registry.PASSWORD}

        without = plane.run("deploy", reference=reference)
        told = plane.run("deploy", reference=reference, login=login)

    assert without["error"] == BUILD_ERROR
    assert "the registry answers 401" in without["text"]
    assert "app_id" in told


@pytest.mark.parametrize("way", ["run", "copy", "python"])
def test_another_way_to_make_an_image_fails_by_name(plane: Plane, reference: str, way: str) -> None:
    told = plane.run("build", reference=reference, way=way)

    assert told["error"] in (BUILD_ERROR, "modal.exception.NotFoundError")
    assert any(word in told["text"] for word in ("emulated", "not found"))
