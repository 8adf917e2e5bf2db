"""Start a tool that is no processor (crane, git), drain it, and end it in time.

Processors have a helper of their own, with what a processor needs: limits on memory, its orphans
found, its streams redacted. A tool is ours to trust with its work but not with its time. Its argv
never holds a secret, and its environment is what the caller spells out.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

_READ_BYTES = 65_536
_LINE_BYTES_MAX = 65_536  # of a longer line, the rest is dropped

type Take = Callable[[bytes], None]


class Lines:
    """Hands a stream on line by line, each cut at a limit, so that memory stays flat."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._begun = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of the stream."""
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            self._add(part)
            self.end()
        self._add(rest)

    def end(self) -> None:
        """Hand on what has begun."""
        line, self._begun = bytes(self._begun), bytearray()
        if line:
            self._take(line)

    def _add(self, part: bytes) -> None:
        self._begun += part[: _LINE_BYTES_MAX - len(self._begun)]


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    limit_s: float,
    on_stdout: Take,
    on_stderr_line: Take,
) -> int:
    """Run a tool to its end.

    Args:
        argv: Program and arguments.
        env: Its whole environment.
        limit_s: Wall-clock limit in seconds.
        on_stdout: Takes stdout piece by piece.
        on_stderr_line: Takes stderr line by line.

    Returns:
        The exit status; ``-N`` when signal N ended the tool.

    Raises:
        TimeoutError: The limit has passed; the tool is ended, with what it started.
        OSError: It cannot be started.
    """
    end = time.monotonic() + limit_s
    lines = Lines(on_stderr_line)
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(env),
        bufsize=0,
        start_new_session=True,  # a group of its own, to be ended as one
    )
    with process:
        try:
            _drain(process, end, on_stdout, lines.feed)
            lines.end()
            return process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise TimeoutError from None
        finally:
            # Not after a good end: what a tool leaves running on purpose, such as an agent of a
            # credential helper, belongs to its user.
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)


def _drain(process: subprocess.Popen[bytes], end: float, out: Take, err: Take) -> None:
    """Read both streams to their ends, or as far as they are filled when the tool has ended.

    What a tool leaves running may hold them open for as long as it likes.
    """
    ended = os.pidfd_open(process.pid)
    with os.fdopen(ended, "rb", buffering=0), selectors.DefaultSelector() as selector:
        for stream, take in ((process.stdout, out), (process.stderr, err)):
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ, take)
        selector.register(ended, selectors.EVENT_READ)
        while len(selector.get_map()) > 1:
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            ready = [key for key, _ in selector.select(left)]
            if [key.fd for key in ready] == [ended]:
                return
            for key in ready:
                if key.fd == ended:
                    continue
                if chunk := os.read(key.fd, _READ_BYTES):
                    key.data(chunk)
                else:
                    selector.unregister(key.fileobj)
