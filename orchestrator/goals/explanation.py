"""Why a goal is as it stands: a tree from the goal to its predicates, artifacts and events.

Judged of the world as it is now, in one snapshot; nothing is written.
"""

from __future__ import annotations

from orchestrator.goals import judging, snapshot, standing
from orchestrator.world import commitments, fold
from processors.protocol import shapes
from processors.protocol.canonical import Json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.goals.goal import Stated
    from orchestrator.goals.snapshot import Snapshot
    from orchestrator.world.ledger import Ledger
    from orchestrator.world.world import World

    type Data = dict[str, Json]


def of(world: World, name: str) -> Data:
    """The tree of a goal.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unknown_goal``, or what is wrong with the world.
    """
    with snapshot.of(world) as seen:
        goal = standing.find(world, name)
        row = world.ledger.goal(name)
        assert row is not None
        return {
            "goal": goal.id,
            "name": goal.name,
            "status": row.status,
            "judged": row.judged_seq,
            "proof": row.proof,
            "head": {"count": seen.head.count, "hash": seen.head.hash},
            "predicates": [_predicate(world, stated, seen) for stated in goal.proving],
        }


def goals(ledger: Ledger) -> Data:
    """Every goal of a world and how it stood when it was judged last, sorted by name."""
    return {
        "goals": [
            {"name": each.name, "status": each.status, "judged": each.judged_seq}
            for each in ledger.goals()
        ]
    }


def goal_lines(found: Data) -> list[str]:
    """The goals for people."""
    lines = []
    for each in _items(found, "goals"):
        when = "" if each["judged"] is None else f" as of event {each['judged']}"
        lines.append(f"{each['name']}  {each['status']}{when}")
    return lines or ["no goals"]


def standing_words(status: str, judged_seq: int | None, untrue: Sequence[str]) -> tuple[str, str]:
    """How a goal stands, and how the world of now differs from that, or "" if it does not.

    Args:
        status: The goal's, which follows from when it was judged.
        judged_seq: The number of the event that it follows from.
        untrue: Names of the predicates that must hold and are not true now.
    """
    if (status == fold.SATISFIED) == (not untrue):
        return status, ""
    then = status if judged_seq is None else f"{status} as of event {judged_seq}"
    now = f"not true now: {', '.join(untrue)}" if untrue else "all of it is true now"
    return then, f"; {now}; next: achieve"


def lines(tree: Data) -> list[str]:
    """The tree for people."""
    predicates, judged = _items(tree, "predicates"), tree["judged"]
    untrue = [shapes.text(each, "name") for each in predicates if each["value"] != judging.TRUE]
    seq = judged if isinstance(judged, int) else None
    stands = "".join(standing_words(shapes.text(tree, "status"), seq, untrue))
    found = [f"{tree['name']}  {stands}", f"  proof {tree['proof'] or 'none'}"]
    for predicate in predicates:
        found.append(f"  {predicate['value']:<5}  {predicate['name']}: {predicate['predicate']}")
        for artifact in _items(predicate, "artifacts"):
            found.append(f"    {artifact['path']}  {artifact['cid'] or 'is not there'}")
            found += _maker_lines(artifact)
    return found


def _maker_lines(artifact: Data) -> list[str]:
    if artifact["event"] is None:
        return []
    event = shapes.members(artifact, "event")
    made = [f"      event {event['seq']}, {event['type']}"]
    if event["execution_id"] is not None:
        made[0] += f" of {event['ref']}, execution {event['execution_id']}"
    if event["plan"] is not None:
        made.append(f"      a step of plan {event['plan']}")
    return made


def _predicate(world: World, stated: Stated, seen: Snapshot) -> Data:
    verdict = judging.judge(stated, seen)
    looked_at = _items(verdict.witness, "artifacts")
    return {
        "name": stated.name,
        "predicate": stated.predicate,
        "scope": stated.scope,
        "value": verdict.value,
        "witness": verdict.witness,
        "artifacts": [_artifact(world, item) for item in looked_at],
    }


def _artifact(world: World, item: Data) -> Data:
    seq = item.get("seq")
    event = _event(world, seq) if isinstance(seq, int) else None
    return {"path": item["path"], "cid": item.get("cid"), "event": event}


def _event(world: World, seq: int) -> Data:
    """The event that put an artifact there, and the execution and the plan that it came of."""
    event = world.ledger.event(seq)
    execution_id = event.data.get("execution_id")
    execution = transition = None
    if isinstance(execution_id, str):
        execution = world.ledger.execution(execution_id)
        transition = commitments.transition(world.ledger, execution_id)
    return {
        "seq": seq,
        "type": event.type,
        "execution_id": execution_id,
        "ref": None if execution is None else execution.ref,
        "plan": None if transition is None else transition.plan,
    }


def _items(found: Data, key: str) -> list[Data]:
    listed = found[key]
    assert isinstance(listed, list)
    return [item for item in listed if isinstance(item, dict)]
