"""What the documents say is what the code does."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.lanes import ADAPTERS, LANES, judge
from processors.protocol.envelope import META_KEYS
from processors.protocol.events import CONTEXT
from processors.protocol.refs import MODES
from tools.docs import generate

README = Path("README.md").read_text()
PAGES = sorted([Path("README.md"), *Path("docs").rglob("*.md"), *Path("tests").glob("*.md")])


@pytest.mark.proves("F-14")
@pytest.mark.parametrize("path", generate.documents(README))
def test_generated_documents_are_up_to_date(path: str) -> None:
    """A difference is mended by ``tools/bazel run //tools/docs:write``."""
    assert Path(path).read_text() == generate.documents(README)[path]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 9}, "integer, 1 to 9"),
        ({"type": "integer", "minimum": 1}, "integer, at least 1"),
        ({"type": "string", "maxLength": 9}, "string, at most 9 characters"),
        ({"type": "boolean"}, "boolean"),
    ],
)
def test_an_argument_is_told_with_the_limits_that_it_has(
    schema: dict[str, Any], words: str
) -> None:
    assert generate.schema_words(schema) == words


def test_the_reference_of_events_explains_what_is_on_all_of_them() -> None:
    assert tuple(generate.CONTEXT) == CONTEXT


def lane_rows() -> dict[str, dict[str, str]]:
    """The README's lane table, as a reader sees it: cells by column, rows by lane."""
    table = README.split("<!-- lanes: generated")[1].splitlines()[1:]
    head, _, *rows = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in table]
    return {row[0]: dict(zip(head, row, strict=True)) for row in rows}


def reads_as_allowed(row: dict[str, str], asked: dict[str, Any]) -> bool:
    """What a reader takes from a row, knowing nothing of the code."""
    local, real = asked["adapter"] == "local", asked["mode"] == "real"
    confirmed = "with `--allow-real" in row["mode"]
    return (
        asked["adapter"] in row["adapter"].split(" or ")
        and asked["mode"] in row["mode"]
        and (not asked["override"] or (row["--image-override"] != "refused" and not local))
        and (not asked["secrets"] or (row["--allow-env"] != "refused" and local and real))
        and (not asked["registry_root"] or row["--registry-root"] != "refused")
        and asked["allow_real"] == (confirmed and real)
    )


@pytest.mark.proves("F-14")
def test_the_readmes_lane_table_allows_what_the_code_allows() -> None:
    rows = lane_rows()
    assert rows.keys() == LANES.keys()
    switches = ("override", "secrets", "registry_root", "allow_real")
    verdicts = {True: 0, False: 0}
    for lane, adapter, mode in itertools.product(LANES, ADAPTERS, MODES):
        for values in itertools.product((False, True), repeat=len(switches)):
            asked = {"adapter": adapter, "mode": mode, **dict(zip(switches, values, strict=True))}
            allowed = judge(lane=lane, **asked) is None
            assert reads_as_allowed(rows[lane], asked) == allowed, (lane, asked)
            verdicts[allowed] += 1

    assert verdicts == {True: 20, False: 236}


def test_the_readme_shows_a_whole_envelope() -> None:
    [shown] = re.findall(r"```json\n(.*?)```", README, re.DOTALL)

    envelope = json.loads(shown)

    assert envelope["status"] == "success"
    assert envelope["meta"].keys() == set(META_KEYS)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_between_documents_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())

    missing = [target for target in targets if not (page.parent / target).exists()]

    assert missing == []
