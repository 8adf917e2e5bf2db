"""The planner against trying everything, and against the checker."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import assume, event, example, given, note, settings
from hypothesis import strategies as st

from orchestrator.goals.domain import (
    AtLeast,
    Exists,
    ForEach,
    Operator,
    Task,
    Want,
)
from orchestrator.goals.plan_checker import check
from orchestrator.goals.planner import NoPlan, Plan, Refused, encoded, plan
from processors.protocol.canonical import Json
from tests.property.brute_force import (
    Answer,
    TooLargeError,
    is_plan,
    is_reachable,
    reached,
    written,
)
from tests.property.profile import searched

HEAD = (3, "sha256:" + "0" * 64)
NAMES = "abc"
RAW = ["/artifacts/raw/{x}", "/artifacts/raw/{y}", "/artifacts/raw/a", "/artifacts/in/{x}.pdf"]
PRODUCTS = [
    ("/artifacts/p/{x}/outputs/f",),
    ("/artifacts/p/{x}/outputs/g",),
    ("/artifacts/p/{x}/outputs/f", "/artifacts/p/{x}/outputs/g"),
    ("/artifacts/p/{y}/outputs/f",),
    ("/artifacts/p/a/outputs/f",),
    ("/artifacts/q/{x}/outputs/{x}.f",),
    ("/artifacts/q/all/outputs/f",),
    ("/artifacts/r/{x}/{y}/outputs/f",),
    ("/artifacts/r/{x}/{x}/outputs/f", "/artifacts/r/{x}/{x}/outputs/g"),
    ("/artifacts/p/{x}/sub/outputs/f",),
]
MADE = sorted({template for group in PRODUCTS for template in group})
# Templates that also exist without having been made, as what an earlier plan left.
FACTS = [
    template.replace("{x}", x).replace("{y}", y)
    for template in [*RAW, *MADE]
    for x in NAMES
    for y in NAMES
]

REFS = ["t/a@1", "t/b@1", "t/c@1", "t/d@1"]


@st.composite
def operators(draw: st.DrawFn, ref: str) -> Operator:
    """An operator whose products are bound."""
    produces = draw(st.sampled_from(PRODUCTS))
    needed = [
        draw(st.sampled_from([each for each in [*RAW, *MADE] if name in each]))
        for name in ("{x}", "{y}")
        if name in produces[0]
    ]
    more = draw(st.lists(st.sampled_from([*RAW, *MADE]), max_size=2))
    requires = dict.fromkeys([*needed, *more])
    cost = draw(st.integers(0, 4))
    return Operator(
        ref=ref,
        requires=tuple((f"i{n}", template) for n, template in enumerate(requires)),
        produces=produces,
        cost_micro_usd=cost,
        time_ms=cost + 1,
    )


def wants(operators: list[Operator]) -> st.SearchStrategy[Want]:
    """What may be wanted: mostly what some operator makes."""
    made = [template for each in operators for template in each.produces]
    paths = [template.replace("{x}", x).replace("{y}", "a") for template in made for x in "ab"]
    return st.one_of(
        st.builds(Exists, st.sampled_from(paths)),
        st.builds(Exists, st.sampled_from(sorted(set(FACTS)))),
        st.builds(
            ForEach,
            st.sampled_from([template for template in made if "{y}" not in template] or made[:1]),
            st.sampled_from(["/artifacts/raw/{x}", "/artifacts/in/{x}.pdf", "/artifacts/{y}/{x}"]),
        )
        if any("{y}" not in template for template in made)
        else st.just(Exists("/artifacts/raw/a")),
        st.just(ForEach("/artifacts/r/{x}/{y}/outputs/f", "/artifacts/p/{x}/outputs/{y}")),
        st.builds(AtLeast, st.sampled_from([*made, RAW[0]]), st.integers(1, 3)),
    )


@st.composite
def tasks(draw: st.DrawFn) -> Task:
    """A small domain and what is wanted of it."""
    declared = [draw(operators(ref)) for ref in REFS[: draw(st.integers(1, 4))]]
    spelled = draw(st.integers(0, 2))  # 1: the goal spells them out; 2: all are of one processor
    if spelled == 2:
        declared = [
            Operator(
                ref=REFS[0],
                requires=each.requires,
                produces=each.produces,
                cost_micro_usd=each.cost_micro_usd,
                time_ms=each.time_ms,
                number=at,
            )
            for at, each in enumerate(declared, 1)
        ]
    raw = st.sampled_from(["/artifacts/raw/a", "/artifacts/raw/b", "/artifacts/in/b.pdf"])
    task = Task(
        goal="g",
        head=HEAD,
        operators=declared,
        facts=draw(st.lists(raw | st.sampled_from(FACTS), max_size=5)),
        wants=draw(st.lists(wants(declared), min_size=1, max_size=2)),
        transitions=draw(st.permutations([each.name for each in declared])) if spelled else None,
    )
    note(f"{task.operators} {task.facts.sorted} {task.wants} {task.transitions}")
    return task


def overwritten_count() -> Task:
    """What is counted exists, until a step that is needed writes over it."""
    text, other = (f"/artifacts/text/{{n}}/outputs/{name}.md" for name in ("text", "other"))
    declared = [
        Operator(
            ref=ref,
            requires=(("i", "/artifacts/raw/{n}.pdf"),),
            produces=(product,),
            cost_micro_usd=1,
            time_ms=1,
        )
        for ref, product in zip(REFS, (text, other), strict=False)
    ]
    raw = ["/artifacts/raw/a.pdf", "/artifacts/raw/b.pdf"]
    return Task(
        goal="g",
        head=HEAD,
        operators=declared,
        facts=[*raw, text.replace("{n}", "a")],
        wants=[Exists(other.replace("{n}", "a")), AtLeast(text, 1)],
    )


wide = settings(searched, max_examples=1_000)


@pytest.mark.proves("WL-7", "F-5")
@wide
@given(tasks())
@example(overwritten_count())
def test_trying_everything_finds_no_other_answer_and_no_cheaper_plan(task: Task) -> None:
    try:
        expected = Answer(task, NAMES)
    except TooLargeError:
        assume(False)  # noqa: FBT003 - it is the name of the thing
        return

    found = plan(task)

    event(type(found).__name__)
    if not expected.reachable:
        assert isinstance(found, NoPlan)
    elif expected.best is None:
        assert isinstance(found, Refused)
    else:
        assert isinstance(found, Plan)
        assert found.minimal
        steps = found.document["steps"]
        assert isinstance(steps, list)
        assert (found.document["cost_micro_usd"], len(steps)) == expected.best


@pytest.mark.proves("WL-7", "F-5")
@wide
@given(tasks())
@example(overwritten_count())
def test_the_checker_accepts_every_answer(task: Task) -> None:
    found = plan(task)

    if not isinstance(found, Refused):
        verdict = check(found.document, task)
        assert verdict.accepted, (verdict.reason, verdict.where)
        assert verdict.claim == ("plan" if isinstance(found, Plan) else "no_plan")
        assert check(json.loads(encoded(found.document)[0]), task).accepted


@pytest.mark.proves("WL-7", "F-5")
@searched
@given(tasks(), st.randoms(use_true_random=False))
def test_the_checker_accepts_exactly_what_the_rules_call_a_plan(task: Task, random: Random) -> None:
    steps, _ = reached(task, set(task.facts), NAMES)
    subsets = [
        tuple(random.sample(steps, random.randint(0, min(4, len(steps))))) for _ in range(30)
    ]

    for chosen in subsets:
        verdict = check(written(task, chosen), task)
        event(f"{verdict.reason}")
        assert verdict.accepted == is_plan(task, chosen), (verdict.reason, verdict.where)


def broken(document: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """Every document that differs in one place."""
    for place, holder in list(places(document)):
        here = holder[place]
        for value in others(here):
            holder[place] = value
            yield document
        holder[place] = here
    for holder in list(holders(document)):
        if isinstance(holder, dict):
            for key in list(holder):
                value = holder.pop(key)
                yield document
                holder[key] = value
            holder["more"] = None
            yield document
            del holder["more"]
        else:
            kept = list(holder)
            for n in range(len(kept)):
                for listed in (
                    kept[:n] + kept[n + 1 :],
                    [*kept[: n + 1], *kept[n:]],
                    [*kept[:n], *reversed(kept[n : n + 2]), *kept[n + 2 :]],
                ):
                    if listed != kept:
                        holder[:] = listed
                        yield document
            holder[:] = kept


def holders(value: Any) -> Iterator[Any]:  # noqa: ANN401 - any JSON
    """Every object and array in a document."""
    if isinstance(value, dict | list):
        yield value
        for each in list(value.values() if isinstance(value, dict) else value):
            yield from holders(each)


def places(document: Any) -> Iterator[tuple[Any, Any]]:  # noqa: ANN401 - any JSON
    """Every value in a document, as a key of what holds it."""
    for holder in holders(document):
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            yield key, holder


def others(value: Json) -> list[Json]:
    """Values of the same and of other kinds."""
    if isinstance(value, bool) or value is None:
        return [0, "world", [], {}]
    if isinstance(value, int):
        return [value + 1, -value - 1, bool(value), float(value), str(value), None]
    if isinstance(value, str):
        near: list[Json] = [
            value + "x",
            value[:-1],
            "",
            value.upper() + "/",
            "world",
            "s1",
            None,
            1,
        ]
        return [each for each in near if each != value]
    # An instance more may leave a closed set as closed, so an empty list gets none.
    return [None, 1, "world", {"a": value}, *([[value]] if value else [])]


def holds_as_well(document: Any, found: Plan | NoPlan, task: Task) -> bool:  # noqa: ANN401
    """Whether a document that differs from an answer proves the same thing.

    A certificate may: it lists a closed set without some want, and there can be several of either.
    A plan is written down in one way.
    """
    if not isinstance(found, NoPlan) or not isinstance(document, dict):
        return False
    free = ("missing", "reachable", "want")
    asked = [
        json.dumps({key: value for key, value in each.items() if key not in free}, sort_keys=True)
        for each in (document, found.document)
    ]
    want = next((each for each in task.wants if each.document() == document.get("want")), None)
    if want is None or asked[0] != asked[1]:
        return False
    _, closed = reached(task, set(task.facts), NAMES)
    return document.get("missing") not in closed and not is_reachable(task, want, NAMES)


@pytest.mark.proves("WL-7", "F-5")
@searched
@given(tasks())
def test_the_checker_rejects_whatever_differs_in_one_place(task: Task) -> None:
    found = plan(task)
    assume(not isinstance(found, Refused))
    assert not isinstance(found, Refused)
    document = copy.deepcopy(found.document)
    before = encoded(document)

    for mutant in broken(document):
        verdict = check(mutant, task)
        assert not verdict.accepted or holds_as_well(mutant, found, task), mutant
        assert verdict.accepted or verdict.reason

    assert encoded(document) == before


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@pytest.mark.proves("WL-7")
@searched
@given(tasks(), st.randoms(use_true_random=False), junk)
def test_the_checker_never_raises(task: Task, random: Random, value: Json) -> None:
    found = plan(task)
    assume(not isinstance(found, Refused))
    assert not isinstance(found, Refused)
    document = copy.deepcopy(found.document)
    spots = list(places(document))
    for key, holder in random.sample(spots, min(2, len(spots))):
        holder[key] = value

    verdict = check(document, task)

    same = json.dumps(document) == json.dumps(found.document)
    if same:
        assert verdict.accepted
    else:
        assert not verdict.accepted or holds_as_well(document, found, task)
    assert not check(value, task).accepted


@pytest.mark.proves("WL-7")
@searched
@given(tasks(), st.randoms(use_true_random=False))
def test_the_order_in_which_a_task_is_written_down_is_nothing(task: Task, random: Random) -> None:
    def shuffled[T](values: Any) -> list[T]:  # noqa: ANN401 - a tuple or what iterates like one
        listed = list(values) * 2
        random.shuffle(listed)
        return listed

    other = Task(
        goal=task.goal,
        head=task.head,
        operators=shuffled(task.operators),
        facts=shuffled(task.facts),
        wants=shuffled(task.wants),
        transitions=task.transitions,
    )
    one, two = plan(task), plan(other)

    assert type(one) is type(two)
    if isinstance(one, Refused):
        assert isinstance(two, Refused)
        assert (one.reason, one.message) == (two.reason, two.message)
    else:
        assert not isinstance(two, Refused)
        assert encoded(one.document) == encoded(two.document)


PROGRAM = """
from orchestrator.goals.domain import AtLeast, ForEach, Operator, Task
from orchestrator.goals.planner import encoded, plan

def operator(ref, requires, produces, cost):
    named = tuple((f"i{n}", template) for n, template in enumerate(requires))
    return Operator(ref=ref, requires=named, produces=produces, cost_micro_usd=cost, time_ms=1)

text, chat = "/artifacts/text/{n}/outputs/", "/artifacts/chat/{n}/outputs/"
operators = [
    operator("t/text@1", ["/artifacts/raw/{n}"], (text + "a", text + "b"), 3),
    operator("t/text@2", ["/artifacts/raw/{n}"], (text + "a",), 3),
    operator("t/chat@1", [text + "a", "/artifacts/raw/{k}"], (chat + "r",), 1),
    operator("t/chat@2", [text + "a", text + "b"], (chat + "r",), 1),
]
for goal in [ForEach(chat + "r", "/artifacts/raw/{n}"), AtLeast(chat + "r", 7)]:
    task = Task(
        goal="g",
        head=(1, "h"),
        operators=operators,
        facts=[f"/artifacts/raw/{n}" for n in range(9)],
        wants=[goal, AtLeast(text + "b", 4)],
    )
    print(encoded(plan(task).document)[1])
"""


@pytest.mark.proves("WL-7")
def test_the_hash_seed_is_nothing() -> None:
    seen = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": str(seed), "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in range(5)
    }

    assert len(seen) == 1
    assert seen.pop().count(b"sha256:") == 2
