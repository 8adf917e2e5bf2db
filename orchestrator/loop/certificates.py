"""Certificates that there is no plan, kept so that they can be checked again.

Whether a certificate holds depends on what the planner was asked: operators, wants, transitions,
and what existed. The first three are kept beside it as one document, with the paths whose bytes
were lost and that counted as missing; what existed is what the ledger's events up to the head say.
So its check can be made again from the ledger and the store alone, whatever processors there are
by then.
"""

from __future__ import annotations

from bisect import bisect_left, insort

from orchestrator.goals import plan_checker
from orchestrator.goals.domain import AtLeast, DomainError, Exists, ForEach, Operator, Task
from orchestrator.world import fold
from orchestrator.world.world import World
from processors.protocol import shapes
from processors.protocol.canonical import Json, parse_object
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchestrator.goals.domain import Want
    from orchestrator.world.chain import Event

    type Data = dict[str, Json]

ROOT = "/artifacts/"  # what plans are about
BYTES_MAX = 268_435_456  # of a certificate; it lists all that can be reached


def question(task: Task, lost: Iterable[str]) -> Data:
    """What the planner was asked, but for what existed.

    Args:
        task: The task.
        lost: The paths of the world that counted as missing.
    """
    operators: list[Json] = [
        {
            "ref": each.ref,
            "requires": [list[Json](pair) for pair in each.requires],
            "produces": list[Json](each.produces),
            "cost_micro_usd": each.cost_micro_usd,
            "time_ms": each.time_ms,
            "number": each.number,
        }
        for each in task.operators
    ]
    wants: list[Json] = [each.document() for each in task.wants]
    transitions = None if task.transitions is None else list[Json](task.transitions)
    return {
        "schema": "v1",
        "goal": task.goal,
        "operators": operators,
        "wants": wants,
        "transitions": transitions,
        "lost": list[Json](sorted(lost)),
    }


def problem(document: Data, task: Task) -> str | None:
    """What the checker has against a plan or a certificate, or None."""
    verdict = plan_checker.check(document, task)
    return None if verdict.accepted else f"{verdict.reason} at {verdict.where or 'the plan'}"


class Recheck:
    """Checks the certificates of a world again.

    Attributes:
        gone: How many could not be checked, because their bytes are no longer there.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._existing = Existing(world.ledger.events)
        self.gone = 0

    def __call__(self, refused: Data) -> str | None:
        """Where a ``plan.refused`` disagrees, or None.

        Raises:
            ContractError: ``ERR_INPUTS`` / ``world_corrupt``: bytes are not what they were.
        """
        head = shapes.members(refused, "head")
        there = self._world.ledger.head_at(shapes.count(head, "count"))
        if there is None or there.hash != head["hash"]:
            return "its head is not one of this ledger"
        files = [shapes.members(refused, name) for name in ("document", "question")]
        holds = self._world.objects.holds
        if not all(holds(shapes.text(file, "cid"), _size(file)) for file in files):
            self.gone += 1
            return None
        document, asked = (self._read(file) for file in files)
        if shapes.text(files[0], "cid") != refused["plan"]:
            return "its document is not the one that it is named by"
        facts = self._existing.after(there.count)
        try:
            task = task_of(asked, (there.count, there.hash), facts)
        except (DomainError, KeyError, TypeError, ValueError, AssertionError):
            return "what was asked is not of the form"
        said, says = shapes.members(refused, "verdict")["problem"], problem(document, task)
        return None if said == says else f"its check said {said or 'yes'}, and says {says or 'yes'}"

    def _read(self, file: Data) -> Data:
        cid = shapes.text(file, "cid")
        data = self._world.objects.read(cid, bytes_max=BYTES_MAX)
        try:
            return parse_object(data, "it", bytes_max=BYTES_MAX)
        except ContractError as error:
            raise self._world.ledger.file.corrupt(f"{file['path']}: {error.message}") from None


class Existing:
    """The world paths of artifacts that were there, asked for one moment after the other.

    Args:
        events: Tells the events after a count, up to another one.
    """

    def __init__(self, events: Callable[[int, int], Iterable[Event]]) -> None:
        self._events = events
        self._found: list[str] = []
        self._count = 0

    def after(self, count: int) -> list[str]:
        """The paths that were there after so many events, sorted; good until the next call."""
        if count < self._count:  # two processes were refused, the later one for an earlier head
            self._found, self._count = [], 0
        for event in self._events(self._count, count):
            self._take(event)
        self._count = count
        return self._found

    def _take(self, event: Event) -> None:
        found = self._found
        for change in fold.changes(event):
            first, *rest = change.values
            if change.name not in ("put", "remove", "drop") or not str(first).startswith(ROOT):
                continue
            at = bisect_left(found, str(first))
            here = found[at : at + 1] == [first]
            if change.name == "drop":
                del found[at : bisect_left(found, str(rest[0]))]
            elif change.name == "remove" and here:
                del found[at]
            elif change.name == "put" and not here:
                insort(found, str(first))


def _size(file: Data) -> int:
    return shapes.count(file, "size_bytes")


def task_of(asked: Data, head: tuple[int, str], facts: list[str]) -> Task:
    """The task of a question, over what existed."""
    listed = asked["transitions"]
    lost = {*_texts(asked["lost"])}
    operators = _list(asked["operators"])
    # Operators are listed by name; where steps are spelled out, these names are listed too.
    names = [""] * len(operators) if listed is None else sorted(_texts(listed))
    return Task(
        goal=shapes.text(asked, "goal"),
        head=head,
        operators=[_operator(*each) for each in zip(operators, names, strict=True)],
        facts=[path for path in facts if path not in lost],
        wants=[_want(each) for each in _list(asked["wants"])],
        transitions=None if listed is None else _texts(listed),
    )


def _operator(value: Json, name: str) -> Operator:
    pairs = [_texts(pair) for pair in _list(shapes.members({"": value}, "")["requires"])]
    assert isinstance(value, dict)
    return Operator(
        ref=shapes.text(value, "ref"),
        requires=tuple((name, template) for name, template in pairs),
        produces=tuple(_texts(value["produces"])),
        cost_micro_usd=shapes.count(value, "cost_micro_usd"),
        time_ms=shapes.count(value, "time_ms"),
        # What was asked of an earlier version has it in the name alone.
        number=shapes.count(value, "number")
        if "number" in value
        else int(name.partition("#")[2] or 0),
    )


def _want(value: Json) -> Want:
    assert isinstance(value, dict)
    if "exists" in value:
        return Exists(shapes.text(value, "exists"))
    if "at_least" in value:
        return AtLeast(shapes.text(value, "template"), shapes.count(value, "at_least"))
    return ForEach(shapes.text(value, "template"), shapes.text(value, "for_each"))


def _list(value: Json) -> list[Json]:
    assert isinstance(value, list)
    return value


def _texts(value: Json) -> list[str]:
    found = [each for each in _list(value) if isinstance(each, str)]
    assert len(found) == len(_list(value))
    return found
