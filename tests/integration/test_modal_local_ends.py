"""The plane starts only where it can keep its word, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.modal_bed import PROGRAM, Plane, Shelf, said
from tests.fixtures.modal_images import python_layer

PATIENCE_S = 30.0
ENTRYPOINT = b"modal._container_entrypoint"


@pytest.fixture(scope="module")
def reference() -> Iterator[str]:
    with Shelf() as shelf:
        yield shelf.pusher.push(python_layer())


def entrypoints() -> set[int]:
    """The containers' processes on this machine."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if ENTRYPOINT in words:
                found.add(int(entry.name))
    return found


def wait_until(happened: Callable[[], bool]) -> None:
    """Wait for what another process does."""
    until = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.05)


def left_behind(state: Path) -> list[str]:
    """What lies where containers were, their logs excepted."""
    return [each.name for each in (state / "containers").iterdir() if each.name != "logs"]


def refused(*options: str, path: str = "/usr/bin:/bin") -> str:
    """What the plane says when it does not start."""
    done = subprocess.run(
        [PROGRAM, "up", *options],
        env={"PATH": path},
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == b""
    return done.stderr.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_of_a_plane_that_was_told_to_end(
    reference: str, tmp_path: Path, number: signal.Signals
) -> None:
    before = entrypoints()
    mounts = Path("/proc/self/mountinfo").read_text()
    with Plane(tmp_path / "state") as plane:
        plane.run("deploy", reference=reference)
        with plane.start("call", data="sleep 30") as running:
            wait_until(lambda: bool(entrypoints() - before))
            wait_until(lambda: plane.count("inputs_unfinished") == 1)
            plane.process.send_signal(number)
            try:
                code = plane.process.wait(PATIENCE_S)
            finally:
                running.kill()

    assert code == 0
    assert entrypoints() <= before
    assert left_behind(tmp_path / "state") == []
    assert Path("/proc/self/mountinfo").read_text() == mounts


def test_a_killed_plane_takes_its_containers_with_it(reference: str, tmp_path: Path) -> None:
    before = entrypoints()
    with Plane(tmp_path / "state") as plane:
        plane.run("deploy", reference=reference)
        plane.run("call", data="hello")
        assert entrypoints() - before
        plane.process.kill()
        plane.process.wait()

    wait_until(lambda: entrypoints() <= before)


def test_a_killed_container_leaves_nothing_and_its_input_is_done_by_another(
    reference: str, tmp_path: Path
) -> None:
    with Plane(tmp_path / "state") as plane:
        plane.run("deploy", reference=reference, max_containers=1)
        plane.run("call", data="warm")
        [(task, pid)] = plane.ask("/state")["pids"].items()
        with plane.start("call", data="sleep 3") as running:
            wait_until(lambda: plane.count("inputs_unfinished") == 1)
            os.kill(pid, signal.SIGKILL)
            told = said(running)
        [(other, _)] = plane.ask("/state")["pids"].items()

        assert told == {"answer": "3 peels"}
        assert other != task
        assert sorted(left_behind(plane.state)) == [other, f"{other}.sock"]


def test_a_plane_of_an_unprivileged_user_does_the_same(reference: str, tmp_path: Path) -> None:
    words = ("--unshare-user", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL")
    mounts = ("--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc")
    wrapper = ("bwrap", *words, "--unshare-pid", *mounts, "--die-with-parent", "--")
    with Plane(tmp_path / "state", wrapper=wrapper) as plane:
        plane.run("deploy", reference=reference)

        assert plane.run("call", data="hello") == {"answer": "olleh"}


def test_a_machine_without_namespaces_gets_no_plane(tmp_path: Path) -> None:
    fake = tmp_path / "bin/bwrap"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'no permission to make a namespace' >&2\nexit 1\n")
    fake.chmod(0o700)

    said = refused("--state", str(tmp_path / "state"), path=f"{fake.parent}:/usr/bin:/bin")

    assert "cannot make user namespaces here: no permission to make a namespace" in said


def test_a_machine_without_bubblewrap_gets_no_plane(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("env", "sh", "python3", "dirname", "readlink"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")

    said = refused("--state", str(tmp_path / "state"), path=str(tmp_path / "bin"))

    assert "bubblewrap (bwrap) is not on PATH" in said


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])  # noqa: S104 - it is refused
def test_only_loopback_is_served(tmp_path: Path, host: str) -> None:
    said = refused("--state", str(tmp_path / "state"), "--host", host)

    assert "is not loopback" in said


def test_only_the_token_that_was_given_is_let_in(tmp_path: Path) -> None:
    tokens = ("--token-id", "ak-right", "--token-secret", "as-right")
    with Plane(tmp_path / "state", "--simulated", *tokens) as plane:
        right = {"MODAL_TOKEN_ID": "ak-right", "MODAL_TOKEN_SECRET": "as-right"}

        told = plane.run("environment", name="main")

        assert told["error"] == "modal.exception.AuthError"
        assert plane.run("environment", name="main", env=right) == {"id": "en-"}
