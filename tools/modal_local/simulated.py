"""Containers that are coroutines of this process, to have thousands at once.

One answers with the bytes that it was given, or with those that a table of the admin port holds for
them, after a delay. Nothing is run, so nothing of an image is needed but its name.
"""

from __future__ import annotations

import asyncio
import io
import pickle
import time
from dataclasses import dataclass, field

import cbor2
from modal_proto import api_pb2

from tools.modal_local.call_records import Input
from tools.modal_local.calls import SUCCESS, Calls
from tools.modal_local.functions import Functions
from tools.modal_local.pools import TIMEOUT

CBOR = api_pb2.DATA_FORMAT_CBOR
FAILURE = api_pb2.GenericResult.GENERIC_STATUS_FAILURE


@dataclass
class Answers:
    """What simulated containers answer.

    Attributes:
        delay_s: How long each takes.
        released: Cleared while nobody is to be answered at all.
        canned: Pairs of a part of the input's bytes and the answer to what has it.
    """

    delay_s: float = 0.0
    released: asyncio.Event = field(default_factory=asyncio.Event)
    canned: list[tuple[bytes, bytes]] = field(default_factory=list)

    def to(self, data: bytes) -> bytes:
        """The answer; an echo if the table has none."""
        return next((answer for part, answer in self.canned if part in data), data)


class Simulated:
    """Pools and containers at once: one coroutine for each input, as many as there are."""

    def __init__(self, calls: Calls, functions: Functions, answers: Answers) -> None:
        self.started = 0
        self._calls = calls
        self._functions = functions
        self._answers = answers
        self._running: dict[Input, asyncio.Task[None]] = {}

    @property
    def running(self) -> int:
        """How many are at work."""
        return len(self._running)

    def offer(self, entry: Input) -> None:
        """Start on an input."""
        self.started += 1
        self._running[entry] = asyncio.create_task(self._run(entry))

    def withdraw(self, entry: Input, _is_final: bool) -> None:  # noqa: FBT001 - of a callback
        """Stop working on one."""
        if entry in self._running:
            self._running[entry].cancel()

    def renew(self, function_ids: list[str]) -> None:
        """Nothing is kept between inputs, so nothing is old."""

    def end(self, function_ids: list[str]) -> None:
        """The functions are gone."""
        self._calls.end(function_ids)

    async def close(self) -> None:
        """End them all."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _run(self, entry: Input) -> None:
        entry.started_at = time.time()
        definition = self._functions.definition(entry.call.function_id)
        item = self._calls.inline(entry.item)
        try:
            async with asyncio.timeout(definition.timeout_s):
                await asyncio.sleep(self._answers.delay_s)
                await self._answers.released.wait()
            answer = self._answers.to(_given(item))
            data = cbor2.dumps(answer) if item.data_format == CBOR else pickle.dumps(answer, 4)
            result = api_pb2.GenericResult(status=SUCCESS, data=data)
        except TimeoutError:
            words = f"input {entry.input_id} hit its timeout of {definition.timeout_s}s"
            result = api_pb2.GenericResult(status=TIMEOUT, exception=words)
        except (ValueError, pickle.UnpicklingError) as error:
            result = api_pb2.GenericResult(status=FAILURE, exception=str(error))
        finally:
            self._running.pop(entry, None)
        self._calls.settle(entry, result, item.data_format)


class _Plain(pickle.Unpickler):
    """Reads bytes, tuples and dictionaries, and calls nothing that a pickle names."""

    def find_class(self, module: str, name: str) -> object:
        """Refuse every name."""
        raise pickle.UnpicklingError(f"{module}.{name} in the arguments of a simulated function")


def _given(item: api_pb2.FunctionInput) -> bytes:
    """The one argument, which must be bytes."""
    if item.data_format == CBOR:
        found = cbor2.loads(item.args)
    else:
        found = _Plain(io.BytesIO(item.args)).load()
    match found:
        case [[bytes() as data], {**rest}] | ([bytes() as data], {**rest}) if not rest:
            return data
    raise ValueError("a simulated function takes one argument, of bytes")
