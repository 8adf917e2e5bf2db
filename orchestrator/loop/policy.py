"""By which policy admission decides: a value, and the digest that names it."""

from __future__ import annotations

from orchestrator import lanes
from processors.protocol import digests
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Attempts at one step of one plan, by the retry class of the last one's error: a plan that was made
# anew counts anew, and an attempt whose process was killed is not held against a step.
ATTEMPTS_MAX = {"never": 1, "once": 2, "bounded": 3}


class Policy:
    """Everything that the verdicts depend on besides what is proposed and what was found.

    Attributes:
        lanes: The lane table, row by row.
        attempts_max: By retry class.
        version: The digest of both.
    """

    __slots__ = ("attempts_max", "lanes", "version")

    def __init__(
        self, rows: Mapping[str, dict[str, Json]], attempts_max: Mapping[str, int]
    ) -> None:
        self.lanes = rows
        self.attempts_max = attempts_max
        self.version = digests.of_json(self.document())

    def document(self) -> dict[str, Json]:
        """The policy as data."""
        return {"lanes": dict(self.lanes), "attempts_max": dict(self.attempts_max)}


def current() -> Policy:
    """The policy of this program."""
    rows = {lane: row.document() for lane, row in lanes.LANES.items()}
    return Policy(rows, ATTEMPTS_MAX)
