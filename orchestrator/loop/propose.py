"""``propose``: from what of a goal is not proved to a plan that the checker has judged.

The planner knows paths alone. So what is asked of it is that paths exist (``missing``); whether a
predicate is true of what lies there is judged once they do.
"""

from __future__ import annotations

from orchestrator.execution import input_schema
from orchestrator.goals import planner
from orchestrator.goals.domain import DomainError, Facts, Task
from orchestrator.goals.templates import Template
from orchestrator.loop import certificates, settlement
from orchestrator.loop.means import invalid
from orchestrator.loop.missing import Missing
from orchestrator.world import commitments, loop_facts
from processors.protocol import paths, shapes
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.domain import Want
    from orchestrator.goals.goal import Goal
    from orchestrator.goals.snapshot import Snapshot
    from orchestrator.loop.means import Means
    from orchestrator.loop.missing import Find
    from orchestrator.world.chain import Head
    from orchestrator.world.placing import Placing
    from orchestrator.world.world import World


class Proposed:
    """A plan for a goal at one head, or the proof that there is none.

    Attributes:
        goal: The goal.
        head: The head.
        document: What the planner answered.
        encoded: Its canonical bytes.
        id: Their digest.
        problem: What the checker has against it, or None.
        reads: The content of what the plan takes from the world, by path.
        question: Where there is no plan, what the planner was asked, but for what existed.
    """

    __slots__ = ("document", "encoded", "goal", "head", "id", "problem", "question", "reads")

    def __init__(
        self,
        goal: Goal,
        head: Head,
        document: dict[str, Json],
        problem: str | None,
        reads: dict[str, str],
        question: dict[str, Json] | None,
    ) -> None:
        self.goal = goal
        self.question = question
        self.head = head
        self.document = document
        self.encoded, self.id = planner.encoded(document)
        self.problem = problem
        self.reads = reads

    @property
    def is_plan(self) -> bool:
        """Whether it is a plan, and no certificate that there is none."""
        return "steps" in self.document

    @property
    def steps(self) -> list[dict[str, Json]]:
        """The steps of the plan, in its order."""
        found = self.document["steps"]
        assert isinstance(found, list)
        return [step for step in found if isinstance(step, dict)]


def propose(goal: Goal, seen: Snapshot, usable: dict[str, Means], find: Find) -> Proposed | None:
    """Plan for what is not proved; None if nothing that is not proved can be planned for.

    Args:
        goal: The goal.
        seen: The world at one moment.
        usable: What may be used.
        find: Gives another goal of the world by its name.

    Raises:
        ContractError: ``ERR_INPUTS``: ``no_plan`` if the planner has no answer; ``invalid_goal``
            if a processor of the plan would not take the inputs that the goal has for it.
    """
    missing = Missing(seen, [each.operator for each in usable.values()])
    try:
        missing.look(goal, find)
        wanted, lost = {*missing.wanted()}, missing.lost
        if not wanted:
            return None
        facts = {each.path for each in seen.artifacts(certificates.ROOT)}
        while True:
            existing = Facts(facts - lost)
            found = _planned(goal, seen, usable, wanted, existing, lost)
            # What a step would read has to be made again, too, and what it would undo kept.
            gone = {path for path in found.reads if missing.is_lost(path)}
            kept = missing.kept(goal, find, _replaced(found, existing)) - wanted
            if not gone and not kept:
                break
            lost |= gone
            wanted |= kept
    except DomainError as error:  # a path that the world has may have a name that no plan can say
        raise inputs_error("no_plan", f"goal {goal.name}: {error}{_braced(goal, seen)}") from None
    if found.is_plan:
        _check_inputs(found, usable)
    return found


def _replaced(found: Proposed, existing: Facts) -> set[str]:
    """What exists where the steps of a plan write, and none of them makes."""
    replaced: set[str] = set()
    for step in found.steps if found.is_plan else ():
        prefix, made = shapes.text(step, "write_prefix"), step["produces"]
        assert isinstance(made, list)
        with_every_run = paths.receipt_path(prefix), paths.index_path(prefix)
        replaced.update({*existing.starting(prefix)}.difference(made, with_every_run))
    return replaced


def _braced(goal: Goal, seen: Snapshot) -> str:
    """The first artifact that a predicate is stated for and whose name reads as a template."""
    for stated in goal.predicates:
        if stated.for_each is None:
            continue
        template = Template(stated.for_each)
        for each in seen.artifacts(template.folder):
            if template.match(each.path) is not None and not {"{", "}"}.isdisjoint(each.path):
                return f"; {each.path} has a brace in its name, which no plan can say: rename it"
    return ""


def _planned(
    goal: Goal,
    seen: Snapshot,
    usable: dict[str, Means],
    wanted: set[Want],
    existing: Facts,
    lost: set[str],
) -> Proposed:
    """The planner's answer to what is wanted where so much is there, and the checker's to that."""
    try:
        task = Task(
            goal=goal.id,
            head=(seen.head.count, seen.head.hash),
            operators=[each.operator for each in usable.values()],
            facts=existing,
            wants=wanted,
            transitions=list(usable) if goal.transitions else None,
        )
        answer = planner.plan(task)
    except DomainError as error:
        raise inputs_error("no_plan", f"goal {goal.name}: {error}") from None
    if isinstance(answer, planner.Refused):
        raise inputs_error("no_plan", f"goal {goal.name}: {answer.message}")
    problem = certificates.problem(answer.document, task)
    none = isinstance(answer, planner.NoPlan)
    asked = certificates.question(task, lost) if none else None
    return Proposed(goal, seen.head, answer.document, problem, _reads(answer.document, seen), asked)


def keep(world: World, proposed: Proposed) -> None:
    """Write a plan down, with the checker's verdict; the same plan is written once.

    A certificate that there is none is written down likewise, with what the planner was asked.
    """
    stem = loop_facts.PLANS + proposed.id.removeprefix("sha256:")
    with world.objects.placing() as placing:
        file = _kept(placing, f"{stem}.json", proposed.encoded)
        own = (proposed.id, proposed.goal.name, proposed.head, file, proposed.problem)
        data = settlement.plan_proposed(*own)
        if proposed.question is not None:
            asked = canonical(proposed.question)
            data["question"] = _kept(placing, f"{stem}.question.json", asked)
        placing.place()
        with world.ledger.writing() as transaction:
            if proposed.question is not None:
                transaction.append("plan.refused", data)
            elif commitments.plan(world.ledger, proposed.id) is None:
                transaction.append("plan.proposed", data)


def _kept(placing: Placing, path: str, data: bytes) -> dict[str, Json]:
    cid, size_bytes = placing.write(data)
    return {"path": path, "cid": cid, "size_bytes": size_bytes}


def _reads(document: dict[str, Json], seen: Snapshot) -> dict[str, str]:
    found: dict[str, str] = {}
    steps = document.get("steps", [])
    for step in steps if isinstance(steps, list) else ():
        taken = shapes.members({"step": step}, "step")
        for name, source in shapes.members(taken, "sources").items():
            path = shapes.text(taken["inputs"], name)
            if source == "world" and (there := seen.artifact(path)) is not None:
                found[path] = there.cid
    return found


def _check_inputs(found: Proposed, usable: dict[str, Means]) -> None:
    """Refuse a plan of which a processor would refuse what the goal asks it with."""
    for name in sorted({shapes.text(step, "operator") for step in found.steps}):
        schema = shapes.members(usable[name].processor.registry, "inputs")
        if (wrong := input_schema.problem(usable[name].inputs, schema)) is not None:
            raise invalid(found.goal, f"what {name} is asked with: {wrong}")
