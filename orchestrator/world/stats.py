"""What a world holds, in numbers."""

from __future__ import annotations

import os

from orchestrator.world import facts, ledger_file
from orchestrator.world.world import World
from processors.protocol.canonical import Json


def of(world: World) -> dict[str, Json]:
    """Count events, executions, artifacts and bytes, all at one moment of the ledger.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``world_corrupt``.
    """
    ledger, file = world.ledger, world.ledger.file
    with ledger.reading():
        head = ledger.head()
        types = dict(file.select(_TYPES))
        statuses = dict(file.select(_STATUSES))
        artifacts = file.row(_ARTIFACTS)
        referred = file.row(_REFERRED)
    assert artifacts is not None
    assert referred is not None
    stored = [size for _, size in world.objects.sizes()]
    return {
        "world": ledger.world(),
        "format": facts.FORMAT,
        "events": {"count": head.count, "by_type": types},
        "executions": {"count": sum(statuses.values()), "by_status": statuses},
        "artifacts": _amount(*artifacts),
        "contents_referred": _amount(*referred),
        "contents_stored": _amount(len(stored), sum(stored)),
        "ledger_bytes": _ledger_bytes(ledger.folder),
    }


def _amount(count: int, size_bytes: int) -> Json:
    return {"count": count, "size_bytes": size_bytes}


def _ledger_bytes(folder: str) -> int:
    """The ledger's file with what of it is still in the write-ahead log."""
    files = [os.path.join(folder, ledger_file.NAME + ending) for ending in ("", "-wal")]
    return sum(os.path.getsize(file) for file in files if os.path.exists(file))


_TYPES = """\
SELECT json_extract(CAST(body AS TEXT), '$.type') AS type, count(*) FROM events
  GROUP BY type ORDER BY type"""
_STATUSES = "SELECT status, count(*) FROM executions GROUP BY status ORDER BY status"
_ARTIFACTS = "SELECT count(*), coalesce(sum(size_bytes), 0) FROM artifacts"
_REFERRED = """\
SELECT count(*), coalesce(sum(size_bytes), 0) FROM
  (SELECT max(size_bytes) AS size_bytes FROM artifacts GROUP BY cid)"""
