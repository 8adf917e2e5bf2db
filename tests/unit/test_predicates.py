"""What each predicate says of what lies there: true, false or error, and what it looked at."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path

import pytest

from orchestrator import schema_subset
from orchestrator.goals import goal as goals
from orchestrator.goals import judging, known, view
from orchestrator.goals.goal import Goal, Stated
from orchestrator.goals.judging import Verdict
from orchestrator.goals.predicate import Predicate
from orchestrator.goals.predicates import jmespath_bounded
from orchestrator.world import goal_facts
from orchestrator.world.chain import Event
from predicates import words
from processors.protocol import digests, paths
from processors.protocol.canonical import Json, canonical
from tests.simulators.snapshot import HEAD, MemorySnapshot

A = "/artifacts/a"


def stated(predicate: str, *, for_each: str | None = None, **args: Json) -> Stated:
    return Stated("it", predicate, goals.SUCCESS, for_each, args)


def judged(files: dict[str, bytes], predicate: str, **args: Json) -> Verdict:
    """The verdict, which stands and can be made again from its witness."""
    snapshot = MemorySnapshot(files)
    one = stated(predicate, **args)
    verdict = judging.judge(one, snapshot)
    assert judging.recheck(one, verdict, snapshot)
    assert judging.stands(verdict, snapshot)
    return verdict


def found(verdict: Verdict) -> Json:
    return verdict.witness["found"]


DIGEST = digests.of_bytes(b"x")
ROWS = {"at_least_rows": 2, "at_most_rows": 3}
SCHEMA: Json = {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}}
CASES: list[tuple[str, dict[str, Json], bytes | None, str]] = [
    ("artifact.exists", {}, b"", "true"),
    ("artifact.exists", {}, None, "false"),
    ("artifact.current", {}, None, "false"),
    ("artifact.digest", {"cid": DIGEST}, b"x", "true"),
    ("artifact.digest", {"cid": DIGEST}, b"y", "false"),
    ("artifact.digest", {"cid": DIGEST}, None, "false"),
    ("artifact.size_between", {"at_least_bytes": 1, "at_most_bytes": 2}, b"", "false"),
    ("artifact.size_between", {"at_least_bytes": 1, "at_most_bytes": 2}, b"x", "true"),
    ("artifact.size_between", {"at_least_bytes": 1, "at_most_bytes": 2}, b"xy", "true"),
    ("artifact.size_between", {"at_least_bytes": 1, "at_most_bytes": 2}, b"xyz", "false"),
    ("artifact.size_between", {"at_least_bytes": 0, "at_most_bytes": 2}, None, "false"),
    ("json.schema_ok", {"schema": SCHEMA}, b'{"n": 1}', "true"),
    ("json.schema_ok", {"schema": SCHEMA}, b'{"n": "1"}', "false"),
    ("json.schema_ok", {"schema": SCHEMA}, b'{"n": 1, "n": 2}', "false"),
    ("json.schema_ok", {"schema": SCHEMA}, b"n: 1", "false"),
    ("json.schema_ok", {"schema": SCHEMA}, b"\xff", "false"),
    ("json.schema_ok", {"schema": SCHEMA}, None, "false"),
    ("json.matches", {"expression": "n > `3`"}, b'{"n": 4}', "true"),
    ("json.matches", {"expression": "n > `3`"}, b'{"n": 3}', "false"),
    ("json.matches", {"expression": "n > `3`"}, b"{}", "false"),
    ("json.matches", {"expression": "n > `3`"}, b"", "false"),
    ("json.matches", {"expression": "n > `3`"}, None, "false"),
    ("json.matches", {"expression": "length(n) > `0`"}, b'{"n": [1]}', "true"),
    ("json.matches", {"expression": "length(n) > `0`"}, b"{}", "false"),
    ("json.matches", {"expression": "n"}, b'{"n": 4}', "error"),
    ("json.matches", {"expression": "n"}, b'{"n": [true]}', "error"),
    ("json.matches", {"expression": "n"}, b'{"n": true}', "true"),
    ("json.matches", {"expression": "floor(to_number(n)) > `0`"}, b'{"n": "inf"}', "false"),
    (
        "json.matches",
        {"expression": "max_by(n, &p).p > `0`"},
        b'{"n":[{"p":1},{"p":"a"}]}',
        "false",
    ),
    ("json.matches", {"expression": "n[::0] == `1`"}, b'{"n": [1]}', "false"),
    ("text.matches", {"pattern": "b+c"}, b"abbc", "true"),
    ("text.matches", {"pattern": "^b"}, b"ab", "false"),
    ("text.matches", {"pattern": "(?m)^b"}, b"a\nb", "true"),
    ("text.matches", {"pattern": "b"}, b"b\xff", "false"),
    ("text.matches", {"pattern": "b"}, None, "false"),
    ("table.rows_between", {"format": "csv", **ROWS}, b"a,b\nc,d\n", "true"),
    ("table.rows_between", {"format": "csv", **ROWS}, b'a,"b\nc"\r\nc,d', "true"),
    ("table.rows_between", {"format": "csv", **ROWS}, b"a,b\n", "false"),
    ("table.rows_between", {"format": "csv", **ROWS}, b"a,b\nc\nd,e\n", "false"),
    ("table.rows_between", {"format": "csv", **ROWS}, b"a\n\nb\n", "false"),
    ("table.rows_between", {"format": "csv", **ROWS}, b'a\n"b\n', "false"),
    ("table.rows_between", {"format": "csv", **ROWS}, b"x" * 200_000 + b",b\nc,d\n", "true"),
    ("table.rows_between", {"format": "csv_with_header", **ROWS}, b"h\na\nb\n", "true"),
    ("table.rows_between", {"format": "csv_with_header", **ROWS}, b"h\na\n", "false"),
    ("table.rows_between", {"format": "csv_with_header", **ROWS}, b"", "false"),
    ("table.rows_between", {"format": "jsonl", **ROWS}, b"{}\n{}\n", "true"),
    ("table.rows_between", {"format": "jsonl", **ROWS}, b"{}\n{}\n{}", "true"),
    ("table.rows_between", {"format": "jsonl", **ROWS}, b"{}\n\n{}", "false"),
    ("table.rows_between", {"format": "jsonl", **ROWS}, b"{}\n[]", "false"),
    ("table.rows_between", {"format": "jsonl", **ROWS}, b'{}\n{"a":"%s"}' % (b"x" * 2**20), "true"),
    ("table.rows_between", {"format": "jsonl", **ROWS}, b"{}\n" + b"," * 1_000_001, "error"),
    ("table.rows_between", {"format": "jsonl", **ROWS}, b"", "false"),
    ("table.rows_between", {"format": "jsonl", **ROWS}, b"\xff", "false"),
    ("words.at_least", {"words": 2}, b"two words", "true"),
    ("words.at_least", {"words": 3}, b"two words", "false"),
    ("words.at_least", {"words": 3}, None, "false"),
]


@pytest.mark.parametrize(("predicate", "args", "data", "value"), CASES)
def test_a_verdict_is_about_what_lies_at_the_path(
    predicate: str, args: dict[str, Json], data: bytes | None, value: str
) -> None:
    files = {} if data is None else {A: data}

    verdict = judged(files, predicate, path=A, **args)

    assert verdict.value == value
    cid = None if data is None else digests.of_bytes(data)
    [seen] = json.loads(canonical(verdict.witness["artifacts"]))
    assert (seen["path"], seen["cid"]) == (A, cid)


def test_every_predicate_is_tried_here_and_has_arguments_of_the_subset() -> None:
    tried = {case[0] for case in CASES}
    elsewhere = {
        "artifact.count_at_least",
        "receipt.deterministic",
        "ledger.intact",
        "goal.satisfied",
    }

    assert tried | elsewhere == set(known.names())
    for name in known.names():
        predicate = known.find(name)
        assert predicate is not None
        schema_subset.check(predicate.args, (name,))
        properties = predicate.args["properties"]
        assert isinstance(properties, dict)
        assert {*predicate.paths, *predicate.free} <= properties.keys()
        assert predicate.name == name
        assert predicate.summary


def test_a_path_that_may_be_left_out_is_left_out() -> None:
    either = Predicate("own.either", "x", {}, lambda _, __: (True, {}), paths=("path", "other"))

    assert either.bound({"path": "/artifacts/{n}"}, {"n": "a"}) == {"path": "/artifacts/a"}


MANY = {f"/artifacts/in/{n}.pdf": b"%d" % n for n in range(5)}


@pytest.mark.parametrize(
    ("count", "value", "seen", "whole"),
    [(1, "true", 1, []), (5, "true", 5, []), (6, "false", 5, ["/artifacts/in/{n}.pdf"])],
)
def test_counting_stops_where_it_is_enough(
    count: int, value: str, seen: int, whole: list[Json]
) -> None:
    files = {**MANY, "/artifacts/in/x.txt": b"", "/artifacts/in/deep/x.pdf": b""}

    verdict = judged(files, "artifact.count_at_least", pattern="/artifacts/in/{n}.pdf", count=count)

    assert (verdict.value, verdict.witness["whole"]) == (value, whole)
    artifacts = verdict.witness["artifacts"]
    assert isinstance(artifacts, list)
    assert len(artifacts) == seen


OUT = "/artifacts/out/{n}.txt"


def test_for_each_is_true_of_all_and_of_at_least_one() -> None:
    made = {f"/artifacts/out/{n}.txt": b"" for n in range(5)}
    rule = stated("artifact.exists", for_each="/artifacts/in/{n}.pdf", path=OUT)

    def value(files: dict[str, bytes]) -> str:
        snapshot = MemorySnapshot(files)
        verdict = judging.judge(rule, snapshot)
        assert judging.recheck(rule, verdict, snapshot)
        return verdict.value

    assert value({**MANY, **made}) == "true"
    assert value({**MANY, **{path: made[path] for path in list(made)[1:]}}) == "false"
    assert value(made) == "false"
    missing = MemorySnapshot({**MANY, **{path: made[path] for path in list(made)[2:]}})
    assert [args["path"] for args, _ in judging.unproved(rule, missing)] == list(made)[:2]
    assert [args["path"] for args, _ in judging.unproved(rule, MemorySnapshot(made))] == [OUT]
    assert list(judging.unproved(rule, MemorySnapshot({**MANY, **made}))) == []


def test_bytes_that_are_gone_or_too_many_are_an_error_with_a_reason() -> None:
    snapshot = MemorySnapshot({A: b"x"})
    snapshot.gone.add(DIGEST)
    for rule in (
        stated("artifact.exists", path=A),
        stated("text.matches", path=A, pattern="x"),
        stated("artifact.count_at_least", pattern="/artifacts/{n}", count=1),
    ):
        verdict = judging.judge(rule, snapshot)
        assert verdict.value == "error"
        assert "bytes_gone" in str(found(verdict))
        assert judging.recheck(rule, verdict, snapshot)
        assert not verdict.is_true
    large = MemorySnapshot({A: bytes(view.READ_BYTES_MAX + 1)})
    assert "too_large" in str(
        found(judging.judge(stated("text.matches", path=A, pattern="x"), large))
    )


def test_an_unknown_predicate_and_one_that_fails_are_errors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(_: object, __: object) -> object:
        raise ZeroDivisionError("secret")

    def leaving(_: object, __: object) -> object:
        sys.exit("secret")  # would end the program, with the status that it says

    assert "unknown_predicate" in str(found(judged({}, "made.up")))
    for judge, reason in (
        (broken, "it raised ZeroDivisionError"),
        (leaving, "it raised SystemExit"),
        (lambda _, __: 1, "it raised TypeError"),
        (lambda _, __: (1, {}), "not (bool, dict)"),
        (lambda _, __: (True, {"x": 0.5}), "not plain JSON"),
        (lambda _, __: (True, {"x": "\udc80"}), "not plain JSON"),
    ):
        own = known.own("own.bad", {"summary": "", "args": {}, "paths": [], "judge": judge})
        monkeypatch.setitem(known.OWN, "own.bad", own)
        verdict = judging.judge(stated("own.bad"), MemorySnapshot({}))
        assert verdict.value == "error"
        assert reason in str(found(verdict))
        assert "secret" not in str(found(verdict))


def test_a_predicate_cannot_change_what_a_goal_states(monkeypatch: pytest.MonkeyPatch) -> None:
    def meddling(args: dict[str, Json], _: object) -> object:
        args["list"] = args.pop("path")
        return True, {}

    own = known.own("own.meddling", {"summary": "", "args": {}, "paths": [], "judge": meddling})
    monkeypatch.setitem(known.OWN, "own.meddling", own)

    assert judged({}, "own.meddling", path=A).is_true


@pytest.mark.parametrize(
    "expression",
    ["[].[].[]", "sort_by(@, &@)", "[?@ == `[]`]", "map(&map(&length(@), @), @) == `[]`"],
)
def test_an_expression_ends(expression: str) -> None:
    document = json.dumps([[["a"] * 20] * 20] * 20).encode()

    assert judged({A: document}, "json.matches", path=A, expression=expression).value != "true"


def test_an_expression_that_takes_too_long_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jmespath_bounded, "STEPS_MAX", 1_000)
    document = json.dumps([0] * 1_000).encode()

    verdict = judged({A: document}, "json.matches", path=A, expression="map(&(@ && @), @)")

    assert "too_costly" in str(found(verdict))


@pytest.mark.parametrize("pattern", ["(a*)*b", "(a|aa)+$", "((a+)+)+c", "(?:a?){50}a{50}b"])
def test_a_pattern_takes_linear_time(pattern: str) -> None:
    """Each of these takes re longer than anybody waits."""
    assert judged({A: b"a" * 10_000}, "text.matches", path=A, pattern=pattern).value != "error"


PREFIX = "/artifacts/text/a/"
RECEIPT = PREFIX + "receipt.json"


def settled(prefix: str = PREFIX, name: str = "e-1", **changes: Json) -> dict[str, bytes]:
    """What lies there after a success: an output, the index and both receipts."""
    path, data = prefix + "outputs/text.md", b"words"
    outputs: Json = [
        {"path": path, "cid": digests.of_bytes(data), "size_bytes": 5, "mime": "text/markdown"}
    ]
    receipt = canonical(
        {
            "writer": "processor",
            "status": "success",
            "outputs": outputs,
            "volatile": {"execution_id": name},
            **changes,
        }
    )
    return {
        path: data,
        paths.index_path(prefix): canonical({"schema": "v1", "outputs": outputs}),
        paths.receipt_path(prefix): receipt,
        paths.determinism_path(name): receipt,
    }


def test_a_receipt_is_a_processors_of_a_success_and_names_what_lies_there() -> None:
    good = settled()

    def value(files: dict[str, bytes]) -> tuple[str, Json]:
        verdict = judged(files, "receipt.deterministic", path=RECEIPT)
        return verdict.value, found(verdict)

    assert value(good) == ("true", {"outputs": 1})
    assert value({}) == ("false", {"why": "no_outputs"})
    assert value(settled(writer="supervisor")) == ("false", {"why": "no_success"})
    assert value(settled(status="error")) == ("false", {"why": "no_success"})
    assert value(settled(outputs=[])) == ("false", {"why": "outputs_differ"})
    assert value({**good, PREFIX + "outputs/text.md": b"other"})[1] == {"why": "outputs_differ"}
    assert value({**good, paths.determinism_path("e-1"): b"{}"})[1] == {"why": "copies_differ"}
    assert value({**good, RECEIPT: b"no JSON"})[1] == {"why": "copies_differ"}


def test_what_was_made_from_something_else_than_lies_there_is_not_current() -> None:
    made, source = PREFIX + "outputs/text.md", "/artifacts/raw/a"
    snapshot = MemorySnapshot({made: b"words", source: b"first"})
    artifact = snapshot.artifact(made)
    assert artifact is not None
    first = digests.of_bytes(b"first")
    given: Json = {"source": {"path": source, "cid": first, "size_bytes": 5}}
    own: dict[str, Json] = {"execution_id": "e-1"}
    snapshot.events[artifact.seq] = Event(artifact.seq, "execution.outputs", 1, "", own, b"")
    asked: dict[str, Json] = {"artifacts": given}
    snapshot.requests["e-1"] = Event(1, "execution.requested", 1, "", asked, b"")

    def value() -> tuple[str, Json]:
        rule = stated("artifact.current", path=made)
        verdict = judging.judge(rule, snapshot)
        assert judging.recheck(rule, verdict, snapshot)
        return verdict.value, found(verdict)

    assert value() == ("true", {"sources": 1})
    stale = ("false", {"why": "stale", "source": source, "made_from": first})
    snapshot.put(source, b"other")
    assert value() == stale
    snapshot.remove(source)
    assert value() == ("false", {"why": "source_gone", "source": source, "made_from": first})
    snapshot.events[artifact.seq] = Event(artifact.seq, "artifact.put", 2, "", {}, b"")
    assert value() == ("true", {"sources": 0})


def test_where_contents_were_taken_over_the_receipt_of_their_origin_counts() -> None:
    first = settled("/artifacts/text/first/", "e-1")
    second = settled()
    del second[RECEIPT]
    del second[paths.determinism_path("e-1")]
    snapshot = MemorySnapshot({**first, **second})
    index = snapshot.artifact(paths.index_path(PREFIX))
    assert index is not None
    rule = stated("receipt.deterministic", path=RECEIPT)
    for type_, value in (("execution.reused", "true"), ("execution.outputs", "false")):
        data: dict[str, Json] = {"origin": "e-1"}
        snapshot.events[index.seq] = Event(index.seq, type_, 1, "", data, b"")
        verdict = judging.judge(rule, snapshot)
        assert verdict.value == value
        assert judging.recheck(rule, verdict, snapshot)


def test_the_ledger_is_judged_as_it_is_at_that_moment() -> None:
    snapshot = MemorySnapshot({})
    whole = judging.judge(stated("ledger.intact"), snapshot)
    snapshot.wrong = "event 3: its body is not canonical"
    broken = judging.judge(stated("ledger.intact"), snapshot)

    assert (whole.value, broken.value) == ("true", "false")
    assert found(whole) == {"count": HEAD.count, "hash": HEAD.hash}


def goal(name: str, *predicates: Stated) -> tuple[str, bytes]:
    """A goal as a world keeps it."""
    items: list[Json] = [one.as_json() for one in predicates]
    document: dict[str, Json] = {"schema": "v1", "name": name, "summary": name}
    rest: dict[str, Json] = {
        "budget_micro_usd": 0,
        "processors": None,
        "transitions": [],
        "use": {},
    }
    return goal_facts.goal_path(name), Goal({**document, **rest, "predicates": items}).encode()


def test_a_goal_of_goals_is_judged_through_to_the_artifacts() -> None:
    base = goal("base", stated("artifact.exists", path=A))
    files = dict([base, goal("top", stated("goal.satisfied", goal="base"))])

    assert judged({**files, A: b""}, "goal.satisfied", goal="top").value == "true"
    missing = judged(files, "goal.satisfied", goal="top")
    assert missing.value == "false"
    artifacts = missing.witness["artifacts"]
    assert isinstance(artifacts, list)
    assert len(artifacts) == 3
    assert judged({}, "goal.satisfied", goal="top").value == "false"


def test_goals_that_rest_on_each_other_are_an_error() -> None:
    one = goal("one", stated("goal.satisfied", goal="two"))
    two = goal("two", stated("goal.satisfied", goal="one"))
    chain = dict(goal(f"g{n}", stated("goal.satisfied", goal=f"g{n + 1}")) for n in range(40))

    assert "cycle" in str(found(judged(dict([one, two]), "goal.satisfied", goal="one")))
    assert "too_many" in str(found(judged(chain, "goal.satisfied", goal="g0")))
    assert "bytes_gone" in str(
        found(judged({goal_facts.goal_path("x"): b"{"}, "goal.satisfied", goal="x"))
    )


def test_a_goal_that_many_rest_on_is_judged_once() -> None:
    lowest = stated("artifact.count_at_least", pattern="/artifacts/{x}", count=1)
    twice = [stated("goal.satisfied", goal=f"g{n + 1}") for n in range(10)]
    files = dict([goal("g10", lowest), *(goal(f"g{n}", one, one) for n, one in enumerate(twice))])
    snapshot = MemorySnapshot({**files, A: b""})
    one = stated("goal.satisfied", goal="g0")

    verdict = judging.judge(one, snapshot)

    assert verdict.value == "true"
    assert snapshot.asked.count("/artifacts/") == 1
    assert judging.recheck(one, verdict, snapshot)


def test_the_guides_example_is_the_one_that_is_there_and_runs() -> None:
    page = Path("docs/guides/predicates.md").read_text()
    shown, table, tried = re.findall(r"```python\n(.*?)```", page, re.DOTALL)

    assert shown == inspect.getsource(words.at_least)
    assert inspect.getsource(words).endswith(table)
    exec(tried, {})  # noqa: S102 - the guide's own lines, as they stand there


def test_the_reference_lists_every_predicate() -> None:
    page = Path("docs/reference/predicates.md").read_text()

    assert [name for name in known.names() if f"`{name}`" not in page] == []
