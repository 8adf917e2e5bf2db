"""Goals in a world: declared, proved and re-opened, each by an event.

Nobody sets a status. A goal is satisfied once each of its predicates was proved of one moment of
the world, and the proof is kept; it is open again once one of them was found not to be true any
more. What is written down is decided by ``decide``, which is pure.
"""

from __future__ import annotations

from itertools import islice

from orchestrator.goals import goal as goals
from orchestrator.goals import judging, snapshot
from orchestrator.goals.predicates import goal as goal_family
from orchestrator.world import fold, goal_facts
from processors.protocol import shapes
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.goal import Goal
    from orchestrator.goals.judging import Verdict
    from orchestrator.goals.snapshot import Snapshot
    from orchestrator.world.chain import Head
    from orchestrator.world.placing import Placing
    from orchestrator.world.world import World

    type Fact = tuple[str, dict[str, Json]]

GOALS_NAMED_MAX = 8  # in a message; ``explain`` names them all
ROUNDS_MAX = 5  # how often the world may change while a goal is judged


class Standing:
    """How a goal stands.

    Attributes:
        goal: The goal.
        verdicts: The verdict on each predicate whose truth is the goal's, by name.
        status: One of ``fold.GOAL_STATUSES``.
        proof: The content id of its proof, or None unless it is satisfied.
    """

    __slots__ = ("goal", "proof", "status", "verdicts")

    def __init__(
        self, goal: Goal, verdicts: dict[str, Verdict], status: str, proof: str | None
    ) -> None:
        self.goal = goal
        self.verdicts = verdicts
        self.status = status
        self.proof = proof


def declare(world: World, goal: Goal) -> bool:
    """Write a goal into a world, or its new form; return whether anything was to be written.

    Raises:
        ContractError: ``ERR_INPUTS``: ``goal_cycle``, or the world cannot be written.
    """
    with world.objects.placing() as placing:
        cid, size_bytes = placing.write(goal.encode())
        placing.place()
        with world.ledger.writing() as transaction:
            before = world.ledger.goal(goal.name)
            if before is not None and before.goal == cid:
                return False
            check_cycle(world, goal)
            data: dict[str, Json] = {
                "name": goal.name,
                "document": _file(goal_facts.goal_path(goal.name), cid, size_bytes),
                "must_hold": [stated.name for stated in goal.proving],
            }
            if before is None:
                transaction.append("goal.declared", data)
            else:
                transaction.append("goal.changed", {**data, "replaces": before.goal})
    return True


def find(world: World, name: str) -> Goal:
    """The goal that a world has by a name.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unknown_goal``, or ``world_corrupt``.
    """
    found = _kept(world, name)
    if found is None:
        there = [each.name for each in islice(world.ledger.goals(), GOALS_NAMED_MAX + 1)]
        more = ", ..." if len(there) > GOALS_NAMED_MAX else ""
        listed = ", ".join(there[:GOALS_NAMED_MAX]) + more or "none"
        raise inputs_error("unknown_goal", f"the world has no goal {name!a}; it has {listed}")
    return found


def prove(world: World, name: str, *, verify: bool = False) -> Standing:
    """Judge a goal and write down what follows; return how it stands.

    Nothing is written if nothing follows: a goal that is satisfied and still true keeps its proof.

    Args:
        world: The world, in no transaction.
        name: The goal's name.
        verify: Whether bytes that only have to be there are hashed again.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unknown_goal``, ``world_busy`` if the world does not come
            to rest, or the world cannot be read or written.
    """
    for _ in range(ROUNDS_MAX):
        with snapshot.of(world, verify=verify) as seen:
            goal, head = find(world, name), seen.head
            verdicts = {stated.name: judging.judge(stated, seen) for stated in goal.proving}
        found = _settle(world, goal, verdicts, head)
        if found is not None:
            return found
    raise inputs_error(
        "world_busy", f"the world changed {ROUNDS_MAX} times while {name} was judged"
    )


def decide(status: str, goal: Goal, verdicts: dict[str, Verdict], head: Head) -> list[Fact]:
    """The facts that follow from verdicts, given a goal's status: none, or those that change it.

    The proof of a goal that becomes satisfied is for the caller to place; its file is in the fact.
    """
    at: Json = {"count": head.count, "hash": head.hash}
    own: dict[str, Json] = {"name": goal.name, "goal": goal.id, "head": at}
    if all(verdict.is_true for verdict in verdicts.values()):
        return [] if status == fold.SATISFIED else [("goal.satisfied", own)]
    if status != fold.SATISFIED:
        return []
    return [
        ("predicate.regressed", {**own, "predicate": name, **verdict.as_json()})
        for name, verdict in sorted(verdicts.items())
        if not verdict.is_true
    ]


def proof_of(goal: Goal, verdicts: dict[str, Verdict]) -> bytes:
    """The document that proves a goal: the same for the same goal and the same witnesses."""
    proved: list[Json] = [
        {"name": name, **verdict.as_json()} for name, verdict in sorted(verdicts.items())
    ]
    return canonical({"schema": "v1", "name": goal.name, "goal": goal.id, "verdicts": proved})


def _settle(world: World, goal: Goal, verdicts: dict[str, Verdict], head: Head) -> Standing | None:
    """Write down what follows; None if the verdicts are of a world that is no more."""
    with world.objects.placing() as placing:
        kept = None if _is_proved(world, goal) else _place(placing, goal, verdicts)
        with world.ledger.writing() as transaction:
            now = world.ledger.goal(goal.name)
            if now is None or now.goal != goal.id or not _still(world, verdicts, head):
                return None
            for kind, data in decide(now.status, goal, verdicts, head):
                if kind == "goal.satisfied":
                    if kept is None:
                        return None  # it was proved, and no longer is
                    data |= {"proved": list[Json](sorted(verdicts)), "proof": kept}
                transaction.append(kind, data)
            after = world.ledger.goal(goal.name)
    assert after is not None
    return Standing(goal, verdicts, after.status, after.proof)


def _is_proved(world: World, goal: Goal) -> bool:
    """Whether the proof of a goal is there, so that no other one is needed."""
    now = world.ledger.goal(goal.name)
    if now is None or now.goal != goal.id or now.status != fold.SATISFIED:
        return False
    proof = world.ledger.artifact(goal_facts.proof_path(goal.name))
    return proof is not None and world.objects.holds(proof.cid, proof.size_bytes)


def _place(placing: Placing, goal: Goal, verdicts: dict[str, Verdict]) -> dict[str, Json] | None:
    """Keep the proof, if there is one, and return its file."""
    if not all(verdict.is_true for verdict in verdicts.values()):
        return None
    cid, size_bytes = placing.write(proof_of(goal, verdicts))
    placing.place()
    return _file(goal_facts.proof_path(goal.name), cid, size_bytes)


def _still(world: World, verdicts: dict[str, Verdict], head: Head) -> bool:
    """Whether verdicts of an earlier moment are those of this one, which the caller holds still."""
    if world.ledger.head().hash == head.hash:
        return True
    now: Snapshot = snapshot.held(world)
    return all(judging.stands(verdict, now) for verdict in verdicts.values())


def _kept(world: World, name: str) -> Goal | None:
    row = world.ledger.goal(name)
    if row is None:
        return None
    return goals.parse(world.objects.read(row.goal, bytes_max=goals.DOCUMENT_BYTES_MAX))


def check_cycle(world: World, goal: Goal) -> None:
    """Refuse a goal that would rest on itself through the goals of the world.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``goal_cycle``.
    """
    seen: set[str] = set()
    waiting = _rests_on(goal)
    while waiting:
        name = waiting.pop()
        if name == goal.name:
            raise inputs_error("goal_cycle", f"goal {goal.name} would rest on itself")
        if name not in seen:
            seen.add(name)
            other = _kept(world, name)
            waiting += [] if other is None else _rests_on(other)


def _rests_on(goal: Goal) -> list[str]:
    return [
        shapes.text(stated.args, "goal")
        for stated in goal.predicates
        if stated.predicate == goal_family.NAME
    ]


def _file(path: str, cid: str, size_bytes: int) -> dict[str, Json]:
    return {"path": path, "cid": cid, "size_bytes": size_bytes}
