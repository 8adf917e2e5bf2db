"""What a command prints: with ``--json`` one document on one line, else a summary for people.

Streams of items are one document a line, and their last line is the one document that any other
command prints, so that a stream that was cut is noticed.
"""

from __future__ import annotations

import os
import select

from processors.protocol import shapes
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import EXIT_ERROR, EXIT_OK, find_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_STANDARD = {0: os.O_RDONLY, 1: os.O_RDONLY, 2: os.O_WRONLY}  # with what a closed one is opened


class _Stdout:
    """Where answers go."""

    fd = 1
    is_cut = False  # whether something was begun that has not gone out whole


def keep_standard_streams() -> None:
    """Make sure that fds 0, 1 and 2 are open, and that stdout is ours alone.

    So no file of ours takes a stream's place, and what anybody else prints, such as a predicate of
    the repository's own or native code, goes to stderr: fd 1 leads there from now on.

    What takes the place of a closed stdout can be read but not written, so that an envelope nobody
    gets is noticed when it is printed. Whatever else the caller left open reaches us alone: what is
    started here inherits nothing of it.
    """
    for fd, flags in _STANDARD.items():
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, flags)  # takes the lowest free number, which is this one
    if _Stdout.fd != 1:  # of an earlier call in this process
        os.close(_Stdout.fd)
    _Stdout.fd = os.dup(1)
    os.dup2(2, 1)
    _keep_to_ourselves()


def _keep_to_ourselves() -> None:
    try:
        names = os.listdir("/dev/fd")
    except FileNotFoundError:
        return  # no /proc; then no processor is started either (``reaper``)
    for fd in map(int, names):
        try:
            os.set_inheritable(fd, fd in _STANDARD)
        except OSError:
            pass  # the listing's own, which is closed by now


def exit_code(envelope: dict[str, Json]) -> int:
    """The exit status that belongs to an envelope: 0 on success, else its row's."""
    if envelope["status"] == "success":
        return EXIT_OK
    error = envelope["error"]
    row = find_row(shapes.text(error, "code"), shapes.text(error, "reason"))
    assert row is not None
    return row.exit_code


class UnreadError(Exception):
    """Stdout does not take the answer; what is left to do is to stop with ``EXIT_ERROR``.

    Attributes:
        why: What the system says of it; "" where whoever read stdout has gone, and has had enough.
    """

    def __init__(self, error: OSError) -> None:
        gone = isinstance(error, ConnectionError)
        self.why = "" if gone else error.strerror or type(error).__name__
        super().__init__(self.why)


def print_envelope(envelope: dict[str, Json], *, as_json: bool) -> None:
    """Print an envelope.

    Raises:
        UnreadError: As there.
    """
    text = canonical(envelope) if as_json else _summary(envelope).encode("utf-8", "replace")
    print_bytes(text + b"\n")


def print_help(text: str, *, as_json: bool) -> int:
    """Print the help text and return the exit status of the command."""
    document: dict[str, Json] = {"status": "success", "result": {"usage": text}, "meta": {}}
    try:
        print_bytes((canonical(document) if as_json else text.encode()) + b"\n")
    except UnreadError as error:
        return unread(error)
    return EXIT_OK


def unread(error: UnreadError) -> int:
    """Say on stderr why the answer is not whole; return the exit status of the command."""
    if error.why:
        tell(
            f"error  stdout: {error.why}; the answer is not whole, and what was committed stays\n"
            "  do: make room for it, or send stdout elsewhere, and ask again\n"
        )
    return EXIT_ERROR


def print_document(document: dict[str, Json]) -> None:
    """Print one document, or one item of a stream, on one line.

    Raises:
        UnreadError: As there.
    """
    print_bytes(line_of(document))


def line_of(document: dict[str, Json]) -> bytes:
    """A document on a line of its own.

    What is not UTF-8 in the name of a file or a branch is told as its bytes, escaped.
    """
    try:
        return canonical(document) + b"\n"
    except UnicodeEncodeError:
        return canonical(_escaped(document)) + b"\n"


def _escaped(value: Json) -> Json:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {str(_escaped(key)): _escaped(item) for key, item in value.items()}
    return value


def print_lines(lines: Iterable[str]) -> None:
    """Print lines for people; control characters are shown, not sent.

    Raises:
        UnreadError: As there.
    """
    for line in lines:
        print_bytes(shown(line).encode("utf-8", "backslashreplace") + b"\n")


def print_bytes(data: bytes) -> None:
    """Print some bytes as they are.

    Raises:
        UnreadError: As there.
    """
    view = memoryview(data)
    _Stdout.is_cut = True
    while view:
        try:
            view = view[os.write(_Stdout.fd, view) :]
        except BlockingIOError:
            _wait_for_stdout()
        except OSError as error:
            raise UnreadError(error) from None
    _Stdout.is_cut = False


def end_line() -> None:
    """End the line that a signal has cut, so that what comes next has one of its own.

    Raises:
        UnreadError: As there.
    """
    if _Stdout.is_cut:
        print_bytes(b"\n")


def tell(text: str) -> None:
    """Write to stderr, if somebody reads it."""
    try:
        os.write(2, text.encode("utf-8", "backslashreplace"))
    except OSError:
        pass  # the exit status tells it all the same


def explained(error: Json) -> str:
    """An error of a document in words for people."""
    code, reason = shapes.text(error, "code"), shapes.text(error, "reason")
    row = find_row(code, reason)
    todo = f"  do: {row.action}" if row else ""
    return f"  {code} / {reason}: {shown(shapes.text(error, 'message'))}\n{todo}"


def shown(text: str) -> str:
    """A text of which nothing moves a terminal's cursor."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _wait_for_stdout() -> None:
    """Wait until stdout takes more; whoever shares it may have told it not to wait by itself."""
    poll = select.poll()
    poll.register(_Stdout.fd, select.POLLOUT)
    poll.poll()


def _summary(envelope: dict[str, Json]) -> str:
    head = f"{envelope['status']}  execution {envelope['execution_id']}"
    if envelope["status"] == "success":
        outputs = envelope["outputs"]
        assert isinstance(outputs, list)
        rows = [
            f"  {shown(shapes.text(item, 'path'))}  {shapes.count(item, 'size_bytes')} bytes"
            for item in outputs
        ]
        index = shown(shapes.text(envelope, "index_path"))
        return "\n".join([head, *rows, f"  {index}  (the list of these)"])
    return f"{head}\n{explained(envelope['error'])}"
