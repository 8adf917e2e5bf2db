"""A processor does its worst: one envelope, the right reason, flat memory, nothing left running."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from signal import SIGKILL
from typing import NamedTuple

import pytest

from tests.fixtures import traces
from tests.harness import ZOO_COMMAND, read_until, start, zoo, zoo_words

RSS_KIB_MAX = 65_536  # above what an ordinary run takes
OVERTIME_MS_MAX = 2_000
TIMEOUT_S = 3


class Case(NamedTuple):
    """A behaviour of the test processor, and what comes back."""

    behaviour: str
    answer: str  # a reason, or "success"
    text: str | None = None
    last_words: str | None = None  # which are in the tail of its stderr


CASES = (
    Case("flood_both", "envelope_invalid", "64"),
    Case("flood_without_newline", "success", "64"),
    Case("flood_newlines", "success", "1"),
    Case("odd_bytes", "success"),
    Case("close_stdout", "time_limit", last_words="asleep"),
    Case("ignore_sigterm", "time_limit", last_words="asleep"),
    Case("stop_self", "time_limit"),
    Case("kill_self", "killed"),
    Case("kill_group", "killed"),
    Case("half_envelope", "envelope_invalid"),
    Case("exit_0_silent", "envelope_invalid"),
    Case("two_envelopes", "envelope_invalid"),
    Case("noise_after", "envelope_invalid"),
    Case("other_id", "envelope_invalid"),
    Case("huge_envelope", "envelope_invalid"),
    Case("envelope_of_crumbs", "envelope_invalid"),
    Case("hold_pipes", "success", "TOKEN"),
    Case("talk_on", "envelope_invalid", last_words="still here"),
    Case("daemon", "success", "TOKEN"),
    Case("brood", "success", "TOKEN"),
    Case("hop", "success"),
    Case("daemon_and_sleep", "time_limit"),
)


def token() -> str:
    """Digits that no other test's processes carry in their arguments."""
    return str(time.monotonic_ns())


def survivors(world: Path, mark: str) -> list[str]:
    """Command lines of processes that work below a world, or carry a mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            if os.fsencode(world / ".staging") in words or f"600.{mark}".encode() in words:
                found.append(words.decode("utf-8", "replace"))
    return found


@pytest.fixture(scope="module")
def idle_kib(tmp_path_factory: pytest.TempPathFactory) -> int:
    """The peak memory of an ordinary run."""
    zoo("good", world=tmp_path_factory.mktemp("idle"))
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


@pytest.mark.proves("SP-4", "SP-5", "SP-7")
@pytest.mark.parametrize("case", CASES, ids=[case.behaviour for case in CASES])
def test_the_worst_is_answered_in_time_and_leaves_nothing(
    case: Case, idle_kib: int, tmp_path: Path
) -> None:
    mark = token()
    text = mark if case.text == "TOKEN" else case.text

    result = zoo(case.behaviour, "--timeout-s", str(TIMEOUT_S), world=tmp_path, text=text)

    answer = result.envelope["status"] if result.exit_code == 0 else result.error[1]
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert answer == case.answer
    assert survivors(tmp_path, mark) == []
    assert peak_kib - idle_kib < RSS_KIB_MAX
    assert result.envelope["meta"]["duration_ms"] < TIMEOUT_S * 1_000 + OVERTIME_MS_MAX
    if case.last_words:
        assert case.last_words in result.envelope["meta"]["tails"]["stderr"]["text"]
    traces.names(result)


@pytest.mark.proves("SP-5")
def test_a_child_ends_with_an_orchestrator_that_is_killed(tmp_path: Path) -> None:
    with start(*zoo_words("sleep"), world=tmp_path, command=ZOO_COMMAND) as process:
        read_until(process, "processor.log")
        assert survivors(tmp_path, "none")
        process.send_signal(SIGKILL)
        process.wait()

    assert gone(tmp_path)


@pytest.mark.proves("SP-5")
def test_what_a_child_has_started_ends_with_an_orchestrator_that_is_killed(tmp_path: Path) -> None:
    with start(*zoo_words("start_another"), world=tmp_path, command=ZOO_COMMAND) as process:
        read_until(process, "processor.log")
        assert len(survivors(tmp_path, "none")) == 2
        process.send_signal(SIGKILL)
        process.wait()

    assert gone(tmp_path)


@pytest.mark.proves("SP-5")
def test_a_daemon_of_a_killed_orchestrator_is_ended_by_the_next_one(tmp_path: Path) -> None:
    words = zoo_words("daemon_and_sleep", "--execution-id", "x-1")
    with start(*words, world=tmp_path, command=ZOO_COMMAND) as process:
        read_until(process, "processor.log")
        process.send_signal(SIGKILL)
        process.wait()
    assert not gone(tmp_path)

    result = zoo("daemon_and_sleep", "--execution-id", "x-1", "--timeout-s", "1", world=tmp_path)

    assert result.exit_code == 124
    assert gone(tmp_path)
    assert os.listdir(tmp_path / ".staging") == []


def gone(world: Path) -> bool:
    """Whether every process of a world ends within a second."""
    for _ in range(100):
        if not survivors(world, "none"):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.proves("SP-3")
def test_the_first_line_is_seen_while_the_child_lives(tmp_path: Path) -> None:
    with start(*zoo_words("sleep"), world=tmp_path, command=ZOO_COMMAND) as process:
        read = read_until(process, "processor.log")
        alive = survivors(tmp_path, "none")
        process.terminate()
        process.wait()

    assert b"asleep" in read
    assert len(alive) == 1


def test_what_a_terminal_would_obey_is_escaped(tmp_path: Path) -> None:
    result = zoo("odd_bytes", world=tmp_path)

    assert all(32 <= byte < 127 or byte in b"\n" or byte > 127 for byte in result.stderr)
    assert b"\x7f" not in result.stderr
