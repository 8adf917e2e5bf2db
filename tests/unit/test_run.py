"""What ``run`` decides before anything starts, and what it makes of a processor's envelope."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution.answer import last_event, refusal, success
from orchestrator.execution.request import Request
from orchestrator.execution.run import Setting, run
from orchestrator.execution.trail import Trail
from orchestrator.world.ledger import Ledger
from processors.protocol import digests, envelope
from processors.protocol.canonical import Json, canonical
from processors.protocol.envelope import META_KEYS
from processors.protocol.errors import ERRORS, PROCESSOR_CODES, ContractError
from processors.protocol.payload import Payload
from processors.protocol.refs import Ref
from processors.protocol.spawn import Stop, Tail

IMAGE = "tests/zoo@sha256:" + "a" * 64
PREFIX = "/artifacts/demo/"
DESCRIPTION = {
    "schema": "v1",
    "argv": ["{python}"],
    "registry_file": "registry.json",
    "source_root": "sha256:" + "1" * 64,
    "lock": "sha256:" + "2" * 64,
    "registry": {
        "ref": "tests/still@1",
        "image": {"repository": "tests/still", "digest": None},
        "inputs": {"type": "object", "properties": {}},
        "secrets": [],
    },
}


class Untouched(Mapping[str, str]):
    """An environment that nobody may look into."""

    def __getitem__(self, name: str) -> str:
        raise AssertionError(f"{name} was read from the environment")

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the environment was listed")

    def __len__(self) -> int:
        raise AssertionError("the environment was counted")


class Desk:
    """A place to run in: a world and a processor on disk, and the trail in a file."""

    def __init__(self, folder: Path) -> None:
        self.world = folder / "world"
        self.processors = folder / "processors"
        self._file = (folder / "trail").open("w+b", buffering=0)
        self.trail = Trail("x-1", self._file.fileno())

    def register(self) -> None:
        """Leave a processor as a build would."""
        own = self.processors / "tests/still/v1"
        own.mkdir(parents=True)
        (own / "processor.json").write_text(json.dumps(DESCRIPTION))

    def run(self, *, environ: Mapping[str, str] | None = None, **changes: Any) -> dict[str, Any]:
        """Run one request; return its envelope."""
        request = Request(
            **{
                "ref": Ref("tests", "still", 1),
                "adapter": "modal",
                "mode": "mock",
                "lane": "dev",
                "write_prefix": PREFIX,
                "inputs": {},
                "execution_id": "x-1",
                **changes,
            }
        )
        setting = Setting(
            world=str(self.world),
            processors_folder=str(self.processors),
            environ=Untouched() if environ is None else environ,
            stop=Stop(),
            debug=False,
        )
        return json.loads(canonical(run(request, setting, self.trail)))

    @property
    def events(self) -> list[str]:
        """The names of the events so far."""
        self._file.seek(0)
        return [json.loads(line)["event"] for line in self._file.read().splitlines()]

    def facts(self) -> dict[str, Any]:
        """What the ledger says: each type's last data."""
        with Ledger(str(self.world), make=False) as ledger:
            return {event.type: event.data for event in ledger.events()}

    def close(self) -> None:
        """Close the trail's file."""
        self._file.close()


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    found = Desk(tmp_path)
    yield found
    found.close()


@pytest.mark.proves("HR-5")
@pytest.mark.parametrize("mode", ["mock", "real"])
@pytest.mark.parametrize("lane", ["staging", "main"])
@pytest.mark.parametrize("image", [IMAGE, "not an image at all", ""])
def test_a_pinned_lane_refuses_an_override_before_it_looks_at_anything(
    lane: str, mode: str, image: str, desk: Desk
) -> None:
    """There is no processor and no readable environment here; none is missed."""
    found = desk.run(lane=lane, mode=mode, image_override=image, allow_real=mode == "real")

    assert (found["error"]["code"], found["error"]["reason"]) == ("ERR_CI_SAFETY", "lane_override")
    assert "override" not in found["meta"]
    assert found["meta"]["image_digest"] is None
    assert desk.events == []
    assert list(desk.facts()) == ["world.created", "execution.refused"]
    assert desk.facts()["execution.refused"]["error"] == {
        "code": "ERR_CI_SAFETY",
        "reason": "lane_override",
    }


@pytest.mark.proves("HR-5")
@pytest.mark.parametrize("mode", ["mock", "real"])
def test_the_dev_lane_takes_an_override_and_records_it(mode: str, desk: Desk) -> None:
    """As far as a run goes before there is a deployment to call."""
    desk.register()

    found = desk.run(environ={}, mode=mode, image_override=IMAGE)

    assert found["meta"]["override"] is True
    assert found["meta"]["image_digest"] == "sha256:" + "a" * 64
    assert found["error"]["reason"] == "no_credentials"
    assert desk.facts()["execution.refused"]["question"]["override"] is True


@pytest.mark.proves("HR-5")
@pytest.mark.parametrize("lane", ["dev", "staging", "main"])
def test_without_an_override_an_image_is_the_pinned_one_or_none(lane: str, desk: Desk) -> None:
    desk.register()

    found = desk.run(lane=lane)

    assert (found["error"]["code"], found["error"]["reason"]) == ("ERR_IMAGE_UNPINNED", "no_pin")
    assert "override" not in found["meta"]


PAYLOAD = Payload(
    execution_id="x-1",
    ref="tests/still@1",
    mode="mock",
    inputs={"a": 1},
    artifacts={},
    write_prefix=PREFIX,
)
OWN_META: dict[str, Json] = {
    "processor_ref": PAYLOAD.ref,
    "mode": PAYLOAD.mode,
    "inputs_hash": PAYLOAD.inputs_hash(),
    "cost_micro_usd": 5,
}
OUTPUTS: list[dict[str, Json]] = [
    {
        "path": f"{PREFIX}outputs/{name}",
        "cid": digests.of_bytes(name.encode()),
        "size_bytes": 9,
        "mime": "text/plain; charset=utf-8",
    }
    for name in ("a.md", "b/z.md", "b/\u00e9.md")
]
OWN_ERRORS = [
    row for row in ERRORS if row.code in PROCESSOR_CODES and row.code != "ERR_ADAPTER_INVOCATION"
] + [row for row in ERRORS if row.reason.startswith(("provider_", "processor_"))]


def own_success(count: int) -> dict[str, Any]:
    return {
        "status": "success",
        "execution_id": "x-1",
        "outputs": OUTPUTS[:count],
        "index_path": f"{PREFIX}outputs.json",
        "meta": OWN_META,
    }


def own_error(code: str, reason: str) -> dict[str, Any]:
    error = {"code": code, "reason": reason, "message": 'seen: "\u00e9\u20ac"\n'}
    return {"status": "error", "execution_id": "x-1", "error": error, "meta": OWN_META}


OWN = {
    **{f"{count} outputs": own_success(count) for count in range(len(OUTPUTS) + 1)},
    **{f"{row.code} {row.reason}": own_error(row.code, row.reason) for row in OWN_ERRORS},
}


@pytest.mark.proves("EV-8")
@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
def test_a_processors_envelope_is_returned_with_more_meta_and_no_other_change(
    own: dict[str, Any],
) -> None:
    reply = envelope.check(canonical(own), PAYLOAD)
    ours = dict.fromkeys(META_KEYS) | OWN_META

    if reply.error is None:
        found = success("x-1", reply.outputs, PREFIX, ours)
    else:
        found = refusal("x-1", reply.error, ours)

    meta = found.pop("meta")
    assert isinstance(meta, dict)
    assert canonical(found) == canonical({key: own[key] for key in own if key != "meta"})
    assert {key: meta[key] for key in OWN_META} == OWN_META
    assert tuple(meta) == META_KEYS
    assert reply.cost_micro_usd == OWN_META["cost_micro_usd"]


@pytest.mark.proves("EV-8")
@pytest.mark.parametrize("own", OWN.values(), ids=OWN)
@pytest.mark.parametrize("around", [b"", b"\n", b" \r\n"])
def test_the_digest_of_a_processors_own_bytes_is_kept(own: dict[str, Any], around: bytes) -> None:
    data = json.dumps(own, indent=1).encode() + around
    stdout = Tail(envelope.ENVELOPE_BYTES_MAX)
    for at in range(0, len(data), 100):
        stdout.feed(data[at : at + 100])

    name, fields = last_event(envelope.check(bytes(stdout.data), PAYLOAD), stdout)

    assert fields["reply_digest"] == digests.of_bytes(data)
    if own["status"] == "success":
        assert (name, len(fields)) == ("adapter.invoke.complete", 1)
    else:
        assert name == "adapter.invoke.error"
        assert [fields["code"], fields["reason"]] == [own["error"]["code"], own["error"]["reason"]]


def test_an_error_of_ours_is_told_in_the_same_form() -> None:
    error = ContractError("ERR_INPUTS", "bad_json", "no")

    found = refusal("x-1", error, dict.fromkeys(META_KEYS))

    assert found["error"] == error.as_json()
    assert found.keys() == own_error("ERR_INPUTS", "bad_json").keys()
