"""Everything around a processor's own function, ``run(job)`` in its ``main.py``.

``main`` reads the payload from stdin, gives the function a ``Job``, writes outputs, index and both
receipts into the staging tree, and prints the one envelope. Whatever the function or a library
prints goes to stderr, even from native code.
"""

from __future__ import annotations

import os
import sys
import time

from processors.protocol import digests, envelope, events, paths, receipt
from processors.protocol.canonical import Json, canonical, parse_object
from processors.protocol.envelope import Output
from processors.protocol.errors import (
    MESSAGE_CHARS_MAX,
    ContractError,
    adapter_error,
    inputs_error,
)
from processors.protocol.payload import PAYLOAD_BYTES_MAX, Artifact, Payload, decode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

EXIT_BROKEN = 1  # what the processor left in our way keeps the envelope from being written
EXIT_NO_PAYLOAD = 64  # the payload cannot be read, so no envelope can be written (EX_USAGE)
REGISTRY_BYTES_MAX = 262_144
CAUSES_MAX = 8  # of an exception are reported
MASK_GROWTH_MAX = 5  # a value of eight bytes can have two characters, and a mask has ten


class Job:
    """One execution, as the processor's function sees it.

    Attributes:
        mode: ``mock`` or ``real``.
        inputs: The inputs, checked against the processor's input schema.
        registry: The processor's own registry, without its image pin.
    """

    def __init__(
        self,
        payload: Payload,
        registry: dict[str, Json],
        root: str,
        secret_values: Sequence[str] = (),
    ) -> None:
        self.mode = payload.mode
        self.inputs = payload.inputs
        self.registry = registry
        self.cost_micro_usd = 0
        self._payload = payload
        self._root = root
        self._outputs: dict[str, Output] = {}
        self._secret_values = secret_values

    @property
    def outputs(self) -> list[Output]:
        """What has been written so far, sorted by path."""
        return [self._outputs[path] for path in sorted(self._outputs)]

    def artifact(self, name: str) -> str:
        """The physical path of an attached artifact, to be read only.

        Raises:
            ContractError: ``ERR_INPUTS`` when nothing of this name is attached, when it is empty,
                or when it is larger than the registry's ``max_input_bytes``.
        """
        item = self._attached(name)
        limit = self.limit("max_input_bytes")
        if item.size_bytes > limit:
            raise inputs_error(
                "input_too_large", f"{name} has {item.size_bytes} bytes; at most {limit}"
            )
        if item.size_bytes == 0:
            raise inputs_error("empty_input", f"{name} has no bytes")
        return self._physical(item.path)

    def artifact_name(self, name: str) -> str:
        """The last segment of an attached artifact's world path.

        Raises:
            ContractError: As ``artifact``, when nothing of this name is attached.
        """
        return self._attached(name).path.rpartition("/")[2]

    def limit(self, name: str) -> int:
        """An integer of the registry's ``limits``."""
        limits = self.registry["limits"]
        assert isinstance(limits, dict)
        value = limits[name]
        assert isinstance(value, int)
        return value

    def write(self, name: str, data: bytes, *, mime: str) -> None:
        """Write one output; ``name`` is its path below ``outputs/``.

        Raises:
            ContractError: ``ERR_ADAPTER_INVOCATION`` / ``processor_error``: the name is no path, or
                an output has it already. Whatever the inputs were, the processor chose the name.
        """
        try:
            path = paths.canonical_path(f"{self._payload.write_prefix}outputs/{name}")
        except ContractError as error:
            raise adapter_error("processor_error", f"job.write: {error.whole_message}") from None
        if path in self._outputs:
            raise adapter_error("processor_error", f"job.write: {name} is written twice")
        physical = self._physical(path)
        os.makedirs(os.path.dirname(physical), exist_ok=True)
        _write_file(physical, data)
        self._outputs[path] = Output(path, digests.of_bytes(data), len(data), mime)

    def write_json(self, name: str, value: Json) -> None:
        """Write one output of canonical JSON and a newline."""
        self.write(name, canonical(value) + b"\n", mime="application/json")

    def provider_call(self, provider: str, operation: str, attempt: int = 1) -> ProviderCall:
        """A context that says on stderr that a provider is called, and how it answered.

        Mock mode uses it as real mode does, so both leave the same trace.
        """
        return ProviderCall(provider, operation, attempt, self._secret_values)

    def _attached(self, name: str) -> Artifact:
        item = self._payload.artifacts.get(name)
        if item is None:
            given = ", ".join(sorted(self._payload.artifacts)) or "none"
            raise inputs_error("unknown_name", f"no artifact is named {name!r}; given: {given}")
        return item

    def _physical(self, world_path: str) -> str:
        return self._root + world_path


class ProviderCall:
    """``provider.call`` on entry, ``provider.response`` with outcome and time on exit."""

    def __init__(
        self, provider: str, operation: str, attempt: int, secret_values: Sequence[str]
    ) -> None:
        self._keys: dict[str, Json] = {
            "provider": _cut(provider, events.FIELD_CHARS_MAX, secret_values),
            "operation": _cut(operation, events.FIELD_CHARS_MAX, secret_values),
            "attempt": attempt,
        }
        self._secret_values = secret_values
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.monotonic()
        _say({"event": "provider.call", **self._keys})

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        duration_ms = int((time.monotonic() - self._began) * 1000)
        outcome = "ok" if error is None else _outcome(error)
        outcome = _cut(outcome, events.FIELD_CHARS_MAX, self._secret_values)
        _say(
            {
                "event": "provider.response",
                **self._keys,
                "outcome": outcome,
                "duration_ms": duration_ms,
            }
        )


def main(function: Callable[[Job], None]) -> None:
    """Run a processor's function on the payload at stdin, and end the process.

    The process ends at once when the envelope is written, whatever threads a library has left.

    Args:
        function: Does the work; raises ``ContractError`` for what the caller did wrong.
    """
    try:
        status = _run(function, sys.argv[1:])
    except Exception as error:  # noqa: BLE001 - as the interpreter would, but for what it says
        _report(error)
        status = EXIT_BROKEN
    sys.stderr.flush()
    os._exit(status)


def _run(function: Callable[[Job], None], argv: list[str]) -> int:
    """Do all that ``main`` does but the ending; return the exit status."""
    envelope_fd = os.dup(1)  # ours alone; fd 1 now leads to stderr, for native code too
    os.dup2(2, 1)
    root, registry_file = _arguments(argv)
    raw = _read_all(0)
    try:
        payload = decode(raw)
        registry = parse_object(
            _read_file(registry_file), "the registry", bytes_max=REGISTRY_BYTES_MAX
        )
    except (ContractError, OSError) as error:
        sys.stderr.write(f"no usable payload or registry: {error}\n")
        return EXIT_NO_PAYLOAD
    secret_values = _secret_values(registry)  # before the function, which may take them away
    payload.inputs_hash()  # is kept; the function may change its inputs
    job = Job(payload, registry, root, secret_values)
    started_at, began = _now(), time.monotonic()
    error_found = _call(function, job)
    outputs = [] if error_found else job.outputs
    if error_found is None:
        index = canonical(envelope.index_document(outputs)) + b"\n"
        _write_file(root + paths.index_path(payload.write_prefix), index)
    attested = receipt.encode(
        writer="processor",
        payload=payload,
        payload_hash=digests.of_bytes(raw),
        outputs=outputs,
        error=error_found,
        cost_micro_usd=job.cost_micro_usd,
        started_at=started_at,
        duration_ms=int((time.monotonic() - began) * 1000),
    )
    for world_path in (
        paths.receipt_path(payload.write_prefix),
        paths.determinism_path(payload.execution_id),
    ):
        os.makedirs(os.path.dirname(root + world_path), exist_ok=True)
        _write_file(root + world_path, attested)
    _write_all(envelope_fd, _envelope(payload, job, error_found, secret_values))
    return 0 if error_found is None else error_found.row.exit_code


def _call(function: Callable[[Job], object], job: Job) -> ContractError | None:
    try:
        returned = function(job)
    except ContractError as error:
        return error
    except SystemExit:
        raise  # it ends the process, with a status of its own
    except BaseException as error:  # noqa: BLE001 - a processor's bug becomes one row of the table
        _report(error)
        return adapter_error("processor_error", f"the processor raised {_kind(error)}")
    if returned is not None:  # a coroutine or a generator, say, of which nothing has run
        what = f"run(job) returned {type(returned).__name__}; it writes outputs and returns nothing"
        return adapter_error("processor_error", what)
    return None


def _report(error: BaseException) -> None:
    """Print where an exception, and what it came from, was raised; the cause first.

    What it says is left out: libraries quote the data they choke on, and data is not for a log. So
    are the folders of this machine: the same failure reads the same wherever it happens.
    """
    parts: list[str] = []
    found: BaseException | None = error
    while found is not None and len(parts) < CAUSES_MAX:
        frames = _frames(found.__traceback__)
        parts.append(f"{frames}{_kind(found)}\n")
        found = found.__cause__ or found.__context__
    sys.stderr.write("\n".join(reversed(parts)))


def _kind(error: BaseException) -> str:
    """What an exception is; of the system's, what the system said, such as that a disk is full."""
    kind = type(error).__name__
    if isinstance(error, OSError) and isinstance(error.errno, int):  # a library's may hold anything
        return f"{kind} ({os.strerror(error.errno)})"
    return kind


def _frames(trace: TracebackType | None) -> str:
    """Each frame as file, line and function; files below the tree, or the standard library's."""
    lines = []
    tree, library = (os.path.dirname(file) + "/" for file in (sys.argv[0], os.__file__))
    while trace is not None:
        code = trace.tb_frame.f_code
        file = code.co_filename.removeprefix(tree).removeprefix(library)
        lines.append(f'  File "{file}", line {trace.tb_lineno}, in {code.co_name}\n')
        trace = trace.tb_next
    return "".join(lines)


def _secret_values(registry: dict[str, Json]) -> list[str]:
    """The values of the declared secrets that this process was given."""
    names = registry["secrets"]
    assert isinstance(names, list)
    return [os.environ[str(name)] for name in names if os.environ.get(str(name))]


def _envelope(
    payload: Payload, job: Job, error: ContractError | None, secret_values: Sequence[str]
) -> bytes:
    meta: dict[str, Json] = {
        "processor_ref": payload.ref,
        "mode": payload.mode,
        "inputs_hash": payload.inputs_hash(),
        "cost_micro_usd": job.cost_micro_usd,
    }
    document: dict[str, Json] = {"execution_id": payload.execution_id, "meta": meta}
    if error is None:
        document["status"] = "success"
        document["outputs"] = [output.as_json() for output in job.outputs]
        document["index_path"] = paths.index_path(payload.write_prefix)
    else:
        document["status"] = "error"
        message = _cut(error.whole_message, MESSAGE_CHARS_MAX, secret_values)
        document["error"] = {**error.as_json(), "message": message}
    return canonical(document) + b"\n"


def _arguments(argv: list[str]) -> tuple[str, str]:
    if len(argv) != 4 or argv[0] != "--root" or argv[2] != "--registry":
        raise SystemExit("usage: main.py --root FOLDER --registry FILE < payload")
    return argv[1], argv[3]


def _outcome(error: BaseException) -> str:
    return error.reason if isinstance(error, ContractError) else type(error).__name__


def _cut(text: str, chars_max: int, secret_values: Sequence[str]) -> str:
    """Shorten a text.

    A secret goes first. Of one that the cut goes through, nobody could find the rest later, and
    where the cut falls would tell its length.
    """
    if secret_values and len(text) * MASK_GROWTH_MAX > chars_max:
        from processors.protocol.redact import masked  # rarely needed

        text = masked(text, secret_values)
    return text[:chars_max]


def _say(event: dict[str, Json]) -> None:
    line = canonical(event) + b"\n"
    try:
        _write_all(2, line)
    except OSError:
        pass  # nobody listens; a lost breadcrumb must not fail the work


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _read_all(fd: int) -> bytes:
    chunks = []
    size = 0
    while (chunk := os.read(fd, 65_536)) and size <= PAYLOAD_BYTES_MAX:
        chunks.append(chunk)
        size += len(chunk)
    return b"".join(chunks)


def _read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(REGISTRY_BYTES_MAX + 1)


def _write_file(path: str, data: bytes) -> None:
    with open(path, "xb", buffering=0) as file:
        _write_all(file.fileno(), data)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
