"""What the checker rejects, each for its own reason, and what it is made of."""

from __future__ import annotations

import ast
import copy
import inspect
import json
from collections.abc import Callable
from typing import Any

import pytest

from orchestrator.goals import domain, plan_checker
from orchestrator.goals.domain import AtLeast, Exists, Task
from orchestrator.goals.plan_checker import check
from orchestrator.goals.planner import Refused, plan
from tests.fixtures.plans import META, REPLY, TEXT, operator, task

type Break = Callable[[Any], object]


def answer(asked: Task) -> Any:  # noqa: ANN401 - a document
    found = plan(asked)
    assert not isinstance(found, Refused)
    return copy.deepcopy(found.document)


@pytest.mark.proves("WL-7", "F-5")
@pytest.mark.parametrize(
    ("reason", "spoil"),
    [
        ("bad_schema", lambda it: it.update(schema="plan/v2")),
        ("bad_shape", lambda it: it.update(more=1)),
        ("wrong_goal", lambda it: it.update(goal="other")),
        ("wrong_head", lambda it: it["head"].update(count=8)),
        ("wrong_transitions", lambda it: it.update(transitions=[])),
        ("unknown_operator", lambda it: it["steps"][0].update(operator="doc/extract@2")),
        ("wrong_ref", lambda it: it["steps"][0].update(ref="doc/extract@2")),
        ("bad_id", lambda it: it["steps"][0].update(id="s2")),
        ("bad_bindings", lambda it: it["steps"][0].update(bindings={"name": "a/b"})),
        ("bad_bindings", lambda it: it["steps"][0].update(bindings={"name": ""})),
        ("wrong_prefix", lambda it: it["steps"][0].update(bindings={"name": "c"})),
        ("wrong_inputs", lambda it: it["steps"][0]["inputs"].update(in0="/artifacts/raw/b.pdf")),
        ("wrong_products", lambda it: it["steps"][0]["produces"].pop()),
        ("wrong_cost", lambda it: it["steps"][0].update(cost_micro_usd=2.0)),
        ("wrong_time", lambda it: it["steps"][0].update(time_ms=0)),
        ("not_in_world", lambda it: it["steps"][2]["sources"].update(in0="world")),
        ("not_made_before", lambda it: it["steps"][2]["sources"].update(in0="s2")),
        ("not_made_before", lambda it: it["steps"][0]["sources"].update(in0="s3")),
        ("want_not_proved", lambda it: [each.pop() for each in each_want(it)]),
        ("not_made_before", lambda it: it["wants"][0].update(sources=["s4", "s3"])),
        ("wrong_want", lambda it: it["wants"][0]["want"].update(template=TEXT)),
        ("wrong_total", lambda it: it.update(cost_micro_usd=13)),
        ("wrong_total", lambda it: it.update(span_ms=2_200)),
    ],
)
def test_a_plan_is_rejected_for(reason: str, spoil: Break) -> None:
    document = answer(task())
    assert check(document, task()).accepted

    spoil(document)

    assert check(document, task()).reason == reason


def each_want(document: Any) -> list[list[str]]:  # noqa: ANN401 - a document
    return [document["wants"][0]["facts"], document["wants"][0]["sources"]]


@pytest.mark.proves("WL-7")
def test_a_plan_is_for_one_task_alone() -> None:
    document = answer(task())
    other = domain.Task(
        goal="digest", head=(8, "h"), operators=task().operators, facts=(), wants=task().wants
    )

    assert check(document, other).reason == "wrong_head"
    fewer = task(facts=["/artifacts/raw/a.pdf"])
    assert check(document, fewer).reason == "want_not_proved"
    backward = task(transitions=["llm/chat@1", "doc/extract@1"])
    document["transitions"] = ["llm/chat@1", "doc/extract@1"]
    assert check(document, backward).reason == "against_transitions"


@pytest.mark.proves("WL-7")
def test_a_step_that_nothing_takes_from_is_rejected() -> None:
    document = answer(task([Exists(TEXT.format(name="a")), Exists(META.format(name="b"))]))
    document["wants"] = document["wants"][:1]

    found = check(document, task([Exists(TEXT.format(name="b"))]))
    assert found.reason == "wrong_want"
    wanted = document["wants"][0]["want"]["exists"]
    assert check(document, task([Exists(wanted)])).reason == "unjustified_step"


@pytest.mark.proves("WL-7")
def test_what_a_step_overwrites_is_not_taken_from_the_world() -> None:
    facts = ["/artifacts/raw/a.pdf", TEXT.format(name="a")]
    asked = task([Exists(META.format(name="a")), Exists(REPLY.format(name="a"))], facts)
    document = answer(asked)

    document["steps"][1]["sources"]["in0"] = "world"
    document["span_ms"] = 1_000

    assert check(document, asked).reason == "overwritten"


@pytest.mark.proves("WL-7")
@pytest.mark.parametrize(
    ("reason", "name"),
    [
        (None, "a.b {c"),
        (None, "\u00e9"),
        ("bad_path", "."),
        ("bad_path", ".."),
        ("bad_path", "a%41"),
        ("bad_path", "a\x07"),
        ("bad_path", "e\u0301"),
        ("bad_path", "z" * 256),
    ],
)
def test_steps_make_only_paths_that_a_world_can_have(reason: str | None, name: str) -> None:
    written = json.dumps(answer(task(facts=["/artifacts/raw/NAME.pdf"])))
    document = json.loads(written.replace("NAME", json.dumps(name)[1:-1]))

    assert check(document, task(facts=[f"/artifacts/raw/{name}.pdf"])).reason == reason


UNREACHABLE = task(
    [Exists(REPLY.format(name="c")), AtLeast(TEXT, 2)],
    ["/artifacts/raw/a.pdf", "/artifacts/raw/b.pdf", "/artifacts/raw/c.html"],
)


@pytest.mark.proves("F-5")
@pytest.mark.parametrize(
    ("reason", "spoil"),
    [
        ("bad_shape", lambda it: it.pop("missing")),
        ("bad_shape", lambda it: it["reachable"].pop()),
        ("bad_shape", lambda it: it["reachable"].reverse()),
        ("not_closed", lambda it: it["reachable"][0]["instances"].pop()),
        ("not_closed", lambda it: it["reachable"][1]["instances"].pop(0)),
        ("not_ascending", lambda it: it["reachable"][0]["instances"].reverse()),
        ("not_ascending", lambda it: it["reachable"][0]["instances"].append(["b"])),
        ("bad_bindings", lambda it: it["reachable"][0]["instances"].append(["b", "c"])),
        ("bad_bindings", lambda it: it["reachable"][0]["instances"].append([1])),
        ("bad_path", lambda it: it["reachable"][0]["instances"].append(["z" * 300])),
        ("want_reachable", lambda it: it["reachable"][1]["instances"].append(["c"])),
        ("wrong_want", lambda it: it.update(missing=REPLY.format(name="d"))),
        ("want_reachable", lambda it: it.update(want=AtLeast(TEXT, 2).document(), missing=None)),
        ("wrong_want", lambda it: it.update(want=AtLeast(TEXT, 3).document(), missing=None)),
    ],
)
def test_a_certificate_is_rejected_for(reason: str, spoil: Break) -> None:
    document = answer(UNREACHABLE)
    assert check(document, UNREACHABLE).accepted

    spoil(document)

    assert check(document, UNREACHABLE).reason == reason


@pytest.mark.proves("WL-7", "F-5")
def test_the_checker_shares_nothing_with_the_planner_but_the_values() -> None:
    def own_imports(module: object) -> set[str]:
        assert inspect.ismodule(module)
        tree = ast.parse(inspect.getsource(module))
        plain = {
            a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names
        }
        froms = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        return {name for name in plain | froms if name.startswith(("orchestrator", "processors"))}

    assert own_imports(plan_checker) == {
        "orchestrator.goals.domain",
        "processors.protocol",
        "processors.protocol.errors",
    }
    assert not any(name.startswith("orchestrator") for name in own_imports(domain))


@pytest.mark.parametrize("value", [None, 1, "plan/v1", [], {}, {"schema": ["plan/v1"]}])
def test_what_is_no_document_is_rejected(value: object) -> None:
    verdict = check(value, task())

    assert (verdict.claim, verdict.reason) == (None, "bad_schema")


@pytest.mark.proves("WL-7", "F-5")
@pytest.mark.parametrize(
    ("reason", "one", "other"),
    [
        ("prefix_taken", "/artifacts/a/outputs/f", "/artifacts/a/outputs/g"),
        ("prefix_nested", "/artifacts/a/outputs/f", "/artifacts/a/b/outputs/g"),
        ("prefix_nested", "/artifacts/a/b/c/outputs/f", "/artifacts/a/outputs/g"),
        (None, "/artifacts/a/outputs/f", "/artifacts/ab/outputs/g"),
    ],
)
def test_steps_that_would_overwrite_each_other_are_rejected(
    reason: str | None, one: str, other: str
) -> None:
    operators = [operator("t/a@1", [], [one]), operator("t/b@1", [], [other])]
    asked = task([Exists(one), Exists(other)], [], operators)
    document = answer(task([Exists(one)], [], operators))
    second = answer(task([Exists(other)], [], operators))
    second["steps"][0]["id"] = second["wants"][0]["sources"][0] = "s2"
    document["steps"] += second["steps"]
    document["wants"] = sorted(
        [*document["wants"], *second["wants"]], key=lambda each: each["want"]["exists"]
    )
    document.update(cost_micro_usd=2, time_ms=20)

    assert check(document, asked).reason == reason
