"""What a result depends on, as data: the pre-image of the memo key.

Nothing that a run can observe and that may change its result is left out; what differs between two
runs of one thing, its id, its attempt and its place, is not in it. The ledger keeps the pre-image
whole, so that ``why`` can name the part in which two executions differ. The values of secrets are
not in it: a digest of one would be a way to guess it, and whose account pays is not what is asked.
"""

from __future__ import annotations

from processors.protocol import digests
from processors.protocol.canonical import Json
from processors.protocol.payload import Payload


def preimage(
    payload: Payload, inputs: str, *, code: str, registry: str, env_fingerprint: str
) -> dict[str, Json]:
    """What the result of an execution depends on.

    Args:
        payload: What the processor is asked to do.
        inputs: The digest of its inputs alone, in canonical form.
        code: The digest of what runs: the source root, or the image's digest.
        registry: The digest of the registry that the processor reads; its image pin does not count.
        env_fingerprint: Where it runs.
    """
    return {
        "ref": payload.ref,
        "code": code,
        "registry": registry,
        "mode": payload.mode,
        "inputs": inputs,
        "artifacts": {
            # A processor sees the last part of an artifact's path too (``Job.artifact_name``).
            name: {"cid": item.cid, "called": item.path.rpartition("/")[2]}
            for name, item in payload.artifacts.items()
        },
        "env_fingerprint": env_fingerprint,
    }


def key(memo: dict[str, Json]) -> str:
    """The memo key of a pre-image."""
    return digests.of_json(memo)
