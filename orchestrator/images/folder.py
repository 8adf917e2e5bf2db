"""A repository in an OCI image layout on a disk: pushed to without a registry and without a daemon.

Any number of processes may push to one folder. Blobs are written beside their place and renamed
into it; the list of what is there changes last, whole, and under the folder's lock. So whatever
kills a push, who reads the folder finds either nothing of an image or all of it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from orchestrator.images import layout, store
from orchestrator.images.layout import Descriptor, Layout, Manifest
from orchestrator.world import durable
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import ContractError, inputs_error, unavailable

REF_NAME = "org.opencontainers.image.ref.name"
SCRATCH = ".new"  # at the end of a name: what a push that was killed may have left
LOCK_S = 60.0


class Folder:
    """A repository in a layout's folder.

    Args:
        folder: The folder; made by the first push.
        repository: The repository's name, without a registry's.
    """

    kind = "layout"

    def __init__(self, folder: str, repository: str) -> None:
        self.name = repository
        self._folder = folder
        self._layout = Layout(folder)

    def send(self, place: Layout, top: Manifest) -> list[str]:
        """Copy what is not there, then list it."""
        try:
            os.makedirs(os.path.join(self._folder, "blobs/sha256"), exist_ok=True)
            with durable.Lock(self._folder, shared=False, patience_s=LOCK_S):
                return self._send(place, top)
        except BlockingIOError:
            why = "another push holds it"
        except OSError as error:
            why = str(error.strerror)
        raise inputs_error("unwritable_target", f"{self._folder!a}: {why}")

    def attach(self, subject: Manifest, referrers: Sequence[Manifest]) -> None:
        """A layout's list is the list of referrers, too; ``send`` has put them there."""

    def fetch(self, of: Descriptor) -> Manifest:
        """Read a manifest, which the list, or an index in the list, must name."""
        if not self._is_listed(of) or not os.path.exists(self._layout.path(of.digest)):
            raise unavailable("not_in_store", f"{self._folder!a} lists no {self.name}@{of.digest}")
        return self._layout.manifest(of)

    def _is_listed(self, of: Descriptor) -> bool:
        """Whether it is in this repository: what a killed push has left is not."""
        if not os.path.exists(os.path.join(self._folder, layout.INDEX_FILE)):
            return False
        entries = self._layout.entries()
        if f"{self.name}@{of.digest}" in map(_name, entries):
            return True
        return any(of.digest in self._parts(entry) for entry in entries)

    def _parts(self, entry: dict[str, Json]) -> list[str]:
        """The digests that an entry's index names; none where it is not ours or cannot be read.

        Others keep what they like in the same folder, and may have lost some of it.
        """
        if not str(_name(entry)).startswith(f"{self.name}@"):
            return []
        try:
            top = layout.descriptor(entry, layout.INDEX_FILE)
            return [each.digest for each in self._layout.manifest(top).children]
        except ContractError:
            return []

    def check_blob(self, of: Descriptor) -> None:
        """Read a blob and measure it."""
        if not os.path.exists(self._layout.path(of.digest)):
            raise unavailable("not_in_store", f"{self._folder!a} has no blob {of.digest}")
        self._layout.check_blob(of)

    def _send(self, place: Layout, top: Manifest) -> list[str]:
        """Do it, under the lock."""
        blobs = os.path.join(self._folder, "blobs/sha256")
        for name in os.listdir(blobs):
            if name.endswith(SCRATCH):
                os.unlink(os.path.join(blobs, name))
        wanted: dict[str, Descriptor] = {}
        # Each after what it names, as in a registry.
        for manifest in reversed([*place.manifests(top.descriptor)]):
            wanted |= {each.digest: each for each in (*manifest.blobs, manifest.descriptor)}
        sent = [digest for digest, of in wanted.items() if self._copy(place, of)]
        durable.sync(blobs)
        if self._list(top):
            sent += [] if top.descriptor.digest in sent else [top.descriptor.digest]
        return sent

    def _copy(self, place: Layout, of: Descriptor) -> bool:
        """Bring a blob in, unless it is there, whole; a broken one is written again."""
        target = self._layout.path(of.digest)
        try:
            self._layout.check_blob(of)
        except ContractError:
            pass
        else:
            return False
        with open(place.path(of.digest), "rb") as reader, open(target + SCRATCH, "wb") as writer:
            shutil.copyfileobj(reader, writer, 1_048_576)
            writer.flush()
            os.fsync(writer.fileno())
        os.replace(target + SCRATCH, target)
        return True

    def _list(self, top: Manifest) -> bool:
        """Name a manifest in the list; return whether it was not there."""
        marker = os.path.join(self._folder, layout.LAYOUT_FILE)
        if not os.path.exists(marker):
            durable.replace_file(marker, canonical({"imageLayoutVersion": "1.0.0"}))
        file = os.path.join(self._folder, layout.INDEX_FILE)
        listed = self._layout.entries() if os.path.exists(file) else []
        name = f"{self.name}@{top.descriptor.digest}"
        entry: dict[str, Json] = {**store.entry_of(top), "annotations": {REF_NAME: name}}
        if entry in listed:
            return False
        kept = [each for each in listed if _name(each) != name]
        index: dict[str, Json] = {
            "schemaVersion": 2,
            "mediaType": layout.INDEX_TYPE,
            "manifests": list[Json]([*kept, entry]),
        }
        durable.replace_file(file, canonical(index))
        return True


def _name(entry: dict[str, Json]) -> Json:
    annotations = entry.get("annotations")
    return annotations.get(REF_NAME) if isinstance(annotations, dict) else None
