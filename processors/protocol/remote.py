"""What is said between the orchestrator and the app that runs a processor in its image.

Both ways it is canonical JSON in bytes, and nothing else: neither side ever gives the other an
object to load. Files travel beside it, on a volume, under the digest of their bytes.
"""

from __future__ import annotations

import base64
import binascii

from processors.protocol import digests, events, shapes
from processors.protocol.canonical import Json, canonical, parse_object
from processors.protocol.envelope import ENVELOPE_BYTES_MAX
from processors.protocol.errors import ContractError, find_row, modal_error
from processors.protocol.payload import PAYLOAD_BYTES_MAX
from processors.protocol.spawn import TAIL_BYTES_MAX, Ended, Tail

SCHEMA = "v1"
FUNCTION = "run"  # the one function of every app
VOLUME = "world-contents"  # of an environment, for all its apps
VOLUME_FOLDER = "/cas"  # where a container sees the volume
REQUEST_BYTES_MAX = 2 * PAYLOAD_BYTES_MAX  # a payload, in which no byte takes more than two in JSON
LINES_MAX = events.LINES_MAX + 2 * events.CALLS_MAX  # all that ``events.Sieve`` lets pass
LINE_BYTES_MAX = 8_192  # of one as it is sent: an event whose fields are cut, escaped twice
FILES_MAX = 32_768  # more than an envelope can name
# An envelope in base64, the lines, and a list of files with the longest paths there can be.
REPLY_BYTES_MAX = 2 * ENVELOPE_BYTES_MAX + LINES_MAX * LINE_BYTES_MAX + 33_554_432
REPLY_MARKS_MAX = 4 * events.FIELD_CHARS_MAX * LINES_MAX + 16 * FILES_MAX


def place(cid: str) -> str:
    """Where the bytes of a content id lie on the volume."""
    digits = cid.removeprefix("sha256:")
    return f"/sha256/{digits[:2]}/{digits}"


class Request:
    """One call of an app.

    Attributes:
        payload: The exact bytes for the processor's stdin.
        content_root: What the processor's files must be, by measure.
        registry: The digest of the registry that the orchestrator goes by, without its pin.
        timeout_s: The wall-clock limit of the processor.
    """

    __slots__ = ("content_root", "payload", "registry", "timeout_s")

    def __init__(self, *, payload: bytes, content_root: str, registry: str, timeout_s: int) -> None:
        self.payload = payload
        self.content_root = content_root
        self.registry = registry
        self.timeout_s = timeout_s

    def encode(self) -> bytes:
        """The request as it is sent."""
        return canonical(
            {
                "schema": SCHEMA,
                "payload": self.payload.decode("utf-8"),
                "content_root": self.content_root,
                "registry": self.registry,
                "timeout_s": self.timeout_s,
            }
        )


def decode_request(data: bytes) -> Request:
    """Parse and check a request.

    Raises:
        ContractError: ``ERR_MODAL_INVOCATION`` / ``exchange_invalid``.
    """
    try:
        document = parse_object(data, "the request", bytes_max=REQUEST_BYTES_MAX)
    except ContractError as error:
        raise modal_error("exchange_invalid", error.message) from None
    if (found := shapes.problem(document, _REQUEST, "request")) is not None:
        raise modal_error("exchange_invalid", found)
    return Request(
        payload=shapes.text(document, "payload").encode(),
        content_root=shapes.text(document, "content_root"),
        registry=shapes.text(document, "registry"),
        timeout_s=shapes.count(document, "timeout_s"),
    )


class Left:
    """One file that a processor left, or something in a file's place: then ``cid`` is None."""

    __slots__ = ("cid", "path", "size_bytes")

    def __init__(self, path: str, cid: str | None, size_bytes: int) -> None:
        self.path = path
        self.cid = cid
        self.size_bytes = size_bytes

    def as_json(self) -> dict[str, Json]:
        """The file as it stands in a reply."""
        return {"path": self.path, "cid": self.cid, "size_bytes": self.size_bytes}


class Reply:
    """How a call went: the processor's end and what it left, or the error that kept it from one.

    Attributes:
        error: Why no processor was started, or None.
        ended: How it ended; None on error.
        left: What lies under its write prefix and in its execution's folder.
        lines: Those of its stderr that are forwarded, as ``forwarded`` says them.
        dropped: How many are not.
    """

    __slots__ = ("dropped", "ended", "error", "left", "lines")

    def __init__(
        self,
        *,
        error: ContractError | None = None,
        ended: Ended | None = None,
        left: list[Left] | None = None,
        lines: list[bytes] | None = None,
        dropped: int = 0,
    ) -> None:
        self.error = error
        self.ended = ended
        self.left = left or []
        self.lines = lines or []
        self.dropped = dropped

    def encode(self) -> bytes:
        """The reply as it is sent."""
        return canonical(
            {
                "schema": SCHEMA,
                "error": None if self.error is None else dict(self.error.as_json()),
                "ended": None if self.ended is None else _ended(self.ended),
                "left": [each.as_json() for each in self.left],
                "lines": [line.decode("utf-8", "replace") for line in self.lines],
                "dropped": self.dropped,
            }
        )


def forwarded(event: dict[str, Json]) -> bytes:
    """A line of a reply, for an event that a ``Sieve`` let pass; there it passes as the same one.

    What is cut of a text is marked behind where it is cut once more, or it could be taken for an
    event that it only begins with.
    """
    short = events.cut(event)
    if event["event"] != "processor.log":
        return canonical(short)
    mark = "" if short == event else "\u2026"
    return f"{short['text']}{mark}".encode()


def decode_reply(data: bytes) -> Reply:
    """Parse and check a reply; whoever sent it is not trusted.

    Raises:
        ContractError: ``ERR_MODAL_INVOCATION`` / ``exchange_invalid``.
    """
    try:
        document = parse_object(
            data, "the reply", bytes_max=REPLY_BYTES_MAX, marks_max=REPLY_MARKS_MAX
        )
    except ContractError as error:
        raise modal_error("exchange_invalid", error.message) from None
    if (found := shapes.problem(document, _REPLY, "reply")) is not None:
        raise modal_error("exchange_invalid", found)
    if (document["error"] is None) == (document["ended"] is None):
        raise modal_error("exchange_invalid", "reply: exactly one of error and ended is null")
    left, lines = document["left"], document["lines"]
    assert isinstance(left, list)
    assert isinstance(lines, list)
    return Reply(
        error=None if document["error"] is None else _told_error(document["error"]),
        ended=None if document["ended"] is None else _told_end(document["ended"]),
        left=[_told_file(each) for each in left],
        lines=[str(line).encode("utf-8") for line in lines],
        dropped=shapes.count(document, "dropped"),
    )


def _ended(ended: Ended) -> dict[str, Json]:
    return {
        "returncode": ended.returncode,
        "elapsed_ms": ended.elapsed_ms,
        "timed_out": ended.timed_out,
        "stdout": _stream(ended.stdout),
        "stderr": _stream(ended.stderr),
    }


def _stream(tail: Tail) -> dict[str, Json]:
    data = bytes(tail.data) if tail.complete else bytes(tail.data[-TAIL_BYTES_MAX:])
    return {
        "data": base64.b64encode(data).decode("ascii"),
        "digest": tail.digest,
        "size_bytes": tail.size_bytes,
    }


def _told_end(value: Json) -> Ended:
    streams = {}
    for name in ("stdout", "stderr"):
        item = shapes.members(value, name)
        try:
            data = base64.b64decode(shapes.text(item, "data"), validate=True)
        except binascii.Error:
            raise modal_error("exchange_invalid", f"reply.ended.{name}.data: not base64") from None
        streams[name] = Tail.told(
            data, digest=shapes.text(item, "digest"), size_bytes=shapes.count(item, "size_bytes")
        )
    document = _object(value)
    returncode = document["returncode"]
    assert isinstance(returncode, int)
    return Ended(
        returncode=returncode,
        stdout=streams["stdout"],
        stderr=streams["stderr"],
        elapsed_ms=shapes.count(document, "elapsed_ms"),
        timed_out=document["timed_out"] is True,
        stopped=None,
    )


def _told_error(value: Json) -> ContractError:
    code, reason, message = (shapes.text(value, key) for key in ("code", "reason", "message"))
    if find_row(code, reason) is None:
        raise modal_error("exchange_invalid", f"reply.error: {code}/{reason} is no error")
    return ContractError(code, reason, message)


def _told_file(value: Json) -> Left:
    item = _object(value)
    cid = item["cid"]
    return Left(
        shapes.text(item, "path"),
        None if cid is None else str(cid),
        shapes.count(item, "size_bytes"),
    )


def _object(value: Json) -> dict[str, Json]:
    assert isinstance(value, dict)
    return value


def _is_whole(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_stream(value: Json) -> bool:
    return shapes.problem(value, _STREAM, "stream") is None


def _are_files(value: Json) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= FILES_MAX
        and all(shapes.problem(each, _FILE, "file") is None for each in value)
    )


def _are_lines(value: Json) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= LINES_MAX
        and all(isinstance(each, str) for each in value)
    )


_REQUEST: shapes.Shape = {
    "schema": lambda value: value == SCHEMA,
    "payload": shapes.is_text,
    "content_root": digests.is_digest,
    "registry": digests.is_digest,
    "timeout_s": lambda value: shapes.is_count(value) and value != 0,
}

_STREAM: shapes.Shape = {
    "data": lambda value: isinstance(value, str),
    "digest": digests.is_digest,
    "size_bytes": shapes.is_count,
}

_ENDED: shapes.Shape = {
    "returncode": _is_whole,
    "elapsed_ms": shapes.is_count,
    "timed_out": lambda value: isinstance(value, bool),
    "stdout": _is_stream,
    "stderr": _is_stream,
}

_ERROR: shapes.Shape = {
    "code": shapes.is_text,
    "reason": shapes.is_text,
    "message": shapes.is_text,
}

_FILE: shapes.Shape = {
    "path": shapes.is_text,
    "cid": lambda value: value is None or digests.is_digest(value),
    "size_bytes": shapes.is_count,
}

_REPLY: shapes.Shape = {
    "schema": lambda value: value == SCHEMA,
    "error": lambda value: value is None or shapes.problem(value, _ERROR, "error") is None,
    "ended": lambda value: value is None or shapes.problem(value, _ENDED, "ended") is None,
    "left": _are_files,
    "lines": _are_lines,
    "dropped": shapes.is_count,
}
