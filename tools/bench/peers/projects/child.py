"""The task that every program is given: one processor's main, with its payload on stdin."""

from __future__ import annotations

import json
import os
import subprocess

with open("work.json") as _file:
    WORK = json.load(_file)


def target(number: int) -> str:
    """The file that is there when a task has been done."""
    return f"out/{number}"


def run(number: int) -> None:
    """Do a task; what it prints is its target."""
    with open(f"payloads/{number}", "rb") as given, open(f"out/{number}.new", "wb") as out:
        subprocess.run(
            [*WORK["argv"], "--root", f"roots/{number}", "--registry", WORK["registry"]],
            stdin=given,
            stdout=out,
            stderr=subprocess.DEVNULL,
            env=WORK["env"],
            check=True,
        )
    os.rename(f"out/{number}.new", target(number))
