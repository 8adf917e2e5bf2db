"""A caller whose machine, shell or daemon is unusual, and right all the same."""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import signal
import sys
from pathlib import Path

import pytest

from tests.fixtures import commands
from tests.fixtures.programs import WORLD, Answer, ledger, world_command
from tests.harness import (
    ROOT,
    ZOO_COMMAND,
    artifacts,
    finish,
    start,
    without_rights_of_root,
    zoo,
    zoo_words,
)

FILE = "/artifacts/in/file"
INPUTS_EXIT = 2
START_FILE = ZOO_COMMAND.parent / "run_processor.tree" / "start.py"


@pytest.mark.proves("EV-9")
def test_a_stdout_that_does_not_wait_by_itself_gets_every_byte(tmp_path: Path) -> None:
    data, world = b"more than a pipe holds" * 50_000, tmp_path / "w"
    (tmp_path / "file").write_bytes(data)
    assert world_command("put", str(tmp_path / "file"), FILE, world=world).exit_code == 0
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with start("cat", FILE, world=world, command=WORLD, stdout=writer) as process:
        while select.select([], [writer], [], 0)[1] or is_awake(process.pid):
            pass  # until the pipe is full, and it has noticed
        os.close(writer)
        with open(reader, "rb") as stdout:
            assert stdout.read() == data
        assert finish(process, world=world).exit_code == 0


def is_awake(pid: int) -> bool:
    """Whether a process neither waits for something nor has ended."""
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
    return state[0] not in "SZ"


def test_what_the_caller_left_open_is_not_the_processors(tmp_path: Path) -> None:
    (tmp_path / "own").write_text("of the caller alone")
    fd = os.open(tmp_path / "own", os.O_RDONLY)
    try:
        words = zoo_words("environment")
        with start(*words, world=tmp_path / "w", command=ZOO_COMMAND, pass_fds=[fd]) as process:
            result = finish(process, world=tmp_path / "w")
    finally:
        os.close(fd)

    assert json.loads(result.output("seen.json"))["files"] == []


def test_a_working_folder_that_is_gone_is_told(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    words = zoo_words("good")
    with start(
        *words, world=Path("w"), command=ZOO_COMMAND, cwd=gone, preexec_fn=gone.rmdir
    ) as process:
        result = finish(process, world=gone)

    assert result.error == ("ERR_INPUTS", "world_unwritable")
    assert "No such file or directory" in result.envelope["error"]["message"]


def test_a_caller_that_ignores_the_end_of_its_children_changes_nothing(tmp_path: Path) -> None:
    # Not through the launcher, for a shell may put the signal back.
    program = (sys.executable, "-I", "-S", "-B", str(START_FILE))
    with start(
        *(*program[1:], *zoo_words("good")),
        world=tmp_path,
        command=Path(program[0]),
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    ) as process:
        result = finish(process, world=tmp_path)

    assert result.envelope["status"] == "success"


@pytest.mark.parametrize(("callers_mb", "childs_mb"), [(128, 128), (4_096, 256)])
def test_a_child_has_the_lower_limit_of_memory_the_callers_or_its_registrys(
    callers_mb: int, childs_mb: int, tmp_path: Path
) -> None:
    limits = (callers_mb * 1_048_576,) * 2
    with start(
        *zoo_words("environment"),
        world=tmp_path,
        command=ZOO_COMMAND,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, limits),
    ) as process:
        result = finish(process, world=tmp_path)

    seen = json.loads(result.output("seen.json"))
    assert seen["memory_bytes"] == childs_mb * 1_048_576


def test_too_few_open_files_are_named_as_the_cause(tmp_path: Path) -> None:
    with start(
        *zoo_words("good"),
        world=tmp_path,
        command=ZOO_COMMAND,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)),
    ) as process:
        result = finish(process, world=tmp_path)

    assert result.error == ("ERR_ADAPTER_INVOCATION", "spawn_failed")
    assert "128 open files are allowed (ulimit -n)" in result.envelope["error"]["message"]


@pytest.mark.parametrize("leading", ["/", "//"])
def test_a_world_may_be_named_with_more_slashes_than_needed(leading: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    world = Path(f"{leading}{tmp_path}/w")

    assert world_command("put", str(tmp_path / "file"), FILE, world=world).exit_code == 0
    assert [item["path"] for item in world_command("ls", world=tmp_path / "w").items] == [FILE]


def test_a_folder_that_cannot_be_looked_into_is_not_said_to_hold_no_world(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")

    answer = world_command("ls", world=tmp_path / "loop")

    assert answer.error == ("ERR_INPUTS", "world_unwritable", INPUTS_EXIT)
    assert "Too many levels of symbolic links" in answer.message


def test_a_store_that_cannot_be_looked_into_is_named_as_the_cause(tmp_path: Path) -> None:
    world = tmp_path / "w"
    (tmp_path / "file").write_bytes(b"x")
    assert world_command("put", str(tmp_path / "file"), FILE, world=world).exit_code == 0
    shutil.rmtree(world / "store")
    (world / "store").symlink_to("store")

    answer = ledger("stats", world=world)

    assert answer.error == ("ERR_INPUTS", "world_unwritable", INPUTS_EXIT)
    assert "Too many levels of symbolic links" in answer.message


def test_a_path_that_is_too_long_for_a_ledger_is_named_as_the_cause(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    world = tmp_path / ("d" * 250) / ("e" * 240)

    answer = world_command("put", str(tmp_path / "file"), FILE, world=world)

    assert answer.error == ("ERR_INPUTS", "world_unwritable", INPUTS_EXIT)
    assert f"its path has {len(str(world))} bytes, and SQLite takes 485" in answer.message


def test_a_file_system_without_room_is_named_as_the_cause(tmp_path: Path) -> None:
    world = tmp_path / "w"
    (tmp_path / "file").write_bytes(b"x")
    assert world_command("put", str(tmp_path / "file"), FILE, world=world).exit_code == 0

    with start(
        *("ls", "--json"),
        world=world,
        command=WORLD,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, 16_384)),
    ) as process:
        ended = finish(process, world=world)

    answer = Answer(ended.exit_code, ended.stdout, ended.stderr)
    assert answer.error == ("ERR_INPUTS", "world_unwritable", INPUTS_EXIT)
    assert "no room" in answer.message
    assert world_command("ls", world=world).result["count"] == 1


def test_a_world_that_cannot_be_written_is_named_as_the_cause(tmp_path: Path) -> None:
    world = tmp_path / "w"
    (tmp_path / "file").write_bytes(b"x")
    assert world_command("put", str(tmp_path / "file"), FILE, world=world).exit_code == 0
    world.chmod(0o555)

    try:
        for words in (("ls",), ("rm", FILE)):
            with start(
                *(*words, "--json"),
                world=world,
                command=WORLD,
                preexec_fn=without_rights_of_root,
            ) as process:
                ended = finish(process, world=world)
            answer = Answer(ended.exit_code, ended.stdout, ended.stderr)
            assert answer.error == ("ERR_INPUTS", "world_unwritable", INPUTS_EXIT)
            assert "the folder cannot be written" in answer.message
            assert "copy it whole" in answer.message
    finally:
        world.chmod(0o755)
    shutil.copytree(world, tmp_path / "copy")
    assert world_command("ls", world=tmp_path / "copy").result["count"] == 1


def test_a_head_that_cannot_be_read_is_not_called_corrupt(tmp_path: Path) -> None:
    world = tmp_path / "w"
    (tmp_path / "file").write_bytes(b"x")
    assert world_command("put", str(tmp_path / "file"), FILE, world=world).exit_code == 0
    (world / "head.json").unlink()
    (world / "head.json").mkdir()

    for answer in (ledger("verify", world=world), world_command("rm", FILE, world=world)):
        assert answer.error == ("ERR_INPUTS", "unreadable_file", INPUTS_EXIT)
        assert f"{world}/head.json': Is a directory" in answer.message


def test_a_pipe_in_the_place_of_a_file_of_the_world_is_not_waited_for(tmp_path: Path) -> None:
    world, source = tmp_path / "w", tmp_path / "file"
    source.write_bytes(b"x")
    assert world_command("put", str(source), FILE, world=world).exit_code == 0
    cid = artifacts(world)[FILE]
    stored = world / "store" / cid[7:9] / cid[9:]
    stored.unlink()
    os.mkfifo(stored)

    answer = world_command("cat", FILE, world=world)

    assert answer.error == ("ERR_INPUTS", "world_corrupt", INPUTS_EXIT)
    assert f"restore {str(stored)!a} from a copy" in answer.message
    world_command("put", str(source), "/artifacts/again", world=world).result  # noqa: B018
    assert world_command("cat", FILE, world=world).result["content"] == "x"
    (world / "head.json").unlink()
    os.mkfifo(world / "head.json")
    for answer in (ledger("verify", world=world), world_command("rm", FILE, world=world)):
        assert answer.error == ("ERR_INPUTS", "world_corrupt", INPUTS_EXIT)
        assert f"{world}/head.json'" in answer.message


def test_a_head_may_lie_in_a_file_whose_name_is_no_text(tmp_path: Path) -> None:
    world, head = tmp_path / "w", tmp_path / "h\udcff.json"
    (tmp_path / "file").write_bytes(b"x")
    assert world_command("put", str(tmp_path / "file"), FILE, world=world).exit_code == 0
    assert ledger("head", "--out", str(head), world=world).exit_code == 0

    judged = ledger("verify", "--head", str(head), world=world).result["heads"]

    assert [each["file"] for each in judged] == ["head.json", f"{tmp_path}/h\\udcff.json"]


@pytest.mark.parametrize("folder", ["built", "a.runfiles/built", "a.runfiles/b.runfiles/built"])
def test_a_command_may_be_started_through_a_link(folder: str, tmp_path: Path) -> None:
    real = tmp_path / folder / "run_processor"
    real.parent.mkdir(parents=True)
    shutil.copy(ZOO_COMMAND, real)
    real.with_name("run_processor.runfiles").symlink_to(ROOT.parent)
    link = real.parent.parent / "a link"
    link.symlink_to("built/run_processor")

    for command in (link, real):
        with start(*zoo_words("good"), world=tmp_path / "w", command=command) as process:
            result = finish(process, world=tmp_path / "w")

        assert result.envelope["status"] == "success"


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "tr_TR.ISO-8859-9"])
def test_names_of_files_are_read_alike_in_every_locale(locale: str, tmp_path: Path) -> None:
    copy = commands.Copy(tmp_path)
    copy.file("run_processor.tree/start.py").write_text("import sys; print(sys.flags.utf8_mode)")

    with start(world=None, env={"LC_ALL": locale}, command=copy.command) as process:
        ended = finish(process, world=tmp_path)

    assert ended.stdout == b"1\n"


def test_a_file_that_fails_while_it_is_read_is_named(tmp_path: Path) -> None:
    unreadable = "/proc/self/mem"  # opens like any file, and its first page cannot be read

    answer = world_command("put", unreadable, FILE, world=tmp_path / "w")
    with start(
        *zoo_words("good", "--attach", f"source={unreadable}"),
        world=tmp_path / "w",
        command=ZOO_COMMAND,
    ) as process:
        result = finish(process, world=tmp_path / "w")

    assert answer.error == ("ERR_INPUTS", "unreadable_file", INPUTS_EXIT)
    assert result.error == ("ERR_INPUTS", "unreadable_file")
    for message in (answer.message, result.envelope["error"]["message"]):
        assert message == f"'{unreadable}': Input/output error"


def test_a_disk_that_is_full_under_a_processor_is_named_as_the_cause(tmp_path: Path) -> None:
    result = zoo("write_to_a_full_disk", world=tmp_path)

    assert result.error == ("ERR_ADAPTER_INVOCATION", "processor_error")
    error = result.envelope["error"]
    assert error["message"] == "the processor raised OSError (No space left on device)"
