"""The time of an execution bounds all that is done for it, wherever the SDK hangs or goes on.

The containers are simulated, so that what takes time is the way to them. The margin for it is
patched to be short; what it is otherwise is the adapter's to say.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution import run as execution
from orchestrator.execution.request import Request
from orchestrator.execution.run import Setting, run
from orchestrator.execution.trail import Trail
from orchestrator.modal import frames
from orchestrator.modal import session as sessions
from orchestrator.modal.session import DEPLOYING, Session
from processors.protocol import digests
from processors.protocol.canonical import canonical
from processors.protocol.errors import ContractError
from processors.protocol.refs import Ref
from processors.protocol.remote import Left, Reply
from processors.protocol.spawn import Ended, Stop, Tail
from tests.fixtures.modal_bed import TOKEN, Plane, Shelf
from tests.fixtures.modal_images import layer
from tests.harness import PATIENCE_S, ROOT

APP: dict[str, Any] = {"app": "hostile-zoo-v1", "environment": "dev"}
NOWHERE: dict[str, Any] = {**APP, "app": "nowhere", "secret": None, "keys": []}
DIGEST = "sha256:" + "d1" * 32
IMAGE = f"localhost/x@{DIGEST}"
NO_ENVELOPE = b"{}"
ANSWERED = ("ERR_ADAPTER_INVOCATION", "envelope_invalid")  # which is as far as it can get
LATE = ("ERR_MODAL_TIMEOUT", "call_time_limit")
FOR_EVER = 600.0
OFTEN = 10_000
LARGE = "x" * 20_000  # more than fits into a message of an asynchronous call

# Where it is kept from going on → how.
FAULTS: dict[str, dict[str, Any]] = {
    "files are sent": {"kind": "blob_silent", "seconds": FOR_EVER},
    "files are sent, again and again": {"kind": "blob_503", "times": OFTEN},
    "the volume is told": {"kind": "throttle", "rpc": "VolumePutFiles2"},
    "the function is looked up": {"kind": "throttle", "rpc": "FunctionGet"},
    "a large request is sent": {"kind": "blob_silent", "seconds": FOR_EVER},
    "a request is sent": {"kind": "throttle", "rpc": "FunctionMap"},
    "an answer is waited for": {"kind": "throttle", "rpc": "FunctionGetOutputs"},
    "a large answer is fetched": {"kind": "blob_silent", "seconds": FOR_EVER},
    "files are fetched": {"kind": "blob_silent", "seconds": FOR_EVER},
}
AFTER_THE_FILES = ("a large request is sent", "a large answer is fetched", "files are fetched")


@pytest.fixture(scope="module", name="deployed")
def _deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    options = ("--environment", "dev", "--simulated")
    with Shelf() as shelf, Plane(tmp_path_factory.mktemp("state"), *options) as plane:
        with Session(environ(plane), DEPLOYING) as session:
            image = {"image": shelf.pusher.push(layer({"empty": b""})), "digest": DIGEST}
            limits = {"memory_mb": 512, "timeout_s": 120, "startup_timeout_s": 120}
            none = {"content_root": DIGEST, "secret": None, "keys": []}
            session.perform("deploy", {**APP, **image, **limits, **none})
        yield plane


@pytest.fixture(name="plane")
def _plane(deployed: Plane, monkeypatch: pytest.MonkeyPatch) -> Plane:
    monkeypatch.setattr(execution.modal, "WAIT_S", 2)
    deployed.reset()
    deployed.ask("/answers", {})
    return deployed


def environ(plane: Plane) -> dict[str, str]:
    return {
        "MODAL_SERVER_URL": plane.server_url,
        "MODAL_TOKEN_ID": TOKEN[0],
        "MODAL_TOKEN_SECRET": TOKEN[1],
    }


def answer(ticket: sessions.Ticket) -> object:
    assert ticket.wait(PATIENCE_S)
    return ticket.take()


class Work:
    """One execution: what it is given, and what a container answers to it."""

    def __init__(self, plane: Plane, base: Path, where: str) -> None:
        self._base = base
        self._where = where
        self.session = Session(environ(plane))
        with pytest.raises(ContractError):  # what is there is not to be known already
            answer(self.session.ask("lookup", NOWHERE, within_s=100))  # which waits for its start
        self.stop = Stop()
        self._file = base / "in"
        self._file.write_bytes(str(base).encode())
        self.file = {"cid": digests.of_file(str(self._file))[0], "path": str(self._file)}
        plane.ask("/answers", {"canned": [[_base64(b"call-"), _base64(self._reply())]]})

    def _reply(self) -> bytes:
        """What is no envelope, and with it all that the way back has to carry."""
        stdout, stderr = Tail(100), Tail(100)
        stdout.feed(NO_ENVELOPE)
        ended = Ended(
            returncode=0,
            stdout=stdout,
            stderr=stderr,
            elapsed_ms=1,
            timed_out=False,
            stopped=None,
        )
        cid, size_bytes = digests.of_file(str(self._file))
        left = [Left("/artifacts/there/outputs/x", cid, size_bytes)]
        lines = [LARGE.encode()] if self._where == "a large answer is fetched" else []
        return Reply(
            ended=ended, left=left if self._where == "files are fetched" else [], lines=lines
        ).encode()

    def run(self, name: str) -> tuple[str, str]:
        """Run it; code and reason of what came of it."""
        request = Request(
            ref=Ref("hostile", "zoo", 1),
            adapter="modal",
            mode="mock",
            lane="dev",
            write_prefix="/artifacts/there/",
            inputs={
                "behaviour": "good",
                "text": LARGE if self._where == "a large request is sent" else "",
            },
            execution_id=f"call-{name}",
            attach={"in": str(self._file)},
            image_override=IMAGE,
            timeout_s=1,
        )
        setting = Setting(
            world=str(self._base / "world"),
            processors_folder=str(ROOT / "tests/fixtures/processors"),
            environ={},
            stop=self.stop,
            debug=False,
            connect=lambda _: self.session,
        )
        with open(os.devnull, "wb") as nowhere:
            found = run(request, setting, Trail(request.execution_id, nowhere.fileno()))
        error = json.loads(canonical(found))["error"]
        return error["code"], error["reason"]

    def close(self) -> None:
        """End the session."""
        self.session.close()
        self.stop.close()


@pytest.fixture(name="works")
def _works(plane: Plane, tmp_path: Path) -> Iterator[Callable[[str], Work]]:
    """Makes a work; its process, which is the session's, is gone afterwards."""
    made = []

    def make(where: str) -> Work:
        made.append(Work(plane, tmp_path, where))
        return made[-1]

    yield make
    for work in made:
        work.close()
        assert not Path(f"/proc/{work.session.pid}").exists()


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def order(plane: Plane, where: str) -> None:
    fault = {"times": OFTEN, **FAULTS[where]}
    if fault["kind"] == "throttle":
        fault["seconds"] = 0.2
    plane.fault(**fault)


@pytest.mark.proves("ERR_MODAL_TIMEOUT")
@pytest.mark.parametrize("where", FAULTS)
def test_the_time_is_up_wherever_it_hangs_and_nothing_is_left(
    where: str, plane: Plane, works: Callable[[str], Work]
) -> None:
    work = works(where)
    if where in AFTER_THE_FILES:
        asked: dict[str, Any] = {"environment": "dev", "files": [work.file]}
        work.session.ask("upload", asked, within_s=20).wait()
    order(plane, where)

    told = work.run("late")

    assert told == LATE
    assert sum(plane.ask("/state")["faults_happened"].values()) >= 1
    assert plane.count("inputs_unfinished") == 0
    plane.reset()
    # Who was waited for before is not in the way, and meets no fault any more: it has ended.
    assert work.run("again") == ANSWERED
    assert plane.count("inputs_unfinished") == 0


@pytest.mark.proves("ERR_MODAL_TIMEOUT")
def test_a_signal_ends_what_hangs_before_anything_is_sent(
    plane: Plane, works: Callable[[str], Work]
) -> None:
    work = works("")
    order(plane, "the function is looked up")
    work.stop.request(signal.SIGINT)

    assert work.run("stopped") == ("ERR_ADAPTER_INVOCATION", "interrupted")

    assert "FunctionMap" not in plane.transcript


def test_a_request_that_is_cancelled_at_once_is_answered_all_the_same(
    works: Callable[[str], Work],
) -> None:
    session = works("").session

    tickets = [session.ask("lookup", APP, within_s=60) for _ in range(20)]
    for ticket in tickets:
        session.cancel(ticket)

    for ticket in tickets:
        assert ticket.wait(PATIENCE_S)
        with pytest.raises(ContractError) as caught:
            ticket.take()
        assert caught.value.reason == "interrupted"


class Deaf:
    """Somebody who takes connections and hangs up on each, so that no TLS is ever spoken."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        while True:
            taken, _ = self._socket.accept()
            with taken:
                if taken.recv(1) == b"!":
                    return

    def close(self) -> None:
        """End it."""
        with socket.create_connection(self._socket.getsockname()) as last:
            last.sendall(b"!")
        self._thread.join()
        self._socket.close()


@pytest.mark.proves("ERR_MODAL_LOOKUP")
def test_a_way_that_does_not_open_is_told_as_that_to_who_asked() -> None:
    deaf = Deaf()
    try:
        token = {"MODAL_TOKEN_ID": TOKEN[0], "MODAL_TOKEN_SECRET": TOKEN[1]}
        with Session({**token, "MODAL_SERVER_URL": deaf.url}) as session:
            ticket = session.ask("lookup", {**APP, "secret": None, "keys": []}, within_s=100)
            with pytest.raises(ContractError) as caught:
                answer(ticket)
            alive = Path(f"/proc/{session.pid}").exists()
    finally:
        deaf.close()

    assert (caught.value.code, caught.value.reason) == ("ERR_MODAL_LOOKUP", "unreachable")
    assert caught.value.row.retry == "bounded"
    assert alive  # who asks next tries anew


def test_what_the_sdk_prints_is_no_line_of_ours(works: Callable[[str], Work]) -> None:
    session = works("").session

    streams = [os.readlink(f"/proc/{session.pid}/fd/{number}") for number in (1, 2)]

    assert streams == ["/dev/null", "/dev/null"]


# What comes of a process that is killed while it answers.
CUT: dict[str, bytes] = {
    "nothing": b"",
    "half of the lengths": b"\0\0\0",
    "the lengths": frames.HEAD.pack(9, 0),
    "half of the object": frames.HEAD.pack(9, 0) + b'{"id"',
    "no body": frames.encode({"id": 1}, b"body")[:-4],
    "half of the body": frames.encode({"id": 1}, b"body")[:-2],
}
# What comes of one that says what is none of ours, and lives on.
FOREIGN: dict[str, bytes] = {
    "no object": frames.HEAD.pack(2, 0) + b"[]",
    "no number": frames.encode({"id": "one"}),
    "lengths beyond all bounds": b"\xff" * 8,
}


@pytest.mark.parametrize("name", [*CUT, *FOREIGN])
def test_what_is_no_whole_answer_is_told_to_who_waits(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (CUT | FOREIGN)[name]
    end = "os.kill(os.getpid(), 9)" if name in CUT else "time.sleep(600)"
    said = f"os.write(1, bytes.fromhex('{data.hex()}'))"
    program = f"import os, sys, time; sys.stdin.buffer.read(1); {said}; {end} # {{}}"
    monkeypatch.setattr(sessions, "_PROGRAM", program)
    token = {"MODAL_TOKEN_ID": TOKEN[0], "MODAL_TOKEN_SECRET": TOKEN[1]}

    with Session(token) as session, pytest.raises(ContractError) as caught:
        answer(session.ask("lookup", APP, within_s=60))

    assert caught.value.code == "ERR_ADAPTER_INVOCATION"
    assert caught.value.reason == "orchestrator_error"


# Answers every request but the first.
NOT_THE_FIRST = """
import json, os, sys; sys.path += json.loads(sys.argv[1])
from orchestrator.modal import frames
while head := sys.stdin.buffer.read(frames.HEAD.size):
    number = frames.parse(sys.stdin.buffer.read(frames.lengths(head)[0]))["id"]
    if number != 1:
        os.write(1, frames.encode(dict(id=number, result=number, error=None)))
# {}
"""


def wait_among_others(session: Session, ticket: sessions.Ticket) -> None:
    while not session.wait(ticket, 0.1):
        answer(session.ask("lookup", APP, within_s=60))


@pytest.mark.proves("ERR_MODAL_TIMEOUT")
def test_a_request_that_is_late_takes_no_other_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "_PROGRAM", NOT_THE_FIRST)
    monkeypatch.setattr(sessions, "LATE_S", 1.0)
    token = {"MODAL_TOKEN_ID": TOKEN[0], "MODAL_TOKEN_SECRET": TOKEN[1]}

    with Session(token) as session:
        late = session.ask("call", APP, within_s=0)
        with pytest.raises(ContractError) as caught:
            wait_among_others(session, late)
        answer(session.ask("lookup", APP, within_s=60))

    assert (caught.value.code, caught.value.reason) == LATE


@pytest.mark.proves("ERR_MODAL_TIMEOUT")
def test_the_time_of_a_request_runs_from_when_it_was_asked(plane: Plane) -> None:
    """However long it lies in the pipe before it is read."""
    with Session(environ(plane)) as session:
        os.kill(session.pid, signal.SIGSTOP)
        ticket = session.ask("call", APP, b"x", within_s=1)
        time.sleep(1.5)
        os.kill(session.pid, signal.SIGCONT)

        with pytest.raises(ContractError) as caught:
            answer(ticket)

    assert (caught.value.code, caught.value.reason) == LATE
    assert "FunctionMap" not in plane.transcript


@pytest.mark.proves("ERR_MODAL_TIMEOUT")
def test_a_process_that_is_stuck_is_ended(
    works: Callable[[str], Work], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "LATE_S", 1.0)
    work = works("")
    os.kill(work.session.pid, signal.SIGSTOP)

    assert work.run("stuck") == LATE


def test_a_process_that_is_gone_is_followed_by_another(plane: Plane, tmp_path: Path) -> None:
    stop = Stop()
    setting = Setting(
        world=str(tmp_path / "world"),
        processors_folder=str(ROOT / "tests/fixtures/processors"),
        environ=environ(plane),
        stop=stop,
        debug=False,
    )
    first = setting.session()
    assert setting.session() is first
    os.kill(first.pid, signal.SIGKILL)
    with pytest.raises(ContractError):
        answer(first.ask("lookup", NOWHERE, within_s=100))
    assert first.has_ended

    with pytest.raises(ContractError) as caught:
        answer(setting.session().ask("lookup", NOWHERE, within_s=100))

    assert caught.value.code == "ERR_MODAL_LOOKUP"  # what the other process says
    assert not Path(f"/proc/{first.pid}").exists()
    setting.close()
    stop.close()
