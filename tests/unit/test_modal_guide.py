"""What the guide promises of time is what the adapter waits."""

from __future__ import annotations

import math
import re
from pathlib import Path

from orchestrator.execution.adapters import modal
from orchestrator.modal import session

GUIDE = Path("docs/guides/modal.md").read_text(encoding="utf-8")


def test_a_run_is_answered_within_the_time_that_the_guide_says() -> None:
    """The look-up and the call have the same time each, and each may be cancelled at its end."""
    waits_s = 2 * (modal.WAIT_S + session.LATE_S)

    told = re.findall(r"within its time limit and (\S+) minutes more", GUIDE)

    assert told == [str(math.ceil(waits_s / 60))]
