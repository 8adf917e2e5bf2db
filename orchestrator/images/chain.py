"""The digest chain: each hop of an image's life leaves a record, and all hold one digest. Pure.

The last record of a hop counts: whoever builds again has to push and pin again before the hops
agree. A hop without a record contradicts nothing; it is told as missing.
"""

from __future__ import annotations

import itertools

from processors.protocol.errors import ContractError, mismatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# The fact that each hop leaves, in the order of the hops.
FACTS = {
    "image.built": "build",
    "image.pushed": "push",
    "image.pinned": "pin",
    "deployment.made": "deploy",
    "execution.started": "run",
}
HOPS = tuple(FACTS.values())


class Record:
    """What a hop left.

    Attributes:
        hop: One of ``HOPS``.
        digest: The digest that it was about.
        seq: Which event of the ledger says so.
    """

    __slots__ = ("digest", "hop", "seq")

    def __init__(self, hop: str, digest: str, seq: int) -> None:
        self.hop = hop
        self.digest = digest
        self.seq = seq


def last(records: Iterable[Record]) -> dict[str, Record]:
    """The last record of each hop, in the order of the hops."""
    found = {each.hop: each for each in records}
    return {hop: found[hop] for hop in HOPS if hop in found}


def problem(ref: str, hops: dict[str, Record]) -> ContractError | None:
    """Say which hop contradicts the one before it, or None if all hold one digest."""
    records = list(hops.values())
    for one, other in itertools.pairwise(records):
        if one.digest != other.digest:
            return mismatch(
                "digest_chain",
                f"{ref}: hop {other.hop} holds {other.digest} (event {other.seq}), and hop"
                f" {one.hop} before it {one.digest} (event {one.seq}); repeat hop {other.hop}",
            )
    return None
