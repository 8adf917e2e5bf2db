"""A signal ends a command also where that can do without what it is reading."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from orchestrator.cli import output, program
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
    """Run a command in this process, which has its own signals and stdout back afterwards."""
    before = {each: signal.getsignal(each) for each in SIGNALS}
    stdout = os.dup(1)
    try:
        return program.run_alone(command, [*words])
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)
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


class ReachedError(Exception):
    """Nothing is left to be interrupted."""


def run_interrupted(at: int) -> tuple[int, str]:
    """Run a command with a signal at one of the moments at which it takes signals.

    Each line of what surrounds a command is such a moment.

    Returns:
        The exit status, and the function that the signal came in.

    Raises:
        ReachedError: There is no such moment.
    """
    files = {program.__file__, output.__file__}
    unchanged, moments, where = signal.getsignal(signal.SIGINT), 0, ""

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., object] | None:
        nonlocal moments, where
        if frame.f_code.co_filename not in files:
            return None
        if event in ("call", "line") and signal.getsignal(signal.SIGINT) is not unchanged:
            moments += 1
            if moments == at:
                where = frame.f_code.co_name
                signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        found = run(command(lambda _: None, 0), "--json")
    except KeyboardInterrupt as error:  # it would end the tests
        raise AssertionError(where) from error
    finally:
        sys.settrace(None)
    if not where:
        raise ReachedError
    return found, where


def test_a_signal_at_any_moment_ends_a_command_with_its_exit_status(
    capfd: pytest.CaptureFixture[str],
) -> None:
    seen: set[tuple[int, str]] = set()
    for at in range(1, 1_000):
        try:
            found, where = run_interrupted(at)
        except ReachedError:
            break
        printed = capfd.readouterr()
        status = ""
        if printed.out:
            status = json.loads(printed.out)["status"]  # which also says that there is one document
        else:  # it was to be printed just then, and is cut before its first byte
            assert where in ("_print", "print_bytes")
        assert (found == 0) == ("interrupted" not in printed.out + printed.err), where
        seen.add((found, status))

    # Too late; in time; while the answer was printed, after and before its first byte.
    assert seen == {(0, "success"), (130, "error"), (130, "success"), (130, "")}
