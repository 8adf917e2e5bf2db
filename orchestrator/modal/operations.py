"""What is asked of Modal to run a processor: look up, send files, call, fetch files.

Runs in the process of ``calls`` alone. Whatever the SDK raises becomes a ``CallError``.
"""

from __future__ import annotations

import asyncio
import hashlib
import os

import modal
import modal.exception as sdk

from orchestrator.modal import failures
from orchestrator.modal.answers import CallError
from processors.protocol import remote, shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping
    from typing import Any

    type Answer = tuple[Json, bytes]
    type Handle = modal.Function[[bytes], bytes, bytes]
    type Perform = Callable[[str, dict[str, Json], modal.Client], Awaitable[Json]]
    type Sent = Callable[[], None]

SENDS_MAX = 64  # calls that are being sent at once; any number may be under way
FILES_MAX = 16  # files that are being fetched at once
TRANSFER_S_MAX = 600  # of looking up, and of all files of one call together, each way
CANCEL_S_MAX = 5.0


async def connect(environ: Mapping[str, str], others: Perform | None) -> Operations:
    """Open the one client.

    Args:
        environ: Has the token.
        others: Performs what is no part of a run, if anything does.
    """
    client = await modal.Client.from_credentials.aio(
        environ["MODAL_TOKEN_ID"], environ["MODAL_TOKEN_SECRET"]
    )
    return Operations(client, others)


class Operations:
    """The operations, over one client; what was looked up once is not looked up again."""

    def __init__(self, client: modal.Client, others: Perform | None) -> None:
        self._client = client
        self._others = others
        self._functions: dict[tuple[str, str], asyncio.Task[Handle]] = {}
        self._volumes: dict[str, asyncio.Task[modal.Volume]] = {}
        self._uploads: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._sending = asyncio.Semaphore(SENDS_MAX)
        self._fetching = asyncio.Semaphore(FILES_MAX)

    async def perform(
        self, name: str, document: dict[str, Json], held: list[bytes], sent: Sent
    ) -> Answer:
        """Perform one operation.

        Args:
            name: What to do.
            document: With which arguments.
            held: The body of the request, alone in a list.
            sent: To be called once the body has been sent.

        Raises:
            CallError: What kept it from being done.
        """
        if name == "call":
            return {}, await self._call(document, held, sent)
        own = {"lookup": self._lookup, "upload": self._send, "fetch": self._take}
        if name in own:
            try:
                async with asyncio.timeout(TRANSFER_S_MAX):
                    return await own[name](document), b""
            except TimeoutError as error:
                raise failures.of_call(error, name) from None
        assert self._others is not None
        return await self._others(name, document, self._client), b""

    async def _lookup(self, document: dict[str, Json]) -> Json:
        """Find an app's function, the app's tags, and, if they are named, its secrets."""
        app, environment = (shapes.text(document, key) for key in ("app", "environment"))
        what = f"{app} is not deployed in environment {environment}"
        try:
            await self._function(app, environment)
            found = await modal.App.lookup.aio(
                app, client=self._client, environment_name=environment
            )
            tags = await found.get_tags.aio(client=self._client)
        except sdk.Error as error:
            raise failures.of_lookup(error, what) from None
        if document["secret"] is not None:
            await self._check_secret(document, environment)
        return dict[str, Json](tags)

    async def _send(self, document: dict[str, Json]) -> Json:
        """Send files to the volume, each under its content id; one that was sent is not again."""
        environment = shapes.text(document, "environment")
        files = document["files"]
        assert isinstance(files, list)
        for item in files:
            cid = shapes.text(item, "cid")
            key = environment, cid
            if key not in self._uploads:
                self._uploads[key] = asyncio.create_task(
                    self._upload(environment, cid, shapes.text(item, "path"))
                )
        for item in files:
            key = environment, shapes.text(item, "cid")
            try:
                await asyncio.shield(self._uploads[key])
            except BaseException:
                self._uploads.pop(key, None)  # who comes next tries it anew
                raise
        return len(files)

    async def _take(self, document: dict[str, Json]) -> Json:
        """Fetch files from the volume into a folder; each must be what its content id says."""
        environment, tree = (shapes.text(document, key) for key in ("environment", "tree"))
        files = document["files"]
        assert isinstance(files, list)
        volume = await self._volume(environment)
        tasks = [asyncio.create_task(self._fetch(volume, tree, item)) for item in files]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return len(files)

    async def _function(self, app: str, environment: str) -> Handle:
        key = app, environment
        if key not in self._functions:
            self._functions[key] = asyncio.create_task(self._hydrated(app, environment))
        try:
            return await asyncio.shield(self._functions[key])
        except sdk.Error:
            self._functions.pop(key, None)  # it may be deployed by the next time
            raise

    async def _hydrated(self, app: str, environment: str) -> Handle:
        function = modal.Function.from_name(
            app, remote.FUNCTION, environment_name=environment, client=self._client
        )
        await function.hydrate.aio(self._client)
        return function

    async def _volume(self, environment: str) -> modal.Volume:
        if environment not in self._volumes:
            self._volumes[environment] = asyncio.create_task(self._hydrated_volume(environment))
        try:
            return await asyncio.shield(self._volumes[environment])
        except sdk.Error as error:
            self._volumes.pop(environment, None)
            what = f"the volume of environment {environment}"
            raise failures.of_lookup(error, what) from None

    async def _hydrated_volume(self, environment: str) -> modal.Volume:
        volume = modal.Volume.from_name(
            remote.VOLUME, environment_name=environment, client=self._client
        )
        await volume.hydrate.aio(self._client)
        return volume

    async def _check_secret(self, document: dict[str, Json], environment: str) -> None:
        name, keys = shapes.text(document, "secret"), document["keys"]
        assert isinstance(keys, list)
        secret = modal.Secret.from_name(
            name,
            environment_name=environment,
            required_keys=[str(key) for key in keys],
            client=self._client,
        )
        try:
            await secret.hydrate.aio(self._client)
        except (sdk.NotFoundError, sdk.InvalidError) as error:
            raise CallError(
                "ERR_MISSING_SECRET",
                "absent",
                f"environment {environment} has not all of {', '.join(map(str, keys))} for mode"
                f" real ({type(error).__name__}); run //:sync_modal_secrets, then deploy",
            ) from None
        except sdk.Error as error:
            raise failures.of_lookup(error, f"the secret {name}") from None

    async def _upload(self, environment: str, cid: str, path: str) -> None:
        volume = await self._volume(environment)
        try:
            async with self._fetching, volume.batch_upload.aio(force=True) as batch:
                batch.put_file(path, remote.place(cid))
        except Exception as error:  # noqa: BLE001 - the SDK's HTTP client has errors of its own
            raise failures.of_file(error, cid) from None

    async def _fetch(self, volume: modal.Volume, tree: str, item: Json) -> None:
        target = tree + shapes.text(item, "path")
        assert isinstance(item, dict)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if item["cid"] is None:
            os.symlink(os.devnull, target)  # it was no plain file, and is judged as none
            return
        cid, size_bytes = shapes.text(item, "cid"), shapes.count(item, "size_bytes")
        state, seen = hashlib.sha256(), 0
        try:
            async with self._fetching:
                with open(target, "xb", buffering=0) as file:
                    async for chunk in volume.read_file.aio(remote.place(cid)):
                        seen += len(chunk)
                        if seen > size_bytes:
                            break
                        state.update(chunk)
                        _write_all(file.fileno(), chunk)
        except Exception as error:  # noqa: BLE001 - the SDK's HTTP client has errors of its own
            raise failures.of_file(error, cid) from None
        if (seen, "sha256:" + state.hexdigest()) != (size_bytes, cid):
            raise CallError(
                "ERR_MODAL_INVOCATION", "file_lost", f"{cid} on the volume is another file"
            )

    async def _call(self, document: dict[str, Json], held: list[bytes], sent: Sent) -> bytes:
        """Call an app, and wait for its answer no longer than it is told to."""
        app, environment = (shapes.text(document, key) for key in ("app", "environment"))
        what = f"{app} in environment {environment}"
        try:
            function = await self._function(app, environment)
        except sdk.Error as error:
            raise failures.of_lookup(error, f"{what} is not deployed") from None
        try:
            async with self._sending:
                call = await _sent(function.spawn.aio(held[0]))
        except Exception as error:  # noqa: BLE001 - the SDK's HTTP client has errors of its own
            raise failures.of_call(error, what) from None
        sent()
        try:
            answer = await call.get.aio(timeout=shapes.count(document, "timeout_s"))
        except (asyncio.CancelledError, TimeoutError) as error:
            await _cancel(call)
            if isinstance(error, asyncio.CancelledError):
                raise
            raise failures.of_call(error, what) from None
        except Exception as error:  # noqa: BLE001 - a container may raise anything at its caller
            raise failures.of_call(error, what) from None
        if not isinstance(answer, bytes) or len(answer) > remote.REPLY_BYTES_MAX:
            kind = type(answer).__name__
            raise CallError(
                "ERR_MODAL_INVOCATION", "exchange_invalid", f"{what} answered {kind}, not a reply"
            )
        return answer


async def _sent(sending: Coroutine[Any, Any, modal.FunctionCall[Any]]) -> modal.FunctionCall[Any]:
    """Wait until a call is sent; one that is cancelled meanwhile is cancelled once it is there."""
    task = asyncio.create_task(sending)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None:
            await _cancel(task.result())
        raise


async def _cancel(call: modal.FunctionCall[Any]) -> None:
    """Cancel a call where it runs; giving up here alone would not stop it."""
    try:
        await asyncio.shield(asyncio.wait_for(_ignoring(call.cancel.aio()), CANCEL_S_MAX))
    except TimeoutError:
        pass  # the function's own time limit ends it then


async def _ignoring(awaitable: Awaitable[object]) -> None:
    try:
        await awaitable
    except sdk.Error:
        pass  # the function's own time limit ends it then


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
