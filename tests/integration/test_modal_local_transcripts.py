"""What the SDK asks for, operation by operation, as it was when the pin was made.

A change of the pin that asks for other things shows up here as a difference. What is asked at once
is written sorted; the heartbeat, which is a clock, is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.fixtures.modal_bed import Plane, Shelf
from tests.fixtures.modal_images import layer
from tests.harness import ROOT

GOLDEN = json.loads((ROOT / "tests/fixtures/modal_transcripts.json").read_bytes())
# Asked for at once, in no order, while the objects of a deployment load.
AT_ONCE = frozenset(
    {
        "AppCreate",
        "AppGetLayout",
        "EnvironmentGetOrCreate",
        "FunctionPrecreate",
        "ImageGetOrCreate",
        "ImageJoinStreaming",
        "MountGetOrCreate",
        "SecretGetOrCreate",
        "VolumeGetOrCreate",
    }
)


@pytest.fixture(scope="module")
def reference() -> Iterator[str]:
    with Shelf() as shelf:
        yield shelf.pusher.push(layer({"empty": b""}))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with Plane(tmp_path_factory.mktemp("state"), "--simulated") as plane:
        yield plane


@pytest.fixture
def plane(shared: Plane, reference: str, request: pytest.FixtureRequest) -> Plane:
    shared.app = request.function.__name__
    if not request.function.__name__.startswith("test_deploy_new"):
        shared.run("deploy", reference=reference)
    else:
        shared.run("secret_sync", values={"WORD": "x"})
    shared.reset()
    return shared


def plain(transcript: list[str]) -> list[str]:
    """A transcript without what is chance in it."""
    found: list[str] = []
    together: list[str] = []
    for name in [*transcript, ""]:
        if name == "AppHeartbeat":
            continue
        if name in AT_ONCE:
            together.append(name)
            continue
        found += sorted(together)
        together = []
        found.append(name)
    return found[:-1]


def check(plane: Plane, operation: str) -> None:
    """The operation asked for what it always asked for."""
    assert plain(plane.transcript) == GOLDEN[operation]


def test_deploy_new(plane: Plane, reference: str) -> None:
    plane.run("redeploy", reference=reference)

    check(plane, "deploy new")


def test_deploy_again(plane: Plane, reference: str) -> None:
    plane.run("redeploy", reference=reference)

    check(plane, "deploy again")


def test_lookup_and_call(plane: Plane) -> None:
    assert plane.run("call", data="hello") == {"answer": "hello"}

    check(plane, "look up and call")


def test_spawn_and_cancel(plane: Plane) -> None:
    plane.ask("/answers", {"delay_s": 20})
    told = plane.run("spawn_and_cancel", data="hello")
    plane.ask("/answers", {})

    assert told["error"] == "modal.exception.RemoteError"
    check(plane, "spawn and cancel")


def test_sync_a_secret(plane: Plane) -> None:
    assert plane.run("secret_sync", values={"WORD": "x"}) == {"made": False, "names": ["word"]}

    check(plane, "bring a secret up to date")


def test_put_into_and_read_from_a_volume(plane: Plane) -> None:
    plane.run("volume_put", path="file.bin", size=9 << 20)
    check(plane, "put into a volume")

    plane.reset()
    assert plane.run("volume_read", path="file.bin")["bytes"] == 9 << 20
    check(plane, "read from a volume")


def test_every_transcript_is_checked() -> None:
    assert sorted(GOLDEN) == [
        "bring a secret up to date",
        "deploy again",
        "deploy new",
        "look up and call",
        "put into a volume",
        "read from a volume",
        "spawn and cancel",
    ]
