"""The orchestrator's breadcrumbs: one NDJSON line on stderr for each step of an execution.

Every line has ``execution_id``, a dense ``seq`` and the same keys (null when they do not apply).
Nothing here ever raises: when nobody reads stderr, the execution goes on.
"""

from __future__ import annotations

import json
import os
import select
import time

from processors.protocol.canonical import Json
from processors.protocol.events import CONTEXT, LINE_BYTES_MAX, cut

STALL_MS_MAX = 1_000

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode


class Trail:
    """Writes the events of one execution to a file descriptor.

    A reader that stalls may hold the execution up once, for a second. From then on an event that it
    cannot take at once is dropped, which shows as a gap in ``seq``.
    """

    def __init__(self, execution_id: str, fd: int) -> None:
        self.context: dict[str, Json] = dict.fromkeys(CONTEXT)
        self._execution_id = execution_id
        self._fd = fd
        self._seq = 0
        self._patience_ms = STALL_MS_MAX
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._began = time.monotonic()

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds since the execution began, by a monotonic clock."""
        return int((time.monotonic() - self._began) * 1000)

    def emit(self, event: str, fields: dict[str, Json] | None = None) -> None:
        """Write one event; ``fields`` are its own members besides the common ones.

        Long text is cut. A line that is too long all the same goes out without its own members,
        marked ``cut``.
        """
        self._seq += 1
        own = cut(fields or {})
        document: dict[str, Json] = {
            **own,
            **self.context,
            "elapsed_ms": self.elapsed_ms,
            "event": event,
            "execution_id": self._execution_id,
            "seq": self._seq,
        }
        line = _encode(document).encode() + b"\n"
        if len(line) > LINE_BYTES_MAX:
            for name in own:
                del document[name]
            line = _encode({**document, "cut": True}).encode() + b"\n"
        if not self._poll.poll(self._patience_ms):
            self._patience_ms = 0
            return
        try:
            # A pipe that is ready takes a line of this length whole (pipe(7), PIPE_BUF).
            os.write(self._fd, line)
        except OSError:
            pass  # stderr is closed or its reader is gone; the envelope still tells all
