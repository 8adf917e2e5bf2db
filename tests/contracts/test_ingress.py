"""The JSON payload is the only way in, and what was read is on record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.world.ledger import Ledger
from processors.protocol import digests
from processors.protocol.payload import Payload
from tests.harness import MOCK, ZOO_COMMAND, run, zoo

# Words that change how a run is watched and kept, and nothing of what it is asked to do.
SILENT = [
    (),
    ("--timeout-s", "7"),
    ("--debug",),
    ("--memo",),
    ("--registry-root", "{registries}"),
]
ZOO = Path("tests/fixtures/processors/hostile/zoo/v1/registry.yaml")


@pytest.mark.proves("IL-5")
@pytest.mark.parametrize("words", SILENT, ids=["plain", *(words[0] for words in SILENT[1:])])
def test_no_flag_reaches_the_processor_beside_its_payload(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    place = tmp_path / "registries/hostile/zoo/v1/registry.yaml"
    place.parent.mkdir(parents=True)
    place.write_text(ZOO.read_text())
    given = [word.format(registries=tmp_path / "registries") for word in words]

    result = zoo("good", "--execution-id", "x-1", *given, world=tmp_path / "world")

    sent = Payload(
        execution_id="x-1",
        ref="hostile/zoo@1",
        mode="mock",
        inputs={"behaviour": "good"},
        artifacts={},
        write_prefix="/artifacts/zoo/",
    ).encode()
    receipt = json.loads(result.file("/artifacts/execution/x-1/determinism.json").read_bytes())
    with Ledger(str(result.world), make=False) as ledger:
        facts = {event.type: event.data for event in ledger.events()}
    assert receipt["volatile"]["payload_hash"] == digests.of_bytes(sent)
    assert facts["execution.started"]["payload_hash"] == digests.of_bytes(sent)


@pytest.mark.proves("IL-5")
def test_the_inputs_hash_covers_contents_and_not_their_names_in_the_world(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"words")
    (tmp_path / "b.txt").write_bytes(b"words")
    (tmp_path / "c.txt").write_bytes(b"other words")

    one, same, other = (
        zoo("copy", "--attach", f"source={tmp_path}/{name}", world=tmp_path / name[0])
        for name in ("a.txt", "b.txt", "c.txt")
    )

    hashes = [each.envelope["meta"]["inputs_hash"] for each in (one, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.proves("IL-5")
@pytest.mark.parametrize("words", [("--inputs", "-"), ("--inputs-file", "{folder}/inputs.json")])
def test_the_ways_to_give_the_inputs_give_the_same_payload(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    inputs = b' { "behaviour" : "good" } '
    (tmp_path / "inputs.json").write_bytes(inputs)
    usual = zoo("good", "--execution-id", "x-1", world=tmp_path / "usual")
    line = usual_words([word.format(folder=tmp_path) for word in words])

    result = run(*line, world=tmp_path / "other", stdin=inputs, command=ZOO_COMMAND)

    keys = ("inputs_hash", "memo_key")
    assert [result.envelope["meta"][key] for key in keys] == [
        usual.envelope["meta"][key] for key in keys
    ]


def usual_words(inputs: list[str]) -> list[str]:
    return [
        *("--ref", "hostile/zoo@1", *MOCK, "--write-prefix", "/artifacts/zoo/"),
        *("--execution-id", "x-1", "--json", *inputs),
    ]
