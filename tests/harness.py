"""Drive ``run_processor`` from outside, as a caller would: words in, streams and files out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Where Bazel laid out what a test may use.
ROOT = Path(os.environ["TEST_SRCDIR"]) / os.environ["TEST_WORKSPACE"]
COMMAND = ROOT / "run_processor"
ZOO_COMMAND = ROOT / "tests/fixtures/run_processor"  # the same program over the test processors

MOCK = ("--adapter", "local", "--mode", "mock", "--lane", "pr")
REAL = ("--adapter", "local", "--mode", "real", "--lane", "dev")


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
        """The envelope; stdout must be exactly one line that holds one JSON object."""
        assert self.stdout.count(b"\n") == 1, self.stdout
        assert self.stdout.endswith(b"\n")
        found = json.loads(self.stdout)
        assert isinstance(found, dict)
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
        """Where a world path lies."""
        return self.world / world_path.removeprefix("/")

    def output(self, name: str) -> bytes:
        """The bytes of one output, by its path below ``outputs/``."""
        [path] = [item["path"] for item in self.envelope["outputs"]
                  if item["path"].endswith("/outputs/" + name)]
        return self.file(path).read_bytes()


def start(
    *words: str,
    world: Path,
    env: Mapping[str, str] | None = None,
    command: Path = COMMAND,
    **options: Any,
) -> subprocess.Popen[bytes]:
    """Start the command with a bare environment; the caller waits for it."""
    return subprocess.Popen(
        [command, *words, "--world", str(world)],
        env={"PATH": "/usr/bin:/bin", **(env or {})},
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
    timeout_s: float = 50,
) -> Result:
    """Run the command to its end."""
    with start(*words, world=world, env=env, command=command, stdin=subprocess.PIPE) as process:
        try:
            stdout, stderr = process.communicate(stdin, timeout=timeout_s)
        finally:
            process.kill()
    return Result(process.returncode, stdout, stderr, world)


def zoo(behaviour: str, *words: str, world: Path, **options: Any) -> Result:
    """Run the test processor ``hostile/zoo@1`` with one behaviour, in mock mode, as JSON."""
    inputs = json.dumps({"behaviour": behaviour})
    return run(
        "--ref", "hostile/zoo@1", *MOCK, "--write-prefix", "/artifacts/zoo/", "--inputs-json",
        inputs, "--json", *words, world=world, command=ZOO_COMMAND, **options,
    )
