"""A processor's envelope is judged as a closed model: every mutation of a valid one is refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from processors.protocol import digests, envelope
from processors.protocol.errors import CODES, ERRORS, ContractError
from processors.protocol.payload import Payload
from tests.fixtures import mutations

type Document = dict[str, Any]
type Mutation = Callable[[Document], object]

PREFIX = "/artifacts/demo/"
PAYLOAD = Payload(
    execution_id="x-1",
    ref="doc/extract@1",
    mode="mock",
    inputs={"a": 1},
    artifacts={},
    write_prefix=PREFIX,
)
META = {
    "processor_ref": "doc/extract@1",
    "mode": "mock",
    "inputs_hash": PAYLOAD.inputs_hash(),
    "cost_micro_usd": 5,
}
SUCCESS: Document = {
    "status": "success",
    "execution_id": "x-1",
    "outputs": [
        {
            "path": f"{PREFIX}outputs/{name}",
            "cid": digests.of_bytes(name.encode()),
            "size_bytes": 1,
            "mime": "text/plain",
        }
        for name in ("a.md", "b/c.md")
    ],
    "index_path": f"{PREFIX}outputs.json",
    "meta": META,
}
ERROR: Document = {
    "status": "error",
    "execution_id": "x-1",
    "error": {
        "code": "ERR_INPUTS",
        "reason": "corrupt_document",
        "message": "page 3 cannot be parsed",
    },
    "meta": META,
}


def check(document: object) -> envelope.Reply:
    return envelope.check(json.dumps(document).encode(), PAYLOAD)


def assert_refused(data: bytes) -> None:
    with pytest.raises(ContractError) as caught:
        envelope.check(data, PAYLOAD)
    assert (caught.value.code, caught.value.reason) == (
        "ERR_ADAPTER_INVOCATION",
        "envelope_invalid",
    )


STEPS = {
    status: mutations.dropped(status) | mutations.retyped(status, mutations.FOREIGN)
    for status in ("success", "error")
}
MUTATIONS: dict[str, Document] = {
    **{name: mutations.apply(SUCCESS, *step) for name, step in STEPS["success"].items()},
    **{name: mutations.apply(SUCCESS, *step) for name, step in mutations.reordered().items()},
    **{name: mutations.apply(ERROR, *step) for name, step in STEPS["error"].items()},
}


def test_the_mutations_know_every_member() -> None:
    for status, document in (("success", SUCCESS), ("error", ERROR)):
        for where, place in mutations.OBJECTS[status].items():
            found: Any = document
            for key in place:
                found = found[key]
            assert sorted(found) == sorted(mutations.members(status, where))


@pytest.mark.proves("EV-1")
def test_a_valid_success_is_accepted() -> None:
    found = check(SUCCESS)

    assert found.error is None
    assert found.cost_micro_usd == 5
    assert [output.as_json() for output in found.outputs] == SUCCESS["outputs"]


def test_a_success_may_have_no_outputs_and_white_space_around_it() -> None:
    data = b"\n  " + json.dumps(SUCCESS | {"outputs": []}).encode() + b"\r\n"

    assert envelope.check(data, PAYLOAD).outputs == []


@pytest.mark.proves("EV-1", "EV-2", "EV-3", "EV-6")
@pytest.mark.parametrize("mutated", MUTATIONS.values(), ids=MUTATIONS)
def test_every_mutation_of_a_valid_envelope_is_refused(mutated: Document) -> None:
    assert_refused(json.dumps(mutated).encode())


def set_path(path: str) -> Mutation:
    return lambda document: document["outputs"][0].update(path=path)


WRONG: dict[str, Mutation] = {
    "unsorted": lambda document: document["outputs"].reverse(),
    "twice": lambda document: document["outputs"].append(document["outputs"][1]),
    "output is a list": lambda document: document["outputs"].append([]),
    "other mode": lambda document: document["meta"].update(mode="real"),
    "other ref": lambda document: document["meta"].update(processor_ref="doc/extract@2"),
    "other inputs": lambda document: document["meta"].update(inputs_hash=digests.of_bytes(b"")),
    "upper-case digest": lambda document: document["outputs"][0].update(cid="sha256:" + "A" * 64),
    "error with outputs": lambda document: document.update(status="error"),
    "both": lambda document: document.update(error=ERROR["error"]),
    "other index": lambda document: document.update(index_path=f"{PREFIX}index.json"),
    "index of another prefix": lambda document: document.update(
        index_path="/artifacts/demo2/outputs.json"
    ),
    "index not canonical": lambda document: document.update(
        index_path=f"{PREFIX}x/../outputs.json"
    ),
    "receipt as output": set_path(f"{PREFIX}receipt.json"),
    "index as output": set_path(f"{PREFIX}outputs.json"),
    "determinism receipt as output": set_path("/artifacts/execution/x-1/determinism.json"),
    "beside outputs": set_path(f"{PREFIX}a.md"),
    "name that only starts like the folder": set_path(f"{PREFIX}outputs2/a.md"),
    "folder itself": set_path(f"{PREFIX}outputs/"),
    "other prefix": set_path("/artifacts/demo2/outputs/a.md"),
    "parent": set_path(f"{PREFIX}outputs/../receipt.json"),
    "encoded parent": set_path(f"{PREFIX}outputs/%2e%2e/receipt.json"),
    "encoded slash": set_path(f"{PREFIX}outputs/a%2fb"),
    "escape": set_path(f"{PREFIX}outputs/%61.md"),
    "decomposed": set_path(f"{PREFIX}outputs/e\u0301.md"),
    "double slash": set_path(f"{PREFIX}outputs//a.md"),
    "relative": set_path("outputs/a.md"),
}


@pytest.mark.proves("EV-3", "EV-4", "RC-3")
@pytest.mark.parametrize("mutate", WRONG.values(), ids=WRONG)
def test_outputs_and_index_must_be_those_of_the_write_prefix(mutate: Mutation) -> None:
    document = copy.deepcopy(SUCCESS)
    mutate(document)

    assert_refused(json.dumps(document).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"all is well",
        b"[]",
        b"null",
        json.dumps(SUCCESS).encode() * 2,
        b"log line\n" + json.dumps(SUCCESS).encode(),
        json.dumps(SUCCESS).encode()[:-1],
        json.dumps(SUCCESS).encode().replace(b'"status"', b'"status": "success", "status"'),
        b"\xef\xbb\xbf" + json.dumps(SUCCESS).encode(),
        json.dumps(SUCCESS).encode().replace(b"text/plain", b"\xff"),
        json.dumps(SUCCESS).encode() + b" " * 10 + b"x" * envelope.ENVELOPE_BYTES_MAX,
    ],
)
def test_what_is_not_one_json_object_is_refused(data: bytes) -> None:
    assert_refused(data)


OWN = {
    (row.code, row.reason)
    for row in ERRORS
    if row.code in ("ERR_INPUTS", "ERR_MISSING_SECRET")
    or (row.code == "ERR_ADAPTER_INVOCATION" and row.reason.startswith("provider_"))
    or row.reason == "processor_error"
}


@pytest.mark.proves("EV-6")
def test_an_error_passes_through_with_its_own_code_exactly_when_it_may() -> None:
    """Of the whole table: only what is the processor's own to say."""
    passed = set()
    for row in ERRORS:
        own = {"code": row.code, "reason": row.reason, "message": "seen"}
        try:
            found = check(ERROR | {"error": own})
        except ContractError:
            continue
        assert found.error is not None
        assert found.error.as_json() == own
        assert found.outputs == []
        assert found.cost_micro_usd == 5
        passed.add((row.code, row.reason))

    assert passed == OWN


@pytest.mark.proves("EV-1", "EV-6")
@pytest.mark.parametrize(
    ("code", "reason"),
    [
        *((code, "made_up") for code in CODES),
        ("ERR_OTHER", "bad_json"),
        ("err_inputs", "bad_json"),
        ("ERR_CI_SAFETY", "bad_json"),
        ("ERR_INPUTS", "provider_auth"),
    ],
)
def test_a_pair_outside_the_table_is_refused(code: str, reason: str) -> None:
    error = {"code": code, "reason": reason, "message": ""}

    assert_refused(json.dumps(ERROR | {"error": error}).encode())


def test_a_message_has_a_largest_size() -> None:
    error = ERROR["error"]

    assert check(ERROR | {"error": error | {"message": "x" * 2_000}}).error is not None
    assert_refused(json.dumps(ERROR | {"error": error | {"message": "x" * 2_001}}).encode())


def test_a_refusal_never_quotes_the_envelope() -> None:
    for mutated in ({"canary": 1}, {"execution_id": "canary"}, {"status": "canary"}):
        with pytest.raises(ContractError) as caught:
            check(SUCCESS | mutated)
        assert "canary" not in caught.value.message
