"""What is known of a run while it goes on, how it is drawn, and the words at its end."""

from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from orchestrator.cli import closing, flags, frame
from orchestrator.cli.achieve import FLAGS
from orchestrator.cli.program import COMMON
from orchestrator.cli.scene import Scene
from orchestrator.goals import goal_file
from orchestrator.goals.goal import Goal
from orchestrator.loop.propose import Proposed
from orchestrator.world.chain import Head
from orchestrator.world.commitments import Budget
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, adapter_error, inputs_error

GOAL = b"""\
schema: v1
name: made
summary: of a test
budget_micro_usd: 100
predicates:
  - {name: there, predicate: artifact.exists, args: {path: /artifacts/b/1/outputs/a.txt}}
"""
WORDS = ("--goal", "a goal.yaml", "--lane", "pr", "--adapter", "local", "--mode", "mock")


def goal() -> Goal:
    return goal_file.load(GOAL, "goal.yaml")


def step(name: str, ref: str, *sources: str, time_ms: int = 2_000) -> dict[str, Json]:
    return {
        "id": f"id of {name}",
        "ref": ref,
        "write_prefix": name,
        "sources": {f"in{at}": source for at, source in enumerate(sources)},
        "cost_micro_usd": 10,
        "time_ms": time_ms,
    }


class Run:
    """A run of two chains of two steps, by a clock that stands still until it is set."""

    def __init__(self, *steps: dict[str, Json], before: int = 0) -> None:
        self.now = 0.0
        self.scene = Scene(goal(), lambda: self.now)
        self.scene.judging(Budget("made", 100, 0, before))
        document: dict[str, Json] = {"steps": list[Json](steps or CHAINS)}
        self.scene.planned(
            Proposed(goal(), Head(1, "sha256:" + "0" * 64), document, None, {}, None)
        )

    def ends(self, name: str, error: ContractError | None = None, cost: int = 0) -> None:
        """An attempt has ended, and its step with it."""
        self.scene.attempt_ends(name, error, cost)
        self.scene.step_ends(name, ["x-1"], error)


CHAINS = (
    step("/a/1/", "t/a@1", "world"),
    step("/a/2/", "t/a@1", "world"),
    step("/b/1/", "t/b@1", "id of /a/1/", "world", time_ms=4_000),
    step("/b/2/", "t/b@1", "id of /a/2/", time_ms=4_000),
)
REFUSED = adapter_error("provider_refused", "no")


def waiting(scene: Scene) -> dict[str, str]:
    return {row.step: row.note for row in scene.picture().waiting}


def drawn(scene: Scene, columns: int, rows: int = 30) -> list[str]:
    file = io.StringIO()
    console = Console(file=file, width=columns, height=rows, force_terminal=False, _environ={})
    console.print(frame.Frame(scene.goal, scene.picture()))
    return file.getvalue().rstrip("\n").split("\n")


def test_a_step_waits_for_a_step_or_for_a_job() -> None:
    run = Run()

    run.scene.attempt_begins("/a/1/", "x-1")

    assert [row.step for row in run.scene.picture().running] == ["/a/1/"]
    assert waiting(run.scene) == {
        "/a/2/": "for a free job",
        "/b/1/": "for /a/1/",
        "/b/2/": "for /a/2/",
    }


def test_what_takes_from_a_step_that_failed_will_not_run() -> None:
    run = Run()
    run.scene.attempt_begins("/a/1/", "x-1")

    run.ends("/a/1/", REFUSED)

    assert waiting(run.scene)["/b/1/"] == "will not run: /a/1/ failed"
    seen = run.scene.picture()
    assert [each.step for each in seen.failed] == ["/a/1/"]
    assert (seen.done, seen.total) == (1, 4)


def test_an_attempt_that_follows_another_says_why() -> None:
    run = Run()
    run.scene.attempt_begins("/a/1/", "x-1")
    run.scene.attempt_ends("/a/1/", adapter_error("provider_timeout", "late"), 3)
    run.now = 5

    run.scene.attempt_begins("/a/1/", "x-2")

    [row] = run.scene.picture().running
    assert row.note == "attempt 2, after ERR_ADAPTER_INVOCATION / provider_timeout"
    assert row.elapsed_s == 0
    assert run.scene.picture().spent_micro_usd == 3


def test_a_step_that_has_to_wait_says_for_what_and_is_seen_first() -> None:
    run = Run()
    run.scene.attempt_begins("/a/1/", "x-1")
    run.scene.attempt_begins("/a/2/", "x-2")

    run.scene.step_waits("/a/2/", "for budget")

    seen = run.scene.picture()
    assert [row.step for row in seen.running] == ["/a/1/"]
    assert [row.step for row in seen.waiting] == ["/a/2/", "/b/1/", "/b/2/"]
    assert waiting(run.scene)["/a/2/"] == "for budget"
    assert seen.reserved_micro_usd == 10
    run.scene.attempt_begins("/a/2/", "x-2")
    assert "/a/2/" not in waiting(run.scene)
    assert [row.note for row in run.scene.picture().running] == ["", ""]  # no attempt has failed


def test_the_time_left_follows_the_registry_and_then_the_clock() -> None:
    run = Run()
    assert run.scene.picture().left_s is None  # nothing runs
    run.scene.attempt_begins("/a/1/", "x-1")
    assert run.scene.picture().left_s == 2 + 2 + 4 + 4

    run.now = 1
    run.ends("/a/1/")
    run.scene.attempt_begins("/a/2/", "x-2")
    run.scene.attempt_begins("/b/1/", "x-3")

    assert run.scene.picture().left_s == (1 + 4 + 4) / 2  # two run, and an a took a second


def test_without_an_estimate_no_time_is_told() -> None:
    run = Run(step("/a/1/", "t/a@1", time_ms=0))
    run.scene.attempt_begins("/a/1/", "x-1")

    assert run.scene.picture().left_s is None


def test_what_runs_is_reserved_and_what_ran_is_spent() -> None:
    run = Run(before=7)
    run.scene.attempt_begins("/a/1/", "x-1")
    run.scene.attempt_begins("/a/2/", "x-2")
    run.ends("/a/2/", cost=5)

    seen = run.scene.picture()

    found = (seen.spent_micro_usd, seen.reserved_micro_usd, seen.limit_micro_usd)
    assert found == (12, 10, 100)


def test_a_new_plan_starts_anew() -> None:
    run = Run()
    run.scene.attempt_begins("/a/1/", "x-1")
    run.ends("/a/1/")
    document: dict[str, Json] = {"steps": [step("/c/", "t/c@1", "world")]}

    run.scene.planned(Proposed(goal(), Head(9, "sha256:" + "1" * 64), document, None, {}, None))

    seen = run.scene.picture()
    assert (seen.done, seen.total, run.scene.planned_steps) == (0, 1, 5)


@pytest.mark.parametrize("columns", [20, 40, 71, 72, 100, 300])
@pytest.mark.parametrize("rows", [1, 10, 50])
def test_no_picture_is_larger_than_the_terminal(columns: int, rows: int) -> None:
    steps = [step(f"/a/{at:03d}-{'w\u5bbd' * 40}/", "t/a@1", "world") for at in range(200)]
    run = Run(*steps)
    for at, each in enumerate(steps[:120]):
        run.scene.attempt_begins(str(each["write_prefix"]), f"x-{at}")
    for each in steps[:20]:
        run.ends(str(each["write_prefix"]), REFUSED)

    lines = drawn(run.scene, columns, rows)

    assert max(map(cell_len, lines)) <= columns
    assert len(lines) <= max(rows, frame.LINES_LEAST + 3)


def test_a_long_path_keeps_its_end() -> None:
    run = Run(step(f"/artifacts/{'folder/' * 30}the-end/", "t/a@1", "world"))
    run.scene.attempt_begins(f"/artifacts/{'folder/' * 30}the-end/", "x-1")

    for columns in (40, 100):
        assert any("the-end/" in line for line in drawn(run.scene, columns))


def test_names_are_text_and_no_orders() -> None:
    run = Run(step("/a/\x1b[31m\u202e[bold]/", "t/a@1", "world"))
    run.scene.attempt_begins("/a/\x1b[31m\u202e[bold]/", "x-1")

    whole = "\n".join(drawn(run.scene, 100))

    assert r"/a/\x1b[31m\u202e[bold]/" in whole
    assert "\x1b" not in whole


def given(*more: str) -> flags.Given:
    return flags.parse((*FLAGS, *COMMON), [*WORDS, *more])


def said(run: Run, error: ContractError, *more: str) -> list[str]:
    return closing.after_error(run.scene, given(*more), (*FLAGS, *COMMON), error)


def test_the_end_counts_what_was_done() -> None:
    run = Run(before=7)
    run.scene.attempt_begins("/a/1/", "x-1")
    run.ends("/a/1/", cost=5)
    run.scene.step_ends("/a/2/", [], None)
    run.scene.attempt_begins("/b/1/", "x-2")
    run.ends("/b/1/", REFUSED)
    run.scene.step_ends("/b/2/", [], adapter_error("interrupted", "it was not begun"))
    run.now = 3

    lines = closing.lines(run.scene)

    assert lines == [
        ("  1 step(s) run, 1 taken from earlier, 1 failed, 1 not begun; 2 execution(s) in 3.0 s"),
        "  failed  t/b@1  /b/1/  ERR_ADAPTER_INVOCATION / provider_refused",
        "  $0.000005 spent now, $0.000012 of $0.0001 in all",
    ]


def test_more_spent_than_the_goal_may_cost_is_said_to_be() -> None:
    run = Run(before=7)
    run.scene.attempt_begins("/a/1/", "x-1")
    run.ends("/a/1/", cost=98)

    assert closing.lines(run.scene)[-1] == (
        "  $0.000098 spent now, $0.000105 in all: $0.000005 more than the goal may cost, $0.0001"
        " (a step cost more than it had reserved)"
    )


def test_all_that_a_goal_may_cost_is_no_more_than_that() -> None:
    run = Run(before=7)
    run.scene.attempt_begins("/a/1/", "x-1")
    run.ends("/a/1/", cost=93)

    last = closing.lines(run.scene)[-1]

    assert last == "  $0.000093 spent now, $0.0001 of $0.0001 in all"


def test_an_id_that_never_began_is_not_counted_as_an_execution() -> None:
    run = Run()
    taken = inputs_error("prefix_occupied", "/a/1/ holds other artifacts")
    run.scene.attempt_begins("/a/1/", "x-1")
    run.scene.attempt_ends("/a/1/", taken, 0)
    run.scene.step_ends("/a/1/", [], taken)

    assert "1 failed, 3 not begun; 0 execution(s) in" in closing.lines(run.scene)[0]


def test_after_a_signal_the_same_command_goes_on() -> None:
    words = "--goal 'a goal.yaml' --lane pr --adapter local --mode mock --verify --world 'a b'"

    found = said(Run(), adapter_error("interrupted", "it was"), "--verify", "--world", "a b")

    assert found == [f"  next: tools/bazel run //:achieve -- {words}"]


def test_after_a_failure_the_execution_is_looked_at() -> None:
    run = Run()
    run.scene.attempt_begins("/a/1/", "x-1")
    run.ends("/a/1/", REFUSED)

    first, second = said(run, REFUSED)

    assert first == "  next: tools/bazel run //:world -- why x-1"
    assert second.startswith("        tools/bazel run //:achieve -- --goal")


def test_a_budget_that_is_used_up_is_told_with_one_that_would_do() -> None:
    run = Run(before=95)
    run.scene.step_ends("/a/1/", [], ContractError("ERR_CI_SAFETY", "step_refused", "no"))

    first, second = said(run, ContractError("ERR_CI_SAFETY", "step_refused", "no"))

    assert first == "  set budget_micro_usd to 135 in a goal.yaml"
    assert second.startswith("  next: tools/bazel run //:achieve -- ")


def test_after_a_refusal_that_another_run_can_end_the_same_command_goes_on() -> None:
    held = ContractError("ERR_CI_SAFETY", "step_refused", "/a/1/ was not admitted: lease_held")
    run = Run()
    run.scene.step_ends("/a/1/", [], held)

    explain, again = said(run, held)

    assert explain == "  next: tools/bazel run //:explain -- made"
    assert again.startswith("        tools/bazel run //:achieve -- --goal 'a goal.yaml' --lane pr")


def test_what_is_not_proved_is_explained() -> None:
    found = said(Run(), inputs_error("goal_unproved", "there is false"))

    assert found == ["  next: tools/bazel run //:explain -- made"]
