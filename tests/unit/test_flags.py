"""The strict parser of flags."""

from __future__ import annotations

import pytest

from orchestrator.cli import flags
from orchestrator.cli.flags import Flag
from orchestrator.cli.run_processor import FLAGS, INPUTS
from processors.protocol.errors import ContractError

TABLE = (
    Flag("--name", "NAME", "a name", required=True),
    Flag("--place", "DIR", "a place", required=True),
    Flag("--more", "X", "more of it", repeats=True),
    Flag("--fast", "", "a switch"),
    Flag("--one", "X", "the first way"),
    Flag("--two", "X", "the second way"),
)
WAYS = ("--one", "--two")
COMPLETE = ["--name", "a", "--place", "b", "--one", "1"]


def refusal(*argv: str) -> ContractError:
    with pytest.raises(ContractError) as caught:
        flags.parse(TABLE, argv, one_of=WAYS)
    assert caught.value.code == "ERR_INPUTS"
    return caught.value


def test_flags_are_read_in_both_spellings_and_in_any_order() -> None:
    given = flags.parse(
        TABLE,
        ["--one=1=2", "--more", "x", "--fast", "--place", "b", "--more=y", "--name=a"],
        one_of=WAYS,
    )

    assert (given.require("--name"), given.require("--place")) == ("a", "b")
    assert given.get("--one") == "1=2"
    assert given.all("--more") == ["x", "y"]
    assert given.has("--fast")
    assert given.get("--two") is None
    assert not given.has("--two")


def test_every_missing_flag_is_named_at_once() -> None:
    found = refusal()

    assert found.reason == "missing_flag"
    assert found.message == "missing: --name, --place, --one or --two"


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--nam", "a"], "unknown_flag"),
        (["--NAME", "a"], "unknown_flag"),
        (["name"], "unknown_flag"),
        (["-n", "a"], "unknown_flag"),
        (["--", "--name"], "unknown_flag"),
        ([""], "unknown_flag"),
        ([*COMPLETE, "left over"], "unknown_flag"),
        (["--unknown=1"], "unknown_flag"),
        ([*COMPLETE, "--name", "again"], "repeated_flag"),
        ([*COMPLETE, "--name=again"], "repeated_flag"),
        (["--fast", "--fast"], "repeated_flag"),
        (["--fast=1"], "bad_value"),
        (["--fast="], "bad_value"),
        (["--name"], "missing_value"),
        (["--name", ""], "missing_value"),
        (["--name="], "missing_value"),
        ([*COMPLETE, "--more="], "missing_value"),
        (["--name", "--place", "b"], "missing_value"),
        (["--more", "--fast"], "missing_value"),
        (["--name", "a"], "missing_flag"),
        (["--name", "a", "--place", "b"], "missing_flag"),
        ([*COMPLETE, "--two", "2"], "conflicting_flags"),
    ],
)
def test_a_broken_command_line_has_the_reason_that_fits(argv: list[str], reason: str) -> None:
    assert refusal(*argv).reason == reason


def test_a_refusal_quotes_no_more_of_a_word_than_fits_a_line() -> None:
    found = refusal("\x1b" + "x" * 10_000)

    assert found.message.isprintable()
    assert len(found.message) < 200


def test_the_help_text_lists_every_flag_with_its_help() -> None:
    text = flags.usage("it", "does it", TABLE)

    assert text.startswith("it: does it\n")
    for flag in TABLE:
        assert f"  {flag.name} {flag.metavar}".rstrip() + f"\n      {flag.help}" in text
    assert "a name (required)" in text
    assert "more of it (repeats)" in text


@pytest.mark.proves("HR-7")
def test_what_decides_a_run_is_required_and_has_no_default() -> None:
    with pytest.raises(ContractError) as caught:
        flags.parse(FLAGS, ["--json"], one_of=INPUTS)

    assert caught.value.reason == "missing_flag"
    for name in ("--ref", "--adapter", "--mode", "--lane", "--write-prefix", "--inputs-json"):
        assert name in caught.value.message


def test_the_flags_of_run_processor_are_those_of_the_design() -> None:
    assert {flag.name for flag in FLAGS if flag.repeats} == {"--attach", "--use", "--allow-env"}
    assert {flag.name for flag in FLAGS if not flag.metavar} == {
        "--allow-real",
        "--memo",
        "--json",
        "--debug",
        "--help",
    }
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)
