"""Thousands of calls in flight, without a container: for what callers cost."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import pytest

from tests.fixtures.modal_bed import Plane, Shelf, said
from tests.fixtures.modal_images import layer


@pytest.fixture(scope="module", params=["control", "input"])
def plane(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Plane]:
    options = ("--input-plane",) if request.param == "input" else ()
    with (
        Shelf() as shelf,
        Plane(tmp_path_factory.mktemp("state"), "--simulated", *options) as plane,
    ):
        plane.run("deploy", reference=shelf.pusher.push(layer({"empty": b""})), timeout=600)
        yield plane


def test_two_thousand_calls_are_in_flight_at_once(plane: Plane) -> None:
    plane.ask("/answers", {"hold": True})

    with plane.start("many", count=2000) as running:
        while plane.count("containers") < 2000:
            assert running.poll() is None
            time.sleep(0.5)
        plane.ask("/answers", {})
        told = said(running, patience_s=200)

    assert told["right"] == 2000
    assert plane.count("containers") == 0
    assert plane.count("inputs_unfinished") == 0


@pytest.mark.parametrize("payload", ["pickle", "cbor"])
def test_the_answer_is_the_one_of_the_table_or_an_echo(plane: Plane, payload: str) -> None:
    canned = [[base64.b64encode(x).decode() for x in (b"ask", b"told")]]
    plane.ask("/answers", {"canned": canned})
    env = {"MODAL_PAYLOAD_FORMAT": payload}

    assert plane.run("call", data="I ask", env=env) == {"answer": "told"}
    assert plane.run("call", data="I say", env=env) == {"answer": "I say"}


def test_a_simulated_call_ends_by_its_limit_and_by_cancelling(plane: Plane) -> None:
    plane.ask("/answers", {"delay_s": 20})

    late = plane.run("call", data="x", timeout=1)
    gone = plane.run("spawn_and_cancel", data="x")

    plane.ask("/answers", {})
    assert late["error"] == "modal.exception.FunctionTimeoutError"
    assert gone["error"] == "modal.exception.RemoteError"
    assert plane.count("containers") == 0
