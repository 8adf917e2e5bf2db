"""Standard streams that are closed, broken, full or not read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.fixtures import traces
from tests.harness import MOCK, ZOO_COMMAND, Result, finish, start, zoo_words

LISTEN = ("--ref", "hostile/zoo@1", *MOCK, "--write-prefix", "/artifacts/zoo/", "--inputs", "-")


def redirected(how: str, *words: str, world: Path, timeout_s: float = 30) -> Result:
    """Run the command with a shell's redirections, such as ``2>&-``."""
    script = f'exec "$0" "$@" {how}'
    argv = ["/bin/sh", "-c", script, str(ZOO_COMMAND), *words, "--world", str(world)]
    ended = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, check=False
    )
    return Result(ended.returncode, ended.stdout, ended.stderr, world)


@pytest.mark.proves("HR-4")
@pytest.mark.parametrize("how", ["2>&-", "0<&- 2>&-", "0<&-", "2>/dev/full"])
def test_a_missing_stream_changes_nothing_on_stdout(how: str, tmp_path: Path) -> None:
    result = redirected(how, *zoo_words("print_stdout"), world=tmp_path)

    assert result.exit_code == 0
    assert result.envelope["status"] == "success"
    assert result.output("seen.txt") == b"seen\n"
    assert result.stderr == b"" or "2>" not in how


@pytest.mark.proves("HR-4")
def test_a_folder_as_stdin_is_told_where_it_is_read_and_only_there(tmp_path: Path) -> None:
    result = redirected("0</", *zoo_words("good"), world=tmp_path)
    refused = redirected("0</", *LISTEN, "--json", world=tmp_path)

    assert result.exit_code == 0
    assert refused.error == ("ERR_INPUTS", "unreadable_file")


@pytest.mark.proves("HR-4")
def test_an_error_is_told_without_a_stderr(tmp_path: Path) -> None:
    result = redirected("2>&-", *zoo_words("raise"), world=tmp_path)

    assert result.error == ("ERR_ADAPTER_INVOCATION", "processor_error")
    assert result.exit_code == 1


@pytest.mark.proves("HR-4")
def test_inputs_from_a_closed_stdin_are_no_inputs(tmp_path: Path) -> None:
    result = redirected("0<&-", *LISTEN, "--json", world=tmp_path)

    assert result.error[0] == "ERR_INPUTS"
    assert result.exit_code == 2


@pytest.mark.proves("HR-4", "ERR_INPUTS")
def test_a_stdin_that_cannot_be_read_is_the_callers_mistake(tmp_path: Path) -> None:
    result = redirected("0>/dev/null", *LISTEN, "--json", world=tmp_path)

    assert result.error == ("ERR_INPUTS", "unreadable_file")
    assert result.exit_code == 2


@pytest.mark.proves("HR-4", "EV-9")
@pytest.mark.parametrize("how", ["1>&-", "1>/dev/full", "0<&- 1>&- 2>&-"])
def test_an_envelope_that_nobody_gets_is_no_success(how: str, tmp_path: Path) -> None:
    result = redirected(how, *zoo_words("good"), world=tmp_path)

    assert result.exit_code == 1
    assert b"Traceback" not in result.stderr
    assert result.stdout == b""


@pytest.mark.proves("HR-4")
@pytest.mark.parametrize(
    ("how", "says"), [("1>&-", "Bad file descriptor"), ("1>/dev/full", "No space left on device")]
)
def test_why_stdout_took_no_envelope_is_an_event(how: str, says: str, tmp_path: Path) -> None:
    for words in (zoo_words("good"), zoo_words("raise"), (*LISTEN, "--json")):
        result = redirected(how, *words, world=tmp_path / str(len(words)))

        assert traces.names(result)[-2:] == ["execution.unanswered", "execution.settle"]
        assert result.events[-2]["why"] == says
        assert result.exit_code == 1


@pytest.mark.proves("HR-4")
def test_help_that_a_full_disk_does_not_take_is_no_success(tmp_path: Path) -> None:
    result = redirected("1>/dev/full", "--help", world=tmp_path)

    assert result.exit_code == 1
    assert b"stdout: No space left on device" in result.stderr


@pytest.mark.proves("HR-4")
def test_a_stdout_without_a_reader_is_no_success(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with start(*zoo_words("good"), world=tmp_path, command=ZOO_COMMAND, stdout=writer) as process:
        os.close(writer)
        result = finish(process, world=tmp_path)

    assert result.exit_code == 1
    assert "execution.unanswered" not in traces.names(result)  # who has gone asks for no reason


@pytest.mark.proves("HR-4")
@pytest.mark.parametrize("behaviour", ["good", "flood_stderr"])
def test_a_stderr_whose_reader_is_gone_changes_nothing(behaviour: str, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    words = zoo_words(behaviour)
    with start(*words, world=tmp_path, command=ZOO_COMMAND, stderr=writer) as process:
        os.close(writer)
        result = finish(process, world=tmp_path)

    assert result.exit_code == 0
    assert result.envelope["status"] == "success"


@pytest.mark.proves("HR-4")
def test_a_stderr_that_nobody_reads_does_not_stop_the_work(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    fill(writer)
    with start(*zoo_words("good"), world=tmp_path, command=ZOO_COMMAND, stderr=writer) as process:
        os.close(writer)
        try:
            result = finish(process, world=tmp_path, timeout_s=20)
        finally:
            os.close(reader)

    assert result.exit_code == 0
    assert result.envelope["status"] == "success"


def fill(fd: int) -> None:
    """Write into a pipe until it takes no more."""
    os.set_blocking(fd, False)
    try:
        while True:
            os.write(fd, b"\n" * 4_096)
    except BlockingIOError:
        os.set_blocking(fd, True)
