"""The verdict on a whole ledger: what the file says by itself, and what published heads say of it.

``audit`` judges the file, ``heads`` each head. A chain that no head was published for proves only
that it hangs together, so the verdict says how many events are behind no head.
"""

from __future__ import annotations

from orchestrator.world import audit, heads
from orchestrator.world.heads import PublicKey
from orchestrator.world.ledger import Ledger
from processors.protocol import shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def verify(
    ledger: Ledger,
    copies: Sequence[str],
    key: PublicKey | None,
    progress: Callable[[int], None],
) -> dict[str, Json]:
    """Verify a ledger and every head that is known; return what was verified.

    Args:
        ledger: The ledger, in no transaction.
        copies: Files with heads that were kept elsewhere.
        key: Who must have signed every head; None judges no signature.
        progress: Is told the number of each event that was verified.

    Raises:
        ContractError: ``ERR_INPUTS``: ``world_corrupt``, naming the first thing that is wrong;
            ``unreadable_file``, or what keeps a copy from being JSON.
    """
    seen = _Last(progress)
    if (wrong := audit.problem(ledger, seen)) is not None:
        raise wrong
    given = {name: heads.read(name) for name in copies}
    judged: list[Json] = []
    reached = 0
    own = heads.own(ledger)
    beside = {} if own is None else {heads.FILE: own}
    for name, document in {**beside, **given}.items():
        if (found := heads.problem(ledger, document, key)) is not None:
            raise ledger.file.corrupt(f"{name}: {found}")
        text = name.encode("utf-8", "backslashreplace").decode("utf-8")  # it may be none (PEP 383)
        judged.append({"file": text, **_told(document, key)})
        reached = max(reached, shapes.count(document, "count"))
    if key is not None and not judged:
        raise ledger.file.corrupt(f"there is no head that key {key.id} has signed")
    end = ledger.head_at(seen.seq)
    assert end is not None
    return {
        "world": ledger.world(),
        "count": end.count,
        "hash": end.hash,
        "heads": judged,
        "behind_no_head": max(0, end.count - reached),
    }


class _Last:
    """The number of the last event that was verified."""

    def __init__(self, progress: Callable[[int], None]) -> None:
        self.seq = 0
        self._progress = progress

    def __call__(self, seq: int) -> None:
        self.seq = seq
        self._progress(seq)


def _told(document: dict[str, Json], key: PublicKey | None) -> dict[str, Json]:
    """What a head that holds says; without a key, a signature is there but not judged."""
    signature = "none"
    if document["key"] is not None:
        signature = "good" if key is not None else "not judged"
    said = {name: document[name] for name in ("count", "at", "key")}
    return {**said, "signature": signature}
