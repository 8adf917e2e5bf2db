"""adapter=local is a subprocess of ours: no container, and no tool to make one is needed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from processors.protocol import digests
from tests.harness import MOCK, ZOO_COMMAND, finish, read_until, run, start, zoo, zoo_words

TOOLS = ("docker", "podman", "nerdctl", "runc", "crun", "ctr", "buildah", "modal", "bwrap")
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


@pytest.mark.proves("LN-4")
def test_a_run_needs_no_program_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = ("--ref", "llm/chat@1", *MOCK, "--write-prefix", "/artifacts/a/", "--json")
    inputs = '{"endpoint":"openai","model":"gpt-5","messages":[{"role":"user","content":"x"}]}'

    result = run(
        *(*words, "--inputs-json", inputs),
        world=tmp_path / "world",
        env={"PATH": str(tmp_path / "empty")},
    )

    assert result.exit_code == 0
    assert result.output("reply.md")


@pytest.mark.proves("LN-4")
def test_no_container_tool_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        tool = folder / name
        tool.write_text(f"#!/bin/sh\n: >'{tmp_path}/called'\n")
        tool.chmod(0o755)

    result = zoo("good", world=tmp_path / "world", env={"PATH": f"{folder}:/usr/bin:/bin"})

    assert result.exit_code == 0
    assert not (tmp_path / "called").exists()


@pytest.mark.proves("LN-4")
def test_a_processor_is_a_direct_child_in_the_callers_namespaces(tmp_path: Path) -> None:
    words = zoo_words("sleep")
    with start(*words, world=tmp_path, command=ZOO_COMMAND) as process:
        read = read_until(process, "processor.log")
        [child] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        program, *rest = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        own = {name: os.readlink(f"/proc/self/ns/{name}") for name in NAMESPACES}
        its = {name: os.readlink(f"/proc/{child}/ns/{name}") for name in NAMESPACES}
        process.terminate()
        finish(process, world=tmp_path, read=read)

    assert b"python" in program
    assert any(word.endswith(b"hostile/zoo/v1/tree/start.py") for word in rest)
    assert its == own


@pytest.mark.proves("SE-1")
def test_a_declared_secret_in_the_environment_stays_there(tmp_path: Path) -> None:
    value = "zoo-key-7f3b51c09d2e4a68"

    result = zoo("environment", world=tmp_path, env={"ZOO_SECRET": value})

    seen = json.loads(result.output("seen.json"))
    assert result.exit_code == 0
    assert "ZOO_SECRET" not in seen["names"]
    assert seen["secret"] == digests.of_bytes(b"")
    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(value.encode() in data for data in [result.stdout, result.stderr, *kept])


@pytest.mark.proves("SE-1")
def test_a_secret_cannot_be_opted_in(tmp_path: Path) -> None:
    env = {"ZOO_SECRET": "zoo-key-7f3b51c09d2e4a68"}

    result = zoo("environment", "--allow-env", "ZOO_SECRET", world=tmp_path, env=env)

    assert result.error == ("ERR_CI_SAFETY", "lane_secrets")
