"""The deploy step and the sync of secrets, against a control plane of this machine.

No container is started here; what is deployed is told by the plane.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import rootfs
from tests.fixtures.modal_bed import Plane, Shelf
from tests.fixtures.modal_house import (
    CHAT,
    DOC,
    NOWHERE,
    PREFIX,
    SECRET,
    STAGING,
    VALUE,
    House,
    facts,
    failed,
    site,
)
from tests.harness import ROOT
from tests.simulators import registry as simulated


@pytest.fixture(scope="module", name="there")
def _there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plane, Shelf]]:
    with site(tmp_path_factory.mktemp("state")) as there:
        yield there


@pytest.fixture(name="house")
def _house(tmp_path: Path, there: tuple[Plane, Shelf]) -> House:
    house = House(tmp_path, *there)
    house.pin_all(NOWHERE)
    return house


@pytest.mark.proves("IL-4", "PA-3")
def test_a_pin_that_no_registry_has_is_not_deployed(house: House) -> None:
    house.sync("staging")
    house.plane.reset()

    refused = house.deploy(DOC, "staging")

    assert failed(refused) == ("ERR_IMAGE_UNAVAILABLE", "not_in_store")
    assert house.plane.transcript == []
    assert facts(house, "deployment.made") == []


@pytest.mark.proves("SE-3", "PA-3")
def test_secrets_come_before_a_deployment_and_after_the_last_change_of_a_registry(
    house: House,
) -> None:
    house.plane.reset()
    never = house.deploy(CHAT, "main")
    house.sync("staging")
    elsewhere = house.deploy(CHAT, "main")
    house.sync("main")
    house.pin(CHAT, house.push(CHAT))
    older = house.deploy(CHAT, "main")
    check = house.call("sync_modal_secrets", "--lane", "main", "--check")

    for each in (never, elsewhere, older, check):
        assert failed(each) == ("ERR_MISSING_SECRET", "not_synced")
    assert "FunctionCreate" not in house.plane.transcript

    house.sync("main")
    assert house.deploy(CHAT, "main")["status"] == "success"
    assert house.call("sync_modal_secrets", "--lane", "main", "--check")["status"] == "success"


@pytest.mark.proves("IL-4")
def test_another_image_than_the_pinned_one_is_drift_and_does_not_run(house: House) -> None:
    house.pin(DOC, house.push(DOC))
    house.sync("staging")
    assert house.deploy(DOC, "staging")["status"] == "success"
    house.pin(DOC, NOWHERE)

    drift = house.deploy(DOC, "staging", "--drift")
    ran = house.run(DOC, *STAGING, *PREFIX, "--inputs-json", '{"filename":"page.md"}')
    back = house.deploy(DOC, "staging", "--rollback")
    stopped = house.deploy(DOC, "staging", "--stop")
    status = house.deploy(DOC, "staging", "--status")

    assert failed(drift) == ("ERR_REGISTRY_MISMATCH", "digest_chain")
    assert ran.error == ("ERR_REGISTRY_MISMATCH", "digest_chain")
    assert failed(back) == ("ERR_MODAL_LOOKUP", "not_deployed")
    assert stopped["status"] == "success"
    assert failed(status) == ("ERR_MODAL_LOOKUP", "not_deployed")
    assert [each["type"] for each in facts(house, "deployment.stopped")] == ["deployment.stopped"]


@pytest.mark.proves("LN-5")
def test_a_deployment_ships_no_source_beside_its_image(house: House) -> None:
    """What runs is in the image, under its digest, and nowhere else."""
    house.pin(DOC, house.push(DOC))
    house.sync("staging")
    house.plane.reset()

    assert house.deploy(DOC, "staging")["status"] == "success"

    mounts = [name for name in house.plane.transcript if name.startswith("Mount")]
    assert mounts == ["MountGetOrCreate"]  # the SDK's own, by its version; no file is ever put


@pytest.mark.proves("IL-4")
def test_a_deployment_is_a_fact_and_the_same_again_is_one_that_nothing_was_done(
    house: House,
) -> None:
    digest = house.push(CHAT)
    house.pin(CHAT, digest)
    house.sync("staging")

    first = house.deploy(CHAT, "staging")
    house.plane.reset()
    again = house.deploy(CHAT, "staging")

    assert first["status"] == "success", first
    made, unchanged = facts(house, "deployment.made", "deployment.unchanged")
    assert made["type"] == "deployment.made"
    assert made["data"] == {
        "ref": CHAT,
        "environment": "staging",
        "app": "llm-chat-v1",
        "version": made["data"]["version"],
        "digest": digest,
        "content_root": first["result"]["content_root"],
        "override": False,
        "epoch": 1,
    }
    assert made["data"]["version"] >= 1
    assert unchanged["type"] == "deployment.unchanged"
    assert unchanged["data"] == made["data"]
    assert again["result"]["changed"] is False
    assert not {"AppCreate", "FunctionCreate", "AppPublish"} & set(house.plane.transcript)


@pytest.mark.proves("IL-4", "SE-3")
def test_new_secrets_are_deployed_though_the_image_is_the_same(house: House) -> None:
    """What runs keeps the values that it was started with."""
    house.pin(CHAT, house.push(CHAT))
    house.sync("staging")
    assert house.deploy(CHAT, "staging")["result"]["changed"] is True

    assert house.sync("staging")["result"]["epoch"] == 2

    assert house.deploy(CHAT, "staging")["result"]["changed"] is True
    assert [each["data"]["epoch"] for each in facts(house, "deployment.made")] == [1, 2]


@pytest.mark.proves("SE-3", "PA-3")
@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), ("ERR_MISSING_SECRET", "absent")),
        (("--from-env", "NOT_THERE"), ("ERR_INPUTS", "bad_value")),
        (("--from-env", SECRET, "--from-env", "PATH"), ("ERR_INPUTS", "bad_value")),
        (("--from-env", SECRET, "--check"), ("ERR_INPUTS", "conflicting_flags")),
        (("--from-file", "/nonexistent"), ("ERR_INPUTS", "unreadable_file")),
    ],
)
def test_a_sync_takes_just_what_the_registries_name(
    house: House, words: tuple[str, ...], error: tuple[str, str]
) -> None:
    house.plane.reset()

    refused = house.call("sync_modal_secrets", "--lane", "staging", *words)

    assert failed(refused) == error
    assert house.plane.transcript == []
    assert facts(house, "secrets.synced") == []


@pytest.mark.proves("SE-3", "PA-3")
@pytest.mark.parametrize(
    ("mode", "text", "error"),
    [
        (0o600, json.dumps({SECRET: VALUE}), None),
        (0o644, json.dumps({SECRET: VALUE}), ("ERR_INPUTS", "unreadable_file")),
        (0o600, json.dumps({SECRET: 7}), ("ERR_INPUTS", "bad_value")),
        (0o600, json.dumps({SECRET: "short"}), ("ERR_MISSING_SECRET", "too_short")),
        (0o600, f'{{"{SECRET}": "{VALUE}"', ("ERR_INPUTS", "bad_json")),
    ],
)
def test_a_file_of_values_is_read_if_it_is_a_secret_itself(
    house: House, tmp_path: Path, mode: int, text: str, error: tuple[str, str] | None
) -> None:
    file = tmp_path / "values.json"
    file.write_text(text)
    file.chmod(mode)

    done = house.call("sync_modal_secrets", "--lane", "staging", "--from-file", str(file))

    assert (failed(done) if done["status"] == "error" else None) == error
    assert VALUE not in json.dumps(done)


@pytest.mark.proves("PA-3")
def test_the_pr_lane_has_nothing_on_modal(house: House) -> None:
    house.plane.reset()

    deployed = house.deploy(CHAT, "pr")
    synced = house.sync("pr")

    assert failed(deployed) == failed(synced) == ("ERR_CI_SAFETY", "lane_adapter")
    assert house.plane.transcript == []


@pytest.mark.proves("ERR_MODAL_LOOKUP")
def test_each_way_not_to_reach_modal_has_its_reason(house: House) -> None:
    house.pin(DOC, NOWHERE)
    words = (*STAGING, *PREFIX, "--inputs-json", '{"filename":"page.md"}')

    absent = house.run(DOC, *words)
    nobody = house.run(DOC, *words, env={"MODAL_TOKEN_ID": ""})
    dead = house.run(DOC, *words, env={"MODAL_SERVER_URL": "http://127.0.0.1:1"})
    clear = house.run(DOC, *words, env={"MODAL_SERVER_URL": "http://192.0.2.1:80"})
    unread = [
        house.run(DOC, *words, env={"MODAL_SERVER_URL": server}).error
        for server in ("http://localhost:99999", "http://[::1", f"https://{'a' * 64}.test")
    ]

    assert absent.error == ("ERR_MODAL_LOOKUP", "not_deployed")
    assert nobody.error == ("ERR_MODAL_LOOKUP", "no_credentials")
    assert dead.error == ("ERR_MODAL_LOOKUP", "unreachable")
    assert clear.error == ("ERR_INPUTS", "bad_value")
    assert set(unread) == {("ERR_INPUTS", "bad_value")}


@pytest.mark.proves("IL-4")
def test_a_rollback_deploys_what_was_deployed_before(house: House) -> None:
    """In a pinned lane the pin goes back first; what is pinned is all that is ever deployed."""
    older, newer = house.push_earlier(CHAT), house.push(CHAT)
    assert older != newer
    for digest in (older, newer):
        house.pin(CHAT, digest)
        house.sync("staging")
        assert house.deploy(CHAT, "staging")["result"]["digest"] == digest

    early = house.deploy(CHAT, "staging", "--rollback")
    between = house.deploy(CHAT, "staging", "--status")
    house.pin(CHAT, older)
    unsynced = house.deploy(CHAT, "staging", "--rollback")
    house.sync("staging")
    back = house.deploy(CHAT, "staging", "--rollback")
    status = house.deploy(CHAT, "staging", "--status")

    assert failed(early) == ("ERR_REGISTRY_MISMATCH", "digest_chain")
    assert between["result"]["digest"] == newer
    assert failed(unsynced) == ("ERR_MISSING_SECRET", "not_synced")
    assert (back["result"]["digest"], back["result"]["changed"]) == (older, True)
    assert status["result"]["digest"] == status["result"]["recorded"] == older
    assert house.deploy(CHAT, "staging", "--drift")["result"]["pinned"] == older
    made = [each["data"]["digest"] for each in facts(house, "deployment.made")]
    assert made == [older, newer, older]


@pytest.mark.proves("IL-4")
def test_there_is_nothing_to_go_back_to_before_a_second_image(house: House) -> None:
    house.pin(CHAT, house.push(CHAT))
    house.sync("staging")
    never = house.deploy(CHAT, "staging", "--rollback")
    house.deploy(CHAT, "staging")
    house.sync("staging")
    house.deploy(CHAT, "staging")  # the same image, with new secrets

    alone = house.deploy(CHAT, "staging", "--rollback")

    assert failed(never) == failed(alone) == ("ERR_MODAL_LOOKUP", "not_deployed")
    assert len(_made(house)) == 2


@pytest.mark.proves("HR-5", "IL-4")
def test_in_dev_a_rollback_is_an_override_and_is_recorded_as_one(house: House) -> None:
    older, newer = house.push_earlier(DOC), house.push(DOC)
    place = f"{house.shelf.server.host}/processors/doc-extract"
    house.pin(DOC, newer)
    house.sync("dev")
    house.deploy(DOC, "dev", "--image-override", f"{place}@{older}")
    house.deploy(DOC, "dev")

    both = house.deploy(DOC, "dev", "--rollback", "--image-override", f"{place}@{older}")
    back = house.deploy(DOC, "dev", "--rollback")

    assert failed(both) == ("ERR_INPUTS", "conflicting_flags")
    assert back["result"]["digest"] == older
    made = [(each["data"]["digest"], each["data"]["override"]) for each in _made(house)]
    assert made == [(older, True), (newer, False), (older, True)]
    bare = house.deploy(DOC, "dev", "--image-override", f"processors/doc-extract@{older}")
    assert bare["result"]["image"] == f"{place}@{older}"
    assert failed(house.deploy(DOC, "dev", "--drift")) == ("ERR_REGISTRY_MISMATCH", "digest_chain")


def _made(house: House) -> list[dict[str, Any]]:
    return facts(house, "deployment.made")


@pytest.mark.proves("IL-4")
def test_a_stop_ends_what_is_deployed_and_is_a_fact(house: House) -> None:
    digest = house.push(DOC)
    house.pin(DOC, digest)
    house.sync("staging")
    house.deploy(DOC, "staging")
    before = house.deploy(DOC, "staging", "--status")

    stopped = house.deploy(DOC, "staging", "--stop")

    target = {"ref": DOC, "environment": "staging", "app": "doc-extract-v1"}
    assert before["result"] == {
        **target,
        "digest": digest,
        "content_root": _made(house)[0]["data"]["content_root"],
        "recorded": digest,
    }
    assert stopped["result"] == target
    [fact] = facts(house, "deployment.stopped")
    assert fact["data"] == target
    for action in ("--status", "--drift", "--stop"):
        assert failed(house.deploy(DOC, "staging", action)) == ("ERR_MODAL_LOOKUP", "not_deployed")
    ran = house.run(DOC, *STAGING, *PREFIX, "--inputs-json", '{"filename":"page.md"}')
    assert ran.error == ("ERR_MODAL_LOOKUP", "not_deployed")
    assert len(facts(house, "deployment.stopped")) == 1
    again = house.deploy(DOC, "staging")
    assert again["result"]["changed"] is True


def test_what_another_world_deployed_is_told_and_not_called_recorded(
    there: tuple[Plane, Shelf], house: House, tmp_path: Path
) -> None:
    digest = house.push(DOC)
    house.pin(DOC, digest)
    house.sync("staging")
    house.deploy(DOC, "staging")
    other = House(tmp_path / "other", *there)
    other.pin(DOC, None)

    status = other.deploy(DOC, "staging", "--status")
    unpinned = other.deploy(DOC, "staging", "--drift")

    assert (status["result"]["digest"], status["result"]["recorded"]) == (digest, None)
    assert failed(unpinned) == ("ERR_IMAGE_UNPINNED", "no_pin")


@pytest.mark.parametrize(
    "words", [("--status", "--stop"), ("--drift", "--rollback"), ("--status", "--status")]
)
def test_one_thing_is_asked_at_a_time(house: House, words: tuple[str, ...]) -> None:
    house.plane.reset()

    refused = house.deploy(DOC, "staging", *words)

    assert failed(refused)[0] == "ERR_INPUTS"
    assert house.plane.transcript == []


@pytest.mark.proves("IL-4", "PA-3")
def test_a_flipped_byte_on_the_way_to_modal_is_a_failed_deployment(
    there: tuple[Plane, Shelf], tmp_path: Path
) -> None:
    _, shelf = there
    with Plane(tmp_path / "state", "--environment", "staging") as plane:  # it has fetched nothing
        house = House(tmp_path / "house", plane, shelf)
        house.pin_all(NOWHERE)
        house.pin(CHAT, house.push(CHAT))
        house.sync("staging")
        layout = rootfs.Image(ROOT / "processors/llm/chat/v1/image")
        layer = layout.manifest["layers"][-1]["digest"]
        path = f"/v2/.+/blobs/{layer}"
        shelf.server.tell(simulated.corrupted, method="GET", path=path, times=9)

        refused = house.deploy(CHAT, "staging")
        shelf.server.revive()

        assert failed(refused) == ("ERR_IMAGE_UNAVAILABLE", "remote_refused")
        assert layer.removeprefix("sha256:") in refused["error"]["message"]
        assert facts(house, "deployment.made") == []
        assert house.deploy(CHAT, "staging")["status"] == "success"
