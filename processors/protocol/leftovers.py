"""Processes that outlived the orchestrator that started them, and how they are found and ended.

When an orchestrator was killed, the next one to use the same world ends what still carries the
name of an attempt that nobody works on.
"""

from __future__ import annotations

import os
import signal

from processors.protocol import marks


def end_attempt(attempt: str) -> None:
    """End every process of an attempt whose orchestrator is gone."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and marks.attempt_of(name) == attempt:
            try:
                os.kill(int(name), signal.SIGKILL)
            except ProcessLookupError:
                continue  # it is gone already
