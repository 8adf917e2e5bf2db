"""Images: a reference by digest, fetched, checked and unpacked once, and an entrypoint over it.

Two forms are taken: ``FROM host/repository@sha256:…`` and, over an image of ours, ``FROM base``
with ``ENTRYPOINT [...]``. Everything else that a Dockerfile can say fails the build, by name. A
container starts with the image's entrypoint before its command, as on the real service.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from modal_proto import api_pb2

from tools.modal_local import failures, layers, registry
from tools.modal_local.secrets import Secrets
from tools.modal_local.session import Caller, Table, new_id

SUCCESS = api_pb2.GenericResult.GENERIC_STATUS_SUCCESS
FAILURE = api_pb2.GenericResult.GENERIC_STATUS_FAILURE
# Parts of an image's definition that change nothing here, or that are read below.
_READ = frozenset(
    {"arch", "base_images", "dockerfile_commands", "image_registry_config", "runtime", "version"}
)


@dataclass(frozen=True)
class Root:
    """What a container starts from.

    Attributes:
        folder: The unpacked file system.
        digest: Of the manifest.
        env: The image's environment.
        entrypoint: What goes before a container's command.
        workdir: Where it starts.
    """

    folder: Path
    digest: str
    env: dict[str, str]
    entrypoint: tuple[str, ...]
    workdir: str


@dataclass
class Image:
    """One definition: being built, built, or failed."""

    image_id: str
    version: str
    done: asyncio.Event = field(default_factory=asyncio.Event)
    root: Root | None = None
    problem: str = ""


class BuildError(Exception):
    """An image that cannot be built, with the reason for the caller."""


class Images:
    """All images."""

    def __init__(self, secrets: Secrets, folder: Path) -> None:
        self.folder = folder
        self._secrets = secrets
        self._all: dict[str, Image] = {}
        self._by_definition: dict[str, str] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._builds: set[asyncio.Task[None]] = set()

    def table(self) -> Table:
        """What is served of them."""
        return {"ImageGetOrCreate": self._get_or_create, "ImageJoinStreaming": self._join}

    def get(self, image_id: str) -> Root:
        """What an image that was built unpacked to."""
        if image_id not in self._all:
            raise failures.not_found(f"Image {image_id} not found")
        root = self._all[image_id].root
        if root is None:
            raise failures.conflict(f"Image {image_id} is not built")
        return root

    async def close(self) -> None:
        """End the builds that still run."""
        for task in list(self._builds):
            task.cancel()
        await asyncio.gather(*self._builds, return_exceptions=True)

    async def _get_or_create(
        self, request: api_pb2.ImageGetOrCreateRequest, _: Caller
    ) -> api_pb2.ImageGetOrCreateResponse:
        definition = request.image.SerializeToString(deterministic=True)
        key = hashlib.sha256(definition).hexdigest() + request.builder_version
        image = self._all.get(self._by_definition.get(key, ""))
        # A failure is not kept: what was missing may be there now.
        if image is None or image.problem or request.force_build:
            image = Image(new_id("im"), request.builder_version)
            self._all[image.image_id] = image
            self._by_definition[key] = image.image_id
            task = asyncio.create_task(self._build(image, request.image))
            self._builds.add(task)
            task.add_done_callback(self._builds.discard)
        answer = api_pb2.ImageGetOrCreateResponse(image_id=image.image_id)
        if image.done.is_set():
            answer.result.CopyFrom(_result(image))
            answer.metadata.CopyFrom(_metadata(image))
        return answer

    async def _join(
        self, request: api_pb2.ImageJoinStreamingRequest, _: Caller
    ) -> AsyncIterator[api_pb2.ImageJoinStreamingResponse]:
        if request.image_id not in self._all:
            raise failures.not_found(f"Image {request.image_id} not found")
        image = self._all[request.image_id]
        try:
            async with asyncio.timeout(request.timeout or None):
                await image.done.wait()
        except TimeoutError:
            return
        yield api_pb2.ImageJoinStreamingResponse(
            result=_result(image), metadata=_metadata(image), eof=True
        )

    async def _build(self, image: Image, definition: api_pb2.Image) -> None:
        try:
            image.root = await self._root(definition)
        except (BuildError, registry.PullError, layers.UnpackError) as error:
            image.problem = str(error)
        except Exception as error:  # noqa: BLE001 - the caller waits for an answer
            image.problem = f"{type(error).__name__}: {error}"
        finally:
            image.done.set()

    async def _root(self, definition: api_pb2.Image) -> Root:
        for name, _ in failures.said(definition):
            if name not in _READ:
                raise BuildError(f"{name}: is not emulated in an image")
        match [line.strip() for line in definition.dockerfile_commands]:
            case [first] if first.startswith("FROM ") and not definition.base_images:
                login = self._login(definition.image_registry_config)
                return await self._pulled(first.removeprefix("FROM ").strip(), login)
            case ["FROM base", second] if second.startswith("ENTRYPOINT "):
                [base] = definition.base_images
                words = json.loads(second.removeprefix("ENTRYPOINT "))
                if not isinstance(words, list) or not all(isinstance(w, str) for w in words):
                    raise BuildError("ENTRYPOINT wants a list of strings")
                return replace(self.get(base.image_id), entrypoint=tuple(words))
            case lines:
                raise BuildError(f"{lines}: not a way to make an image that is emulated")

    def _login(self, config: api_pb2.ImageRegistryConfig) -> registry.Login:
        if not config.secret_id:
            return registry.Login()
        if config.registry_auth_type != api_pb2.REGISTRY_AUTH_TYPE_STATIC_CREDS:
            raise BuildError("a registry that wants another login than name and password")
        values = self._secrets.values([config.secret_id])
        try:
            return registry.Login(values["REGISTRY_USERNAME"], values["REGISTRY_PASSWORD"])
        except KeyError as error:
            raise BuildError(f"the registry's secret lacks {error}") from error

    async def _pulled(self, reference: str, login: registry.Login) -> Root:
        digest = reference.rpartition("@")[2]
        # Two functions with one digest ask at once; the second waits and finds it done.
        async with self._locks.setdefault(digest, asyncio.Lock()):
            puller = registry.Puller(reference, self.folder / "layout", login)
            pulled = await puller.pull()
            name = pulled.digest.removeprefix("sha256:")
            folder = self.folder / "roots" / name
            if not folder.exists():
                staged = folder.with_name(f".{name}.{digest[-8:]}")
                shutil.rmtree(staged, ignore_errors=True)
                staged.parent.mkdir(parents=True, exist_ok=True)
                await asyncio.to_thread(layers.unpack, pulled.layers, pulled.config, staged)
                staged.rename(folder)
        config = pulled.config.get("config", {})
        return Root(
            folder=folder,
            digest=pulled.digest,
            env=dict(pair.split("=", 1) for pair in config.get("Env") or []),
            entrypoint=tuple(config.get("Entrypoint") or ()),
            workdir=config.get("WorkingDir") or "/",
        )


def _result(image: Image) -> api_pb2.GenericResult:
    if image.problem:
        return api_pb2.GenericResult(status=FAILURE, exception=image.problem)
    return api_pb2.GenericResult(status=SUCCESS)


def _metadata(image: Image) -> api_pb2.ImageMetadata:
    found = api_pb2.ImageMetadata(image_builder_version=image.version)
    if image.root is not None:
        found.workdir = image.root.workdir
    return found
