"""Processes that outlived the orchestrator that started them, and how they are found and ended.

Every child has its attempt's name in its environment. When an orchestrator was killed, the next one
to use the same world ends what still carries the name of an attempt that nobody works on.
"""

from __future__ import annotations

import os
import signal

from processors.protocol.spawn import ATTEMPT_VARIABLE


def end_attempt(attempt: str) -> None:
    """End every process of an attempt whose orchestrator is gone."""
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid() and _attempt_of(name) == attempt:
            try:
                os.kill(int(name), signal.SIGKILL)
            except ProcessLookupError:
                continue  # it is gone already


def _attempt_of(pid: str) -> str | None:
    """The attempt that a process's environment names, as it was when its program started."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return None  # it is gone, or another user's
    prefix = ATTEMPT_VARIABLE.encode() + b"="
    marks = [item[len(prefix) :] for item in variables if item.startswith(prefix)]
    return marks[0].decode("utf-8", "replace") if marks else None
