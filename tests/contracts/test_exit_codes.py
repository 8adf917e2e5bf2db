"""The exit status is 0 exactly on success; test_error_table.py has one for each row."""

from __future__ import annotations

from pathlib import Path

import pytest

from processors.protocol.errors import find_row
from tests.harness import Result, zoo


def ends(result: Result, error: str, exit_code: int) -> None:
    """Judge how a call ended, by what it says and by the table."""
    code, reason = error.split("/")
    row = find_row(code, reason)
    assert row is not None
    assert result.error == (code, reason)
    assert result.exit_code == exit_code == row.exit_code
    assert result.events[-1]["exit_code"] == exit_code


@pytest.mark.proves("EV-9")
@pytest.mark.parametrize("behaviour", ["good", "many", "no_outputs", "print_stdout"])
def test_a_success_is_exit_status_0(behaviour: str, tmp_path: Path) -> None:
    result = zoo(behaviour, world=tmp_path)

    assert result.envelope["status"] == "success"
    assert result.exit_code == 0


@pytest.mark.proves("EV-9")
@pytest.mark.parametrize(
    ("size", "reason"), [(0, "empty_input"), (1_048_576, None), (1_048_577, "input_too_large")]
)
def test_the_size_of_an_attached_file_is_judged(
    size: int, reason: str | None, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"x" * size)

    result = zoo("copy", "--attach", f"source={tmp_path}/source", world=tmp_path / "world")

    if reason is None:
        assert result.exit_code == 0
    else:
        ends(result, f"ERR_INPUTS/{reason}", 2)


@pytest.mark.proves("EV-9")
def test_an_execution_id_is_used_once(tmp_path: Path) -> None:
    first = zoo("good", "--execution-id", "e-1", world=tmp_path)
    second = zoo("good", "--execution-id", "e-1", prefix="/artifacts/b/", world=tmp_path)

    assert first.exit_code == 0
    ends(second, "ERR_INPUTS/execution_exists", 2)


@pytest.mark.proves("EV-9")
@pytest.mark.parametrize("prefix", ["/artifacts/zoo/outputs/", "/artifacts/zoo/below/it/"])
def test_a_prefix_below_another_executions_is_occupied(prefix: str, tmp_path: Path) -> None:
    zoo("good", world=tmp_path)

    ends(zoo("good", prefix=prefix, world=tmp_path), "ERR_INPUTS/prefix_occupied", 2)


@pytest.mark.proves("EV-9")
def test_a_prefix_above_another_executions_is_occupied(tmp_path: Path) -> None:
    zoo("good", prefix="/artifacts/a/b/c/", world=tmp_path)

    ends(zoo("good", prefix="/artifacts/a/", world=tmp_path), "ERR_INPUTS/prefix_occupied", 2)


@pytest.mark.proves("EV-9")
def test_a_used_artifact_of_the_own_prefix_is_the_callers_mistake(tmp_path: Path) -> None:
    """The run would take the place of what it reads; that is no fault of the processor."""
    zoo("good", world=tmp_path)

    result = zoo("copy", "--use", "source=/artifacts/zoo/outputs/seen.txt", world=tmp_path)

    assert result.error[0] == "ERR_INPUTS" or result.output("copy.bin") == b"seen\n"
    assert result.exit_code in (0, 2)
