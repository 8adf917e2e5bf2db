"""``execute``: the steps of a plan, side by side where none needs another, each through ``run``.

A step that fails stops what takes from it and nothing else. It is tried again as often as the retry
class of its error allows; the count is that of admission, which would refuse one more. A step that
lacks only what others of the plan hold reserved waits for them (``line``), so how many run at once
does not decide what the budget is enough for. A signal ends the processors that run, whose
executions settle, and nothing is begun after it.
"""

from __future__ import annotations

from functools import partial

from orchestrator.execution import record
from orchestrator.execution.request import Request
from orchestrator.execution.run import Setting, run
from orchestrator.goals.domain import WORLD
from orchestrator.loop.crew import Crew
from orchestrator.loop.gate import Gate, refusal
from orchestrator.loop.line import Line
from orchestrator.loop.observer import Observer
from orchestrator.loop.proposal import Proposal
from orchestrator.loop.worlds import Worlds
from orchestrator.world import commitments, grammar
from orchestrator.world.world import World
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, adapter_error, find_row
from processors.protocol.refs import parse_ref

AHEAD = 2  # steps for each of the jobs: who has ended one finds the next at hand
WORLDS_MAX = 8  # open at once; one writes at a time, and who waits for a processor needs none

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.loop.means import Means
    from orchestrator.loop.policy import Policy
    from orchestrator.loop.propose import Proposed

    type Step = dict[str, Json]


class How:
    """How the steps of a goal run: given once, the same for all.

    Attributes:
        lane: The lane.
        adapter: Where processors run.
        mode: ``mock`` or ``real``.
        jobs: How many at once.
        pause_s: Before the second attempt at a step; before each later one it is twice as long.
        allow_env: The secrets that were opted in, by name.
        allow_real: Whether mode real was confirmed.
        policy: By what steps are admitted.
        setting: What executions run in; its head is published by the loop.
        observer: Is told how far the loop is.
    """

    __slots__ = (
        *("adapter", "allow_env", "allow_real", "jobs", "lane", "mode"),
        *("observer", "pause_s", "policy", "setting"),
    )

    def __init__(
        self,
        *,
        lane: str,
        adapter: str,
        mode: str,
        jobs: int,
        pause_s: float,
        allow_env: list[str],
        allow_real: bool,
        policy: Policy,
        setting: Setting,
        observer: Observer | None = None,
    ) -> None:
        self.observer = observer or Observer()
        self.lane = lane
        self.adapter = adapter
        self.mode = mode
        self.jobs = jobs
        self.pause_s = pause_s
        self.allow_env = allow_env
        self.allow_real = allow_real
        self.policy = policy
        self.setting = setting


class Ended:
    """How a step ended.

    Attributes:
        step: Its write prefix.
        ref: The processor.
        executions: The ids of its attempts that began.
        error: What the last one failed with, or why the step was not begun; None for a success.
    """

    __slots__ = ("error", "executions", "ref", "step")

    def __init__(
        self, step: str, ref: str, executions: list[str], error: ContractError | None
    ) -> None:
        self.step = step
        self.ref = ref
        self.executions = executions
        self.error = error

    def as_json(self) -> dict[str, Json]:
        """The end as data."""
        error = self.error
        cause: Json = None if error is None else {"code": error.code, "reason": error.reason}
        executions = list[Json](self.executions)
        return {"step": self.step, "ref": self.ref, "executions": executions, "error": cause}


def execute(proposed: Proposed, usable: dict[str, Means], how: How) -> list[Ended]:
    """Run the steps of a plan; return how each ended that was begun or refused, in that order."""
    steps = {shapes.text(step, "id"): step for step in proposed.steps}
    sources = {name: shapes.members(step, "sources") for name, step in steps.items()}
    waits = {name: {str(each) for each in own.values()} - {WORLD} for name, own in sources.items()}
    after: dict[str, list[str]] = {name: [] for name in steps}
    line = Line[str](AHEAD * how.jobs)
    for name, needed in waits.items():
        for each in needed:
            after[each].append(name)
        if not needed:
            line.add(name, _ask(steps[name]))
    found: list[Ended] = []
    runs: dict[str, _Run] = {}
    worlds = Worlds(how.setting.world, min(how.jobs, WORLDS_MAX))
    # Where the world itself fails, what runs is waited for and nothing is begun.
    with worlds, Crew[str, Ended | None](how.jobs) as crew:
        while not line.is_over:
            while (first := line.next()) is not None:
                name, may_wait = first
                if name not in runs:
                    runs[name] = _Run(proposed, steps[name], usable, how, worlds)
                crew.begin(name, partial(runs[name].end, may_wait=may_wait))
            name, ended = crew.wait()
            if ended is None:
                line.waits(name)
                continue
            del runs[name]
            line.ends(gave_back=bool(ended.executions))
            found.append(ended)
            how.observer.step_ends(ended.step, ended.executions, ended.error)
            for waiting in after[name] if ended.error is None else ():
                waits[waiting].discard(name)
                if not waits[waiting]:
                    line.add(waiting, _ask(steps[waiting]))
    return found


def _ask(step: Step) -> int:
    return shapes.count(step, "cost_micro_usd")


class _Run:
    """One step on its way."""

    def __init__(
        self, proposed: Proposed, step: Step, usable: dict[str, Means], how: How, worlds: Worlds
    ) -> None:
        self._how = how
        self._worlds = worlds
        self._proposed = proposed
        self._prefix = shapes.text(step, "write_prefix")
        self._ref = shapes.text(step, "ref")
        self._means = usable[shapes.text(step, "operator")]
        self._use = {name: str(path) for name, path in shapes.members(step, "inputs").items()}
        registry = self._means.processor.registry
        # Whoever starts the processor gives it its secrets. That is the app on Modal, and whether
        # it has them is asked when the deployment is looked up.
        needed = sorted(self._means.processor.secrets) if how.adapter == "local" else []
        proposal = Proposal(
            goal=proposed.goal.name,
            plan=proposed.id,
            head=proposed.head,
            step=label(self._prefix),
            writes=(self._prefix,),
            reads={path: proposed.reads.get(path) for path in sorted({*self._use.values()})},
            ask_micro_usd=_ask(step),
            # The lane is asked about the flag as it was given, whoever declares the secret.
            question={**record.question(self._request("none")), "secrets": how.allow_env != []},
            endpoints=bool(shapes.members(registry, "endpoints")),
            pin=self._means.processor.image_digest,
            secrets=needed,
        )
        present = [
            name for name in needed if name in how.allow_env and how.setting.environ.get(name)
        ]
        self._gate = Gate(proposal, proposed.goal, how.policy, present)
        self._begun: list[str] = []
        self._tries = 0

    def end(self, *, may_wait: bool) -> Ended | None:
        """Run the step to its end; None if it has to wait, after which this is called again.

        Args:
            may_wait: Whether it may: others of the plan may hold what it lacks.
        """
        while True:
            if self._how.setting.stop.signum is not None:
                return self._ended(adapter_error("interrupted", "it was not begun"))
            with self._worlds.lend() as world:
                execution_id, refused = self._admit(world, may_wait=may_wait)
            if self._has_to_wait():
                return None
            if execution_id is None:
                return self._ended(refused)
            self._how.observer.attempt_begins(self._prefix, execution_id)
            trail = self._how.observer.trail(execution_id)
            request = self._request(execution_id)
            envelope = run(
                request,
                self._how.setting,
                trail,
                self._gate,
                worlds=self._worlds,
                processor=self._means.processor,
            )
            if self._has_to_wait():
                return None
            if self._gate.overtaken:
                continue  # another loop has made this attempt; what there is left to do is judged
            self._tries += 1
            error = _error(envelope)
            charged = _cost(envelope) if error is None else self._charged(execution_id)
            self._how.observer.attempt_ends(self._prefix, error, charged or 0)
            if charged is not None:
                self._begun.append(execution_id)
            if error is None or not self._may_repeat(error):
                return self._ended(error)
            self._pause(error)

    def _pause(self, error: ContractError) -> None:
        """Let some time pass before the next attempt, longer each time; a signal ends it.

        An error that is worth one more attempt is a time limit: that much has passed already.
        """
        if error.row.retry != "bounded":
            return
        pause_s = self._how.pause_s * 2 ** (self._tries - 1)
        note = f"{pause_s:g} s until the next attempt, after {error.code} / {error.reason}"
        self._how.observer.step_waits(self._prefix, note)
        self._how.setting.stop.wait(pause_s)

    def _has_to_wait(self) -> bool:
        waiting = self._gate.waiting
        if waiting:
            self._how.observer.step_waits(self._prefix, "for budget that others have reserved")
        return waiting

    def _admit(self, world: World, *, may_wait: bool) -> tuple[str | None, ContractError | None]:
        """The id of the execution that may begin, or none, and why if it was refused."""
        with world.ledger.reading():
            verdict = self._gate.judge(world, may_wait=may_wait)
        if verdict.fact is not None and not verdict.admitted and not self._gate.waiting:
            verdict = self._gate.refuse(world)
        if verdict.fact is None:
            return None, None  # an earlier attempt has succeeded
        if not verdict.admitted:
            return None, refusal(verdict, self._prefix)
        return str(verdict.fact[1]["execution_id"]), None

    def _charged(self, execution_id: str) -> int | None:
        """What the goal paid for an execution; None if that is only an id chosen for one."""
        admitted = self._gate.admitted
        if admitted is None:
            return None
        with self._worlds.lend() as world:
            there = world.ledger.head_at(admitted.count)
            if there is None or there.hash != admitted.hash:
                return None  # it was not committed; who has this id now is another loop
            held = commitments.transition(world.ledger, execution_id)
        assert held is not None
        return held.spent_micro_usd or 0

    def _may_repeat(self, error: ContractError) -> bool:
        row = find_row(error.code, error.reason)
        most = 1 if row is None else self._how.policy.attempts_max[row.retry]
        return self._tries < most

    def _ended(self, error: ContractError | None) -> Ended:
        return Ended(self._prefix, self._ref, self._begun, error)

    def _request(self, execution_id: str) -> Request:
        ref = parse_ref(self._ref)
        assert ref is not None
        return Request(
            ref=ref,
            adapter=self._how.adapter,
            mode=self._how.mode,
            lane=self._how.lane,
            write_prefix=self._prefix,
            inputs=self._means.inputs,
            execution_id=execution_id,
            use=self._use,
            allow_env=[
                name for name in self._how.allow_env if name in self._means.processor.secrets
            ],
            allow_real=self._how.allow_real,
        )


def label(prefix: str) -> str:
    """What a step is called: its write prefix, or the digest of one that is no label."""
    return prefix if grammar.is_label(prefix) else digests.of_json(prefix)


def _cost(envelope: dict[str, Json]) -> int:
    return shapes.count(shapes.members(envelope, "meta"), "cost_micro_usd")


def _error(envelope: dict[str, Json]) -> ContractError | None:
    if envelope["status"] == "success":
        return None
    error = shapes.members(envelope, "error")
    code, reason = shapes.text(error, "code"), shapes.text(error, "reason")
    return ContractError(code, reason, shapes.text(error, "message"))
