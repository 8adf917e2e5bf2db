"""Certificates: what existed is what the events say, and a question is read as it was written."""

from __future__ import annotations

import json

import pytest

from orchestrator.goals import planner
from orchestrator.goals.domain import AtLeast, Exists, ForEach, Operator, Task
from orchestrator.loop import certificates
from orchestrator.world import fold
from orchestrator.world.chain import Event
from orchestrator.world.facts import VERSIONS
from processors.protocol.canonical import canonical
from tests.fixtures.lives import AT, story

HEAD = (1, "sha256:" + "0" * 64)
COPY = Operator(
    ref="doc/copy@1",
    requires=(("source", "/artifacts/in/{name}"),),
    produces=("/artifacts/copy/{name}/outputs/a",),
    cost_micro_usd=1,
    time_ms=2,
)


def test_what_existed_is_what_a_fold_of_the_events_says() -> None:
    facts = story(200)
    events = [
        Event(seq, type_, VERSIONS[type_], AT, data, canonical(data))
        for seq, (type_, data) in enumerate(facts, start=1)
    ]
    expected: set[str] = set()
    for event in events:
        for change in fold.changes(event):
            first = str(change.values[0])
            if change.name == "put":
                expected.add(first)
            elif change.name == "remove":
                expected.discard(first)
            elif change.name == "drop":
                expected = {path for path in expected if not path.startswith(first)}

    read: list[int] = []

    def told(after: int, until: int) -> list[Event]:
        read.append(until - after)
        return events[after:until]

    existing = certificates.Existing(told)
    counts = [0, 60, 60, 170, 200]
    found = [list(existing.after(count)) for count in counts]

    assert found[-1] == sorted(path for path in expected if path.startswith("/artifacts/"))
    assert len(found[-1]) > 50
    assert sum(read) == 200  # many certificates read the events once
    assert existing.after(60) == found[1]
    assert [certificates.Existing(told).after(count) for count in counts] == found


@pytest.mark.parametrize(
    "want",
    [
        Exists("/artifacts/no"),
        AtLeast("/artifacts/no/{name}", 2),
        ForEach("/artifacts/no/{name}", "/artifacts/in/{name}"),
    ],
)
def test_a_certificate_is_checked_from_its_question_and_what_existed(
    want: Exists | AtLeast | ForEach,
) -> None:
    facts, lost = ["/artifacts/in/a", "/artifacts/in/b"], {"/artifacts/in/b"}
    task = Task(goal="g", head=HEAD, operators=[COPY], facts={*facts} - lost, wants=[want])
    answer = planner.plan(task)
    assert isinstance(answer, planner.NoPlan)
    asked = certificates.question(task, lost)

    again = certificates.task_of(asked, HEAD, facts)

    assert certificates.problem(answer.document, task) is None
    assert certificates.problem(answer.document, again) is None
    other = certificates.task_of({**asked, "lost": []}, HEAD, facts)
    assert certificates.problem(answer.document, other) is not None


@pytest.mark.parametrize("earlier", [False, True])
def test_steps_that_are_spelled_out_are_told_apart_again(earlier: bool) -> None:  # noqa: FBT001
    ways = [(f"stage{at + 1}", f"stage{at}") for at in range(12)]  # 10 is before 2 as a text
    spelled = [
        Operator(
            ref="doc/copy@1",
            requires=(("source", f"/artifacts/{start}/{{name}}/outputs/a"),),
            produces=(f"/artifacts/{end}/{{name}}/outputs/a",),
            cost_micro_usd=1,
            time_ms=2,
            number=number,
        )
        for number, (start, end) in enumerate(ways, 1)
    ]
    facts = ["/artifacts/stage12/a/outputs/a"]
    task = Task(
        goal="g",
        head=HEAD,
        operators=spelled,
        facts=facts,
        wants=[Exists("/artifacts/stage0/a/outputs/a")],
        transitions=[each.name for each in spelled],
    )
    answer = planner.plan(task)
    assert isinstance(answer, planner.NoPlan)
    asked = json.loads(canonical(certificates.question(task, ())))
    for each in asked["operators"] if earlier else ():
        del each["number"]

    again = certificates.task_of(asked, HEAD, facts)

    assert again.operators == task.operators
    assert certificates.problem(answer.document, again) is None
