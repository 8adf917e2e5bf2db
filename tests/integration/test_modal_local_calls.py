"""The unmodified SDK deploys to the plane and calls, and the wheel's entrypoint runs in a root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.modal_bed import Plane, Shelf
from tests.fixtures.modal_images import python_layer

FORMATS = ("pickle", "cbor")
PATHS = {"control": (), "input": ("--input-plane",)}
IDLE = {"scaledown_window": 2}


@pytest.fixture(scope="module")
def reference() -> Iterator[str]:
    with Shelf() as shelf:
        yield shelf.pusher.push(python_layer())


@pytest.fixture(scope="module", params=PATHS)
def plane(
    request: pytest.FixtureRequest, reference: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plane]:
    state: Path = tmp_path_factory.mktemp("state")
    with Plane(state, "--environment", "main", *PATHS[request.param]) as plane:
        assert "app_id" in plane.run("deploy", reference=reference, tags={"k": "v"})
        yield plane


@pytest.mark.parametrize("payload", FORMATS)
def test_a_call_gives_the_bytes_that_the_container_made(plane: Plane, payload: str) -> None:
    told = plane.run("call", data="hello", env={"MODAL_PAYLOAD_FORMAT": payload})

    assert told == {"answer": "olleh"}


@pytest.mark.parametrize("payload", FORMATS)
def test_what_is_too_large_for_a_message_goes_by_way_of_a_blob(plane: Plane, payload: str) -> None:
    plane.reset()
    told = plane.run("call_large", size=3 << 20, env={"MODAL_PAYLOAD_FORMAT": payload})

    assert told == {"same": True}
    assert {"BlobCreate", "BlobGet"} <= set(plane.transcript)


def test_a_spawned_call_is_waited_for(plane: Plane) -> None:
    assert plane.run("spawn", data="later") == {"answer": "retal"}


def test_the_function_has_its_secret_in_its_environment(plane: Plane) -> None:
    assert plane.run("call", data="env WORD") == {"answer": "hunter2-trial"}


def test_an_exception_of_the_function_is_raised_as_what_it_was(plane: Plane) -> None:
    told = plane.run("call", data="fail on purpose")

    assert told == {"error": "builtins.ValueError", "text": "on purpose"}


def test_cbor_carries_no_exception_but_its_words(plane: Plane) -> None:
    told = plane.run("call", data="fail on purpose", env={"MODAL_PAYLOAD_FORMAT": "cbor"})

    assert told["error"] == "modal.exception.RemoteError"
    assert "on purpose" in told["text"]


def test_a_time_limit_of_one_call_ends_it_and_its_container(plane: Plane) -> None:
    told = plane.run("call", data="sleep 25", timeout=2)

    assert told["error"] == "modal.exception.FunctionTimeoutError"
    assert plane.run("call", data="again") == {"answer": "niaga"}


def test_the_local_wait_and_the_remote_limit_are_different_errors(plane: Plane) -> None:
    told = plane.run("spawn", data="sleep 3", wait_s=0.5)

    assert told["error"] == "builtins.TimeoutError"


def test_what_nobody_asked_for_is_refused_by_name(plane: Plane) -> None:
    told = plane.run("queue")

    assert told["error"] == "modal.exception.UnimplementedError"
    assert "QueueGetOrCreate is not emulated" in told["text"]
