"""``bazel run //:run_processor``: one line on stdout, and the caller's own folder."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import subprocess
import tempfile
import termios
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tools.selfcheck.check import check, expect
from tools.selfcheck.scratch import Done, Scratch

_CHAT = (
    *("--ref", "llm/chat@1", "--adapter", "local", "--mode", "mock", "--lane", "pr"),
    *("--write-prefix", "/artifacts/selfcheck/{execution_id}/", "--json"),
)
_HELLO = (
    '{"endpoint":"openai","model":"gpt-4o-mini","messages":[{"role":"user","content":"hello"}]}'
)
_WAIT_S = 60


def _run(scratch: Scratch, world: str, *words: str, cwd: str = "") -> Done:
    return scratch.bazel("run", "//:run_processor", "--", *words, "--world", world, cwd=cwd)


def _expect_line(what: str, done: Done, wanted_code: int, error: str = "") -> None:
    expect(done.stdout.count("\n") == 1, f"{what}: stdout is {done.stdout[:300]!r}")
    envelope = json.loads(done.stdout)
    expect(done.code == wanted_code, f"{what}: exit {done.code}, not {wanted_code}: {envelope}")
    expect(envelope["status"] == ("error" if error else "success"), f"{what}: {envelope}")
    expect(not error or envelope["error"]["code"] == error, f"{what}: {envelope}")


@check(
    "stdout under bazel run is one line: success, errors of every kind",
    "BZ-2",
    sabotage=[("orchestrator/cli/output.py", "memoryview(data)", "memoryview(data * 2)")],
)
def one_line(scratch: Scratch) -> None:
    """The build is warm or cold; Bazel's own words are on stderr in both cases."""
    with tempfile.TemporaryDirectory() as world:
        hello = ("--inputs-json", _HELLO)
        _expect_line("success", _run(scratch, world, *_CHAT, *hello), 0)
        for what, words, error in (
            ("bad flag", (*_CHAT, *hello, "--no-such-flag"), "ERR_INPUTS"),
            ("no flag", ("--json",), "ERR_INPUTS"),
            ("unknown ref", ("--ref", "no/body@1", *_CHAT[2:], *hello), "ERR_INPUTS"),
            ("malformed JSON", (*_CHAT, "--inputs-json", "{"), "ERR_INPUTS"),
            ("missing file", (*_CHAT, "--inputs-file", "no/such/file"), "ERR_INPUTS"),
            ("inputs it refuses", (*_CHAT, "--inputs-json", "{}"), "ERR_INPUTS"),
        ):
            _expect_line(what, _run(scratch, world, *words), 2, error)


@check(
    "a processor's own error under bazel run is one line",
    "BZ-2",
    sabotage=[
        (
            "processors/protocol/runtime.py",
            "        return error\n",
            "        raise SystemExit(9)\n",
        ),
    ],
)
def processor_error(scratch: Scratch) -> None:
    """The document is no PDF, which only the processor can find out."""
    with tempfile.TemporaryDirectory() as folder:
        broken = Path(folder, "broken.pdf")
        broken.write_bytes(b"%PDF-1.7\nnot really\n")
        words = (
            *("--ref", "doc/extract@1", "--adapter", "local", "--mode", "real", "--lane", "dev"),
            *("--write-prefix", "/artifacts/selfcheck/{execution_id}/", "--json"),
            *("--attach", f"source={broken}", "--inputs-json", "{}"),
        )
        done = _run(scratch, folder, *words)
        _expect_line("corrupt PDF", done, 2, "ERR_INPUTS")
        expect("processor.receipt" in done.stderr, "the processor never ran")


@check(
    "relative paths under bazel run are the caller's",
    "BZ-2",
    sabotage=[
        ("tools/rules/private/py_command.bzl", 'cd "${{BUILD_WORKING_DIRECTORY:-.}}"', "cd .")
    ],
)
def relative_paths(scratch: Scratch) -> None:
    """Run from a subfolder: a relative attachment, inputs file and world."""
    folder = scratch.root / "docs/selfcheck"
    folder.mkdir(parents=True)
    try:
        (folder / "note.txt").write_text("hello\n")
        (folder / "inputs.json").write_text(_HELLO)
        words = (*_CHAT, "--attach", "note=note.txt", "--inputs-file", "inputs.json")
        _expect_line("relative", _run(scratch, "my-world", *words, cwd="docs/selfcheck"), 0)
        expect((folder / "my-world").is_dir(), "the world is not in the caller's folder")
    finally:
        shutil.rmtree(folder)


@check(
    "Ctrl-C under bazel run ends in one line and exit 130",
    "BZ-2",
    sabotage=[
        (
            "orchestrator/cli/run_processor.py",
            "for signum in (signal.SIGINT, signal.SIGTERM",
            "for signum in (signal.SIGTERM",
        ),
    ],
)
def interrupted(scratch: Scratch) -> None:
    """The key on a real terminal, so the whole foreground group has the signal."""
    with tempfile.TemporaryDirectory() as world:
        words = ("run", "//:run_processor", "--", *_CHAT, "--inputs", "-", "--world", world)
        done = press_ctrl_c(scratch.command(*words), scratch.root)
    _expect_line("Ctrl-C", done, 130, "ERR_ADAPTER_INVOCATION")


def press_ctrl_c(command: Sequence[str], cwd: Path) -> Done:
    """Start a command on a terminal of its own; press the key once it waits for its inputs."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        command,
        cwd=cwd,
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one thread
    ) as process:
        os.close(slave)
        stderr = bytearray()
        started = threading.Event()

        def drain() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                stderr.extend(line)
                if b"execution.start" in line:
                    started.set()

        reader = threading.Thread(target=drain)
        reader.start()
        if started.wait(_WAIT_S):
            time.sleep(0.3)  # From the event to the wait for inputs.
            os.write(master, b"\x03")
        assert process.stdout is not None
        killer = threading.Timer(_WAIT_S, process.kill)
        killer.start()
        stdout = process.stdout.read()
        process.wait()
        killer.cancel()
        reader.join()
    os.close(master)
    return Done(process.returncode, stdout.decode(), stderr.decode(errors="replace"))
