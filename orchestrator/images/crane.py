"""crane: the one client of registries, and what its answers mean.

crane is a file of the build, under a fixed name below the program's root. Credentials are those of
the standard docker configuration (DOCKER_CONFIG, or .docker in the home folder), which crane reads
by itself: we never see one, and no other variable can bring one. Pushing is idempotent, so what a
registry refuses by rate is asked again, as late as the registry says (RFC 9110, Retry-After), which
crane does not do by itself.

crane is run with its log of requests, for the log has the statuses and the pauses that registries
ask for, and its errors alone do not. It holds no credentials (crane leaves them out); nothing of it
is shown but crane's last word.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import sha256

from orchestrator.images import layout, tool
from processors.protocol import digests
from processors.protocol.errors import ContractError, mismatch, unavailable

PROGRAM = "tools/images/crane"  # below the program's root
PAUSES_S = (1.0, 2.0, 4.0, 8.0)  # at least, between one run that was refused by rate and the next
LIMIT_S = 600  # for all that a command says to a registry, waits included
SAID_CHARS_MAX = 700
_ADDRESSES_MAX = 4_096
_BAD = 400
_BY_RATE = (429, 503)  # too many requests; unavailable for a while

# What the tool may know of our environment: where credentials, trust and proxies are. PATH is for
# the credential helpers that a docker configuration may name.
ENVIRONMENT = (
    "HOME",
    "DOCKER_CONFIG",
    "PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)

_ANSWER = re.compile(rb"[\d/]+ [\d:]+ <-- (\d{3}) (\S+)")
_RETRY_AFTER = re.compile(rb"Retry-After: *(.+)", re.IGNORECASE)
_SENT = re.compile(rb"[\d/]+ [\d:]+ (?:pushed blob: |\S+: digest: )(sha256:[0-9a-f]{64})\b")
# A request with a bad answer. One without any is told as Go tells it: Get "...": and why.
_REFUSED = re.compile(r"\b(?:GET|HEAD|PUT|POST|PATCH|DELETE) (https?://[^\s\"]+?): ")
_WRONG = re.compile(r"does not match requested digest|error verifying (?:sha256 checksum|size)")
_USER_INFO = re.compile(r"://[^/\s@\"]+@")
_QUERY = re.compile(r"(https?://[^\s\"?]*)\?[^\s\":]*")

type Take = Callable[[bytes], None]


@dataclass
class Log:
    """What one run of crane said on stderr, as far as it matters."""

    statuses: dict[str, int] = field(
        default_factory=dict
    )  # of each address: the last bad one, if any
    sent: list[str] = field(default_factory=list)  # digests that went over
    last: str = ""  # crane's error, or else its last line
    retry_after: str = ""
    _refused: bool = False

    def take(self, line: bytes) -> None:
        """Take one line."""
        if answer := _ANSWER.match(line):
            status, address = int(answer[1]), _text(answer[2]).partition("?")[0]
            # Others may be on their way to the same address; a good answer to one hides no bad one.
            if address in self.statuses:
                self.statuses[address] = status if status >= _BAD else self.statuses[address]
            elif len(self.statuses) < _ADDRESSES_MAX:
                self.statuses[address] = status
            self._refused = status in _BY_RATE
        elif self._refused and (pause := _RETRY_AFTER.fullmatch(line.strip())):
            self.retry_after = _text(pause[1])
        elif sent := _SENT.match(line):
            self.sent.append(_text(sent[1]))
        if line.startswith(b"Error: ") or not self.last.startswith("Error: "):
            self.last = _text(line)

    @property
    def status(self) -> int:
        """The HTTP status that ended the run; 0 if nobody answered."""
        refused = [each.partition("?")[0] for each in _REFUSED.findall(self.last)]
        return self.statuses.get(refused[-1], 0) if refused else 0

    @property
    def said(self) -> str:
        """The last word of crane, without passwords and signatures of addresses."""
        text = _QUERY.sub(r"\1?...", _USER_INFO.sub("://...@", self.last.removeprefix("Error: ")))
        return text[:SAID_CHARS_MAX] + ("..." if len(text) > SAID_CHARS_MAX else "")


class Whole:
    """A sink that keeps a stream, up to a limit."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.data = bytearray()

    def clear(self) -> None:
        """Begin again."""
        self.data.clear()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes; one too many tells that there are more."""
        self.data += chunk[: max(0, self._bytes_max + 1 - len(self.data))]


class Measured:
    """A sink that keeps a stream's digest and length alone."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin again."""
        self._state = sha256()
        self.size_bytes = 0

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._state.update(chunk)
        self.size_bytes += len(chunk)

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of what came."""
        return f"sha256:{self._state.hexdigest()}"


class Crane:
    """crane, and the time that it has for all of its runs together."""

    def __init__(self, root: str, environ: Mapping[str, str], limit_s: float = LIMIT_S) -> None:
        self._program = os.path.join(root, PROGRAM)
        self._env = {name: environ[name] for name in ENVIRONMENT if name in environ}
        self._limit_s = limit_s
        self._end = time.monotonic() + limit_s

    def push(self, folder: str, name: str, *, as_index: bool = False) -> list[str]:
        """Push what a layout is about, or the layout's own list as an index.

        Returns:
            The digests that went over; what was there is not sent again.
        """
        return self._run(["push", *(["--index"] if as_index else []), folder, name], Whole(0))

    def manifest(self, name: str, bytes_max: int) -> bytes:
        """Fetch a manifest or an index as it is."""
        sink = Whole(bytes_max)
        self._run(["manifest", name], sink)
        if len(sink.data) > bytes_max:
            raise unavailable("registry_failed", f"{name} has more than {bytes_max} bytes")
        return bytes(sink.data)

    def blob(self, name: str, size_bytes: int) -> None:
        """Fetch a blob, ``REPOSITORY@DIGEST``, and measure it.

        Raises:
            ContractError: ``ERR_REGISTRY_MISMATCH`` / ``blob_corrupt``, or as the others.
        """
        sink = Measured()
        digest = name.rpartition("@")[2]
        try:
            self._run(["blob", name], sink)
        except ContractError as error:
            if error.code == "ERR_REGISTRY_MISMATCH":
                raise mismatch("blob_corrupt", error.message) from None
            raise
        if (sink.digest, sink.size_bytes) != (digest, size_bytes):
            found = f"{sink.size_bytes} bytes of digest {sink.digest}"
            raise mismatch("blob_corrupt", f"{name}: the registry sent {found}, not {size_bytes}")

    def document(self, name: str, size_bytes: int) -> bytes:
        """Fetch a blob that is a document, such as a config, and measure it.

        Raises:
            ContractError: As ``blob``, and for a document that is too large to be one.
        """
        if size_bytes > layout.DOCUMENT_BYTES_MAX:
            raise mismatch("layout_invalid", f"{name}: a document of {size_bytes} bytes")
        sink = Whole(size_bytes)
        self._run(["blob", name], sink)
        data = bytes(sink.data)
        if digests.of_bytes(data) != name.rpartition("@")[2]:
            raise mismatch("blob_corrupt", f"{name}: the registry sent other bytes")
        return data

    def _run(self, words: Sequence[str], sink: Whole | Measured) -> list[str]:
        """Run crane until it succeeds, or must not be asked again; return what it sent."""
        sent: list[str] = []
        for least in (*PAUSES_S, None):
            log = Log()
            sink.clear()
            returncode = self._once(words, sink.feed, log)
            sent += log.sent
            if returncode == 0:
                return sent
            refused = log.status in _BY_RATE
            pause = None if least is None else max(least, seconds(log.retry_after, time.time()))
            if not refused or pause is None or time.monotonic() + pause >= self._end:
                raise refusal(log, words[-1])
            time.sleep(pause)
        raise AssertionError("the last turn returns or raises")

    def _once(self, words: Sequence[str], take: Take, log: Log) -> int:
        try:
            return tool.run(
                [self._program, "--verbose", *words],
                env=self._env,
                limit_s=self._end - time.monotonic(),
                on_stdout=take,
                on_stderr_line=log.take,
            )
        except TimeoutError:
            raise unavailable(
                "registry_unreachable", f"{words[-1]}: not done within {self._limit_s:g} seconds"
            ) from None
        except OSError as error:
            raise unavailable(
                "registry_failed", f"{PROGRAM} cannot be started: {error.strerror}"
            ) from None


def seconds(retry_after: str, now_s: float) -> float:
    """How long a Retry-After field asks to wait, in seconds; 0 if it says nothing that can be read.

    Args:
        retry_after: The field: seconds, or a date (RFC 9110 section 10.2.3).
        now_s: The time of day, in seconds since the epoch.
    """
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after[:9])
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - now_s)
    except ValueError:
        return 0.0


def refusal(log: Log, name: str) -> ContractError:
    """The error of the table for how crane ended."""
    said = f"{name}: {log.said}"
    if log.status in (401, 403):
        return unavailable("registry_denied", said)
    if log.status == 404:
        return unavailable("not_in_store", said)
    if log.status == 429 or log.retry_after:
        asked = f"; it asks to wait {log.retry_after}" if log.retry_after else ""
        return unavailable("registry_throttled", said + asked)
    if _WRONG.search(log.last):
        return mismatch("digest_mismatch", said)
    if log.status:
        return unavailable("registry_failed", f"{said} (status {log.status})")
    return unavailable("registry_unreachable", said)


def is_absent(error: ContractError) -> bool:
    """Whether an error says that the registry answered, and does not have it."""
    return error.reason == "not_in_store"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
