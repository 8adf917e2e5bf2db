"""What the build left of a processor's image: layouts and digest files, below the program's root.

The digest is the one of the digest file, an output of the build; no output of a tool is read for
it. What lies in the layouts is measured against it before anything is told of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from orchestrator.images import layout, processors
from orchestrator.images.layout import Descriptor, Layout, Manifest
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import mismatch, unavailable
from processors.protocol.refs import Ref

IMAGE = "image"
IMAGE_DIGEST_FILE = "image.json.sha256"  # the name that the image rules give it
REFERRERS = ("image_sbom", "image_provenance")  # each with NAME.digest beside it
LABEL_REF = "processor.ref"
LABEL_CONTENT_ROOT = "processor.content-root"


@dataclass(frozen=True)
class Referrer:
    """Something about the image that is pushed with it: a bill of materials, its provenance."""

    name: str
    layout: Layout
    manifest: Manifest


@dataclass(frozen=True)
class Image:
    """A processor's image as it was built; every byte of it has been measured.

    Attributes:
        ref: The processor.
        registry: Its checked registry, ``image`` included.
        layout: Where the image lies.
        index: The index, whose digest is what is pushed and pinned.
        images: The images that the index lists, in its order.
        content_roots: The digest of the processor's files inside, by platform.
        referrers: What refers to the index; empty if the build made nothing of the kind.
    """

    ref: Ref
    registry: dict[str, Json]
    layout: Layout
    index: Manifest
    images: tuple[Manifest, ...]
    content_roots: dict[str, str]
    referrers: tuple[Referrer, ...]

    @property
    def digest(self) -> str:
        """The digest of the index."""
        return self.index.descriptor.digest

    @property
    def platforms(self) -> list[str]:
        """The platforms of the index, sorted."""
        return sorted(self.content_roots)

    @property
    def repository(self) -> str:
        """The repository that the registry names."""
        return shapes.text(self.registry["image"], "repository")


def load(root: str, ref: Ref) -> Image:
    """Read and measure the image of a processor.

    Args:
        root: The repository's root as the program sees it.
        ref: The processor.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``unknown_ref``; ``ERR_IMAGE_UNAVAILABLE`` / ``not_built``;
            ``ERR_REGISTRY_MISMATCH`` when the parts do not agree.
    """
    folder = os.path.join(root, "processors")
    processor = processors.load(folder, ref)
    own = os.path.join(folder, ref.folder)
    place = Layout(os.path.join(own, IMAGE))
    top = _top(place, digest_of(root, ref), IMAGE_DIGEST_FILE)
    if top.media_type != layout.INDEX_TYPE:
        raise mismatch("layout_invalid", f"{ref}: the image is {top.media_type}, and no index")
    index, *images = place.manifests(top)
    roots = {str(each.descriptor.platform): _measured(ref, place, each) for each in images}
    return Image(
        ref,
        processor.registry,
        place,
        index,
        tuple(images),
        roots,
        tuple(_referrers(own, top.digest)),
    )


def digest_of(root: str, ref: Ref) -> str:
    """The digest that the build gave a processor's image: the digest file and nothing else.

    Raises:
        ContractError: ``ERR_IMAGE_UNAVAILABLE`` / ``not_built``.
    """
    own = os.path.join(root, "processors", ref.folder)
    found = _read_digest(os.path.join(own, IMAGE_DIGEST_FILE))
    if found is None:
        raise unavailable(
            "not_built", f"{ref} has no {IMAGE_DIGEST_FILE}; build //processors/{ref.folder}:image"
        )
    return found


def _measured(ref: Ref, place: Layout, image: Manifest) -> str:
    """Measure an image's blobs; return the content root that its labels tell."""
    for blob in image.blobs:
        place.check_blob(blob)
    config = image.blobs[0]
    if config.size_bytes > layout.DOCUMENT_BYTES_MAX:
        raise mismatch("layout_invalid", f"{ref}: a config of {config.size_bytes} bytes")
    with open(place.path(config.digest), "rb") as file:
        document = layout.parse(file.read(), f"{ref}: the config of {image.descriptor.platform}")
    inner = document.get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    if not isinstance(labels, dict):
        labels = {}
    if labels.get(LABEL_REF) != str(ref):
        raise mismatch(
            "ref_mismatch", f"the image of {ref} says {LABEL_REF} {labels.get(LABEL_REF)}"
        )
    root = labels.get(LABEL_CONTENT_ROOT)
    if not isinstance(root, str) or not digests.is_digest(root):
        raise mismatch("layout_invalid", f"{ref}: the image has no label {LABEL_CONTENT_ROOT}")
    return root


def _referrers(own: str, subject: str) -> list[Referrer]:
    found = []
    for name in REFERRERS:
        digest = _read_digest(os.path.join(own, f"{name}.digest"))
        place = Layout(os.path.join(own, name))
        if digest is None and not os.path.exists(place.folder):
            continue
        if digest is None:
            raise unavailable("not_built", f"{name} was built without its digest; build it again")
        manifest = place.manifest(_top(place, digest, f"{name}.digest"))
        if manifest.subject != subject:
            raise mismatch(
                "referrer_mismatch", f"{name} is about {manifest.subject}; the image is {subject}"
            )
        for blob in manifest.blobs:
            place.check_blob(blob)
        found.append(Referrer(name, place, manifest))
    return found


def _top(place: Layout, digest: str, file: str) -> Descriptor:
    top = place.only()
    if top.digest != digest:
        raise mismatch(
            "digest_mismatch",
            f"{file} says {digest}, the layout beside it is {top.digest}; build it again",
        )
    return top


def _read_digest(path: str) -> str | None:
    try:
        with open(path, encoding="ascii", errors="replace", newline="") as file:
            text = file.read(100)
    except OSError:
        return None
    found = text.removesuffix("\n")
    return found if digests.is_digest(found) else None
