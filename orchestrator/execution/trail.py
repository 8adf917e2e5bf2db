"""The orchestrator's breadcrumbs: one NDJSON line on stderr for each step of an execution.

Every line has ``execution_id``, a dense ``seq`` and the same keys (null when they do not apply).
Nothing here ever raises: when nobody reads stderr, the execution goes on.
"""

from __future__ import annotations

import json
import os
import time

from processors.protocol.canonical import Json

KEYS = ("processor_ref", "adapter", "mode", "env", "app", "function", "image_digest")

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Trail:
    """Writes the events of one execution to a file descriptor."""

    def __init__(self, execution_id: str, fd: int) -> None:
        self.context: dict[str, Json] = dict.fromkeys(KEYS)
        self._execution_id = execution_id
        self._fd = fd
        self._seq = 0
        self._began = time.monotonic()

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the execution began, by a monotonic clock."""
        return int((time.monotonic() - self._began) * 1000)

    def emit(self, event: str, fields: dict[str, Json] | None = None) -> None:
        """Write one event; ``fields`` are its own members besides the common ones."""
        self._seq += 1
        document: dict[str, Json] = {
            **(fields or {}),
            **self.context,
            "event": event,
            "execution_id": self._execution_id,
            "seq": self._seq,
        }
        document.setdefault("elapsed_ms", self.elapsed_ms)
        try:
            _write_all(self._fd, _encode(document).encode() + b"\n")
        except OSError:
            pass  # stderr is closed or its reader is gone; the envelope still tells all


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
