"""A loopback server that speaks the chat completions protocol, and fails when it is told to.

By itself it behaves as a provider does: it wants ``POST /v1/chat/completions``, the right key and a
well-formed body, and answers. A script replaces that, request by request, with behaviours such as
``status(429)`` or ``trickled_body()``; when the script is over, the server behaves again. Every
request is recorded before it is answered.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = "sk-simulated-0123456789"
PATH = "/v1/chat/completions"
CONTENT = "Bonjour."
PROMPT_TOKENS = 12
COMPLETION_TOKENS = 3
ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
JSON_TYPE = "application/json"
STOP_S = 10.0  # how long a stopping server waits for its threads

type Behaviour = Callable[[Exchange], None]


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One request as it arrived. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    at: float  # when it arrived, on the monotonic clock

    @property
    def key(self) -> str | None:
        """The bearer token, or None if there is none."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme == "Bearer" else None

    @property
    def document(self) -> dict[str, Any]:
        """The body, which must be a JSON object."""
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise TypeError("the body is not a JSON object")
        return value


class Exchange:
    """A request that waits for its response; behaviours write to it."""

    def __init__(self, handler: BaseHTTPRequestHandler, request: Recorded, server: Server) -> None:
        self.request = request
        self.server = server
        self._handler = handler

    def respond(
        self,
        code: int,
        body: bytes,
        *,
        content_type: str = JSON_TYPE,
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        """Write a whole response; a ``length`` other than the body's is a lie about it."""
        fields = {"Content-Type": content_type, **(headers or {})}
        fields["Content-Length"] = str(len(body) if length is None else length)
        self.start(code, fields)
        self.send(body)

    def start(self, code: int, headers: dict[str, str]) -> None:
        """Write status line and headers; the connection ends with the response."""
        lines = [f"HTTP/1.1 {code} Simulated", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1"))

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._handler.wfile.write(data)

    def pause(self, seconds: float) -> bool:
        """Wait; False as soon as the server stops."""
        return not self.server.stopping.wait(seconds)

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        linger_zero = struct.pack("ii", 1, 0)
        self._handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        # The handler's two files hold the socket open as well.
        self._handler.wfile.close()
        self._handler.rfile.close()
        self._handler.connection.close()


class Server:
    """The server, listening on a free port of the loopback interface while the context lasts."""

    def __init__(self, *, key: str = KEY) -> None:
        self.key = key
        self.requests: list[Recorded] = []
        self.stopping = threading.Event()
        self._script: deque[Behaviour] = deque()
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", 0), _handler_of(self))
        # A short interval, because stopping waits for one.
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._thread.join(STOP_S)
        self._http.server_close()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._http.server_address[1]

    @property
    def base_url(self) -> str:
        """What a client calls the base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, *behaviours: Behaviour) -> None:
        """Behave like this, one behaviour a request, before behaving well again."""
        with self._lock:
            self._script.extend(behaviours)

    def answer(self, exchange: Exchange) -> None:
        """Record a request and answer it."""
        with self._lock:
            self.requests.append(exchange.request)
            behaviour = self._script.popleft() if self._script else provider()
        behaviour(exchange)


def provider() -> Behaviour:
    """Judge the request as a provider does, then answer it."""

    def behave(exchange: Exchange) -> None:
        request = exchange.request
        if request.path != PATH:
            status(404)(exchange)
        elif request.method != "POST":
            status(405)(exchange)
        elif request.key != exchange.server.key:
            status(401, code="invalid_api_key")(exchange)
        elif not _well_formed(request):
            status(400, code="invalid_request")(exchange)
        else:
            ok()(exchange)

    return behave


def ok(content: str | None = CONTENT, **changes: object) -> Behaviour:
    """Answer with a completion; ``changes`` replace members of the document, None removes one."""

    def behave(exchange: Exchange) -> None:
        model = exchange.request.document.get("model")
        document = completion(content, model=model) | changes
        kept = {name: value for name, value in document.items() if value is not None}
        exchange.respond(200, json.dumps(kept).encode())

    return behave


def status(
    number: int, *, retry_after: str | None = None, code: str | None = None, message: str = ""
) -> Behaviour:
    """Answer with an error status in the provider's form; ``code`` is its word for the cause."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    document = {"error": {"message": message, "type": "simulated", "param": None, "code": code}}

    def behave(exchange: Exchange) -> None:
        exchange.respond(number, json.dumps(document).encode(), headers=headers)

    return behave


def body(
    data: bytes,
    *,
    code: int = 200,
    content_type: str = JSON_TYPE,
    encoding: str | None = None,
    length: int | None = None,
) -> Behaviour:
    """Answer with these bytes: broken JSON, another type, or fewer of them than announced."""
    headers = {} if encoding is None else {"Content-Encoding": encoding}

    def behave(exchange: Exchange) -> None:
        exchange.respond(code, data, content_type=content_type, headers=headers, length=length)

    return behave


def redirect(location: str, *, code: int = 307) -> Behaviour:
    """Send the client elsewhere."""

    def behave(exchange: Exchange) -> None:
        exchange.respond(code, b"", headers={"Location": location})

    return behave


def silence(seconds: float) -> Behaviour:
    """Say nothing for a while, then hang up."""

    def behave(exchange: Exchange) -> None:
        exchange.pause(seconds)
        exchange.reset()

    return behave


def late(seconds: float) -> Behaviour:
    """Answer well, but late."""

    def behave(exchange: Exchange) -> None:
        if exchange.pause(seconds):
            ok()(exchange)

    return behave


def trickled_headers(every_s: float = 0.05) -> Behaviour:
    """Send one byte of an endless header now and then."""

    def behave(exchange: Exchange) -> None:
        exchange.send(b"HTTP/1.1 200 Simulated\r\nX-Trickle: ")
        while exchange.pause(every_s):
            exchange.send(b".")

    return behave


def trickled_body(every_s: float = 0.05) -> Behaviour:
    """Send one byte of an endless body now and then."""

    def behave(exchange: Exchange) -> None:
        exchange.start(200, {"Content-Type": JSON_TYPE, "Content-Length": "1000000"})
        while exchange.pause(every_s):
            exchange.send(b" ")

    return behave


def endless_body(*, code: int = 200) -> Behaviour:
    """Send spaces as fast as the client takes them, without an announced length."""

    def behave(exchange: Exchange) -> None:
        exchange.start(code, {"Content-Type": JSON_TYPE})
        while not exchange.server.stopping.is_set():
            exchange.send(b" " * 65_536)

    return behave


def reset() -> Behaviour:
    """Break the connection instead of answering."""
    return Exchange.reset


def completion(content: str | None = CONTENT, *, model: object = "test-model") -> dict[str, Any]:
    """The document of a good answer."""
    return {
        "id": "chatcmpl-simulated",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": model,
        "choices": [choice(content)],
        "usage": {
            "prompt_tokens": PROMPT_TOKENS,
            "completion_tokens": COMPLETION_TOKENS,
            "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        },
    }


def choice(
    content: str | None = CONTENT, *, finish_reason: str | None = "stop", **message: object
) -> dict[str, Any]:
    """One choice; ``message`` adds to its message."""
    return {
        "index": 0,
        "finish_reason": finish_reason,
        "logprobs": None,
        "message": {"role": "assistant", "content": content, "refusal": None, **message},
    }


def _well_formed(request: Recorded) -> bool:
    try:
        document = request.document
    except (ValueError, TypeError):
        return False
    messages = document.get("messages")
    return (
        isinstance(document.get("model"), str)
        and isinstance(messages, list)
        and messages != []
        and all(_is_message(message) for message in messages)
    )


def _is_message(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.get("role") in ROLES
        and isinstance(value.get("content"), str)
    )


class _Http(ThreadingHTTPServer):
    """Threads of a request end with their pauses, so stopping can wait for them."""

    daemon_threads = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay quiet: a client that hangs up is what many tests are about."""


def _handler_of(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 30  # a client that says nothing must not keep a thread for ever

        def do_POST(self) -> None:
            self._handle()

        def do_GET(self) -> None:
            self._handle()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Stay quiet."""

        def _handle(self) -> None:
            size = int(self.headers.get("content-length", "0"))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Recorded(
                method=self.command,
                path=self.path,
                headers=headers,
                body=self.rfile.read(size),
                at=time.monotonic(),
            )
            server.answer(Exchange(self, request, server))

    return Handler
