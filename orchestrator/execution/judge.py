"""``reply``: what the end of a child says, as its reply or as the one error that went wrong."""

from __future__ import annotations

import signal

from orchestrator.execution import checks
from orchestrator.execution.settle import Attempt
from processors.protocol import spawn
from processors.protocol.envelope import Reply
from processors.protocol.errors import adapter_error


def reply(ended: spawn.Ended, attempt: Attempt, products: list[str]) -> Reply:
    """Turn the end of a child into its reply; note which declared effects it has made.

    Args:
        ended: How the child ended.
        attempt: What it was given, and where it worked.
        products: The ``produces`` of the registry that it ran with.

    Raises:
        ContractError: ``ERR_ADAPTER_INVOCATION`` with the first fault found.
    """
    if ended.stopped is not None:
        reason = "interrupted" if ended.stopped == signal.SIGINT else "terminated"
        raise adapter_error(reason, f"signal {ended.stopped} ended the run")
    if ended.timed_out:
        raise adapter_error("time_limit", f"the processor ran longer than {ended.elapsed_ms} ms")
    if ended.returncode < 0:
        raise adapter_error("killed", f"signal {-ended.returncode} ended the processor")
    if ended.returncode != 0 and ended.stdout.size_bytes == 0:
        raise adapter_error("exit_status", f"the processor ended with status {ended.returncode}")
    if not ended.stdout.complete:
        size = ended.stdout.size_bytes
        raise adapter_error("envelope_invalid", f"stdout has {size} bytes, more than an envelope")
    left = checks.Tree(attempt.staging.tree)
    found = checks.reply(bytes(ended.stdout.data), attempt.payload, attempt.payload_hash, left)
    attempt.small = left.small
    attempt.effects = checks.effects_of(found, attempt.payload, products)
    if found.error is None and ended.returncode != 0:
        raise adapter_error("exit_status", f"a success, and then status {ended.returncode}")
    return found
