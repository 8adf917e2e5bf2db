"""Children of several threads at once: each run ends what its own child left, and nothing else."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from processors.protocol import marks, reaper, spawn

THREADS = 6
RUNS = 120
# Leaves an orphan that has left its session, which is to be ended, and says something after that.
LEAVING = "setsid sleep 50 & echo done"


def test_no_run_ends_the_child_of_another() -> None:
    stop = spawn.Stop()

    def run(number: int) -> tuple[int, bytes, int]:
        attempt = f"test.{number}"
        ended = spawn.run(
            ["/bin/sh", "-c", LEAVING],
            attempt=attempt,
            env={"PATH": "/usr/bin:/bin"},
            secret_values=[],
            stdin=b"",
            timeout_s=40,
            memory_bytes_max=1_073_741_824,
            stdout_bytes_max=1_000,
            on_stderr_line=lambda _: None,
            stop=stop,
        )
        left = [pid for pid in reaper.children() if marks.attempt_of(pid) == attempt]
        return ended.returncode, bytes(ended.stdout.data), len(left)

    with ThreadPoolExecutor(THREADS) as pool:
        found = Counter(pool.map(run, range(RUNS)))

    assert found == {(0, b"done\n", 0): RUNS}
    assert reaper.children() == []
