"""The receipt: what a processor attests about its own run.

Written twice, byte for byte the same, by the processor and never by an adapter: beside the outputs
and in the execution's own folder. ``volatile`` holds everything that may differ between two runs
of the same payload in mock mode; the rest is the deterministic core.
"""

from __future__ import annotations

from processors.protocol import shapes
from processors.protocol.canonical import Json, canonical
from processors.protocol.envelope import Output
from processors.protocol.errors import ContractError
from processors.protocol.payload import Payload

SCHEMA = "v1"
WRITERS = ("processor", "supervisor")  # a supervisor's receipt is a stub and never claims success

KEYS = (
    "schema",
    "writer",
    "processor_ref",
    "mode",
    "status",
    "inputs_hash",
    "outputs",
    "error",
    "cost_micro_usd",
    "volatile",
)


def encode(
    *,
    writer: str,
    payload: Payload,
    payload_hash: str,
    outputs: list[Output],
    error: ContractError | None,
    cost_micro_usd: int,
    started_at: str,
    duration_ms: int,
) -> bytes:
    """Return the receipt's bytes (canonical JSON and a newline).

    Args:
        writer: One of ``WRITERS``.
        payload: The payload as the processor read it.
        payload_hash: The digest of the exact bytes read from stdin.
        outputs: The outputs, sorted by path; empty on error.
        error: None on success.
        cost_micro_usd: What the run cost, in millionths of a US dollar.
        started_at: RFC 3339, UTC.
        duration_ms: Wall time, by a monotonic clock.
    """
    volatile: dict[str, Json] = {
        "execution_id": payload.execution_id,
        "payload_hash": payload_hash,
        "started_at": started_at,
        "duration_ms": duration_ms,
    }
    core = _core(writer, payload, outputs, error, cost_micro_usd)
    document: dict[str, Json] = {**core, "volatile": volatile}
    return canonical(document) + b"\n"


def problem(
    document: Json,
    payload: Payload,
    payload_hash: str,
    *,
    outputs: list[Output],
    error: ContractError | None,
    cost_micro_usd: int,
) -> str | None:
    """Say what is wrong with a processor's receipt for a given run, or None.

    Args:
        document: The receipt.
        payload: What the processor was given.
        payload_hash: The digest of the exact bytes it was given.
        outputs: What its envelope lists.
        error: The error its envelope holds, or None.
        cost_micro_usd: What its envelope says the run cost.
    """
    shape: shapes.Shape = dict.fromkeys(KEYS, lambda _: True)
    found = shapes.problem(document, shape, "receipt")
    if found is not None:
        return found
    assert isinstance(document, dict)
    expected = _core("processor", payload, outputs, error, cost_micro_usd)
    claimed = {name: document[name] for name in expected}
    if canonical(claimed) != canonical(expected):  # for ==, true is 1
        for name, wanted in expected.items():
            if canonical(document[name]) != canonical(wanted):
                return f"receipt.{name} is not the one of this run"
    found = shapes.problem(document["volatile"], _VOLATILE, "receipt.volatile")
    if found is not None:
        return found
    volatile = shapes.members(document, "volatile")
    for name, own in (("execution_id", payload.execution_id), ("payload_hash", payload_hash)):
        if volatile[name] != own:
            return f"receipt.volatile.{name} is not the one of this run"
    return None


def _core(
    writer: str,
    payload: Payload,
    outputs: list[Output],
    error: ContractError | None,
    cost_micro_usd: int,
) -> dict[str, Json]:
    """All of a receipt that is the same for every run of a payload in mock mode."""
    return {
        "schema": SCHEMA,
        "writer": writer,
        "processor_ref": payload.ref,
        "mode": payload.mode,
        "status": "success" if error is None else "error",
        "inputs_hash": payload.inputs_hash(),
        "outputs": [output.as_json() for output in outputs],
        "error": None if error is None else {"code": error.code, "reason": error.reason},
        "cost_micro_usd": cost_micro_usd,
    }


def _is_time(value: Json) -> bool:
    """RFC 3339 in UTC and whole seconds: the only free text of a receipt holds nothing else."""
    if not isinstance(value, str):
        return False
    return value.translate(_DIGITS) == "0000-00-00T00:00:00Z"


_DIGITS = str.maketrans("123456789", "0" * 9)

_VOLATILE: shapes.Shape = {
    "execution_id": shapes.is_text,
    "payload_hash": shapes.is_text,
    "started_at": _is_time,
    "duration_ms": shapes.is_count,
}
