"""Names and digests are resolved once, said once, and the same wherever they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import traces
from tests.harness import MOCK, Result, zoo

DIGEST = "sha256:" + "5" * 64
OVERRIDE = ("--image-override", f"tests/zoo@{DIGEST}")
MODAL = ("--adapter", "modal", "--mode", "mock", "--lane", "dev")
WHOSE = ("--branch", "main", "--user", "ada")


def resolved(result: Result) -> dict[str, Any]:
    """The one event that says what was resolved."""
    [event] = [event for event in result.events if event["event"] == "execution.resolved"]
    return event


@pytest.mark.proves("PA-2")
@pytest.mark.parametrize("behaviour", ["good", "many", "own_error", "raise", "exit_7", "stray"])
def test_what_is_resolved_stands_alike_in_log_envelope_and_receipt(
    behaviour: str, tmp_path: Path
) -> None:
    result = zoo(behaviour, "--execution-id", "x-1", world=tmp_path)

    event, meta = resolved(result), result.envelope["meta"]
    for key in ("env_fingerprint", "inputs_hash", "memo_key"):
        assert event[key] == meta[key], key
        assert event[key]
    receipt = json.loads(result.file("/artifacts/execution/x-1/determinism.json").read_bytes())
    [invoked] = [each for each in result.events if each["event"] == "adapter.invoke.start"]
    assert event["inputs_hash"] == receipt["inputs_hash"]
    assert invoked["payload_hash"] == receipt["volatile"]["payload_hash"]
    assert (event["override"], event["app"], event["image_digest"]) == (False, None, None)
    assert event["source_root"].startswith("sha256:")
    traces.names(result)


@pytest.mark.proves("PA-2")
def test_the_same_request_resolves_to_the_same_and_another_does_not(tmp_path: Path) -> None:
    keys = ("source_root", "env_fingerprint", "inputs_hash", "memo_key")
    first, again, other = (
        tuple(resolved(zoo(*words, world=tmp_path))[key] for key in keys)
        for words in (("good",), ("good",), ("many",))
    )

    assert first == again
    assert [one == two for one, two in zip(first, other, strict=True)] == [True, True, False, False]


@pytest.mark.proves("PA-2", "NM-5")
@pytest.mark.parametrize(
    ("words", "app", "missing"),
    [
        (WHOSE, "main-ada-hostile-zoo-v1", None),
        (WHOSE[:2], "hostile-zoo-v1", ["user"]),
        (WHOSE[2:], "hostile-zoo-v1", ["branch"]),
        ((), "hostile-zoo-v1", ["branch", "user"]),
    ],
)
def test_an_app_has_one_name_everywhere(
    words: tuple[str, ...], app: str, missing: list[str] | None, tmp_path: Path
) -> None:
    env = {"USER": "mallory", "LOGNAME": "mallory", "GIT_BRANCH": "guessed"}

    result = zoo("good", *words, *OVERRIDE, lane=MODAL, env=env, world=tmp_path / "world")

    assert result.error == ("ERR_MODAL_LOOKUP", "no_credentials")
    assert app in result.envelope["error"]["message"]
    meta, event = result.envelope["meta"], resolved(result)
    for said in (meta, event, result.events[-1]):
        assert (said["app"], said["function"], said["image_digest"]) == (app, "run", DIGEST)
    assert event["override"] is meta["override"] is True
    assert event["source_root"] is None  # the image runs, not the source
    warning = ["naming.warning"] if missing else []
    assert traces.names(result) == [
        *("execution.start", *warning, "execution.resolved", "execution.settle"),
    ]
    assert [each["missing"] for each in result.events if "missing" in each] == (
        [missing] if missing else []
    )
    assert result.visible == []


@pytest.mark.proves("PA-2")
@pytest.mark.parametrize("lane", ["dev", "staging", "main"])
def test_a_refusal_after_the_name_is_known_has_it(lane: str, tmp_path: Path) -> None:
    words = WHOSE if lane == "dev" else ()

    result = zoo("good", *words, lane=(*MODAL[:-1], lane), world=tmp_path)

    assert result.error == ("ERR_IMAGE_UNPINNED", "no_pin")
    app = "main-ada-hostile-zoo-v1" if lane == "dev" else "hostile-zoo-v1"
    assert result.envelope["meta"]["app"] == app
    assert traces.names(result) == ["execution.start", "execution.settle"]


@pytest.mark.proves("NM-5")
@pytest.mark.parametrize("words", [WHOSE, WHOSE[:2], WHOSE[2:]])
@pytest.mark.parametrize(
    ("lane", "reason"),
    [
        ((*MODAL[:-1], "staging"), "bad_value"),
        ((*MODAL[:-1], "main"), "bad_value"),
        (MOCK, "conflicting_flags"),
        (("--adapter", "local", "--mode", "mock", "--lane", "dev"), "conflicting_flags"),
    ],
)
def test_a_branch_or_a_user_that_names_nothing_is_refused(
    lane: tuple[str, ...], words: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    result = zoo("good", *words, lane=lane, world=tmp_path / "world")

    assert result.error == ("ERR_INPUTS", reason)
    assert result.exit_code == 2
    assert result.envelope["meta"]["app"] is None
    assert traces.names(result) == ["execution.start", "execution.settle"]
    assert result.visible == []
