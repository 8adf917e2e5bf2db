"""tools/rows: the count of proved rows, and what makes it red."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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


XML = (
    "<testsuites><testsuite>"
    '<testcase classname="c" name="good" file="tests/acceptance/pr/test_x.py">'
    '<properties><property name="proves" value="HR-1"/><property name="proves" value="IL-1"/>'
    '</properties></testcase><testcase classname="c" name="bad"><failure/></testcase>'
    '<testcase classname="c" name="left"><skipped/></testcase></testsuite></testsuites>'
)
PASSES = '<testsuites><testsuite><testcase classname="c" name="p"/></testsuite></testsuites>'
END: dict[str, Any] = {"id": {"buildMetrics": {}}, "lastMessage": True}


def _result(xml: Path, label: str, status: str = "PASSED") -> dict[str, Any]:
    """What Bazel says of one shard of a test; it names other files besides."""
    outputs = [
        {"name": name, "uri": (xml.parent / name).as_uri()} for name in ("test.log", "test.xml")
    ]
    return {
        "id": {"testResult": {"label": label, "run": 1, "shard": 1, "attempt": 1}},
        "testResult": {"testActionOutput": outputs, "status": status, "cachedLocally": True},
    }


def _run(folder: Path, *events: dict[str, Any]) -> Path:
    file = folder / ".tests.json"
    file.write_text("".join(json.dumps(event) + "\n" for event in events))
    return file


def _xml(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "test.xml").write_text(text)
    return folder / "test.xml"


def test_the_results_of_the_run_are_read_with_their_properties(tmp_path: Path) -> None:
    """A skip is no pass."""
    xml = _xml(tmp_path / "a b", XML)  # A blank, which an address spells otherwise.
    run = _run(tmp_path, _result(xml, "//tests/acceptance/pr:test_x", "FAILED"), END)

    assert list(proofs.from_run(run)) == [
        Case("c::good", "acceptance/pr", passed=True, proves=("HR-1", "IL-1")),
        Case("c::bad", "acceptance/pr", passed=False, proves=()),
        Case("c::left", "acceptance/pr", passed=False, proves=()),
    ]


def test_what_lies_there_and_is_not_the_runs_does_not_count(tmp_path: Path) -> None:
    """A deleted test, a shard of yesterday's layout: their results stay where they were."""
    _xml(tmp_path / "shard_2_of_9", XML)
    mine = _xml(tmp_path / "shard_1_of_1", PASSES)

    cases = list(proofs.from_run(_run(tmp_path, _result(mine, "//tests/unit:test_x"), END)))

    assert cases == [Case("c::p", "unit", passed=True, proves=())]


def test_a_target_that_failed_without_a_failed_case_counts_as_one(tmp_path: Path) -> None:
    """It ran out of time between two cases, say; or it was never run."""
    label = "//tests/unit:test_x"
    late = _result(_xml(tmp_path / "late", PASSES), label, "TIMEOUT")
    aborted = {"id": late["id"], "aborted": {"reason": "USER_INTERRUPTED"}}

    assert list(proofs.from_run(_run(tmp_path, late, aborted, END))) == [
        Case("c::p", "unit", passed=True, proves=()),
        Case(f"{label}: TIMEOUT", "unit", passed=False, proves=()),
        Case(f"{label}: never ran", "unit", passed=False, proves=()),
    ]


def test_a_result_that_was_cut_short_is_a_failure(tmp_path: Path) -> None:
    cut = _result(_xml(tmp_path / "cut", XML[:99]), "//tests/unit:test_x")

    [case] = proofs.from_run(_run(tmp_path, cut, END))

    assert (case.place, case.passed) == ("unit", False)


def test_without_a_whole_run_nothing_counts_and_the_command_is_said(tmp_path: Path) -> None:
    gone = _result(tmp_path / "gone/test.xml", "//tests/unit:test_x")
    with pytest.raises(proofs.RunError, match=r"not there.*--build_event_json_file=.tests.json"):
        list(proofs.from_run(tmp_path / ".tests.json"))
    for events in ((), (gone,)):
        with pytest.raises(proofs.RunError, match="did not end"):
            list(proofs.from_run(_run(tmp_path, *events)))
    (tmp_path / ".tests.json").write_text('{"id": {"testRes')
    with pytest.raises(proofs.RunError, match="did not end"):
        list(proofs.from_run(tmp_path / ".tests.json"))
    with pytest.raises(proofs.RunError, match=r"gone/test\.xml"):
        list(proofs.from_run(_run(tmp_path, gone, END)))


def test_self_checks_are_read_if_there_are_any(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    assert list(proofs.from_selfcheck(file)) == []

    file.write_text(json.dumps({"checks": [{"name": "n", "passed": True, "proves": ["BZ-1"]}]}))

    assert list(proofs.from_selfcheck(file)) == [
        Case("n", "selfcheck", passed=True, proves=("BZ-1",))
    ]


@pytest.mark.parametrize(
    ("file", "label", "place"),
    [
        ("tests/unit/test_x.py", "//tests/unit:test_x", "unit"),
        ("", "//tests/acceptance/pinned:test_x", "acceptance/pinned"),
        (
            "tests/acceptance/pinned/test_x.py",
            "//processors/llm/chat/v1:image_test",
            "acceptance/pinned",
        ),
        ("../hypothesis/stateful.py", "//tests/property:test_x", "property"),
        ("", "//tests/lint:ruff", "lint"),
        ("unit/test_x.py", "//tools/x:test_x", "tools"),
    ],
)
def test_a_case_lies_where_its_file_does(file: str, label: str, place: str) -> None:
    assert proofs.place_of(file, label) == place
