"""Goal files: one meaning has one id, and a mistake is named with its line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestrator.goals import goal as goals
from orchestrator.goals import goal_file
from processors.protocol import digests
from processors.protocol.errors import ContractError

GOOD = """\
schema: v1
name: digest
summary: every document of the folder is extracted
budget_micro_usd: 500000
processors: [llm/chat@1, doc/extract@1]
predicates:
  - name: texts
    predicate: artifact.exists
    for_each: /artifacts/raw/{name}.pdf
    args: {path: "/artifacts/text/{name}/outputs/text.md"}
  - name: enough
    predicate: artifact.count_at_least
    scope: admission
    args: {pattern: "/artifacts/raw/{any}.pdf", count: 1}
  - name: history
    predicate: ledger.intact
    scope: invariant
transitions:
  - ref: doc/extract@1
    for_each: /artifacts/raw/{name}.pdf
    write_prefix: /artifacts/text/{name}/
    inputs: {filename: report.pdf}
    use: {source: "/artifacts/raw/{name}.pdf"}
"""
FIRST = """\
schema: v1
name: one
summary: one
budget_micro_usd: 0
predicates:
  - name: there
    predicate: artifact.exists
    args: {path: /artifacts/a}
"""


@pytest.mark.proves("WL-4")
def test_the_example_of_the_documentation_is_a_goal() -> None:
    page = Path("docs/concepts/goals.md").read_text()
    [text] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)

    assert len(goal_file.load(text.encode(), "goals.md").proving) == 2


SOURCED = FIRST + "sources:\n  /artifacts/raw/: papers/new\n"


def test_a_goal_names_the_folders_that_it_brings_in() -> None:
    found = goal_file.load(SOURCED.encode(), "goal.yaml")

    assert found.sources == {"/artifacts/raw/": "papers/new"}
    assert goals.parse(found.encode()).sources == found.sources


def test_a_goal_that_brings_nothing_in_is_the_goal_that_it_was() -> None:
    found = goal_file.load(FIRST.encode(), "goal.yaml")

    assert found.sources == {}
    assert b"sources" not in found.encode()
    assert goal_file.load((FIRST + "sources: {}\n").encode(), "goal.yaml").id == found.id


@pytest.mark.parametrize(
    ("prefix", "folder"),
    [
        ("/artifacts/raw", "papers"),
        ("/artifacts/", "papers"),
        ("/goals/raw/", "papers"),
        ("/artifacts/execution/e/", "papers"),
        ("/artifacts/attached/", "papers"),
        ("/artifacts/%61/", "papers"),
        ("/artifacts/raw/", "/papers"),
        ("/artifacts/raw/", "../papers"),
        ("/artifacts/raw/", "papers/../../other"),
        ("/artifacts/raw/", "papers/"),
        ("/artifacts/raw/", "."),
        ("/artifacts/raw/", "1"),
    ],
)
def test_a_source_leads_from_beside_the_file_to_a_folder_of_the_world(
    prefix: str, folder: str
) -> None:
    text = SOURCED.replace("/artifacts/raw/", prefix).replace("papers/new", folder)

    assert refused(text).startswith("line 10: sources.")


def test_a_goal_has_no_more_sources_than_it_can_name() -> None:
    most = "".join(f"  /artifacts/raw/{at}/: papers\n" for at in range(17))

    assert refused(FIRST + "sources:\n" + most).startswith("line 9: sources: ")


def refused(text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    with pytest.raises(ContractError) as caught:
        goal_file.load(data, "goal.yaml")
    assert (caught.value.code, caught.value.reason) == ("ERR_INPUTS", "invalid_goal")
    assert caught.value.message.startswith("goal.yaml: ")
    return caught.value.message.removeprefix("goal.yaml: ")


@pytest.mark.proves("WL-4")
def test_a_goal_is_data_and_its_id_is_the_digest_of_the_data() -> None:
    goal = goal_file.load(GOOD.encode(), "goal.yaml")

    assert goal.id == digests.of_bytes(goal.encode())
    assert goals.parse(goal.encode()).document == goal.document
    assert (goal.name, goal.budget_micro_usd) == ("digest", 500_000)
    assert goal.processors == ["doc/extract@1", "llm/chat@1"]
    assert [(stated.name, stated.scope) for stated in goal.predicates] == [
        ("enough", "admission"),
        ("history", "invariant"),
        ("texts", "success"),
    ]
    assert [stated.name for stated in goal.proving] == ["history", "texts"]
    assert goal.transitions == [
        {
            "ref": "doc/extract@1",
            "for_each": "/artifacts/raw/{name}.pdf",
            "write_prefix": "/artifacts/text/{name}/",
            "inputs": {"filename": "report.pdf"},
            "use": {"source": "/artifacts/raw/{name}.pdf"},
        }
    ]


@pytest.mark.proves("WL-4")
def test_what_says_the_same_is_the_same_goal_and_what_does_not_is_another() -> None:
    def one(text: str) -> str:
        return goal_file.load(text.encode(), "goal.yaml").id

    head, marker, rest = GOOD.partition("  - name: texts\n")
    texts, _, after = rest.partition("  - name: enough\n")
    moved, _, last = after.partition("transitions:\n")
    reordered = f"{head}  - name: enough\n{moved}{marker}{texts}transitions:\n{last}"

    assert reordered != GOOD
    assert (
        one(reordered)
        == one(
            "# a note\n"
            + GOOD.replace("[llm/chat@1, doc/extract@1]", "[doc/extract@1, llm/chat@1]")
        )
        == one(GOOD)
    )
    assert one(GOOD.replace("    args: {path", "    scope: success\n    args: {path")) == one(GOOD)
    assert one(GOOD.replace("500000", "500000.0")) == one(GOOD)  # in JSON they are one number
    for old, new in (
        ("500000", "500001"),
        ("scope: admission", "scope: success"),
        ("name: texts", "name: text"),
    ):
        assert one(GOOD.replace(old, new)) != one(GOOD)


MISTAKES: dict[str, tuple[str, str, str]] = {
    "a key too many": (
        "name: one",
        "name: one\nmore: 1",
        "line 3: more: no such key; expected schema, name, summary",
    ),
    "a key too few": ("summary: one\n", "", "line 1: summary: is missing"),
    "a date that is none": ("summary: one", "summary: 2024-13-45", "line 3: no timestamp"),
    "half of a pair": ("summary: one", 'summary: "\\ud800"', "line 3: half of a surrogate pair"),
    "a number without end": (
        "budget_micro_usd: 0",
        f"budget_micro_usd: {'9' * 5_000}",
        "line 4: no int (",
    ),
    "another schema": ("schema: v1", "schema: v2", "line 1: schema: expected v1"),
    "a name in capitals": (
        "name: one",
        "name: One",
        "line 2: name: 'One' does not fit; expected [a-z]",
    ),
    "a budget of text": (
        "budget_micro_usd: 0",
        "budget_micro_usd: '0'",
        "line 4: budget_micro_usd: a JSON string; expected an integer",
    ),
    "a budget of a float": (
        "budget_micro_usd: 0",
        "budget_micro_usd: 0.5",
        "line 4: budget_micro_usd: a JSON number; expected an integer",
    ),
    "a negative budget": (
        "budget_micro_usd: 0",
        "budget_micro_usd: -1",
        "line 4: budget_micro_usd: expected an integer from 0 to",
    ),
    "a budget of true": (
        "budget_micro_usd: 0",
        "budget_micro_usd: true",
        "line 4: budget_micro_usd: a JSON boolean; expected an integer",
    ),
    "no predicate": (
        "artifact.exists",
        "artifact.is_there",
        "line 7: predicates.0.predicate: no predicate artifact.is_there; expected one of artifact.",
    ),
    "a predicate of no family": (
        "artifact.exists",
        "exists",
        "line 7: predicates.0.predicate: 'exists' does not fit; expected family.what",
    ),
    "an argument too many": (
        "{path: /artifacts/a}",
        "{path: /artifacts/a, b: 1}",
        "line 8: predicates.0.args: args has 1 unknown member(s); known: path",
    ),
    "an argument too few": (
        "{path: /artifacts/a}",
        "{}",
        "line 8: predicates.0.args: args lacks path",
    ),
    "an argument of another type": (
        "{path: /artifacts/a}",
        "\n      path: 1",
        "line 9: predicates.0.args.path: args.path is a JSON number, not of type string",
    ),
    "a path that is none": (
        "/artifacts/a}",
        "/artifacts/../a}",
        "line 8: predicates.0.args.path: args.path: world path",
    ),
    "a wildcard from nowhere": (
        "/artifacts/a}",
        "'/artifacts/{x}'}",
        "line 8: predicates.0.args.path: args.path: {x} is no wildcard of for_each",
    ),
    "another scope": (
        "    args:",
        "    scope: sometimes\n    args:",
        "line 8: predicates.0.scope: expected success or admission or invariant",
    ),
    "no success": (
        "    args:",
        "    scope: invariant\n    args:",
        "line 5: predicates: expected at least one predicate of scope success",
    ),
    "for each of one": (
        "    args:",
        "    for_each: /artifacts/b\n    args:",
        "line 8: predicates.0.for_each: expected a path with a {name} in it",
    ),
    "for each of nothing": (
        "    args:",
        "    for_each: '/b/{x}'\n    args:",
        "line 8: predicates.0.for_each: world path",
    ),
    "for each that is not used": (
        "    args:",
        "    for_each: '/artifacts/{x}'\n    args:",
        "line 8: predicates.0.for_each: expected its wildcards",
    ),
    "a name twice": (
        "predicates:\n",
        "predicates:\n  - {name: there, predicate: ledger.intact}\n",
        "line 7: predicates.1.name: there is given twice",
    ),
    "a goal on itself": (
        "predicates:\n",
        "predicates:\n  - {name: self, predicate: goal.satisfied, args: {goal: one}}\n",
        "line 6: predicates.0.args.goal: a goal cannot rest on itself",
    ),
    "a processor that is none": (
        "predicates:\n",
        "processors: [doc]\npredicates:\n",
        "line 5: processors.0: 'doc' does not fit; expected [a-z]",
    ),
    "a processor twice": (
        "predicates:\n",
        "processors: [a/b@1, a/b@1]\npredicates:\n",
        "line 5: processors.1: a/b@1 is listed twice",
    ),
    "no processor": (
        "predicates:\n",
        "processors: []\npredicates:\n",
        "line 5: processors: 0 items; expected 1 to 1000",
    ),
    "a date in the arguments": (
        "/artifacts/a}",
        "2026-01-01}",
        "line 8: predicates.0.args.path: a date; if a text is meant, put it in quotes",
    ),
    "a step elsewhere": (
        "predicates:\n",
        "transitions:\n  - {ref: a/b@1, write_prefix: /plan/a/}\npredicates:\n",
        "line 6: transitions.0.write_prefix: write prefix",
    ),
    "a step without a slash": (
        "predicates:\n",
        "transitions:\n  - {ref: a/b@1, write_prefix: /artifacts/a}\npredicates:\n",
        "line 6: transitions.0.write_prefix: expected a / at the end",
    ),
    "a step with a loose wildcard": (
        "predicates:\n",
        "transitions:\n  - {ref: a/b@1, write_prefix: '/artifacts/{n}/'}\npredicates:\n",
        "line 6: transitions.0.write_prefix: {n} is no wildcard of for_each",
    ),
    "a step that uses what is no path": (
        "predicates:\n",
        "transitions:\n  - {ref: a/b@1, write_prefix: /artifacts/a/, use: {s: x}}\npredicates:\n",
        "line 6: transitions.0.use.s: world path",
    ),
    "what is asked beside steps that say it": (
        "predicates:\n",
        (
            "use: {a/b@1: {inputs: {x: 1}}}\n"
            "transitions:\n  - {ref: a/b@1, write_prefix: /artifacts/a/}\npredicates:\n"
        ),
        "line 5: use: expected none beside transitions",
    ),
    "what a processor is asked with that may not be used": (
        "predicates:\n",
        "processors: [a/c@1]\nuse: {a/b@1: {inputs: {x: 1}}}\npredicates:\n",
        "line 6: use.a/b@1: expected one of processors",
    ),
    "a step by what may not be used": (
        "predicates:\n",
        (
            "processors: [a/c@1]\n"
            "transitions:\n  - {ref: a/b@1, write_prefix: /artifacts/a/}\npredicates:\n"
        ),
        "line 7: transitions.0.ref: a/b@1 is none of processors",
    ),
    "a step for each of what it does not use": (
        "predicates:\n",
        (
            "transitions:\n  - ref: a/b@1\n    for_each: '/artifacts/in/{n}'\n"
            "    write_prefix: '/artifacts/{n}/'\n    use: {s: '/artifacts/other/{n}'}\n"
            "predicates:\n"
        ),
        "line 7: transitions.0.for_each: expected one of the paths of use",
    ),
    "a key twice": ("name: one", "name: one\nname: two", "line 3: a key is given twice: 'name'"),
    "an alias": ("name: one", "name: &a one\nsummary: *a", "line 3: an alias"),
    "no YAML": ("name: one", "name: [", "line 4: while parsing"),
    "an unsafe number": (
        "    args:",
        "    args: {path: 99999999999999999999}\n    ignored:",
        "line 9: predicates.0.ignored: no such key",
    ),
}


@pytest.mark.proves("WL-4")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_named_with_its_line_and_what_was_expected(name: str) -> None:
    old, new, says = MISTAKES[name]
    assert FIRST.count(old) == 1

    assert refused(FIRST.replace(old, new)).startswith(says)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("artifact.digest, args: {path: /artifacts/a, cid: x}", "args.cid is not sha256:"),
        (
            "artifact.size_between, args: {path: /plan/a, at_least_bytes: 2, at_most_bytes: 1}",
            "is more than",
        ),
        (
            "artifact.count_at_least, args: {pattern: '/artifacts/{', count: 1}",
            "a brace that is no",
        ),
        (
            "artifact.count_at_least, args: {pattern: '/artifacts/{a}', count: 0}",
            "args.count is less than 1",
        ),
        (
            "json.schema_ok, args: {path: /artifacts/a, schema: {type: object, pattern: x}}",
            "args.schema: unknown keyword pattern",
        ),
        ("json.matches, args: {path: /artifacts/a, expression: 'a['}", "no JMESPath"),
        (
            "json.matches, args: {path: /artifacts/a, expression: 'join(a, b)'}",
            "function join is none of",
        ),
        (
            "json.matches, args: {path: /artifacts/a, expression: 'length(a, b)'}",
            "takes 1 argument(s), not 2",
        ),
        (
            "json.matches, args: {path: /plan/a, expression: '[@,@,@]|[@,@,@,@]|[@,@,@,@,@,@]'}",
            "72 copies",
        ),
        ("text.matches, args: {path: /artifacts/a, pattern: '(a'}", "no pattern of RE2: missing"),
        ("text.matches, args: {path: /artifacts/a, pattern: '(?=a)'}", "no pattern of RE2"),
        (
            "table.rows_between, args: {path: /a, format: x, at_least_rows: 1, at_most_rows: 1}",
            "none of csv",
        ),
        ("receipt.deterministic, args: {path: /artifacts/a}", "does not end with /receipt.json"),
        ("goal.satisfied, args: {goal: A}", "not of the form"),
        ("ledger.intact, args: {x: 1}", "unknown member"),
        ("words.at_least, args: {path: /artifacts/a, words: 0}", "args.words is less than 1"),
    ],
)
def test_arguments_are_checked_when_a_goal_is_read(args: str, says: str) -> None:
    extra = f"predicates:\n  - {{name: other, predicate: {args}}}\n"

    assert says in refused(FIRST.replace("predicates:\n", extra))


def test_a_file_has_a_size_and_an_encoding() -> None:
    assert "larger than" in refused(b"#" * (goal_file.FILE_BYTES_MAX + 1))
    assert "line 1: 'utf-8' codec" in refused(b"\xff")
    assert "line 1: goal: a JSON null; expected keys and values" in refused("")


def test_what_a_world_keeps_and_is_no_goal_is_corruption() -> None:
    for data in (b"{", b"[]", b"{}", b'{"schema":"v1"}'):
        with pytest.raises(ContractError) as caught:
            goals.parse(data)
        assert caught.value.reason == "world_corrupt"
