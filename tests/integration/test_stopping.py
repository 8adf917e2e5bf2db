"""A signal ends a command also where that can do without what it is reading."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
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


def run(command: Command, *words: str) -> int:
    """Run a command in this process, which has its own signal handlers back afterwards."""
    before = {each: signal.getsignal(each) for each in SIGNALS}
    try:
        return program.run_alone(command, [*words])
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


every_signal = pytest.mark.parametrize(
    ("signum", "reason", "status"),
    [
        (signal.SIGINT, "interrupted", 130),
        (signal.SIGTERM, "terminated", 143),
        (signal.SIGHUP, "terminated", 143),
    ],
)


@pytest.mark.parametrize("act", [read, judge])
@every_signal
def test_a_signal_is_never_taken_for_what_cannot_be_read_or_judged(
    act: Callable[[int], None],
    signum: int,
    reason: str,
    status: int,
    capfd: pytest.CaptureFixture[str],
) -> None:
    found = run(command(act, signum), "--json")

    answer = json.loads(capfd.readouterr().out)
    assert (found, answer["status"], answer["error"]["reason"]) == (status, "error", reason)


@every_signal
def test_a_signal_while_the_answer_is_printed_gives_no_second_one(
    signum: int, reason: str, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def lines() -> Iterator[str]:
        yield "the first line"
        signal.raise_signal(signum)
        yield "the second line"

    def perform(_: Call) -> tuple[dict[str, Json], Iterator[str]]:
        return {}, lines()

    found = run(Command("look", "look at an artifact", (), perform, alone=True))

    printed = capfd.readouterr()
    assert (found, printed.out) == (status, "the first line\n")
    assert f"ERR_ADAPTER_INVOCATION / {reason}" in printed.err
