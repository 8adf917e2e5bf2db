"""Mounts: the client's own, which every image gets, and the files that a function brings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.blobs import Blobs, Store
from tools.modal_local.session import WHEEL, Caller, Table, new_id

CLIENT = f"modal-client-mount-{WHEEL}"


@dataclass(frozen=True)
class Mount:
    """One mount: absolute path → digest and mode; the client's is laid out apart."""

    mount_id: str
    files: dict[str, tuple[str, int]]


class Mounts:
    """All mounts."""

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self._store = store
        self._blobs = blobs
        self._client = Mount(new_id("mo"), {})
        self._all = {self._client.mount_id: self._client}

    def table(self) -> Table:
        """What is served of them."""
        return {
            "MountBatchedCheckExistence": self._check,
            "MountGetOrCreate": self._get_or_create,
            "MountPutFile": self._put,
        }

    def get(self, mount_id: str) -> Mount:
        """One of them."""
        if mount_id not in self._all:
            raise failures.not_found(f"Mount {mount_id} not found")
        return self._all[mount_id]

    def lay_out(self, mount_id: str, root: Path) -> list[tuple[Path, str]]:
        """Write a mount's files below a folder; return what is to be bound where."""
        bound = []
        for number, (path, (digest, mode)) in enumerate(self.get(mount_id).files.items()):
            target = root / f"{mount_id}.{number}"
            target.write_bytes(self._store.read(digest))
            target.chmod(mode)
            bound.append((target, path))
        return bound

    async def _check(
        self, request: api_pb2.MountBatchedCheckExistenceRequest, _: Caller
    ) -> api_pb2.MountBatchedCheckExistenceResponse:
        return api_pb2.MountBatchedCheckExistenceResponse(
            missing_sha256_hex_hashes=[
                digest for digest in request.sha256_hex_hashes if not self._store.has(digest)
            ]
        )

    async def _put(
        self, request: api_pb2.MountPutFileRequest, _: Caller
    ) -> api_pb2.MountPutFileResponse:
        which = request.WhichOneof("data_oneof")
        if which is not None:
            data = request.data if which == "data" else self._blobs.data(request.data_blob_id)
            if hashlib.sha256(data).hexdigest() != request.sha256_hex:
                raise failures.invalid("not the bytes that were announced")
            self._store.put(data)
        return api_pb2.MountPutFileResponse(exists=self._store.has(request.sha256_hex))

    async def _get_or_create(
        self, request: api_pb2.MountGetOrCreateRequest, _: Caller
    ) -> api_pb2.MountGetOrCreateResponse:
        kind = request.object_creation_type
        if kind == api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED:
            if request.namespace != api_pb2.DEPLOYMENT_NAMESPACE_GLOBAL:
                raise failures.unimplemented("a mount with a name")
            if request.deployment_name != CLIENT:
                raise failures.not_found(f"Mount {request.deployment_name!r} not found")
            return api_pb2.MountGetOrCreateResponse(mount_id=self._client.mount_id)
        if kind != api_pb2.OBJECT_CREATION_TYPE_ANONYMOUS_OWNED_BY_APP:
            raise failures.unimplemented(f"making a mount in way {kind}")
        files = {}
        for file in request.files:
            parts = file.filename.split("/")
            if not file.filename.startswith("/") or {"", ".", ".."} & set(parts[1:]):
                raise failures.invalid("a mount's file with such a path")
            if not self._store.has(file.sha256_hex):
                raise failures.not_found(f"{file.filename}: not uploaded")
            files[file.filename] = (file.sha256_hex, (file.mode or 0o644) & 0o755)
        found = Mount(new_id("mo"), files)
        self._all[found.mount_id] = found
        summary = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
        return api_pb2.MountGetOrCreateResponse(
            mount_id=found.mount_id,
            handle_metadata=api_pb2.MountHandleMetadata(content_checksum_sha256_hex=summary),
        )
