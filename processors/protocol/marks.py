"""Which attempt a process belongs to: every child has its attempt's name in its environment."""

from __future__ import annotations

VARIABLE = "WORLD_ATTEMPT"


def attempt_of(pid: int | str) -> str | None:
    """The attempt that a process's environment names, as it was when its program started.

    None where it names none, the process is gone, or another user's.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return None
    prefix = VARIABLE.encode() + b"="
    found = [item[len(prefix) :] for item in variables if item.startswith(prefix)]
    return found[0].decode("utf-8", "replace") if found else None
