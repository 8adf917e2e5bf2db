"""The table of errors: closed, complete, and raised as it says."""

from __future__ import annotations

import ast
import re

import pytest

from processors.protocol import errors
from processors.protocol.errors import CODES, ERRORS, ContractError, Row, find_row
from tests.unit.source_rules import Module, product, root

TABLE = "processors/protocol/error_table.py"

# Rows whose raiser a later step brings, and that step.
DUE: dict[tuple[str, str], str] = {}

# Functions that make an error, and which of their arguments are code and reason.
MAKERS: dict[str, tuple[str | int, int]] = {
    "ContractError": (0, 1),
    "inputs_error": ("ERR_INPUTS", 0),
    "adapter_error": ("ERR_ADAPTER_INVOCATION", 0),
    "_refusal": ("ERR_CI_SAFETY", 0),
    "mismatch": ("ERR_REGISTRY_MISMATCH", 0),
    "CallError": (0, 1),
    "modal_error": ("ERR_MODAL_INVOCATION", 0),
    "unavailable": ("ERR_IMAGE_UNAVAILABLE", 0),
}


def pairs_raised(module: Module) -> set[tuple[str, str]]:
    """Every (code, reason) that a file spells out in the call of a maker."""
    found = set()
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id not in MAKERS:
            continue
        code, place = MAKERS[node.func.id]
        words = [
            each.value if isinstance(each, ast.Constant) and isinstance(each.value, str) else ""
            for each in node.args
        ]
        if len(words) > place and words[place]:
            found.add((words[code] if isinstance(code, int) else code, words[place]))
    return found


def words_of(module: Module) -> set[str]:
    """Every string of a file."""
    return {
        node.value
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def expected_exit_code(row: Row) -> int:
    """The rule, written a second time."""
    if row.code == "ERR_INPUTS":
        return 2
    if row.reason == "time_limit" or row.code == "ERR_MODAL_TIMEOUT":
        return 124
    return {"interrupted": 130, "terminated": 143}.get(row.reason, 1)


@pytest.mark.proves("EV-9")
def test_the_codes_are_the_ten_of_the_contract() -> None:
    assert sorted(CODES) == [
        "ERR_ADAPTER_INVOCATION",
        "ERR_CI_SAFETY",
        "ERR_IMAGE_UNAVAILABLE",
        "ERR_IMAGE_UNPINNED",
        "ERR_INPUTS",
        "ERR_MISSING_SECRET",
        "ERR_MODAL_INVOCATION",
        "ERR_MODAL_LOOKUP",
        "ERR_MODAL_TIMEOUT",
        "ERR_REGISTRY_MISMATCH",
    ]
    assert {row.code for row in ERRORS} == set(CODES)


def test_no_pair_stands_twice() -> None:
    pairs = [(row.code, row.reason) for row in ERRORS]

    assert len(set(pairs)) == len(pairs)


@pytest.mark.proves("EV-9")
@pytest.mark.parametrize("row", ERRORS, ids=lambda row: f"{row.code}-{row.reason}")
def test_every_row_is_complete_and_follows_the_rule_of_exit_codes(row: Row) -> None:
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", row.reason)
    assert row.retry in ("never", "once", "bounded")
    assert row.exit_code == expected_exit_code(row)
    assert row.trigger
    assert row.action


def test_what_the_caller_or_the_policy_decides_is_never_retried() -> None:
    decided = ("ERR_INPUTS", "ERR_CI_SAFETY", "ERR_MISSING_SECRET", "ERR_IMAGE_UNPINNED")

    assert {row.retry for row in ERRORS if row.code in decided} == {"never"}
    assert {row.retry for row in ERRORS if row.code == "ERR_MODAL_TIMEOUT"} == {"once"}
    assert {row.retry for row in ERRORS if row.code == "ERR_MODAL_LOOKUP"} == {"bounded"}


def test_every_pair_that_code_raises_is_in_the_table() -> None:
    raised = {(pair, module.path) for module in product(root()) for pair in pairs_raised(module)}

    assert len(raised) > 50
    assert [(pair, path) for pair, path in raised if find_row(*pair) is None] == []


def test_every_row_is_raised_somewhere_or_due_later() -> None:
    words = set[str]().union(
        *(words_of(module) for module in product(root()) if module.path != TABLE)
    )

    unraised = {(row.code, row.reason) for row in ERRORS if row.reason not in words}

    assert unraised == DUE.keys()


def test_an_error_outside_the_table_cannot_be_made() -> None:
    for code, reason in (("ERR_INPUTS", "made_up"), ("ERR_OTHER", "bad_json"), ("", "")):
        with pytest.raises(KeyError):
            ContractError(code, reason, "")
        assert find_row(code, reason) is None


def test_an_error_knows_its_row_and_bounds_its_message() -> None:
    error = ContractError("ERR_ADAPTER_INVOCATION", "time_limit", "x" * 10_000)

    assert (error.code, error.reason) == ("ERR_ADAPTER_INVOCATION", "time_limit")
    assert error.row is find_row("ERR_ADAPTER_INVOCATION", "time_limit")
    assert error.as_json() == {
        "code": "ERR_ADAPTER_INVOCATION",
        "reason": "time_limit",
        "message": "x" * errors.MESSAGE_CHARS_MAX,
    }
