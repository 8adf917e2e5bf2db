"""What runs has one name, made of the request's own words, and a lack of them is said once."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.execution import resolve
from orchestrator.execution.request import Request
from orchestrator.execution.run import Setting, run
from orchestrator.execution.trail import Trail
from orchestrator.images import processors
from orchestrator.images.processors import Processor
from processors.protocol import digests
from processors.protocol.errors import ContractError
from processors.protocol.refs import Ref
from processors.protocol.spawn import Stop

TEMPTING = {
    **dict.fromkeys(("USER", "LOGNAME", "USERNAME", "HOME"), "mallory"),
    **dict.fromkeys(("BRANCH", "GIT_BRANCH", "GITHUB_REF_NAME", "MODAL_ENVIRONMENT"), "guessed"),
}


def asked(
    *, lane: str = "dev", adapter: str = "modal", branch: str | None = None, user: str | None = None
) -> Request:
    return Request(
        ref=Ref("no", "such", 1),
        adapter=adapter,
        mode="mock",
        lane=lane,
        write_prefix="/artifacts/x/",
        inputs={},
        execution_id="x-1",
        branch=branch,
        user=user,
    )


@pytest.fixture
def tempting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder and an environment from which a branch and a user could be guessed."""
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/HEAD").write_text("ref: refs/heads/guessed\n")
    monkeypatch.chdir(tmp_path)
    for name, value in TEMPTING.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def execute(request: Request, folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Run a request over no processors at all; return its envelope and its events."""
    setting = Setting(
        world=str(folder / "world"),
        processors_folder=str(folder / "processors"),
        environ=os.environ,
        stop=Stop(),
        debug=False,
    )
    with (folder / "trail").open("wb", buffering=0) as file:
        envelope = run(request, setting, Trail(request.execution_id, file.fileno()))
    lines = (folder / "trail").read_bytes().splitlines()
    return dict(envelope), [json.loads(line) for line in lines]


@pytest.mark.proves("NM-5")
@pytest.mark.parametrize(
    ("branch", "user", "app", "missing"),
    [
        ("main", "ada", "main-ada-no-such-v1", None),
        (None, None, "no-such-v1", ["branch", "user"]),
        ("main", None, "no-such-v1", ["user"]),
        (None, "ada", "no-such-v1", ["branch"]),
    ],
)
def test_a_name_lacks_nothing_or_says_so_once(
    branch: str | None, user: str | None, app: str, missing: list[str] | None, tempting: Path
) -> None:
    envelope, events = execute(asked(branch=branch, user=user), tempting)

    assert envelope["error"]["reason"] == "unknown_ref"  # which is found out after the name
    assert (envelope["meta"]["app"], envelope["meta"]["function"]) == (app, "run")
    warnings = [event for event in events if event["event"] == "naming.warning"]
    assert [event["missing"] for event in warnings] == ([] if missing is None else [missing])
    assert all((event["app"], event["function"]) == (app, "run") for event in warnings)


@pytest.mark.proves("NM-5")
@pytest.mark.parametrize("lane", ["staging", "main"])
def test_a_name_that_needs_no_branch_and_no_user_warns_of_nothing(
    lane: str, tempting: Path
) -> None:
    envelope, events = execute(asked(lane=lane), tempting)

    assert envelope["meta"]["app"] == "no-such-v1"
    assert events == []


@pytest.mark.proves("NM-5")
@pytest.mark.parametrize("given", [{"branch": "b"}, {"user": "u"}, {"branch": "b", "user": "u"}])
@pytest.mark.parametrize(
    ("lane", "adapter", "reason"),
    [
        ("staging", "modal", "bad_value"),
        ("main", "modal", "bad_value"),
        ("dev", "local", "conflicting_flags"),
        ("pr", "local", "conflicting_flags"),
    ],
)
def test_a_branch_or_a_user_that_names_nothing_is_refused(
    lane: str, adapter: str, reason: str, given: dict[str, str]
) -> None:
    with pytest.raises(ContractError) as raised:
        resolve.names(asked(lane=lane, adapter=adapter, **given))

    assert (raised.value.code, raised.value.reason) == ("ERR_INPUTS", reason)


def test_what_runs_from_source_has_no_name(tempting: Path) -> None:
    envelope, events = execute(asked(adapter="local"), tempting)

    assert (envelope["meta"]["app"], envelope["meta"]["function"]) == (None, None)
    assert events == []


def built(folder: Path, pin: str | None) -> Processor:
    """A processor with a pin, as a build leaves it."""
    own = folder / "no/such/v1"
    own.mkdir(parents=True)
    registry = {
        "ref": "no/such@1",
        "inputs": {"type": "object"},
        "secrets": [],
        "image": {"repository": "a/b", "digest": pin},
    }
    described = {"schema": "v1", "argv": ["x"], "registry": registry, "registry_file": "r"}
    roots = dict.fromkeys(("source_root", "lock"), "sha256:" + "0a" * 32)
    (own / "processor.json").write_text(json.dumps(described | roots))
    return processors.load(str(folder), Ref("no", "such", 1))


def test_a_registry_is_never_taken_without_its_digest(tmp_path: Path) -> None:
    """What an app is asked to run by, and what a result is remembered by, is that digest."""
    processor = built(tmp_path, None)
    other = {**processor.registry, "secrets": ["A_KEY"]}

    with pytest.raises(AttributeError):
        processor.registry = other  # type: ignore[misc]
    processor.read_by({**other, "image": {"repository": "a/b", "digest": "sha256:" + "ab" * 32}})

    own = {key: value for key, value in other.items() if key != "image"}
    assert processor.registry_digest == digests.of_json(own)
    assert processor.secrets == ["A_KEY"]


@pytest.mark.proves("HR-5", "ERR_IMAGE_UNPINNED")
@pytest.mark.parametrize("lane", ["dev", "staging", "main"])
@pytest.mark.parametrize(
    ("pin", "reason"),
    [
        (None, "no_pin"),
        ("latest", "bad_pin"),
        ("sha256:abcdef", "bad_pin"),
        ("sha256:" + "AB" * 32, "bad_pin"),
        ("sha256:" + "0" * 64, "bad_pin"),
        ("a/b@sha256:" + "ab" * 32, "bad_pin"),
    ],
)
def test_no_image_runs_without_a_whole_pin(
    lane: str, pin: str | None, reason: str, tmp_path: Path
) -> None:
    request = asked(lane=lane)

    with pytest.raises(ContractError) as caught:
        resolve.resolve(request, resolve.names(request), built(tmp_path, pin), {})

    assert (caught.value.code, caught.value.reason) == ("ERR_IMAGE_UNPINNED", reason)


def test_an_image_with_a_whole_pin_is_the_one_that_runs(tmp_path: Path) -> None:
    request, pin = asked(lane="staging"), "sha256:" + "ab" * 32

    resolved = resolve.resolve(request, resolve.names(request), built(tmp_path, pin), {})

    assert (resolved.image_digest, resolved.overridden) == (pin, False)
