"""OCI image layouts: folders that hold an index, its images, and whatever their manifests name.

Reading alone, and nothing is believed: every blob is measured against its digest when it is used
(OCI image specification 1.1: image-layout, descriptor, image index, manifest). Narrower than the
specification where the build is: SHA-256 alone, an index at the top, images right below it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from processors.protocol import digests, shapes
from processors.protocol.canonical import Json, parse_object
from processors.protocol.errors import ContractError, mismatch

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_FILE = "index.json"
LAYOUT_FILE = "oci-layout"
DOCUMENT_BYTES_MAX = 4_194_304  # what registries accept as a manifest, at least


@dataclass(frozen=True)
class Descriptor:
    """What one document says of another, or of a blob."""

    media_type: str
    digest: str
    size_bytes: int
    platform: str | None  # os/architecture[/variant], of an image in an index


@dataclass(frozen=True)
class Manifest:
    """A document of a layout: its bytes, and what they say.

    Attributes:
        data: The bytes, which are those of the digest.
        document: The same, parsed.
        children: The images of an index; none of an image.
        blobs: Config and layers of an image; none of an index.
        subject: The digest of what it is about, or None.
    """

    descriptor: Descriptor
    data: bytes
    document: dict[str, Json]
    children: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    subject: str | None


class Layout:
    """A layout's folder."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def entries(self) -> list[dict[str, Json]]:
        """What ``index.json`` lists.

        Raises:
            ContractError: ``ERR_REGISTRY_MISMATCH`` / ``layout_invalid``.
        """
        marker = parse(self._file(LAYOUT_FILE), self._named(LAYOUT_FILE))
        if marker.get("imageLayoutVersion") != "1.0.0":
            raise mismatch("layout_invalid", f"{self._named(LAYOUT_FILE)} names no version 1.0.0")
        index = parse(self._file(INDEX_FILE), self._named(INDEX_FILE))
        return objects(index, "manifests", self._named(INDEX_FILE))

    def only(self) -> Descriptor:
        """The one thing that the layout is about.

        Raises:
            ContractError: ``ERR_REGISTRY_MISMATCH`` / ``layout_invalid``.
        """
        found = self.entries()
        if len(found) != 1:
            what = self._named(INDEX_FILE)
            raise mismatch("layout_invalid", f"{what} lists {len(found)} manifests, not one")
        return descriptor(found[0], self._named(INDEX_FILE))

    def manifest(self, of: Descriptor) -> Manifest:
        """An index or an image's manifest, verified.

        Raises:
            ContractError: ``ERR_REGISTRY_MISMATCH``: ``layout_invalid`` or ``digest_mismatch``.
        """
        data = self._file(place(of.digest))
        return read_manifest(data, of, self._named(place(of.digest)))

    def manifests(self, top: Descriptor) -> Iterator[Manifest]:
        """A manifest and those right below it, the top first."""
        first = self.manifest(top)
        yield first
        for child in first.children:
            yield self.manifest(child)

    def path(self, digest: str) -> str:
        """Where a blob lies."""
        return os.path.join(self.folder, place(digest))

    def check_blob(self, of: Descriptor) -> None:
        """Measure a blob, reading it piece by piece.

        Raises:
            ContractError: ``ERR_REGISTRY_MISMATCH``: ``layout_invalid`` or ``blob_corrupt``.
        """
        try:
            found, size_bytes = digests.of_file(self.path(of.digest))
        except OSError as error:
            raise self._unreadable(place(of.digest), error) from None
        if (found, size_bytes) != (of.digest, of.size_bytes):
            raise mismatch(
                "blob_corrupt",
                f"{self._named(place(of.digest))} has {size_bytes} bytes of digest {found};"
                f" its manifest says {of.size_bytes}",
            )

    def read(self, of: Descriptor) -> bytes:
        """The bytes of a blob that is a document, such as a config: measured.

        Raises:
            ContractError: ``ERR_REGISTRY_MISMATCH``: ``layout_invalid`` or ``blob_corrupt``.
        """
        what = self._named(place(of.digest))
        if of.size_bytes > DOCUMENT_BYTES_MAX:
            raise mismatch("layout_invalid", f"{what}: a document of {of.size_bytes} bytes")
        data = self._file(place(of.digest))
        if (found := digests.of_bytes(data)) != of.digest:
            raise mismatch("blob_corrupt", f"{what} has {len(data)} bytes of digest {found}")
        return data

    def _file(self, name: str) -> bytes:
        try:
            with open(os.path.join(self.folder, name), "rb") as file:
                return file.read(DOCUMENT_BYTES_MAX + 1)
        except OSError as error:
            raise self._unreadable(name, error) from None

    def _named(self, name: str) -> str:
        return f"{os.path.basename(self.folder)}/{name}"

    def _unreadable(self, name: str, error: OSError) -> ContractError:
        return mismatch("layout_invalid", f"{self._named(name)}: {error.strerror}")


def place(digest: str) -> str:
    """Where a layout has the blob of a digest."""
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def read_manifest(data: bytes, of: Descriptor, what: str) -> Manifest:
    """Measure and parse a manifest.

    Args:
        data: Its bytes, wherever they come from.
        of: What was said of it.
        what: How messages call it.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH``: ``layout_invalid`` or ``digest_mismatch``.
    """
    found = digests.of_bytes(data)
    if found != of.digest or len(data) != of.size_bytes:
        raise mismatch(
            "digest_mismatch",
            f"{what} has {len(data)} bytes of digest {found}, not {of.size_bytes} of {of.digest}",
        )
    document = parse(data, what)
    if document.get("mediaType") != of.media_type:
        raise mismatch("layout_invalid", f"{what} is not of the media type {of.media_type}")
    subject = document.get("subject")
    return Manifest(
        of,
        data,
        document,
        children=_children(document, what) if of.media_type == INDEX_TYPE else (),
        blobs=_blobs(document, what) if of.media_type == MANIFEST_TYPE else (),
        subject=None if subject is None else descriptor(subject, what).digest,
    )


def parse(data: bytes, what: str) -> dict[str, Json]:
    """Parse a document of a layout.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH`` / ``layout_invalid``.
    """
    try:
        return parse_object(data, what, bytes_max=DOCUMENT_BYTES_MAX)
    except ContractError as error:
        raise mismatch("layout_invalid", error.message) from None


def descriptor(value: Json, what: str) -> Descriptor:
    """Read a descriptor.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH`` / ``layout_invalid``.
    """
    if isinstance(value, dict):
        media_type, digest, size = (value.get(key) for key in ("mediaType", "digest", "size"))
        texts = isinstance(media_type, str) and isinstance(digest, str)
        if texts and digests.is_digest(digest) and shapes.is_count(size):
            platform = _platform(value.get("platform"))
            return Descriptor(str(media_type), str(digest), shapes.count(value, "size"), platform)
    raise mismatch(
        "layout_invalid", f"{what} has a descriptor without a media type, SHA-256 digest and size"
    )


def _children(document: dict[str, Json], what: str) -> tuple[Descriptor, ...]:
    found = tuple(descriptor(each, what) for each in objects(document, "manifests", what))
    platforms = [each.platform for each in found]
    if None in platforms or len(set(platforms)) != len(platforms) or not found:
        raise mismatch("layout_invalid", f"{what} does not list images, one for each platform")
    if any(each.media_type != MANIFEST_TYPE for each in found):
        raise mismatch("layout_invalid", f"{what} lists something that is no image")
    return found


def _blobs(document: dict[str, Json], what: str) -> tuple[Descriptor, ...]:
    layers = objects(document, "layers", what)
    return tuple(descriptor(each, what) for each in (document.get("config"), *layers))


def _platform(value: Json) -> str | None:
    """``linux/amd64`` or ``linux/arm64/v8``, as clients write it."""
    if not isinstance(value, dict):
        return None
    words = [value.get("os"), value.get("architecture"), value.get("variant")]
    named = [word for word in words if isinstance(word, str) and word]
    return "/".join(named) if words[0] in named and words[1] in named else None


def objects(document: dict[str, Json], key: str, what: str) -> list[dict[str, Json]]:
    """The member of a document that is a list of objects.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH`` / ``layout_invalid``.
    """
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise mismatch("layout_invalid", f"{what} has no list {key!r} of objects")
    return [each for each in value if isinstance(each, dict)]
