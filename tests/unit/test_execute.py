"""Steps that do not begin: no execution is counted, and no gate is passed by."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.execution.request import Request
from orchestrator.execution.run import Setting, run
from orchestrator.execution.trail import Trail
from orchestrator.goals import goal_file, snapshot, standing
from orchestrator.goals.goal import Goal
from orchestrator.loop import means, propose, settlement
from orchestrator.loop.execute import Ended, How, execute
from orchestrator.loop.gate import Gate
from orchestrator.world.chain import Head
from orchestrator.world.world import World
from processors.protocol.canonical import Json
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
        "image": {"repository": "tests/still", "digest": None},
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
name: made
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
    )


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


def executed(setting: Setting) -> list[Ended]:
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
    how = How(
        lane="pr",
        adapter="local",
        mode="mock",
        jobs=1,
        allow_env=[],
        allow_real=False,
        policy=loops.POLICY,
        setting=setting,
    )
    return execute(found, usable, how)


def test_an_id_that_never_began_is_no_execution(setting: Setting) -> None:
    with World(setting.world, make=True) as world:
        put(world, "/artifacts/in/a")
        put(world, "/artifacts/still/a/notes.txt")  # what nobody made is where it would write

    [ended] = executed(setting)

    assert ended.error is not None
    assert (ended.error.reason, ended.executions) == ("prefix_occupied", [])
    with World(setting.world, make=False) as world:
        assert list(world.ledger.executions()) == []


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
