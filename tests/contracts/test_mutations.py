"""Every mutation of a valid envelope is refused; a processor's own error passes through."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from processors.protocol.canonical import canonical
from processors.protocol.errors import ERRORS, PROCESSOR_CODES, Row
from tests.fixtures import mutations, traces
from tests.fixtures.mutations import Step
from tests.harness import Result, zoo

MALFORMED: dict[str, Step] = {
    **mutations.dropped("success"),
    **mutations.retyped("success", [None, ["x"]]),
    **mutations.reordered(),
    **mutations.dropped("error"),
    **mutations.retyped("error", [None, ["x"]]),
}
# Well formed, and not what happened.
UNTRUE: dict[str, Step] = {
    "another cid": ("set", ["outputs", 0, "cid"], "sha256:" + "0" * 64),
    "another size": ("set", ["outputs", 0, "size_bytes"], 6),
    "another mime": ("set", ["outputs", 0, "mime"], "text/html"),
    "another name": ("set", ["outputs", 0, "path"], "/artifacts/zoo/outputs/a"),
    "one output less": ("drop", ["outputs", 0], None),
    "no output": ("set", ["outputs"], []),
    "another cost": ("set", ["meta", "cost_micro_usd"], 7),
}
TEXT = {
    "a key twice": ['"status"', '"status": "success", "status"'],
    "a key twice, escaped": ['"status"', '"st\\u0061tus": "success", "status"'],
    "a key of meta twice": ['"mode"', '"mode": "mock", "mode"'],
    "a key of an output twice": ['"mime"', '"mime": "text/plain", "mime"'],
    "a byte order mark": ["{", "\ufeff{"],
    "bytes that are not UTF-8": ["text/plain", "text/\udcff"],
    "a lone surrogate": ["text/plain", "\\ud800"],
    "a size of NaN": ['"size_bytes": 5', '"size_bytes": NaN'],
    "a size beyond 2^53": ['"size_bytes": 5', '"size_bytes": 9007199254740993'],
    "a comment": ["{", "{ /* no */ "],
    "a word before": ["{", "ok {"],
    "an array around": ["{", "[{"],
}


def mutated(world: Path, **asked: Any) -> Result:
    """Run the processor that breaks its own envelope."""
    return zoo("mutate", text=json.dumps({"error": False, **asked}), world=world)


def assert_refused(result: Result, *reasons: str) -> None:
    """Nothing of a refused run is an output, and what is left of it is the supervisor's word."""
    code, reason = result.error
    assert code == "ERR_ADAPTER_INVOCATION"
    assert reason in reasons
    assert result.exit_code == 1
    assert [path for path in result.visible if "outputs" in path] == []
    left = [path for path in result.visible if path.endswith(("receipt.json", "determinism.json"))]
    assert left
    for path in left:
        assert json.loads(result.file(path).read_bytes())["writer"] == "supervisor"
    assert traces.names(result)[-2:] == ["adapter.invoke.error", "execution.settle"]


@pytest.mark.proves("EV-6")
@pytest.mark.parametrize("name", MALFORMED)
def test_every_mutation_of_a_valid_envelope_is_refused(name: str, tmp_path: Path) -> None:
    steps = [MALFORMED[name]]

    result = mutated(tmp_path, error=name.startswith("error "), steps=steps)

    assert_refused(result, "envelope_invalid")


@pytest.mark.proves("EV-6")
@pytest.mark.parametrize("name", TEXT)
def test_what_is_not_one_strict_json_object_is_refused(name: str, tmp_path: Path) -> None:
    result = mutated(tmp_path, replace=[TEXT[name]])

    assert_refused(result, "envelope_invalid")


@pytest.mark.proves("EV-6")
@pytest.mark.parametrize("name", UNTRUE)
def test_an_envelope_that_is_untrue_is_refused(name: str, tmp_path: Path) -> None:
    result = mutated(tmp_path, steps=[UNTRUE[name]])

    assert_refused(result, "output_invalid", "receipt_invalid")


@pytest.mark.proves("EV-6")
@pytest.mark.parametrize("error", [False, True])
def test_without_a_mutation_the_envelope_is_accepted(error: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a case
    """What is refused above is refused for its mutation."""
    result = mutated(tmp_path, error=error, steps=[], replace=[])

    assert result.envelope["status"] == ("error" if error else "success")
    if error:
        assert result.error == ("ERR_ADAPTER_INVOCATION", "provider_unavailable")


def is_own(row: Row) -> bool:
    """Whether a row of the table is a processor's to answer."""
    if row.code == "ERR_ADAPTER_INVOCATION":
        return row.reason.startswith(("provider_", "processor_"))
    return row.code in PROCESSOR_CODES


@pytest.mark.proves("EV-6")
@pytest.mark.parametrize("row", ERRORS, ids=lambda row: f"{row.code}-{row.reason}")
def test_an_error_passes_with_its_own_code_exactly_if_it_is_the_processors(
    row: Row, tmp_path: Path
) -> None:
    result = zoo("fail_as", text=f"{row.code} {row.reason}", world=tmp_path)

    if not is_own(row):
        assert_refused(result, "envelope_invalid")
        return
    message = f"seen: {row.reason}"
    assert result.envelope["error"] == {
        "code": row.code,
        "reason": row.reason,
        "message": message,
    }
    assert result.exit_code == row.exit_code
    receipt = json.loads(result.file("/artifacts/zoo/receipt.json").read_bytes())
    assert receipt["writer"] == "processor"
    assert receipt["error"] == {"code": row.code, "reason": row.reason}


@pytest.mark.parametrize("behaviour", ["many", "own_error"])
def test_the_digest_of_the_processors_own_envelope_is_kept(behaviour: str, tmp_path: Path) -> None:
    """Taking our additions away gives the processor's bytes back."""
    result = zoo(behaviour, world=tmp_path)

    own = result.envelope
    keys = ("processor_ref", "mode", "inputs_hash", "cost_micro_usd")
    own["meta"] = {key: own["meta"][key] for key in keys}
    [ended] = [event for event in result.events if "reply_digest" in event]
    data = canonical(own) + b"\n"
    assert ended["reply_digest"] == "sha256:" + hashlib.sha256(data).hexdigest()
    assert ended["event"] == f"adapter.invoke.{'complete' if behaviour == 'many' else 'error'}"
