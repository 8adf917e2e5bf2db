"""The app that runs in a container, over a fake transport: no Modal is there, the child is real."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from modal_app import run as app_core
from orchestrator.execution import checks, relay
from orchestrator.execution.trail import Trail
from orchestrator.images import processors
from processors.protocol import digests, spawn
from processors.protocol.errors import mismatch
from processors.protocol.payload import Artifact, Payload
from processors.protocol.refs import Ref
from processors.protocol.remote import Reply
from tests.fixtures.modal_apps import Container
from tests.harness import ROOT

PROCESSORS = ROOT / "processors"
TEST_PROCESSORS = ROOT / "tests/fixtures/processors"
ZOO = TEST_PROCESSORS / "hostile/zoo/v1"
DOC = PROCESSORS / "doc/extract/v1"

TEXT = b"# Head\n\nBody.\n"


def payload(ref: str, inputs: dict[str, Any], **artifacts: Artifact) -> Payload:
    return Payload(
        execution_id="in-a-container",
        ref=ref,
        mode="mock",
        inputs=inputs,
        artifacts=artifacts,
        write_prefix="/artifacts/there/",
    )


def zoo(behaviour: str, text: str = "x") -> Payload:
    return payload("hostile/zoo@1", {"behaviour": behaviour, "text": text})


@pytest.fixture(name="container")
def _container(tmp_path: Path) -> Container:
    return Container(ZOO, tmp_path, {"ZOO_SECRET": "a secret of the deployment"})


@pytest.mark.proves("LN-5")
def test_a_document_goes_in_by_content_and_its_parts_come_out_by_content(tmp_path: Path) -> None:
    container = Container(DOC, tmp_path)
    cid = container.put(TEXT)
    attached = Artifact("/artifacts/attached/page.md", cid, len(TEXT))

    reply = container.call(payload("doc/extract@1", {"filename": "page.md"}, source=attached))

    assert reply.error is None
    assert reply.ended is not None
    assert reply.ended.returncode == 0
    envelope = json.loads(bytes(reply.ended.stdout.data))
    assert envelope["status"] == "success"
    left = {each.path: each.cid for each in reply.left}
    for output in envelope["outputs"]:
        assert left[output["path"]] == output["cid"]
        assert digests.of_bytes(container.place(output["cid"]).read_bytes()) == output["cid"]
    assert {path for path in left if path.endswith(".json")} >= {
        "/artifacts/there/receipt.json",
        "/artifacts/execution/in-a-container/determinism.json",
    }
    assert container.commits == 1
    assert container.leftovers == []


def test_what_is_left_takes_the_place_of_other_bytes_under_its_content_id(
    container: Container,
) -> None:
    asked = zoo("good")
    first = {each.path: each for each in container.call(asked).left}
    left = first["/artifacts/there/outputs.json"]
    assert left.cid is not None
    container.place(left.cid).write_bytes(b"?" * left.size_bytes)

    container.call(asked)

    assert digests.of_bytes(container.place(left.cid).read_bytes()) == left.cid


@pytest.mark.proves("LN-5")
def test_the_child_is_started_as_the_local_adapter_starts_it(
    container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Any]] = []
    real = spawn.run

    def watched(argv: list[str], **given: Any) -> spawn.Ended:
        started.append({"argv": argv, **given})
        return real(argv, **given)

    monkeypatch.setattr(app_core.spawn, "run", watched)
    container.call(zoo("good"))

    built = processors.load(str(TEST_PROCESSORS), Ref("hostile", "zoo", 1))
    places = {"python": sys.executable, "tree": str(container.folder)}
    [child] = started
    shape = len(built.argv)
    assert child["argv"][:shape] == [word.format_map(places) for word in built.argv]
    assert child["argv"][shape::2] == ["--root", "--registry"]
    assert child["argv"][-1].removeprefix(str(container.folder)) == (
        built.registry_file.removeprefix(built.tree)
    )
    own = {"HOME", "TMPDIR"}
    assert {k: v for k, v in child["env"].items() if k not in own} == spawn.PROCESSOR_ENV


@pytest.mark.proves("F-4")
def test_one_flipped_byte_in_the_image_keeps_the_processor_from_running(
    container: Container,
) -> None:
    file = container.folder / "start.py"
    data = bytearray(file.read_bytes())
    data[0] ^= 1
    file.write_bytes(data)

    reply = container.call(zoo("good"))

    assert reply.error is not None
    assert (reply.error.code, reply.error.reason) == ("ERR_REGISTRY_MISMATCH", "content_mismatch")
    assert reply.left == []
    assert container.commits == 0


@pytest.mark.proves("F-4")
def test_the_root_that_was_measured_is_held_against_every_call(container: Container) -> None:
    assert container.call(zoo("good")).error is None

    reply = container.call(zoo("good"), root=digests.of_bytes(b"another image"))

    assert reply.error is not None
    assert reply.error.reason == "content_mismatch"


def test_it_runs_no_other_processor(container: Container) -> None:
    reply = container.call(payload("doc/extract@1", {}))

    assert reply.error is not None
    assert (reply.error.code, reply.error.reason) == ("ERR_REGISTRY_MISMATCH", "ref_mismatch")


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"schema":"v1"}', b"\x80\x04N."])
def test_what_is_no_request_is_told_and_starts_nothing(container: Container, data: bytes) -> None:
    reply = app_core.remote.decode_reply(container.app.run(data))

    assert reply.error is not None
    assert (reply.error.code, reply.error.reason) == ("ERR_MODAL_INVOCATION", "exchange_invalid")


@pytest.mark.parametrize("kept", [None, b"other bytes, of that length"])
def test_an_input_that_is_not_on_the_volume_is_missed(
    container: Container, kept: bytes | None
) -> None:
    cid = digests.of_bytes(b"never sent, and of that len")
    if kept is not None:
        container.place(cid).parent.mkdir(parents=True, exist_ok=True)
        container.place(cid).write_bytes(kept)
    asked = payload(
        "hostile/zoo@1",
        {"behaviour": "good", "text": "x"},
        source=Artifact("/artifacts/attached/x", cid, 27),
    )

    reply = container.call(asked)

    assert reply.error is not None
    assert (reply.error.code, reply.error.reason) == ("ERR_MODAL_INVOCATION", "file_lost")
    assert container.reloads == (1 if kept is None else 0)
    assert container.leftovers == []


def test_mock_mode_reads_no_secret_though_the_deployment_has_it(container: Container) -> None:
    asked = zoo("environment")

    reply = container.call(asked)

    assert reply.ended is not None
    [seen] = [each.cid for each in reply.left if each.path.endswith("seen.json")]
    assert seen is not None
    assert "ZOO_SECRET" not in json.loads(container.place(seen).read_bytes())["names"]


def test_real_mode_without_its_secret_starts_nothing(tmp_path: Path) -> None:
    container = Container(ZOO, tmp_path, {"OTHER": "x"})
    asked = zoo("good")
    asked.mode = "real"

    reply = container.call(asked)

    assert reply.error is not None
    assert (reply.error.code, reply.error.reason) == ("ERR_MISSING_SECRET", "absent")
    assert container.commits == 0


def test_a_secret_that_the_processor_prints_leaves_the_container_masked(
    container: Container,
) -> None:
    asked = zoo("leak_secret")
    asked.mode = "real"

    reply = container.call(asked)

    assert reply.ended is not None
    assert b"the key is" in b"\n".join(reply.lines)
    assert b"a secret of the deployment" not in reply.encode()


@pytest.mark.proves("F-12")
@pytest.mark.parametrize(
    ("behaviour", "names"),
    [
        ("leak_in_file_name", ["/artifacts/there/[redacted]"]),
        ("leak_in_output_path", ["/artifacts/there/outputs/[redacted]"]),
    ],
)
def test_a_secret_in_the_name_of_a_file_leaves_the_container_masked(
    behaviour: str, names: list[str], tmp_path: Path
) -> None:
    container = Container(ZOO, tmp_path, {"ZOO_SECRET": "zoo-key-7f3b51c09d2e4a68"})
    asked = zoo(behaviour)
    asked.mode = "real"

    reply = container.call(asked)

    assert reply.ended is not None
    assert b"zoo-key-7f3b51c09d2e4a68" not in reply.encode()
    assert [each.path for each in reply.left if "redacted" in each.path] == names


def test_a_name_that_ends_as_a_secret_begins_is_told_as_it_is(tmp_path: Path) -> None:
    """As in the envelope, or the file would not be found by the name that this gives it."""
    container = Container(ZOO, tmp_path, {"ZOO_SECRET": "outputs/seen.txt of a secret"})
    asked = zoo("good")
    asked.mode = "real"

    reply = container.call(asked)

    assert reply.ended is not None
    assert b"outputs/seen.txt" in reply.ended.stdout.data
    assert [each.path for each in reply.left if each.path.endswith("outputs/seen.txt")]


@pytest.mark.proves("ERR_ADAPTER_INVOCATION")
def test_what_cannot_be_started_is_named_as_it_was_to_be(tmp_path: Path) -> None:
    container = Container(ZOO, tmp_path, python="/nowhere/python")

    reply = container.call(zoo("good"))

    assert reply.error is not None
    assert (reply.error.code, reply.error.reason) == ("ERR_ADAPTER_INVOCATION", "spawn_failed")
    assert reply.error.message.startswith("/nowhere/python: ")


def test_what_is_no_plain_file_is_named_and_never_read(container: Container) -> None:
    reply = container.call(zoo("stray_link"))

    assert [each.cid for each in reply.left if each.path.endswith("/link")] == [None]


def test_an_end_by_time_and_one_by_signal_are_told_as_they_are(container: Container) -> None:
    late = container.call(zoo("sleep"), timeout_s=1)
    killed = container.call(zoo("kill_self"))

    assert late.ended is not None
    assert (late.ended.timed_out, late.ended.returncode) == (True, spawn.RETURNCODE_TIME_LIMIT)
    assert killed.ended is not None
    assert killed.ended.returncode == -9


@pytest.mark.parametrize("behaviour", ["flood_stderr", "flood_newlines", "huge_envelope"])
def test_a_reply_stays_small_whatever_the_processor_prints(
    container: Container, behaviour: str
) -> None:
    reply = container.call(zoo(behaviour))

    assert len(reply.encode()) < 8_388_608
    assert len(reply.lines) <= app_core.remote.LINES_MAX


def told(lines: list[bytes], dropped: int) -> list[dict[str, Any]]:
    """What is forwarded of a child's lines, with the times and the count of events masked."""
    with tempfile.TemporaryFile() as file:
        forward = relay.Relay(Trail("x-1", file.fileno()))
        for line in lines:
            forward.line(line)
        forward.missed(dropped)
        forward.close()
        file.seek(0)
        return [{**json.loads(line), "elapsed_ms": 0, "duration_ms": 0} for line in file]


def event(name: str, **fields: Any) -> bytes:
    own = {"provider": "p", "operation": "o", "attempt": 1}
    more = {"outcome": "ok", "duration_ms": 3} if name == "provider.response" else {}
    return json.dumps({"event": name, **own, **more, **fields}).encode()


CALL, RESPONSE = event("provider.call"), event("provider.response")
PRINTED = {
    "calls after more lines than pass": [*[b"x"] * 5_000, CALL, RESPONSE, b"x", CALL],
    "more calls than pass": [*[CALL, RESPONSE] * 1_500, *[b"x"] * 1_000],
    "lines of many bytes": [b"y" * 65_536] * 1_200 + [CALL, b"z" * 65_536, RESPONSE],
    "fields of many bytes": [
        each
        for name in ("provider.call", "provider.response")
        for each in [event(name, operation="\U0001f600\x01" * 5_000), b"\xff\x00" * 400]
    ],
    "a text that begins with an event": [CALL.ljust(256) + b"and goes on", RESPONSE],
    "an event that is no text": [CALL.replace(b'"p"', b'"p\xff"'), CALL, RESPONSE],
    "an event with what stands for no text": [event("provider.call", provider="\ufffd"), RESPONSE],
    "events out of turn": [RESPONSE, CALL, CALL, event("provider.response", attempt=2), RESPONSE],
}


@pytest.mark.proves("OB-5", "LN-6")
@pytest.mark.parametrize("lines", PRINTED.values(), ids=PRINTED)
def test_what_a_container_printed_leaves_the_trace_of_a_local_run(lines: list[bytes]) -> None:
    kept = app_core.Lines()
    for line in lines:
        kept.take(line)
    reply = Reply(error=mismatch("content_mismatch", "x"), lines=kept.kept, dropped=kept.dropped)
    data = reply.encode()
    arrived = app_core.remote.decode_reply(data)

    assert told(arrived.lines, arrived.dropped) == told(lines, 0)
    assert len(data) <= app_core.remote.LINE_BYTES_MAX * (len(kept.kept) + 1)


def test_the_reply_is_judged_as_a_local_run_is(container: Container, tmp_path: Path) -> None:
    """What came back, laid out again, passes the checks of the local adapter's results."""
    asked = zoo("many")
    reply = container.call(asked)
    tree = tmp_path / "again"
    for each in reply.left:
        assert each.cid is not None
        target = Path(str(tree) + each.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(container.place(each.cid).read_bytes())
    assert reply.ended is not None

    found = checks.reply(
        bytes(reply.ended.stdout.data),
        asked,
        digests.of_bytes(asked.encode()),
        checks.Tree(str(tree)),
    )

    assert found.error is None
    assert found.outputs
