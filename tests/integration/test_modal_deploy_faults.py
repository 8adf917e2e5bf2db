"""Each thing that can go wrong on the way of a deployment or a sync, as our commands answer it.

What a command could not do is no fact of the world, and the same command does it afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.modal_bed import Plane, Shelf
from tests.fixtures.modal_house import (
    CHAT,
    DOC,
    NOWHERE,
    PREFIX,
    STAGING,
    House,
    facts,
    failed,
    site,
)

OFTEN = 1_000
FAILED, NO_TOKEN = ("ERR_MODAL_INVOCATION", "remote_error"), ("ERR_MODAL_LOOKUP", "no_credentials")

# What goes wrong at which RPC, and how the deployment ends.
DEPLOYING: dict[str, tuple[dict[str, Any], tuple[str, str] | None]] = {
    "unavailable for a while": ({"kind": "unavailable", "rpc": "AppPublish", "times": 3}, None),
    "unavailable for good": (
        {"kind": "unavailable", "rpc": "FunctionCreate", "times": OFTEN},
        FAILED,
    ),
    "the answer is lost": ({"kind": "answer_lost", "rpc": "AppPublish"}, None),
    "no answer ever comes": ({"kind": "answer_lost", "rpc": "AppPublish", "times": OFTEN}, FAILED),
    "throttled": ({"kind": "throttle", "rpc": "FunctionCreate", "seconds": 0.3}, None),
    "the token expires": ({"kind": "expired_token", "rpc": "AppPublish"}, NO_TOKEN),
}
SYNCING: dict[str, tuple[dict[str, Any], tuple[str, str] | None]] = {
    "unavailable for a while": (
        {"kind": "unavailable", "rpc": "SecretGetOrCreate", "times": 3},
        None,
    ),
    "unavailable for good": (
        {"kind": "unavailable", "rpc": "SecretGetOrCreate", "times": OFTEN},
        FAILED,
    ),
    "the answer is lost": ({"kind": "answer_lost", "rpc": "SecretGetOrCreate"}, None),
    "the token has expired": ({"kind": "expired_token", "rpc": "SecretGetOrCreate"}, NO_TOKEN),
}


@pytest.fixture(scope="module", name="there")
def _there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plane, Shelf]]:
    with site(tmp_path_factory.mktemp("state")) as there:
        yield there


@pytest.fixture(name="house")
def _house(tmp_path: Path, there: tuple[Plane, Shelf]) -> Iterator[House]:
    house = House(tmp_path, *there)
    house.pin_all(NOWHERE)
    house.plane.reset()
    yield house
    house.plane.reset()


@pytest.mark.proves("IL-4")
@pytest.mark.parametrize("name", DEPLOYING)
def test_a_deployment_is_made_or_is_told_to_have_failed(house: House, name: str) -> None:
    order, error = DEPLOYING[name]
    digest = house.push(CHAT)
    house.pin(CHAT, digest)
    house.sync("staging")
    house.plane.fault(**order)

    deployed = house.deploy(CHAT, "staging")

    assert order["kind"] in house.plane.ask("/state")["faults_happened"]
    assert (None if deployed["status"] == "success" else failed(deployed)) == error
    assert len(facts(house, "deployment.made")) == (error is None)
    house.plane.reset()
    assert house.deploy(CHAT, "staging")["result"]["changed"] is (error is not None)
    status = house.deploy(CHAT, "staging", "--status")["result"]
    assert (status["digest"], status["recorded"]) == (digest, digest)


@pytest.mark.proves("SE-3")
@pytest.mark.parametrize("name", SYNCING)
def test_a_sync_is_made_or_is_told_to_have_failed(house: House, name: str) -> None:
    order, error = SYNCING[name]
    house.plane.fault(**order)

    synced = house.sync("staging")

    assert order["kind"] in house.plane.ask("/state")["faults_happened"]
    assert (None if synced["status"] == "success" else failed(synced)) == error
    assert len(facts(house, "secrets.synced")) == (error is None)
    house.plane.reset()
    check = house.call("sync_modal_secrets", "--lane", "staging", "--check")
    if error is not None:  # some may have their new value, and others not
        assert failed(check) == ("ERR_MISSING_SECRET", "not_synced")
    else:
        assert check["status"] == "success"
    assert house.sync("staging")["result"]["epoch"] == 1 + (error is None)


@pytest.mark.proves("SE-3", "IL-4")
def test_a_secret_that_is_gone_since_the_sync_keeps_a_deployment_from_being_made(
    house: House,
) -> None:
    house.pin(CHAT, house.push(CHAT))
    house.sync("staging")
    house.plane.ask("/secrets/remove", {"environment": "staging", "name": "llm-chat-v1"})

    check = house.call("sync_modal_secrets", "--lane", "staging", "--check")
    deployed = house.deploy(CHAT, "staging")

    assert failed(check) == failed(deployed) == ("ERR_MISSING_SECRET", "not_synced")
    assert "AppPublish" not in house.plane.transcript
    assert facts(house, "deployment.made") == []
    house.sync("staging")
    assert house.deploy(CHAT, "staging")["status"] == "success"


@pytest.mark.proves("ERR_MODAL_LOOKUP")
def test_what_is_deployed_in_one_environment_runs_in_no_other(house: House) -> None:
    house.pin(DOC, house.push(DOC))
    house.sync("staging")
    assert house.deploy(DOC, "staging")["status"] == "success"
    words = [word if word != "staging" else "main" for word in STAGING]

    ran = house.run(DOC, *words, *PREFIX, "--inputs-json", '{"filename":"page.md"}')
    status = house.deploy(DOC, "main", "--status")

    assert ran.error == failed(status) == ("ERR_MODAL_LOOKUP", "not_deployed")
    assert "FunctionMap" not in house.plane.transcript
