"""Plain words in the table of flags, and the bar that says how far a command is."""

from __future__ import annotations

import pytest

from orchestrator.cli import flags, ledger, program, progress, world
from orchestrator.cli.flags import Flag
from orchestrator.cli.program import Command
from processors.protocol.errors import ContractError

TABLE = (
    Flag("SOURCE", "", "where from", required=True),
    Flag("TARGET", "", "where to"),
    Flag("--fast", "", "a switch"),
    Flag("--by", "NAME", "by whom"),
)
COMMANDS = [("ledger", each) for each in ledger.COMMANDS] + [
    ("world", each) for each in world.COMMANDS
]


def test_words_come_in_the_tables_order_wherever_the_flags_stand() -> None:
    given = flags.parse(TABLE, ["a=b", "--by", "SOURCE", "--fast", "c"])

    assert (given.require("SOURCE"), given.get("TARGET")) == ("a=b", "c")
    assert (given.get("--by"), given.has("--fast")) == ("SOURCE", True)
    assert flags.parse(TABLE, ["SOURCE"]).get("TARGET") is None


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ([], "missing_flag"),
        (["--fast"], "missing_flag"),
        (["a", "b", "c"], "unknown_flag"),
        (["-a"], "unknown_flag"),
        (["-"], "unknown_flag"),
        ([""], "unknown_flag"),
        (["a", "--SOURCE"], "unknown_flag"),
    ],
)
def test_a_word_too_many_or_too_few_is_told(argv: list[str], reason: str) -> None:
    with pytest.raises(ContractError) as caught:
        flags.parse(TABLE, argv)

    assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", reason)
    if reason == "missing_flag":
        assert caught.value.message == "missing: SOURCE"


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=lambda each: getattr(each, "name", ""))
def test_every_command_has_the_common_flags_and_a_help_text(name: str, command: Command) -> None:
    names = [flag.name for flag in command.table]

    assert len(set(names)) == len(names)
    assert {"--world", "--json", "--debug", "--help"} <= set(names)
    usage = program.usage(name, "summary", [command], [command.name])
    assert usage.startswith(f"{name} {command.name}: {command.help}\n")
    assert f"  {command.name}" in program.usage(name, "summary", [command], [])


def test_words_that_may_be_left_out_stand_in_brackets() -> None:
    command = Command("go", "goes", TABLE, lambda _: ({}, []))

    assert "  go SOURCE [TARGET]\n" in program.usage("it", "does it", [command], [])


def test_a_bar_shows_the_share_that_is_done() -> None:
    assert progress.bar("read", 0, 4) == f"read [{'.' * 24}] 0 of 4"
    assert progress.bar("read", 1, 4) == f"read [{'#' * 6}{'.' * 18}] 1 of 4"
    assert progress.bar("read", 5, 4) == f"read [{'#' * 24}] 5 of 4"
    assert progress.bar("read", 0, 0) == f"read [{'#' * 24}] 0 of 0"
