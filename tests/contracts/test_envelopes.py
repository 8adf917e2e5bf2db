"""What a success says is what lies in the world, and a forged word is no success."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from processors.protocol.errors import CODES, ERRORS
from tests.fixtures import traces
from tests.harness import SCHEMA, SCHEMA_FILE, Result, run, zoo

PREFIX = "/artifacts/zoo/"
OWN = tuple(  # what an execution e-1 leaves under its own name
    f"/artifacts/execution/e-1/{name}"
    for name in ("determinism.json", "envelope.json", "inputs.json")
)
ZEROS = "sha256:" + "0" * 64


def refused(result: Result, reason: str) -> None:
    """Judge a run that broke the contract: nothing of it is an output."""
    assert result.error == ("ERR_ADAPTER_INVOCATION", reason)
    assert result.exit_code == 1
    assert [path for path in result.visible if "outputs" in path] == []
    traces.names(result)


@pytest.mark.proves("EV-1")
def test_the_schema_lists_the_codes_and_reasons_of_the_table() -> None:
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    SCHEMA.check_schema(schema)
    error = schema["$defs"]["error"]["properties"]["error"]
    listed = {
        part["properties"]["code"]["const"]: set(part["properties"]["reason"]["enum"])
        for part in error["oneOf"]
    }

    assert error["properties"]["code"]["enum"] == list(CODES)
    assert listed == {code: {row.reason for row in ERRORS if row.code == code} for code in CODES}


@pytest.mark.proves("EV-1")
@pytest.mark.parametrize("place", [(), ("meta",), ("outputs", 0)])
def test_the_schema_is_closed_and_every_key_is_required(
    place: tuple[str | int, ...], tmp_path: Path
) -> None:
    envelope = zoo("good", world=tmp_path).envelope
    text = json.dumps(envelope)
    for key in at(envelope, place):
        damaged = json.loads(text)
        del at(damaged, place)[key]
        assert not SCHEMA.is_valid(damaged), key
    damaged = json.loads(text)
    at(damaged, place)["extra"] = 1
    assert not SCHEMA.is_valid(damaged)


def at(document: dict[str, Any], place: tuple[str | int, ...]) -> dict[str, Any]:
    """The object of a document at a place."""
    found: Any = document
    for key in place:
        found = found[key]
    assert isinstance(found, dict)
    return found


@pytest.mark.proves("EV-1")
def test_a_success_has_exactly_the_published_keys(tmp_path: Path) -> None:
    envelope = zoo("good", world=tmp_path).envelope

    assert set(envelope) == {"status", "execution_id", "outputs", "index_path", "meta"}
    assert set(envelope["meta"]) == {
        *("processor_ref", "adapter", "mode", "lane", "app", "function", "image_digest"),
        *("env_fingerprint", "inputs_hash", "memo_key", "cost_micro_usd", "duration_ms"),
    }
    known = ("processor_ref", "adapter", "mode", "lane")
    assert [envelope["meta"][key] for key in known] == ["hostile/zoo@1", "local", "mock", "pr"]
    for key in ("app", "function", "image_digest"):
        assert envelope["meta"][key] is None
    assert envelope["meta"]["cost_micro_usd"] == 0


@pytest.mark.proves("EV-1")
def test_an_error_has_exactly_the_published_keys(tmp_path: Path) -> None:
    early = zoo("good", "--unheard-of", world=tmp_path).envelope
    late = zoo("own_error", world=tmp_path).envelope

    for envelope in (early, late):
        assert set(envelope) == {"status", "execution_id", "error", "meta"}
        assert set(envelope["error"]) == {"code", "reason", "message"}
    assert set(late["meta"]) - set(early["meta"]) == {"tails"}
    assert {key for key, value in early["meta"].items() if value is not None} == {"duration_ms"}


@pytest.mark.proves("EV-2")
def test_the_execution_id_is_the_one_asked_for(tmp_path: Path) -> None:
    result = zoo("good", "--execution-id", "my-own-1", world=tmp_path)

    assert result.envelope["execution_id"] == "my-own-1"
    assert {event["execution_id"] for event in result.events} == {"my-own-1"}
    assert result.file("/artifacts/execution/my-own-1/determinism.json").exists()


@pytest.mark.proves("EV-2")
def test_each_call_has_an_execution_id_of_its_own(tmp_path: Path) -> None:
    ids = [zoo("good", world=tmp_path).envelope["execution_id"] for _ in range(3)]

    assert all(ids)
    assert len(set(ids)) == 3


@pytest.mark.proves("EV-2")
@pytest.mark.parametrize("value", ["", "someone-else", None, 7])
def test_a_reply_for_another_execution_is_refused(value: object, tmp_path: Path) -> None:
    forged = json.dumps([[["execution_id"], value]])

    refused(zoo("forge", text=forged, world=tmp_path), "envelope_invalid")


@pytest.mark.proves("EV-3")
def test_outputs_are_sorted_and_hold_what_they_say(tmp_path: Path) -> None:
    result = zoo("many", world=tmp_path)

    outputs = result.envelope["outputs"]
    assert [item["path"].removeprefix(PREFIX + "outputs/") for item in outputs] == [
        *("a.txt", "b.txt", "sub-b.txt", "sub/c.txt"),
    ]
    for item in outputs:
        data = result.file(item["path"]).read_bytes()
        assert item["cid"] == "sha256:" + hashlib.sha256(data).hexdigest()
        assert item["size_bytes"] == len(data)
        assert item["mime"] == "text/plain"


FORGED: dict[str, tuple[list[object], object]] = {
    "no list": (["outputs"], None),
    "a key more": (["outputs", 0, "url"], "x"),
    "another cid": (["outputs", 0, "cid"], ZEROS),
    "an upper-case cid": (["outputs", 0, "cid"], "sha256:" + "A" * 64),
    "another size": (["outputs", 0, "size_bytes"], 6),
    "a negative size": (["outputs", 0, "size_bytes"], -1),
    "true as size": (["outputs", 0, "size_bytes"], True),
    "an empty mime": (["outputs", 0, "mime"], ""),
    "outside outputs": (["outputs", 0, "path"], PREFIX + "a.txt"),
    "a sibling of outputs": (["outputs", 0, "path"], PREFIX + "outputs2/a.txt"),
    "a sibling of the prefix": (["outputs", 0, "path"], "/artifacts/zoo2/outputs/a.txt"),
    "a dot segment": (["outputs", 0, "path"], PREFIX + "outputs/./a.txt"),
    "a way out": (["outputs", 0, "path"], PREFIX + "outputs/../outputs/a.txt"),
    "an escape": (["outputs", 0, "path"], PREFIX + "outputs/%61.txt"),
    "a hidden slash": (["outputs", 0, "path"], PREFIX + "outputs%2Fa.txt"),
    "out of order": (["outputs", 0, "path"], PREFIX + "outputs/z.txt"),
    "twice": (["outputs", 1, "path"], PREFIX + "outputs/a.txt"),
    "no such file": (["outputs", 0, "path"], PREFIX + "outputs/a"),
    "the receipt": (["outputs", 0, "path"], PREFIX + "receipt.json"),
    "the receipt, in a way": (["outputs", 0, "path"], PREFIX + "outputs/../receipt.json"),
    "another index": (["index_path"], "/artifacts/other/outputs.json"),
    "a lower index": (["index_path"], PREFIX + "outputs/outputs.json"),
    "an index not canonical": (["index_path"], PREFIX + "./outputs.json"),
    "an escaped index": (["index_path"], PREFIX + "outputs%2Ejson"),
    "no index": (["index_path"], None),
    "another ref": (["meta", "processor_ref"], "hostile/other@1"),
    "another mode": (["meta", "mode"], "real"),
    "other inputs": (["meta", "inputs_hash"], ZEROS),
    "a negative cost": (["meta", "cost_micro_usd"], -1),
    "a key more in meta": (["meta", "lane"], "main"),
    "a key more at the top": (["note"], "x"),
    "another status": (["status"], "ok"),
}


@pytest.mark.proves("EV-3", "EV-4", "RC-3")
@pytest.mark.parametrize("name", FORGED)
def test_a_forged_envelope_is_refused(name: str, tmp_path: Path) -> None:
    keys, value = FORGED[name]

    result = zoo("forge", text=json.dumps([[keys, value]]), world=tmp_path)

    # Which check finds it first is not promised: receipts and bytes disagree with it as well.
    assert result.error[1] in ("envelope_invalid", "output_invalid", "receipt_invalid")
    refused(result, result.error[1])


@pytest.mark.proves("EV-3")
@pytest.mark.parametrize("behaviour", ["unsorted", "twice"])
def test_outputs_are_listed_once_and_in_order(behaviour: str, tmp_path: Path) -> None:
    """Envelope, index and receipts agree with each other here; they are all wrong."""
    refused(zoo(behaviour, world=tmp_path), "envelope_invalid")


@pytest.mark.proves("EV-3")
@pytest.mark.parametrize(
    "behaviour",
    [
        "wrong_bytes",
        "missing_output",
        "symlink_output",
        "symlink_same",
        "hard_link",
        "pipe_output",
        "device_output",
        "linked_folder",
    ],
)
def test_bytes_that_are_not_what_the_envelope_says_are_refused(
    behaviour: str, tmp_path: Path
) -> None:
    result = zoo(behaviour, world=tmp_path)

    assert result.error[1] in ("output_invalid", "stray_file")
    refused(result, result.error[1])


@pytest.mark.proves("EV-4")
def test_the_index_lies_under_the_prefix_and_equals_the_list(tmp_path: Path) -> None:
    result = zoo("many", prefix="/artifacts/a/{execution_id}/", world=tmp_path)

    envelope = result.envelope
    prefix = f"/artifacts/a/{envelope['execution_id']}/"
    assert envelope["index_path"] == prefix + "outputs.json"
    index = json.loads(result.file(envelope["index_path"]).read_bytes())
    assert index == {"schema": "v1", "outputs": envelope["outputs"]}


@pytest.mark.proves("EV-4")
@pytest.mark.parametrize("behaviour", ["lose", "change_index"])
def test_an_index_that_is_not_the_list_is_refused(behaviour: str, tmp_path: Path) -> None:
    result = zoo(behaviour, text="outputs.json", world=tmp_path)

    assert result.error[1] in ("output_invalid", "receipt_invalid")
    refused(result, result.error[1])


@pytest.mark.proves("RC-1")
@pytest.mark.parametrize("behaviour", ["stray", "stray_deep", "stray_link", "unlisted"])
def test_a_file_beside_the_outputs_fails_the_run(behaviour: str, tmp_path: Path) -> None:
    refused(zoo(behaviour, world=tmp_path), "stray_file")


@pytest.mark.proves("RC-1")
def test_what_is_written_outside_the_prefix_never_gets_into_the_world(tmp_path: Path) -> None:
    result = zoo("write_elsewhere", "--execution-id", "e-1", world=tmp_path)

    # Refused or dropped; in either case it is not there afterwards.
    assert [path for path in result.visible if "planted" in path] == []
    if result.exit_code == 0:
        assert result.visible == [
            *OWN,
            *(PREFIX + name for name in ("outputs.json", "outputs/seen.txt", "receipt.json")),
        ]


@pytest.mark.proves("RC-1")
def test_a_success_makes_exactly_outputs_index_and_receipts_visible(tmp_path: Path) -> None:
    result = zoo("good", "--execution-id", "e-1", world=tmp_path)

    assert result.visible == [
        *OWN,
        *(PREFIX + name for name in ("outputs.json", "outputs/seen.txt", "receipt.json")),
    ]


def test_a_pipe_in_the_place_of_a_receipt_is_not_waited_for(tmp_path: Path) -> None:
    refused(zoo("pipe_receipt", world=tmp_path), "receipt_invalid")


@pytest.mark.proves("RC-3")
def test_receipts_are_no_outputs(tmp_path: Path) -> None:
    result = zoo("good", world=tmp_path)

    index = json.loads(result.file(result.envelope["index_path"]).read_bytes())
    for listed in (result.envelope["outputs"], index["outputs"]):
        assert [item["path"] for item in listed] == [PREFIX + "outputs/seen.txt"]


@pytest.mark.proves("RC-4")
@pytest.mark.parametrize("name", ["receipt.json", "determinism.json"])
@pytest.mark.parametrize("behaviour", ["lose", "spoil"])
def test_a_receipt_is_the_processors_and_is_never_repaired(
    behaviour: str, name: str, tmp_path: Path
) -> None:
    result = zoo(behaviour, text=name, world=tmp_path)

    refused(result, "receipt_invalid")
    left = [path for path in result.visible if path.endswith(("receipt.json", "determinism.json"))]
    assert len(left) == 2
    for path in left:  # what a supervisor leaves says who wrote it
        assert json.loads(result.file(path).read_bytes())["writer"] == "supervisor"


def test_an_error_of_the_processor_passes_through(tmp_path: Path) -> None:
    result = zoo("own_error", world=tmp_path)

    assert result.envelope["error"] == {
        "code": "ERR_ADAPTER_INVOCATION",
        "reason": "provider_unavailable",
        "message": "the zoo is closed",
    }


def test_a_code_that_is_not_the_processors_to_say_is_refused(tmp_path: Path) -> None:
    refused(zoo("foreign_code", world=tmp_path), "envelope_invalid")


def test_an_unknown_processor_leaves_what_is_known_in_meta(tmp_path: Path) -> None:
    result = run(
        *("--ref", "no/such@1", "--adapter", "local", "--mode", "mock", "--lane", "pr"),
        *("--write-prefix", "/artifacts/x/", "--inputs-json", "{}", "--json"),
        world=tmp_path,
    )

    assert result.error == ("ERR_INPUTS", "unknown_ref")
    assert "llm/chat@1" in result.envelope["error"]["message"]
    assert result.envelope["meta"]["processor_ref"] == "no/such@1"
    assert result.envelope["meta"]["lane"] == "pr"
