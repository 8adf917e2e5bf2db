"""Whatever a processor names its outputs, they are outputs: below outputs/, and no receipt."""

from __future__ import annotations

import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.protocol import envelope, paths
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import ContractError
from processors.protocol.payload import Payload
from processors.protocol.runtime import Job
from tests.property.profile import searched

NAMES = st.lists(
    st.sampled_from(
        [
            *("receipt.json", "outputs.json", "determinism.json", "outputs", "a", "b.md"),
            *("..", ".", "/", "//", "../", "%2e%2e", "%2f", "%2e%2e%2f", "execution", "\u00e9"),
            *("/artifacts/execution/x-1/", "../../execution/x-1/", "%72eceipt.json", "\x00"),
        ]
    )
    | st.text(max_size=2),
    min_size=1,
    max_size=4,
).map("".join)
PREFIXES = st.sampled_from(
    ["/artifacts/demo/", "/artifacts/x-1/", "/artifacts/executions/x-1/", "/artifacts/outputs/"]
)


@pytest.mark.proves("RC-3", "EV-3")
@searched
@given(PREFIXES, st.lists(NAMES, min_size=1, max_size=4))
def test_no_receipt_and_no_index_is_ever_among_the_outputs(prefix: str, names: list[str]) -> None:
    payload = Payload(
        execution_id="x-1",
        ref="a/b@1",
        mode="mock",
        inputs={},
        artifacts={},
        write_prefix=prefix,
    )
    with tempfile.TemporaryDirectory() as root:
        job = Job(payload, {}, root)
        for name in names:
            try:
                job.write(name, b"x", mime="text/plain")
            except (ContractError, OSError, ValueError):
                continue  # no path at all, a file in a folder's place, written twice
    places = [output.path for output in job.outputs]
    index = canonical(envelope.index_document(job.outputs)).decode()

    assert places == sorted(set(places))
    for forbidden in (
        paths.receipt_path(prefix),
        paths.determinism_path("x-1"),
        paths.index_path(prefix),
    ):
        assert forbidden not in places
        assert f'"{forbidden}"' not in index
    assert all(paths.is_under(place, prefix + "outputs/") for place in places)


@pytest.mark.proves("RC-3")
@searched
@given(PREFIXES, NAMES)
def test_an_envelope_that_names_a_receipt_is_refused(prefix: str, name: str) -> None:
    """Even one that no job of ours has made."""
    payload = Payload(
        execution_id="x-1",
        ref="a/b@1",
        mode="mock",
        inputs={},
        artifacts={},
        write_prefix=prefix,
    )
    places = (paths.receipt_path(prefix), paths.determinism_path("x-1"), f"{prefix}outputs/{name}")
    for place in places:
        document: dict[str, Json] = {
            "status": "success",
            "execution_id": "x-1",
            "outputs": [envelope.Output(place, "sha256:" + "0" * 64, 1, "a/b").as_json()],
            "index_path": paths.index_path(prefix),
            "meta": {
                "processor_ref": "a/b@1",
                "mode": "mock",
                "inputs_hash": payload.inputs_hash(),
                "cost_micro_usd": 0,
            },
        }
        try:
            data = canonical(document)
        except ValueError:
            continue  # a lone surrogate cannot even be written
        try:
            [found] = envelope.check(data, payload).outputs
        except ContractError:
            continue
        assert paths.is_under(found.path, prefix + "outputs/")
        assert found.path not in places[:2]
