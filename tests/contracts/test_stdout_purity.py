"""Stdout is one line with one envelope on every path that ends by itself; stderr never has one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.harness import MOCK, SCHEMA, ZOO_COMMAND, run, zoo, zoo_words

GOOD = '{"behaviour": "good"}'
REQUIRED = (
    *("--ref", "hostile/zoo@1", *MOCK, "--write-prefix", "/artifacts/zoo/"),
    *("--inputs-json", GOOD),
)


class Case(NamedTuple):
    """One call: its words, and how it ends (None is success)."""

    name: str
    words: tuple[str, ...]
    reason: str | None
    stdin: bytes = b""
    world: str = ""


def replaced(flag: str, *words: str) -> tuple[str, ...]:
    """The required words with other ones in place of a flag and its value."""
    at = REQUIRED.index(flag)
    return (*REQUIRED[:at], *words, *REQUIRED[at + 2 :])


def behaving(name: str) -> tuple[str, ...]:
    return replaced("--inputs-json", "--inputs-json", json.dumps({"behaviour": name}))


CASES = (
    Case("success", REQUIRED, None),
    Case("no_outputs", behaving("no_outputs"), None),
    Case("prints_to_stdout", behaving("print_stdout"), None),
    Case("native_write_to_fd_1", behaving("native_stdout"), None),
    Case("chatty_stderr", behaving("chatty_stderr"), None),
    Case("processor_error", behaving("own_error"), "provider_unavailable"),
    Case("processor_bug", behaving("raise"), "processor_error"),
    Case("processor_exit", behaving("exit_7"), "exit_status"),
    Case("processor_killed", behaving("kill_self"), "killed"),
    Case("processor_silent", behaving("exit_0_silent"), "envelope_invalid"),
    Case("processor_not_json", behaving("not_json"), "envelope_invalid"),
    Case("processor_two_envelopes", behaving("two_envelopes"), "envelope_invalid"),
    Case("bad_flag", (*REQUIRED, "--unheard-of"), "unknown_flag"),
    Case("positional_word", (*REQUIRED, "word"), "unknown_flag"),
    Case("repeated_flag", (*REQUIRED, "--ref", "a/b@1"), "repeated_flag"),
    Case("value_for_a_switch", (*REQUIRED, "--allow-real=yes"), "bad_value"),
    Case("missing_flag", replaced("--ref"), "missing_flag"),
    Case("missing_value", (*REQUIRED, "--timeout-s"), "missing_value"),
    Case("empty_flag_value", replaced("--mode", "--mode="), "missing_value"),
    Case("flag_not_utf_8", replaced("--ref", "--ref", "\udcff"), "bad_value"),
    Case("unknown_flag_not_utf_8", (*REQUIRED, "\udcff"), "unknown_flag"),
    Case(
        "prefix_not_utf_8",
        replaced("--write-prefix", "--write-prefix", "/artifacts/\udcff/"),
        "path_bad_character",
    ),
    Case("missing_file_not_utf_8", (*REQUIRED, "--attach", "a=\udcff"), "unreadable_file"),
    Case("unwritable_world_not_utf_8", REQUIRED, "world_unwritable", world="/dev/null/\udcff"),
    Case(
        "registries_not_utf_8",
        (*REQUIRED, "--registry-root", "/dev/null/\udcff"),
        "invalid_registry",
    ),
    Case("malformed_json", replaced("--inputs-json", "--inputs-json", "{"), "bad_json"),
    Case(
        "json_not_utf_8",
        replaced("--inputs-json", "--inputs-json", '{"a":"\udcff"}'),
        "bad_encoding",
    ),
    Case("json_array", replaced("--inputs-json", "--inputs-json", "[]"), "not_an_object"),
    Case("nan", replaced("--inputs-json", "--inputs-json", '{"a":NaN}'), "number_out_of_range"),
    Case("deep_json", replaced("--inputs-json", "--inputs-json", "[" * 10_000), "too_deep"),
    Case("unknown_ref", replaced("--ref", "--ref", "no/such@1"), "unknown_ref"),
    Case(
        "missing_inputs_file",
        replaced("--inputs-json", "--inputs-file", "/no/such"),
        "unreadable_file",
    ),
    Case(
        "folder_as_inputs_file", replaced("--inputs-json", "--inputs-file", "/"), "unreadable_file"
    ),
    Case("missing_attachment", (*REQUIRED, "--attach", "a=/no/such"), "unreadable_file"),
    Case("device_as_attachment", (*REQUIRED, "--attach", "a=/dev/zero"), "unreadable_file"),
    Case("inputs_from_stdin", replaced("--inputs-json", "--inputs", "-"), None, GOOD.encode()),
    Case("empty_stdin", replaced("--inputs-json", "--inputs", "-"), "bad_json"),
    Case(
        "endless_stdin", replaced("--inputs-json", "--inputs", "-"), "too_large", b" " * 3_000_000
    ),
    Case("unreachable_world", REQUIRED, "world_unwritable", world="/dev/null/world"),
    Case("forbidden_by_the_lane", replaced("--mode", "--mode", "real"), "lane_mode"),
)


@pytest.mark.proves("HR-4")
@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_stdout_is_one_envelope_and_stderr_has_none(case: Case, tmp_path: Path) -> None:
    world = Path(case.world) if case.world else tmp_path / "world"
    result = run(*case.words, "--json", world=world, stdin=case.stdin, command=ZOO_COMMAND)

    envelope = result.envelope
    assert envelope["status"] == ("success" if case.reason is None else "error")
    assert case.reason is None or result.error[1] == case.reason
    assert (result.exit_code == 0) == (case.reason is None)
    assert envelope["meta"].keys() >= {"processor_ref", "duration_ms"}
    assert not [line for line in result.events if SCHEMA.is_valid(line) or "meta" in line]


@pytest.mark.proves("HR-4")
def test_a_bare_call_names_every_missing_flag(tmp_path: Path) -> None:
    result = run("--json", world=tmp_path / "world", command=ZOO_COMMAND)

    assert result.error == ("ERR_INPUTS", "missing_flag")
    assert result.exit_code == 2
    message = result.envelope["error"]["message"]
    for flag in ("--ref", "--adapter", "--mode", "--lane", "--write-prefix", "--inputs-json"):
        assert flag in message


@pytest.mark.proves("HR-4")
@pytest.mark.parametrize("others", [(), ("--unheard-of",), ("--ref", "no such")])
def test_help_as_json_is_one_envelope(others: tuple[str, ...], tmp_path: Path) -> None:
    result = run("--help", "--json", *others, world=tmp_path, command=ZOO_COMMAND)

    assert result.exit_code == 0
    assert "--write-prefix" in result.envelope["result"]["usage"]
    assert result.stderr == b""


def test_help_for_people_is_text(tmp_path: Path) -> None:
    result = run("--help", world=tmp_path, command=ZOO_COMMAND)

    assert result.exit_code == 0
    assert result.stdout.startswith(b"run_processor: ")
    assert result.stderr == b""


@pytest.mark.parametrize(
    ("behaviour", "exit_code", "said"),
    [("good", 0, b"/artifacts/zoo/outputs/seen.txt"), ("own_error", 1, b"provider_unavailable")],
)
def test_without_json_a_summary_for_people_is_on_stdout(
    behaviour: str, exit_code: int, said: bytes, tmp_path: Path
) -> None:
    result = run(*behaving(behaviour), world=tmp_path / "world", command=ZOO_COMMAND)

    assert result.exit_code == exit_code
    assert said in result.stdout
    assert not result.stdout.startswith(b"{")


def test_a_summary_turns_no_line_around(tmp_path: Path) -> None:
    words = zoo_words("good", prefix="/artifacts/zoo/a\u202eb/")
    words.remove("--json")

    result = run(*words, world=tmp_path / "world", command=ZOO_COMMAND)

    assert result.exit_code == 0
    assert rb"/artifacts/zoo/a\u202eb/outputs/seen.txt" in result.stdout
    assert "\u202e".encode() not in result.stdout


def test_a_refused_call_leaves_no_world(tmp_path: Path) -> None:
    result = zoo("good", "--unheard-of", world=tmp_path / "world")

    assert result.exit_code == 2
    assert result.visible == []
