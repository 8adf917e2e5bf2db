"""``achieve`` on a terminal: what is seen, and that nothing of the terminal is left changed."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.fixtures.programs import STEPS_ACHIEVE, goal_file, ledger, world_command
from tests.fixtures.terminals import CONTROL, Terminal, terminal
from tests.harness import MOCK, run

EACH = (
    'predicate: artifact.exists, for_each: "/artifacts/in/{name}",'
    ' args: {path: "/artifacts/last/{name}/outputs/last.txt"}'
)
ERASED = "\x1b[2K"
HIDDEN = "\x1b[?25l"


def put(world: Path, **texts: str) -> None:
    for name, text in texts.items():
        file = world.parent / f"{name}.txt"
        file.write_text(text)
        world_command("put", str(file), f"/artifacts/in/{name}", world=world)


def words(goal: Path, *more: str) -> tuple[str, ...]:
    return ("--goal", str(goal), *MOCK, "--jobs", "2", *more)


def lines(text: str) -> list[str]:
    return CONTROL.sub("", text).replace("\r", "").split("\n")


def check_restored(screen: Terminal) -> None:
    """The terminal is as it was, and the view is gone: what follows it was drawn on its place.

    A run can be over before there was a view.
    """
    assert screen.mode_after == screen.mode
    assert HIDDEN not in screen.text
    assert "\x1b[?" not in screen.text  # no other screen and no other mode
    *_, frame, after = screen.text.rpartition(ERASED)
    assert frame == ERASED or "waits" not in screen.text
    assert "waits" not in after


@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_signal_leaves_the_terminal_as_it_was(
    signum: signal.Signals, status: int, tmp_path: Path
) -> None:
    put(tmp_path / "w", a="wait", b="wait", c="plain")
    goal = goal_file(tmp_path, EACH)

    with terminal(STEPS_ACHIEVE, *words(goal), world=tmp_path / "w") as screen:
        screen.read_until(b"waits")
        screen.process.send_signal(signum)
        assert screen.finish() == status

    check_restored(screen)
    said = "\n".join(lines(screen.text))
    assert "runs   hostile/step@1  /artifacts/step/a/" in said
    assert "waits  hostile/step@1  /artifacts/step/c/  for a free job" in said
    assert "waits  hostile/last@1  /artifacts/last/a/  for /artifacts/step/a/" in said
    assert "$0.00 spent, $0.00002 reserved of $0.001" in said
    assert "0 of 6 step(s), about" in said
    assert "next: tools/bazel run //:achieve -- --goal" in said
    ledger("verify", world=tmp_path / "w").result  # noqa: B018 - it must be a success


def test_a_kill_leaves_nothing_to_restore(tmp_path: Path) -> None:
    put(tmp_path / "w", a="wait")
    goal = goal_file(tmp_path, EACH)

    with terminal(STEPS_ACHIEVE, *words(goal), world=tmp_path / "w") as screen:
        screen.read_until(b"waits")
        screen.process.kill()
        assert screen.finish() == -signal.SIGKILL

    assert screen.mode_after == screen.mode
    assert "\x1b[?" not in screen.text


def test_an_error_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    put(tmp_path / "w", a="fail provider_timeout", b="plain")
    goal = goal_file(tmp_path, EACH)

    with terminal(STEPS_ACHIEVE, *words(goal), world=tmp_path / "w") as screen:
        assert screen.finish() == 1

    check_restored(screen)
    said = "\n".join(lines(screen.text))
    assert "failed  hostile/step@1  /artifacts/step/a/  ERR_ADAPTER_INVOCATION" in said
    assert "after 3 attempts" in said
    assert "2 step(s) run, 0 taken from earlier, 1 failed, 1 not begun" in said
    assert "next: tools/bazel run //:world -- why t-" in said


def test_a_narrow_terminal_gets_no_line_that_does_not_fit(tmp_path: Path) -> None:
    put(tmp_path / "w", a="wait", b="wait", c="plain")
    goal = goal_file(tmp_path, EACH)

    with terminal(STEPS_ACHIEVE, *words(goal), world=tmp_path / "w", columns=100) as screen:
        screen.read_until(b"waits")
        screen.resize(40, 12)
        screen.read_until(b"more wait")
        narrow = len(screen.drawn)
        screen.read_until(b"more wait")
        drawn = screen.drawn[narrow:].decode()
        screen.process.send_signal(signal.SIGINT)
        screen.finish()

    seen = lines(drawn)[1:]
    assert max(map(cell_len, seen)) <= 40
    assert any("/artifacts/step/a/" in line for line in seen)


def test_without_colours_there_are_none(tmp_path: Path) -> None:
    put(tmp_path / "w", a="wait")
    env = {"TERM": "xterm-256color", "NO_COLOR": "1"}

    goal = goal_file(tmp_path, EACH)
    with terminal(STEPS_ACHIEVE, *words(goal), world=tmp_path / "w", env=env) as screen:
        screen.read_until(b"waits")
        screen.process.send_signal(signal.SIGINT)
        screen.finish()

    codes = {
        code
        for each in CONTROL.findall(screen.text)
        if each[-1] == "m"
        for code in each[2:-1].split(";")
    }
    assert codes <= {"0", "1", "2", "22"}


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(tmp_path: Path) -> None:
    put(tmp_path / "w", a="plain", b="fail provider_refused")
    goal = goal_file(tmp_path, EACH)

    env = {"TERM": "dumb"}
    with terminal(STEPS_ACHIEVE, *words(goal), world=tmp_path / "w", env=env) as screen:
        assert screen.finish() == 1

    assert "\x1b" not in screen.text
    said = lines(screen.text)
    assert "done    hostile/step@1  /artifacts/step/a/" in said
    error = "ERR_ADAPTER_INVOCATION / provider_refused"
    assert f"failed  hostile/step@1  /artifacts/step/b/  {error}" in said


def test_what_moves_a_cursor_is_shown_and_not_sent(tmp_path: Path) -> None:
    put(tmp_path / "w", a="wait")
    goal = goal_file(tmp_path, EACH)
    goal.write_text(goal.read_text().replace("of a test", r'"evil \e[31m\e]0;x\a \u202e[red]"'))

    with terminal(STEPS_ACHIEVE, *words(goal), world=tmp_path / "w") as screen:
        screen.read_until(b"evil")
        screen.process.send_signal(signal.SIGINT)
        screen.finish()

    assert r"evil \x1b[31m\x1b]0;x\x07 \u202e[red]" in screen.text
    assert "\x1b[31m\x1b]0" not in screen.text
    assert "\u202e" not in screen.text


def test_with_json_a_terminal_gets_the_breadcrumbs(tmp_path: Path) -> None:
    put(tmp_path / "w", a="plain")
    goal = goal_file(tmp_path, EACH)

    with terminal(STEPS_ACHIEVE, *words(goal, "--json"), world=tmp_path / "w") as screen:
        assert screen.finish() == 0

    *crumbs, answer = [json.loads(line) for line in screen.text.splitlines()]
    assert crumbs[0]["event"] == "execution.resolved"
    assert crumbs[-1]["event"] == "adapter.invoke.complete"
    assert answer["status"] == "success"


def test_without_a_terminal_the_words_go_to_stdout_and_the_breadcrumbs_to_stderr(
    tmp_path: Path,
) -> None:
    put(tmp_path / "w", a="plain")
    goal = goal_file(tmp_path, EACH)

    found = run(*words(goal), world=tmp_path / "w", command=STEPS_ACHIEVE)
    again = run(*words(goal), world=tmp_path / "w", command=STEPS_ACHIEVE)

    assert (found.exit_code, again.exit_code) == (0, 0)
    assert found.events[-1]["event"] == "adapter.invoke.complete"
    said = found.stdout.decode()
    assert said.startswith("satisfied  made, proof sha256:")
    assert "2 step(s) run, 0 taken from earlier, 0 failed, 0 not begun; 2 execution(s) in" in said
    assert "next: tools/bazel run //:explain -- made --world" in said
    assert "tools/bazel run //:report -- --goal made --out made.html --world" in said
    assert "0 step(s) run" in again.stdout.decode()


def test_a_budget_that_is_too_small_is_told_with_one_that_is_enough(tmp_path: Path) -> None:
    put(tmp_path / "w", a="plain")
    goal = goal_file(tmp_path, EACH)
    goal.write_text(goal.read_text().replace("budget_micro_usd: 1000", "budget_micro_usd: 9"))

    found = run(*words(goal), world=tmp_path / "w", command=STEPS_ACHIEVE)

    assert found.exit_code == 1
    assert found.stdout == b""
    said = found.stderr.decode()
    assert f"set budget_micro_usd to 20 in {goal}" in said
    assert f"next: tools/bazel run //:achieve -- --goal {goal} --lane pr" in said
