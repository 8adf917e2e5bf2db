"""Calls of a deployment that go wrong: which error each is, and that nothing of it is left.

The deployment is a real one on a control plane of this machine, which is told what to do wrong.
"""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.modal.session import Session
from processors.protocol.errors import ContractError
from tests.fixtures.modal_bed import Plane, Shelf
from tests.fixtures.modal_house import NOWHERE, House, facts
from tests.harness import PATIENCE_S, Result, read_until

DOC, APP = "doc/extract@1", "doc-extract-v1"
WORDS = (
    *("--adapter", "modal", "--mode", "mock", "--lane", "staging"),
    *("--write-prefix", "/artifacts/there/{execution_id}/"),
    *("--inputs-json", '{"filename":"page.md"}'),
)


class Bomb:
    """What a hostile container would have its caller load."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.fixture(scope="module", name="deployed")
def _deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    state = tmp_path_factory.mktemp("state")
    with Shelf() as shelf, Plane(state, "--environment", "staging") as plane:
        house = House(tmp_path_factory.mktemp("house"), plane, shelf)
        house.pin_all(NOWHERE)
        house.pin(DOC, house.push(DOC))
        house.sync("staging")
        made = house.deploy(DOC, "staging")
        assert made["status"] == "success", made
        yield house


@pytest.fixture(name="house")
def _house(deployed: House) -> House:
    deployed.plane.reset()
    return deployed


@pytest.fixture(name="page")
def _page(tmp_path: Path) -> tuple[str, ...]:
    file = tmp_path / "page.md"
    file.write_text(f"# {tmp_path.name}\n\nText.\n")
    return ("--attach", f"source={file}")


def run(house: House, *words: str) -> Result:
    return house.run(DOC, *WORDS, *words)


@pytest.mark.proves("ERR_MODAL_TIMEOUT")
def test_our_own_clock_is_a_timeout_and_cancels_what_it_waited_for(house: House) -> None:
    house.plane.fault("slow_start", seconds=8.0)
    house.plane.fault("kill_mid_input")  # a container that is there already must not help
    environ = house.environment(None)
    with Session(environ) as session:
        asked: dict[str, Any] = {"app": APP, "environment": "staging"}
        nothing: dict[str, Any] = {"secret": None, "keys": []}
        assert session.ask("lookup", {**asked, **nothing}, within_s=100).wait(PATIENCE_S)  # started

        ticket = session.ask("call", asked, b"a call that no container takes in time", within_s=1)
        assert ticket.wait(PATIENCE_S)
        with pytest.raises(ContractError) as caught:
            ticket.take()

    assert (caught.value.code, caught.value.reason) == ("ERR_MODAL_TIMEOUT", "call_time_limit")
    assert "FunctionCallCancel" in house.plane.transcript


@pytest.mark.proves("ERR_MODAL_INVOCATION")
def test_an_answer_that_names_a_class_is_never_loaded(
    house: House, page: tuple[str, ...], tmp_path: Path
) -> None:
    mark = tmp_path / "loaded"
    bomb = pickle.dumps(Bomb(mark))
    house.plane.fault("pickle_bomb", data=base64.b64encode(bomb).decode())

    result = run(house, *page)

    assert not mark.exists()
    assert result.error == ("ERR_MODAL_INVOCATION", "exchange_invalid")
    pickle.loads(bomb)  # noqa: S301 - the bomb itself is one
    assert mark.exists()


@pytest.mark.proves("F-4")
def test_one_flipped_byte_in_the_unpacked_image_keeps_it_from_running(
    house: House, page: tuple[str, ...]
) -> None:
    house.plane.fault("kill_mid_input")  # a fresh container measures again
    [root] = (house.plane.state / "images/roots").iterdir()
    [file] = root.rglob("opt/processor/start.py")
    kept = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(bytes([kept[0] ^ 1]) + kept[1:])
    try:
        result = run(house, *page)
    finally:
        file.write_bytes(kept)
        house.plane.fault("kill_mid_input")
        run(house, *page)

    assert result.error == ("ERR_REGISTRY_MISMATCH", "content_mismatch")
    own = f"/artifacts/there/{result.envelope['execution_id']}/outputs/"
    assert [each for each in result.visible if each.startswith(own)] == []


def test_an_interrupt_cancels_what_is_remote_and_settles_it(
    house: House, page: tuple[str, ...]
) -> None:
    house.plane.fault("kill_mid_input")
    house.plane.fault("slow_start", seconds=5.0)
    with house.start(DOC, *WORDS, *page, "--execution-id", "stopped") as process:
        read_until(process, "processor.start")
        while "FunctionMap" not in house.plane.transcript:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=PATIENCE_S)

    envelope = json.loads(stdout)
    assert envelope["error"]["reason"] == "interrupted"
    assert process.returncode == 130
    assert "FunctionCallCancel" in house.plane.transcript
    settled = [
        each["data"]
        for each in facts(house, "execution.settled")
        if each["data"]["execution_id"] == "stopped"
    ]
    assert [each["error"]["reason"] for each in settled] == ["interrupted"]


def test_the_processes_end_with_the_command(house: House, page: tuple[str, ...]) -> None:
    """Nothing that runs the SDK is left behind, whichever way a command ended."""
    run(house, *page)

    assert processes(house) == []


def processes(house: House) -> list[str]:
    """The processes that run the SDK and speak to a house's plane."""
    return [
        each.parent.name
        for each in Path("/proc").glob("[0-9]*/cmdline")
        if b"json.loads(sys.argv[1])" in _read(each)
        and house.plane.server_url.encode() in _read(each.parent / "environ")
    ]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
