"""Settle an attempt: its bytes into the store, then every fact about its end in one transaction.

What was checked becomes visible at once or not at all. A failure leaves its receipts and never
takes the place of what a success has made.
"""

from __future__ import annotations

import os

from orchestrator.execution import checks, record
from orchestrator.loop import settle as loop
from orchestrator.world.placing import Placing
from orchestrator.world.staging import Staging, StagingArea
from orchestrator.world.world import World
from processors.protocol import paths, shapes
from processors.protocol.canonical import Json, canonical
from processors.protocol.envelope import Output, index_document
from processors.protocol.payload import Payload

# Why a world takes nothing: what an attempt has left may be whole, and waits for recovery.
WORLD_TROUBLE = ("world_unwritable", "world_busy")

# In an attempt's folder: the registry that it runs with, if that is not the one that was built in.
REGISTRY_COPY = "registry.json"


class Attempt:
    """One try of an execution: what it was given, and where it works.

    ``number`` counts from 1 and is the fencing number: only the last one's facts are taken.
    """

    __slots__ = (
        *("effects", "is_left", "is_settled", "number", "payload", "payload_hash"),
        *("small", "staging"),
    )

    def __init__(self, payload: Payload, payload_hash: str, number: int, staging: Staging) -> None:
        self.payload = payload
        self.payload_hash = payload_hash
        self.number = number
        self.staging = staging
        self.effects: list[str] = []  # the declared ones that were found, once it was judged
        self.small: dict[str, bytes] = {}  # what was judged of it, of some small files, by path
        self.is_settled = False  # as a success
        self.is_left = False  # whether it has ended, and the world could not be told of it


def name_of(execution_id: str, number: int) -> str:
    """What an attempt is called; ``.`` is in no execution id."""
    return f"{execution_id}.{number}"


def success(
    world: World,
    attempt: Attempt,
    outputs: list[Output],
    envelope: dict[str, Json],
    digest: str | None,
) -> None:
    """Make visible what a processor made, in the place of all that its prefix held.

    Args:
        world: The world.
        attempt: The attempt, which has ended and been checked.
        outputs: Its outputs.
        envelope: What the caller is answered.
        digest: Of the processor's own envelope; None if that is lost.

    Raises:
        ContractError: ``ERR_INPUTS``: the world cannot be written; then nothing is settled.
    """
    payload, tree = attempt.payload, attempt.staging.tree
    index_path = paths.index_path(payload.write_prefix)
    receipt_path = paths.receipt_path(payload.write_prefix)
    with world.objects.placing() as placing:
        for output in outputs:
            small = attempt.small.get(output.path)
            placing.move(tree + output.path, output.cid, output.size_bytes, small)
        index = placing.take(tree + index_path, attempt.small.get(index_path))
        receipt = placing.take(tree + receipt_path, attempt.small.get(receipt_path))
        kept = keep(placing, envelope)
        ahead = world.place_ahead(placing)
        with world.ledger.writing(ahead) as transaction:
            for kind, data in (
                (
                    "execution.outputs",
                    record.outputs(
                        payload, attempt.number, outputs, record.file(index_path, *index)
                    ),
                ),
                (
                    "execution.receipts",
                    record.receipts(payload, attempt.number, "processor", receipt, None),
                ),
                ("execution.settled", record.settled(attempt.number, envelope, kept, digest)),
            ):
                transaction.append(kind, data)
            loop.end(
                world.ledger,
                transaction,
                payload.execution_id,
                cost=shapes.count(envelope["meta"], "cost_micro_usd"),
                error=None,
                effects=attempt.effects,
            )
    attempt.is_settled = True


def let_go(attempt: Attempt, stagings: StagingArea) -> None:
    """Let go of the folder of an attempt that has ended; only a success leaves one to use again."""
    if attempt.is_left:
        stagings.leave(attempt.staging)
    elif attempt.is_settled:
        stagings.recycle(attempt.staging)
    else:
        stagings.discard(attempt.staging)


def failure(
    world: World, attempt: Attempt, writer: str, envelope: dict[str, Json], digest: str | None
) -> None:
    """Make the receipts of a failure visible, and nothing else.

    Args:
        world: The world.
        attempt: The attempt, which has ended.
        writer: Who wrote its receipt: it lies in ``tree`` if the processor did, else in ``own``.
        envelope: What the caller is answered.
        digest: Of the processor's own envelope; None if that was not valid.

    Raises:
        ContractError: ``ERR_INPUTS``: the world cannot be written; then nothing is settled.
    """
    payload, staging = attempt.payload, attempt.staging
    tree = staging.tree if writer == "processor" else staging.own
    with world.objects.placing() as placing:
        receipt = placing.take(tree + paths.determinism_path(payload.execution_id))
        kept = keep(placing, envelope)
        ahead = world.place_ahead(placing)
        with world.ledger.writing(ahead) as transaction:
            replaces = "" if world.is_settled(payload.write_prefix) else payload.write_prefix
            transaction.append(
                "execution.receipts",
                record.receipts(payload, attempt.number, writer, receipt, replaces),
            )
            transaction.append(
                "execution.settled", record.settled(attempt.number, envelope, kept, digest)
            )
            error = shapes.members(envelope, "error")
            cost = shapes.count(envelope["meta"], "cost_micro_usd")
            loop.end(
                world.ledger,
                transaction,
                payload.execution_id,
                cost=cost if writer == "processor" else None,
                error=(shapes.text(error, "code"), shapes.text(error, "reason")),
            )


def disown(attempt: Attempt) -> None:
    """Take a processor's receipts away once its run was judged a failure: they settle nothing.

    What else lies in their places settles nothing either.
    """
    payload, tree = attempt.payload, checks.Tree(attempt.staging.tree)
    for path in (
        paths.receipt_path(payload.write_prefix),
        paths.determinism_path(payload.execution_id),
    ):
        if tree.holds(path):
            os.unlink(attempt.staging.tree + path)


def reuse(
    placing: Placing,
    payload: Payload,
    outputs: list[Output],
    envelope: dict[str, Json],
) -> dict[str, Json]:
    """Return the data of ``execution.reused``, with everything taken that it refers to."""
    index = canonical(index_document(outputs)) + b"\n"
    place = paths.index_path(payload.write_prefix)
    index_file = record.file(place, *placing.write(index))
    kept = keep(placing, envelope)
    return record.reused(payload, shapes.members(envelope, "meta"), outputs, index_file, kept)


def keep(placing: Placing, envelope: dict[str, Json]) -> dict[str, Json]:
    """Take an envelope into the store; return the file that holds it."""
    execution_id = str(envelope["execution_id"])
    return record.file(paths.envelope_path(execution_id), *placing.write(canonical(envelope)))
