"""Calls in flight: what one costs the orchestrator, and how that grows with their number.

    tools/bazel run //tools/bench:modal -- --image HOST/REPOSITORY@sha256:HEX [--calls N ...]

The image is any that a registry has; nothing of it is run. A control plane of this machine
simulates containers, each of which answers after a while; all calls are under way at once, by one
session. Counted are the orchestrator and the process that runs the
SDK, from before the first call to after the last answer. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from orchestrator.modal.session import DEPLOYING, Session

PLANE = "_main/tools/modal_local/modal_local"
DIGEST = "sha256:" + "a" * 64
DELAY_S = 5.0  # so that every call is under way before the first is answered
BODY = b"x" * 2_048
PATIENCE_S = 300.0
APP: dict[str, Any] = {"app": "bench", "environment": "dev"}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--calls", type=int, nargs="+", default=[200, 2_000])
    parser.add_argument("--image", required=True)
    given = parser.parse_args()
    program = Path(os.environ["RUNFILES_DIR"]).resolve() / PLANE
    for count in given.calls:  # a fork each, so that one's peak is not another's
        if (pid := os.fork()) == 0:
            _measure(program, given.image, count)
            os._exit(0)
        os.waitpid(pid, 0)


def _measure(program: Path, image: str, count: int) -> None:
    with tempfile.TemporaryDirectory() as state:
        words = [str(program), "up", "--state", state, "--environment", "dev", "--simulated"]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as plane:
            assert plane.stdout is not None
            addresses = json.loads(plane.stdout.readline())
            try:
                _calls(addresses, image, count)
            finally:
                plane.terminate()


def _calls(addresses: dict[str, str], image: str, count: int) -> None:
    names = {"MODAL_TOKEN_ID": "ak-bench", "MODAL_TOKEN_SECRET": "as-bench"}
    environ = {"MODAL_SERVER_URL": addresses["server_url"], **names}
    body = json.dumps({"delay_s": DELAY_S}).encode()
    ask = urllib.request.Request(addresses["admin_url"] + "/answers", body)  # noqa: S310
    with urllib.request.urlopen(ask):  # noqa: S310 - of a loopback address
        pass
    with Session(environ, DEPLOYING) as session:
        more = {"image": image, "digest": DIGEST, "content_root": DIGEST}
        limits = {"memory_mb": 512, "timeout_s": 120, "startup_timeout_s": 120}
        session.perform("deploy", {**APP, **more, **limits, "secret": None, "keys": []})
    with Session(environ) as session:
        session.perform("lookup", {**APP, "secret": None, "keys": []})
        child = session.pid
        before, began = _cpu_s(child), time.monotonic()
        tickets = [session.ask("call", APP, BODY, within_s=120) for _ in range(count)]
        for ticket in tickets:
            assert ticket.wait(PATIENCE_S)
            assert ticket.take()[1] == BODY
        used, took = _cpu_s(child) - before, time.monotonic() - began
        own, other = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, _peak_kb(child)
    print(
        f"{count:>6} calls in flight: {used / count * 1000:.2f} ms of CPU a call,"
        f" peak {own / 1024:.0f} + {other / 1024:.0f} MiB, {took:.1f} s",
        flush=True,
    )


def _cpu_s(child: int) -> float:
    """What this process and another have used."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    other = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own.ru_utime + own.ru_stime + other


def _peak_kb(child: int) -> int:
    lines = Path(f"/proc/{child}/status").read_text().splitlines()
    [peak] = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1])


if __name__ == "__main__":
    main()
