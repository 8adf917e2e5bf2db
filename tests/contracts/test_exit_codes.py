"""The exit status is 0 exactly on success, and else the one of the error's row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from processors.protocol.errors import find_row
from tests.harness import MOCK, REAL, ROOT, Result, zoo

REGISTRY = ROOT / "tests/fixtures/processors/hostile/zoo/v1/registry.yaml"
STAGING = ("--adapter", "modal", "--mode", "mock", "--lane", "staging")
DEV_MODAL = ("--adapter", "modal", "--mode", "mock", "--lane", "dev")
PR_MODAL = ("--adapter", "modal", "--mode", "mock", "--lane", "pr")
IMAGE = ("--image-override", "x@sha256:" + "0" * 64)


class Case(NamedTuple):
    """One call of the test processor, and the error and status it ends with."""

    error: str
    exit_code: int
    behaviour: str = "good"
    words: tuple[str, ...] = ()
    lane: tuple[str, ...] = MOCK
    prefix: str = "/artifacts/zoo/"
    env: tuple[tuple[str, str], ...] = ()


CASES = (
    Case("ERR_INPUTS/unknown_flag", 2, words=("--unheard-of",)),
    Case("ERR_INPUTS/repeated_flag", 2, words=("--mode", "mock")),
    Case("ERR_INPUTS/repeated_flag", 2, words=("--use", "a=/x", "--use", "a=/y")),
    Case("ERR_INPUTS/conflicting_flags", 2, words=("--inputs", "-")),
    Case("ERR_INPUTS/bad_value", 2, words=("--timeout-s", "0")),
    Case("ERR_INPUTS/bad_value", 2, words=("--timeout-s", "1.5")),
    Case("ERR_INPUTS/bad_value", 2, words=("--execution-id", "Not An Id")),
    Case("ERR_INPUTS/bad_value", 2, words=("--attach", "no-equals-sign")),
    Case("ERR_INPUTS/bad_value", 2, lane=("--adapter", "local", "--mode", "smoke", "--lane", "pr")),
    Case("ERR_INPUTS/bad_value", 2, lane=("--adapter", "local", "--mode", "MOCK", "--lane", "pr")),
    Case("ERR_INPUTS/bad_value", 2, lane=("--adapter", "here", "--mode", "mock", "--lane", "pr")),
    Case("ERR_INPUTS/bad_value", 2, lane=("--adapter", "local", "--mode", "mock", "--lane", "ci")),
    Case("ERR_INPUTS/missing_value", 2, words=("--execution-id=",)),
    Case("ERR_INPUTS/unreadable_file", 2, words=("--attach", "a=/no/such")),
    Case("ERR_INPUTS/unknown_artifact", 2, words=("--use", "a=/artifacts/no/such")),
    Case("ERR_INPUTS/unknown_artifact", 2, words=("--use", "a=/artifacts")),
    Case("ERR_INPUTS/path_not_absolute", 2, prefix="artifacts/x/"),
    Case("ERR_INPUTS/path_bad_prefix", 2, prefix="/artifacts/x"),
    Case("ERR_INPUTS/path_bad_prefix", 2, prefix="/artifacts/"),
    Case("ERR_INPUTS/path_bad_prefix", 2, prefix="/plan/x/"),
    Case("ERR_INPUTS/path_bad_prefix", 2, prefix="/artifacts/execution/x/"),
    Case("ERR_INPUTS/path_bad_prefix", 2, prefix="/artifacts/attached/"),
    Case("ERR_INPUTS/path_dot_segment", 2, prefix="/artifacts/a/../b/"),
    Case("ERR_INPUTS/path_dot_segment", 2, prefix="/artifacts/a/%2e%2e/b/"),
    Case("ERR_INPUTS/path_encoded_slash", 2, prefix="/artifacts/a%2Fb/"),
    Case("ERR_INPUTS/path_bad_percent", 2, prefix="/artifacts/a%/"),
    Case("ERR_INPUTS/path_empty_segment", 2, prefix="/artifacts//a/"),
    Case("ERR_INPUTS/path_unknown_facet", 2, prefix="/etc/x/"),
    Case("ERR_INPUTS/path_bad_character", 2, prefix="/artifacts/a\nb/"),
    Case("ERR_INPUTS/path_too_long", 2, prefix="/artifacts/" + "a" * 256 + "/"),
    Case("ERR_INPUTS/schema_violation", 2, behaviour=""),
    Case("ERR_INPUTS/schema_violation", 2, behaviour="of no known kind"),  # the processor's word
    Case("ERR_INPUTS/unknown_name", 2, behaviour="copy"),
    Case("ERR_CI_SAFETY/lane_adapter", 1, lane=PR_MODAL),
    Case(
        "ERR_CI_SAFETY/lane_mode", 1, lane=("--adapter", "local", "--mode", "real", "--lane", "pr")
    ),
    Case("ERR_CI_SAFETY/lane_override", 1, words=IMAGE),
    Case("ERR_CI_SAFETY/lane_secrets", 1, words=("--allow-env", "ZOO_SECRET")),
    Case("ERR_CI_SAFETY/lane_allow_real", 1, words=("--allow-real",)),
    Case("ERR_IMAGE_UNPINNED/no_pin", 1, lane=STAGING),
    Case("ERR_MODAL_LOOKUP/not_deployed", 1, lane=DEV_MODAL, words=IMAGE),
    Case("ERR_MISSING_SECRET/absent", 1, lane=REAL, words=("--allow-env", "ZOO_SECRET")),
    Case("ERR_MISSING_SECRET/absent", 1, lane=REAL, env=(("ZOO_SECRET", "x" * 20),)),
    Case(
        "ERR_MISSING_SECRET/too_short",
        1,
        lane=REAL,
        words=("--allow-env", "ZOO_SECRET"),
        env=(("ZOO_SECRET", "short"),),
    ),
    Case("ERR_INPUTS/bad_value", 2, lane=REAL, words=("--allow-env", "HOME")),
    Case("ERR_ADAPTER_INVOCATION/provider_unavailable", 1, behaviour="own_error"),
    Case("ERR_ADAPTER_INVOCATION/processor_error", 1, behaviour="raise"),
    Case("ERR_ADAPTER_INVOCATION/exit_status", 1, behaviour="exit_7"),
    Case("ERR_ADAPTER_INVOCATION/killed", 1, behaviour="kill_self"),
    Case("ERR_ADAPTER_INVOCATION/envelope_invalid", 1, behaviour="not_json"),
    Case("ERR_ADAPTER_INVOCATION/envelope_invalid", 1, behaviour="exit_0_silent"),
    Case("ERR_ADAPTER_INVOCATION/output_invalid", 1, behaviour="wrong_bytes"),
    Case("ERR_ADAPTER_INVOCATION/stray_file", 1, behaviour="stray"),
    Case("ERR_ADAPTER_INVOCATION/time_limit", 124, behaviour="sleep", words=("--timeout-s", "1")),
)


def ends(result: Result, error: str, exit_code: int) -> None:
    """Judge how a call ended, by what it says and by the table."""
    code, reason = error.split("/")
    row = find_row(code, reason)
    assert row is not None
    assert result.error == (code, reason)
    assert result.exit_code == exit_code == row.exit_code
    assert result.events[-1]["exit_code"] == exit_code


@pytest.mark.proves("EV-9")
@pytest.mark.parametrize(
    "case", CASES, ids=[f"{number}-{case.error}" for number, case in enumerate(CASES)]
)
def test_an_error_has_the_exit_status_of_its_row(case: Case, tmp_path: Path) -> None:
    result = zoo(
        case.behaviour,
        *case.words,
        world=tmp_path,
        lane=case.lane,
        prefix=case.prefix,
        env=dict(case.env),
    )

    ends(result, case.error, case.exit_code)


@pytest.mark.proves("EV-9")
@pytest.mark.parametrize("behaviour", ["good", "many", "no_outputs", "print_stdout"])
def test_a_success_is_exit_status_0(behaviour: str, tmp_path: Path) -> None:
    result = zoo(behaviour, world=tmp_path)

    assert result.envelope["status"] == "success"
    assert result.exit_code == 0


@pytest.mark.proves("EV-9")
@pytest.mark.parametrize(
    ("size", "reason"), [(0, "empty_input"), (1_048_576, None), (1_048_577, "input_too_large")]
)
def test_the_size_of_an_attached_file_is_judged(
    size: int, reason: str | None, tmp_path: Path
) -> None:
    (tmp_path / "source").write_bytes(b"x" * size)

    result = zoo("copy", "--attach", f"source={tmp_path}/source", world=tmp_path / "world")

    if reason is None:
        assert result.exit_code == 0
    else:
        ends(result, f"ERR_INPUTS/{reason}", 2)


@pytest.mark.proves("EV-9")
def test_an_execution_id_is_used_once(tmp_path: Path) -> None:
    first = zoo("good", "--execution-id", "e-1", world=tmp_path)
    second = zoo("good", "--execution-id", "e-1", prefix="/artifacts/b/", world=tmp_path)

    assert first.exit_code == 0
    ends(second, "ERR_INPUTS/execution_exists", 2)


@pytest.mark.proves("EV-9")
@pytest.mark.parametrize("prefix", ["/artifacts/zoo/outputs/", "/artifacts/zoo/below/it/"])
def test_a_prefix_below_another_executions_is_occupied(prefix: str, tmp_path: Path) -> None:
    zoo("good", world=tmp_path)

    ends(zoo("good", prefix=prefix, world=tmp_path), "ERR_INPUTS/prefix_occupied", 2)


@pytest.mark.proves("EV-9")
def test_a_prefix_above_another_executions_is_occupied(tmp_path: Path) -> None:
    zoo("good", prefix="/artifacts/a/b/c/", world=tmp_path)

    ends(zoo("good", prefix="/artifacts/a/", world=tmp_path), "ERR_INPUTS/prefix_occupied", 2)


@pytest.mark.proves("EV-9")
def test_a_used_artifact_of_the_own_prefix_is_the_callers_mistake(tmp_path: Path) -> None:
    """The run would take the place of what it reads; that is no fault of the processor."""
    zoo("good", world=tmp_path)

    result = zoo("copy", "--use", "source=/artifacts/zoo/outputs/seen.txt", world=tmp_path)

    assert result.error[0] == "ERR_INPUTS" or result.output("copy.bin") == b"seen\n"
    assert result.exit_code in (0, 2)


@pytest.mark.proves("EV-9")
@pytest.mark.parametrize(
    ("change", "error"),
    [
        (("ref: hostile/zoo@1", "ref: hostile/zoo@2"), "ref_mismatch"),
        (("schema: v1", "schema: v2"), "invalid_registry"),
        (("digest: null", "digest: latest"), "invalid_registry"),
        (("secrets: [ZOO_SECRET]", "secrets: [ZOO_SECRET]\nsecrets: []"), "invalid_registry"),
        (("schema: v1", "schema: ["), "invalid_registry"),
        (("schema: v1", "\udcff"), "invalid_registry"),
    ],
)
def test_a_registry_that_is_wrong_is_a_mismatch(
    change: tuple[str, str], error: str, tmp_path: Path
) -> None:
    folder = tmp_path / "registries/hostile/zoo/v1"
    folder.mkdir(parents=True)
    text = REGISTRY.read_text(encoding="utf-8").replace(*change)
    (folder / "registry.yaml").write_bytes(text.encode("utf-8", "surrogateescape"))

    result = zoo("good", "--registry-root", str(tmp_path / "registries"), world=tmp_path / "world")

    ends(result, f"ERR_REGISTRY_MISMATCH/{error}", 1)


@pytest.mark.proves("EV-9")
def test_a_registry_from_a_folder_is_used(tmp_path: Path) -> None:
    folder = tmp_path / "registries/hostile/zoo/v1"
    folder.mkdir(parents=True)
    text = REGISTRY.read_text(encoding="utf-8").replace("[behaviour]", "[behaviour, text]")
    (folder / "registry.yaml").write_text(text, encoding="utf-8")
    words = ("--registry-root", str(tmp_path / "registries"))

    ends(zoo("good", *words, world=tmp_path / "a"), "ERR_INPUTS/schema_violation", 2)
    assert zoo("good", *words, text="x", world=tmp_path / "b").exit_code == 0


def test_every_exit_status_of_the_table_is_reached() -> None:
    """130 and 143 are those of signals, which test_interruptions.py sends."""
    assert {case.exit_code for case in CASES} == {1, 2, 124}
    assert len({json.dumps(case.error) for case in CASES}) > 30
