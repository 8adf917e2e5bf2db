"""A ledger as lines of text, out of one world and into another that holds nothing yet.

One event is one line, ``{"body":<body>,"hash":"<hash>"}``, with the body's bytes as they are
stored; so the line too is canonical JSON. The last line is the document that says where the chain
ends, ``{"meta":...,"result":{"count":...,"hash":...,"world":...},"status":"success"}``. An export
without it was cut.

What goes over is the ledger alone. The bytes of artifacts lie in the store and do not come along.
"""

from __future__ import annotations

from orchestrator.world import chain, ledger_file
from orchestrator.world.chain import BrokenChainError, Event, Head
from orchestrator.world.projections import IllegalMoveError
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json, parse_object
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from orchestrator.world.chain import Row

_BEFORE_BODY = b'{"body":'
_BEFORE_HASH = b',"hash":"'
_END = b'"}\n'
_HASH_CHARS = 71
_FRAME_BYTES = len(_BEFORE_BODY) + len(_BEFORE_HASH) + _HASH_CHARS + len(_END)
LINE_BYTES_MAX = chain.BODY_BYTES_MAX + _FRAME_BYTES


def line(event: Event) -> bytes:
    """An event as a line, its stored bytes unchanged."""
    return b"".join((_BEFORE_BODY, event.body, _BEFORE_HASH, event.hash.encode("ascii"), _END))


def take(folder: str, file: str, progress: Callable[[int], None]) -> Head:
    """Make a world of which the ledger is that of an export; return where its chain ends.

    Every event is verified, and projections are folded from them. The world appears whole or not
    at all.

    Args:
        folder: The world's folder, which must hold no ledger.
        file: The export.
        progress: Is told how many bytes of it were read.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unreadable_file``; ``unwritable_target`` if there is a
            world; ``world_corrupt`` at the first line that is not what was exported;
            ``world_unwritable``.
    """
    try:
        source = open(file, "rb")  # noqa: SIM115 - what fails below is not the opening
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise inputs_error("unreadable_file", f"{file!a}: {why}") from None
    with source:
        reading = _Reading(source, file, progress)
        try:
            made = ledger_file.make(folder, reading.events(), restored=True)
        except (BrokenChainError, IllegalMoveError) as error:
            raise reading.corrupt(str(error)) from None
    if not made:
        raise inputs_error("unwritable_target", f"there is a world at {folder!a} already")
    return reading.head


class _Reading:
    """An export on its way in; ``head`` is the last event that has passed."""

    def __init__(self, source: BinaryIO, name: str, progress: Callable[[int], None]) -> None:
        self.head = chain.START
        self._source = source
        self._name = name
        self._progress = progress
        self._bytes = 0

    def events(self) -> Iterator[Event]:
        """Every event, verified, and at the end that nothing is missing."""
        for event in chain.verified(self._rows()):
            self.head = Head(event.seq, event.hash)
            yield event
            self._progress(self._bytes)

    def corrupt(self, why: str) -> ContractError:
        """The error that says that this is not what was exported."""
        return inputs_error(
            "world_corrupt", f"export {self._name!a}: {why}. Nothing was made; export it again"
        )

    def _rows(self) -> Iterator[Row]:
        count = 0
        while (text := self._line()).startswith(_BEFORE_BODY):
            body = text[len(_BEFORE_BODY) : len(_BEFORE_BODY) - _FRAME_BYTES]
            rest = text[len(_BEFORE_BODY) + len(body) :]
            stored = rest[len(_BEFORE_HASH) : -len(_END)].decode("ascii", "replace")
            if not (rest.startswith(_BEFORE_HASH) and rest.endswith(_END)):
                raise self.corrupt(f"line {count + 1} is no event as it was exported")
            count += 1
            yield count, body, stored
        self._check_last(text, count)

    def _line(self) -> bytes:
        try:
            text = self._source.readline(LINE_BYTES_MAX + 1)
        except OSError as error:
            raise inputs_error("unreadable_file", f"{self._name!a}: {error.strerror}") from None
        self._bytes += len(text)
        return text

    def _check_last(self, text: bytes, count: int) -> None:
        """Judge the line after the last event: it must say that there were so many."""
        if not text:
            raise self.corrupt(f"it ends after {count} event(s) and does not say that it ends")
        try:
            document = parse_object(text, f"line {count + 1}")
        except ContractError as error:
            raise self.corrupt(error.message) from None
        result = document.get("result")
        if shapes.problem(result, _RESULT, "result") is not None or count == 0:
            raise self.corrupt(f"line {count + 1} is neither an event nor an export's last line")
        if (shapes.count(result, "count"), shapes.text(result, "hash")) != (count, self.head.hash):
            raise self.corrupt(f"its last line speaks of another chain than its {count} event(s)")
        if self._line():
            raise self.corrupt("there is more after its last line")


_RESULT: shapes.Shape = {
    "count": shapes.is_count,
    "hash": digests.is_digest,
    "world": lambda value: isinstance(value, str),
}


def result(head: Head, world: str) -> dict[str, Json]:
    """What an export's last line says."""
    return {"count": head.count, "hash": head.hash, "world": world}
