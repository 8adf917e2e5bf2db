"""Push an image and what refers to it, and see for oneself that it arrived."""

from __future__ import annotations

from orchestrator.images.built import Image
from orchestrator.images.store import Store
from processors.protocol.canonical import Json


def push(image: Image, store: Store) -> dict[str, Json]:
    """Push by digest; what is there already is not sent again.

    Args:
        image: The image, every byte of which has been measured.
        store: Where to.

    Returns:
        What the command answers.

    Raises:
        ContractError: ``ERR_IMAGE_UNAVAILABLE``, ``ERR_REGISTRY_MISMATCH`` or ``ERR_INPUTS``.
    """
    sent = set(store.send(image.layout, image.index))
    parts = [image.index, *image.images]
    for referrer in image.referrers:
        sent |= set(store.send(referrer.layout, referrer.manifest))
        parts.append(referrer.manifest)
    if image.referrers:
        store.attach(image.index, [each.manifest for each in image.referrers])
    for part in parts:
        store.fetch(part.descriptor)  # and measure it
    every = {of.digest for part in parts for of in (part.descriptor, *part.blobs)}
    return {
        "ref": str(image.ref),
        "digest": image.digest,
        "kind": store.kind,
        "repository": store.name,
        "platforms": list[Json](image.platforms),
        "referrers": {each.name: each.manifest.descriptor.digest for each in image.referrers},
        "uploaded": list[Json](sorted(sent & every)),
        "existing": list[Json](sorted(every - sent)),
    }
