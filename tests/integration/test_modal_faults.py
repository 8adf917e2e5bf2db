"""Each thing that can go wrong on the way to Modal and back, as a run of ours answers it.

What is deployed, the containers and the SDK are real, and the control plane of this machine does
wrong what it is told to. Whatever it is: one of our codes, no call left, no process left.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.modal_bed import Plane, Shelf
from tests.fixtures.modal_house import CHAT, DOC, NOWHERE, PREFIX, STAGING, House, facts, failed
from tests.harness import PATIENCE_S, Result

LARGE = "word " * 4_000  # more than fits into the message of a call
OFTEN = 1_000
APPS = {DOC: "doc-extract-v1", CHAT: "llm-chat-v1"}
PATHS = {"control": (), "input": ("--input-plane",)}
INVOCATION, LOOKUP = "ERR_MODAL_INVOCATION", "ERR_MODAL_LOOKUP"

type Order = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """Faults, and what is to come of a run.

    Attributes:
        orders: The faults.
        error: Code and reason, or None for a success.
        sent: How often the call is sent.
        ref: What runs: the one that is given a file, or the one whose request is large.
        warm: Whether what it is given, and what it makes, is on the volume already.
    """

    orders: list[Order]
    error: tuple[str, str] | None = None
    sent: int = 1
    ref: str = DOC
    warm: bool = False


def once(kind: str, **more: Any) -> list[Order]:
    return [{"kind": kind, **more}]


def often(kind: str, times: int = OFTEN, **more: Any) -> list[Order]:
    return [{"kind": kind, "times": times, **more}]


CASES = {
    "nothing": Case([]),
    "a call is unavailable for a while": Case(often("unavailable", 3, rpc="FunctionMap"), sent=4),
    "a call is unavailable for good": Case(
        often("unavailable", rpc="FunctionMap"), (INVOCATION, "remote_error"), sent=4
    ),
    "a look-up is unavailable for good": Case(
        often("unavailable", rpc="FunctionGet"), (LOOKUP, "unreachable"), sent=0
    ),
    "the volume is unavailable for good": Case(
        often("unavailable", rpc="VolumePutFiles2"), (INVOCATION, "remote_error"), sent=0
    ),
    "the answer to a call is lost": Case(once("answer_lost", rpc="FunctionMap"), sent=2),
    "an output is lost": Case(once("answer_lost", rpc="FunctionGetOutputs")),
    "outputs are unavailable for a while": Case(often("unavailable", 3, rpc="FunctionGetOutputs")),
    "outputs are unavailable for good": Case(
        often("unavailable", rpc="FunctionGetOutputs"), (INVOCATION, "remote_error")
    ),
    "the remote time is up": Case(
        once("remote_timeout"), ("ERR_MODAL_TIMEOUT", "remote_time_limit")
    ),
    "a container starts slowly": Case(
        [{"kind": "kill_mid_input"}, {"kind": "slow_start", "seconds": 2.0}]
    ),
    "a container is killed": Case(once("kill_mid_input")),
    "every container is killed": Case(often("kill_mid_input", 3), (INVOCATION, "remote_error")),
    "an input fails": Case(once("internal_failure"), (INVOCATION, "remote_error")),
    "the result is no pickle": Case(once("unpicklable_result"), (INVOCATION, "exchange_invalid")),
    "a download ends early": Case(once("blob_truncated"), warm=True),
    "every download ends early": Case(
        often("blob_truncated"), (INVOCATION, "remote_error"), warm=True
    ),
    "the host of files is busy once": Case(once("blob_503")),
    "the host of files stays busy": Case(
        often("blob_503"), (INVOCATION, "remote_error"), warm=True
    ),
    "the host of requests stays busy": Case(
        often("blob_503"), (INVOCATION, "remote_error"), sent=0, ref=CHAT
    ),
    "an upload is answered with another tag once": Case(once("blob_wrong_etag"), ref=CHAT),
    "every upload is answered with another tag": Case(
        often("blob_wrong_etag"), (INVOCATION, "remote_error"), sent=0, ref=CHAT
    ),
    "an input is delivered twice": Case(once("duplicate_input")),
    "the token has expired when it is looked up": Case(
        once("expired_token", rpc="FunctionGet"), (LOOKUP, "no_credentials"), sent=0
    ),
    "the token expires before the call": Case(
        once("expired_token", rpc="FunctionMap"), (INVOCATION, "remote_error")
    ),
    "a call is throttled": Case(once("throttle", rpc="FunctionMap", seconds=0.3), sent=2),
}
# A call is spawned, which is one path whichever the function has; these say that it is.
ON_BOTH = ("nothing", "the remote time is up", "a container is killed", "an output is lost")


@contextlib.contextmanager
def housed(base: Path, *options: str) -> Iterator[House]:
    """A house whose processors are deployed."""
    base.mkdir()
    with Shelf() as shelf, Plane(base / "state", "--environment", "staging", *options) as plane:
        house = House(base / "house", plane, shelf)
        house.pin_all(NOWHERE)
        for ref in APPS:
            house.pin(ref, house.push(ref))
        house.sync("staging")
        for ref in APPS:
            made = house.deploy(ref, "staging")
            assert made["status"] == "success", made
        yield house


@pytest.fixture(scope="module", name="houses")
def _houses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], House]]:
    """Gives the house of a path, which is made when it is first needed."""
    made: dict[str, House] = {}
    with contextlib.ExitStack() as stack:

        def get(path: str) -> House:
            if path not in made:
                base = tmp_path_factory.mktemp(path) / "there"
                made[path] = stack.enter_context(housed(base, *PATHS[path]))
            made[path].plane.reset()
            return made[path]

        yield get


@pytest.fixture(name="house")
def _house(houses: Callable[[str], House]) -> House:
    return houses("control")


def words(ref: str, base: Path) -> tuple[str, ...]:
    """What a processor is asked, which nobody asked it before."""
    if ref == CHAT:
        said = [{"role": "user", "content": LARGE + base.name}]
        asked = {"endpoint": "openai", "model": "gpt-4o-mini", "messages": said}
        return (*STAGING, *PREFIX, "--inputs-json", json.dumps(asked))
    page = base / "page.md"
    page.write_text(f"# {base.name}\n\nText.\n")
    given = ("--inputs-json", '{"filename":"page.md"}', "--attach", f"source={page}")
    return (*STAGING, *PREFIX, *given)


def processes(house: House) -> list[str]:
    """The processes that run the SDK and speak to a house's plane."""
    found = []
    for each in Path("/proc").glob("[0-9]*/environ"):
        try:
            if house.plane.server_url.encode() in each.read_bytes():
                found.append(each.parent.name)
        except OSError:
            continue
    return found


def check(house: House, case: Case, result: Result) -> None:
    """The run ended as it should, and nothing of it is left."""
    assert (None if result.exit_code == 0 else result.error) == case.error, result.stdout
    assert house.plane.transcript.count("FunctionMap") == case.sent
    assert house.plane.count("inputs_unfinished") == 0
    assert processes(house) == []
    told = facts(house, "execution.settled", "execution.refused")[-1]["data"]["error"]
    if case.error is None:
        assert told is None
        return
    assert (told["code"], told["reason"]) == case.error
    assert result.exit_code == (124 if case.error[0] == "ERR_MODAL_TIMEOUT" else 1)
    name = result.envelope["execution_id"]
    assert [each for each in result.visible if f"/{name}/outputs/" in each] == []


@pytest.mark.proves("ERR_MODAL_INVOCATION", "ERR_MODAL_LOOKUP", "ERR_MODAL_TIMEOUT")
@pytest.mark.parametrize(
    ("path", "name"),
    [*(("control", name) for name in CASES), *(("input", name) for name in ON_BOTH)],
)
def test_what_goes_wrong_is_got_over_or_told(
    houses: Callable[[str], House], path: str, name: str, tmp_path: Path
) -> None:
    house, case = houses(path), CASES[name]
    asked = words(case.ref, tmp_path)
    if case.warm:
        assert house.run(case.ref, *asked).exit_code == 0
    house.plane.reset()
    before = house.plane.count("calls")
    for order in case.orders:
        house.plane.fault(**order)

    result = house.run(case.ref, *asked)

    assert house.plane.count("calls") - before <= 1  # what has begun may have had its effect
    happened = house.plane.ask("/state")["faults_happened"]
    assert set(happened) == {order["kind"] for order in case.orders}
    check(house, case, result)


def test_a_deployment_while_a_call_runs_takes_nothing_from_it(house: House, tmp_path: Path) -> None:
    before = house.deploy(DOC, "staging", "--status")["result"]["digest"]
    house.plane.fault("kill_mid_input")  # it has begun, and then has to wait for a container
    house.plane.fault("slow_start", seconds=8.0)
    with house.start(DOC, *words(DOC, tmp_path)) as process:
        while "kill_mid_input" not in house.plane.ask("/state")["faults_happened"]:
            assert process.poll() is None
            time.sleep(0.05)
        digest = house.push_earlier(DOC)
        house.pin(DOC, digest)
        house.sync("staging")
        made = house.deploy(DOC, "staging")
        stdout, _ = process.communicate(timeout=PATIENCE_S)
    after = house.run(DOC, *words(DOC, tmp_path))

    assert made["result"]["digest"] == digest
    assert json.loads(stdout)["status"] == "success"
    assert json.loads(stdout)["meta"]["image_digest"] == before
    assert after.envelope["meta"]["image_digest"] == digest
    assert house.plane.count("inputs_unfinished") == 0


@pytest.mark.proves("ERR_MODAL_LOOKUP")
def test_an_environment_that_is_not_there_is_not_looked_for_elsewhere(
    house: House, tmp_path: Path
) -> None:
    elsewhere = [word if word != "staging" else "main" for word in words(DOC, tmp_path)]

    ran = house.run(DOC, *elsewhere)
    synced = house.sync("main")

    assert ran.error == ("ERR_MODAL_LOOKUP", "not_deployed")
    assert failed(synced) == ("ERR_MODAL_LOOKUP", "not_deployed")
    assert "FunctionMap" not in house.plane.transcript
