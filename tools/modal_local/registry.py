"""Fetches an image by digest from a registry on loopback, over plain HTTP (OCI distribution).

Every byte is checked against the digest that asked for it, and lies in the state folder as an OCI
layout. An index is resolved to linux/amd64. No other host than loopback is ever asked.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
DOCUMENT_BYTES_MAX = 4 << 20
BLOB_BYTES_MAX = 4 << 30
PATIENCE_S = 60.0
_HOSTS = ("127.0.0.1", "localhost", "[::1]")
_REFERENCE = re.compile(
    r"(?P<host>[^/@]+?)(?P<port>:[0-9]{1,5})?/(?P<repository>[a-z0-9._/-]+)"
    r"@(?P<digest>sha256:[0-9a-f]{64})"
)
_PIECE = 1 << 20


class PullError(Exception):
    """An image that cannot be had as it was asked for."""


@dataclass(frozen=True)
class Pulled:
    """An image whose every blob is here and was checked.

    Attributes:
        digest: Of its manifest, after an index was resolved.
        config: Its configuration.
        layers: Path and media type of each layer, lowest first.
    """

    digest: str
    config: dict[str, Any]
    layers: list[tuple[Path, str]]


@dataclass(frozen=True)
class Login:
    """Name and password for a registry, or nothing."""

    user: str = ""
    password: str = ""

    def basic(self) -> str:
        """As a header says it."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


class Puller:
    """Pulls one reference into a layout.

    Raises:
        PullError: The reference is not of the one form that is taken.
    """

    def __init__(self, reference: str, folder: Path, login: Login) -> None:
        match = _REFERENCE.fullmatch(reference)
        if match is None:
            raise PullError(f"{reference}: not of the form host/repository@sha256:64 hex digits")
        if match["host"] not in _HOSTS:
            raise PullError(f"{match['host']}: is not loopback, and this plane asks nobody else")
        self._top = match["digest"]
        self._base = f"http://{match['host']}{match['port'] or ''}/v2/{match['repository']}"
        self._folder = folder
        self._login = login
        self._authorization = ""

    async def pull(self) -> Pulled:
        """Fetch what is not here yet."""
        timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as http:
                return await self._pull(http)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise PullError(f"{self._base}: {type(error).__name__}: {error}") from error

    async def _pull(self, http: aiohttp.ClientSession) -> Pulled:
        digest = self._top
        document = await self._document(http, digest)
        kind = document.get("mediaType", "")
        if kind in INDEXES or "manifests" in document:
            fitting = [each for each in document["manifests"] if _is_ours(each)]
            if len(fitting) != 1:
                raise PullError(f"{digest}: has {len(fitting)} images for linux/amd64")
            digest = fitting[0]["digest"]
            document = await self._document(http, digest)
            kind = document.get("mediaType", "")
        if kind not in (*MANIFESTS, "") or "layers" not in document:
            raise PullError(f"{digest}: is no image manifest but {kind!r}")
        for each in [document["config"], *document["layers"]]:
            await self._blob(http, each)
        config = json.loads(self._path(document["config"]["digest"]).read_bytes())
        if (config.get("os"), config.get("architecture")) != ("linux", "amd64"):
            raise PullError(f"{digest}: is not for linux/amd64")
        layers = [(self._path(each["digest"]), each["mediaType"]) for each in document["layers"]]
        self._describe(digest)
        return Pulled(digest, config, layers)

    def _describe(self, digest: str) -> None:
        """Make the folder an OCI layout with this image in its index."""
        (self._folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}\n')
        index = self._folder / "index.json"
        known = json.loads(index.read_text())["manifests"] if index.exists() else []
        if digest not in [each["digest"] for each in known]:
            size = self._path(digest).stat().st_size
            known.append({"mediaType": MANIFESTS[0], "digest": digest, "size": size})
        staged = index.with_suffix(".new")
        staged.write_text(json.dumps({"schemaVersion": 2, "manifests": known}))
        staged.replace(index)

    async def _document(self, http: aiohttp.ClientSession, digest: str) -> dict[str, Any]:
        path = self._path(digest)
        if not path.exists():
            await self._fetch(http, f"manifests/{digest}", digest, DOCUMENT_BYTES_MAX)
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise PullError(f"{digest}: is no manifest")
        return found

    async def _blob(self, http: aiohttp.ClientSession, descriptor: dict[str, Any]) -> None:
        digest, size = descriptor["digest"], descriptor["size"]
        if not 0 <= size <= BLOB_BYTES_MAX:
            raise PullError(f"{digest}: {size} bytes")
        if not self._path(digest).exists():
            await self._fetch(http, f"blobs/{digest}", digest, size)
        if self._path(digest).stat().st_size != size:
            raise PullError(f"{digest}: is not of the {size} bytes that its manifest names")

    async def _fetch(
        self, http: aiohttp.ClientSession, place: str, digest: str, limit: int
    ) -> None:
        async with await self._get(http, place) as answer:
            if answer.status != 200:
                raise PullError(f"{digest}: the registry answers {answer.status}")
            path = self._path(digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            staged = path.with_name(f".{path.name}.{id(answer)}")
            seen, size = hashlib.sha256(), 0
            with staged.open("wb") as file:
                async for piece in answer.content.iter_chunked(_PIECE):
                    seen.update(piece)
                    size += len(piece)
                    if size > limit:
                        break
                    await asyncio.to_thread(file.write, piece)
            found = f"sha256:{seen.hexdigest()}"
            if size > limit or found != digest:
                staged.unlink()
                raise PullError(f"{digest}: the registry sent other bytes, of {found}")
            staged.replace(path)

    async def _get(self, http: aiohttp.ClientSession, place: str) -> aiohttp.ClientResponse:
        headers = {"Accept": ", ".join((*MANIFESTS, *INDEXES))}
        if self._authorization:
            headers["Authorization"] = self._authorization
        url = f"{self._base}/{place}"
        answer = await http.get(url, headers=headers, allow_redirects=False)
        if answer.status != 401 or self._authorization or not self._login.user:
            return answer
        challenge = answer.headers.get("WWW-Authenticate", "")
        answer.release()
        self._authorization = await self._log_in(http, challenge)
        return await self._get(http, place)

    async def _log_in(self, http: aiohttp.ClientSession, challenge: str) -> str:
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic":
            return self._login.basic()
        fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = fields.pop("realm", "")
        match = re.match(r"http://(127\.0\.0\.1|localhost|\[::1\])[:/]", realm)
        if scheme.lower() != "bearer" or match is None:
            raise PullError(f"the registry wants to be asked for a token in way {scheme!r}")
        headers = {"Authorization": self._login.basic()}
        async with http.get(realm, params=fields, headers=headers, allow_redirects=False) as answer:
            if answer.status != 200:
                raise PullError(f"the registry refuses the user: {answer.status}")
            found = await answer.json(content_type=None)
        return f"Bearer {found.get('token') or found.get('access_token', '')}"

    def _path(self, digest: str) -> Path:
        if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            raise PullError(f"{digest!r}: is no SHA-256 digest")
        return self._folder / "blobs/sha256" / digest.removeprefix("sha256:")


def _is_ours(descriptor: dict[str, Any]) -> bool:
    platform = descriptor.get("platform", {})
    return (platform.get("os"), platform.get("architecture")) == ("linux", "amd64")
