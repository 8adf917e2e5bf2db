"""A run whose processor leaves no receipt that can stand has one all the same, and it says so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures import traces
from tests.harness import zoo

DETERMINISM = "/artifacts/execution/x-1/determinism.json"
RECEIPT = "/artifacts/zoo/receipt.json"

# Behaviour of the processor → reason of the answer.
FAILURES = {
    "kill_self": "killed",
    "exit_7": "exit_status",
    "succeed_and_exit_7": "exit_status",
    "folder_receipt": "receipt_invalid",
    "exit_0_silent": "envelope_invalid",
    "not_json": "envelope_invalid",
    "two_envelopes": "envelope_invalid",
    "stray": "stray_file",
    "wrong_bytes": "output_invalid",
    "sleep": "time_limit",
}


@pytest.mark.proves("RC-5")
@pytest.mark.parametrize(("behaviour", "reason"), FAILURES.items())
def test_the_supervisor_attests_what_the_processor_cannot(
    behaviour: str, reason: str, tmp_path: Path
) -> None:
    result = zoo(behaviour, "--execution-id", "x-1", "--timeout-s", "2", world=tmp_path)

    both = [result.file(path).read_bytes() for path in (DETERMINISM, RECEIPT)]
    stub = json.loads(both[0])
    assert result.error == ("ERR_ADAPTER_INVOCATION", reason)
    assert both[0] == both[1]
    assert (stub["writer"], stub["status"], stub["outputs"]) == ("supervisor", "error", [])
    assert stub["error"] == {"code": "ERR_ADAPTER_INVOCATION", "reason": reason}
    assert stub["volatile"]["execution_id"] == "x-1"
    assert traces.names(result)[-1] == "execution.settle"
    assert [path for path in result.visible if "/outputs" in path] == []
    assert zoo("good", world=tmp_path).exit_code == 0


@pytest.mark.proves("RC-5")
def test_a_failure_leaves_an_earlier_success_where_it_is(tmp_path: Path) -> None:
    good = zoo("good", world=tmp_path)

    result = zoo("kill_self", "--execution-id", "x-1", world=tmp_path)

    assert json.loads(result.file(DETERMINISM).read_bytes())["writer"] == "supervisor"
    assert json.loads(result.file(RECEIPT).read_bytes())["status"] == "success"
    assert good.output("seen.txt") == b"seen\n"


@pytest.mark.proves("RC-5")
def test_a_processors_own_error_has_the_processors_own_receipt(tmp_path: Path) -> None:
    result = zoo("own_error", "--execution-id", "x-1", world=tmp_path)

    assert json.loads(result.file(RECEIPT).read_bytes())["writer"] == "processor"
