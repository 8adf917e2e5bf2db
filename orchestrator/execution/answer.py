"""The envelope that a caller is answered with, and the error that whatever failed is."""

from __future__ import annotations

from orchestrator.execution.trail import Trail
from processors.protocol import paths, spawn
from processors.protocol.canonical import Json
from processors.protocol.envelope import Output, Reply
from processors.protocol.errors import ContractError, adapter_error
from processors.protocol.events import FIELD_CHARS_MAX

DEBUG_FRAMES_MAX = 32  # of a traceback, the innermost ones


def success(
    execution_id: str, outputs: list[Output], write_prefix: str, meta: dict[str, Json]
) -> dict[str, Json]:
    """The envelope of a success: the processor's own, checked, with our ``meta`` around its own."""
    return {
        "status": "success",
        "execution_id": execution_id,
        "outputs": [output.as_json() for output in outputs],
        "index_path": paths.index_path(write_prefix),
        "meta": meta,
    }


def refusal(execution_id: str, error: ContractError, meta: dict[str, Json]) -> dict[str, Json]:
    """The envelope of an error."""
    return {
        "status": "error",
        "execution_id": execution_id,
        "error": dict(error.as_json()),
        "meta": meta,
    }


def last_event(reply: Reply, stdout: spawn.Tail) -> tuple[str, dict[str, Json]]:
    """The adapter's last event: how it went, and the digest of the processor's own envelope."""
    kept: dict[str, Json] = {"reply_digest": stdout.digest}
    if reply.error is None:
        return "adapter.invoke.complete", kept
    return "adapter.invoke.error", {"code": reply.error.code, "reason": reply.error.reason, **kept}


def known(error: Exception) -> ContractError:
    """Return an error of the table for whatever was raised.

    What the table does not know becomes ``orchestrator_error``: its type is told, its text is not,
    since that could hold anything.
    """
    if isinstance(error, ContractError):
        return error
    return adapter_error(
        "orchestrator_error",
        f"unexpected {type(error).__name__}; run again with --debug to see where",
    )


def show_frames(error: Exception, trail: Trail) -> None:
    """Say on stderr where an error came from that nobody foresaw, frame by frame."""
    import traceback  # rarely needed

    for frame in traceback.extract_tb(error.__traceback__)[-DEBUG_FRAMES_MAX:]:
        where = f"{frame.filename}:{frame.lineno} in {frame.name}"
        trail.emit("debug.traceback", {"text": where[-FIELD_CHARS_MAX:]})


def masked(error: ContractError, secret_values: list[str]) -> ContractError:
    """The error without a secret, which a name that the processor chose could hold."""
    if not secret_values:
        return error
    from processors.protocol import redact  # runs without a secret do without it

    return ContractError(
        error.code, error.reason, redact.masked(error.whole_message, secret_values)
    )


def tails(ended: spawn.Ended) -> dict[str, Json]:
    """The ends of a child's streams, as an error's ``meta`` has them."""
    return {
        name: {
            "text": stream.text(),
            "digest": stream.digest,
            "size_bytes": stream.size_bytes,
        }
        for name, stream in (("stderr", ended.stderr), ("stdout", ended.stdout))
    }
