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
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json, canonical, parse_object
from processors.protocol.errors import ContractError, inputs_error

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

    Nothing is written if nothing follows: a goal that is satisfied and still true keeps its proof
    as long as what that looked at is as it was.

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
            proof = _Proof(goal, verdicts)
            proof.keep(world, goal, seen)
        found = _settle(world, goal, verdicts, head, proof)
        if found is not None:
            return found
    raise inputs_error(
        "world_busy", f"the world changed {ROUNDS_MAX} times while {name} was judged"
    )


def decide(
    status: str, goal: Goal, verdicts: dict[str, Verdict], head: Head, *, is_kept: bool
) -> list[Fact]:
    """The facts that follow from verdicts: none, or those that change a goal's status or proof.

    A new proof is for the caller to place; its file is in the fact.

    Args:
        status: The goal's.
        goal: The goal.
        verdicts: On each predicate that must hold.
        head: Where the chain ended when they were reached.
        is_kept: Whether the goal has a proof that stands.
    """
    at: Json = {"count": head.count, "hash": head.hash}
    own: dict[str, Json] = {"name": goal.name, "goal": goal.id, "head": at}
    if all(verdict.is_true for verdict in verdicts.values()):
        return [] if status == fold.SATISFIED and is_kept else [("goal.satisfied", own)]
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


class _Proof:
    """What verdicts prove, and the proof that the world has already.

    Attributes:
        document: The proof, or None if a predicate is not true.
        kept: The content id of the world's own proof of the goal, if that stands.
        is_there: Whether its bytes are there; they are put back where they are not.
    """

    __slots__ = ("document", "is_there", "kept")

    def __init__(self, goal: Goal, verdicts: dict[str, Verdict]) -> None:
        proved = all(verdict.is_true for verdict in verdicts.values())
        self.document = proof_of(goal, verdicts) if proved else None
        self.kept: str | None = None
        self.is_there = False

    def keep(self, world: World, goal: Goal, seen: Snapshot) -> None:
        """Look whether the world has a proof, and whether that stands."""
        row = world.ledger.goal(goal.name)
        there = world.ledger.artifact(goal_facts.proof_path(goal.name))
        if self.document is None or row is None or row.goal != goal.id:
            return
        if row.proof is None or there is None or row.proof != there.cid:
            return
        if digests.of_bytes(self.document) != row.proof:
            try:
                data = world.objects.read(row.proof, bytes_max=there.size_bytes)
            except ContractError:
                return  # its bytes are gone, and so is the proof
            if not all(judging.stands(verdict, seen) for verdict in _verdicts_of(data)):
                return
        self.kept = row.proof
        self.is_there = world.objects.holds(there.cid, there.size_bytes)

    def place(self, placing: Placing, goal: Goal) -> dict[str, Json] | None:
        """Keep the proof, if there is one and the world has not; return its file."""
        if self.document is None or self.is_there:
            return None
        cid, size_bytes = placing.write(self.document)
        placing.place()
        return _file(goal_facts.proof_path(goal.name), cid, size_bytes)


def _verdicts_of(proof: bytes) -> list[Verdict]:
    """The verdicts that a proof of ours lists."""
    listed = parse_object(proof, "a proof", bytes_max=len(proof))["verdicts"]
    assert isinstance(listed, list)
    return [judging.Verdict(judging.TRUE, shapes.members(each, "witness")) for each in listed]


def _settle(
    world: World, goal: Goal, verdicts: dict[str, Verdict], head: Head, proof: _Proof
) -> Standing | None:
    """Write down what follows; None if the verdicts are of a world that is no more."""
    with world.objects.placing() as placing:
        made = proof.place(placing, goal)
        with world.ledger.writing() as transaction:
            now = world.ledger.goal(goal.name)
            if now is None or now.goal != goal.id or not _still(world, verdicts, head):
                return None
            # Another loop may just have proved the same.
            is_kept = now.proof is not None and now.proof in (proof.kept, made and made["cid"])
            for kind, data in decide(now.status, goal, verdicts, head, is_kept=is_kept):
                if kind == "goal.satisfied":
                    if made is None:
                        return None  # it was proved, and no longer is
                    data |= {"proved": list[Json](sorted(verdicts)), "proof": made}
                transaction.append(kind, data)
            after = world.ledger.goal(goal.name)
    assert after is not None
    return Standing(goal, verdicts, after.status, after.proof)


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
