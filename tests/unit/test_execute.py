"""Steps that do not begin: no execution is counted, and no gate is passed by."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from orchestrator.execution.request import Request
from orchestrator.execution.run import Setting, run
from orchestrator.execution.trail import Trail
from orchestrator.goals import goal_file, snapshot, standing
from orchestrator.goals.goal import Goal
from orchestrator.loop import driver, means, propose, settlement
from orchestrator.loop.execute import Ended, How, execute
from orchestrator.loop.gate import Gate
from orchestrator.loop.observer import Observer
from orchestrator.loop.worlds import Worlds
from orchestrator.modal.session import Session
from orchestrator.world import commitments, fold
from orchestrator.world.chain import Head
from orchestrator.world.world import World
from processors.protocol import shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError
from processors.protocol.refs import Ref
from processors.protocol.spawn import Stop
from tests.fixtures import lives, loops

DESCRIPTION: dict[str, Json] = {
    "schema": "v1",
    "argv": ["{python}"],
    "registry_file": "registry.json",
    "source_root": "sha256:" + "1" * 64,
    "lock": "sha256:" + "2" * 64,
    "registry": {
        "ref": "tests/still@1",
        "image": {"repository": "tests/still", "digest": "sha256:" + "3" * 64},
        "inputs": {"type": "object", "properties": {}},
        "requires": {"source": "/artifacts/in/{name}"},
        "produces": ["/artifacts/still/{name}/outputs/a.txt"],
        "cost": {"estimate_micro_usd": 1},
        "secrets": [],
        "endpoints": {},
    },
}
GOAL = b"""\
schema: v1
name: digest
summary: of a test
budget_micro_usd: 9
predicates:
  - {name: there, predicate: artifact.exists, args: {path: /artifacts/still/a/outputs/a.txt}}
"""


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    """A world to be, and one processor as a build would leave it."""
    own = tmp_path / "processors/tests/still/v1"
    own.mkdir(parents=True)
    (own / "processor.json").write_text(json.dumps(DESCRIPTION))
    return Setting(
        world=str(tmp_path / "world"),
        processors_folder=str(tmp_path / "processors"),
        environ={},
        stop=Stop(),
        debug=False,
        publish=False,
        connect=unreachable,
    )


@pytest.fixture
def remote(setting: Setting) -> Setting:
    """The same where the world is there and has what the processor takes."""
    with World(setting.world, make=True) as world:
        put(world, "/artifacts/in/a")
    return setting


@pytest.fixture
def trail(tmp_path: Path) -> Iterator[Trail]:
    with (tmp_path / "trail").open("w+b", buffering=0) as file:
        yield Trail("x-1", file.fileno())


def goal() -> Goal:
    return goal_file.load(GOAL, "goal.yaml")


def put(world: World, path: str) -> None:
    with world.objects.placing() as placing:
        cid, size_bytes = placing.write(b"x")
        placing.place()
        with world.ledger.writing() as transaction:
            file: dict[str, Json] = {"path": path, "cid": cid, "size_bytes": size_bytes}
            transaction.append("artifact.put", {**file, "mime": "text/plain", "source": None})


def executed(
    setting: Setting,
    observer: Observer | None = None,
    *,
    adapter: str = "local",
    mode: str = "mock",
    pause_s: float = 0,
) -> list[Ended]:
    """How the steps of a plan for the goal end."""
    usable = means.find(goal(), setting.processors_folder)
    with World(setting.world, make=False) as world:
        standing.declare(world, goal())
        with world.ledger.writing() as transaction:
            transaction.append("budget.set", settlement.budget_set(goal().name, 9))
        with snapshot.of(world) as seen:
            found = propose.propose(goal(), seen, usable, lambda name: standing.find(world, name))
        assert found is not None
        propose.keep(world, found)
    how = how_of(setting, observer, adapter=adapter, mode=mode, pause_s=pause_s)
    return execute(found, usable, how)


def how_of(
    setting: Setting,
    observer: Observer | None = None,
    *,
    adapter: str = "local",
    mode: str = "mock",
    pause_s: float = 0,
) -> How:
    """How steps run here."""
    return How(
        lane="dev",
        adapter=adapter,
        mode=mode,
        jobs=1,
        pause_s=pause_s,
        allow_env=[],
        allow_real=False,
        policy=loops.POLICY,
        setting=setting,
        observer=observer,
    )


class Faster(Observer):
    """Another loop with the same plan, which begins the step when this one is about to.

    Args:
        world: The world's folder.
        ends: Whether it also ends it at once.
        reason: What the step fails with then, or None for a success.
    """

    def __init__(self, world: str, *, ends: bool, reason: str | None = None) -> None:
        self._world = world
        self._ends = ends
        self._reason = reason

    def attempt_begins(self, step: str, execution_id: str) -> None:
        """See ``Observer``."""
        with World(self._world, make=False) as world:
            ledger = world.ledger
            plan = commitments.plans(ledger, goal().name)[-1]
            asked = loops.proposal(loops.Step(step, ask=1), Head(plan.head_count, plan.head_hash))
            asked.plan, asked.step = plan.plan, step
            assert loops.propose(ledger, asked).admitted
            if self._ends:
                loops.settle(ledger, execution_id, 0, self._reason)


def facts(setting: Setting, type_: str) -> list[dict[str, Json]]:
    """The data of the events of a type."""
    with World(setting.world, make=False) as world:
        return [each.data for each in world.ledger.events() if each.type == type_]


def test_a_step_that_another_loop_runs_is_refused_as_a_held_lease(setting: Setting) -> None:
    with World(setting.world, make=True) as world:
        put(world, "/artifacts/in/a")

    [ended] = executed(setting, Faster(setting.world, ends=False))

    assert ended.error is not None
    assert (ended.error.code, ended.error.reason) == ("ERR_CI_SAFETY", "step_refused")
    assert "lease_held" in ended.error.message
    assert ended.executions == []
    [refused] = facts(setting, "transition.refused")
    assert refused["reason"] == "lease_held"
    assert len(facts(setting, "execution.requested")) == 1


def test_a_step_that_another_loop_has_done_meanwhile_is_done(setting: Setting) -> None:
    with World(setting.world, make=True) as world:
        put(world, "/artifacts/in/a")

    [ended] = executed(setting, Faster(setting.world, ends=True))

    assert (ended.error, ended.executions) == (None, [])
    assert facts(setting, "transition.refused") == []
    assert len(facts(setting, "execution.requested")) == 1


def test_an_attempt_of_another_loop_is_judged_and_not_claimed(setting: Setting) -> None:
    with World(setting.world, make=True) as world:
        put(world, "/artifacts/in/a")

    [ended] = executed(setting, Faster(setting.world, ends=True, reason="provider_refused"))

    assert ended.error is not None
    assert (ended.error.reason, ended.executions) == ("step_refused", [])
    assert "attempts_spent" in ended.error.message
    assert len(facts(setting, "execution.requested")) == 1


class Reserving(Observer):
    """Another loop of the goal holds all of its budget; nothing of this one runs."""

    def __init__(self) -> None:
        self.waited: list[str] = []

    def step_waits(self, step: str, note: str) -> None:
        """See ``Observer``."""
        self.waited.append(f"{step} {note}")


def test_what_only_another_loop_has_reserved_is_not_waited_for(setting: Setting) -> None:
    with World(setting.world, make=True) as world:
        put(world, "/artifacts/in/a")
        loops.limit(world.ledger, 9)
        head = loops.plan(world.ledger)
        other = loops.proposal(loops.Step("/artifacts/other/", ask=9), head)
        assert loops.propose(world.ledger, other).admitted
    observer = Reserving()

    [ended] = executed(setting, observer)

    assert observer.waited == ["/artifacts/still/a/ for budget that others have reserved"]
    assert ended.error is not None
    assert "over_budget; it asks for 1 of 0 micro-USD that are free" in ended.error.message
    [refused] = facts(setting, "transition.refused")
    assert (refused["reason"], refused["bound_micro_usd"], refused["ask_micro_usd"]) == (
        *("over_budget", 0),
        1,
    )


def unreachable(_: Mapping[str, str]) -> Session:
    """No way to Modal, today."""
    raise ContractError("ERR_MODAL_LOOKUP", "unreachable", "no answer")  # of the class "bounded"


class Pausing(Observer):
    """Notes what is waited for, and lets a signal come in the first pause if it is told to."""

    def __init__(self, stop: Stop | None = None) -> None:
        self.waited: list[str] = []
        self._stop = stop

    def step_waits(self, step: str, note: str) -> None:  # noqa: ARG002 - its interface
        """See ``Observer``."""
        self.waited.append(note)
        if self._stop is not None:
            self._stop.request(signal.SIGINT)


def test_the_pauses_between_attempts_grow(remote: Setting) -> None:
    observer = Pausing()

    [ended] = executed(remote, observer, adapter="modal", pause_s=0.001)

    assert ended.error is not None
    assert ended.error.reason == "unreachable"
    assert observer.waited == [
        "0.001 s until the next attempt, after ERR_MODAL_LOOKUP / unreachable",
        "0.002 s until the next attempt, after ERR_MODAL_LOOKUP / unreachable",
    ]


def test_a_signal_ends_a_pause(remote: Setting) -> None:
    observer = Pausing(remote.stop)

    [ended] = executed(remote, observer, adapter="modal", pause_s=3_600)

    assert ended.error is not None
    assert ended.error.reason == "interrupted"
    assert len(observer.waited) == 1


@pytest.fixture
def secretive(remote: Setting) -> Setting:
    """The same where the processor declares a secret."""
    file = Path(remote.processors_folder, "tests/still/v1/processor.json")
    registry = {**shapes.members(DESCRIPTION, "registry"), "secrets": ["STILL_KEY"]}
    file.write_text(json.dumps({**DESCRIPTION, "registry": registry}))
    return remote


def test_of_the_caller_no_secret_is_asked_that_the_app_has(secretive: Setting) -> None:
    """Whether it has it, the look-up of the deployment asks."""
    [ended] = executed(secretive, adapter="modal", mode="real")

    assert ended.error is not None
    assert (ended.error.code, ended.error.reason) == ("ERR_MODAL_LOOKUP", "unreachable")
    assert facts(secretive, "transition.refused") == []


def test_a_secret_that_the_caller_has_not_keeps_a_step_from_beginning_here(
    secretive: Setting,
) -> None:
    [ended] = executed(secretive, mode="real")

    assert ended.error is not None
    assert (ended.error.code, ended.error.reason) == ("ERR_CI_SAFETY", "step_refused")
    assert [each["reason"] for each in facts(secretive, "transition.refused")] == ["absent"]


class Taken(Observer):
    """Somebody gives the id of the step to an execution of no plan."""

    def __init__(self, world: str) -> None:
        self._world = world

    def attempt_begins(self, step: str, execution_id: str) -> None:
        """See ``Observer``."""
        with World(self._world, make=False) as world, world.ledger.writing() as transaction:
            for fact in (lives.requested(execution_id, step), lives.judged(execution_id)):
                transaction.append(*fact)
            transaction.append(*lives.started(execution_id))
            transaction.append(*lives.abandoned(execution_id))


def test_an_id_that_no_plan_gave_out_is_not_taken_for_a_step(setting: Setting) -> None:
    with World(setting.world, make=True) as world:
        put(world, "/artifacts/in/a")

    [ended] = executed(setting, Taken(setting.world))

    assert ended.error is not None
    assert (ended.error.reason, ended.executions) == ("execution_exists", [])
    assert facts(setting, "transition.admitted") == []


def test_what_is_no_step_keeps_out_of_what_a_step_has_leased(
    setting: Setting, trail: Trail
) -> None:
    with World(setting.world, make=True) as world:
        put(world, "/artifacts/in/a")
    executed(setting, Faster(setting.world, ends=False))
    found = []
    for prefix in ("/artifacts/still/a/", "/artifacts/still/a/b/", "/artifacts/still/"):
        asked = Request(
            ref=Ref("tests", "still", 1),
            adapter="local",
            mode="mock",
            lane="pr",
            write_prefix=prefix,
            inputs={},
            execution_id="x-1",
        )
        with Worlds(setting.world, 1) as worlds:  # what has no folder would be given up elsewhere
            error = run(asked, setting, trail, worlds=worlds)["error"]
        assert isinstance(error, dict)
        found.append((error["code"], error["reason"]))

    assert found == [("ERR_INPUTS", "prefix_occupied")] * 3


def test_an_id_that_never_began_is_no_execution(setting: Setting) -> None:
    with World(setting.world, make=True) as world:
        put(world, "/artifacts/in/a")
        put(world, "/artifacts/still/a/notes.txt")  # what nobody made is where it would write

    [ended] = executed(setting)

    assert ended.error is not None
    assert (ended.error.reason, ended.executions) == ("prefix_occupied", [])
    with World(setting.world, make=False) as world:
        assert list(world.ledger.executions()) == []


def test_what_others_have_made_since_it_was_judged_is_judged_again(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = standing.prove

    def and_then_is_made(world: World, name: str, *, verify: bool = False) -> standing.Standing:
        found = judge(world, name, verify=verify)
        if found.status == fold.UNPROVED:
            put(world, "/artifacts/still/a/outputs/a.txt")
        return found

    monkeypatch.setattr(standing, "prove", and_then_is_made)

    found = driver.achieve(goal(), how_of(setting), folder=str(Path(setting.world).parent))

    assert found.proof is not None
    assert (found.plans, found.ended) == ([], [])


def test_what_is_false_is_told_whatever_else_happens_in_the_world(
    remote: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = standing.prove
    judged: list[str] = []

    def and_then_something_happens(
        world: World, name: str, *, verify: bool = False
    ) -> standing.Standing:
        found = judge(world, name, verify=verify)
        judged.append(name)
        put(world, f"/artifacts/elsewhere/{len(judged)}")
        return found

    monkeypatch.setattr(standing, "prove", and_then_something_happens)
    stated = goal_file.load(
        GOAL[: GOAL.index(b"  - ")]
        + b"  - {name: large, predicate: artifact.size_between,"
        + b" args: {path: /artifacts/in/a, at_least_bytes: 9, at_most_bytes: 10}}\n",
        "goal.yaml",
    )

    with pytest.raises(ContractError, match="large is false") as caught:
        driver.achieve(stated, how_of(remote), folder=str(Path(remote.world).parent))

    assert (caught.value.reason, len(judged)) == ("goal_unproved", 1)


def test_a_step_of_a_plan_takes_no_earlier_result(setting: Setting, trail: Trail) -> None:
    step = loops.proposal(loops.Step("/artifacts/still/a/"), Head(1, lives.cid("head")))
    request = Request(
        ref=Ref("tests", "still", 1),
        adapter="local",
        mode="mock",
        lane="pr",
        write_prefix="/artifacts/still/a/",
        inputs={},
        execution_id="x-1",
        memo=True,
    )

    with pytest.raises(ValueError, match="takes no earlier result"):
        run(request, setting, trail, Gate(step, goal(), loops.POLICY, ()))

    assert not Path(setting.world).exists()


def test_a_verdict_is_reached_again_once_the_chain_has_grown(setting: Setting) -> None:
    step = loops.proposal(loops.Step("/artifacts/still/a/"), Head(1, lives.cid("head")))
    gate = Gate(step, goal(), loops.POLICY, ())
    bounds: list[Json] = []
    with World(setting.world, make=True) as world:
        with world.ledger.reading():
            verdict = gate.judge(world)
        with World(setting.world, make=False) as other, other.ledger.writing() as transaction:
            transaction.append("budget.set", settlement.budget_set(step.goal, 9))
        for each in (verdict, gate.refuse(world)):
            assert each.fact is not None
            bounds.append(each.fact[1]["bound_micro_usd"])

    assert bounds == [None, 9]
