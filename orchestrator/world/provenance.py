"""Where something in a world comes from: finds the events that say it, for ``why`` to fold."""

from __future__ import annotations

from orchestrator.world import fold, why
from orchestrator.world.chain import Event
from orchestrator.world.ledger import SEQ_MAX, Ledger
from orchestrator.world.world import World
from processors.protocol import paths, refs, shapes
from processors.protocol.canonical import Json, parse_object
from processors.protocol.envelope import ENVELOPE_BYTES_MAX
from processors.protocol.errors import inputs_error
from processors.protocol.payload import PAYLOAD_BYTES_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    type Account = dict[str, Json]


def of(world: World, subject: str) -> Account:
    """What made an artifact or an execution, and from what.

    Args:
        world: The world.
        subject: A world path, or an execution id.

    Returns:
        ``artifact`` (null for an execution) and ``execution`` (null for what came from outside).

    Raises:
        ContractError: ``ERR_INPUTS`` / ``unknown_artifact``, or a ``path_*`` reason for what is
            neither.
    """
    if refs.is_execution_id(subject):
        return {"artifact": None, "execution": _told(world, subject)}
    ledger = world.ledger
    path = paths.canonical_path(subject)
    found = ledger.artifact(path)
    if found is None:
        raise inputs_error(
            "unknown_artifact", f"the world has no artifact {path!a}; its log may tell what it was"
        )
    event = ledger.event(found.seq)
    artifact: Account = {
        "path": path,
        "cid": found.cid,
        "size_bytes": found.size_bytes,
        "mime": found.mime,
        "put": _brief(event),
        "source": event.data.get("source"),
    }
    maker = event.data.get("execution_id")
    execution = _told(world, maker) if isinstance(maker, str) else None
    return {"artifact": artifact, "execution": execution}


def between(world: World, one: str, other: str) -> Account:
    """In what two executions, or the executions that made two artifacts, differ.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``unknown_artifact``: one of them does not exist, or nothing
            says what it depends on.
    """
    accounts = [_made_by(world, subject) for subject in (one, other)]
    memos = [shapes.members(account, "memo") for account in accounts]
    inputs, compared = None, "equal"
    if memos[0]["inputs"] != memos[1]["inputs"]:
        inputs = _both(world, accounts)
        compared = "by digest" if inputs is None else "by member"
    told: list[Json] = [
        {name: account[name] for name in ("execution_id", "ref", "status", "memo_key")}
        for account in accounts
    ]
    return {
        "a": told[0],
        "b": told[1],
        "inputs_compared": compared,
        "differences": why.differences(memos[0], memos[1], inputs),
    }


def _told(world: World, execution_id: str) -> Account:
    """The account of an execution, with what its failure said: events hold the reason alone."""
    account = _execution(world.ledger, execution_id)
    return {**account, "failure": _failure(world, account)}


def _failure(world: World, account: Account) -> Json:
    """An error's message and the end of the processor's stderr, while their bytes are there."""
    kept = account["envelope"]
    if account["error"] is None or not isinstance(kept, dict):
        return None
    cid = shapes.text(kept, "cid")
    if not world.objects.holds(cid, shapes.count(kept, "size_bytes")):
        return None
    data = world.objects.read(cid, bytes_max=ENVELOPE_BYTES_MAX)
    found = parse_object(data, "the envelope", bytes_max=ENVELOPE_BYTES_MAX)
    tails = shapes.members(found, "meta").get("tails")
    stderr = shapes.text(shapes.members(tails, "stderr"), "text") if tails is not None else None
    return {"message": shapes.text(found["error"], "message"), "stderr": stderr}


def _execution(ledger: Ledger, execution_id: str) -> Account:
    """The account of an execution, with the maker of each artifact that it was given."""
    row = ledger.execution(execution_id)
    if row is None:
        account = why.explain(execution_id, ledger.events())  # refused ones have no row
        if account["status"] is None:
            raise inputs_error("unknown_artifact", f"the world has no execution {execution_id!a}")
        if account["status"] != why.REFUSED:
            raise ledger.file.stale(f"the table executions lacks {execution_id}")
        return account
    ledger.event_of(execution_id, row.requested_seq, "execution.requested")
    events = ledger.events(row.requested_seq - 1, row.settled_seq or SEQ_MAX)
    account = why.explain(execution_id, events)
    if row.settled_seq is not None and account["status"] != row.status:
        raise ledger.file.stale(
            f"the table executions says {row.status} of {execution_id}, and the events"
            f" up to {row.settled_seq} say {account['status'] or 'nothing'}"
        )
    if row.status == fold.REUSED:  # the same key is the same pre-image
        account["memo"] = _execution(ledger, shapes.text(account, "origin"))["memo"]
    account["artifacts"] = {
        name: {**_file(item), "put": _maker(ledger, item, row.requested_seq)}
        for name, item in shapes.members(account, "artifacts").items()
    }
    return account


def _file(item: Json) -> Account:
    assert isinstance(item, dict)
    return item


def _maker(ledger: Ledger, item: Json, until: int) -> Json:
    """The event that put an artifact where an execution found it."""
    path, cid = shapes.text(item, "path"), shapes.text(item, "cid")
    now = ledger.artifact(path)
    if now is not None and now.cid == cid and now.seq <= until:
        return _brief(ledger.event(now.seq))
    found: Event | None = None  # it is no longer there, so the list has to be walked
    for event in ledger.events(0, until):
        for change in fold.changes(event):
            if change.name == "put" and change.values[:2] == (path, cid):
                found = event
    return None if found is None else _brief(found)


def _brief(event: Event) -> Account:
    """What put an artifact: one step back, and no further."""
    return {
        "seq": event.seq,
        "at": event.at,
        "type": event.type,
        "execution_id": event.data.get("execution_id"),
    }


def _made_by(world: World, subject: str) -> Account:
    """The account of an execution that depends on something that is known."""
    account = of(world, subject)["execution"]
    if account is None:
        raise inputs_error(
            "unknown_artifact", f"{subject!a} came from outside; no execution made it"
        )
    assert isinstance(account, dict)
    if account["memo"] is None:
        raise inputs_error(
            "unknown_artifact",
            f"execution {account['execution_id']} never started, so it depends on nothing known",
        )
    return account


def _both(world: World, accounts: list[Account]) -> tuple[Json, Json] | None:
    """Both inputs, if their bytes are there."""
    found: list[Json] = []
    for account in accounts:
        cid = shapes.text(account["inputs"], "cid")
        if not world.objects.holds(cid, shapes.count(account["inputs"], "size_bytes")):
            return None
        data = world.objects.read(cid, bytes_max=PAYLOAD_BYTES_MAX)
        found.append(parse_object(data, "the inputs", bytes_max=PAYLOAD_BYTES_MAX))
    return found[0], found[1]
