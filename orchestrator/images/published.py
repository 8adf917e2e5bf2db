"""An image as a registry has it, found by its digest alone: which files run in it.

The digest names the index, the index the image, the image its configuration, and that the content
root; each is measured on the way, so the root is bound to the digest.
"""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.images import layout, referrers
from orchestrator.images.crane import Crane
from orchestrator.images.layout import Descriptor
from processors.protocol import digests
from processors.protocol.errors import mismatch, unavailable
from processors.protocol.refs import Ref

PLATFORM = "linux/amd64"  # what Modal runs


@dataclass(frozen=True)
class Published:
    """What a registry has under a digest.

    Attributes:
        repository: Where it lies, registry included.
        digest: Of the index.
        content_root: Of the files that run, on ``PLATFORM``.
    """

    repository: str
    digest: str
    content_root: str

    @property
    def reference(self) -> str:
        """The one way to name the image."""
        return f"{self.repository}@{self.digest}"


def read(crane: Crane, repository: str, digest: str, ref: Ref) -> Published:
    """Find an image in its registry.

    Args:
        crane: The way to it.
        repository: Where the image must lie.
        digest: Of its index.
        ref: The processor that it must be of.

    Raises:
        ContractError: ``ERR_IMAGE_UNAVAILABLE``: ``not_in_store``, ``platform_missing`` and others;
            ``ERR_REGISTRY_MISMATCH``: it is not what it should be.
    """
    name = f"{repository}@{digest}"
    data = crane.manifest(name, layout.DOCUMENT_BYTES_MAX)
    top = Descriptor(layout.INDEX_TYPE, digest, len(data), None)
    index = layout.read_manifest(data, top, name)
    found = [each for each in index.children if each.platform == PLATFORM]
    if not found:
        raise unavailable("platform_missing", f"{name} has no image for {PLATFORM}")
    [child] = found
    inner = f"{repository}@{child.digest}"
    image = layout.read_manifest(crane.manifest(inner, layout.DOCUMENT_BYTES_MAX), child, inner)
    config = image.blobs[0]
    document = layout.parse(
        crane.document(f"{repository}@{config.digest}", config.size_bytes), f"{name}: its config"
    )
    settings = document.get("config")
    labels = settings.get("Labels") if isinstance(settings, dict) else None
    told = labels if isinstance(labels, dict) else {}
    if told.get(referrers.REF) != str(ref):
        raise mismatch("ref_mismatch", f"{name} is of {told.get(referrers.REF)}, not of {ref}")
    root = told.get(referrers.CONTENT_ROOT)
    if not digests.is_digest(root):
        raise mismatch("layout_invalid", f"{name} has no label {referrers.CONTENT_ROOT}")
    return Published(repository, digest, str(root))
