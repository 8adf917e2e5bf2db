"""What every request passes: who asks, which client it is, faults, and the key of a repeat.

The SDK repeats a request up to three times under one ``x-idempotency-key``; a repeat gets the
answer of the first, even if that one was lost on the way, and nothing is done twice. Only the calls
that wait for something are done anew, since nothing happens in them.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import string
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass

import modal_version
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpclib.const import Cardinality, Handler
from grpclib.server import Stream
from modal_proto import api_pb2

from tools.modal_local import failures
from tools.modal_local.faults import Faults

WHEEL: str = modal_version.__version__
SERVICE = api_pb2.DESCRIPTOR.services_by_name["ModalClient"]
# They wait, and an abandoned one must end with its stream, or it would take what it waits for.
WAITING = frozenset(
    {"AttemptAwait", "ContainerHeartbeat", "FunctionGetInputs", "FunctionGetOutputs"}
)
KEEP_S = 60.0  # The SDK repeats within two seconds.
TRANSCRIPT_MAX = 100_000
_ALPHABET = string.ascii_letters + string.digits
_SIZE = 22  # of the part after the dash, as the SDK expects


@dataclass(frozen=True)
class Caller:
    """Who sent a request.

    Attributes:
        task_id: Of the container on whose socket it came, or empty for a client.
        metadata: The request's headers.
    """

    task_id: str
    metadata: Mapping[str, str]


type Unary = Callable[[Message, Caller], Awaitable[Message]]
type Streaming = Callable[[Message, Caller], AsyncIterator[Message]]
# A handler takes its own message type; the table by name is what holds the two together.
type Table = dict[str, Callable[..., object]]


def new_id(prefix: str) -> str:
    """An object's id, in the form that the SDK takes for one."""
    return f"{prefix}-" + "".join(secrets.choice(_ALPHABET) for _ in range(_SIZE))


@dataclass(frozen=True)
class Credentials:
    """The token that clients must show, or none: then any that is not empty."""

    token_id: str = ""
    token_secret: str = ""

    def check(self, metadata: Mapping[str, str]) -> None:
        """Refuse a caller without them, and one with a client of another version."""
        version = metadata.get("x-modal-client-version", "")
        if version != WHEEL:
            raise failures.conflict(f"client version {version!r}; this plane is for {WHEEL}")
        given = (
            metadata.get("x-modal-token-id", ""),
            metadata.get("x-modal-token-secret", ""),
        )
        if not all(given):
            raise failures.unauthenticated("no token")
        for have, want in zip(given, (self.token_id, self.token_secret), strict=True):
            if want and not hmac.compare_digest(have.encode(), want.encode()):
                raise failures.unauthenticated("token is not known here")


class Session:
    """Takes requests to their handlers.

    Attributes:
        transcript: The names of what clients asked, in the order of arrival.
    """

    def __init__(self, credentials: Credentials, faults: Faults) -> None:
        self.transcript: deque[str] = deque(maxlen=TRANSCRIPT_MAX)
        self._credentials = credentials
        self._faults = faults
        self._handlers: Table = {}
        self._answers: OrderedDict[str, tuple[float, asyncio.Task[Message]]] = OrderedDict()

    def add(self, table: Table) -> None:
        """Serve these; each must be a method of the wheel's service."""
        for name, handler in table.items():
            if name not in SERVICE.methods_by_name:
                raise KeyError(f"{name} is not in modal {WHEEL}")
            self._handlers[name] = handler

    @property
    def names(self) -> list[str]:
        """What is emulated."""
        return sorted(self._handlers)

    def endpoint(self, task_id: str = "", only: frozenset[str] | None = None) -> Endpoint:
        """What a server serves: to clients, or to one container, which may ask less."""
        return Endpoint(self, task_id, only)

    async def unary(self, name: str, request: Message, caller: Caller) -> Message:
        """Answer one request."""
        handler: Callable[..., Awaitable[Message]] = self._handlers[name]  # type: ignore[assignment]
        if caller.task_id:
            return await handler(request, caller)
        self._faults.before(name)
        if name in WAITING:
            answer = await handler(request, caller)
        else:
            answer = await asyncio.shield(self._once(name, handler, request, caller))
        self._faults.after(name)
        return answer

    def stream(self, name: str, request: Message, caller: Caller) -> AsyncIterator[Message]:
        """Answer one request with several messages."""
        self._faults.before(name)
        handler: Streaming = self._handlers[name]  # type: ignore[assignment]
        return handler(request, caller)

    def admit(self, name: str, caller: Caller, only: frozenset[str] | None) -> None:
        """Refuse what may not be asked, before any of it happens."""
        if caller.task_id:
            if only is None or name not in only:
                raise failures.unimplemented(f"{name} from a container")
        else:
            self.transcript.append(name)
            self._credentials.check(caller.metadata)
            if name in CONTAINER_ONLY:
                raise failures.unimplemented(f"{name} from outside a container")
        if name not in self._handlers:
            raise failures.unimplemented(name)

    async def close(self) -> None:
        """End what is still at work."""
        tasks = [task for _, task in self._answers.values() if not task.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _once(
        self, name: str, handler: Unary, request: Message, caller: Caller
    ) -> asyncio.Task[Message]:
        now = time.monotonic()
        while self._answers and next(iter(self._answers.values()))[0] < now - KEEP_S:
            self._answers.popitem(last=False)
        key = caller.metadata.get("x-idempotency-key", "")
        if not key:
            return asyncio.ensure_future(handler(request, caller))
        known = self._answers.get(f"{name} {key}")
        if known is not None:
            return known[1]
        task: asyncio.Task[Message] = asyncio.ensure_future(handler(request, caller))
        self._answers[f"{name} {key}"] = (now, task)
        return task


# What a container may ask on its own socket, and nobody else.
CONTAINER_ONLY = frozenset(
    {
        "ContainerHeartbeat",
        "ContainerHello",
        "FunctionGetInputs",
        "FunctionPutOutputs",
        "TaskResult",
        "VolumeCommit",
        "VolumeReload",
    }
)

# What a container may ask for: that, and which volume has a name.
FROM_CONTAINER = CONTAINER_ONLY | {"VolumeGetOrCreate"}


class Endpoint:
    """The service as grpclib wants it: every method of the wheel, emulated or refused by name."""

    def __init__(self, session: Session, task_id: str, only: frozenset[str] | None) -> None:
        self._session = session
        self._task_id = task_id
        self._only = only

    def __mapping__(self) -> dict[str, Handler]:
        """A handler for each path."""
        return {
            f"/{SERVICE.full_name}/{method.name}": Handler(
                self._handler(method.name, is_stream=method.server_streaming),
                Cardinality.UNARY_STREAM if method.server_streaming else Cardinality.UNARY_UNARY,
                GetMessageClass(method.input_type),
                GetMessageClass(method.output_type),
            )
            for method in SERVICE.methods
        }

    def _handler(
        self, name: str, *, is_stream: bool
    ) -> Callable[[Stream[Message, Message]], Awaitable[None]]:
        async def handle(stream: Stream[Message, Message]) -> None:
            request = await stream.recv_message()
            if request is None:
                return
            metadata = {str(k): str(v) for k, v in (stream.metadata or {}).items()}
            caller = Caller(self._task_id, metadata)
            self._session.admit(name, caller, self._only)
            if not is_stream:
                await stream.send_message(await self._session.unary(name, request, caller))
                return
            async for message in self._session.stream(name, request, caller):
                await stream.send_message(message)

        return handle
