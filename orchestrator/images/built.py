"""What the build left of a processor's image: layouts and digest files, below the program's root.

The digest is the one of the digest file, an output of the build; no output of a tool is read for
it. What lies in the layouts is measured against it before anything is told of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.images import layout, processors, referrers
from orchestrator.images.layout import Descriptor, Layout, Manifest
from orchestrator.images.processors import Processor
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import mismatch, unavailable
from processors.protocol.refs import Ref

type Check = Callable[[bytes, bytes, referrers.Expected], referrers.Bill | referrers.Provenance]

IMAGE = "image"
IMAGE_DIGEST_FILE = "image.json.sha256"  # the name that the image rules give it
# What refers to an image, each with NAME.digest beside it, and how it is checked.
_REFERRERS: dict[str, Check] = {
    "image_sbom": referrers.bill_of_materials,
    "image_provenance": referrers.provenance,
}
REFERRERS = tuple(_REFERRERS)


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
        tuple(_referrers(own, processor, top, roots)),
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
    config, *layers = image.blobs
    for layer in layers:
        place.check_blob(layer)
    what = f"{ref}: the config of {image.descriptor.platform}"
    inner = layout.parse(place.read(config), what).get("config")
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    if not isinstance(labels, dict):
        labels = {}
    if labels.get(referrers.REF) != str(ref):
        raise mismatch(
            "ref_mismatch", f"the image of {ref} says {referrers.REF} {labels.get(referrers.REF)}"
        )
    root = labels.get(referrers.CONTENT_ROOT)
    if not isinstance(root, str) or not digests.is_digest(root):
        raise mismatch("layout_invalid", f"{ref}: the image has no label {referrers.CONTENT_ROOT}")
    return root


def _referrers(
    own: str, processor: Processor, top: Descriptor, roots: dict[str, str]
) -> list[Referrer]:
    """What the build made of the kind, each held against the image that it must be about."""
    image = referrers.Expected(
        digest=top.digest,
        size=top.size_bytes,
        ref=str(processor.ref),
        source_root=processor.source_root,
    )
    found = []
    for name, check in _REFERRERS.items():
        digest = _read_digest(os.path.join(own, f"{name}.digest"))
        place = Layout(os.path.join(own, name))
        if digest is None and not os.path.exists(place.folder):
            continue
        if digest is None:
            raise unavailable("not_built", f"{name} was built without its digest; build it again")
        own_top = _top(place, digest, f"{name}.digest")
        manifest = place.manifest(own_top)
        if own_top.media_type != layout.MANIFEST_TYPE or not manifest.blobs:
            raise mismatch("layout_invalid", f"{place.folder!a} holds no manifest with a layer")
        for blob in manifest.blobs[:-1]:
            place.check_blob(blob)
        said = check(manifest.data, place.read(manifest.blobs[-1]), image)
        if said.content_root not in roots.values():
            raise mismatch(
                "referrer_mismatch", f"{name} tells {said.content_root}, the content root of none"
            )
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
