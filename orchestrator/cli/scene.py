"""All that is known of a run of ``achieve`` while it goes on: the facts that an observer is told.

It looks at nothing itself, neither the ledger nor a terminal. What shows it reads it from another
thread, so it holds a lock for as long as one fact takes to be noted, or one picture to be taken.
"""

from __future__ import annotations

import threading
from itertools import islice

from orchestrator.goals.domain import WORLD
from orchestrator.loop.observer import Observer
from processors.protocol import shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from orchestrator.goals.goal import Goal
    from orchestrator.loop.propose import Proposed
    from orchestrator.world.commitments import Budget
    from processors.protocol.errors import ContractError

    type Step = dict[str, Json]
    type Clock = Callable[[], float]

WAITING_MAX = 5  # how many of the steps that wait are told one by one


class Ended:
    """A step that has ended: its processor, its executions, and what it failed with, if it did.

    One without an execution was done before, or was refused.
    """

    __slots__ = ("error", "executions", "ref", "step")

    def __init__(
        self, step: str, ref: str, executions: list[str], error: ContractError | None
    ) -> None:
        self.step = step
        self.ref = ref
        self.executions = executions
        self.error = error


class Row:
    """One step as it is shown.

    Attributes:
        ref: The processor.
        step: The write prefix.
        elapsed_s: How long it runs; None if it waits.
        note: What it waits for, or why it runs once more.
    """

    __slots__ = ("elapsed_s", "note", "ref", "step")

    def __init__(self, ref: str, step: str, elapsed_s: float | None, note: str) -> None:
        self.ref = ref
        self.step = step
        self.elapsed_s = elapsed_s
        self.note = note


class Picture:
    """The scene at one moment, for whoever draws it.

    Attributes:
        phase: What the loop does, in a word or two.
        done: How many steps of the plan have ended.
        total: How many it has.
        left_s: How much longer it may take, or None where nothing tells.
        running: The steps that run, the longest first.
        waiting: The first of the steps that wait.
        more_waiting: How many more wait.
        failed: The steps that failed, the last one first.
        spent_micro_usd: What the goal has cost so far.
        reserved_micro_usd: What is set aside for the steps that run.
        limit_micro_usd: What it may cost; None before that is known.
    """

    __slots__ = (
        *("done", "failed", "left_s", "limit_micro_usd", "more_waiting", "phase"),
        *("reserved_micro_usd", "running", "spent_micro_usd", "total", "waiting"),
    )

    def __init__(self) -> None:
        self.phase = ""
        self.done = self.total = self.more_waiting = 0
        self.left_s: float | None = None
        self.running: list[Row] = []
        self.waiting: list[Row] = []
        self.failed: list[Ended] = []
        self.spent_micro_usd = self.reserved_micro_usd = 0
        self.limit_micro_usd: int | None = None


class _Attempts:
    """A step that was begun: when its attempt began, how many have failed, what ended the last."""

    __slots__ = ("began_s", "failed", "last")

    def __init__(self, began_s: float) -> None:
        self.began_s = began_s
        self.failed = 0
        self.last = ""


class Scene(Observer):
    """What is known of a run.

    Args:
        goal: The goal.
        clock: Tells seconds, by a clock that is never set.

    Attributes:
        goal: The goal.
        ended: Every step that ended, in that order.
        planned_steps: How many steps the plans had, all together.
        rounds: How often the goal was judged.
        limit_micro_usd: As in ``Picture``.
        spent_micro_usd: As in ``Picture``.
        spent_before_micro_usd: What the goal had cost before this run.
    """

    def __init__(self, goal: Goal, clock: Clock) -> None:
        self.goal = goal
        self.ended: list[Ended] = []
        self.planned_steps = self.rounds = 0
        self.limit_micro_usd: int | None = None
        self.spent_micro_usd = self.spent_before_micro_usd = 0
        self._clock = clock
        self._began_s = clock()
        self._lock = threading.Lock()
        self._phase = "opening the world"
        self._steps: dict[str, Step] = {}  # of the present plan, by write prefix
        self._by_id: dict[str, str] = {}  # a step's id → its write prefix
        self._waiting: dict[str, Step] = {}
        self._said: dict[str, str] = {}  # of those that wait, what for, where the loop has said it
        self._running: dict[str, _Attempts] = {}
        self._paused: dict[str, _Attempts] = {}  # of those that were begun, and wait again
        self._done: set[str] = set()  # ids of steps that succeeded
        self._failed: set[str] = set()
        self._measured: dict[str, tuple[int, float]] = {}  # processor → runs, and their seconds
        self._to_come: dict[str, int] = {}  # processor → how many of its steps wait
        self._estimates: dict[str, float] = {}  # processor → how long a step takes, by its registry

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is shown while it goes on, so nothing ends."""

    @property
    def elapsed_s(self) -> float:
        """How long the run takes so far."""
        return self._clock() - self._began_s

    def judging(self, budget: Budget | None) -> None:
        """See ``Observer``."""
        with self._lock:
            self._phase = "judging and planning"
            if budget is not None:
                self.limit_micro_usd = budget.limit_micro_usd
                self.spent_micro_usd = budget.spent_micro_usd
                if not self.rounds:
                    self.spent_before_micro_usd = budget.spent_micro_usd
            self.rounds += 1

    def planned(self, proposed: Proposed) -> None:
        """See ``Observer``."""
        steps = {shapes.text(step, "write_prefix"): step for step in proposed.steps}
        to_come: dict[str, int] = {}
        estimates: dict[str, float] = {}
        for step in steps.values():
            ref = shapes.text(step, "ref")
            to_come[ref] = to_come.get(ref, 0) + 1
            estimates[ref] = shapes.count(step, "time_ms") / 1_000
        with self._lock:
            self._phase = "running"
            self._steps, self._waiting, self._said = steps, dict(steps), {}
            self._to_come, self._estimates = to_come, estimates
            self._by_id = {shapes.text(step, "id"): prefix for prefix, step in steps.items()}
            self._done, self._failed = set(), set()
            self.planned_steps += len(steps)

    def attempt_begins(self, step: str, execution_id: str) -> None:  # noqa: ARG002 - its interface
        """See ``Observer``."""
        with self._lock:
            self._leaves_the_queue(step)
            attempts = self._running.get(step) or self._paused.pop(step, _Attempts(0.0))
            attempts.began_s = self._clock()
            self._running[step] = attempts

    def attempt_ends(self, step: str, error: ContractError | None, spent_micro_usd: int) -> None:
        """See ``Observer``."""
        with self._lock:
            self.spent_micro_usd += spent_micro_usd
            attempts = self._running[step]
            if error is None:
                ref = shapes.text(self._steps[step], "ref")
                count, seconds = self._measured.get(ref, (0, 0.0))
                took_s = self._clock() - attempts.began_s
                self._measured[ref] = count + 1, seconds + took_s
            else:
                attempts.failed += 1
                attempts.last = f"{error.code} / {error.reason}"

    def step_waits(self, step: str, note: str) -> None:
        """See ``Observer``."""
        with self._lock:
            known = self._steps[step]
            if (attempts := self._running.pop(step, None)) is not None:
                self._paused[step] = attempts
                self._to_come[shapes.text(known, "ref")] += 1
            self._waiting = {step: known, **self._waiting}  # where it is seen
            self._said[step] = note

    def step_ends(self, step: str, executions: list[str], error: ContractError | None) -> None:
        """See ``Observer``."""
        with self._lock:
            self._leaves_the_queue(step)
            self._running.pop(step, None)
            self._paused.pop(step, None)
            known = self._steps[step]
            if error is not None and error.reason == "interrupted" and not executions:
                return  # the loop is stopped, and this step was not begun
            (self._done if error is None else self._failed).add(shapes.text(known, "id"))
            self.ended.append(Ended(step, shapes.text(known, "ref"), list(executions), error))

    def unfinished_micro_usd(self) -> int:
        """What the steps of the last plan that are not done may cost."""
        return sum(
            shapes.count(step, "cost_micro_usd")
            for step in self._steps.values()
            if step["id"] not in self._done
        )

    def picture(self) -> Picture:
        """What there is to see now."""
        found, now = Picture(), self._clock()
        with self._lock:
            found.phase = self._phase
            found.done = len(self._done) + len(self._failed)
            found.total = len(self._steps)
            found.failed = [each for each in reversed(self.ended[-64:]) if each.error is not None]
            found.limit_micro_usd = self.limit_micro_usd
            found.spent_micro_usd = self.spent_micro_usd
            found.reserved_micro_usd = sum(
                shapes.count(self._steps[step], "cost_micro_usd") for step in self._running
            )
            found.running = sorted(
                (self._running_row(step, each, now) for step, each in self._running.items()),
                key=lambda row: -(row.elapsed_s or 0),
            )
            shown = islice(self._waiting.items(), WAITING_MAX)
            found.waiting = [self._waiting_row(prefix, step) for prefix, step in shown]
            found.more_waiting = len(self._waiting) - len(found.waiting)
            found.left_s = self._left_s(now)
        return found

    def _leaves_the_queue(self, step: str) -> None:
        self._said.pop(step, None)
        if self._waiting.pop(step, None) is not None:
            self._to_come[shapes.text(self._steps[step], "ref")] -= 1

    def _running_row(self, step: str, attempts: _Attempts, now: float) -> Row:
        again = f"attempt {attempts.failed + 1}, after {attempts.last}"
        note = again if attempts.failed else ""
        return Row(shapes.text(self._steps[step], "ref"), step, now - attempts.began_s, note)

    def _waiting_row(self, prefix: str, step: Step) -> Row:
        needed = [str(each) for each in shapes.members(step, "sources").values() if each != WORLD]
        failed = next((each for each in needed if each in self._failed), None)
        missing = next((each for each in needed if each not in self._done), None)
        if prefix in self._said:
            note = self._said[prefix]
        elif failed is not None:
            note = f"will not run: {self._by_id[failed]} failed"
        elif missing is not None:
            note = f"for {self._by_id[missing]}"
        else:
            note = "for a free job"
        return Row(shapes.text(step, "ref"), prefix, None, note)

    def _left_s(self, now: float) -> float | None:
        """What is left to do, by what each processor took so far or else says that it takes.

        It is shared among as many steps as run now: that is how many the plan lets run.
        """
        guesses = dict(self._estimates)
        for ref, (count, seconds) in self._measured.items():
            guesses[ref] = seconds / count
        if not self._running or not all(guesses.values()):
            return None
        left_s = sum(guesses[ref] * amount for ref, amount in self._to_come.items())
        for prefix, attempts in self._running.items():
            ref = shapes.text(self._steps[prefix], "ref")
            left_s += max(0.0, guesses[ref] - (now - attempts.began_s))
        return left_s / len(self._running)
