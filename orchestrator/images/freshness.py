"""Whether a pin is the image that its sources build, and what a lane makes of it. Pure."""

from __future__ import annotations

from orchestrator.lanes import LANES
from processors.protocol import digests
from processors.protocol.errors import ContractError, mismatch

FRESH, STALE, UNPINNED = "fresh", "stale", "unpinned"


def state(pinned: str | None, built: str) -> str:
    """Compare a pin with what is built."""
    if pinned is None or not digests.is_pin(pinned):
        return UNPINNED
    return FRESH if pinned == built else STALE


def problem(lane: str, ref: str, pinned: str | None, built: str) -> ContractError | None:
    """What a lane has against a pin, or None; a lane that runs from source has nothing.

    Args:
        lane: A key of ``LANES``.
        ref: The processor.
        pinned: What registry.yaml has as a pin, whatever it is; None for null.
        built: The digest of the build.
    """
    if LANES[lane].artifacts != "pinned":
        return None
    found = state(pinned, built)
    todo = f"run on a branch: {command(ref)}"
    if found == STALE:
        return mismatch("pin_stale", f"{ref} is pinned to {pinned} and built as {built}; {todo}")
    if found == UNPINNED:
        reason = "no_pin" if pinned is None else "bad_pin"
        said = "nothing" if pinned is None else ascii(pinned[:100])
        return ContractError(
            "ERR_IMAGE_UNPINNED", reason, f"{ref} is pinned to {said} and built as {built}; {todo}"
        )
    return None


def command(ref: str) -> str:
    """The command that pins what is built."""
    return f"tools/bazel run //:pin_processor -- --ref {ref} --registry HOST[/PATH]"
