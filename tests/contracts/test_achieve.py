"""Errors of the commands that take goals: each with its code, its exit status and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.world.world import World
from processors.protocol.canonical import Json
from tests.fixtures.commands import Copy
from tests.fixtures.programs import (
    ACHIEVE,
    EXPLAIN,
    PLAN,
    STEPS_ACHIEVE,
    achieve,
    call,
    goal_file,
    ledger,
    world_command,
)
from tests.harness import MOCK, REAL, artifacts, run

IN = "/artifacts/in/a.txt"
LAST = 'predicate: artifact.exists, args: {path: "/artifacts/last/a.txt/outputs/last.txt"}'
SIZE = (
    "predicate: artifact.size_between,"
    ' args: {path: "/artifacts/step/a.txt/outputs/step.txt", at_least_bytes: 9, at_most_bytes: 9}'
)


def put(world: Path, text: str = "plain", path: str = IN) -> None:
    file = world.parent / "source.txt"
    file.write_text(text)
    world_command("put", str(file), path, world=world)


def rests_on(name: str) -> str:
    return f"predicate: goal.satisfied, args: {{goal: {name}}}"


def types(world: Path) -> list[str]:
    return [item["body"]["type"] for item in ledger("export", world=world).items]


def test_a_bad_goal_file_is_named_with_its_line(tmp_path: Path) -> None:
    goal = goal_file(tmp_path, "predicate: artifact.exits, args: {path: /artifacts/a}")

    for found in (
        achieve(goal, world=tmp_path / "w"),
        call(PLAN, "--goal", str(goal), world=tmp_path / "w"),
    ):
        assert found.error == ("ERR_INPUTS", "invalid_goal", 2)
        assert "made.yaml: line 6: predicates.0.predicate" in found.message
    assert not (tmp_path / "w").exists()


def test_what_a_goal_says_of_a_processor_has_to_fit_it(tmp_path: Path) -> None:
    goal = goal_file(tmp_path, LAST, more="use: {doc/extract@1: {inputs: {}}}")

    found = achieve(goal, world=tmp_path / "w")

    assert found.error == ("ERR_INPUTS", "invalid_goal", 2)
    assert "use: doc/extract@1" in found.message


def test_what_a_processor_is_asked_with_is_checked_before_anything(tmp_path: Path) -> None:
    put(tmp_path / "w")
    goal = goal_file(tmp_path, LAST, more="use: {hostile/step@1: {inputs: {colour: red}}}")

    found = achieve(goal, world=tmp_path / "w")

    assert found.error == ("ERR_INPUTS", "invalid_goal", 2)
    assert "hostile/step@1 is asked with: inputs has 1 unknown member" in found.message
    assert "execution.requested" not in types(tmp_path / "w")


def test_a_goal_that_the_world_does_not_have_is_not_explained(tmp_path: Path) -> None:
    put(tmp_path / "w")

    found = call(EXPLAIN, "made", world=tmp_path / "w")

    assert found.error == ("ERR_INPUTS", "unknown_goal", 2)
    assert found.message.endswith("no goal 'made'; it has none")


def test_the_goals_of_a_world_are_listed(tmp_path: Path) -> None:
    put(tmp_path / "w")
    before = call(EXPLAIN, world=tmp_path / "w").result
    achieve(goal_file(tmp_path, LAST, name="one"), world=tmp_path / "w").result  # noqa: B018
    satisfied = types(tmp_path / "w").index("goal.satisfied") + 1

    listed = call(EXPLAIN, world=tmp_path / "w").result
    shown = run(world=tmp_path / "w", command=EXPLAIN)
    other = call(EXPLAIN, "two", world=tmp_path / "w")

    assert before == {"goals": []}
    assert listed == {"goals": [{"name": "one", "status": "satisfied", "judged": satisfied}]}
    assert shown.stdout.decode() == f"one  satisfied as of event {satisfied}\n"
    assert other.message.endswith("no goal 'two'; it has one")


def test_a_goal_that_has_turned_false_is_not_explained_as_satisfied_now(tmp_path: Path) -> None:
    put(tmp_path / "w")
    achieve(goal_file(tmp_path, LAST), world=tmp_path / "w").result  # noqa: B018 - a success
    satisfied = types(tmp_path / "w").index("goal.satisfied") + 1
    world_command("rm", "/artifacts/last/a.txt/outputs/last.txt", world=tmp_path / "w")

    ended = run("made", world=tmp_path / "w", command=EXPLAIN)

    said = f"made  satisfied as of event {satisfied}; not true now: p0; next: achieve"
    assert ended.stdout.decode().splitlines()[0] == said
    tree = call(EXPLAIN, "made", world=tmp_path / "w").result
    assert (tree["status"], tree["judged"]) == ("satisfied", satisfied)


def test_goals_that_rest_on_each_other_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "w")
    first = achieve(goal_file(tmp_path, rests_on("two"), name="one"), world=tmp_path / "w")

    second = achieve(goal_file(tmp_path, rests_on("one"), name="two"), world=tmp_path / "w")

    assert first.error == ("ERR_INPUTS", "unknown_goal", 2)
    assert second.error == ("ERR_INPUTS", "goal_cycle", 2)
    asked = ("--goal", str(tmp_path / "two.yaml"))
    assert call(PLAN, *asked, world=tmp_path / "w").document["error"] == second.document["error"]


def test_without_a_plan_it_is_said_what_is_out_of_reach(tmp_path: Path) -> None:
    put(tmp_path / "w", path="/artifacts/elsewhere.txt")
    goal = goal_file(tmp_path, LAST)

    for found in (
        achieve(goal, world=tmp_path / "w"),
        call(PLAN, "--goal", str(goal), world=tmp_path / "w"),
    ):
        assert found.error == ("ERR_INPUTS", "no_plan", 2)
        assert "/artifacts/last/a.txt/outputs/last.txt" in found.message
        assert "checked" in found.message
    assert "execution.requested" not in types(tmp_path / "w")
    assert types(tmp_path / "w").count("plan.refused") == 1  # plan writes nothing


@pytest.mark.parametrize("name", ["{x}", "a{b", "}"])
def test_a_file_whose_name_no_plan_can_say_is_named(name: str, tmp_path: Path) -> None:
    put(tmp_path / "w")
    put(tmp_path / "w", path=f"/artifacts/in/{name}")
    each = 'predicate: artifact.exists, for_each: "/artifacts/in/{name}"'
    goal = goal_file(tmp_path, each + ', args: {path: "/artifacts/last/{name}/outputs/last.txt"}')

    for found in (
        achieve(goal, world=tmp_path / "w"),
        call(PLAN, "--goal", str(goal), world=tmp_path / "w"),
    ):
        assert found.error == ("ERR_INPUTS", "no_plan", 2)
        assert f"; /artifacts/in/{name} has a brace in its name, which" in found.message
        assert "/artifacts/in/a.txt" not in found.message


def test_what_is_wanted_in_a_number_is_told_in_words(tmp_path: Path) -> None:
    put(tmp_path / "w", path="/artifacts/elsewhere.txt")
    each = 'predicate: artifact.exists, for_each: "/artifacts/in/{name}"'
    goal = goal_file(tmp_path, each + ', args: {path: "/artifacts/last/{name}/outputs/last.txt"}')

    found = achieve(goal, world=tmp_path / "w")

    assert "nothing leads to at least 1 of /artifacts/in/{name} from what" in found.message


def test_a_certificate_is_kept_and_checked_again(tmp_path: Path) -> None:
    world = tmp_path / "w"
    put(world, path="/artifacts/elsewhere.txt")
    achieve(goal_file(tmp_path, LAST), world=world)
    put(world, path=IN)  # what comes later does not count

    assert readmitted(world) == (1, 0)
    with World(str(world), make=False) as opened:
        [data] = [each.data for each in opened.ledger.events() if each.type == "plan.refused"]
        verdict: dict[str, Json] = {"accepted": False, "problem": "not_closed at doc/extract@1"}
        with opened.ledger.writing() as transaction:
            transaction.append("plan.refused", {**data, "verdict": verdict})
    found = ledger("readmit", world=world)
    assert found.error == ("ERR_CI_SAFETY", "verdict_differs", 1)
    assert "not_closed" in found.message


def test_a_certificate_whose_bytes_are_gone_is_counted(tmp_path: Path) -> None:
    world = tmp_path / "w"
    put(world, path="/artifacts/elsewhere.txt")
    achieve(goal_file(tmp_path, LAST), world=world)
    [path] = [path for path in artifacts(world) if path.endswith(".question.json")]
    cid = artifacts(world)[path]
    (world / "store" / cid[7:9] / cid[9:]).unlink()

    assert readmitted(world) == (1, 1)


def readmitted(world: Path) -> tuple[int, int]:
    found = ledger("readmit", world=world).result
    return found["certificates"], found["certificates_gone"]


def test_what_all_steps_do_not_make_true_is_named(tmp_path: Path) -> None:
    put(tmp_path / "w")

    found = achieve(goal_file(tmp_path, SIZE), world=tmp_path / "w")

    assert found.error == ("ERR_INPUTS", "goal_unproved", 2)
    assert "p0 is false" in found.message
    assert types(tmp_path / "w").count("execution.started") == 1


def test_nothing_begins_while_an_invariant_is_false(tmp_path: Path) -> None:
    put(tmp_path / "w")
    invariant = "scope: invariant, predicate: artifact.exists, args: {path: /artifacts/no}"

    goal = goal_file(tmp_path, LAST, invariant)

    found = achieve(goal, world=tmp_path / "w")

    assert found.error == ("ERR_INPUTS", "goal_unproved", 2)
    assert "execution.requested" not in types(tmp_path / "w")
    planned = call(PLAN, "--goal", str(goal), world=tmp_path / "w")
    assert planned.document["error"] == found.document["error"]


def test_a_step_beyond_the_budget_is_refused_with_a_receipt(tmp_path: Path) -> None:
    put(tmp_path / "w")
    goal = goal_file(tmp_path, LAST)
    goal.write_text(goal.read_text().replace("budget_micro_usd: 1000", "budget_micro_usd: 9"))

    found = achieve(goal, world=tmp_path / "w")

    assert found.error == ("ERR_CI_SAFETY", "step_refused", 1)
    assert "it asks for 10 of 9 micro-USD" in found.message
    [receipt] = [
        item["body"]["data"]
        for item in ledger("export", world=tmp_path / "w").items
        if item["body"]["type"] == "transition.refused"
    ]
    assert (receipt["reason"], receipt["bound_micro_usd"], receipt["ask_micro_usd"]) == (
        *("over_budget", 9),
        10,
    )
    assert receipt["head"]["count"] > 1
    assert ledger("readmit", world=tmp_path / "w").result["refused"] == 1


def test_a_step_that_the_lane_forbids_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "w")
    words = ("--goal", str(goal_file(tmp_path, LAST)), "--json")
    real = ("--adapter", "local", "--mode", "real", "--lane", "pr")

    ended = run(*words, *real, world=tmp_path / "w", command=STEPS_ACHIEVE)

    assert ended.exit_code == 1
    assert b'"reason":"step_refused"' in ended.stdout
    assert b"lane_mode" in ended.stdout
    assert "execution.requested" not in types(tmp_path / "w")


def test_an_opt_in_that_no_processor_declares_is_refused_at_once(tmp_path: Path) -> None:
    words = ("--goal", str(goal_file(tmp_path, LAST)), *REAL, "--json")

    ended = run(*words, "--allow-env", "NO_SUCH", world=tmp_path / "w", command=STEPS_ACHIEVE)

    assert ended.exit_code == 2
    assert b'"code":"ERR_INPUTS"' in ended.stdout
    assert b'"reason":"bad_value"' in ended.stdout
    assert b"--allow-env NO_SUCH" in ended.stdout
    assert not (tmp_path / "w").exists()


def test_the_lane_is_asked_about_an_opt_in_whoever_declares_it(tmp_path: Path) -> None:
    put(tmp_path / "w", path="/artifacts/raw/a.txt")
    text = "predicate: artifact.exists, args: {path: /artifacts/text/a.txt/outputs/text.md}"

    found = achieve(
        goal_file(tmp_path, text),
        *("--allow-env", "OPENAI_API_KEY"),  # the step that is needed has no secret
        world=tmp_path / "w",
        command=ACHIEVE,
    )

    assert found.error == ("ERR_CI_SAFETY", "step_refused", 1)
    assert "lane_secrets" in found.message
    assert "execution.requested" not in types(tmp_path / "w")


def limited(folder: Path, hard: int) -> Path:
    """The program where so many files may be open at most, and a few unless it asks for more."""
    found = folder / "limited"
    words = f'ulimit -Sn 256 && ulimit -Hn {hard} && exec {STEPS_ACHIEVE} "$@"'
    found.write_text(f"#!/bin/sh\n{words}\n")
    found.chmod(0o755)
    return found


def test_as_many_files_may_be_open_as_the_jobs_need(tmp_path: Path) -> None:
    put(tmp_path / "w")

    found = achieve(
        goal_file(tmp_path, LAST), world=tmp_path / "w", jobs=100, command=limited(tmp_path, 928)
    )

    assert found.result["executions"] > 0


def test_more_jobs_than_may_have_their_files_open_are_refused(tmp_path: Path) -> None:
    found = achieve(
        goal_file(tmp_path, LAST), world=tmp_path / "w", jobs=100, command=limited(tmp_path, 927)
    )

    assert found.error == ("ERR_INPUTS", "bad_value", 2)
    assert "up to 928 open files, and 927 are allowed" in found.message
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("jobs", ["0", "4097", "two", "1_0", "-1"])
def test_a_number_of_jobs_is_one(jobs: str, tmp_path: Path) -> None:
    goal = goal_file(tmp_path, LAST)

    ended = run(
        *("--goal", str(goal), *MOCK, f"--jobs={jobs}", "--json"),
        world=tmp_path / "w",
        command=STEPS_ACHIEVE,
    )

    assert ended.exit_code == 2
    assert b'"reason":"bad_value"' in ended.stdout


def test_what_a_predicate_of_ones_own_prints_is_no_part_of_the_answer(tmp_path: Path) -> None:
    put(tmp_path / "w", "two words")
    copy = Copy(tmp_path, STEPS_ACHIEVE)
    copy.replace(
        "achieve.tree/app/predicates/words.py",
        "    count = len(text.split())",
        "    import os\n    os.write(1, b'natively ')\n    print('loudly', flush=True)\n"
        "    count = len(text.split())",
    )
    goal = goal_file(tmp_path, f"predicate: words.at_least, args: {{path: {IN}, words: 2}}")

    found = achieve(goal, world=tmp_path / "w", command=copy.command)

    assert found.result["proof"].startswith("sha256:")
    assert found.items == []
    assert b"natively loudly\n" in found.stderr
