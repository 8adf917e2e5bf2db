"""From the build to a run on Modal: the whole chain, on a control plane of this machine.

The SDK, the container's program and the images are the real ones; nothing of Modal's service is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

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
from tests.fixtures.pin_trees import REFS, Tree
from tests.harness import ROOT

CHAT_INPUTS = json.dumps(
    {
        "endpoint": "openai",
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "hello"}],
    }
)


@pytest.fixture(scope="module", name="there")
def _there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Plane, Shelf]]:
    with site(tmp_path_factory.mktemp("state")) as there:
        yield there


@pytest.fixture(name="house")
def _house(tmp_path: Path, there: tuple[Plane, Shelf]) -> House:
    house = House(tmp_path, *there)
    house.pin_all(NOWHERE)
    return house


@pytest.fixture(name="tree")
def _tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)  # in the world of the house


def pinned(house: House, tree: Tree) -> dict[str, str]:
    """Build, push, pin and build again, each by its own command; the digests."""
    digests = {}
    for ref in REFS:
        left = json.loads((ROOT / "processors" / REFS[ref] / "processor.json").read_bytes())
        left["registry"]["image"]["digest"] = None  # it may be pinned, and the tree is not yet
        assert json.loads(tree.described(ref)) == left
        built = tree.result("build_processor", "--ref", ref)
        place = ("--ref", ref, "--registry", house.shelf.server.host)
        pushed = tree.result("push_processor", *place)
        pin = tree.result("pin_processor", *place)
        assert built["digest"] == pushed["digest"] == pin["digest"] == tree.pin(ref)
        house.build(ref, tree.described(ref))
        digests[ref] = built["digest"]
    tree.commit()
    return digests


@pytest.mark.proves("IL-6", "LN-3", "PA-2", "F-4")
def test_what_was_built_is_what_runs(house: House, tree: Tree) -> None:
    """Build → push → pin → sync → deploy → run → drift check; every hop holds one digest."""
    digest = pinned(house, tree)[CHAT]
    synced = house.sync("staging")
    deployed = house.deploy(CHAT, "staging")
    again = house.deploy(CHAT, "staging")
    ran = house.run(CHAT, *STAGING, *PREFIX, "--inputs-json", CHAT_INPUTS)
    drift = house.deploy(CHAT, "staging", "--drift")
    chain = house.call("ledger", "images", "--ref", CHAT)

    assert synced["result"]["names"] == [SECRET]
    assert deployed["status"] == "success", deployed
    assert deployed["result"]["digest"] == digest
    assert (deployed["result"]["changed"], again["result"]["changed"]) == (True, False)
    assert ran.exit_code == 0, (ran.stdout, ran.stderr, house.plane.logs())
    meta = ran.envelope["meta"]
    assert meta["image_digest"] == digest == drift["result"]["digest"]
    assert meta["app"] == deployed["result"]["app"] == "llm-chat-v1"
    resolved = [each for each in ran.events if each["event"] == "execution.resolved"]
    assert [each["image_digest"] for each in resolved] == [digest]
    [started] = facts(house, "execution.started")
    assert started["data"]["image_digest"] == digest
    assert started["data"]["app"] == meta["app"]
    hops = chain["result"]["hops"]
    assert chain["result"]["digest"] == digest
    assert hops["build"] < hops["push"] < hops["pin"] < hops["deploy"] < hops["run"]
    kinds = [each["type"] for each in facts(house, "deployment.made", "deployment.unchanged")]
    assert kinds == ["deployment.made", "deployment.unchanged"]
    everything = json.dumps([synced, deployed, again, drift]) + ran.stderr.decode()
    assert VALUE not in everything + ran.stdout.decode()
    assert VALUE.encode() not in (house.world / "ledger.sqlite3").read_bytes()


@pytest.mark.proves("HR-5", "LN-3", "PA-3")
def test_a_pinned_lane_deploys_nothing_while_a_processor_of_the_tree_is_unpinned(
    house: House,
) -> None:
    house.plane.reset()
    house.pin(DOC, None)

    refused = house.deploy(CHAT, "staging")

    assert failed(refused) == ("ERR_IMAGE_UNPINNED", "no_pin")
    assert DOC in refused["error"]["message"]
    assert house.plane.transcript == []


@pytest.mark.proves("HR-5", "LN-3")
@pytest.mark.parametrize("lane", ["staging", "main"])
def test_a_pinned_lane_takes_no_override_and_says_nothing_to_anybody(
    house: House, lane: str
) -> None:
    house.plane.reset()

    refused = house.deploy(CHAT, lane, "--image-override", f"localhost/x@{NOWHERE}")

    assert failed(refused) == ("ERR_CI_SAFETY", "lane_override")
    assert house.plane.transcript == []


@pytest.mark.proves("LN-3", "PA-3")
def test_real_needs_its_secret_and_its_confirmation(house: House) -> None:
    """The negative probe: the deployment is there, and its secret is not any more."""
    house.pin(CHAT, house.push(CHAT))
    house.sync("staging")
    assert house.deploy(CHAT, "staging")["status"] == "success"
    real = ("--adapter", "modal", "--mode", "real", "--lane", "staging")
    words = (*real, *PREFIX, "--inputs-json", CHAT_INPUTS)

    unconfirmed = house.run(CHAT, *words)
    told = house.plane.run("secret_delete", name="llm-chat-v1", environment_name="staging")
    without = house.run(CHAT, *words, "--allow-real")

    assert unconfirmed.error == ("ERR_CI_SAFETY", "lane_real_unconfirmed")
    assert "error" not in told, told
    assert without.error == ("ERR_MISSING_SECRET", "absent")
    assert SECRET in without.envelope["error"]["message"]


@pytest.mark.proves("HR-5")
def test_dev_takes_an_override_and_records_it_where_it_is_used(house: House) -> None:
    digest = house.push(DOC)
    image = f"{house.shelf.server.host}/processors/doc-extract@{digest}"
    dev = ("--branch", "b", "--user", "u", "--image-override", image)
    house.sync("dev")

    deployed = house.deploy(DOC, "dev", *dev)
    ran = house.run(
        DOC,
        *("--adapter", "modal", "--mode", "mock", "--lane", "dev"),
        *(*dev, *PREFIX, "--inputs-json", '{"filename":"page.md"}'),
        *("--attach", f"source={__file__}"),
    )

    assert deployed["result"]["override"] is True
    assert deployed["result"]["app"] == "b-u-doc-extract-v1"
    assert ran.exit_code == 0, (ran.stdout, house.plane.logs())
    assert ran.envelope["meta"]["override"] is True
    assert [each["data"]["override"] for each in facts(house, "deployment.made")] == [True]
    assert [each["data"]["override"] for each in facts(house, "execution.started")] == [True]
