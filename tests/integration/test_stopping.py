"""A signal ends a command also where that can do without what it is reading."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.cli import program
from orchestrator.cli.program import Call, Command
from orchestrator.goals import known
from orchestrator.goals.view import CannotTellError
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


def read(signum: int) -> None:
    """Read what one can do without, as ``report`` does an artifact."""
    try:
        signal.raise_signal(signum)
    except ContractError:
        pass


def judge(signum: int) -> None:
    """Ask a predicate of a repository's own, whose mistakes are verdicts."""

    def asked(*_: object) -> tuple[bool, dict[str, Json]]:
        signal.raise_signal(signum)
        return True, {}

    words: Any = {"summary": "", "args": {}, "judge": asked, "paths": []}
    unseen: Any = None
    try:
        known.own("own.slow", words).judge({}, unseen)
    except CannotTellError:
        pass


def command(act: Callable[[int], None], signum: int) -> Command:
    """A command that a signal reaches while it does something."""

    def perform(_: Call) -> tuple[dict[str, Json], list[str]]:
        act(signum)
        return {}, []

    return Command("look", "look at an artifact", (), perform, alone=True)


@pytest.mark.parametrize("act", [read, judge])
@pytest.mark.parametrize(
    ("signum", "reason", "status"),
    [
        (signal.SIGINT, "interrupted", 130),
        (signal.SIGTERM, "terminated", 143),
        (signal.SIGHUP, "terminated", 143),
    ],
)
def test_a_signal_is_never_taken_for_what_cannot_be_read_or_judged(
    act: Callable[[int], None],
    signum: int,
    reason: str,
    status: int,
    capfd: pytest.CaptureFixture[str],
) -> None:
    before = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        found = program.run_alone(command(act, signum), ["--json"])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)

    answer = json.loads(capfd.readouterr().out)
    assert (found, answer["status"], answer["error"]["reason"]) == (status, "error", reason)
