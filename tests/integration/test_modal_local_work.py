"""What containers do to volumes, and what deployments, stops and cancellations do to containers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.fixtures.modal_bed import Plane, Shelf, said
from tests.fixtures.modal_images import python_layer

PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def shelf() -> Iterator[Shelf]:
    with Shelf() as shelf:
        yield shelf


@pytest.fixture(scope="module")
def reference(shelf: Shelf) -> str:
    return shelf.pusher.push(python_layer())


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with Plane(tmp_path_factory.mktemp("state")) as plane:
        yield plane


@pytest.fixture
def plane(shared: Plane, request: pytest.FixtureRequest) -> Iterator[Plane]:
    """The plane, with an app of the test's own in mind, and without its containers at the end."""
    shared.app = request.function.__name__[5:60]
    yield shared
    shared.run("app_stop")
    wait_until(lambda: shared.count("containers") == 0)


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    until = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_file_of_a_container_is_seen_after_it_was_published(plane: Plane, reference: str) -> None:
    plane.run("deploy", reference=reference)
    plane.run("volume_put", path="/before.bin", size=20 << 20)
    plane.run("call", data="write made.txt something")
    before = plane.run("volume_list")["paths"]

    plane.run("redeploy", reference=reference, timeout=29)  # The idle container ends in good order.
    wait_until(lambda: plane.count("containers") == 0)

    assert before == ["before.bin"]
    assert plane.run("volume_list")["paths"] == ["before.bin", "made.txt"]
    assert plane.run("volume_read", path="made.txt")["text"] == "something"
    assert plane.run("volume_read", path="/before.bin")["bytes"] == 20 << 20
    assert plane.run("volume_read", path="none")["error"] == "builtins.FileNotFoundError"


def test_a_cancelled_call_is_told_to_the_container_which_goes_on_with_others(
    plane: Plane, reference: str
) -> None:
    plane.run("deploy", reference=reference)
    before = plane.count("containers_started")
    plane.run("call", data="warm")

    told = plane.run("spawn_and_cancel", data="sleep 20", delay_s=1.0)

    assert told["error"] == "modal.exception.RemoteError"
    assert plane.run("call", data="next") == {"answer": "txen"}
    assert plane.count("containers_started") == before + 1
    assert plane.count("inputs_unfinished") == 0


def test_a_call_is_cancelled_with_its_container(plane: Plane, reference: str) -> None:
    plane.run("deploy", reference=reference)
    plane.run("call", data="warm")

    told = plane.run("spawn_and_cancel", data="sleep 20", delay_s=1.0, terminate=True)

    assert told["error"] == "modal.exception.RemoteError"
    wait_until(lambda: plane.count("containers") == 0)


def test_a_redeployment_in_flight_lets_the_old_container_finish(
    plane: Plane, reference: str
) -> None:
    plane.run("deploy", reference=reference)
    before = plane.count("containers_started")
    plane.run("call", data="warm")
    with plane.start("call", data="sleep 8") as running:
        wait_until(lambda: plane.count("inputs_unfinished") == 1)
        again = plane.run("redeploy", reference=reference, timeout=29)
        told = said(running)

    assert "app_id" in again
    assert told == {"answer": "8 peels"}
    assert plane.run("call", data="new") == {"answer": "wen"}
    assert plane.count("containers_started") == before + 2


def test_the_same_deployment_again_is_none(plane: Plane, reference: str) -> None:
    plane.run("deploy", reference=reference)
    before = plane.count("containers_started")
    plane.run("call", data="warm")
    again = plane.run("redeploy", reference=reference)

    assert "app_id" in again
    assert plane.run("call", data="warm") == {"answer": "mraw"}
    assert plane.count("containers_started") == before + 1


def test_a_stopped_app_is_not_found_and_has_no_container(plane: Plane, reference: str) -> None:
    plane.run("deploy", reference=reference)
    plane.run("call", data="warm")
    assert plane.count("containers") == 1

    assert plane.run("app_stop") == {}

    wait_until(lambda: plane.count("containers") == 0)
    told = plane.run("call", data="gone")
    assert told["error"] == "modal.exception.NotFoundError"


def test_an_image_starts_with_its_entrypoint(plane: Plane, shelf: Shelf) -> None:
    """As on the real service: one that does not run its arguments must be cleared."""
    odd = shelf.pusher.push(python_layer(), Entrypoint=["/usr/local/bin/python", "-c", "pass"])

    plane.run("deploy", reference=odd)
    told = plane.run("call", data="hello")
    plane.run("redeploy", reference=odd, clears_entrypoint=True)

    assert told["error"] == "modal.exception.InternalFailure"
    assert plane.run("call", data="hello") == {"answer": "olleh"}


@pytest.mark.parametrize("trial", ["call", "spawn"])
def test_a_function_with_retries_is_tried_again(plane: Plane, reference: str, trial: str) -> None:
    """By the client itself if it waits, and by the plane if it does not."""
    plane.run("deploy", reference=reference, retries=1, max_containers=1)

    told = plane.run(trial, data=f"tally {trial}.txt")

    plane.run("redeploy", reference=reference, timeout=29)
    wait_until(lambda: plane.count("containers") == 0)
    assert told == {"error": "builtins.ValueError", "text": "as always"}
    assert plane.run("volume_read", path=f"{trial}.txt")["text"] == "xx"
