"""Volumes of version 2: trees of files made of blocks, and the private copies of containers.

A container works on a copy of its own. What it changed is published by its VolumeCommit, which its
entrypoint asks for at its end as well; who looks before that does not see it, as on the real
service. Of two writers of one file the later one wins.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from google.protobuf.empty_pb2 import Empty
from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.blobs import Blobs, Store
from tools.modal_local.environments import Environments
from tools.modal_local.session import Caller, Table, new_id

BLOCK_BYTES = 8 << 20
FILE_MODE = 0o644
PAGE = 100
V2 = api_pb2.VOLUME_FS_VERSION_V2


@dataclass(frozen=True)
class File:
    """One file: its size, its mode and the digests of its blocks."""

    size: int
    mode: int
    blocks: tuple[str, ...]
    changed_at: int


@dataclass
class Volume:
    """One volume; ``files`` holds its paths, relative and without dots."""

    volume_id: str
    name: str
    environment: str
    created_at: float
    files: dict[str, File] = field(default_factory=dict)

    def metadata(self) -> api_pb2.VolumeMetadata:
        """What a lookup answers."""
        return api_pb2.VolumeMetadata(
            version=V2,
            name=self.name,
            creation_info=api_pb2.CreationInfo(created_at=self.created_at),
        )


def plain_path(path: str) -> str:
    """A path inside a volume; one that would leave it is refused.

    Raises:
        GRPCError: It is INVALID_ARGUMENT.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise failures.invalid("a path that leaves the volume")
    return "/".join(parts)


class Volumes:
    """All volumes."""

    def __init__(self, environments: Environments, store: Store, blobs: Blobs) -> None:
        self._environments = environments
        self._store = store
        self._blobs = blobs
        self._all: dict[str, Volume] = {}
        self._named: dict[tuple[str, str], str] = {}

    def table(self) -> Table:
        """What is served of them to clients."""
        return {
            "VolumeDelete": self._delete,
            "VolumeGetById": self._by_id,
            "VolumeGetFile2": self._get_file,
            "VolumeGetOrCreate": self._get_or_create,
            "VolumeList": self._list,
            "VolumeListFiles2": self._list_files,
            "VolumePutFiles2": self._put_files,
            "VolumeRemoveFile2": self._remove_file,
        }

    def get(self, volume_id: str) -> Volume:
        """One of them."""
        if volume_id not in self._all:
            raise failures.not_found(f"Volume {volume_id} not found")
        return self._all[volume_id]

    async def _get_or_create(
        self, request: api_pb2.VolumeGetOrCreateRequest, caller: Caller
    ) -> api_pb2.VolumeGetOrCreateResponse:
        environment = self._environments.name(request.environment_name)
        name, kind = request.deployment_name, request.object_creation_type
        found = self._all.get(self._named.get((environment, name), ""))
        if caller.task_id and kind != api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED:
            raise failures.unimplemented("making a volume from a container")
        if found is None:
            if kind == api_pb2.OBJECT_CREATION_TYPE_UNSPECIFIED:
                raise failures.not_found(
                    f"Volume {name!r} not found in environment {environment!r}"
                )
            if kind == api_pb2.OBJECT_CREATION_TYPE_EPHEMERAL or not name:
                raise failures.unimplemented("a volume without a name")
            if request.version != V2:
                raise failures.unimplemented("a volume that is not of version 2")
            found = Volume(new_id("vo"), name, environment, time.time())
            self._all[found.volume_id] = found
            self._named[environment, name] = found.volume_id
        elif kind == api_pb2.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
            raise failures.exists(f"Volume {name!r} exists already")
        return api_pb2.VolumeGetOrCreateResponse(
            volume_id=found.volume_id, version=V2, metadata=found.metadata()
        )

    async def _by_id(
        self, request: api_pb2.VolumeGetByIdRequest, _: Caller
    ) -> api_pb2.VolumeGetByIdResponse:
        found = self.get(request.volume_id)
        return api_pb2.VolumeGetByIdResponse(volume_id=found.volume_id, metadata=found.metadata())

    async def _list(
        self, request: api_pb2.VolumeListRequest, _: Caller
    ) -> api_pb2.VolumeListResponse:
        environment = self._environments.name(request.environment_name)
        before = request.pagination.created_before or float("inf")
        found = [
            each
            for each in self._all.values()
            if each.environment == environment and each.created_at < before
        ]
        found.sort(key=lambda each: -each.created_at)
        limit = min(request.pagination.max_objects or PAGE, PAGE)
        return api_pb2.VolumeListResponse(
            environment_name=environment,
            items=[
                api_pb2.VolumeListItem(
                    label=each.name,
                    volume_id=each.volume_id,
                    created_at=each.created_at,
                    metadata=each.metadata(),
                )
                for each in found[:limit]
            ],
        )

    async def _delete(self, request: api_pb2.VolumeDeleteRequest, _: Caller) -> Empty:
        found = self.get(request.volume_id)
        del self._all[found.volume_id]
        del self._named[found.environment, found.name]
        return Empty()

    async def _put_files(
        self, request: api_pb2.VolumePutFiles2Request, _: Caller
    ) -> api_pb2.VolumePutFiles2Response:
        volume = self.get(request.volume_id)
        missing = []
        made: dict[str, File] = {}
        for place, file in enumerate(request.files):
            path = plain_path(file.path)
            if not path:
                raise failures.invalid("a file without a name")
            if request.disallow_overwrite_existing_files and path in volume.files:
                raise failures.exists(f"{path}: exists already")
            digests = tuple(block.contents_sha256.hex() for block in file.blocks)
            for number, digest in enumerate(digests):
                if not self._store.has(digest):
                    missing.append(self._missing(place, number, digest))
            made[path] = File(file.size, file.mode or FILE_MODE, digests, int(time.time()))
        if not missing:
            volume.files.update(made)
        return api_pb2.VolumePutFiles2Response(missing_blocks=missing)

    def _missing(
        self, place: int, number: int, digest: str
    ) -> api_pb2.VolumePutFiles2Response.MissingBlock:
        return api_pb2.VolumePutFiles2Response.MissingBlock(
            file_index=place, block_index=number, put_url=self._blobs.block_url(digest)
        )

    async def _get_file(
        self, request: api_pb2.VolumeGetFile2Request, _: Caller
    ) -> api_pb2.VolumeGetFile2Response:
        volume = self.get(request.volume_id)
        path = plain_path(request.path)
        if path not in volume.files:
            raise failures.not_found(f"{path}: no such file")
        if request.start or request.len:
            raise failures.unimplemented("a part of a file")
        file = volume.files[path]
        urls = [self._blobs.block_url(digest) for digest in file.blocks]
        return api_pb2.VolumeGetFile2Response(get_urls=urls, size=file.size, len=file.size)

    async def _remove_file(self, request: api_pb2.VolumeRemoveFile2Request, _: Caller) -> Empty:
        volume = self.get(request.volume_id)
        path = plain_path(request.path)
        below = [each for each in volume.files if each.startswith(f"{path}/")]
        if path not in volume.files and not below:
            raise failures.not_found(f"{path}: no such file")
        if below and not request.recursive:
            raise failures.invalid(f"{path}: is a directory")
        for each in [path, *below]:
            volume.files.pop(each, None)
        return Empty()

    async def _list_files(
        self, request: api_pb2.VolumeListFiles2Request, _: Caller
    ) -> AsyncIterator[api_pb2.VolumeListFiles2Response]:
        volume = self.get(request.volume_id)
        path = plain_path(request.path)
        entries: dict[str, api_pb2.FileEntry] = {}
        for name, file in sorted(volume.files.items()):
            if name != path and path and not name.startswith(f"{path}/"):
                continue
            parts = name.split("/")
            depth = len(path.split("/")) if path else 0
            for end in range(depth + 1, len(parts)):
                if request.recursive or end == depth + 1:
                    folder = "/".join(parts[:end])
                    entries[folder] = api_pb2.FileEntry(
                        path=folder, type=api_pb2.FileEntry.DIRECTORY, mtime=file.changed_at
                    )
            if request.recursive or len(parts) <= depth + 1:
                entries[name] = api_pb2.FileEntry(
                    path=name,
                    type=api_pb2.FileEntry.FILE,
                    mtime=file.changed_at,
                    size=file.size,
                )
        if not entries and path:
            raise failures.not_found(f"{path}: no such file or directory")
        yield api_pb2.VolumeListFiles2Response(entries=list(entries.values()))
