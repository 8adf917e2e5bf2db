"""Each thing that can go wrong on the way, ordered on the admin port, as the bare SDK sees it.

What the product makes of it is tested elsewhere; here it is shown that the plane does what it was
told to, and that it leaves nothing half done.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.modal_bed import Plane, Shelf
from tests.fixtures.modal_images import python_layer

# cos\nmkdir\n: a pickle that calls os.mkdir with a path.
BOMB = "cos\nmkdir\n(V{path}\ntR."


@pytest.fixture(scope="module")
def reference() -> Iterator[str]:
    with Shelf() as shelf:
        yield shelf.pusher.push(python_layer())


@pytest.fixture(scope="module")
def shared(reference: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    state = tmp_path_factory.mktemp("state")
    with Plane(state, "--environment", "main", "--environment", "other") as plane:
        assert "app_id" in plane.run("deploy", reference=reference, max_containers=1)
        plane.run("call", data="warm")
        yield plane


@pytest.fixture
def plane(shared: Plane) -> Plane:
    shared.reset()
    return shared


def happened(plane: Plane) -> dict[str, int]:
    """What was ordered and has happened."""
    state = plane.ask("/state")
    assert state["inputs_unfinished"] == 0
    found = state["faults_happened"]
    assert isinstance(found, dict)
    return found


def test_unavailable_for_a_while_is_got_over(plane: Plane) -> None:
    before = plane.count("calls")
    plane.fault("unavailable", rpc="FunctionMap", times=2)

    assert plane.run("call", data="hello") == {"answer": "olleh"}

    assert happened(plane) == {"unavailable": 2}
    assert plane.transcript.count("FunctionMap") == 3
    assert plane.count("calls") == before + 1


def test_unavailable_for_good_is_an_error(plane: Plane) -> None:
    plane.fault("unavailable", rpc="FunctionMap", times=100)

    told = plane.run("call", data="hello")

    assert told["error"] == "modal.exception.ServiceError"
    assert happened(plane) == {"unavailable": 4}


def test_a_lost_answer_does_not_do_the_work_twice(plane: Plane) -> None:
    before = plane.count("calls")
    plane.fault("answer_lost", rpc="FunctionMap")

    assert plane.run("call", data="hello") == {"answer": "olleh"}

    assert happened(plane) == {"answer_lost": 1}
    assert plane.count("calls") == before + 1


def test_a_lost_output_can_be_asked_for_again(plane: Plane) -> None:
    plane.fault("answer_lost", rpc="FunctionGetOutputs")

    assert plane.run("call", data="hello") == {"answer": "olleh"}

    assert happened(plane) == {"answer_lost": 1}


def test_an_input_runs_out_of_time(plane: Plane) -> None:
    plane.fault("remote_timeout")

    told = plane.run("call", data="sleep 5")

    assert told["error"] == "modal.exception.FunctionTimeoutError"
    assert happened(plane) == {"remote_timeout": 1}


def test_a_container_starts_slowly(plane: Plane, reference: str) -> None:
    plane.fault("slow_start", seconds=2.0)
    plane.run("redeploy", reference=reference, max_containers=1, timeout=31)

    assert plane.run("call", data="hello") == {"answer": "olleh"}

    assert happened(plane) == {"slow_start": 1}


def test_an_input_is_handed_out_again_if_its_container_is_killed(plane: Plane) -> None:
    plane.fault("kill_mid_input")

    assert plane.run("call", data="sleep 1") == {"answer": "1 peels"}

    assert happened(plane) == {"kill_mid_input": 1}


def test_an_input_that_kills_its_containers_is_given_up(plane: Plane) -> None:
    before = plane.count("containers_started")

    told = plane.run("call", data="die ")

    assert told["error"] == "modal.exception.InternalFailure"
    assert plane.count("containers_started") - before in (2, 3)  # The first may have been there.
    assert happened(plane) == {}


def test_a_result_is_no_pickle(plane: Plane) -> None:
    plane.fault("unpicklable_result")

    told = plane.run("call", data="hello")

    assert told["error"] == "modal.exception.DeserializationError"
    assert happened(plane) == {"unpicklable_result": 1}


def test_the_bare_sdk_runs_what_a_container_sends(plane: Plane, tmp_path: Path) -> None:
    """The reason why a product must not let it unpickle: this is what would happen."""
    proof = tmp_path / "made by the container"
    data = base64.b64encode(BOMB.format(path=proof).encode()).decode()
    plane.fault("pickle_bomb", data=data)

    plane.run("call", data="hello")

    assert proof.is_dir()
    assert happened(plane) == {"pickle_bomb": 1}


def test_a_download_ends_early(plane: Plane) -> None:
    plane.fault("blob_truncated")

    assert plane.run("call", data="large 5000000") == {"bytes": 5000000}

    assert happened(plane) == {"blob_truncated": 1}


def test_a_download_always_ends_early(plane: Plane) -> None:
    plane.fault("blob_truncated", times=100)

    told = plane.run("call", data="large 5000000")

    assert told["error"] == "aiohttp.client_exceptions.ClientPayloadError"


def test_the_blob_host_is_busy_for_a_while(plane: Plane) -> None:
    plane.fault("blob_503")

    assert plane.run("call_large", size=3 << 20) == {"same": True}

    assert happened(plane) == {"blob_503": 1}


def test_the_blob_host_is_busy_for_good_when_something_is_sent(plane: Plane) -> None:
    plane.fault("blob_503", times=100)

    told = plane.run("call_large", size=3 << 20)

    assert told["error"] == "modal.exception.ExecutionError"
    assert happened(plane) == {"blob_503": 3}


def test_the_blob_host_is_busy_for_good_when_something_is_fetched(plane: Plane) -> None:
    plane.fault("blob_503", times=100)

    told = plane.run("call", data="large 5000000")

    assert told["error"] == "modal.exception.ExecutionError"
    assert happened(plane) == {"blob_503": 5}


def test_the_blob_host_is_busy_for_good_when_a_volume_is_read(plane: Plane) -> None:
    """What is written is sent eleven times, over eight minutes: the caller has to have a clock."""
    plane.run("volume_put", path="busy.bin", size=1 << 20)
    plane.fault("blob_503", times=100)

    told = plane.run("volume_read", path="busy.bin")

    assert told["error"] == "modal.exception.ServiceError"
    assert happened(plane) == {"blob_503": 5}


def test_the_blob_host_says_nothing_for_a_while(plane: Plane) -> None:
    plane.fault("blob_silent", seconds=0.5)

    assert plane.run("call_large", size=3 << 20) == {"same": True}

    assert happened(plane) == {"blob_silent": 1}


def test_an_upload_is_answered_with_another_tag(plane: Plane) -> None:
    plane.fault("blob_wrong_etag", times=100)

    told = plane.run("call_large", size=3 << 20)

    assert told["error"] == "modal.exception.ExecutionError"
    assert "checksum mismatch" in told["text"]


def test_an_input_is_delivered_twice_and_answered_once(plane: Plane, reference: str) -> None:
    """At most once cannot be had: the second delivery does its work as well."""
    plane.app = "twice"
    plane.run("deploy", reference=reference, max_containers=1, scaledown_window=2)
    plane.fault("duplicate_input")

    told = plane.run("call", data="write twice.txt x")

    # It is published when the container has nothing more to do.
    while "error" in (read := plane.run("volume_read", path="twice.txt")):
        assert read["error"] == "builtins.FileNotFoundError"
    plane.app = "trial"
    assert told == {"answer": "x txt.eciwt etirw"}
    assert read["text"] == "xx"
    assert happened(plane) == {"duplicate_input": 1}


def test_a_name_in_another_environment_is_not_found(plane: Plane) -> None:
    other = plane.run("call", data="hello", environment="other")
    none = plane.run("call", data="hello", environment="nowhere")

    assert other["error"] == none["error"] == "modal.exception.NotFoundError"
    assert plane.run("environment", name="other") == {"id": "en-"}
    assert plane.run("environment", name="nowhere")["error"] == "modal.exception.NotFoundError"


def test_a_token_that_has_expired_is_an_error_of_its_own(plane: Plane) -> None:
    plane.fault("expired_token", rpc="FunctionMap")

    told = plane.run("call", data="hello")

    assert told["error"] == "modal.exception.AuthError"


def test_a_throttle_is_waited_out_as_it_orders(plane: Plane) -> None:
    plane.fault("throttle", rpc="FunctionMap", seconds=0.3)

    assert plane.run("call", data="hello") == {"answer": "olleh"}

    assert happened(plane) == {"throttle": 1}


def test_a_secret_removed_before_the_deployment_is_missed(plane: Plane, reference: str) -> None:
    plane.ask("/secrets/remove", {"name": "word"})

    told = plane.run("redeploy", reference=reference)

    assert told["error"] == "modal.exception.NotFoundError"
    assert "word" in told["text"]
    plane.run("deploy", reference=reference, max_containers=1)


@pytest.mark.parametrize(
    "order",
    [
        {"kind": "no such"},
        {"kind": "unavailable"},
        {"kind": "unavailable", "rpc": "NoSuch"},
        {"kind": "slow_start", "rpc": "FunctionMap"},
        {"kind": "slow_start", "times": 0},
        {"kind": "slow_start", "tmies": 1},
    ],
)
def test_an_order_that_means_nothing_is_refused(plane: Plane, order: dict[str, object]) -> None:
    assert "error" in plane.ask("/faults", order)
    assert plane.ask("/state")["faults_pending"] == 0
