"""The loop over real processes: branches, retries, signals, kills, and goals that turn false."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.commands import Copy
from tests.fixtures.programs import (
    EXPLAIN,
    STEPS_ACHIEVE,
    achieve,
    call,
    goal_file,
    ledger,
    world_command,
)
from tests.harness import MOCK, artifacts, read_until, start

EACH = (
    'predicate: artifact.exists, for_each: "/artifacts/in/{name}",'
    ' args: {path: "/artifacts/last/{name}/outputs/last.txt"}'
)
LAST = "/artifacts/last/a/outputs/last.txt"


def put(world: Path, **texts: str) -> None:
    """Bring texts into a world, by name."""
    for name, text in texts.items():
        file = world.parent / f"{name}.txt"
        file.write_text(text)
        world_command("put", str(file), f"/artifacts/in/{name}", world=world)


def events(world: Path, type_: str = "") -> list[dict[str, Any]]:
    """The data of the events of a type, or every event's body."""
    bodies = [item["body"] for item in ledger("export", world=world).items]
    return [body["data"] for body in bodies if body["type"] == type_] if type_ else bodies


def check_at_rest(world: Path) -> None:
    """Nothing is held, everything verifies, and every verdict can be made again."""
    admitted = {each["execution_id"] for each in events(world, "transition.admitted")}
    assert {each["execution_id"] for each in events(world, "transition.settled")} == admitted
    ledger("verify", world=world).result  # noqa: B018 - it must be a success
    ledger("readmit", world=world).result  # noqa: B018 - likewise


def begin(goal: Path, world: Path) -> subprocess.Popen[bytes]:
    words = ("--goal", str(goal), *MOCK, "--jobs", "2", "--json")
    return start(*words, world=world, command=STEPS_ACHIEVE)


@pytest.mark.proves("WL-6")
def test_a_step_settles_with_its_execution_and_names_its_effects(tmp_path: Path) -> None:
    world = tmp_path / "w"
    put(world, a="plain")

    achieve(goal_file(tmp_path, EACH), world=world).result  # noqa: B018 - it must be a success

    told = [(body["type"], body["data"]) for body in events(world)]
    ends = [at for at, (type_, _) in enumerate(told) if type_ == "transition.settled"]
    assert [told[at - 1][0] for at in ends] == ["execution.settled"] * 2
    assert [told[at][1]["effects"] for at in ends] == [
        ["/artifacts/step/a/outputs/step.txt"],
        [LAST],
    ]
    starts = [at for at, (type_, _) in enumerate(told) if type_ == "transition.admitted"]
    assert [told[at + 1][0] for at in starts] == ["execution.requested"] * 2
    check_at_rest(world)


def test_a_failed_branch_stops_what_takes_from_it_and_nothing_else(tmp_path: Path) -> None:
    world = tmp_path / "w"
    put(world, a="fail provider_refused", b="plain", c="plain")

    found = achieve(goal_file(tmp_path, EACH), world=world)

    assert found.error == ("ERR_ADAPTER_INVOCATION", "provider_refused", 1)
    assert "hostile/step@1 at /artifacts/step/a/" in found.message
    asked = [each["write_prefix"] for each in events(world, "execution.requested")]
    assert sorted(asked) == [
        *("/artifacts/last/b/", "/artifacts/last/c/"),
        *("/artifacts/step/a/", "/artifacts/step/b/", "/artifacts/step/c/"),
    ]
    check_at_rest(world)

    put(world, a="plain")
    again = achieve(goal_file(tmp_path, EACH), world=world).result

    assert sorted(step["step"] for step in again["steps"]) == [
        "/artifacts/last/a/",
        "/artifacts/step/a/",
    ]


@pytest.mark.parametrize(("reason", "attempts"), [("provider_refused", 1), ("provider_timeout", 3)])
def test_a_step_is_tried_as_often_as_its_error_allows(
    reason: str, attempts: int, tmp_path: Path
) -> None:
    world = tmp_path / "w"
    put(world, a=f"fail {reason}")

    found = achieve(goal_file(tmp_path, EACH), world=world)

    assert found.error[1] == reason
    tried = events(world, "transition.admitted")
    assert [each["attempt"] for each in tried] == list(range(1, attempts + 1))
    assert events(world, "transition.refused") == []
    check_at_rest(world)


def test_the_pause_that_people_get_ends_with_another_attempt(tmp_path: Path) -> None:
    world = tmp_path / "w"
    put(world, a="fail provider_timeout")
    copy = Copy(tmp_path, STEPS_ACHIEVE)
    hasty = "achieve.tree/app/tests/fixtures/hasty_achieve.py"
    copy.replace(hasty, "achieve.command(root, PAUSE_S)", "achieve.command(root)")

    found = achieve(goal_file(tmp_path, EACH), world=world, command=copy.command)

    assert found.error[1] == "provider_timeout"
    assert [each["attempt"] for each in events(world, "transition.admitted")] == [1, 2, 3]
    check_at_rest(world)


def test_many_jobs_make_what_one_makes(tmp_path: Path) -> None:
    made = []
    for jobs in (1, 4):
        world = tmp_path / str(jobs) / "w"
        world.parent.mkdir()
        put(world, **{f"n{number}": f"text {number}" for number in range(8)})
        found = achieve(goal_file(tmp_path, EACH), world=world, jobs=jobs).result
        assert found["executions"] == 16
        check_at_rest(world)
        listed = world_command("ls", "/artifacts/last", world=world).items
        made.append([(item["path"], item["cid"]) for item in listed if "/outputs/" in item["path"]])
    assert made[0] == made[1]
    assert len(made[0]) == 8


def test_how_many_run_at_once_does_not_decide_what_a_budget_is_enough_for(tmp_path: Path) -> None:
    step = EACH.replace("/last/{name}/outputs/last.txt", "/step/{name}/outputs/step.txt")
    goal = goal_file(tmp_path, step)  # four steps that ask for 10 each, and cost nothing
    goal.write_text(goal.read_text().replace("budget_micro_usd: 1000", "budget_micro_usd: 25"))
    for jobs in (1, 4):
        world = tmp_path / str(jobs) / "w"
        world.parent.mkdir()
        put(world, **{f"n{number}": "plain" for number in range(4)})

        assert achieve(goal, world=world, jobs=jobs).result["executions"] == 4

        assert events(world, "transition.refused") == []
        check_at_rest(world)


@pytest.mark.parametrize(
    ("signum", "code", "reason"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_settles_what_runs_and_the_loop_can_go_on(
    signum: signal.Signals, code: int, reason: str, tmp_path: Path
) -> None:
    world, goal = tmp_path / "w", goal_file(tmp_path, EACH)
    put(world, a="wait")

    with begin(goal, world) as process:
        read_until(process, "processor.start")
        process.send_signal(signum)
        stdout, _ = process.communicate()

    assert process.returncode == code
    assert json.loads(stdout)["error"]["reason"] == reason
    [settled] = events(world, "transition.settled")
    assert (settled["outcome"], settled["error"]["reason"]) == ("error", reason)
    check_at_rest(world)
    put(world, a="plain")
    assert achieve(goal, world=world).result["executions"] == 2


@pytest.mark.parametrize(
    ("text", "reason"), [("plain", None), ("fail provider_refused", "provider_refused")]
)
def test_a_head_that_cannot_be_published_changes_nothing_and_is_told(
    text: str, reason: str | None, tmp_path: Path
) -> None:
    world, goal = tmp_path / "w", goal_file(tmp_path, EACH)
    put(world, a=text)
    (world / "head.json.new").mkdir()  # where the next head is written first

    found = achieve(goal, world=world)

    if reason is None:
        assert found.result["proof"] is not None
    else:
        assert found.error[1] == reason
    last = json.loads(found.stderr.splitlines()[-1])
    said = {key: last[key] for key in ("event", "execution_id", "code", "reason")}
    assert said == {
        "event": "execution.unrecorded",
        "execution_id": "made",
        "code": "ERR_INPUTS",
        "reason": "world_unwritable",
    }


def test_a_killed_loop_is_gone_on_with(tmp_path: Path) -> None:
    world, goal = tmp_path / "w", goal_file(tmp_path, EACH)
    put(world, a="wait", b="plain")

    with begin(goal, world) as process:
        read_until(process, "processor.start")
        process.kill()
        process.communicate()
    put(world, a="plain")
    found = achieve(goal, world=world).result

    assert found["proof"] is not None
    outcomes = [each["outcome"] for each in events(world, "transition.settled")]
    assert "abandoned" in outcomes
    assert set(outcomes) <= {"abandoned", "success"}
    check_at_rest(world)


LINES = 12  # breadcrumbs of the two steps; each is a moment to be killed at


@pytest.mark.parametrize("lines", range(1, LINES + 1))
def test_killed_at_any_moment_a_loop_ends_as_if_it_had_not_been(lines: int, tmp_path: Path) -> None:
    goal, worlds = goal_file(tmp_path, EACH), [tmp_path / "whole/w", tmp_path / "killed/w"]
    for world in worlds:
        world.parent.mkdir()
        put(world, a="plain")
    expected = achieve(goal, world=worlds[0])
    assert len(expected.stderr.splitlines()) == LINES

    with begin(goal, worlds[1]) as process:
        assert process.stderr is not None
        for _ in range(lines):
            assert process.stderr.readline()
        process.kill()
        process.communicate()
    found = achieve(goal, world=worlds[1]).result

    assert (expected.result["executions"], found["proof"] is not None) == (2, True)
    whole, killed = (
        {path: cid for path, cid in artifacts(world).items() if "/outputs/" in path}
        for world in worlds
    )
    assert whole == killed
    attempts = [each["step"] for each in events(worlds[1], "transition.admitted")]
    assert len(attempts) <= 3
    check_at_rest(worlds[1])


@pytest.mark.proves("WL-13")
def test_a_goal_that_turns_false_is_open_again_and_says_so(tmp_path: Path) -> None:
    world, goal = tmp_path / "w", goal_file(tmp_path, EACH)
    put(world, a="plain")
    first = achieve(goal, world=world).result
    world_command("rm", LAST, world=world)

    second = achieve(goal, world=world).result

    [regressed] = events(world, "predicate.regressed")
    assert (regressed["predicate"], regressed["value"]) == ("p0", "false")
    assert [step["step"] for step in second["steps"]] == ["/artifacts/last/a/"]
    proofs = [each["proof"]["cid"] for each in events(world, "goal.satisfied")]
    assert proofs == [first["proof"], second["proof"]]


@pytest.mark.proves("WL-13")
def test_a_goal_that_cannot_be_mended_stays_open(tmp_path: Path) -> None:
    world, goal = tmp_path / "w", goal_file(tmp_path, EACH)
    put(world, a="plain")
    achieve(goal, world=world).result  # noqa: B018 - it must be a success
    world_command("rm", "/artifacts/in/a", world=world)

    found = achieve(goal, world=world)

    assert found.error == ("ERR_INPUTS", "no_plan", 2)
    tree = call(EXPLAIN, "made", world=world).result
    assert (tree["status"], tree["proof"]) == ("reopened", None)
    assert tree["predicates"][0]["value"] == "false"


def test_an_invariant_that_a_step_breaks_keeps_the_next_one_from_beginning(tmp_path: Path) -> None:
    world = tmp_path / "w"
    put(world, a="plain")
    world_command("put", str(tmp_path / "a.txt"), "/artifacts/small/x/y", world=world)
    place = '"/artifacts/{folder}/{name}/{file}"'  # the receipt of a step is there, and is larger
    small = (
        f"scope: invariant, predicate: artifact.size_between, for_each: {place},"
        f" args: {{path: {place}, at_least_bytes: 1, at_most_bytes: 99}}"
    )

    found = achieve(goal_file(tmp_path, EACH, small), world=world)

    assert found.error == ("ERR_CI_SAFETY", "step_refused", 1)
    assert "predicate_false: p1 is false" in found.message
    [refused] = events(world, "transition.refused")
    [truths] = [
        each["inputs"]["truths"] for each in refused["verdicts"] if each["check"] == "predicates"
    ]
    assert truths == [{"predicate": "p1", "truth": "false"}]
    assert refused["step"] == "/artifacts/last/a/"
    assert [each["step"] for each in events(world, "transition.admitted")] == ["/artifacts/step/a/"]
    check_at_rest(world)


def test_a_certificate_counts_bytes_that_are_gone_as_missing(tmp_path: Path) -> None:
    world, goal = tmp_path / "w", goal_file(tmp_path, EACH)
    put(world, a="plain")
    achieve(goal, world=world).result  # noqa: B018 - it must be a success
    cids = artifacts(world)
    lost = ("/artifacts/in/a", LAST)
    for cid in [cids[path] for path in lost]:
        (world / "store" / cid[7:9] / cid[9:]).unlink()

    found = achieve(goal, world=world)

    assert found.error == ("ERR_INPUTS", "no_plan", 2)
    [refused] = events(world, "plan.refused")
    assert refused["verdict"] == {"accepted": True, "problem": None}
    question = world_command("cat", refused["question"]["path"], world=world).result
    assert json.loads(question["content"])["lost"] == sorted(lost)
    answer = ledger("readmit", world=world).result
    assert (answer["certificates"], answer["certificates_gone"]) == (1, 0)


def test_steps_that_a_goal_spells_out_are_the_only_ones(tmp_path: Path) -> None:
    world = tmp_path / "w"
    put(world, a="plain")
    own = "predicate: artifact.exists, args: {path: /artifacts/mine/a/outputs/step.txt}"
    spelled = (
        "transitions:\n"
        '  - {ref: hostile/step@1, for_each: "/artifacts/in/{name}",'
        ' write_prefix: "/artifacts/mine/{name}/", use: {source: "/artifacts/in/{name}"}}'
    )

    found = achieve(goal_file(tmp_path, own, more=spelled), world=world).result

    assert [step["step"] for step in found["steps"]] == ["/artifacts/mine/a/"]
    [settled] = events(world, "transition.settled")
    assert settled["effects"] == ["/artifacts/mine/a/outputs/step.txt"]


def test_what_was_made_from_an_older_source_is_made_again_where_a_goal_asks(
    tmp_path: Path,
) -> None:
    world = tmp_path / "w"
    current = 'predicate: artifact.current, for_each: "/artifacts/in/{name}"'
    goal = goal_file(
        tmp_path,
        EACH,
        f'{current}, args: {{path: "/artifacts/step/{{name}}/outputs/step.txt"}}',
        f'{current}, args: {{path: "/artifacts/last/{{name}}/outputs/last.txt"}}',
    )
    put(world, a="plain", b="plain")
    assert achieve(goal, world=world).result["executions"] == 4
    assert achieve(goal, world=world).result["executions"] == 0

    put(world, a="plain and more")

    again = achieve(goal, world=world).result
    assert [step["ref"] for step in again["steps"]] == ["hostile/step@1", "hostile/last@1"]
    assert {step["step"].split("/")[3] for step in again["steps"]} == {"a"}
    assert achieve(goal, world=world).result["executions"] == 0
    check_at_rest(world)


def test_a_source_that_is_gone_is_made_again_before_what_was_made_of_it(tmp_path: Path) -> None:
    world = tmp_path / "w"
    path = "args: {path: /artifacts/last/a/outputs/last.txt}"
    goal = goal_file(tmp_path, f"predicate: artifact.current, {path}")
    put(world, a="plain")
    assert achieve(goal, world=world).result["executions"] == 2
    world_command("rm", "/artifacts/step/a/outputs/step.txt", world=world)

    again = achieve(goal, world=world).result

    assert [step["ref"] for step in again["steps"]] == ["hostile/step@1"]
    check_at_rest(world)


def test_what_was_made_of_a_source_that_is_gone_is_made_of_another(tmp_path: Path) -> None:
    world = tmp_path / "w"
    put(world, a="plain", b="other")
    current = "predicate: artifact.current, args: {path: /artifacts/mine/outputs/step.txt}"
    spelled = (
        "transitions: [{ref: hostile/step@1, write_prefix: /artifacts/mine/,"
        " use: {source: /artifacts/in/%s}}]"
    )
    achieve(goal_file(tmp_path, current, more=spelled % "a"), world=world).result  # noqa: B018
    world_command("rm", "/artifacts/in/a", world=world)

    nothing = achieve(goal_file(tmp_path, current, more=spelled % "a"), world=world)
    found = achieve(goal_file(tmp_path, current, more=spelled % "b"), world=world).result

    assert nothing.error == ("ERR_INPUTS", "no_plan", 2)
    assert [step["step"] for step in found["steps"]] == ["/artifacts/mine/"]
    check_at_rest(world)


def test_a_goal_can_spell_out_one_processor_twice(tmp_path: Path) -> None:
    world = tmp_path / "w"
    put(world, a="plain")
    own = "predicate: artifact.exists, args: {path: /artifacts/second/outputs/step.txt}"
    spelled = (
        "transitions:\n"
        "  - {ref: hostile/step@1, write_prefix: /artifacts/first/,"
        " use: {source: /artifacts/in/a}}\n"
        "  - {ref: hostile/step@1, write_prefix: /artifacts/second/,"
        " use: {source: /artifacts/first/outputs/step.txt}}"
    )

    found = achieve(goal_file(tmp_path, own, more=spelled), world=world).result

    assert [step["step"] for step in found["steps"]] == ["/artifacts/first/", "/artifacts/second/"]
    check_at_rest(world)


@pytest.mark.parametrize(
    ("lost", "refs"),
    [
        ([LAST], ["hostile/last@1"]),
        ([LAST, "/artifacts/step/a/outputs/step.txt"], ["hostile/step@1", "hostile/last@1"]),
    ],
)
def test_bytes_that_are_gone_are_made_again_from_as_far_back_as_it_takes(
    lost: list[str], refs: list[str], tmp_path: Path
) -> None:
    world, goal = tmp_path / "w", goal_file(tmp_path, EACH)
    put(world, a="plain")
    achieve(goal, world=world).result  # noqa: B018 - it must be a success
    cids = artifacts(world)
    for cid in [cids[path] for path in lost]:
        (world / "store" / cid[7:9] / cid[9:]).unlink()

    found = achieve(goal, world=world).result

    assert [step["ref"] for step in found["steps"]] == refs
    assert found["proof"] is not None


STEP = "/artifacts/step/a/outputs/step.txt"
RECEIPT = "/artifacts/step/a/receipt.json"
TEXT = f"predicate: text.matches, args: {{path: {STEP}, pattern: plain}}"
SIZE = (
    "predicate: artifact.size_between,"
    f" args: {{path: {STEP}, at_least_bytes: 1, at_most_bytes: 99}}"
)
MANY = (
    "predicate: artifact.count_at_least,"
    ' args: {pattern: "/artifacts/step/{name}/outputs/step.txt", count: 2}'
)
JSON = f"predicate: json.matches, args: {{path: {RECEIPT}, expression: \"status == 'success'\"}}"
ATTESTED = f"predicate: receipt.deterministic, args: {{path: {RECEIPT}}}"
OF_EACH = EACH.replace("/artifacts/in/{name}", "/artifacts/step/{name}/outputs/step.txt")
BOTH = [STEP, STEP.replace("/a/", "/b/")]


@pytest.mark.parametrize(
    ("predicate", "lost", "how", "words"),
    [
        (TEXT, [STEP], "gone", []),
        (TEXT, [STEP], "rotten", []),
        (SIZE, [STEP], "gone", []),
        (SIZE, [STEP], "rotten", ["--verify"]),
        (MANY, BOTH, "gone", []),
        (MANY, BOTH, "rotten", ["--verify"]),
        (f"{JSON}}}\n  - {{name: p9, {SIZE}", [RECEIPT], "gone", []),
        (f"{JSON}}}\n  - {{name: p9, {SIZE}", [RECEIPT], "rotten", []),
        (f"{ATTESTED}}}\n  - {{name: p9, {SIZE}", [STEP], "gone", []),
        (f"{ATTESTED}}}\n  - {{name: p9, {SIZE}", [RECEIPT], "rotten", []),
        (OF_EACH, [STEP], "gone", []),
    ],
)
def test_what_a_predicate_lacks_the_bytes_of_is_made_again(
    predicate: str, lost: list[str], how: str, words: list[str], tmp_path: Path
) -> None:
    world, goal = tmp_path / "w", goal_file(tmp_path, predicate)
    put(world, **({"a": "plain", "b": "plain too"} if lost == BOTH else {"a": "plain"}))
    achieve(goal, world=world).result  # noqa: B018 - it must be a success
    cids = artifacts(world)
    for path in lost:
        file = world / "store" / cids[path][7:9] / cids[path][9:]
        data = file.read_bytes()
        file.unlink()
        if how == "rotten":
            file.write_bytes(data[::-1])

    found = achieve(goal, *words, world=world).result

    assert sorted(step["step"] for step in found["steps"]) == sorted(
        {path.removesuffix("receipt.json").partition("outputs/")[0] for path in lost}
    )
    assert found["proof"] is not None
    for path in lost:
        world_command("cat", path, world=world).result  # noqa: B018 - its bytes verify
    assert achieve(goal, "--verify", world=world).result["executions"] == 0


def test_bytes_of_what_nothing_makes_are_named(tmp_path: Path) -> None:
    world = tmp_path / "w"
    goal = goal_file(tmp_path, "predicate: text.matches, args: {path: /artifacts/in/a, pattern: a}")
    put(world, a="plain")
    achieve(goal, world=world).result  # noqa: B018 - it must be a success
    cid = artifacts(world)["/artifacts/in/a"]
    (world / "store" / cid[7:9] / cid[9:]).unlink()

    found = achieve(goal, world=world)

    assert found.error == ("ERR_INPUTS", "no_plan", 2)
    assert "/artifacts/in/a" in found.message


@pytest.mark.parametrize("name", ["a{b", "c{d}"])
def test_what_a_plan_cannot_name_is_told(name: str, tmp_path: Path) -> None:
    world = tmp_path / "w"
    put(world, **{name: "plain"})

    found = achieve(goal_file(tmp_path, EACH), world=world)

    assert found.error == ("ERR_INPUTS", "no_plan", 2)
    assert name in found.message


def test_what_one_round_brings_about_the_next_one_plans_for(tmp_path: Path) -> None:
    world = tmp_path / "w"
    put(world, a="plain")
    each_step = EACH.replace("/artifacts/in/{name}", "/artifacts/step/{name}/outputs/step.txt")

    found = achieve(goal_file(tmp_path, each_step), world=world).result

    assert [step["step"] for step in found["steps"]] == [
        "/artifacts/step/a/",
        "/artifacts/last/a/",
    ]
    assert len(found["plans"]) == 2


def test_who_comes_second_to_the_same_work_is_refused_and_loses_nothing(tmp_path: Path) -> None:
    world, goal = tmp_path / "w", goal_file(tmp_path, EACH)
    put(world, a="wait")

    with begin(goal, world) as process:
        read_until(process, "processor.start")
        second = achieve(goal, world=world)
        process.send_signal(signal.SIGINT)
        process.communicate()

    assert second.error == ("ERR_CI_SAFETY", "step_refused", 1)
    assert "lease_held" in second.message
    check_at_rest(world)


def test_of_loops_that_begin_together_each_goes_on_or_is_refused_a_step(tmp_path: Path) -> None:
    world, goal = tmp_path / "w", goal_file(tmp_path, EACH)
    put(world, a="plain", b="plain")

    processes = [begin(goal, world) for _ in range(6)]
    answers = [json.loads(process.communicate()[0]) for process in processes]

    errors = [each["error"] for each in answers if each["status"] == "error"]
    assert {(each["code"], each["reason"]) for each in errors} <= {
        ("ERR_CI_SAFETY", "step_refused")
    }
    claimed = [
        execution_id
        for each in answers
        if each["status"] == "success"
        for step in each["result"]["steps"]
        for execution_id in step["executions"]
    ]
    admitted = [each["execution_id"] for each in events(world, "transition.admitted")]
    assert len(set(claimed)) == len(claimed)
    assert set(claimed) <= set(admitted)
    assert len(admitted) == 4
    check_at_rest(world)
    assert achieve(goal, world=world).result["executions"] == 0
