"""Processes that outlived the orchestrator that started them, and how they are found and ended.

When an orchestrator was killed, the next one to use the same world ends what still carries the
name of an attempt that nobody works on.
"""

from __future__ import annotations

import os
import signal
import time

from processors.protocol import marks

END_S_MAX = 1.0  # each dies at once, but may have forked before
_ROUND_S = 0.001  # between two looks


def end_attempt(attempt: str) -> None:
    """End every process of an attempt whose orchestrator is gone, the last one included."""
    deadline = time.monotonic() + END_S_MAX
    while _end_those_found(attempt) and time.monotonic() < deadline:
        time.sleep(_ROUND_S)


def _end_those_found(attempt: str) -> bool:
    """End the processes of an attempt that one look finds; return whether there were any."""
    found = [
        int(name)
        for name in os.listdir("/proc")
        if name.isdigit() and int(name) != os.getpid() and marks.attempt_of(name) == attempt
    ]
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue  # it is gone already
    return found != []
