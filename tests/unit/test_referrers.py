"""What accompanies an image is believed only when it is about that image, in every field."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from orchestrator.images import referrers
from processors.protocol.errors import ContractError

DIGEST = "sha256:" + "d" * 64
OTHER = "sha256:" + "e" * 64
SOURCE_ROOT = "sha256:" + "5" * 64
CONTENT_ROOT = "sha256:" + "c" * 64
EXPECTED = referrers.Expected(digest=DIGEST, size=1234, ref="doc/x@1", source_root=SOURCE_ROOT)
SBOM = "application/vnd.cyclonedx+json"
IN_TOTO = "application/vnd.in-toto+json"
EMPTY = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

type Path = tuple[str | int, ...]
type Check = Callable[[bytes, bytes, referrers.Expected], object]

BILL: dict[str, Any] = {
    "bomFormat": "CycloneDX",
    "specVersion": "1.6",
    "metadata": {
        "component": {
            "name": "doc/x@1",
            "version": DIGEST,
            "hashes": [{"alg": "SHA-256", "content": "d" * 64}],
            "properties": [
                {"name": "processor.ref", "value": "doc/x@1"},
                {"name": "processor.source-root", "value": SOURCE_ROOT},
                {"name": "processor.content-root", "value": CONTENT_ROOT},
            ],
        }
    },
    "components": [
        {"purl": "pkg:pypi/a@1", "hashes": [{"alg": "SHA-256", "content": "a" * 64}]},
        {"purl": "pkg:pypi/b@1", "hashes": [{"alg": "SHA-256", "content": "b" * 64}]},
    ],
}
STATEMENT: dict[str, Any] = {
    "_type": "https://in-toto.io/Statement/v1",
    "subject": [{"name": "registry.example/doc/x", "digest": {"sha256": "d" * 64}}],
    "predicateType": "https://slsa.dev/provenance/v1",
    "predicate": {
        "buildDefinition": {
            "buildType": "urn:world-orchestrator:processor-image:v1",
            "externalParameters": {"ref": "doc/x@1", "target": "//doc/x:image"},
            "internalParameters": {"platforms": ["linux/amd64"]},
            "resolvedDependencies": [
                {"name": "base", "digest": {"sha256": "b" * 64}},
                {"name": "source-root", "digest": {"sha256": "5" * 64}},
            ],
        },
        "runDetails": {
            "builder": {"id": "urn:world-orchestrator:builder:bazel:unsigned"},
            "byproducts": [{"name": "content-root", "digest": {"sha256": "c" * 64}}],
        },
    },
}
KINDS: dict[str, tuple[dict[str, Any], Check]] = {
    SBOM: (BILL, referrers.bill_of_materials),
    IN_TOTO: (STATEMENT, referrers.provenance),
}


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def manifest(kind: str, document: bytes) -> dict[str, Any]:
    title = {"org.opencontainers.image.title": referrers.TITLES[kind]}
    predicate = {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
    return {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": kind,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY, "size": 2},
        "layers": [
            {
                "mediaType": kind,
                "digest": "sha256:" + hashlib.sha256(document).hexdigest(),
                "size": len(document),
                "annotations": title,
            }
        ],
        "subject": {
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": DIGEST,
            "size": 1234,
        },
        "annotations": title | (predicate if kind == IN_TOTO else {}),
    }


def leaves(value: object, path: Path = ()) -> Iterator[Path]:
    """The path of everything in a document that holds nothing itself."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value)  # type: ignore[arg-type]
    for key, inner in items:
        if isinstance(inner, dict | list):
            yield from leaves(inner, (*path, key))
        else:
            yield (*path, key)


def holder(document: Any, path: Path) -> tuple[Any, str | int]:  # noqa: ANN401 - any JSON
    *above, last = path
    for step in above:
        document = document[step]
    return document, last


def changed(document: dict[str, Any], path: Path, value: object) -> dict[str, Any]:
    made = copy.deepcopy(document)
    inside, last = holder(made, path)
    inside[last] = value
    return made


def without(document: dict[str, Any], path: Path) -> dict[str, Any]:
    made = copy.deepcopy(document)
    inside, last = holder(made, path)
    del inside[last]
    return made


def refused(kind: str, made: object, document: bytes) -> str:
    data = made if isinstance(made, bytes) else dumped(made)
    with pytest.raises(ContractError) as caught:
        KINDS[kind][1](data, document, EXPECTED)
    assert (caught.value.code, caught.value.reason) == (
        "ERR_REGISTRY_MISMATCH",
        "referrer_mismatch",
    )
    return caught.value.message


def refused_document(kind: str, document: object) -> str:
    """The same for a document whose manifest names it rightly."""
    data = document if isinstance(document, bytes) else dumped(document)
    return refused(kind, manifest(kind, data), data)


def test_a_bill_about_the_image_says_what_is_in_it() -> None:
    document = dumped(BILL)

    found = referrers.bill_of_materials(dumped(manifest(SBOM, document)), document, EXPECTED)

    assert found.content_root == CONTENT_ROOT
    assert found.components == {
        "pkg:pypi/a@1": "sha256:" + "a" * 64,
        "pkg:pypi/b@1": "sha256:" + "b" * 64,
    }


def test_a_statement_about_the_image_says_what_it_was_made_of() -> None:
    document = dumped(STATEMENT)

    found = referrers.provenance(dumped(manifest(IN_TOTO, document)), document, EXPECTED)

    assert found.repository == "registry.example/doc/x"
    assert found.target == "//doc/x:image"
    assert found.platforms == ["linux/amd64"]
    assert found.content_root == CONTENT_ROOT
    assert found.materials == {"base": "sha256:" + "b" * 64, "source-root": SOURCE_ROOT}


@pytest.mark.proves("ERR_REGISTRY_MISMATCH")
@pytest.mark.parametrize("kind", KINDS)
def test_no_field_of_a_manifest_may_differ_or_be_missing(kind: str) -> None:
    document = dumped(KINDS[kind][0])
    good = manifest(kind, document)
    tried = 0

    for path in leaves(good):
        inside, last = holder(good, path)
        other: object = inside[last] + 1 if isinstance(inside[last], int) else inside[last] + "x"
        for bad in (changed(good, path, other), changed(good, path, None), without(good, path)):
            assert refused(kind, bad, document)
            tried += 1

    assert tried >= 3 * 14
    for key in good:
        assert refused(kind, without(good, (key,)), document)
    assert refused(kind, changed(good, ("schemaVersion",), 2.0), document)
    for path in (("more",), ("subject", "more"), ("config", "data"), ("layers", 0, "urls")):
        assert refused(kind, changed(good, path, "x"), document)


@pytest.mark.parametrize("kind", KINDS)
def test_every_digit_of_the_subject_counts(kind: str) -> None:
    document = dumped(KINDS[kind][0])
    good = manifest(kind, document)

    for place in range(len("sha256:"), len(DIGEST)):
        flipped = DIGEST[:place] + "0" + DIGEST[place + 1 :]
        message = refused(kind, changed(good, ("subject", "digest"), flipped), document)
        assert "subject" in message
        assert DIGEST in message


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_document_is_not_the_one_named(kind: str) -> None:
    document = dumped(KINDS[kind][0])
    good = dumped(manifest(kind, document))

    for place in range(0, len(document), 13):
        flipped = bytearray(document)
        flipped[place] ^= 1
        assert "manifest names" in refused(kind, good, bytes(flipped))
    assert refused(kind, good, document + b" ")
    assert refused(kind, good, document[:-1])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 2])
def test_there_is_one_layer(kind: str, count: int) -> None:
    document = dumped(KINDS[kind][0])
    good = manifest(kind, document)

    assert "layers" in refused(kind, changed(good, ("layers",), good["layers"] * count), document)


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_is_not_taken_for_the_other(kind: str) -> None:
    (other,) = KINDS.keys() - {kind}
    document = dumped(KINDS[other][0])

    assert "artifactType" in refused(kind, manifest(other, document), document)
    assert refused_document(kind, KINDS[other][0])


ROOT = ("metadata", "component")
BUILD = ("predicate", "buildDefinition")
RUN = ("predicate", "runDetails")
FOREIGN: list[tuple[str, Path, object, str]] = [
    (SBOM, ("bomFormat",), "SPDX", "bomFormat"),
    (SBOM, ("specVersion",), "1.5", "specVersion"),
    (SBOM, (*ROOT, "name"), "doc/x@2", "name"),
    (SBOM, (*ROOT, "version"), OTHER, "version"),
    (SBOM, (*ROOT, "hashes", 0, "content"), "e" * 64, "hashes"),
    (SBOM, (*ROOT, "hashes", 0, "alg"), "SHA-512", "hashes"),
    (SBOM, (*ROOT, "hashes"), [], "hashes"),
    (SBOM, (*ROOT, "properties"), [], "properties"),
    (SBOM, (*ROOT, "properties", 0, "value"), "doc/x@2", "processor.ref"),
    (SBOM, (*ROOT, "properties", 1, "value"), OTHER, "processor.source-root"),
    (SBOM, (*ROOT, "properties", 2, "value"), "none", "processor.content-root"),
    (SBOM, (*ROOT, "properties", 2, "name"), "processor.ref", "twice"),
    (SBOM, ("components",), None, "components"),
    (SBOM, ("components", 0, "purl"), "", "purl"),
    (SBOM, ("components", 0, "purl"), "pkg:pypi/b@1", "twice"),
    (SBOM, ("components", 1, "hashes", 0, "content"), "B" * 64, "components.1"),
    (SBOM, ("components", 1, "hashes", 0, "alg"), "MD5", "components.1.hashes"),
    (IN_TOTO, ("_type",), "https://in-toto.io/Statement/v0.1", "_type"),
    (IN_TOTO, ("predicateType",), "https://slsa.dev/provenance/v0.2", "predicateType"),
    (IN_TOTO, ("more",), "x", "members"),
    (IN_TOTO, ("subject",), [], "subject"),
    (IN_TOTO, ("subject",), STATEMENT["subject"] * 2, "subject"),
    (IN_TOTO, ("subject", 0, "digest", "sha256"), "e" * 64, "subject.0.digest"),
    (IN_TOTO, ("subject", 0, "digest", "sha512"), "e" * 128, "subject.0.digest"),
    (IN_TOTO, ("subject", 0, "name"), 7, "subject.0.name"),
    (IN_TOTO, (*BUILD, "buildType"), "urn:other", "buildType"),
    (IN_TOTO, (*RUN, "builder", "id"), "urn:other", "builder.id"),
    (IN_TOTO, (*BUILD, "externalParameters", "ref"), "doc/x@2", "ref"),
    (IN_TOTO, (*BUILD, "externalParameters"), "doc/x@1", "ref is missing"),
    (IN_TOTO, (*BUILD, "internalParameters", "platforms", 0), 1, "platforms.0"),
    (IN_TOTO, (*BUILD, "resolvedDependencies", 1, "digest", "sha256"), "e" * 64, "source-root"),
    (IN_TOTO, (*BUILD, "resolvedDependencies", 1, "name"), "other", "source-root"),
    (IN_TOTO, (*BUILD, "resolvedDependencies", 1, "name"), "base", "twice"),
    (IN_TOTO, (*BUILD, "resolvedDependencies", 0, "digest"), {"md5": "0"}, "SHA-256"),
    (IN_TOTO, (*BUILD, "resolvedDependencies", 0, "digest", "md5"), "0", "SHA-256 alone"),
    (IN_TOTO, (*BUILD, "resolvedDependencies", 0), "base", "name is missing"),
    (IN_TOTO, (*RUN, "byproducts", 0, "name"), "other", "content root"),
    (IN_TOTO, (*RUN, "byproducts"), [], "content root"),
]


@pytest.mark.proves("ERR_REGISTRY_MISMATCH")
@pytest.mark.parametrize(("kind", "path", "value", "says"), FOREIGN)
def test_a_document_about_something_else_is_refused(
    kind: str, path: Path, value: object, says: str
) -> None:
    """Its manifest names it rightly and claims the image as its subject, and that is not enough."""
    message = refused_document(kind, changed(KINDS[kind][0], path, value))

    assert says in message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"a":1,"a":2}', b"\xff", b"{}"])
def test_what_is_no_document_is_refused(kind: str, data: bytes) -> None:
    document = dumped(KINDS[kind][0])

    assert refused(kind, data, document)
    assert refused_document(kind, data)


@pytest.mark.parametrize("kind", KINDS)
def test_another_image_refuses_the_same_referrer(kind: str) -> None:
    document = dumped(KINDS[kind][0])
    data = dumped(manifest(kind, document))
    given: dict[str, Any] = {
        "digest": DIGEST,
        "size": 1234,
        "ref": "doc/x@1",
        "source_root": SOURCE_ROOT,
    }
    others = {"digest": OTHER, "size": 1235, "ref": "doc/y@1", "source_root": OTHER}

    for name, value in others.items():
        with pytest.raises(ContractError):
            KINDS[kind][1](data, document, referrers.Expected(**given | {name: value}))
    assert KINDS[kind][1](data, document, referrers.Expected(**given))
