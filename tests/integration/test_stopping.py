"""A signal ends a command also where that can do without what it is reading."""

from __future__ import annotations

import json
import signal

import pytest

from orchestrator.cli import program
from orchestrator.cli.program import Call, Command
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


def lenient(signum: int) -> Command:
    """A command that a signal reaches while it reads what it can do without."""

    def perform(_: Call) -> tuple[dict[str, Json], list[str]]:
        try:
            signal.raise_signal(signum)
        except ContractError:
            pass  # as ``report`` shows an artifact as one that cannot be read
        return {}, []

    return Command("look", "look at an artifact", (), perform, alone=True)


@pytest.mark.parametrize(
    ("signum", "reason", "status"),
    [
        (signal.SIGINT, "interrupted", 130),
        (signal.SIGTERM, "terminated", 143),
        (signal.SIGHUP, "terminated", 143),
    ],
)
def test_a_signal_is_never_taken_for_what_cannot_be_read(
    signum: int, reason: str, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    before = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        found = program.run_alone(lenient(signum), ["--json"])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)

    answer = json.loads(capfd.readouterr().out)
    assert (found, answer["status"], answer["error"]["reason"]) == (status, "error", reason)
