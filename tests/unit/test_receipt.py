"""The receipt: canonical, closed, bound to one run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processors.protocol import digests, receipt
from processors.protocol.canonical import Json, canonical
from processors.protocol.envelope import Output
from processors.protocol.errors import ContractError, inputs_error
from processors.protocol.payload import Payload

PAYLOAD_HASH = digests.of_bytes(b"the bytes read")
OUTPUT = Output("/artifacts/demo/outputs/a.md", digests.of_bytes(b"a"), 1, "text/plain")


VOLATILE = ("execution_id", "payload_hash", "started_at", "duration_ms")


def payload(**changes: Any) -> Payload:
    return Payload(
        **{
            "execution_id": "x-1",
            "ref": "doc/extract@1",
            "mode": "mock",
            "inputs": {"a": 1},
            "artifacts": {},
            "write_prefix": "/artifacts/demo/",
            **changes,
        }
    )


def encode(
    *, error: ContractError | None = None, started_at: str = "2026-01-01T00:00:00Z"
) -> bytes:
    return receipt.encode(
        writer="processor",
        payload=payload(),
        payload_hash=PAYLOAD_HASH,
        outputs=[] if error else [OUTPUT],
        error=error,
        cost_micro_usd=3,
        started_at=started_at,
        duration_ms=12,
    )


def document(**changes: Any) -> dict[str, Any]:
    found = json.loads(encode())
    assert isinstance(found, dict)
    return found | changes


def problem(found: Json) -> str | None:
    return receipt.problem(
        found, payload(), PAYLOAD_HASH, outputs=[OUTPUT], error=None, cost_micro_usd=3
    )


def test_a_receipt_is_canonical_json_and_a_newline() -> None:
    data = encode()

    assert data == canonical(json.loads(data)) + b"\n"
    assert tuple(sorted(json.loads(data))) == tuple(sorted(receipt.KEYS))
    assert sorted(json.loads(data)["volatile"]) == sorted(VOLATILE)


def test_a_success_names_its_outputs_and_an_error_its_row() -> None:
    success, error = json.loads(encode()), json.loads(encode(error=inputs_error("bad_json", "no")))

    assert (success["status"], success["error"]) == ("success", None)
    assert success["outputs"] == [OUTPUT.as_json()]
    assert (error["status"], error["outputs"]) == ("error", [])
    assert error["error"] == {"code": "ERR_INPUTS", "reason": "bad_json"}


def test_a_receipt_holds_the_hash_of_the_bytes_read_and_of_the_inputs() -> None:
    assert document()["volatile"]["payload_hash"] == PAYLOAD_HASH
    assert document()["inputs_hash"] == payload().inputs_hash()


def test_two_runs_differ_in_the_volatile_part_alone() -> None:
    one, two = json.loads(encode()), json.loads(encode(started_at="2027-07-07T07:07:07Z"))

    assert one.pop("volatile") != two.pop("volatile")
    assert one == two


def test_the_receipt_of_a_run_has_no_problem() -> None:
    assert problem(document()) is None


@pytest.mark.parametrize("key", receipt.KEYS)
def test_every_member_is_required(key: str) -> None:
    found = document()
    del found[key]

    assert problem(found) == f"receipt lacks {key}"


@pytest.mark.parametrize("key", VOLATILE)
def test_every_volatile_member_is_required(key: str) -> None:
    found = document()
    del found["volatile"][key]

    wrong = problem(found)
    assert wrong == f"receipt.volatile lacks {key}"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", "v2"),
        ("processor_ref", "doc/extract@2"),
        ("mode", "real"),
        ("writer", "supervisor"),
        ("status", "error"),
        ("outputs", []),
        ("error", {"code": "ERR_INPUTS", "reason": "bad_json"}),
        ("cost_micro_usd", 4),
        ("inputs_hash", digests.of_bytes(b"")),
        ("more", 1),
        ("volatile", None),
    ],
)
def test_a_receipt_of_another_run_is_found(key: str, value: object) -> None:
    found = document(**{key: value})

    assert problem(found) is not None


def test_true_is_not_one() -> None:
    found = document(outputs=[OUTPUT.as_json() | {"size_bytes": True}])

    assert problem(found) == "receipt.outputs is not the one of this run"


@pytest.mark.parametrize(("key", "value"), [("execution_id", "y"), ("payload_hash", "x")])
def test_a_receipt_of_another_call_is_found(key: str, value: str) -> None:
    found = document()
    found["volatile"][key] = value

    wrong = problem(found)
    assert wrong == f"receipt.volatile.{key} is not the one of this run"


@pytest.mark.parametrize(
    "value",
    [
        *("", "now", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+00:00", 0, None),
        *("2026-01-01T00:00:00Z ", "2026-01-01T00:00:00.1Z", "\u0662026-01-01T00:00:00Z"),
    ],
)
def test_the_start_of_a_run_is_a_time_and_no_other_text(value: Json) -> None:
    found = document()
    found["volatile"]["started_at"] = value

    wrong = problem(found)
    assert wrong == "receipt.volatile.started_at has a value that is not of the contract"


@pytest.mark.parametrize("value", [None, [], "receipt", 1])
def test_what_is_no_object_is_no_receipt(value: Json) -> None:
    assert problem(value) is not None
