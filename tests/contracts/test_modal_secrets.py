"""Secrets on their way to Modal: presence is all that anybody sees of them."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.modal_bed import Plane, Shelf
from tests.fixtures.modal_house import NOWHERE, SECRET, VALUE, House
from tests.harness import PATIENCE_S, read_until

DOC, CHAT = "doc/extract@1", "llm/chat@1"
FORMS = (
    VALUE,
    base64.b64encode(VALUE.encode()).decode().rstrip("="),
    urllib.parse.quote(VALUE, safe=""),
    json.dumps(VALUE)[1:-1],
)


@pytest.fixture(name="house", scope="module")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    state, base = (tmp_path_factory.mktemp(name) for name in ("state", "house"))
    with Shelf() as shelf, Plane(state, "--environment", "staging") as plane:
        house = House(base, plane, shelf)
        house.pin_all(NOWHERE)
        yield house


def shown(text: str) -> list[str]:
    return [form for form in FORMS if form in text]


@pytest.mark.proves("SE-4")
def test_no_command_shows_a_value_in_any_form(house: House, tmp_path: Path) -> None:
    file = tmp_path / "values.json"
    file.write_text(json.dumps({SECRET: VALUE}))
    file.chmod(0o600)
    by_name = house.sync("staging")
    by_file = house.call("sync_modal_secrets", "--lane", "staging", "--from-file", str(file))
    checked = house.call("sync_modal_secrets", "--lane", "staging", "--check")
    refused = house.deploy(CHAT, "staging")

    assert [each["status"] for each in (by_name, by_file, checked)] == ["success"] * 3
    assert refused["status"] == "error"
    for document in (by_name, by_file, checked, refused):
        assert shown(json.dumps(document, ensure_ascii=False)) == []
    for kept in house.world.rglob("*"):
        if kept.is_file():
            assert shown(kept.read_bytes().decode("latin-1")) == []


@pytest.mark.proves("SE-4")
def test_the_process_that_runs_the_sdk_has_no_secret_but_the_token(house: House) -> None:
    """Its variables and its words, read while it waits for a container."""
    house.pin(CHAT, house.push(CHAT))
    house.sync("staging")
    house.deploy(CHAT, "staging")
    house.plane.fault("slow_start", seconds=3.0)
    inputs = {"endpoint": "openai", "model": "gpt-4o-mini"}
    inputs |= {"messages": [{"role": "user", "content": "hello"}]}
    words = ("--adapter", "modal", "--mode", "mock", "--lane", "staging")
    words = (*words, "--write-prefix", "/artifacts/x/", "--inputs-json", json.dumps(inputs))

    with house.start(CHAT, *words) as process:
        read_until(process, "processor.start")
        children = _children(process.pid)
        environ = [Path(f"/proc/{pid}/environ").read_bytes() for pid in children]
        argv = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children]
        process.communicate(timeout=PATIENCE_S)

    assert children
    for text in (*environ, *argv):
        assert shown(text.decode("latin-1")) == []
    [only] = environ
    names = {item.partition(b"=")[0].decode() for item in only.split(b"\0") if item}
    own = {"MODAL_CONFIG_PATH", "MODAL_DISABLE_API_PROXY", "MODAL_PAYLOAD_FORMAT"}
    given = {"MODAL_SERVER_URL", "MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET"}
    assert {name for name in names if name.startswith("MODAL")} == own | given
    assert not {name for name in names if "proxy" in name.lower()} - {"MODAL_DISABLE_API_PROXY"}


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(word) for word in text.split()]
