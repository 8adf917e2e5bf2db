"""Facts: a closed set of types, each with a version and a shape."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest

from orchestrator.world import facts, grammar
from processors.protocol.canonical import Json, canonical
from tests.fixtures import lives
from tests.fixtures.lives import ONE_OF_EACH, Data, output

DIGEST = "sha256:" + "a" * 64


def test_the_types_are_those_of_the_documentation_at_their_versions() -> None:
    assert facts.VERSIONS == {
        "world.created": 1,
        "artifact.put": 2,
        "artifact.removed": 1,
        "execution.requested": 1,
        "execution.refused": 1,
        "execution.admitted": 1,
        "execution.started": 1,
        "execution.outputs": 1,
        "execution.receipts": 1,
        "execution.settled": 1,
        "execution.abandoned": 1,
        "execution.reused": 1,
        "image.built": 1,
        "image.pushed": 1,
        "image.pinned": 1,
        "deployment.made": 1,
        "deployment.unchanged": 1,
        "deployment.stopped": 1,
        "secrets.sending": 1,
        "secrets.synced": 1,
        "goal.declared": 1,
        "goal.changed": 1,
        "goal.satisfied": 1,
        "predicate.regressed": 1,
        "budget.set": 1,
        "plan.proposed": 1,
        "plan.refused": 1,
        "transition.admitted": 1,
        "transition.refused": 1,
        "transition.settled": 1,
    }
    assert ONE_OF_EACH.keys() == facts.VERSIONS.keys()


@pytest.mark.parametrize("type_", ONE_OF_EACH)
def test_a_fact_of_the_shape_is_written_as_todays_version(type_: str) -> None:
    assert facts.check(type_, ONE_OF_EACH[type_]) == facts.VERSIONS[type_]
    assert facts.problem(type_, facts.VERSIONS[type_], ONE_OF_EACH[type_]) is None


@pytest.mark.parametrize("type_", ONE_OF_EACH)
def test_every_member_is_needed_and_no_other_is_taken(type_: str) -> None:
    data = ONE_OF_EACH[type_]
    for key in data:
        less = {name: item for name, item in data.items() if name != key}
        assert facts.problem(type_, facts.VERSIONS[type_], less) == f"{type_} lacks {key}"
    found = facts.problem(type_, facts.VERSIONS[type_], {**data, "note": "x"})
    assert found == f"{type_} has 1 member(s) that are not of the contract"


@pytest.mark.parametrize("type_", ONE_OF_EACH)
@pytest.mark.parametrize(
    "value", [1.5, -1, True, "", "\u2028", [1.5], {"a": 1.5}, 2**60], ids=ascii
)
def test_no_member_takes_just_anything(type_: str, value: Json) -> None:
    for key in ONE_OF_EACH[type_]:
        found = facts.problem(type_, facts.VERSIONS[type_], {**ONE_OF_EACH[type_], key: value})
        free = key in ("app", "function", "mime", "lane", "adapter") and value == "\u2028"
        flag = key == "override" and value is True
        assert (found is None) == (free or flag), key


@pytest.mark.parametrize(
    ("type_", "version"),
    [("world.created", 2), ("world.created", 0), ("goal.set", 1), ("", 1), ("WORLD.CREATED", 1)],
)
def test_an_unknown_type_or_version_is_a_problem(type_: str, version: int) -> None:
    found = facts.problem(type_, version, ONE_OF_EACH["world.created"])

    assert found is not None
    assert "no type of event" in found


def test_what_is_not_of_the_contract_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="no type of event"):
        facts.check("goal.set", {})
    with pytest.raises(ValueError, match="lacks world"):
        facts.check("world.created", {"format": 1})


@pytest.mark.parametrize(
    ("type_", "path", "value"),
    [
        ("artifact.put", ["path"], "/artifacts/a//b"),
        ("artifact.put", ["path"], "/artifacts/%61"),
        ("artifact.put", ["path"], "/artifacts/e\u0301"),
        ("artifact.put", ["path"], "/elsewhere/a"),
        ("artifact.put", ["cid"], "sha256:" + "A" * 64),
        ("artifact.put", ["cid"], "md5:" + "a" * 64),
        ("artifact.put", ["source"], {"goal": "Digest", "folder": "papers"}),
        ("artifact.put", ["source"], {"goal": "digest", "folder": ""}),
        ("artifact.removed", ["path"], "/artifacts/../a"),
        ("world.created", ["world"], "0" * 31),
        ("world.created", ["world"], "G" * 32),
        ("world.created", ["format"], 0),
        ("execution.requested", ["execution_id"], "-a"),
        ("execution.requested", ["ref"], "doc/extract"),
        ("execution.requested", ["mode"], "smoke"),
        ("execution.requested", ["write_prefix"], "/artifacts/a"),
        ("execution.requested", ["write_prefix"], "/artifacts/execution/e/"),
        ("execution.requested", ["artifacts"], {"Upper": lives.file("/artifacts/a")}),
        ("execution.requested", ["artifacts", "source", "cid"], "x"),
        ("execution.refused", ["error"], {"code": "ERR_OTHER", "reason": "x"}),
        ("execution.refused", ["error"], {"code": "ERR_INPUTS", "reason": "Not A Slug"}),
        ("execution.refused", ["error"], None),
        ("execution.admitted", ["question", "mode"], "dry"),
        ("execution.admitted", ["question", "override"], 1),
        ("execution.started", ["attempt"], 0),
        ("execution.started", ["memo", "parts"], [0.5]),
        ("execution.started", ["memo", "caf\u00e9"], 1),
        ("execution.started", ["image_digest"], "repo@" + DIGEST),
        ("execution.receipts", ["writer"], "someone"),
        ("execution.receipts", ["receipts"], []),
        ("execution.receipts", ["receipts"], [lives.file(f"/artifacts/{n}") for n in "abc"]),
        ("execution.settled", ["status"], "running"),
        ("execution.settled", ["attempt"], -1),
        ("image.built", ["ref"], "doc/extract"),
        ("image.built", ["digest"], "latest"),
        ("image.built", ["platforms"], []),
        ("image.built", ["platforms"], ["linux/arm64", "linux/amd64"]),
        ("image.built", ["platforms"], ["linux/amd64", 1]),
        ("image.pushed", ["kind"], "daemon"),
        ("image.pushed", ["repository"], ""),
        ("image.pinned", ["previous"], "latest"),
        ("image.pinned", ["digest"], None),
        ("goal.declared", ["name"], "Digest"),
        ("goal.declared", ["document", "path"], "/goals/other/goal.json"),
        ("goal.declared", ["must_hold"], []),
        ("goal.declared", ["must_hold"], ["two", "one"]),
        ("goal.declared", ["must_hold"], ["one", "one"]),
        ("goal.declared", ["must_hold"], ["one,two"]),
        ("goal.changed", ["replaces"], ONE_OF_EACH["goal.changed"]["document"]),
        ("goal.satisfied", ["proof", "path"], "/goals/digest/goal.json"),
        ("goal.satisfied", ["head", "count"], 0),
        ("goal.satisfied", ["proved"], []),
        ("predicate.regressed", ["value"], "true"),
        ("predicate.regressed", ["witness"], {"share": 0.5}),
        ("budget.set", ["goal"], "two\nlines"),
        ("budget.set", ["goal"], "x" * 256),
        ("plan.proposed", ["head", "count"], 0),
        ("plan.proposed", ["head", "hash"], "x"),
        ("plan.proposed", ["document", "path"], "/plan/../a"),
        ("plan.proposed", ["verdict"], {"accepted": True}),
        ("plan.refused", ["question", "path"], "/goals/digest/goal.json"),
        ("transition.admitted", ["writes"], []),
        ("transition.admitted", ["writes"], ["/plan/a/"]),
        ("transition.admitted", ["fence"], 0),
        ("transition.admitted", ["verdicts"], []),
        ("transition.admitted", ["verdicts"], [{"check": "lane", "reason": None}]),
        ("transition.refused", ["bound_micro_usd"], -1),
        ("transition.settled", ["outcome"], "lost"),
        ("transition.settled", ["effects"], ["/artifacts/b", "/artifacts/a"]),
        ("transition.settled", ["effects"], ["/artifacts/a", "/artifacts/a"]),
    ],
)
def test_a_value_outside_its_grammar_is_a_problem(type_: str, path: list[str], value: Json) -> None:
    data: Json = copy.deepcopy(ONE_OF_EACH[type_])
    at: Json = data
    for key in path[:-1]:
        assert isinstance(at, dict)
        at = at[key]
    assert isinstance(at, dict)
    at[path[-1]] = value

    assert facts.problem(type_, facts.VERSIONS[type_], data) is not None


def with_(type_: str, **members: Json) -> str | None:
    """What is wrong with a fact whose members are replaced."""
    return facts.problem(type_, facts.VERSIONS[type_], {**ONE_OF_EACH[type_], **members})


def test_outputs_are_sorted_and_each_is_named_once() -> None:
    one, two = (output(f"/artifacts/one/outputs/{name}") for name in "ab")

    assert with_("execution.outputs", outputs=[one, two]) is None
    assert with_("execution.outputs", outputs=[]) is None
    assert with_("execution.outputs", outputs=[two, one]) is not None
    assert with_("execution.outputs", outputs=[one, one]) is not None


@pytest.mark.parametrize("type_", ["execution.outputs", "execution.reused"])
def test_what_replaces_a_prefix_lies_under_it(type_: str) -> None:
    beside = "/artifacts/one-more/outputs/a"

    assert "not under the prefix" in str(with_(type_, outputs=[output(beside)]))
    assert "not under the prefix" in str(with_(type_, index=lives.file(beside)))
    assert "not under the prefix" in str(with_(type_, replaces="/artifacts/on/"))


def test_a_memo_key_is_the_digest_of_its_pre_image() -> None:
    memo: Data = {**lives.memo_of("k"), "mode": "real"}

    assert "not the digest" in str(with_("execution.started", memo=memo))
    assert "not the digest" in str(with_("execution.started", memo_key=DIGEST))


def test_status_error_and_attempt_do_not_contradict_each_other() -> None:
    error: Data = {"code": "ERR_INPUTS", "reason": "bad_json"}

    assert with_("execution.settled", status="error", error=error) is None
    assert with_("execution.settled", status="error", error=error, attempt=0) is None
    assert "contradict" in str(with_("execution.settled", status="error"))
    assert "contradict" in str(with_("execution.settled", error=error))
    assert "without an attempt" in str(with_("execution.settled", attempt=0))


def test_a_plan_lies_among_plans_and_its_verdict_does_not_contradict_itself() -> None:
    assert "not under /plan/" in str(with_("plan.proposed", document=lives.file("/goals/a")))
    for accepted, problem in ((True, "x"), (False, None)):
        verdict: Data = {"accepted": accepted, "problem": problem}
        assert "contradicts" in str(with_("plan.proposed", verdict=verdict))


def test_what_is_admitted_nothing_refuses_and_its_write_set_lies_apart() -> None:
    against: Data = {"check": "lane", "reason": "lane_mode", "inputs": {}}
    a, inside, beside = "/artifacts/a/", "/artifacts/a/b/", "/artifacts/a-/"

    assert "refuses it" in str(with_("transition.admitted", verdicts=[against]))
    assert with_("transition.admitted", writes=[beside, a]) is None
    for writes in ([a, beside], [a, a], [a, inside], [beside, a, inside]):
        assert "apart" in str(with_("transition.admitted", writes=list[Json](writes)))


def test_a_refusal_has_the_reason_of_the_first_check_that_refuses() -> None:
    for_it: Data = {"check": "plan", "reason": None, "inputs": {}}
    one: Data = {"check": "lane", "reason": "lane_mode", "inputs": {}}
    two: Data = {"check": "budget", "reason": "over_budget", "inputs": {}}
    refused = "transition.refused"

    assert with_(refused, reason="lane_mode", verdicts=[for_it, one, two]) is None
    assert "first check" in str(with_(refused, reason="over_budget", verdicts=[for_it, one, two]))
    assert "first check" in str(with_(refused, verdicts=[for_it]))


def test_a_transitions_outcome_error_and_effects_do_not_contradict_each_other() -> None:
    error: Data = {"code": "ERR_INPUTS", "reason": "bad_json"}
    settled = "transition.settled"

    assert with_(settled, outcome="error", error=error, effects=[]) is None
    assert with_(settled, outcome="abandoned", effects=[]) is None
    assert "contradict" in str(with_(settled, outcome="error", effects=[]))
    assert "contradict" in str(with_(settled, error=error))
    assert "without a success" in str(with_(settled, outcome="abandoned"))


def test_plain_json_has_no_floats_no_unsafe_integers_and_keys_in_ascii() -> None:
    deep: Json = "x"
    for _ in range(grammar.PLAIN_DEPTH_MAX):
        deep = [deep]

    assert grammar.is_plain([None, True, -(2**53) + 1, "\u2028\U0001f600", {"a": {"b": []}}])
    assert grammar.is_plain(deep)
    for value in (1.0, float("nan"), 2**53, [[0.5]], {"\u00e9": 1}, [deep]):
        assert not grammar.is_plain(value)


def test_a_change_of_a_goal_changes_it() -> None:
    document = ONE_OF_EACH["goal.changed"]["document"]
    assert isinstance(document, dict)

    assert "changes nothing" in str(with_("goal.changed", replaces=document["cid"]))


def test_no_fact_quotes_what_it_refuses() -> None:
    for type_, data in ONE_OF_EACH.items():
        for key in data:
            found = facts.problem(type_, facts.VERSIONS[type_], {**data, key: "hunter2-hunter2"})
            assert "hunter2" not in str(found)
    assert canonical(ONE_OF_EACH["execution.started"])


def test_the_documentation_lists_every_type_with_its_members() -> None:
    page = Path("docs/concepts/ledger.md").read_text()
    rows = re.findall(r"^\| `([a-z.]+)` \| `([a-z_ ]+)` \|", page, re.MULTILINE)

    assert {type_: members.split() for type_, members in rows} == {
        type_: list(data) for type_, data in ONE_OF_EACH.items()
    }
    later = {type_: version for type_, version in facts.VERSIONS.items() if version != 1}
    assert later == {"artifact.put": 2}
    assert "All are at version 1 but `artifact.put`, which is at 2" in " ".join(page.split())


def test_what_was_put_before_there_were_sources_is_still_a_fact() -> None:
    assert facts.problem("artifact.put", 1, output("/artifacts/a.txt")) is None
    assert facts.problem("artifact.put", 2, output("/artifacts/a.txt")) is not None
