"""What is asked of Modal to run a processor: look up, send files, call, fetch files.

Runs in the process of ``calls`` alone. Whatever the SDK raises becomes a ``CallError``.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from functools import partial

import modal
import modal.exception as sdk

from orchestrator.modal import failures
from orchestrator.modal.answers import CallError
from orchestrator.modal.once import Once
from processors.protocol import remote, shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
    from typing import Any

    type Answer = tuple[Json, bytes]
    type Handle = modal.Function[[bytes], bytes, bytes]
    type Perform = Callable[[str, dict[str, Json], modal.Client], Awaitable[Json]]
    type Sent = Callable[[], None]

SENDS_MAX = 64  # calls that are being sent at once; any number may be under way
FILES_MAX = 16  # files that are being fetched at once
CANCEL_S_MAX = 5.0
CONNECT_S_MAX = 20.0  # for the way to be open; the SDK itself tries for most of a minute


class Operations:
    """The operations, over one client; what was looked up once is not looked up again.

    The client is opened when something is asked of it. Where that fails, whoever waited for it is
    told, and who asks next tries anew.
    """

    _client: modal.Client  # from the first operation on that found it open

    def __init__(self, environ: Mapping[str, str], others: Perform | None) -> None:
        """Open nothing yet.

        Args:
            environ: Has the token.
            others: Performs what is no part of a run, if anything does.
        """
        self._environ = environ
        self._others = others
        self._clients: Once[str, modal.Client] = Once()
        self._functions: Once[tuple[str, str], Handle] = Once()
        self._volumes: Once[str, modal.Volume] = Once()
        self._uploads: Once[tuple[str, str], None] = Once()
        self._sending = asyncio.Semaphore(SENDS_MAX)
        self._fetching = asyncio.Semaphore(FILES_MAX)

    async def perform(
        self, name: str, document: dict[str, Json], held: list[bytes], sent: Sent
    ) -> Answer:
        """Perform one operation, within the time that the request gives it.

        The SDK itself sends again for most of ten minutes, waits for ever for bytes that do not
        come, and as long as it is told to slow down. So nothing is asked of it but in here.

        Args:
            name: What to do.
            document: With which arguments.
            held: The body of the request, alone in a list.
            sent: To be called once the body has been sent.

        Raises:
            CallError: What kept it from being done.
        """
        try:
            async with asyncio.timeout_at(shapes.count(document, "ends_at_ms") / 1000):
                await asyncio.sleep(0)  # what is late already ends here
                token_id = self._environ["MODAL_TOKEN_ID"]
                self._client = await self._clients.get(token_id, self._connect)
                return await self._perform(name, document, held, sent)
        except TimeoutError as error:
            what = f"{name} in environment {shapes.text(document, 'environment')}"
            raise failures.of_call(error, what) from None

    async def _connect(self) -> modal.Client:
        token = self._environ["MODAL_TOKEN_ID"], self._environ["MODAL_TOKEN_SECRET"]
        try:
            async with asyncio.timeout(CONNECT_S_MAX):
                return await modal.Client.from_credentials.aio(*token)
        except (sdk.Error, OSError) as error:  # the time that is up is one of the latter
            raise failures.of_lookup(error, "the way to Modal does not open") from None

    async def _perform(
        self, name: str, document: dict[str, Json], held: list[bytes], sent: Sent
    ) -> Answer:
        if name == "call":
            return {}, await self._call(document, held, sent)
        own = {"lookup": self._lookup, "upload": self._send, "fetch": self._take}
        if name in own:
            return await own[name](document), b""
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
        return await _all(
            self._uploads.get(
                (environment, shapes.text(item, "cid")),
                partial(
                    self._upload, environment, shapes.text(item, "cid"), shapes.text(item, "path")
                ),
            )
            for item in files
        )

    async def _take(self, document: dict[str, Json]) -> Json:
        """Fetch files from the volume into a folder; each must be what its content id says."""
        environment, tree = (shapes.text(document, key) for key in ("environment", "tree"))
        files = document["files"]
        assert isinstance(files, list)
        volume = await self._volume(environment)
        return await _all(self._fetch(volume, tree, item) for item in files)

    async def _function(self, app: str, environment: str) -> Handle:
        return await self._functions.get(
            (app, environment), partial(self._hydrated, app, environment)
        )

    async def _hydrated(self, app: str, environment: str) -> Handle:
        function = modal.Function.from_name(
            app, remote.FUNCTION, environment_name=environment, client=self._client
        )
        await function.hydrate.aio(self._client)
        return function

    async def _volume(self, environment: str) -> modal.Volume:
        try:
            return await self._volumes.get(environment, partial(self._hydrated_volume, environment))
        except sdk.Error as error:
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
        with _on_our_disk():
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if item["cid"] is None:
                os.symlink(os.devnull, target)  # it was no plain file, and is judged as none
                return
        cid, size_bytes = shapes.text(item, "cid"), shapes.count(item, "size_bytes")
        state, seen = hashlib.sha256(), 0
        try:
            async with self._fetching:
                with _on_our_disk():
                    file = open(target, "xb", buffering=0)  # noqa: SIM115 - as a block below
                with file:
                    async for chunk in volume.read_file.aio(remote.place(cid)):
                        seen += len(chunk)
                        if seen > size_bytes:
                            break
                        state.update(chunk)
                        with _on_our_disk():
                            _write_all(file.fileno(), chunk)
        except CallError:
            raise
        except Exception as error:  # noqa: BLE001 - the SDK's HTTP client has errors of its own
            raise failures.of_file(error, cid) from None
        if (seen, "sha256:" + state.hexdigest()) != (size_bytes, cid):
            raise CallError(
                "ERR_MODAL_INVOCATION", "file_lost", f"{cid} on the volume is another file"
            )

    async def _call(self, document: dict[str, Json], held: list[bytes], sent: Sent) -> bytes:
        """Call an app, and wait for its answer; who gives up has it cancelled."""
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
            answer = await call.get.aio()
        except BaseException as error:  # a container may raise anything at its caller
            await _cancel(call)  # it may be that only the way to it has failed
            if not isinstance(error, Exception):
                raise
            raise failures.of_call(error, what) from None
        if not isinstance(answer, bytes) or len(answer) > remote.REPLY_BYTES_MAX:
            kind = type(answer).__name__
            raise CallError(
                "ERR_MODAL_INVOCATION", "exchange_invalid", f"{what} answered {kind}, not a reply"
            )
        return answer


async def _all(works: Iterable[Coroutine[Any, Any, object]]) -> int:
    """Do all side by side, or end with the first that fails; how many there were."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
    return len(tasks)


async def _sent(sending: Coroutine[Any, Any, modal.FunctionCall[Any]]) -> modal.FunctionCall[Any]:
    """Wait until a call is sent; one that is cancelled meanwhile is cancelled once it is there."""
    task = asyncio.create_task(sending)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=CANCEL_S_MAX)
        if not task.cancel() and not task.cancelled() and task.exception() is None:
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
    except (sdk.Error, OSError):
        pass  # the function's own time limit ends it then


@contextlib.contextmanager
def _on_our_disk() -> Iterator[None]:
    """A block that writes what an app has reported; what fails there is no failure of the call."""
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        raise CallError(
            "ERR_MODAL_INVOCATION", "exchange_invalid", "a file is reported in another's place"
        ) from None
    except OSError as error:
        raise CallError(
            "ERR_INPUTS", "world_unwritable", f"what was fetched: {error.strerror}"
        ) from None


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
