"""A signal, a time limit or a stream that nobody serves still ends in one envelope."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM, Signals

import pytest

from tests.fixtures import traces
from tests.fixtures.commands import Copy
from tests.harness import MOCK, ZOO_COMMAND, Result, finish, read_until, run, start, zoo, zoo_words

STATUS = {SIGINT: ("interrupted", 130), SIGTERM: ("terminated", 143), SIGHUP: ("terminated", 143)}
ASKED = ("--ref", "hostile/zoo@1", *MOCK, "--write-prefix", "/artifacts/zoo/", "--json")


def interrupted(result: Result, signum: Signals) -> None:
    """Judge a call that a signal ended."""
    reason, exit_code = STATUS[signum]
    assert result.error == ("ERR_ADAPTER_INVOCATION", reason)
    assert result.exit_code == exit_code
    traces.names(result)


def still_there(world: Path) -> list[str]:
    """Command lines of processes that work below a world."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue  # it has ended meanwhile
            if os.fsencode(world / ".staging") in words:
                found.append(words.decode("utf-8", "replace"))
    return found


@pytest.mark.proves("HR-4")
@pytest.mark.parametrize("behaviour", ["sleep", "ignore_sigterm"])
@pytest.mark.parametrize("signum", [SIGINT, SIGTERM, SIGHUP])
def test_a_signal_while_a_processor_works_ends_both(
    signum: Signals, behaviour: str, tmp_path: Path
) -> None:
    with start(*zoo_words(behaviour), world=tmp_path, command=ZOO_COMMAND) as process:
        read = read_until(process, "processor.log")
        assert still_there(tmp_path)
        process.send_signal(signum)
        result = finish(process, world=tmp_path, read=read)

    interrupted(result, signum)
    assert still_there(tmp_path) == []
    assert [path for path in result.visible if "/outputs" in path] == []


@pytest.mark.proves("HR-4")
@pytest.mark.parametrize(("first", "second"), [(SIGINT, SIGTERM), (SIGTERM, SIGINT), (SIGINT,) * 2])
def test_the_first_of_two_signals_counts(first: Signals, second: Signals, tmp_path: Path) -> None:
    words = zoo_words("ignore_sigterm")
    with start(*words, world=tmp_path, command=ZOO_COMMAND) as process:
        read = read_until(process, "processor.log")
        process.send_signal(first)
        # The command now waits for the processor, which takes no notice.
        while process.poll() is None and not caught_up(process.pid):
            pass
        process.send_signal(second)
        result = finish(process, world=tmp_path, read=read)

    interrupted(result, first)


def caught_up(pid: int) -> bool:
    """Whether no signal is on its way to a process."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    pending = [line.split()[1] for line in status if line.startswith(("SigPnd", "ShdPnd"))]
    return all(int(mask, 16) == 0 for mask in pending)


@pytest.mark.parametrize("signum", [SIGINT, SIGTERM, SIGHUP])
def test_a_signal_before_the_command_takes_signals_ends_it_without_words(
    signum: Signals, tmp_path: Path
) -> None:
    copy = Copy(tmp_path)
    first = "from __future__ import annotations\n"
    copy.replace(
        "run_processor.tree/app/orchestrator/execution/run.py",
        first,
        f"{first}import os\nos.kill(os.getpid(), {signum:d})\n",
    )

    result = run(*ASKED, "--inputs-json", "{}", world=tmp_path / "world", command=copy.command)

    assert (result.exit_code, result.stdout, result.stderr) == (-signum, b"", b"")
    assert not (tmp_path / "world").exists()


@pytest.mark.proves("HR-4")
@pytest.mark.parametrize("signum", [SIGINT, SIGTERM, SIGHUP])
def test_a_signal_while_stdin_is_awaited_ends_the_wait(signum: Signals, tmp_path: Path) -> None:
    words = (*ASKED, "--inputs", "-")
    with start(*words, world=tmp_path, command=ZOO_COMMAND, stdin=subprocess.PIPE) as process:
        read = read_until(process, "execution.start")
        process.send_signal(signum)
        process.wait(20)  # stdin is still open
        result = finish(process, world=tmp_path, read=read)

    interrupted(result, signum)


@pytest.mark.proves("HR-4")
def test_a_signal_while_a_named_pipe_is_awaited_ends_the_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "inputs")
    words = (*ASKED, "--inputs-file", str(tmp_path / "inputs"))
    with start(*words, world=tmp_path / "world", command=ZOO_COMMAND) as process:
        read = read_until(process, "execution.start")
        process.send_signal(SIGTERM)
        result = finish(process, world=tmp_path, read=read, timeout_s=10)

    assert result.envelope["status"] == "error"
    assert result.exit_code in (2, 143)  # not a regular file, or ended while waiting


@pytest.mark.proves("HR-4")
@pytest.mark.parametrize("behaviour", ["sleep", "ignore_sigterm"])
def test_the_time_limit_ends_a_processor(behaviour: str, tmp_path: Path) -> None:
    result = zoo(behaviour, "--timeout-s", "1", world=tmp_path)

    assert result.error == ("ERR_ADAPTER_INVOCATION", "time_limit")
    assert result.exit_code == 124
    assert 1_000 <= result.envelope["meta"]["duration_ms"] < 15_000
    assert "asleep" in result.envelope["meta"]["tails"]["stderr"]["text"]
    assert still_there(tmp_path) == []
    traces.names(result)


def test_the_time_limit_of_the_registry_cannot_be_raised(tmp_path: Path) -> None:
    result = zoo("good", "--timeout-s", "86401", world=tmp_path)

    assert result.error == ("ERR_INPUTS", "bad_value")


@pytest.mark.parametrize("behaviour", ["good", "own_error", "raise", "sleep"])
def test_nothing_is_left_in_staging(behaviour: str, tmp_path: Path) -> None:
    result = zoo(behaviour, "--timeout-s", "1", world=tmp_path)

    assert [path for path in result.visible if path.startswith("/.staging/")] == []


def test_an_execution_that_is_under_way_is_left_alone(tmp_path: Path) -> None:
    words = zoo_words("sleep", "--execution-id", "x-1")
    with start(*words, world=tmp_path, command=ZOO_COMMAND) as process:
        read = read_until(process, "processor.log")
        same = zoo("good", "--execution-id", "x-1", world=tmp_path)
        other = zoo("good", "--execution-id", "x-2", world=tmp_path)
        working = still_there(tmp_path)
        process.send_signal(SIGTERM)
        interrupted(finish(process, world=tmp_path, read=read), SIGTERM)

    assert same.error == ("ERR_INPUTS", "execution_exists")
    assert other.exit_code == 0
    assert len(working) == 1
