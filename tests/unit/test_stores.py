"""Where an image lies: names of repositories, lists of referrers, documents of layouts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.images import layout, store
from orchestrator.images.layout import Descriptor, Manifest
from processors.protocol import digests
from processors.protocol.errors import ContractError

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("registry", "repository", "name"),
    [
        ("localhost", "a/b", "localhost/a/b"),
        ("127.0.0.1:5000", "a/b", "127.0.0.1:5000/a/b"),
        ("acme.example/team", "a/b", "acme.example/team/a/b"),
        ("acme.example", "acme.example/team/b", "acme.example/team/b"),
    ],
)
def test_a_repository_lies_below_the_registry_or_names_it(
    registry: str, repository: str, name: str
) -> None:
    assert store.repository_at(registry, repository) == name


@pytest.mark.parametrize(
    ("registry", "repository"),
    [
        ("acme", "a/b"),
        ("", "a/b"),
        ("https://acme.example", "a/b"),
        ("user:password@acme.example", "a/b"),
        ("acme.example/", "a/b"),
        ("acme.example/Team", "a/b"),
        ("acme.example:0", "a/b"),
        ("acme.example@sha256", "a/b"),
        ("acme.example/a b", "a/b"),
        ("other.example", "acme.example/team/b"),
        ("acme.example/team", "acme.example/team/b"),
    ],
)
def test_what_names_no_one_registry_is_refused(registry: str, repository: str) -> None:
    with pytest.raises(ContractError, match="bad_value"):
        store.repository_at(registry, repository)


def manifest(kind: str, **members: Any) -> Manifest:
    """A manifest of an artifact."""
    document = {"mediaType": layout.MANIFEST_TYPE, "artifactType": kind, "layers": []}
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": DIGEST, "size": 2}
    data = json.dumps({**document, "config": config, **members}).encode()
    of = Descriptor(layout.MANIFEST_TYPE, digests.of_bytes(data), len(data), None)
    return layout.read_manifest(data, of, "it")


def test_a_list_of_referrers_keeps_what_is_foreign_and_has_ours_once_in_our_words() -> None:
    ours = [manifest("application/vnd.cyclonedx+json"), manifest("application/vnd.in-toto+json")]
    entries = [store.entry_of(each) for each in ours]
    foreign = {"mediaType": layout.MANIFEST_TYPE, "digest": DIGEST, "size": 2, "annotations": {}}
    worded = {**entries[1], "artifactType": "application/vnd.oci.empty.v1+json"}

    assert store.with_referrers([], ours) == entries
    assert store.with_referrers([foreign, worded], ours) == [foreign, entries[1], entries[0]]
    assert store.with_referrers([foreign, *entries], ours) == [foreign, *entries]
    assert entries[0]["artifactType"] == "application/vnd.cyclonedx+json"


def index_of(*children: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": layout.INDEX_TYPE, "manifests": list(children)}


def child(architecture: str | None = "amd64", **changes: Any) -> dict[str, Any]:
    platform = {} if architecture is None else {"os": "linux", "architecture": architecture}
    found = {"mediaType": layout.MANIFEST_TYPE, "digest": DIGEST, "size": 2}
    return {**found, "platform": platform, **changes}


def read(document: object, media_type: str = layout.INDEX_TYPE) -> Manifest:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    of = Descriptor(media_type, digests.of_bytes(data), len(data), None)
    return layout.read_manifest(data, of, "it")


def test_an_index_tells_its_platforms() -> None:
    arm = child("arm64")
    arm["platform"]["variant"] = "v8"

    assert [each.platform for each in read(index_of(child(), arm)).children] == [
        "linux/amd64",
        "linux/arm64/v8",
    ]


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b'{"mediaType": 1}',
        {**index_of(child()), "mediaType": "text/plain"},
        {**index_of(), "manifests": None},
        {**index_of(), "manifests": ["x"]},
        index_of(),
        index_of(child(None)),
        index_of(child(), child()),
        index_of(child(mediaType=layout.INDEX_TYPE)),
        index_of(child(digest="latest")),
        index_of(child(digest="sha512:" + "0a" * 64)),
        index_of(child(size=-1)),
        index_of(child(size=True)),
        index_of(child(size="2")),
        {**index_of(child()), "subject": "x"},
    ],
    ids=str,
)
def test_what_is_no_index_of_the_agreed_form_is_refused(document: object) -> None:
    with pytest.raises(ContractError, match="ERR_REGISTRY_MISMATCH/layout_invalid"):
        read(document)


def test_a_manifest_is_measured_before_it_is_believed() -> None:
    data = json.dumps(index_of(child())).encode()
    for of in (
        Descriptor(layout.INDEX_TYPE, DIGEST, len(data), None),
        Descriptor(layout.INDEX_TYPE, digests.of_bytes(data), len(data) + 1, None),
    ):
        with pytest.raises(ContractError, match="ERR_REGISTRY_MISMATCH/digest_mismatch"):
            layout.read_manifest(data, of, "it")
