"""Drive ``run_processor`` from outside, as a caller would: words in, streams and files out."""

from __future__ import annotations

import ctypes
import json
import os
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

# Where Bazel laid out what a test may use.
ROOT = Path(os.environ["TEST_SRCDIR"]) / os.environ["TEST_WORKSPACE"]
COMMAND = ROOT / "run_processor"
ZOO_COMMAND = ROOT / "tests/fixtures/run_processor"  # the same program over the test processors
SCHEMA_FILE = ROOT / "docs/reference/envelope.schema.json"

MOCK = ("--adapter", "local", "--mode", "mock", "--lane", "pr")
REAL = ("--adapter", "local", "--mode", "real", "--lane", "dev")

_PR_CAPBSET_DROP = 24
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2

PATIENCE_S = 50  # longer than any call takes; a call that takes longer hangs

SCHEMA = Draft202012Validator(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))


class Result:
    """How one call ended.

    Attributes:
        exit_code: The exit status; ``-N`` when signal N ended the command.
        stdout: All of stdout.
        stderr: All of stderr.
        world: The world's folder.
    """

    def __init__(self, exit_code: int, stdout: bytes, stderr: bytes, world: Path) -> None:
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr
        self.world = world

    @property
    def envelope(self) -> dict[str, Any]:
        """The envelope: stdout must be one line with one JSON object of the published schema."""
        assert self.stdout.count(b"\n") == 1, self.stdout
        assert self.stdout.endswith(b"\n")
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
        SCHEMA.validate(found)
        return found

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every line of stderr; each must be a JSON object."""
        found = [json.loads(line) for line in self.stderr.splitlines()]
        assert all(isinstance(event, dict) for event in found)
        return found

    @property
    def error(self) -> tuple[str, str]:
        """Code and reason of an error envelope."""
        error = self.envelope["error"]
        return error["code"], error["reason"]

    def file(self, world_path: str) -> Path:
        """Where the bytes of a world path lie; no file if the world has no such path."""
        cid = artifacts(self.world).get(world_path, "sha256:no-such-artifact")
        return self.world / "store" / cid[7:9] / cid[9:]

    def output(self, name: str) -> bytes:
        """The bytes of one output, by its path below ``outputs/``."""
        [path] = [
            item["path"]
            for item in self.envelope["outputs"]
            if item["path"].endswith("/outputs/" + name)
        ]
        return self.file(path).read_bytes()

    @property
    def visible(self) -> list[str]:
        """Every world path that is visible, and what lies in staging."""
        staged = (self.world / ".staging").rglob("*")
        left = ["/" + path.relative_to(self.world).as_posix() for path in staged]
        return sorted([*artifacts(self.world), *left])


def artifacts(world: Path) -> dict[str, str]:
    """What a world's ledger says is visible: world path to content id. Empty without a world."""
    file = world / "ledger.sqlite3"
    if not file.exists():
        return {}
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        return dict(connection.execute("SELECT path, cid FROM artifacts"))
    except sqlite3.DatabaseError:
        return {}  # no ledger, and so nothing is visible
    finally:
        connection.close()


def start(
    *words: str,
    world: Path | None,
    env: Mapping[str, str] | None = None,
    command: Path = COMMAND,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start the command with a bare environment; the caller waits for it.

    Without a ``world`` the command chooses its own. The pipes are unbuffered, so that a caller may
    read some of stderr before ``communicate`` reads the rest.
    """
    return subprocess.Popen(
        [command, *words, *(() if world is None else ("--world", str(world)))],
        env={"PATH": "/usr/bin:/bin", **(env or {})},
        bufsize=0,
        **{
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            **options,
        },
    )


def run(
    *words: str,
    world: Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    command: Path = COMMAND,
    timeout_s: float = PATIENCE_S,
    **options: Any,
) -> Result:
    """Run the command to its end."""
    with start(
        *words, world=world, env=env, command=command, stdin=subprocess.PIPE, **options
    ) as process:
        return finish(process, world=world, stdin=stdin, timeout_s=timeout_s)


def without_rights_of_root() -> None:
    """Let what is started be held by the rights of files, as whoever is not root is."""
    for right in (_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH):
        ctypes.CDLL(None).prctl(_PR_CAPBSET_DROP, right)


def read_until(process: subprocess.Popen[bytes], event: str) -> bytes:
    """Read a running command's stderr up to the first line of an event; return what was read."""
    assert process.stderr is not None
    read = b""
    while line := process.stderr.readline():
        read += line
        if json.loads(line)["event"] == event:
            return read
    raise AssertionError(f"the command ended without {event}: {read!r}")


def finish(
    process: subprocess.Popen[bytes],
    *,
    world: Path,
    stdin: bytes | None = None,
    read: bytes = b"",
    timeout_s: float = PATIENCE_S,
) -> Result:
    """Wait for a started command; ``read`` is what was read of its stderr before."""
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout_s)
    finally:
        process.kill()
    return Result(process.returncode, stdout or b"", read + (stderr or b""), world)


def zoo_words(
    behaviour: str,
    *words: str,
    lane: tuple[str, ...] = MOCK,
    prefix: str = "/artifacts/zoo/",
    text: str | None = None,
) -> list[str]:
    """The words that run the test processor ``hostile/zoo@1`` with one behaviour, as JSON."""
    inputs = {"behaviour": behaviour} | ({} if text is None else {"text": text})
    return [
        *("--ref", "hostile/zoo@1", *lane, "--write-prefix", prefix),
        *("--inputs-json", json.dumps(inputs), "--json", *words),
    ]


def zoo(
    behaviour: str,
    *words: str,
    world: Path,
    lane: tuple[str, ...] = MOCK,
    prefix: str = "/artifacts/zoo/",
    text: str | None = None,
    **options: Any,
) -> Result:
    """Run the test processor ``hostile/zoo@1`` with one behaviour."""
    whole = zoo_words(behaviour, *words, lane=lane, prefix=prefix, text=text)
    return run(*whole, world=world, command=ZOO_COMMAND, **options)
