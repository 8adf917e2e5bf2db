"""Where images are pushed to and pinned from: one way to speak of a registry and of a folder.

A place holds the images of one repository, by digest. ``Registry`` is a repository in a registry;
``folder.Folder`` is one in an OCI image layout on a disk.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from typing import Protocol

from orchestrator.images import layout, reference
from orchestrator.images.crane import Crane, is_absent
from orchestrator.images.layout import Descriptor, Layout, Manifest
from processors.protocol import digests
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import ContractError, inputs_error, unavailable

# Of reading the list of referrers, adding ours, and finding it there: somebody else may write, too.
ATTEMPTS_MAX = 5


class Store(Protocol):
    """A repository."""

    @property
    def kind(self) -> str:
        """``registry`` or ``layout``."""

    @property
    def name(self) -> str:
        """How people call it."""

    def send(self, place: Layout, top: Manifest) -> list[str]:
        """Store what a layout is about; return the digests that were not there before."""

    def attach(self, subject: Manifest, referrers: Sequence[Manifest]) -> None:
        """Let whoever asks for a subject's referrers find these, which have been sent."""

    def fetch(self, of: Descriptor) -> Manifest:
        """A manifest, verified.

        Raises:
            ContractError: ``ERR_IMAGE_UNAVAILABLE`` / ``not_in_store`` and others.
        """

    def check_blob(self, of: Descriptor) -> None:
        """Read a blob and measure it."""


class Registry:
    """A repository in a registry."""

    kind = "registry"

    def __init__(self, crane: Crane, name: str) -> None:
        self._crane = crane
        self.name = name

    def send(self, place: Layout, top: Manifest) -> list[str]:
        """Push by digest."""
        return self._crane.push(place.folder, self._at(top.descriptor))

    def fetch(self, of: Descriptor) -> Manifest:
        """Fetch a manifest by digest."""
        data = self._crane.manifest(self._at(of), layout.DOCUMENT_BYTES_MAX)
        return layout.read_manifest(data, of, self._at(of))

    def check_blob(self, of: Descriptor) -> None:
        """Fetch a blob and measure it."""
        self._crane.blob(self._at(of), of.size_bytes)

    def attach(self, subject: Manifest, referrers: Sequence[Manifest]) -> None:
        """Keep the list of referrers under the tag that stands for it.

        In every registry: crane writes the list only where a registry has no referrers API, only
        with the manifest itself, so that a push which was killed in between never writes it, and
        with another artifact type than the manifest's (OCI distribution specification 1.1,
        "Referrers Tag Schema").
        """
        tag = f"{self.name}:{subject.descriptor.digest.replace(':', '-')}"
        for _ in range(ATTEMPTS_MAX):
            listed = self._listed(tag)
            wanted = with_referrers(listed, referrers)
            if wanted == listed:
                return
            try:
                with tempfile.TemporaryDirectory() as folder:
                    self._write_list(
                        folder, wanted, {r.descriptor.digest: r.data for r in referrers}
                    )
                    self._crane.push(folder, tag, as_index=True)
            except OSError as error:
                why = f"a folder for temporary files (TMPDIR): {error.strerror}"
                raise inputs_error("unwritable_target", f"{why}; the image is there") from None
        raise unavailable(
            "registry_failed", f"{tag}: the list of referrers is not what was written, or changes"
        )

    def _listed(self, tag: str) -> list[dict[str, Json]]:
        try:
            data = self._crane.manifest(tag, layout.DOCUMENT_BYTES_MAX)
        except ContractError as error:
            if is_absent(error):
                return []
            raise
        try:
            return layout.objects(layout.parse(data, tag), "manifests", tag)
        except ContractError as error:
            raise unavailable("registry_failed", error.message) from None

    def _write_list(
        self, folder: str, wanted: list[dict[str, Json]], ours: dict[str, bytes]
    ) -> None:
        """Write the list as a layout; crane looks at the manifests that it names.

        Somebody else's are taken as they are, whatever they hold. One that is gone from the
        registry refers to nothing any more and leaves the list.
        """
        os.makedirs(os.path.join(folder, "blobs/sha256"))
        files = {layout.LAYOUT_FILE: canonical({"imageLayoutVersion": "1.0.0"})}
        kept = []
        for entry in wanted:
            digest = str(entry.get("digest"))
            data = ours.get(digest) or self._foreign(digest)
            if data is not None:
                files[layout.place(digest)] = data
                kept.append(entry)
        index: dict[str, Json] = {
            "schemaVersion": 2,
            "mediaType": layout.INDEX_TYPE,
            "manifests": list[Json](kept),
        }
        files[layout.INDEX_FILE] = canonical(index)
        for name, data in files.items():
            with open(os.path.join(folder, name), "xb") as file:
                file.write(data)

    def _foreign(self, digest: str) -> bytes | None:
        """The bytes of a manifest that somebody else listed, or None if it is gone."""
        if not digests.is_digest(digest):
            what = f"{self.name}: the list of referrers names {digest[:80]!a}"
            raise unavailable("registry_failed", f"{what}, which is no SHA-256 digest")
        try:
            return self._crane.manifest(f"{self.name}@{digest}", layout.DOCUMENT_BYTES_MAX)
        except ContractError as error:
            if is_absent(error):
                return None
            raise

    def _at(self, of: Descriptor) -> str:
        return f"{self.name}@{of.digest}"


def with_referrers(
    listed: Sequence[dict[str, Json]], ours: Sequence[Manifest]
) -> list[dict[str, Json]]:
    """A list of referrers with ours in it, each once and in our words."""
    entries = {each.descriptor.digest: entry_of(each) for each in ours}
    kept = [entries.get(str(each.get("digest")), each) for each in listed]
    there = {str(each.get("digest")) for each in kept}
    return [*kept, *(entry for digest, entry in entries.items() if digest not in there)]


def entry_of(manifest: Manifest) -> dict[str, Json]:
    """What a list says of a manifest that has a type of artifact."""
    of = manifest.descriptor
    kind = manifest.document.get("artifactType")
    entry: dict[str, Json] = {
        "mediaType": of.media_type,
        "digest": of.digest,
        "size": of.size_bytes,
    }
    return {**entry, "artifactType": kind} if isinstance(kind, str) else entry


def repository_at(registry: str, repository: str) -> str:
    """The repository that an image has in a registry: ``HOST[:PORT][/PATH]/REPOSITORY``.

    Args:
        registry: What --registry says.
        repository: What registry.yaml says; with a host of its own it lies nowhere else.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``bad_value``.
    """
    own = reference.host_of(repository)
    name = repository if own else f"{registry}/{repository}"
    if own and own != registry:
        why = f"{repository} names its own registry, {own}"
    elif not reference.host_of(name):
        why = "it names no host; one has a dot or a port, or is localhost"
    else:
        why = reference.repository_problem(name) or ""
    if why:
        raise inputs_error("bad_value", f"--registry {registry[:80]!a}: {why}")
    return name
