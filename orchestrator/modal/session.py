"""The process that runs Modal's SDK, seen from the orchestrator: started once, asked by all.

Of the environment exactly three variables are taken: MODAL_SERVER_URL, MODAL_TOKEN_ID and
MODAL_TOKEN_SECRET. The SDK would read dozens more, each of which silently changes what is sent;
none of them, no proxy and no profile of a developer reaches it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse

from orchestrator.modal import answers, frames
from processors.protocol import reaper
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, adapter_error, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

SERVER, TOKEN_ID, TOKEN_SECRET = "MODAL_SERVER_URL", "MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"
PROBE_S_MAX = 3.0  # the SDK itself takes most of a minute to notice that nobody listens
PERFORM_S_MAX = 600  # of a step of a deployment, the image pulled
LATE_S = 15.0  # for a request whose time is up to be cancelled where it runs, and answered
END_S_MAX = 15.0  # for the process to cancel what is remote, and to end
CHECK_S = 0.5  # between two looks at whether the wait is to end

# What the SDK sees besides the three: nothing of the caller's.
_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "MODAL_CONFIG_PATH": "/nonexistent/modal.toml",
    "MODAL_DISABLE_API_PROXY": "1",
    "MODAL_PAYLOAD_FORMAT": "cbor",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "TZ": "UTC",
}

CALLS, DEPLOYING = "calls", "deploying"  # what the process can do
_PROGRAM = (
    "import json, sys; sys.path += json.loads(sys.argv[1]);"
    " from orchestrator.modal.{} import main; main()"
)


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of the process that runs the SDK.

    Raises:
        ContractError: ``ERR_MODAL_LOOKUP`` / ``no_credentials``; ``ERR_INPUTS`` / ``bad_value``
            for a server that the token would go to in the clear.
    """
    missing = [name for name in (TOKEN_ID, TOKEN_SECRET) if not environ.get(name)]
    if missing:
        raise ContractError(
            "ERR_MODAL_LOOKUP", "no_credentials", f"{' and '.join(missing)} not in the environment"
        )
    taken = {name: environ[name] for name in (TOKEN_ID, TOKEN_SECRET)}
    if server := environ.get(SERVER):
        _check_server(server)
        taken[SERVER] = server
    return {**_ENVIRONMENT, **taken}


def _check_server(server: str) -> None:
    try:
        parts = urllib.parse.urlsplit(server)
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:  # what it says may quote a password
        raise inputs_error("bad_value", f"{SERVER} is no address") from None
    near = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not near and parts.scheme not in ("https", "unix"):
        raise inputs_error(
            "bad_value", f"{SERVER} is https://..., unix:///..., or http:// on this very machine"
        )


def probe(server: str) -> None:
    """See whether somebody listens.

    Raises:
        ContractError: ``ERR_MODAL_LOOKUP`` / ``unreachable``.
    """
    parts = urllib.parse.urlsplit(server)
    try:
        if parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as near:
                near.settimeout(PROBE_S_MAX)
                near.connect(parts.path)
        else:
            place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
            socket.create_connection(place, PROBE_S_MAX).close()
    except OSError as error:
        raise ContractError(
            "ERR_MODAL_LOOKUP", "unreachable", f"{SERVER}: {error.strerror or 'no answer in time'}"
        ) from None


class Ticket:
    """One request that was made, and its answer once it is there.

    Attributes:
        number: Tells it from others.
        late_at: When it must have been answered, whatever the answer.
    """

    __slots__ = ("_answer", "_there", "late_at", "number")

    def __init__(self, number: int, late_at: float) -> None:
        self.number = number
        self.late_at = late_at
        self._there = threading.Event()
        self._answer: frames.Frame | None = None

    def settle(self, answer: frames.Frame) -> None:
        """Take the answer."""
        self._answer = answer
        self._there.set()

    def wait(self, for_s: float | None = None) -> bool:
        """Wait for the answer; whether it is there."""
        return self._there.wait(for_s)

    def take(self) -> frames.Frame:
        """The answer, once it is there.

        Raises:
            ContractError: The failure that it holds.
        """
        assert self._answer is not None
        document, body = self._answer
        answers.raise_failure(document)
        return document, body


class Session:
    """The running process. For any number of threads."""

    def __init__(self, environ: Mapping[str, str], program: str = CALLS) -> None:
        """Start it.

        Args:
            environ: The caller's environment, of which three variables are taken.
            program: ``CALLS``; or ``DEPLOYING``, which the deploy step alone has.

        Raises:
            ContractError: As ``environment`` and ``probe``.
        """
        env = environment(environ)
        if server := env.get(SERVER):
            probe(server)
        places = [place for place in sys.path if place]
        argv = [
            sys.executable,
            "-I",
            "-S",
            "-B",
            "-c",
            _PROGRAM.format(program),
            json.dumps(places),
        ]
        with reaper.starting:  # or a local run that ends now would take it for an orphan
            self._process = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # what the SDK prints is no breadcrumb
                env=env,
                cwd="/",
                bufsize=0,
                start_new_session=True,  # Ctrl-C is for us, and we tell it what to cancel
            )
            reaper.begin(self._process.pid, "modal")
        self._lock = threading.Lock()  # of the tickets; never held while a pipe is waited for
        self._writing = threading.Lock()
        self._tickets: dict[int, Ticket] = {}
        self._last = 0
        self._heard_at = time.monotonic()  # when the last answer came
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="modal", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the process is gone, so that nothing can be asked of it any more."""
        return self._ended

    def ask(
        self, op: str, document: dict[str, Json], body: bytes = b"", *, within_s: int
    ) -> Ticket:
        """Make a request that may take so long; the answer comes to the ticket."""
        ends_at = time.monotonic() + within_s  # by the machine's clock, which is the process's, too
        with self._lock:
            self._last += 1
            ticket = Ticket(self._last, ends_at + LATE_S)
            self._tickets[ticket.number] = ticket
        own: dict[str, Json] = {"op": op, "id": ticket.number, "ends_at_ms": int(ends_at * 1000)}
        self._write(frames.encode({**document, **own}, body))
        if self._ended:
            self._settle_all()
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Ask for a request to be cancelled; its ticket gets an answer all the same."""
        self._write(frames.encode({"op": "cancel", "id": ticket.number}))

    def wait(self, ticket: Ticket, for_s: float) -> bool:
        """Wait for an answer; whether it is there.

        Raises:
            ContractError: ``ERR_MODAL_TIMEOUT`` / ``call_time_limit``: it is late. A process that
                has not answered anybody lately is stuck, and was ended.
        """
        if ticket.wait(for_s):
            return True
        now = time.monotonic()
        if now > ticket.late_at:
            what = "the process that runs the SDK gave no answer in time"
            if now > self._heard_at + LATE_S:
                os.killpg(self._process.pid, signal.SIGKILL)
                what += ", to nobody, and was ended"
            raise ContractError("ERR_MODAL_TIMEOUT", "call_time_limit", what)
        return False

    def perform(self, op: str, document: dict[str, Json]) -> Json:
        """Make a request and wait for its result.

        Raises:
            ContractError: The failure that it ended with.
        """
        ticket = self.ask(op, document, within_s=PERFORM_S_MAX)
        try:
            while not self.wait(ticket, CHECK_S):
                pass
        except BaseException:
            self.cancel(ticket)
            raise
        return ticket.take()[0]["result"]

    def close(self) -> None:
        """End the process; what is still running remotely is cancelled first."""
        assert self._process.stdin is not None
        with self._writing:
            self._ended = True
            self._process.stdin.close()
        try:
            self._process.wait(END_S_MAX)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join()
        reaper.forget(self._process.pid)

    def _write(self, data: bytes) -> None:
        assert self._process.stdin is not None
        view = memoryview(data)
        with self._writing:
            try:
                while view:
                    view = view[self._process.stdin.write(view) or 0 :]
            except (OSError, ValueError):
                self._ended = True  # it has ended; who waits is answered

    def _read(self) -> None:
        """Hand out answers until there are no more; then whoever waits gets an error."""
        stream = self._process.stdout
        assert stream is not None
        try:
            while (frame := _frame(stream.fileno())) is not None:
                self._heard_at = time.monotonic()
                with self._lock:
                    ticket = self._tickets.pop(int(str(frame[0]["id"])), None)
                if ticket is not None:  # or nobody waits for it any more
                    ticket.settle(frame)
        except (ContractError, EOFError, KeyError, ValueError):
            self._process.kill()  # it ended within a frame, or what it says is none
        finally:
            stream.close()
            self._ended = True
            self._settle_all()

    def _settle_all(self) -> None:
        lost = answers.CallError(
            "ERR_ADAPTER_INVOCATION", "orchestrator_error", "the process that runs the SDK ended"
        )
        with self._lock:
            waiting = list(self._tickets.values())
            self._tickets.clear()
        for ticket in waiting:
            ticket.settle(({"id": ticket.number, "result": None, "error": lost.as_json()}, b""))


def stopped(signum: int) -> ContractError:
    """The error of a wait that a signal ended."""
    reason = "interrupted" if signum == signal.SIGINT else "terminated"
    return adapter_error(reason, f"signal {signum} ended the run; what ran remotely was cancelled")


def _frame(fd: int) -> frames.Frame | None:
    """The next frame of a pipe; None at its end.

    Raises:
        ContractError, EOFError, ValueError: It is none, or it is not there as a whole.
    """
    head = _read_all(fd, frames.HEAD.size)
    if not head:
        return None
    document_bytes, body_bytes = frames.lengths(_whole(head, frames.HEAD.size))
    document = frames.parse(_whole(_read_all(fd, document_bytes), document_bytes))
    return document, _whole(_read_all(fd, body_bytes), body_bytes)


def _whole(data: bytes, size: int) -> bytes:
    if len(data) < size:
        raise EOFError
    return data


def _read_all(fd: int, size: int) -> bytes:
    """So many bytes of a pipe; fewer at its end."""
    data = bytearray()
    while len(data) < size:
        chunk = os.read(fd, min(1_048_576, size - len(data)))
        if not chunk:
            break
        data += chunk
    return bytes(data)
