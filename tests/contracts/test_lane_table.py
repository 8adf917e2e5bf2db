"""The lane table, as a caller meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures import traces
from tests.harness import zoo

OVERRIDE = ("--image-override", "tests/zoo@sha256:" + "0" * 64)
PINNED = ("staging", "main")


def lane(name: str, adapter: str, mode: str) -> tuple[str, ...]:
    return ("--adapter", adapter, "--mode", mode, "--lane", name)


@pytest.mark.proves("LN-1")
@pytest.mark.parametrize(
    ("adapter", "mode", "words", "reason"),
    [
        ("modal", "mock", (), "lane_adapter"),
        ("local", "real", (), "lane_mode"),
        ("modal", "real", (), "lane_adapter"),
        ("local", "mock", OVERRIDE, "lane_override"),
        ("local", "mock", ("--allow-env", "ZOO_SECRET"), "lane_secrets"),
        ("local", "mock", ("--allow-real",), "lane_allow_real"),
        ("local", "real", ("--allow-real",), "lane_mode"),
    ],
)
@pytest.mark.parametrize("env", [{}, {"CI": "true", "LANE": "dev"}])
def test_the_pr_lane_refuses_all_but_local_and_mock(
    adapter: str,
    mode: str,
    words: tuple[str, ...],
    reason: str,
    env: dict[str, str],
    tmp_path: Path,
) -> None:
    result = zoo("good", *words, lane=lane("pr", adapter, mode), env=env, world=tmp_path / "world")

    assert result.error == ("ERR_CI_SAFETY", reason)
    assert result.exit_code == 1
    assert traces.names(result) == ["execution.start", "execution.settle"]
    assert result.visible == []


@pytest.mark.parametrize("name", PINNED)
def test_a_pinned_lane_refuses_a_processor_without_a_pin(name: str, tmp_path: Path) -> None:
    result = zoo("good", lane=lane(name, "modal", "mock"), world=tmp_path)

    assert result.error == ("ERR_IMAGE_UNPINNED", "no_pin")
    assert result.exit_code == 1
    assert traces.names(result) == ["execution.start", "execution.settle"]


@pytest.mark.parametrize("name", PINNED)
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (OVERRIDE, "lane_override"),
        (("--allow-env", "ZOO_SECRET"), "lane_secrets"),
        (("--registry-root", "/"), "lane_registry_root"),
        (("--allow-real",), "lane_allow_real"),
    ],
)
def test_a_pinned_lane_takes_nothing_but_its_pins(
    name: str, words: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    result = zoo("good", *words, lane=lane(name, "modal", "mock"), world=tmp_path)

    assert result.error == ("ERR_CI_SAFETY", reason)


@pytest.mark.parametrize("name", PINNED)
def test_a_pinned_lane_runs_real_only_when_confirmed(name: str, tmp_path: Path) -> None:
    real = lane(name, "modal", "real")

    assert zoo("good", lane=real, world=tmp_path).error == (
        "ERR_CI_SAFETY",
        "lane_real_unconfirmed",
    )
    confirmed = zoo("good", "--allow-real", lane=real, world=tmp_path)
    assert confirmed.error == ("ERR_IMAGE_UNPINNED", "no_pin")


@pytest.mark.parametrize("name", PINNED)
def test_a_pinned_lane_never_runs_from_source(name: str, tmp_path: Path) -> None:
    result = zoo("good", lane=lane(name, "local", "mock"), world=tmp_path)

    assert result.error == ("ERR_CI_SAFETY", "lane_adapter")


def test_the_dev_lane_records_an_override(tmp_path: Path) -> None:
    result = zoo("good", *OVERRIDE, lane=lane("dev", "modal", "mock"), world=tmp_path)

    assert result.error == ("ERR_MODAL_LOOKUP", "no_credentials")
    assert result.envelope["meta"]["override"] is True
    assert result.envelope["meta"]["image_digest"] == "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "image", ["tests/zoo:latest", "tests/zoo@sha256:abc", "sha256:" + "0" * 64]
)
def test_an_override_is_a_repository_and_a_whole_digest(image: str, tmp_path: Path) -> None:
    words = ("--image-override", image)

    result = zoo("good", *words, lane=lane("dev", "modal", "mock"), world=tmp_path)

    assert result.error == ("ERR_INPUTS", "bad_value")


def test_an_override_needs_an_adapter_that_runs_images(tmp_path: Path) -> None:
    result = zoo("good", *OVERRIDE, lane=lane("dev", "local", "mock"), world=tmp_path)

    assert result.error == ("ERR_CI_SAFETY", "override_without_image")
