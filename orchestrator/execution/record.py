"""What an execution says to the ledger, fact by fact. Pure: values in, the data of events out."""

from __future__ import annotations

from orchestrator import lanes
from orchestrator.execution.request import Request
from processors.protocol import digests, paths, shapes
from processors.protocol.canonical import Json
from processors.protocol.envelope import Output
from processors.protocol.errors import ContractError
from processors.protocol.payload import Artifact, Payload

type Data = dict[str, Json]


def question(request: Request) -> Data:
    """What the lane table is asked; ``lanes.answer`` gives the verdict, now or again."""
    return {
        "lane": request.lane,
        "adapter": request.adapter,
        "mode": request.mode,
        "override": request.image_override is not None,
        "secrets": bool(request.allow_env),
        "registry_root": request.registry_root is not None,
        "allow_real": request.allow_real,
    }


def intent(request: Request, payload: Payload, registry: Json) -> str:
    """The digest of what is asked for. The same id with another intent is another thing.

    Args:
        request: The request.
        payload: What the processor is given.
        registry: The digest of the registry; that of one that was named is a part of the intent.
    """
    named: Data = {} if request.registry_root is None else {"registry": registry}
    return digests.of_json(
        {
            **named,
            "ref": str(request.ref),
            "adapter": request.adapter,
            "mode": request.mode,
            "lane": request.lane,
            "write_prefix": request.write_prefix,
            "inputs_hash": payload.inputs_hash(),
            "artifacts": {name: item.path for name, item in payload.artifacts.items()},
            "image_override": request.image_override,
        }
    )


def file(path: str, cid: str, size_bytes: int) -> Data:
    """A file as events name it."""
    return {"path": path, "cid": cid, "size_bytes": size_bytes}


def moved(item: Json, old_prefix: str, new_prefix: str) -> Output:
    """An output of the ledger, as it is called under another write prefix."""
    path = shapes.text(item, "path")
    return Output(
        new_prefix + path.removeprefix(old_prefix),
        shapes.text(item, "cid"),
        shapes.count(item, "size_bytes"),
        shapes.text(item, "mime"),
    )


def attached(artifact: Artifact) -> Data:
    """``artifact.put`` of a file that came from outside."""
    return {**artifact.as_json(), "mime": "application/octet-stream", "source": None}


def refused(request: Request, error: ContractError) -> Data:
    """``execution.refused``."""
    return {
        "execution_id": request.execution_id,
        "ref": str(request.ref),
        "write_prefix": request.write_prefix,
        "policy": lanes.VERSION,
        "question": question(request),
        "error": {"code": error.code, "reason": error.reason},
    }


def requested(request: Request, payload: Payload, intent_: str, inputs: Data) -> Data:
    """``execution.requested``; ``inputs`` is the file that holds them."""
    return {
        "execution_id": request.execution_id,
        "intent": intent_,
        "ref": payload.ref,
        "adapter": request.adapter,
        "mode": request.mode,
        "lane": request.lane,
        "write_prefix": payload.write_prefix,
        "inputs_hash": payload.inputs_hash(),
        "inputs": inputs,
        "artifacts": {name: item.as_json() for name, item in payload.artifacts.items()},
    }


def admitted(request: Request) -> Data:
    """``execution.admitted``."""
    return {
        "execution_id": request.execution_id,
        "policy": lanes.VERSION,
        "question": question(request),
    }


def started(request: Request, payload_hash: str, attempt: int, memo: Data, meta: Data) -> Data:
    """``execution.started``."""
    return {
        "execution_id": request.execution_id,
        "attempt": attempt,
        "payload_hash": payload_hash,
        "memo_key": meta["memo_key"],
        "memo": memo,
        "app": meta["app"],
        "function": meta["function"],
        "image_digest": meta["image_digest"],
        "override": request.image_override is not None,
    }


def outputs(payload: Payload, attempt: int, made: list[Output], index: Data) -> Data:
    """``execution.outputs``: what replaces everything under the write prefix."""
    return {
        "execution_id": payload.execution_id,
        "attempt": attempt,
        "replaces": payload.write_prefix,
        "outputs": [output.as_json() for output in made],
        "index": index,
    }


def receipts(
    payload: Payload, attempt: int, writer: str, receipt: tuple[str, int], replaces: str | None
) -> Data:
    """``execution.receipts``: one content at two paths, or at the execution's own alone.

    Args:
        payload: What was asked for.
        attempt: Which attempt it is of.
        writer: One of ``receipt.WRITERS``.
        receipt: Content id and size.
        replaces: The prefix whose artifacts a failure's receipt replaces; None leaves them, and ""
            leaves out the copy under the prefix, where somebody else's receipt stands.
    """
    places = [paths.determinism_path(payload.execution_id)]
    if replaces != "":
        places.append(paths.receipt_path(payload.write_prefix))
    return {
        "execution_id": payload.execution_id,
        "attempt": attempt,
        "writer": writer,
        "replaces": replaces or None,
        "receipts": [file(path, *receipt) for path in places],
    }


def settled(attempt: int, envelope: Data, kept: Data, reply_digest: str | None) -> Data:
    """``execution.settled``; ``kept`` is the file that holds the envelope."""
    error, meta = envelope.get("error"), envelope["meta"]
    assert isinstance(meta, dict)
    own: Json = None
    if isinstance(error, dict):
        own = {"code": error["code"], "reason": error["reason"]}
    return {
        "execution_id": envelope["execution_id"],
        "attempt": attempt,
        "status": envelope["status"],
        "error": own,
        "cost_micro_usd": meta["cost_micro_usd"],
        "duration_ms": meta["duration_ms"],
        "reply_digest": reply_digest,
        "envelope": kept,
    }


def reused(payload: Payload, meta: Data, made: list[Output], index: Data, kept: Data) -> Data:
    """``execution.reused``: an earlier execution's contents under this one's prefix."""
    return {
        "execution_id": payload.execution_id,
        "origin": meta["reused_from"],
        "memo_key": meta["memo_key"],
        "replaces": payload.write_prefix,
        "outputs": [output.as_json() for output in made],
        "index": index,
        "envelope": kept,
    }
