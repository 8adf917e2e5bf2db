"""What the side that started a processor does with what the processor left.

It tells plain files from what else may lie there. And it writes the receipt of a run whose
processor could not write its own, or whose own cannot stand; never into the tree the processor
worked in: what lies there is the processor's, links included.
"""

from __future__ import annotations

import os
import stat
import time

from processors.protocol import paths, receipt
from processors.protocol.errors import ContractError
from processors.protocol.payload import Payload


def is_plain(physical: str) -> bool:
    """A regular file with no second name, reached through no link of the processor's making."""
    try:
        status = os.lstat(physical)
    except OSError:
        return False
    plain = stat.S_ISREG(status.st_mode) and status.st_nlink == 1
    return plain and os.path.realpath(physical) == os.path.normpath(physical)


def files_below(tree: str, prefix: str) -> list[str]:
    """The world paths of everything under a prefix that is not a folder."""
    found = []
    for folder, names, files in os.walk(tree + prefix):
        links = [name for name in names if os.path.islink(os.path.join(folder, name))]
        found += [os.path.join(folder, name)[len(tree) :] for name in (*files, *links)]
    return sorted(found)


def write_stub(
    tree: str, payload: Payload, payload_hash: str, error: ContractError, duration_ms: int
) -> list[str]:
    """Write both copies of a receipt that says how a run failed; it cannot claim a success.

    Args:
        tree: A folder of the supervisor's own, laid out like the world.
        payload: What the processor was given.
        payload_hash: The digest of the exact bytes it was given.
        error: How the run failed.
        duration_ms: How long it took, by a monotonic clock.

    Returns:
        The world paths of the two copies.
    """
    stub = receipt.encode(
        writer="supervisor",
        payload=payload,
        payload_hash=payload_hash,
        outputs=[],
        error=error,
        cost_micro_usd=0,
        started_at=time.strftime(
            "%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - duration_ms / 1000)
        ),
        duration_ms=duration_ms,
    )
    written = [
        paths.determinism_path(payload.execution_id),
        paths.receipt_path(payload.write_prefix),
    ]
    for path in written:
        os.makedirs(os.path.dirname(tree + path), exist_ok=True)
        with open(tree + path, "xb") as file:
            file.write(stub)
    return written
