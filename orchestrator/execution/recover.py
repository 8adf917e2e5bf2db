"""What a killed orchestrator left: ended, and settled if it had finished, else given up.

Runs at the start of every execution, or of the loop that begins it, before anything else is done
in the world; nothing has to be unlocked by hand. A processor that had finished left its receipt,
and everything the receipt says is checked as if the processor had just ended.
"""

from __future__ import annotations

import os

from orchestrator.execution import answer, checks, settle
from orchestrator.execution.settle import REGISTRY_COPY, WORLD_TROUBLE, Attempt
from orchestrator.images import processors
from orchestrator.loop import settle as loop
from orchestrator.world import fold
from orchestrator.world.records import Execution
from orchestrator.world.staging import Staging
from orchestrator.world.world import World
from processors.protocol import digests, paths, shapes
from processors.protocol.canonical import Json, canonical, parse_object
from processors.protocol.envelope import META_KEYS
from processors.protocol.errors import ContractError, adapter_error
from processors.protocol.payload import PAYLOAD_BYTES_MAX, Artifact, Payload
from processors.protocol.refs import parse_ref

LOST_MESSAGE = "the processor's own words were lost when the orchestrator was killed"


def recover(world: World, processors_folder: str) -> None:
    """Bring every attempt whose process is gone to its end.

    Args:
        world: The world.
        processors_folder: Where the build left the processors, whose registries say what a
            finished attempt must have made.

    Raises:
        ContractError: ``ERR_INPUTS``: the world cannot be written.
    """
    for staging in world.stagings.abandoned():
        from processors.protocol import leftovers  # rarely needed

        leftovers.end_attempt(world.mark(staging))
        execution_id, _, number = staging.attempt.rpartition(".")
        execution = world.ledger.execution(execution_id)
        if execution is not None and _is_running(execution, number):
            _close(world, execution, staging, processors_folder)
        world.stagings.discard(staging)
    for execution in world.ledger.running():
        if not world.stagings.holds(settle.name_of(execution.execution_id, execution.attempt)):
            _give_up(world, execution)


def _is_running(execution: Execution, number: str) -> bool:
    return execution.status == fold.RUNNING and str(execution.attempt) == number


def _close(world: World, execution: Execution, staging: Staging, processors_folder: str) -> None:
    try:
        _settle(world, execution, staging, processors_folder)
    except ContractError as error:
        if error.reason in WORLD_TROUBLE:
            raise  # it may be whole; whoever has put the world right finds it here
        _give_up(world, execution)  # it had not finished, or what it left cannot stand


def _give_up(world: World, execution: Execution) -> None:
    with world.ledger.writing() as transaction:
        now = world.ledger.execution(execution.execution_id)
        if now is not None and _is_running(now, str(execution.attempt)):
            transaction.append(
                "execution.abandoned",
                {"execution_id": now.execution_id, "attempt": now.attempt},
            )
            loop.give_up(world.ledger, transaction, now.execution_id)


def _settle(world: World, execution: Execution, staging: Staging, processors_folder: str) -> None:
    """Settle a finished attempt from its receipt.

    Raises:
        ContractError: It has none, or what it left is not what the receipt says.
    """
    assert execution.started_seq is not None
    asked, begun = (
        world.ledger.event_of(execution.execution_id, seq, type_).data
        for seq, type_ in (
            (execution.requested_seq, "execution.requested"),
            (execution.started_seq, "execution.started"),
        )
    )
    if _had_secrets(world, execution):
        raise adapter_error("receipt_invalid", "what a run with secrets left was never masked")
    products = _products(execution, begun, staging, processors_folder)
    payload = _payload(world, asked)
    payload_hash = shapes.text(begun, "payload_hash")
    document = _receipt(staging, payload)
    _bring_back(world, staging, payload, document)
    attempt = Attempt(payload, payload_hash, execution.attempt, staging)
    own = _own_envelope(document, payload)
    reply = checks.reply(own, payload, payload_hash, checks.Tree(staging.tree))
    attempt.effects = checks.effects_of(reply, payload, products)
    meta = _meta(asked, begun, document)
    if reply.error is None:
        made, prefix = reply.outputs, payload.write_prefix
        envelope = answer.success(payload.execution_id, made, prefix, meta)
        settle.success(world, attempt, made, envelope, None)  # its own envelope is lost
    else:
        envelope = answer.refusal(payload.execution_id, reply.error, meta)
        settle.failure(world, attempt, "processor", envelope, None)


def _products(
    execution: Execution, begun: dict[str, Json], staging: Staging, processors_folder: str
) -> list[str]:
    """What the attempt was to make, from the registry that it ran with and no other."""
    ref = parse_ref(execution.ref)
    assert ref is not None
    processor = processors.load(processors_folder, ref)
    kept = os.path.join(staging.folder, REGISTRY_COPY)
    if os.path.lexists(kept):  # it was one of --registry-root
        with open(kept, "rb") as file:
            data = file.read(checks.DOCUMENT_BYTES_MAX + 1)
        processor.read_by(parse_object(data, kept, bytes_max=checks.DOCUMENT_BYTES_MAX))
    if processor.registry_digest != shapes.members(begun, "memo")["registry"]:
        raise adapter_error("receipt_invalid", "the registry of the attempt is gone")
    return processor.products


def _payload(world: World, asked: dict[str, Json]) -> Payload:
    """What the processor was given, from the ledger's words."""
    cid = shapes.text(asked["inputs"], "cid")
    inputs = world.objects.read(cid, bytes_max=PAYLOAD_BYTES_MAX)
    return Payload(
        execution_id=shapes.text(asked, "execution_id"),
        ref=shapes.text(asked, "ref"),
        mode=shapes.text(asked, "mode"),
        inputs=parse_object(inputs, "the inputs", bytes_max=PAYLOAD_BYTES_MAX),
        artifacts={
            name: Artifact(
                shapes.text(item, "path"),
                shapes.text(item, "cid"),
                shapes.count(item, "size_bytes"),
            )
            for name, item in shapes.members(asked, "artifacts").items()
        },
        write_prefix=shapes.text(asked, "write_prefix"),
    )


def _had_secrets(world: World, execution: Execution) -> bool:
    """Whether secrets were opted in: then nothing counts but what was masked on the way."""
    assert execution.started_seq is not None
    admitted = world.ledger.event_of(  # of the same transaction
        execution.execution_id, execution.started_seq - 1, "execution.admitted"
    )
    return shapes.members(admitted.data, "question")["secrets"] is not False


def _receipt(staging: Staging, payload: Payload) -> dict[str, Json]:
    """The receipt; a copy that was on its way into the store is put back from the other."""
    first = paths.receipt_path(payload.write_prefix)
    second = paths.determinism_path(payload.execution_id)
    if not os.path.lexists(staging.tree + first):
        first, second = second, first
    tree = checks.Tree(staging.tree)
    data = tree.read(first)
    _put_back(tree, second, data)
    return parse_object(data, first, bytes_max=checks.DOCUMENT_BYTES_MAX)


def _bring_back(
    world: World, staging: Staging, payload: Payload, document: dict[str, Json]
) -> None:
    """Put back what was moved into the store when its fact was not written any more."""
    tree, outputs = checks.Tree(staging.tree), document.get("outputs")
    for item in outputs if isinstance(outputs, list) else ():
        if not isinstance(item, dict) or not digests.is_digest(item.get("cid")):
            raise adapter_error("receipt_invalid", "the receipt names no contents")
        path = item.get("path")
        if not isinstance(path, str) or paths.canonical_path(path) != path:
            raise adapter_error("receipt_invalid", "the receipt names no paths")
        if paths.is_under(path, payload.write_prefix) and _is_free(tree, path):
            world.objects.copy_to(shapes.text(item, "cid"), staging.tree + path)
    if document.get("error") is None:
        index = canonical({"schema": "v1", "outputs": outputs}) + b"\n"
        _put_back(tree, paths.index_path(payload.write_prefix), index)


def _is_free(tree: checks.Tree, path: str) -> bool:
    """Whether nothing lies there, in a folder that is reached through no link of a processor's."""
    return tree.holds_folder(path.rpartition("/")[0]) and not os.path.lexists(tree.root + path)


def _put_back(tree: checks.Tree, path: str, data: bytes) -> None:
    if _is_free(tree, path):
        with open(tree.root + path, "xb") as file:
            file.write(data)


def _own_envelope(document: dict[str, Json], payload: Payload) -> bytes:
    """The envelope that a processor with this receipt has printed, but for an error's message."""
    meta: dict[str, Json] = {
        "processor_ref": payload.ref,
        "mode": payload.mode,
        "inputs_hash": payload.inputs_hash(),
        "cost_micro_usd": document.get("cost_micro_usd"),
    }
    envelope: dict[str, Json] = {"execution_id": payload.execution_id, "meta": meta}
    error = document.get("error")
    if isinstance(error, dict):
        envelope |= {"status": "error", "error": {**error, "message": LOST_MESSAGE}}
    else:
        index_path = paths.index_path(payload.write_prefix)
        outputs = document.get("outputs")
        envelope |= {"status": "success", "outputs": outputs, "index_path": index_path}
    return canonical(envelope)


def _meta(
    asked: dict[str, Json], begun: dict[str, Json], document: dict[str, Json]
) -> dict[str, Json]:
    """The envelope's ``meta``, from the ledger's words and the receipt's."""
    known = {
        **asked,
        **begun,
        "processor_ref": asked["ref"],
        "env_fingerprint": shapes.members(begun, "memo")["env_fingerprint"],
        "cost_micro_usd": document["cost_micro_usd"],
        "duration_ms": shapes.members(document, "volatile")["duration_ms"],
    }
    meta = {key: known[key] for key in META_KEYS}
    return {**meta, "override": True} if begun["override"] else meta
