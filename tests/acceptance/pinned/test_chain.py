"""From the build to a container that runs what was pinned: every hop holds the same digest.

The programs and images are those of the build, the registry is a real one on loopback, and the pins
go into a scratch copy of the registries, a working tree of git. Nothing is built here.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from processors.protocol import content
from processors.protocol.payload import Payload
from tests.fixtures import rootfs
from tests.fixtures.pin_trees import REFS, Tree
from tests.harness import PATIENCE_S, ROOT
from tests.simulators import registry as simulated

CHAT = "llm/chat@1"
CHAT_INPUTS = {
    "endpoint": "openai",
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "hello"}],
}
CRANE = ROOT / "tools/images/crane"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with simulated.Server(CRANE) as server:
        yield server.host


@pytest.mark.proves("IL-6", "IL-3", "BZ-5", "TS-5")
@pytest.mark.parametrize("ref", REFS)
def test_each_hop_holds_the_digest_of_the_build(ref: str, tree: Tree, address: str) -> None:
    digest_file = ROOT / "processors" / REFS[ref] / "image.json.sha256"
    digest = digest_file.read_text(encoding="ascii").strip()

    assert tree.result("build_processor", "--ref", ref)["digest"] == digest
    pushed = tree.result("push_processor", "--ref", ref, "--registry", address)
    assert pushed["digest"] == digest
    assert tree.pin(ref) is None
    pinned = tree.result("pin_processor", "--ref", ref, "--registry", address)
    assert (pinned["digest"], tree.pin(ref)) == (digest, digest)
    assert tree.git("diff", "--numstat").split()[:2] == ["1", "1"]  # one line of one file
    again = tree.result("pin_processor", "--ref", ref, "--registry", address)
    assert (again["changed"], tree.pin(ref)) == (False, digest)

    chain = tree.call("ledger", "images", "--ref", ref, "--world", str(tree.world))
    assert chain["status"] == "success"
    assert chain["result"]["digest"] == digest
    assert None not in [chain["result"]["hops"][hop] for hop in ("build", "push", "pin")]


@pytest.mark.proves("TS-5")
def test_what_is_pulled_by_the_pin_runs(tree: Tree, address: str, tmp_path: Path) -> None:
    tree.result("push_processor", "--ref", CHAT, "--registry", address)
    tree.result("pin_processor", "--ref", CHAT, "--registry", address)
    pulled, root, world = tmp_path / "pulled", tmp_path / "root", tmp_path / "started"
    world.mkdir()

    subprocess.run(
        [
            *(CRANE, "pull", "--format=oci"),
            *(f"{address}/processors/llm-chat@{tree.pin(CHAT)}", pulled),
        ],
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        check=True,
        timeout=PATIENCE_S,
    )

    image = rootfs.Image(pulled)
    assert image.digest == tree.pin(CHAT)
    image.unpack(root)
    content.check(str(root / content.FOLDER[1:]), image.labels["processor.content-root"])
    payload = Payload(
        execution_id="pinned",
        ref=CHAT,
        mode="mock",
        inputs=CHAT_INPUTS,
        artifacts={},
        write_prefix="/artifacts/pinned/",
    )
    done = rootfs.run_image(image, root, world, stdin=payload.encode())
    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "success")


@pytest.mark.proves("IL-3")
@pytest.mark.parametrize("branch", ["main", "staging"])
def test_no_pin_on_a_protected_branch(branch: str, tree: Tree, address: str) -> None:
    tree.result("push_processor", "--ref", CHAT, "--registry", address)
    tree.git("checkout", "--quiet", "-b", branch)

    answer = tree.call("pin_processor", "--ref", CHAT, "--registry", address)

    assert (answer["error"]["code"], answer["error"]["reason"]) == (
        "ERR_CI_SAFETY",
        "protected_branch",
    )
    assert tree.pin(CHAT) is None


@pytest.mark.proves("BZ-6", "HR-5", "ERR_IMAGE_UNPINNED")
@pytest.mark.parametrize("lane", ["staging", "main"])
def test_a_pinned_lane_refuses_what_is_not_pinned_or_stale(
    lane: str, tree: Tree, address: str
) -> None:
    words = ("--check", "--lane", lane)
    unpinned = tree.call("pin_processor", *words)
    assert unpinned["error"]["code"] == "ERR_IMAGE_UNPINNED"

    for ref in REFS:
        tree.result("push_processor", "--ref", ref, "--registry", address)
        tree.result("pin_processor", "--ref", ref, "--registry", address)
    assert tree.call("pin_processor", *words)["status"] == "success"

    file = tree.root / "processors" / REFS[CHAT] / "registry.yaml"
    moved_on = "sha256:" + "ab" * 32
    file.write_text(file.read_text().replace(str(tree.pin(CHAT)), moved_on))
    stale = tree.call("pin_processor", *words)["error"]

    assert (stale["code"], stale["reason"]) == ("ERR_REGISTRY_MISMATCH", "pin_stale")
    assert moved_on in stale["message"]
    assert f"//:pin_processor -- --ref {CHAT}" in stale["message"]


@pytest.mark.proves("BZ-6")
def test_the_pr_lane_is_told_and_goes_on(tree: Tree) -> None:
    answer = tree.call("pin_processor", "--check", "--lane", "pr")

    assert answer["status"] == "success"
    assert {pin["state"] for pin in answer["result"]["pins"]} == {"unpinned"}
