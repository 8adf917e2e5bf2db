"""The payload: one closed object, one encoding."""

from __future__ import annotations

import json
from typing import Any

import pytest

from processors.protocol import digests
from processors.protocol.canonical import DEPTH_MAX, DOCUMENT_BYTES_MAX, parse_object
from processors.protocol.errors import ContractError
from processors.protocol.payload import PAYLOAD_BYTES_MAX, Artifact, Payload, decode

CID = digests.of_bytes(b"content")


def payload(**changes: Any) -> Payload:
    return Payload(
        **{
            "execution_id": "x-1",
            "ref": "doc/extract@1",
            "mode": "mock",
            "inputs": {"b": 1, "a": "\u00e9"},
            "artifacts": {"source": Artifact("/artifacts/attached/abc", CID, 7)},
            "write_prefix": "/artifacts/demo/",
            **changes,
        }
    )


def document(**changes: Any) -> dict[str, Any]:
    found = json.loads(payload().encode())
    assert isinstance(found, dict)
    return found | changes


def reason_of(sent: object) -> str:
    with pytest.raises(ContractError) as caught:
        decode(json.dumps(sent).encode())
    assert caught.value.code == "ERR_INPUTS"
    return caught.value.reason


def test_the_encoding_is_canonical_and_closed() -> None:
    assert payload().encode().decode() == (
        '{"artifacts":{"source":{"cid":"' + CID + '",'
        '"path":"/artifacts/attached/abc","size_bytes":7}},'
        '"execution_id":"x-1","inputs":{"a":"\u00e9","b":1},"mode":"mock",'
        '"ref":"doc/extract@1","schema":"v1","write_prefix":"/artifacts/demo/"}'
    )


def test_what_was_encoded_is_decoded() -> None:
    found = decode(payload().encode())

    assert found.encode() == payload().encode()
    assert found.inputs_hash() == payload().inputs_hash()
    assert found.artifacts["source"].as_json() == payload().artifacts["source"].as_json()


@pytest.mark.parametrize("key", sorted(document()))
def test_every_member_is_required(key: str) -> None:
    sent = document()
    del sent[key]

    assert reason_of(sent) == "schema_violation"


@pytest.mark.proves("HR-1")
@pytest.mark.parametrize(
    "mode", ["smoke", "default", "simulate", "MOCK", "Real", "", " mock", "mock\n", None, [], 1]
)
def test_a_processor_refuses_every_other_mode(mode: object) -> None:
    assert reason_of(document(mode=mode)) == "schema_violation"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"more": 1}, "schema_violation"),
        ({"schema": "v2"}, "schema_violation"),
        ({"schema": 1}, "schema_violation"),
        ({"execution_id": "X"}, "schema_violation"),
        ({"execution_id": ""}, "schema_violation"),
        ({"execution_id": 1}, "schema_violation"),
        ({"ref": "doc/extract"}, "schema_violation"),
        ({"inputs": []}, "schema_violation"),
        ({"inputs": None}, "schema_violation"),
        ({"artifacts": []}, "schema_violation"),
        (
            {"artifacts": {"Source": {"path": "/x", "cid": CID, "size_bytes": 1}}},
            "schema_violation",
        ),
        ({"artifacts": {"a": {"path": "/x", "cid": CID}}}, "schema_violation"),
        ({"artifacts": {"a": {"path": "/x", "cid": "abc", "size_bytes": 1}}}, "schema_violation"),
        ({"artifacts": {"a": {"path": "/x", "cid": CID, "size_bytes": -1}}}, "schema_violation"),
        ({"artifacts": {"a": {"path": "", "cid": CID, "size_bytes": 1}}}, "schema_violation"),
        ({"artifacts": {"a": None}}, "schema_violation"),
        ({"write_prefix": ""}, "schema_violation"),
        ({"write_prefix": "/artifacts/demo"}, "path_bad_prefix"),
        ({"write_prefix": "/artifacts/../x/"}, "path_dot_segment"),
    ],
)
def test_a_broken_payload_is_refused(changes: dict[str, Any], reason: str) -> None:
    assert reason_of(document(**changes)) == reason


def test_a_payload_that_is_no_object_or_too_large_is_refused() -> None:
    assert reason_of([]) == "not_an_object"
    with pytest.raises(ContractError) as caught:
        decode(b" " * (PAYLOAD_BYTES_MAX + 1))
    assert caught.value.reason == "too_large"


def test_inputs_may_be_as_deep_in_a_payload_as_outside() -> None:
    deepest = b'{"a":' * DEPTH_MAX + b"1" + b"}" * DEPTH_MAX
    sent = payload(inputs=parse_object(deepest, "the inputs"))
    deeper = payload(inputs={"a": sent.inputs})

    assert decode(sent.encode()).inputs == sent.inputs
    with pytest.raises(ContractError) as caught:
        decode(deeper.encode())
    assert caught.value.reason == "too_deep"


def test_inputs_whose_numbers_grow_in_canonical_form_still_fit() -> None:
    start, item = b'{"a":[1', b",1e15"
    largest = start + item * ((DOCUMENT_BYTES_MAX - len(start) - 2) // len(item)) + b"]}"
    sent = payload(inputs=parse_object(largest, "the inputs"))

    assert decode(sent.encode()).inputs == sent.inputs


def test_the_hash_of_the_inputs_covers_contents_and_not_places() -> None:
    same = [
        payload(execution_id="other"),
        payload(write_prefix="/artifacts/elsewhere/"),
        payload(inputs={"a": "\u00e9", "b": 1}),
        payload(artifacts={"source": Artifact("/artifacts/moved", CID, 7)}),
    ]
    other = [
        payload(inputs={"b": 2, "a": "\u00e9"}),
        payload(inputs={}),
        payload(artifacts={}),
        payload(artifacts={"renamed": Artifact("/artifacts/attached/abc", CID, 7)}),
        payload(artifacts={"source": Artifact("/artifacts/x", digests.of_bytes(b""), 7)}),
    ]

    assert {each.inputs_hash() for each in same} == {payload().inputs_hash()}
    assert len({each.inputs_hash() for each in [payload(), *other]}) == len(other) + 1
