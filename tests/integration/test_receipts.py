"""Receipts: written twice by the processor, equal, checked, and found beside whatever happened."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from processors.protocol import digests
from processors.protocol.payload import Payload
from tests.harness import Result, zoo

BESIDE = "/artifacts/zoo/receipt.json"


def receipts(result: Result) -> tuple[bytes, bytes]:
    """Both copies of a run's receipt."""
    execution_id = result.envelope["execution_id"]
    copy = f"/artifacts/execution/{execution_id}/determinism.json"
    return result.file(BESIDE).read_bytes(), result.file(copy).read_bytes()


def document(result: Result) -> dict[str, Any]:
    """A run's receipt, whose copies are equal."""
    beside, copy = receipts(result)
    assert beside == copy
    found = json.loads(beside)
    assert isinstance(found, dict)
    return found


@pytest.mark.proves("RC-2")
@pytest.mark.parametrize("behaviour", ["good", "many", "no_outputs", "own_error", "raise"])
def test_a_receipt_is_written_twice_byte_for_byte(behaviour: str, tmp_path: Path) -> None:
    result = zoo(behaviour, world=tmp_path)

    found = document(result)
    assert found["writer"] == "processor"
    assert found["status"] == result.envelope["status"]
    assert found["outputs"] == result.envelope.get("outputs", [])
    assert found["volatile"]["execution_id"] == result.envelope["execution_id"]


@pytest.mark.proves("RC-2")
@pytest.mark.parametrize("name", ["receipt.json", "determinism.json"])
@pytest.mark.parametrize("behaviour", ["lose", "spoil"])
def test_a_receipt_without_its_equal_is_never_half_true(
    behaviour: str, name: str, tmp_path: Path
) -> None:
    result = zoo(behaviour, text=name, world=tmp_path)

    assert result.error == ("ERR_ADAPTER_INVOCATION", "receipt_invalid")
    left = [path for path in result.visible if path.endswith(("receipt.json", "determinism.json"))]
    for path in left:  # whatever a supervisor may leave claims no success
        assert json.loads(result.file(path).read_bytes())["status"] == "error"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", "v2"),
        ("writer", "supervisor"),
        ("writer", "someone"),
        ("processor_ref", "hostile/other@1"),
        ("mode", "real"),
        ("status", "error"),
        ("inputs_hash", "sha256:" + "0" * 64),
        ("outputs", []),
        ("error", {"code": "ERR_INPUTS", "reason": "bad_json"}),
        ("cost_micro_usd", 5),
        ("note", "one key more"),
        ("volatile", {}),
    ],
)
def test_a_receipt_that_is_not_the_one_of_the_run_is_refused(
    key: str, value: object, tmp_path: Path
) -> None:
    result = zoo("forge_receipt", text=json.dumps([[key, value]]), world=tmp_path)

    assert result.error == ("ERR_ADAPTER_INVOCATION", "receipt_invalid")


@pytest.mark.proves("RC-2")
def test_a_receipt_that_exists_before_the_runs_own_is_no_success(tmp_path: Path) -> None:
    result = zoo("write_receipt_first", world=tmp_path)

    assert result.envelope["status"] == "error"
    assert result.exit_code == 1


def test_a_receipt_holds_the_hash_of_the_payload_and_of_the_inputs(tmp_path: Path) -> None:
    result = zoo("good", "--execution-id", "e-1", world=tmp_path)
    payload = Payload(
        execution_id="e-1",
        ref="hostile/zoo@1",
        mode="mock",
        inputs={"behaviour": "good"},
        artifacts={},
        write_prefix="/artifacts/zoo/",
    )

    found = document(result)
    sent = "sha256:" + hashlib.sha256(payload.encode()).hexdigest()
    assert found["volatile"]["payload_hash"] == sent == digests.of_bytes(payload.encode())
    assert found["inputs_hash"] == payload.inputs_hash() == result.envelope["meta"]["inputs_hash"]
    [begun] = [event for event in result.events if event["event"] == "adapter.invoke.start"]
    assert begun["payload_hash"] == sent


def test_two_runs_of_one_payload_differ_in_volatile_parts_alone(tmp_path: Path) -> None:
    first, second = (document(zoo("many", world=tmp_path / name)) for name in ("a", "b"))

    assert first.pop("volatile").keys() == second.pop("volatile").keys()
    assert first == second


def test_a_failure_never_takes_the_place_of_a_success(tmp_path: Path) -> None:
    first = zoo("good", world=tmp_path)
    kept = receipts(first)[0]

    second = zoo("own_error", world=tmp_path)

    assert first.file(BESIDE).read_bytes() == kept
    assert first.output("seen.txt") == b"seen\n"
    copy = f"/artifacts/execution/{second.envelope['execution_id']}/determinism.json"
    assert json.loads(second.file(copy).read_bytes())["status"] == "error"


def test_a_success_takes_the_place_of_a_failure(tmp_path: Path) -> None:
    failed = zoo("own_error", world=tmp_path)
    assert document(failed)["status"] == "error"

    assert document(zoo("good", world=tmp_path))["status"] == "success"
