"""A container registry on loopback that fails when it is told to.

The registry itself is a real one, ``crane registry serve``, in a process of its own. In front of it
stands this proxy, which records what passes and by itself changes nothing. ``tell`` gives it a
behaviour for the next requests that match; ``require`` makes it want credentials, Basic or Bearer.
"""

from __future__ import annotations

import base64
import http.client
import re
import socket
import struct
import subprocess
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

USER = "robot"
PASSWORD = "hunter2-simulated-9d1f"  # noqa: S105 - of the simulator alone
TOKEN = "token-simulated-77c3"  # noqa: S105 - likewise
MANIFESTS = r"/v2/.+/manifests/"
BLOBS = r"/v2/.+/blobs/sha256:"
UPLOADS = r"/v2/.+/blobs/uploads/"
ELSEWHERE = "/elsewhere/"
STOP_S = 10.0
_HOP = ("connection", "transfer-encoding", "content-length", "date", "server", "host")

type Behaviour = Callable[[Exchange], None]


@dataclass(frozen=True)
class Recorded:
    """One request: what was asked, how it was answered, and how many bytes its body had."""

    method: str
    path: str
    headers: dict[str, str]
    status: int
    size_bytes: int


@dataclass
class Told:
    """A behaviour, which requests it is for, and how many of them are still to come."""

    behaviour: Behaviour
    method: str
    path: str
    times: int


class Exchange:
    """A request that waits for its response."""

    def __init__(self, handler: BaseHTTPRequestHandler, server: Server) -> None:
        self.handler = handler
        self.server = server
        self.method = handler.command
        self.path = handler.path
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        self.status = 0
        self.body = b""
        self.recorded = False

    def read(self, limit: int | None = None) -> bytes:
        """The request's body, or its first bytes."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            while size := int(self.handler.rfile.readline(), 16):
                self.body += self.handler.rfile.read(size)
                self.handler.rfile.readline()
                if limit is not None and len(self.body) >= limit:
                    return self.body
            self.handler.rfile.readline()
        else:
            length = int(self.headers.get("content-length", "0"))
            self.body = self.handler.rfile.read(length if limit is None else min(limit, length))
        return self.body

    def respond(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> None:
        """Write a whole response; the connection ends with it.

        It is recorded first: who has read the answer finds the record.
        """
        self.status = status
        self.server.record(self)
        fields = {"Content-Length": str(len(body)), **(headers or {}), "Connection": "close"}
        lines = [f"HTTP/1.1 {status} Simulated"]
        lines += [f"{name}: {value}" for name, value in fields.items()]
        head = "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")
        self.handler.wfile.write(head + (b"" if self.method == "HEAD" else body))

    def forward(self, path: str | None = None) -> tuple[int, dict[str, str], bytes]:
        """Ask the registry itself."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.backend_port, timeout=30)
        try:
            kept = {name: value for name, value in self.headers.items() if name not in _HOP}
            kept["Host"] = f"127.0.0.1:{self.server.port}"
            connection.request(self.method, path or self.path, self.read(), kept)
            reply = connection.getresponse()
            fields = {k: v for k, v in reply.getheaders() if k.lower() not in _HOP}
            if self.method == "HEAD" and (length := reply.getheader("Content-Length")):
                fields["Content-Length"] = length
            return reply.status, fields, reply.read()
        finally:
            connection.close()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        linger_zero = struct.pack("ii", 1, 0)
        self.handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
        self.handler.wfile.close()
        self.handler.rfile.close()
        self.handler.connection.close()


class Server:
    """The registry with its proxy, while the context lasts.

    Attributes:
        requests: What has passed, in the order of the answers.
        dead: Whether it answers nobody any more.
    """

    def __init__(self, crane: Path) -> None:
        self.requests: list[Recorded] = []
        self.dead = False
        self.stopping = threading.Event()
        self.backend_port = 0
        self._crane = crane
        self._told: list[Told] = []
        self._scheme = ""
        self._lock = threading.RLock()
        self._passed = threading.Condition(self._lock)
        self._http = _Http(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))

    def __enter__(self) -> Self:
        self._backend = subprocess.Popen(
            [self._crane, "registry", "serve", "--address", "127.0.0.1:0"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin"},
        )
        assert self._backend.stderr is not None
        first = self._backend.stderr.readline()
        self.backend_port = int(first.rpartition(b" ")[2])
        # Its log must be read, or it would wait for room in the pipe.
        self._drain = threading.Thread(target=self._backend.stderr.read)
        self._drain.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._thread.join(STOP_S)
        self._http.server_close()
        self._backend.kill()
        self._backend.wait()
        self._drain.join(STOP_S)
        assert self._backend.stderr is not None
        self._backend.stderr.close()

    @property
    def port(self) -> int:
        """The proxy's port."""
        return int(self._http.server_address[1])

    @property
    def host(self) -> str:
        """What a client calls the registry."""
        return f"127.0.0.1:{self.port}"

    def tell(
        self, behaviour: Behaviour, *, method: str = "", path: str = "", times: int = 1
    ) -> None:
        """Behave like this for so many requests of a method whose path starts with a pattern."""
        with self._lock:
            self._told.append(Told(behaviour, method, path, times))

    def require(self, scheme: str) -> None:
        """Want credentials for everything: ``Basic`` or ``Bearer``."""
        self._scheme = scheme

    def revive(self) -> None:
        """Answer again after a death, and do nothing special any more."""
        with self._lock:
            self._told.clear()
            self.dead = False

    def sent(self, method: str = "", path: str = "") -> list[Recorded]:
        """The requests so far of a method whose path starts with a pattern."""
        with self._lock:
            return [
                each
                for each in self.requests
                if method in ("", each.method) and re.match(path, each.path)
            ]

    def ask(self, path: str, method: str = "GET", body: bytes = b"", kind: str = "") -> bytes:
        """What the registry itself answers; ``kind`` is the body's media type."""
        connection = http.client.HTTPConnection("127.0.0.1", self.backend_port, timeout=STOP_S)
        try:
            connection.request(method, path, body, {"Content-Type": kind} if kind else {})
            reply = connection.getresponse()
            assert reply.status // 100 == 2, (path, reply.status)
            return reply.read()
        finally:
            connection.close()

    def wait_for(self, happened: Callable[[], object]) -> None:
        """Wait until something has happened that a request makes happen."""
        with self._passed:
            assert self._passed.wait_for(happened, STOP_S)

    def answer(self, exchange: Exchange) -> None:
        """Answer one request and record it."""
        if self.dead:
            exchange.reset()
            return
        behaviour = self._behaviour(exchange)
        try:
            behaviour(exchange)
        finally:
            self.record(exchange)  # some are never answered

    def record(self, exchange: Exchange) -> None:
        """Write a request down, once."""
        with self._lock:
            if exchange.recorded:
                return
            exchange.recorded = True
            self.requests.append(
                Recorded(
                    exchange.method,
                    exchange.path,
                    exchange.headers,
                    exchange.status,
                    len(exchange.body),
                )
            )
            self._passed.notify_all()

    def _behaviour(self, exchange: Exchange) -> Behaviour:
        if exchange.path.startswith("/token"):
            return _token
        if exchange.path.startswith(ELSEWHERE):
            return _elsewhere
        if self._scheme and not self._is_allowed(exchange):
            return self._challenge
        with self._lock:
            for told in self._told:
                fits = told.method in ("", exchange.method) and re.match(told.path, exchange.path)
                if fits and told.times > 0:
                    told.times -= 1
                    return told.behaviour
        return honest

    def _is_allowed(self, exchange: Exchange) -> bool:
        given = exchange.headers.get("authorization", "")
        return given == (basic() if self._scheme == "Basic" else f"Bearer {TOKEN}")

    def _challenge(self, exchange: Exchange) -> None:
        exchange.read()
        realm = '"simulated"' if self._scheme == "Basic" else f'"http://{self.host}/token"'
        field = f"{self._scheme} realm={realm}"
        if self._scheme == "Bearer":
            field += ',service="simulated"'
        body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
        exchange.respond(401, body, {"WWW-Authenticate": field})


def basic(user: str = USER, password: str = PASSWORD) -> str:
    """The Authorization header of a user."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def honest(exchange: Exchange) -> None:
    """Pass the request on, and the answer back."""
    status, headers, body = exchange.forward()
    exchange.respond(status, body, headers)


def status(number: int, code: str = "SIMULATED", **headers: str) -> Behaviour:
    """Answer with an error; an underscore in a header's name stands for a dash."""

    def behave(exchange: Exchange) -> None:
        exchange.read()
        body = f'{{"errors":[{{"code":"{code}","message":"as told"}}]}}'.encode()
        exchange.respond(number, body, {k.replace("_", "-"): v for k, v in headers.items()})

    return behave


def throttled(retry_after: str | None) -> Behaviour:
    """Answer 429, perhaps saying when to come back."""
    return status(
        429, "TOOMANYREQUESTS", **({} if retry_after is None else {"Retry_After": retry_after})
    )


def closed_for(seconds: int) -> Behaviour:
    """Answer 429 until so many seconds after the first request, and say so; then be honest."""
    opens: list[float] = []

    def behave(exchange: Exchange) -> None:
        now = time.monotonic()
        opens[:] = opens or [now + seconds]
        if now >= opens[0]:
            honest(exchange)
        else:
            throttled(str(seconds))(exchange)

    return behave


def dies(after_bytes: int, once: Callable[[Server], object] = lambda _: True) -> Behaviour:
    """Take the first bytes of the body, break off, and answer nobody any more.

    Args:
        after_bytes: How many bytes to take.
        once: What must have happened before.
    """

    def behave(exchange: Exchange) -> None:
        exchange.read(after_bytes)
        exchange.server.wait_for(lambda: once(exchange.server))
        exchange.server.dead = True
        exchange.server.record(exchange)  # who sees the connection break finds the record
        exchange.reset()

    return behave


def redirected(exchange: Exchange) -> None:
    """Send whoever wants a blob to another host, with a signed address."""
    digest = exchange.path.rpartition("/")[2]
    repository = exchange.path.removeprefix("/v2/").partition("/blobs/")[0]
    place = f"http://localhost:{exchange.server.port}{ELSEWHERE}{repository}/{digest}"
    exchange.respond(307, b"", {"Location": f"{place}?signature=simulated"})


def corrupted(exchange: Exchange) -> None:
    """Answer with one bit of the body turned."""
    code, headers, body = exchange.forward()
    exchange.respond(code, bytes([body[0] ^ 1]) + body[1:] if body else b"", headers)


def replaced(body: bytes) -> Behaviour:
    """Answer with another body."""

    def behave(exchange: Exchange) -> None:
        code, headers, _ = exchange.forward()
        exchange.respond(code, body, {k: v for k, v in headers.items() if "Digest" not in k})

    return behave


def hangs(exchange: Exchange) -> None:
    """Say nothing until the simulator stops."""
    exchange.server.stopping.wait()
    exchange.reset()


def _token(exchange: Exchange) -> None:
    if exchange.headers.get("authorization") != basic():
        exchange.respond(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"wrong"}]}')
        return
    fields = {"Content-Type": "application/json"}
    exchange.respond(200, f'{{"token":"{TOKEN}"}}'.encode(), fields)


def _elsewhere(exchange: Exchange) -> None:
    repository, _, rest = exchange.path.removeprefix(ELSEWHERE).rpartition("/")
    digest = rest.partition("?")[0]
    code, headers, body = exchange.forward(f"/v2/{repository}/blobs/{digest}")
    exchange.respond(code, body, headers)


class _Http(ThreadingHTTPServer):
    daemon_threads = True  # one may hang, as told
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that breaks off is no error of the simulator."""


def _handler_of(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            self.close_connection = True
            server.answer(Exchange(self, server))

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Be quiet."""

    return Handler
