"""The host of bytes: what is too large for a message, and the blocks of volumes, over plain HTTP.

Everything lies in the state folder by its SHA-256. An address holds a word of chance, as a signed
one would. Uploads are checked against the digest that was announced.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web
from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.faults import Faults
from tools.modal_local.session import Caller, Table, new_id

BYTES_MAX = 1 << 30
SILENT_STEP_S = 0.1
_PIECE = 1 << 20


class Store:
    """Bytes on disk by their SHA-256, written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, sha256_hex: str) -> Path:
        """Where the bytes of a digest lie, or would."""
        if len(sha256_hex) != 64 or not set(sha256_hex) <= set("0123456789abcdef"):
            raise failures.invalid("not a SHA-256")
        return self._folder / sha256_hex

    def has(self, sha256_hex: str) -> bool:
        """Whether they are here."""
        return self.path(sha256_hex).is_file()

    def put(self, data: bytes) -> str:
        """Keep bytes; return their digest."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.path(digest)
        if not path.exists():
            staged = path.with_name(f".{digest}.{threading.get_ident()}")
            staged.write_bytes(data)
            staged.replace(path)
        return digest

    def read(self, sha256_hex: str) -> bytes:
        """The bytes of a digest."""
        return self.path(sha256_hex).read_bytes()


class Blobs:
    """Arguments and results over the inline limit."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self.url = ""
        self._store = store
        self._faults = faults
        self._word = secrets.token_hex(16)
        # blob id → the digest it was announced with; "" until it is there.
        self._announced: dict[str, str] = {}
        self._there: dict[str, str] = {}

    def table(self) -> Table:
        """What is served of them."""
        return {"BlobCreate": self._create, "BlobGet": self._get}

    def application(self) -> web.Application:
        """The HTTP side."""
        found = web.Application(client_max_size=BYTES_MAX)
        found.router.add_put(f"/{self._word}/blob/{{blob_id}}", self._put_blob)
        found.router.add_get(f"/{self._word}/blob/{{blob_id}}", self._get_blob)
        found.router.add_put(f"/{self._word}/block/{{sha256}}", self._put_block)
        found.router.add_get(f"/{self._word}/block/{{sha256}}", self._get_block)
        return found

    def block_url(self, sha256_hex: str) -> str:
        """Where a volume's block is fetched or put."""
        return f"{self.url}/{self._word}/block/{sha256_hex}"

    def keep(self, data: bytes) -> str:
        """Make a blob of a result."""
        blob_id = new_id("bl")
        self._there[blob_id] = self._store.put(data)
        return blob_id

    def data(self, blob_id: str) -> bytes:
        """A blob's bytes."""
        if blob_id not in self._there:
            raise failures.not_found(f"Blob {blob_id} not found")
        return self._store.read(self._there[blob_id])

    async def _create(
        self, request: api_pb2.BlobCreateRequest, _: Caller
    ) -> api_pb2.BlobCreateResponse:
        if not 0 < request.content_length <= BYTES_MAX:
            raise failures.invalid(f"a blob of {request.content_length} bytes")
        blob_id = new_id("bl")
        digest = base64.b64decode(request.content_sha256_base64).hex()
        self._store.path(digest)
        self._announced[blob_id] = digest
        url = f"{self.url}/{self._word}/blob/{blob_id}"
        return api_pb2.BlobCreateResponse(
            blob_ids=[blob_id], upload_urls=api_pb2.UploadUrlList(items=[url])
        )

    async def _get(self, request: api_pb2.BlobGetRequest, _: Caller) -> api_pb2.BlobGetResponse:
        if request.blob_id not in self._there:
            raise failures.not_found(f"Blob {request.blob_id} not found")
        url = f"{self.url}/{self._word}/blob/{request.blob_id}"
        return api_pb2.BlobGetResponse(download_url=url)

    async def _put_blob(self, request: web.Request) -> web.Response:
        blob_id = request.match_info["blob_id"]
        data = await request.read()
        if (refused := await self._faulty(request)) is not None:
            return refused
        if blob_id not in self._announced:
            return web.Response(status=404)
        if hashlib.sha256(data).hexdigest() != self._announced[blob_id]:
            return web.Response(status=400, text="not the bytes that were announced")
        self._there[blob_id] = await asyncio.to_thread(self._store.put, data)
        tag = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if self._faults.take("blob_wrong_etag"):
            tag = "0" * 32
        return web.Response(headers={"ETag": f'"{tag}"'})

    async def _get_blob(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, self._there.get(request.match_info["blob_id"], ""))

    async def _put_block(self, request: web.Request) -> web.Response:
        data = await request.read()
        if (refused := await self._faulty(request)) is not None:
            return refused
        if hashlib.sha256(data).hexdigest() != request.match_info["sha256"]:
            return web.Response(status=400, text="not the bytes of this digest")
        digest = await asyncio.to_thread(self._store.put, data)
        return web.Response(body=b"kept " + digest.encode())

    async def _get_block(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, request.match_info["sha256"])

    async def _faulty(self, request: web.Request) -> web.Response | None:
        """Fail a request, or let it wait as long as somebody waits for it, if that was ordered."""
        if fault := self._faults.take("blob_silent"):
            ends_at = time.monotonic() + fault.seconds
            while time.monotonic() < ends_at and request.transport is not None:
                await asyncio.sleep(SILENT_STEP_S)
        if self._faults.take("blob_503"):
            return web.Response(status=503, text="slow down, as ordered")
        return None

    async def _serve(self, request: web.Request, digest: str) -> web.StreamResponse:
        if (refused := await self._faulty(request)) is not None:
            return refused
        if not digest or not self._store.has(digest):
            return web.Response(status=404)
        path = self._store.path(digest)
        size = os.stat(path).st_size
        summary = base64.b64encode(bytes.fromhex(digest)).decode()
        answer = web.StreamResponse(headers={"Repr-Digest": f"sha-256=:{summary}:"})
        answer.content_length = size
        await answer.prepare(request)
        left = size // 2 if self._faults.take("blob_truncated") else size
        for piece in _pieces(path, left):
            await answer.write(piece)
        if left < size and request.transport is not None:
            request.transport.close()  # before the length that was promised
        return answer


def _pieces(path: Path, size: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while size > 0 and (piece := file.read(min(_PIECE, size))):
            size -= len(piece)
            yield piece
