"""What the planner answers."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from orchestrator.goals import closure
from orchestrator.goals.domain import AtLeast, DomainError, Exists, ForEach, Operator, Task
from orchestrator.goals.plan_checker import check
from orchestrator.goals.planner import NoPlan, Plan, Refused, encoded, plan
from tests.fixtures.plans import CHAT, EXTRACT, META, RAW, REPLY, TEXT, operator, task

MADE = "/artifacts/x/{n}/outputs/f"


def planned(asked: Task) -> Any:  # noqa: ANN401 - a document
    """The plan for a task, which the checker accepts and which is known to be the cheapest."""
    found = plan(asked)
    assert isinstance(found, Plan)
    assert found.minimal
    verdict = check(found.document, asked)
    assert verdict.accepted, (verdict.reason, verdict.where)
    return found.document


def refs(document: Any) -> list[str]:  # noqa: ANN401 - a document
    return [step["ref"] for step in document["steps"]]


def unreachable(asked: Task) -> Any:  # noqa: ANN401 - a document
    """The certificate for a task, which the checker accepts."""
    found = plan(asked)
    assert isinstance(found, NoPlan)
    verdict = check(found.document, asked)
    assert verdict.accepted, (verdict.reason, verdict.where)
    return found.document


def refused(asked: Task) -> str:
    found = plan(asked)
    assert isinstance(found, Refused)
    return found.reason


def work(asked: Task) -> int:
    """How many lines planning runs through, which is the same on a slow machine and a fast one."""
    ours = str(Path(closure.__file__).parent)
    lines = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - itself
        nonlocal lines
        lines += event == "line"
        return trace if frame.f_code.co_filename.startswith(ours) else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        plan(asked)
    finally:
        sys.settrace(before)
    return lines


@pytest.mark.proves("WL-7")
def test_a_fan_of_two_stages_is_planned_with_its_links() -> None:
    document = planned(task())

    assert document["steps"][2] == {
        "bindings": {"name": "a"},
        "cost_micro_usd": 5,
        "id": "s3",
        "inputs": {"in0": "/artifacts/text/a/outputs/text.md"},
        "operator": "llm/chat@1",
        "produces": ["/artifacts/chat/a/outputs/reply.md"],
        "ref": "llm/chat@1",
        "sources": {"in0": "s1"},
        "time_ms": 1_000,
        "write_prefix": "/artifacts/chat/a/",
    }
    assert [step["write_prefix"] for step in document["steps"]] == [
        "/artifacts/text/a/",
        "/artifacts/text/b/",
        "/artifacts/chat/a/",
        "/artifacts/chat/b/",
    ]
    assert (document["cost_micro_usd"], document["time_ms"], document["span_ms"]) == (
        14,
        2_200,
        1_100,
    )
    assert document["wants"][0]["sources"] == ["s3", "s4"]
    assert document["head"] == {"count": 7, "hash": "sha256:" + "ab" * 32}


def test_the_id_of_a_plan_is_the_digest_of_its_canonical_bytes() -> None:
    data, id_ = encoded(planned(task()))

    assert data.startswith(b'{"cost_micro_usd":14,"goal":"digest","head":')
    assert id_.startswith("sha256:")


def test_only_what_is_missing_is_planned() -> None:
    facts = ["/artifacts/raw/a.pdf", "/artifacts/raw/b.pdf", REPLY.format(name="a")]

    document = planned(task(facts=[*facts, TEXT.format(name="b")]))

    assert refs(document) == ["llm/chat@1"]
    assert document["steps"][0]["sources"] == {"in0": "world"}
    assert document["wants"][0]["sources"] == ["world", "s1"]
    assert refs(planned(task(facts=[*facts, REPLY.format(name="b")]))) == []


def test_what_a_step_makes_anew_is_taken_from_it_and_not_from_the_world() -> None:
    facts = ["/artifacts/raw/a.pdf", TEXT.format(name="a")]
    wants = [Exists(META.format(name="a")), Exists(REPLY.format(name="a"))]

    document = planned(task(wants, facts))

    assert refs(document) == ["doc/extract@1", "llm/chat@1"]
    assert document["steps"][1]["sources"] == {"in0": "s1"}


def test_the_cheaper_of_two_ways_is_taken_and_a_shared_step_is_paid_once() -> None:
    cheap = operator("llm/chat@2", [TEXT], [REPLY], cost=4)
    assert refs(planned(task(operators=[EXTRACT, CHAT, cheap]))) == [
        *["doc/extract@1"] * 2,
        *["llm/chat@2"] * 2,
    ]
    # Two single makers cost 3 each; one that makes both costs 5.
    both = operator("t/both@1", [], ["/artifacts/x/outputs/a", "/artifacts/x/outputs/b"], cost=5)
    use_a = operator("t/a@1", ["/artifacts/x/outputs/a"], ["/artifacts/ua/outputs/f"])
    own_a = operator("t/a@2", [], ["/artifacts/ua/outputs/f"], cost=4)
    use_b = operator("t/b@1", ["/artifacts/x/outputs/b"], ["/artifacts/ub/outputs/f"])
    own_b = operator("t/b@2", [], ["/artifacts/ub/outputs/f"], cost=4)
    wants = [Exists("/artifacts/ua/outputs/f"), Exists("/artifacts/ub/outputs/f")]

    document = planned(task(wants, [], [both, use_a, own_a, use_b, own_b]))

    assert refs(document) == ["t/both@1", "t/a@1", "t/b@1"]


def test_a_step_that_is_needed_anyway_makes_a_dearer_way_the_cheaper_one() -> None:
    """Found by trying everything: sums do not know what is paid already."""
    base = operator("t/base@1", [], ["/artifacts/b/outputs/f"], cost=4)
    on_base = operator("t/a@1", ["/artifacts/b/outputs/f"], ["/artifacts/a/outputs/f"], cost=1)
    alone = operator("t/a@2", [], ["/artifacts/a/outputs/f"], cost=4)
    wants = [Exists("/artifacts/a/outputs/f"), Exists("/artifacts/b/outputs/f")]

    assert planned(task(wants, [], [base, on_base, alone]))["cost_micro_usd"] == 5


def test_of_plans_that_cost_the_same_one_is_taken_whatever_the_order_of_operators() -> None:
    """The maker's name settles it, though the other set comes first by its write prefixes."""
    goal, *sources = (f"/artifacts/{name}/outputs/f" for name in "gyz")
    operators = [
        operator("t/a@1", [sources[1]], [goal]),
        operator("t/b@1", [sources[0]], [goal]),
        *(operator(f"t/{source[11]}@1", [], [source]) for source in sources),
    ]

    for listed in itertools.permutations(operators):
        assert refs(planned(task([Exists(goal)], [], listed))) == ["t/z@1", "t/a@1"]


def test_requirements_join_on_the_names_they_share() -> None:
    pair = operator(
        "t/pair@1", ["/artifacts/l/{x}", "/artifacts/r/{x}/{y}"], ["/artifacts/p/{x}/{y}/outputs/f"]
    )
    facts = ["/artifacts/l/a", "/artifacts/l/b", "/artifacts/r/a/1", "/artifacts/r/c/1"]

    document = planned(task([AtLeast("/artifacts/p/{x}/{y}/outputs/f", 1)], facts, [pair]))

    assert document["steps"][0]["bindings"] == {"x": "a", "y": "1"}
    certificate = unreachable(task([AtLeast("/artifacts/p/{x}/{y}/outputs/f", 2)], facts, [pair]))
    assert certificate["reachable"][0]["instances"] == [["a", "1"]]


def test_a_wildcard_of_requirements_alone_takes_the_smallest_value_that_exists() -> None:
    styled = operator("t/s@1", [TEXT, "/artifacts/style/{k}", "/artifacts/font/{k}"], [REPLY])
    facts = [TEXT.format(name="a"), *(f"/artifacts/{f}" for f in ("style/a", "style/c", "style/b"))]
    facts += ["/artifacts/font/c", "/artifacts/font/b", "/artifacts/raw/a.pdf"]

    document = planned(task(facts=facts, operators=[styled]))

    assert document["steps"][0]["bindings"] == {"k": "b", "name": "a"}


@pytest.mark.parametrize("where", ["/artifacts/lib/{v}/", "/artifacts/made/{v}/outputs/"])
def test_wildcards_that_nobody_shares_are_not_joined_with_each_other(where: str) -> None:
    """One requirement's values times the other's would be a square, to pick one pair of."""
    both = operator("t/a@1", [where + "a{p}", where + "b{q}"], ["/artifacts/m/outputs/f"])
    # What a step could write over is not safe, so all that may be handed over is looked at.
    other = operator("t/b@1", ["/artifacts/raw/{v}"], ["/artifacts/made/{v}/outputs/g"])

    def library(size: int) -> Task:
        facts = [where.format(v="v") + f"{kind}{n:03}" for n in range(size) for kind in "ab"]
        return task([Exists("/artifacts/m/outputs/f")], facts, [both, other])

    found = plan(library(20))
    assert isinstance(found, Plan)
    document: Any = found.document
    assert document["steps"][0]["bindings"] == {"p": "000", "q": "000", "v": "v"}
    assert work(library(200)) < 3 * work(library(100))


def test_the_values_of_many_wildcards_are_not_all_multiplied() -> None:
    place = "/artifacts/made/{v}/outputs/f"
    wanted = [place.replace("{v}", f"{{v{number}}}") for number in range(9)]
    asked = task(
        [Exists("/artifacts/all/outputs/f")],
        [f"/artifacts/raw/{letter}" for letter in "abcd"],
        [
            operator("t/make@1", ["/artifacts/raw/{v}"], [place]),
            operator("t/all@1", wanted, ["/artifacts/all/outputs/f"]),
        ],
    )

    found = plan(asked)

    assert isinstance(found, Plan)
    assert check(found.document, asked).accepted
    assert not found.minimal
    assert refs(found.document) == ["t/make@1", "t/all@1"]


def test_requirements_that_share_by_others_alone_are_joined_with_these_first() -> None:
    ends, pair = ["/artifacts/l/{v}", "/artifacts/r/{w}"], "/artifacts/pair/{v}/{w}"
    both = operator("t/a@1", [*ends, pair], ["/artifacts/m/outputs/f"])

    def library(size: int) -> Task:
        facts = [t.format(v=f"{n:03}", w=f"{n:03}") for n in range(size) for t in (*ends, pair)]
        return task([Exists("/artifacts/m/outputs/f")], facts, [both])

    assert planned(library(20))["steps"][0]["bindings"] == {"v": "000", "w": "000"}
    assert work(library(200)) < 3 * work(library(100))


def test_transitions_fix_what_is_used_and_in_which_order() -> None:
    cheap = operator("llm/chat@2", [TEXT], [REPLY], cost=0)
    operators = [EXTRACT, CHAT, cheap]

    document = planned(task(operators=operators, transitions=["doc/extract@1", "llm/chat@1"]))

    assert sorted(set(refs(document))) == ["doc/extract@1", "llm/chat@1"]
    assert document["transitions"] == ["doc/extract@1", "llm/chat@1"]
    backward = unreachable(task(operators=operators, transitions=["llm/chat@1", "doc/extract@1"]))
    assert backward["missing"] == REPLY.format(name="a")


def test_twice_the_transitions_are_twice_the_work_for_each_of_them() -> None:
    """What one transition makes is known to the later ones, and looked at where it is required."""

    def chain(length: int) -> Task:
        made = [f"/artifacts/w{place}/{{x}}/outputs/f" for place in range(length + 1)]
        steps = [operator(f"t/s{n}@1", [made[n]], [made[n + 1]]) for n in range(length)]
        names = [step.name for step in steps]
        return task([Exists("/artifacts/no/outputs/f")], [made[0].format(x="a")], steps, names)

    assert unreachable(chain(16))["reachable"][0]["instances"] == [["a"]]
    assert work(chain(16)) < 5 * work(chain(8))


def test_what_comes_first_by_transitions_is_not_taken_if_what_comes_later_is_cheaper() -> None:
    """Found by trying everything."""
    dear = operator("t/d@1", [], ["/artifacts/a/outputs/f"], cost=3)
    cheap = operator("t/a@1", [], ["/artifacts/a/outputs/f"], cost=0)
    wants = [Exists("/artifacts/a/outputs/f")]

    document = planned(task(wants, [], [dear, cheap], transitions=["t/d@1", "t/a@1"]))

    assert refs(document) == ["t/a@1"]


def test_a_count_is_reached_with_the_cheapest() -> None:
    other = operator("doc/extract@2", ["/artifacts/raw/{name}.html"], [TEXT, META], cost=1)
    facts = ["/artifacts/raw/a.pdf", "/artifacts/raw/b.html", "/artifacts/raw/c.html"]

    document = planned(task([AtLeast(TEXT, 2)], facts, [EXTRACT, other]))

    assert document["wants"][0]["facts"] == [TEXT.format(name="b"), TEXT.format(name="c")]
    assert len(planned(task([AtLeast(TEXT, 3)], facts, [EXTRACT, other]))["steps"]) == 3
    assert unreachable(task([AtLeast(TEXT, 4)], facts, [EXTRACT, other]))["missing"] is None


def test_a_count_that_needs_all_its_facts_is_weighed_with_the_rest() -> None:
    """Found by trying everything."""
    of_raw = operator("t/b@1", ["/artifacts/raw/{x}"], ["/artifacts/p/{x}/outputs/f"], cost=4)
    of_any = operator("t/d@1", ["/artifacts/p/{x}/outputs/f"], ["/artifacts/q/outputs/f"], cost=1)
    wants = [AtLeast("/artifacts/p/{x}/outputs/f", 1), Exists("/artifacts/q/outputs/f")]

    document = planned(task(wants, ["/artifacts/raw/b"], [of_raw, of_any]))

    assert document["cost_micro_usd"] == 5


@pytest.mark.parametrize("documents", [2, 60])
def test_what_is_counted_and_overwritten_is_made_up_for(documents: int) -> None:
    """Both make one folder, so the needed step replaces what was counted."""
    other = "/artifacts/text/{name}/outputs/other.md"
    also = operator("doc/other@1", [RAW], [other])
    facts = [f"/artifacts/raw/d{n:02}.pdf" for n in range(documents)]
    wants = [Exists(other.format(name="d00")), AtLeast(TEXT, 1)]

    asked = task(wants, [*facts, TEXT.format(name="d00")], [EXTRACT, also])
    found = plan(asked)

    assert isinstance(found, Plan)
    assert check(found.document, asked).accepted
    assert refs(found.document) == ["doc/other@1", "doc/extract@1"]
    assert found.minimal == (documents == 2)  # forty ways are searched, and no more


def test_what_else_could_be_counted_is_not_looked_at_if_enough_stays() -> None:
    """Found by what the closure would refuse: it would not end."""
    made = "/artifacts/text/{name}%s/outputs/text.md"
    grow = operator("t/a@1", [made % ""], [made % "x"])
    facts = ["/artifacts/raw/a.pdf", TEXT.format(name="b")]
    wants = [Exists(REPLY.format(name="a")), AtLeast(TEXT, 1)]

    assert len(planned(task(wants, facts, [EXTRACT, CHAT, grow]))["steps"]) == 2


@pytest.mark.parametrize("documents", [3, 60])
def test_what_is_wanted_and_exists_is_not_overwritten_where_there_is_another_way(
    documents: int,
) -> None:
    raw = [f"/artifacts/raw/x{number}" for number in range(documents)]
    mid, alt = "/artifacts/mid/{n}/outputs/{}", "/artifacts/alt/{n}/outputs/f"
    total = "/artifacts/sum/{n}/outputs/s"
    asked = task(
        [ForEach(total, "/artifacts/raw/{n}"), Exists("/artifacts/mid/x1/outputs/keep")],
        [*raw, "/artifacts/mid/x1/outputs/keep"],
        [
            operator("t/mid@1", ["/artifacts/raw/{n}"], [mid.replace("{}", "f")], cost=1),
            operator("t/alt@1", ["/artifacts/raw/{n}"], [alt], cost=5),
            operator("t/one@1", [mid.replace("{}", "f")], [total]),
            operator("t/two@1", [alt], [total]),
        ],
    )

    found = refs(planned(asked))

    assert found.count("t/alt@1") == 1
    assert found.count("t/mid@1") == documents - 1


def test_a_count_of_what_no_way_was_tried_to_is_not_decided() -> None:
    """Of ten ways to feed one step only the ninth could be the first."""
    operators = [
        operator("t/a@1", ["/artifacts/in/{v}/outputs/f", "/artifacts/raw/{n}"], [MADE]),
        operator(
            "t/b@1",
            [MADE.replace("{n}", "k"), "/artifacts/seed/{w}"],
            ["/artifacts/in/{w}/outputs/f"],
        ),
        operator("t/c@1", ["/artifacts/src/{w}"], ["/artifacts/in/{w}/outputs/f"]),
    ]
    facts = ["/artifacts/raw/k", "/artifacts/src/zz"]
    facts += [f"/artifacts/seed/a{number}" for number in range(9)]

    for want in (Exists(MADE.replace("{n}", "k")), AtLeast(MADE, 1)):
        assert refused(task([want], facts, operators)) == "undecided"


@pytest.mark.proves("F-5")
def test_no_plan_comes_with_all_that_can_be_reached() -> None:
    facts = ["/artifacts/raw/a.pdf", "/artifacts/raw/b.html"]

    certificate = unreachable(task([Exists(REPLY.format(name="b"))], facts))

    assert certificate["missing"] == REPLY.format(name="b")
    assert certificate["reachable"] == [
        {"instances": [["a"]], "names": ["name"], "operator": "doc/extract@1"},
        {"instances": [["a"]], "names": ["name"], "operator": "llm/chat@1"},
    ]


def test_steps_that_need_each_other_are_no_plan() -> None:
    one = operator("t/a@1", ["/artifacts/b/outputs/f"], ["/artifacts/a/outputs/f"])
    other = operator("t/b@1", ["/artifacts/a/outputs/f"], ["/artifacts/b/outputs/f"])

    unreachable(task([Exists("/artifacts/a/outputs/f")], [], [one, other]))


def test_a_plan_that_would_overwrite_what_it_relies_on_is_refused() -> None:
    kept = "/artifacts/text/a/outputs/notes.md"
    wants = [Exists(kept), Exists(TEXT.format(name="a"))]

    assert refused(task(wants, ["/artifacts/raw/a.pdf", kept])) == "overwritten"


def test_write_prefixes_never_meet() -> None:
    outer = operator("t/a@1", [], ["/artifacts/a/outputs/f"])
    inner = operator("t/b@1", [], ["/artifacts/a/b/outputs/f"])
    same = operator("t/c@1", [], ["/artifacts/a/outputs/g"])

    both = [Exists("/artifacts/a/outputs/f"), Exists("/artifacts/a/b/outputs/f")]
    assert refused(task(both, [], [outer, inner])) == "prefix_nested"
    twice = [Exists("/artifacts/a/outputs/f"), Exists("/artifacts/a/outputs/g")]
    assert refused(task(twice, [], [outer, same])) == "prefix_taken"


def test_a_domain_without_bounds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closure, "DERIVED_MAX", 1_000)
    made = "/artifacts/w/{x}%s/outputs/f"
    grow = [operator(f"t/{end}@1", [made % ""], [made % end]) for end in "ab"]

    asked = task([Exists("/artifacts/no/outputs/f")], ["/artifacts/w/x/outputs/f"], grow)

    assert refused(asked) == "unbounded"


def test_values_that_make_no_path_of_a_world_make_no_step() -> None:
    long = "x" * 250
    copy = operator("t/a@1", ["/artifacts/raw/{x}"], ["/artifacts/copy-of-{x}/outputs/f"])

    certificate = unreachable(
        task(
            [AtLeast("/artifacts/{y}/outputs/f", 2)],
            [f"/artifacts/raw/{long}", "/artifacts/raw/a"],
            [copy],
        )
    )

    assert certificate["reachable"][0]["instances"] == [["a"]]


@pytest.mark.parametrize("last", ["\ud7ff", "\U0010ffff"])
def test_a_template_may_end_in_any_character_before_its_wildcard(last: str) -> None:
    """No character comes behind the last one, and none that is text behind the other."""
    of_last = operator("t/a@1", [f"/artifacts/raw/{last}{{x}}"], ["/artifacts/p/{x}/outputs/f"])
    facts = ["/artifacts/raw/a", f"/artifacts/raw/{last}", f"/artifacts/raw/{last}a"]
    facts += ["/artifacts/raw/\ue000", "/artifacts/s/a"]
    wants = [AtLeast("/artifacts/p/{x}/outputs/f", 1), AtLeast(f"/artifacts/raw/{last}{{x}}", 1)]

    assert planned(task(wants, facts, [of_last]))["steps"][0]["bindings"] == {"x": "a"}
    assert unreachable(task([AtLeast("/artifacts/p/{x}/outputs/f", 2)], facts, [of_last]))


@pytest.mark.parametrize(
    ("reason", "requires", "produces"),
    [
        ("unbound_wildcard", [RAW], ["/artifacts/x/{other}/outputs/f"]),
        ("unbound_wildcard", [RAW], ["/artifacts/x/outputs/{name}"]),
        ("many_prefixes", [RAW], [TEXT, REPLY]),
        ("bad_product", [RAW], ["/artifacts/x/f"]),
        ("bad_product", [RAW], ["/artifacts/outputs/{name}/outputs/f"]),
        ("bad_product", [RAW], ["/artifacts/attached/{name}/outputs/f"]),
        ("bad_template", ["/artifacts/{a}{b}"], ["/artifacts/x/outputs/f"]),
        ("bad_template", ["/artifacts/{A}"], ["/artifacts/x/outputs/f"]),
        ("bad_template", ["/artifacts/a}"], ["/artifacts/x/outputs/f"]),
        ("bad_template", ["/nowhere/{a}"], ["/artifacts/x/outputs/f"]),
        ("bad_size", [RAW], []),
    ],
)
def test_an_operator_that_breaks_a_rule_is_refused(
    reason: str, requires: list[str], produces: list[str]
) -> None:
    with pytest.raises(DomainError) as caught:
        operator("t/a@1", requires, produces)

    assert caught.value.reason == reason


def test_a_task_that_breaks_a_rule_is_refused() -> None:
    def reason(**given: Any) -> str:
        with pytest.raises(DomainError) as caught:
            task(**given)
        return caught.value.reason

    other = Operator(
        ref=CHAT.ref, requires=CHAT.requires, produces=CHAT.produces, cost_micro_usd=0, time_ms=0
    )
    assert reason(operators=[CHAT, other]) == "repeated_operator"
    assert reason(transitions=["t/none@1"]) == "unknown_transition"
    assert reason(transitions=[CHAT.ref, CHAT.ref]) == "repeated_transition"
    with pytest.raises(DomainError, match="wildcard"):
        Exists(TEXT)
    with pytest.raises(DomainError, match="not given"):
        ForEach(TEXT, "/artifacts/a")
    with pytest.raises(DomainError, match="at least 1"):
        AtLeast(TEXT, 0)
