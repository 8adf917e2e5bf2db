"""What the launcher says, how it fails, and how it calls other programs.

Everything goes to stderr: under ``bazel run`` stdout belongs to the program that runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

TAIL_LINES_MAX = 15  # What a failed program said last; the cause is nearly always in there.


class LauncherError(Exception):
    """The machine cannot run Bazel this way; the message says what was seen and what to do."""


def say(text: str) -> None:
    """Print ``text`` on stderr, each line marked as ours."""
    for line in text.splitlines():
        sys.stderr.write(f"tools/bazel: {line}\n")


def tail(text: str) -> str:
    """Return the last lines of ``text``, indented."""
    return "\n".join(f"  | {line}" for line in text.strip().splitlines()[-TAIL_LINES_MAX:])


def megabytes(size_bytes: int) -> str:
    """Return ``size_bytes`` for a person to read."""
    return f"{size_bytes / 1_000_000:.0f} MB"


def capture(
    argv: Sequence[str],
    *,
    doing: str,
    advice: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run ``argv`` and return its stdout.

    Raises:
        LauncherError: it is missing or failed; says ``doing``, what it printed, and ``advice``.
    """
    merged = {**os.environ, "LC_ALL": "C", **(env or {})}
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            env=merged,
            cwd=cwd,
            check=False,
        )
    except FileNotFoundError as error:
        raise LauncherError(f"{doing}: there is no {argv[0]} on this machine.\n{advice}") from error
    if done.returncode != 0:
        raise LauncherError(
            f"{doing}: {argv[0]} ended with {done.returncode} and said:\n"
            f"{tail(done.stderr or done.stdout)}\n{advice}"
        )
    return done.stdout
