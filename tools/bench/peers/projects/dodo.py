"""The tasks for doit."""

from __future__ import annotations

from collections.abc import Iterator

import child

DOIT_CONFIG = {"backend": "sqlite3", "verbosity": 0}


def task_step() -> Iterator[dict[str, object]]:
    """One task a step."""
    for number in range(child.WORK["tasks"]):
        before = [child.target(number - 1)] if child.WORK["chain"] and number else []
        yield {
            "name": str(number),
            "actions": [(child.run, [number])],
            "file_dep": [f"payloads/{number}", *before],
            "targets": [child.target(number)],
        }
