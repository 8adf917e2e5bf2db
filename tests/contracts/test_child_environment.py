"""What a child can see, and what of a secret can be seen afterwards."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import traces
from tests.harness import (
    MOCK,
    REAL,
    ZOO_COMMAND,
    Result,
    finish,
    read_until,
    start,
    zoo,
    zoo_words,
)

ALLOWED = ["HOME", "LANG", "PATH", "PYTHONHASHSEED", "TMPDIR", "TZ", "WORLD_ATTEMPT"]
SECRET = "zoo-key-7f3b51c09d2e4a68"  # noqa: S105 - the tests' own
CALLER = {
    "AWS_SECRET_ACCESS_KEY": "c",
    "CI": "true",
    "HOME": "/planted",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "LC_ALL": "tr_TR.UTF-8",
    "LD_LIBRARY_PATH": "/planted",
    "OPENAI_API_KEY": "a" * 20,
    "PYTHONHASHSEED": "12345",
    "PYTHONPATH": "/planted",
    "PYTHONSTARTUP": "/planted",
    "SOME_NEW_VENDOR_KEY": "b" * 20,
    "TZ": "Asia/Tokyo",
    "ZOO_SECRET": SECRET,
}


def seen(result: Result) -> dict[str, Any]:
    """What the child said it can see."""
    assert result.exit_code == 0
    found = json.loads(result.output("seen.json"))
    assert isinstance(found, dict)
    return found


@pytest.mark.proves("PA-4")
@pytest.mark.parametrize("caller_seed", [None, "0", "1", "12345", "random"])
def test_the_hash_seed_of_a_child_is_0_in_effect(caller_seed: str | None, tmp_path: Path) -> None:
    expected = subprocess.run(
        [sys.executable, "-c", "print(hash('the effective seed'))"],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        check=True,
    )
    env = {} if caller_seed is None else {"PYTHONHASHSEED": caller_seed}

    result = zoo("environment", world=tmp_path, env=env)

    assert seen(result)["hash"] == int(expected.stdout)


@pytest.mark.proves("PA-4")
def test_the_callers_hash_seed_changes_no_result(tmp_path: Path) -> None:
    outputs = []
    for seed in ("0", "1", "4294967295"):
        env = {"PYTHONHASHSEED": seed}
        envelope = zoo("many", world=tmp_path / seed, env=env).envelope
        outputs.append((envelope["outputs"], envelope["meta"]["memo_key"]))

    assert outputs[0] == outputs[1] == outputs[2]


@pytest.mark.proves("SE-6")
def test_a_childs_variables_are_exactly_the_allowed_ones(tmp_path: Path) -> None:
    result = zoo("environment", world=tmp_path, env=CALLER)

    assert seen(result)["names"] == ALLOWED
    assert "/planted" not in json.dumps(seen(result))


@pytest.mark.proves("SE-6")
def test_a_secret_reaches_a_child_only_when_it_is_opted_in(tmp_path: Path) -> None:
    words = ("--allow-env", "ZOO_SECRET")

    result = zoo("environment", *words, lane=REAL, world=tmp_path, env=CALLER)

    assert seen(result)["names"] == sorted([*ALLOWED, "ZOO_SECRET"])


@pytest.mark.parametrize("lane", [MOCK, ("--adapter", "local", "--mode", "mock", "--lane", "dev")])
def test_mock_mode_sees_no_secret(lane: tuple[str, ...], tmp_path: Path) -> None:
    result = zoo("environment", lane=lane, world=tmp_path, env=CALLER)

    assert "ZOO_SECRET" not in seen(result)["names"]


@pytest.mark.proves("SP-2")
def test_a_child_has_no_terminal_and_nothing_left_on_stdin(tmp_path: Path) -> None:
    found = seen(zoo("environment", world=tmp_path, stdin=b"the caller's own stdin"))

    assert found["isatty"] == [False, False, False]
    assert found["stdin_left"] is False
    assert found["unbuffered"] is True


def test_a_child_imports_from_its_own_tree_alone(tmp_path: Path) -> None:
    found = seen(zoo("environment", world=tmp_path, env={"PYTHONPATH": str(tmp_path)}))

    assert found["safe_path"] is True
    own = [path for path in found["path"] if not path.startswith(sys_prefixes(found["path"]))]
    assert [path.rpartition("/tree/")[2] for path in own] == ["app", "site-packages"]
    assert str(tmp_path / "world") not in found["path"]


def sys_prefixes(path: list[str]) -> str:
    """The folder of the standard library, which comes first."""
    return path[0].rpartition("/")[0]


def test_a_child_works_in_its_own_folder(tmp_path: Path) -> None:
    found = seen(zoo("environment", world=tmp_path))

    assert found["cwd"].startswith(f"{tmp_path}/.staging/")


@pytest.mark.proves("SE-4")
@pytest.mark.parametrize("behaviour", ["leak_secret", "leak_in_event", "leak_in_message"])
def test_a_leaked_secret_is_masked_wherever_we_print(behaviour: str, tmp_path: Path) -> None:
    words = ("--allow-env", "ZOO_SECRET")

    result = zoo(behaviour, *words, lane=REAL, world=tmp_path, env={"ZOO_SECRET": SECRET})

    assert result.exit_code == 1
    assert b"[redacted]" in result.stderr + result.stdout
    assert SECRET.encode() not in result.stdout
    assert SECRET.encode() not in result.stderr
    assert [
        path for path in result.visible if SECRET.encode() in result.file(path).read_bytes()
    ] == []
    traces.names(result)


@pytest.mark.proves("SE-4")
def test_a_secret_in_the_clear_is_no_argument_of_a_child(tmp_path: Path) -> None:
    words = zoo_words("sleep", "--allow-env", "ZOO_SECRET", "--timeout-s", "5", lane=REAL)
    env = {"ZOO_SECRET": SECRET}
    with start(*words, world=tmp_path, command=ZOO_COMMAND, env=env) as process:
        read = read_until(process, "processor.log")
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        arguments = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children]
        process.terminate()
        finish(process, world=tmp_path, read=read)

    assert len(arguments) == 1
    assert SECRET.encode() not in arguments[0]
