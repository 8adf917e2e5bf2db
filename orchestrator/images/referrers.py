"""What accompanies an image: its bill of materials and its provenance, each an OCI artifact.

Each is one document in a manifest of its own whose ``subject`` is the image's index (OCI Image
Specification 1.1, "Guidelines for Artifact Usage"), so a registry lists it with the image and the
image's digest does not depend on it. The build writes both in the terms of this module; whoever
has one asks here whether it is about the image at hand. Nothing here reads a network or a file,
and nothing is believed that the image itself can be asked for. Standard library only.
"""

from __future__ import annotations

from processors.protocol import digests
from processors.protocol.canonical import Json, parse_object
from processors.protocol.errors import ContractError

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
EMPTY = b"{}"

SBOM_TYPE = "application/vnd.cyclonedx+json"
SBOM_TITLE = "sbom.cdx.json"
PROVENANCE_TYPE = "application/vnd.in-toto+json"
PROVENANCE_TITLE = "provenance.intoto.json"
TITLES = {SBOM_TYPE: SBOM_TITLE, PROVENANCE_TYPE: PROVENANCE_TITLE}

STATEMENT_URI = "https://in-toto.io/Statement/v1"
PREDICATE_URI = "https://slsa.dev/provenance/v1"
# Documented in docs/guides/images.md; a change of what the parameters mean is another version.
BUILD_TYPE = "urn:world-orchestrator:processor-image:v1"
BUILDER_ID = "urn:world-orchestrator:builder:bazel:unsigned"

TITLE = "org.opencontainers.image.title"
PREDICATE = "in-toto.io/predicate-type"  # what buildkit and cosign call it

# Properties of a bill's root component; the image's labels have the same names.
REF = "processor.ref"
SOURCE_ROOT = "processor.source-root"
CONTENT_ROOT = "processor.content-root"

# Names of what a provenance statement resolves or leaves behind.
SOURCES = "source-root"
CONTENT = "content-root"

DOCUMENT_BYTES_MAX = 4_194_304  # A bill of a thousand packages has under one MiB.
MANIFEST_BYTES_MAX = 65_536


class Expected:
    """The image that a referrer must be about.

    Attributes:
        digest: The index's digest.
        size: The index's size in bytes.
        ref: The processor's ref.
        source_root: The digest of the processor's sources.
    """

    __slots__ = ("digest", "ref", "size", "source_root")

    def __init__(self, *, digest: str, size: int, ref: str, source_root: str) -> None:
        self.digest = digest
        self.size = size
        self.ref = ref
        self.source_root = source_root

    def subject(self) -> dict[str, Json]:
        """The descriptor that a referrer's manifest must hold."""
        return {"mediaType": INDEX_TYPE, "digest": self.digest, "size": self.size}


class Bill:
    """What a checked bill of materials says.

    Attributes:
        content_root: The digest of the files that run.
        components: The SHA-256 of each component, by package URL.
    """

    __slots__ = ("components", "content_root")

    def __init__(self, content_root: str, components: dict[str, str]) -> None:
        self.content_root = content_root
        self.components = components


class Provenance:
    """What a checked provenance statement says.

    Attributes:
        repository: Where the image was meant to lie.
        target: The label that was built.
        platforms: ``os/architecture[/variant]`` of each image of the index.
        content_root: The digest of the files that run.
        materials: The digest of everything that went in, by name.
    """

    __slots__ = ("content_root", "materials", "platforms", "repository", "target")

    def __init__(
        self,
        *,
        repository: str,
        target: str,
        platforms: list[str],
        content_root: str,
        materials: dict[str, str],
    ) -> None:
        self.repository = repository
        self.target = target
        self.platforms = platforms
        self.content_root = content_root
        self.materials = materials


def descriptor(media_type: str, data: bytes) -> dict[str, Json]:
    """How a manifest names some bytes."""
    return {"mediaType": media_type, "digest": digests.of_bytes(data), "size": len(data)}


def manifest_annotations(artifact_type: str) -> dict[str, Json]:
    """The annotations of a referrer's manifest; a registry lists a referrer with them."""
    named: dict[str, Json] = {TITLE: TITLES[artifact_type]}
    return named | ({PREDICATE: PREDICATE_URI} if artifact_type == PROVENANCE_TYPE else {})


def layer(artifact_type: str, digest: str, size: int) -> dict[str, Json]:
    """How a referrer's manifest names its document; the title is the file's name for a client."""
    named: dict[str, Json] = {TITLE: TITLES[artifact_type]}
    return {"mediaType": artifact_type, "digest": digest, "size": size, "annotations": named}


def document_of(manifest: bytes, artifact_type: str, expected: Expected) -> tuple[str, int]:
    """Digest and size of the document that a manifest is there for.

    Args:
        manifest: The manifest's bytes, as they came from the registry.
        artifact_type: ``SBOM_TYPE`` or ``PROVENANCE_TYPE``.
        expected: The image that it must be about.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH`` / ``referrer_mismatch``, naming the field.
    """
    read = _Reader(manifest, f"the manifest of {TITLES[artifact_type]}", MANIFEST_BYTES_MAX)
    fixed: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "artifactType": artifact_type,
        "config": descriptor(EMPTY_TYPE, EMPTY),
        "subject": expected.subject(),
        "annotations": manifest_annotations(artifact_type),
    }
    read.only({*fixed, "layers"})
    for key, value in fixed.items():
        read.same(value, key)
    read.length(1, "layers")
    size = read.at("layers", 0, "size")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 < size <= DOCUMENT_BYTES_MAX:
        raise read.wrong("layers.0.size", f"is not between 1 and {DOCUMENT_BYTES_MAX}")
    digest = read.text("layers", 0, "digest")
    if not digests.is_digest(digest):
        raise read.wrong("layers.0.digest", "is no digest")
    read.same(layer(artifact_type, digest, size), "layers", 0)
    return digest, size


def bill_of_materials(manifest: bytes, document: bytes, expected: Expected) -> Bill:
    """Check a bill of materials against the image it must be about.

    Args:
        manifest: The bytes of the referrer's manifest.
        document: The bytes of the manifest's one layer.
        expected: The image.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH`` / ``referrer_mismatch``, naming the field.
    """
    read = _document(manifest, document, SBOM_TYPE, expected)
    read.same("CycloneDX", "bomFormat")
    read.same("1.6", "specVersion")
    root = ("metadata", "component")
    read.same(expected.ref, *root, "name")
    read.same(expected.digest, *root, "version")
    read.same(_hashes(expected.digest), *root, "hashes")
    said = read.by_name("value", *root, "properties")
    if said.keys() != {REF, SOURCE_ROOT, CONTENT_ROOT}:
        raise read.wrong("metadata.component.properties", "are not ref, source and content root")
    for name, value in ((REF, expected.ref), (SOURCE_ROOT, expected.source_root)):
        if said[name] != value:
            raise read.wrong(f"property {name}", f"is {said[name]!a}; the image's is {value}")
    if not digests.is_digest(said[CONTENT_ROOT]):
        raise read.wrong(f"property {CONTENT_ROOT}", "is no digest")
    components: dict[str, str] = {}
    for place in range(read.length(None, "components")):
        purl = read.text("components", place, "purl")
        digest = "sha256:" + read.text("components", place, "hashes", 0, "content")
        if purl in components or not digests.is_digest(digest):
            raise read.wrong(f"components.{place}", "stands twice or has no SHA-256")
        read.same(_hashes(digest), "components", place, "hashes")
        components[purl] = digest
    return Bill(str(said[CONTENT_ROOT]), components)


def provenance(manifest: bytes, document: bytes, expected: Expected) -> Provenance:
    """Check a provenance statement against the image it must be about.

    The arguments and the error are those of ``bill_of_materials``.
    """
    read = _document(manifest, document, PROVENANCE_TYPE, expected)
    read.only({"_type", "subject", "predicateType", "predicate"})
    read.same(STATEMENT_URI, "_type")
    read.same(PREDICATE_URI, "predicateType")
    read.length(1, "subject")
    read.same(_digest_set(expected.digest), "subject", 0, "digest")
    build, run = ("predicate", "buildDefinition"), ("predicate", "runDetails")
    read.same(BUILD_TYPE, *build, "buildType")
    read.same(BUILDER_ID, *run, "builder", "id")
    read.same(expected.ref, *build, "externalParameters", "ref")
    materials = read.digests_by_name(*build, "resolvedDependencies")
    if materials.get(SOURCES) != expected.source_root:
        raise read.wrong(SOURCES, f"is {materials.get(SOURCES)}, not {expected.source_root}")
    made = read.digests_by_name(*run, "byproducts")
    if made.keys() != {CONTENT}:
        raise read.wrong("predicate.runDetails.byproducts", "are not the content root alone")
    places = range(read.length(None, *build, "internalParameters", "platforms"))
    return Provenance(
        repository=read.text("subject", 0, "name"),
        target=read.text(*build, "externalParameters", "target"),
        platforms=[read.text(*build, "internalParameters", "platforms", at) for at in places],
        content_root=made[CONTENT],
        materials=materials,
    )


def _hashes(digest: str) -> list[Json]:
    """A digest as CycloneDX writes it."""
    return [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]


def _digest_set(digest: str) -> dict[str, Json]:
    """A digest as in-toto writes it (in-toto Attestation Framework, "DigestSet")."""
    return {"sha256": digest.removeprefix("sha256:")}


def _document(manifest: bytes, document: bytes, artifact_type: str, expected: Expected) -> _Reader:
    digest, size = document_of(manifest, artifact_type, expected)
    title = TITLES[artifact_type]
    if len(document) != size or digests.of_bytes(document) != digest:
        raise _mismatch(f"{title} is not the document that its manifest names, {digest}")
    return _Reader(document, title, DOCUMENT_BYTES_MAX)


class _Reader:
    """A document whose every field may be missing or something else."""

    __slots__ = ("_value", "_what")

    def __init__(self, data: bytes, what: str, bytes_max: int) -> None:
        self._what = what
        try:
            self._value = parse_object(data, what, bytes_max=bytes_max)
        except ContractError as error:
            raise _mismatch(error.message) from None

    def wrong(self, where: str, message: str) -> ContractError:
        return _mismatch(f"{self._what}: {where} {message}")

    def at(self, *path: str | int) -> Json:
        value: Json = self._value
        for step in path:
            match value:
                case dict() if isinstance(step, str) and step in value:
                    value = value[step]
                case list() if isinstance(step, int) and step < len(value):
                    value = value[step]
                case _:
                    raise self.wrong(_dotted(path), "is missing")
        return value

    def has(self, key: str) -> bool:
        return key in self._value

    def only(self, keys: set[str]) -> None:
        if self._value.keys() != keys:
            raise self.wrong("the members", f"are not {', '.join(sorted(keys))}")

    def same(self, wanted: Json, *path: str | int) -> None:
        seen = self.at(*path)
        if type(seen) is not type(wanted) or seen != wanted:
            raise self.wrong(_dotted(path), f"is not {wanted}, as the image has it")

    def text(self, *path: str | int) -> str:
        value = self.at(*path)
        if not isinstance(value, str) or not value:
            raise self.wrong(_dotted(path), "is no text")
        return value

    def length(self, wanted: int | None, *path: str | int) -> int:
        value = self.at(*path)
        if not isinstance(value, list) or wanted not in (None, len(value)):
            raise self.wrong(_dotted(path), f"is no list of {wanted or 'things'}")
        return len(value)

    def by_name(self, member: str, *path: str | int) -> dict[str, Json]:
        """A list of named things as a table; a name given twice is refused."""
        found: dict[str, Json] = {}
        for place in range(self.length(None, *path)):
            name = self.text(*path, place, "name")
            if name in found:
                raise self.wrong(_dotted(path), f"names {name!a} twice")
            found[name] = self.at(*path, place, member)
        return found

    def digests_by_name(self, *path: str | int) -> dict[str, str]:
        """A list of in-toto resource descriptors, each with a name and a SHA-256 alone."""
        found: dict[str, str] = {}
        for name, value in self.by_name("digest", *path).items():
            digest = f"sha256:{value.get('sha256')}" if isinstance(value, dict) else ""
            if not digests.is_digest(digest) or value != _digest_set(digest):
                raise self.wrong(_dotted(path), f"has no SHA-256 alone for {name!a}")
            found[name] = digest
        return found


def _dotted(path: tuple[str | int, ...]) -> str:
    return ".".join(map(str, path))


def _mismatch(message: str) -> ContractError:
    return ContractError("ERR_REGISTRY_MISMATCH", "referrer_mismatch", message)
