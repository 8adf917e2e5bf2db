"""``modal_local up``: serve a control plane on loopback until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import json
import os
import signal
import sys
from pathlib import Path

from tools.modal_local.plane import CONTAINERS_MAX, HOST, Plane, Settings
from tools.modal_local.sandbox import NoSandboxError
from tools.modal_local.session import Credentials

CANNOT_START = 2


def main(words: list[str]) -> int:
    """Run the command; return its exit status."""
    given = parser().parse_args(words)
    if not ipaddress.ip_address(given.host).is_loopback:
        return _refuse(f"{given.host} is not loopback, and this plane has no business elsewhere")
    if bool(given.token_id) != bool(given.token_secret):
        return _refuse("--token-id and --token-secret are given together or not at all")
    # Under "bazel run" the working folder is not the caller's.
    state = Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."), given.state).absolute()
    settings = Settings(
        state=state,
        port=given.port,
        admin_port=given.admin_port,
        host=given.host,
        environments=tuple(given.environment or ["main"]),
        credentials=Credentials(given.token_id, given.token_secret),
        uses_input_plane=given.input_plane,
        is_simulated=given.simulated,
        containers_max=given.containers,
    )
    try:
        return asyncio.run(_serve(settings))
    except (NoSandboxError, OSError) as error:
        return _refuse(str(error))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="modal_local", description=__doc__)
    commands = found.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="serve until SIGINT or SIGTERM")
    up.add_argument("--state", required=True, help="the folder for everything that is kept")
    up.add_argument("--host", default=HOST, help="a loopback address")
    up.add_argument("--port", type=int, default=0, help="for clients; 0 is any")
    up.add_argument("--admin-port", type=int, default=0, help="for faults and counts; 0 is any")
    up.add_argument("--environment", action="append", help="one there is; the first is the default")
    up.add_argument("--token-id", default="", help="the only token that is let in")
    up.add_argument("--token-secret", default="", help="and its secret")
    up.add_argument("--input-plane", action="store_true", help="let calls go by the input plane")
    up.add_argument("--simulated", action="store_true", help="containers that run nothing")
    up.add_argument(
        "--containers", type=int, default=CONTAINERS_MAX, help="how many a function may have"
    )
    return found


async def _serve(settings: Settings) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    plane = Plane(settings)
    try:
        await plane.start()
        sys.stdout.write(json.dumps(plane.addresses) + "\n")
        sys.stdout.flush()
        await ended.wait()
    finally:
        await plane.close()
    return 0


def _refuse(reason: str) -> int:
    sys.stderr.write(f"modal_local: {reason}\n")
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
