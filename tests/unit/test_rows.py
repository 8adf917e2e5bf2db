"""tools/rows: the count of proved rows, and what makes it red."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tools.rows import proofs
from tools.rows.proofs import Case
from tools.rows.table import LATER, TableError, parse
from tools.rows.verdict import judge

PAGE = """# Rows

Current step: 2

| Id | Claim | Due | Proof |
|---|---|---|---|
| HR-1 | two modes | 1 | unit, property |
| HR-8 | empty is red | 2 (3, 4) | integration, selfcheck |
| IL-1 | images | 4 | any |
| ERR_INPUTS | bad input | later | any |
"""
TABLE = parse(PAGE)
EVERY = frozenset({"HR-1"})


def _case(place: str, *proves: str, passed: bool = True) -> Case:
    return Case("test", place, passed, proves)


def test_the_page_becomes_rows_with_the_step_of_the_first_proof() -> None:
    assert TABLE.step == 2
    assert [(row.name, row.due) for row in TABLE.rows] == [
        ("HR-1", 1),
        ("HR-8", 2),
        ("IL-1", 4),
        ("ERR_INPUTS", LATER),
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("Current step: 2", "", "no line"),
        ("| HR-1 |", "| hr-1 |", "is no id"),
        ("| IL-1 |", "| HR-1 |", "stands twice"),
        ("| 4 | any |", "| soon | any |", "due is 'soon'"),
        ("| 4 | any |", "| 4 | somewhere |", "somewhere"),
        ("| 4 | any |", "| any |", "3 cells"),
    ],
)
def test_a_malformed_page_is_refused_by_name(old: str, new: str, says: str) -> None:
    with pytest.raises(TableError, match=says):
        parse(PAGE.replace(old, new))


def test_a_passed_proof_in_its_folder_counts() -> None:
    verdict = judge(TABLE, [_case("unit", "HR-1"), _case("selfcheck", "HR-8")], EVERY)

    assert verdict.proved == {"HR-1", "HR-8"}
    assert not verdict.open
    assert not verdict.is_red


def test_a_failed_proof_loses_the_row() -> None:
    verdict = judge(TABLE, [_case("unit", "HR-1", passed=False)], EVERY)

    assert verdict.lost == ("HR-1",)
    assert verdict.is_red


def test_a_proof_in_another_folder_does_not_count_and_is_named() -> None:
    verdict = judge(TABLE, [_case("smoke", "HR-1")], frozenset())

    assert verdict.open == ("HR-1", "HR-8")
    assert "HR-1" in verdict.misplaced[0]
    assert not verdict.is_red


def test_a_claim_on_a_row_that_does_not_exist_is_red() -> None:
    verdict = judge(TABLE, [_case("unit", "HR-99")], frozenset())

    assert verdict.unknown == ("HR-99: test",)
    assert verdict.is_red


def test_a_row_that_was_never_proved_is_open_and_not_red() -> None:
    verdict = judge(TABLE, [], frozenset())

    assert verdict.open == ("HR-1", "HR-8")
    assert not verdict.is_red


def test_results_are_read_with_their_properties(tmp_path: Path) -> None:
    """Shards have a folder of their own; a skip is no pass."""
    shard = tmp_path / "tests/acceptance/pr/test_x/shard_1_of_2"
    shard.mkdir(parents=True)
    (shard / "test.xml").write_text(
        '<testsuites><testsuite><testcase classname="c" name="good"><properties>'
        '<property name="proves" value="HR-1"/><property name="proves" value="IL-1"/>'
        '</properties></testcase><testcase classname="c" name="bad"><failure/></testcase>'
        '<testcase classname="c" name="left"><skipped/></testcase></testsuite></testsuites>'
    )

    assert list(proofs.from_testlogs(tmp_path)) == [
        Case("c::good", "acceptance/pr", passed=True, proves=("HR-1", "IL-1")),
        Case("c::bad", "acceptance/pr", passed=False, proves=()),
        Case("c::left", "acceptance/pr", passed=False, proves=()),
    ]


def test_self_checks_are_read_if_there_are_any(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    assert list(proofs.from_selfcheck(file)) == []

    file.write_text(json.dumps({"checks": [{"name": "n", "passed": True, "proves": ["BZ-1"]}]}))

    assert list(proofs.from_selfcheck(file)) == [
        Case("n", "selfcheck", passed=True, proves=("BZ-1",))
    ]


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("tests/unit/test_x/test.xml", "unit"),
        ("tests/acceptance/pinned/test_x/test.xml", "acceptance/pinned"),
        ("tests/lint/ruff/test.xml", "lint"),
        ("tools/x/test.xml", "tools"),
    ],
)
def test_a_result_lies_where_its_test_does(path: str, place: str) -> None:
    assert proofs.place_of(path) == place
