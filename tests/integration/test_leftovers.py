"""Processes that were left are ended, however they fork; a failed start leaves no pipe."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys

import pytest

from processors.protocol import leftovers, marks, spawn

HOPPERS = 16
# Goes on in a child of its own, again and again; the one who looks may find the last one gone.
HOPPING = """\
import os, time
print("there", flush=True)
while True:
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(0.01)
"""


def test_processes_that_go_on_in_another_are_ended_too() -> None:
    attempt = "test.hopping"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", HOPPING],
            env={marks.VARIABLE: attempt},
            stdout=subprocess.PIPE,
        )
        for _ in range(HOPPERS)
    ]
    for each in started:
        assert each.stdout is not None
        assert each.stdout.readline() == b"there\n"

    leftovers.end_attempt(attempt)

    for each in started:
        each.wait()
        assert each.stdout is not None
        assert each.stdout.read() == b""  # it ends once the last of them has gone
        each.stdout.close()


def test_a_start_for_which_there_are_too_few_descriptors_leaves_none_open() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    stop = spawn.Stop()
    taken = [os.open("/dev/null", os.O_RDONLY) for _ in range(220)]
    highest = max(taken)
    before = os.listdir("/proc/self/fd")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(highest + 5, 202), hard))
    try:
        with pytest.raises(OSError, match="open files") as caught:
            spawn.run(
                ["/bin/true"],
                attempt="test.few",
                env={},
                secret_values=[],
                stdin=b"",
                timeout_s=10,
                memory_bytes_max=1_073_741_824,
                stdout_bytes_max=1_000,
                on_stderr_line=lambda _: None,
                stop=stop,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    after = os.listdir("/proc/self/fd")
    for fd in taken:
        os.close(fd)

    assert caught.value.errno == errno.EMFILE
    assert len(after) == len(before)
