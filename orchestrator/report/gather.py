"""What a report is made of, read from a world at one moment. Nothing is written.

What is shown is bounded, however large the world is: what is left out is counted.
"""

from __future__ import annotations

from datetime import datetime

from orchestrator.goals import explanation, judging, snapshot, standing
from orchestrator.goals import goal as goals
from orchestrator.report import preview
from orchestrator.world import commitments, loop_facts
from processors.protocol import paths, shapes
from processors.protocol.canonical import Json, parse_object
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchestrator.goals.goal import Goal, Stated
    from orchestrator.goals.judging import Verdict
    from orchestrator.goals.snapshot import Snapshot
    from orchestrator.report.markup import Html
    from orchestrator.world.commitments import Budget, Transition
    from orchestrator.world.records import Artifact, Execution
    from orchestrator.world.records import Goal as GoalRow
    from orchestrator.world.world import World

    type Data = dict[str, Json]

RUNS_MAX = 300
REFUSALS_MAX = 50
PREVIEWS_MAX = 200
LISTED_MAX = 10_000
READ_BYTES_MAX = 33_554_432  # of an artifact that is looked into
READ_ALL_BYTES_MAX = 536_870_912  # of all of them
IMAGES_BYTES_MAX = 16_777_216  # of all images, which go into the page whole
RECEIPT_BYTES_MAX = 65_536
PLAN_BYTES_MAX = 67_108_864

_RECORDS = (paths.EXECUTIONS, loop_facts.PLANS, "/goals/")


class Run:
    """An execution as a report tells of it.

    Attributes:
        row: Its row.
        held: Its transition, if it is a step of a plan.
        requested: The data of the event that asked for it.
        settled: The data of the event that ended it; None if nothing did, or nobody could.
        begin: When it was asked for.
        end: When it ended, or None.
        receipt: Its receipt, laid out, or why it cannot be shown.
    """

    __slots__ = ("begin", "end", "held", "receipt", "requested", "row", "settled")

    def __init__(self, world: World, row: Execution) -> None:
        self.row = row
        self.held = commitments.transition(world.ledger, row.execution_id)
        first = world.ledger.event_of(row.execution_id, row.requested_seq, "execution.requested")
        self.requested = first.data
        self.begin = first.at
        self.settled: Data | None = None
        self.end: str | None = None
        last = row.settled_seq or (self.held.settled_seq if self.held is not None else None)
        if last is not None:
            event = world.ledger.event(last)
            self.end = event.at
            self.settled = event.data if event.type == "execution.settled" else None
        self.receipt = _receipt(world, row)

    @property
    def span_ms(self) -> tuple[int, int] | None:
        """From when to when it ran, in milliseconds since 1970; None if it has no end."""
        return None if self.end is None else (milliseconds(self.begin), milliseconds(self.end))


class Item:
    """An artifact that is looked into."""

    __slots__ = ("artifact", "preview")

    def __init__(self, artifact: Artifact, shown: Html | str) -> None:
        self.artifact = artifact
        self.preview = shown  # text where it could not be looked into: why


class Gathered:
    """Everything that a report tells.

    Attributes:
        goal: The goal.
        row: How it stands.
        world: The world's id.
        head: How many events there are, and the hash of the last.
        head_at: When the last one was.
        judged: Each predicate with the verdict on it now.
        stands: How the goal stands, and how the world of now differs from that, in words.
        plan: The last plan's document, or None.
        certificate: Where the last answer was that no plan exists, the number of its event, and its
            document unless that is gone; else None.
        plans: How many plans were proposed.
        runs: The executions that are shown, in order.
        runs_total: How many executions there are for the goal, and behind what it looked at.
        refusals: The data of the last refusals.
        budget: What the goal may cost and has cost.
        items: The artifacts that are looked into.
        rest: The others, as far as they are listed.
        artifacts_total: How many the world has.
        makers: The execution that an event belongs to, by the event's number.
    """

    __slots__ = (
        *("artifacts_total", "budget", "certificate", "goal"),
        *("head", "head_at", "items", "judged", "makers"),
        *("plan", "plans", "refusals", "rest", "row", "runs", "runs_total", "stands", "world"),
    )

    def __init__(self, world: World, name: str, seen: Snapshot) -> None:
        ledger = world.ledger
        self.goal: Goal = standing.find(world, name)
        row = ledger.goal(name)
        assert row is not None
        self.row: GoalRow = row
        self.world: str = ledger.world()
        self.head: tuple[int, str] = seen.head.count, seen.head.hash
        self.head_at: str = ledger.event(seen.head.count).at
        self.judged: list[tuple[Stated, Verdict]] = [
            (stated, judging.judge(stated, seen)) for stated in self.goal.predicates
        ]
        untrue = [
            stated.name
            for stated, verdict in self.judged
            if stated.scope != goals.ADMISSION and not verdict.is_true
        ]
        self.stands: tuple[str, str] = explanation.standing_words(
            row.status, row.judged_seq, untrue
        )
        self.budget: Budget | None = commitments.budget(ledger, name)
        self.refusals: list[Data] = [
            ledger.event(seq).data for seq in commitments.refusals(ledger, name, REFUSALS_MAX)
        ]
        self.plans, self.plan = _plan(world, name)
        self.certificate: tuple[int, Data | None] | None = _certificate(world, name)
        rows = {each.execution_id: each for each in ledger.executions()}
        self.makers: dict[int, str] = dict(_makers(rows.values()))
        artifacts = list(ledger.artifacts())
        self.artifacts_total: int = len(artifacts)
        chosen = _chosen(artifacts, self._looked_at())
        self.items: list[Item] = _looked_into(world, chosen)
        paths_shown = {each.path for each in chosen}
        others = [each for each in artifacts if each.path not in paths_shown]
        self.rest: list[Artifact] = others[:LISTED_MAX]
        wanted = _wanted(commitments.of_goal(ledger, name), (self._maker(each) for each in chosen))
        if lost := next((each for each in wanted if each not in rows), None):
            raise ledger.file.corrupt(f"the table executions lacks {lost}")
        self.runs_total: int = len(wanted)
        shown = sorted(wanted[:RUNS_MAX], key=lambda name: rows[name].requested_seq)
        self.runs: list[Run] = [Run(world, rows[name]) for name in shown]

    def _looked_at(self) -> set[str]:
        """The paths that a predicate looked at."""
        return {
            shapes.text(item, "path")
            for _, verdict in self.judged
            for item in listed(verdict.witness, "artifacts")
        }

    def _maker(self, artifact: Artifact) -> str | None:
        return self.makers.get(artifact.seq)


def of(world: World, name: str) -> Gathered:
    """Gather what there is to tell of a goal.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unknown_goal``, or what is wrong with the world.
    """
    with snapshot.of(world) as seen:
        return Gathered(world, name, seen)


def milliseconds(at: str) -> int:
    """An event's time, since 1970."""
    return round(datetime.fromisoformat(at).timestamp() * 1_000)


def listed(document: Data, key: str) -> list[Data]:
    """The objects of a list that may be absent."""
    found = document.get(key)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def is_record(path: str) -> bool:
    """Whether an artifact is a record of the loop itself, which the page tells elsewhere."""
    own = paths.receipt_path(""), paths.index_path("")
    return path.startswith(_RECORDS) or path.rpartition("/")[2] in own


def _makers(rows: Iterable[Execution]) -> Iterator[tuple[int, str]]:
    for row in rows:
        for seq in (row.requested_seq, row.outputs_seq, row.receipts_seq, row.settled_seq):
            if seq is not None:
                yield seq, row.execution_id


def _chosen(artifacts: list[Artifact], looked_at: set[str]) -> list[Artifact]:
    """The artifacts to look into: first what the goal is about, then the largest."""
    own = [each for each in artifacts if not is_record(each.path)]
    own.sort(key=lambda each: (each.path not in looked_at, -each.size_bytes, each.path))
    return sorted(own[:PREVIEWS_MAX], key=lambda each: each.path)


def _wanted(held: list[Transition], makers: Iterable[str | None]) -> list[str]:
    """Executions to tell of: the newest of the goal's first, then what made the artifacts."""
    own = [each.execution_id for each in reversed(held)]
    return list(dict.fromkeys([*own, *sorted({name for name in makers if name is not None})]))


def _plan(world: World, goal: str) -> tuple[int, Data | None]:
    """How many plans a goal had, and the document of the last one whose bytes are there."""
    known = commitments.plans(world.ledger, goal)
    for each in reversed(known):
        document = _document(world, each.plan)
        if document is not None and "steps" in document:
            return len(known), document
    return len(known), None


def _certificate(world: World, goal: str) -> tuple[int, Data | None] | None:
    """The certificate that no plan exists, if no plan came after it."""
    seq = commitments.certificate(world.ledger, goal)
    if seq is None or any(each.seq > seq for each in commitments.plans(world.ledger, goal)):
        return None
    return seq, _document(world, shapes.text(world.ledger.event(seq).data, "plan"))


def _document(world: World, plan: str) -> Data | None:
    """What the planner answered: its id is its content's."""
    try:
        data = world.objects.read(plan, PLAN_BYTES_MAX)
        return parse_object(data, "the plan", bytes_max=PLAN_BYTES_MAX)
    except ContractError:
        return None  # its bytes are gone or too many, which costs the page its picture alone


def _receipt(world: World, row: Execution) -> str:
    place = world.ledger.artifact(paths.determinism_path(row.execution_id))
    if place is None:
        return "It left no receipt."
    try:
        data = world.objects.read(place.cid, RECEIPT_BYTES_MAX)
        return preview.pretty(parse_object(data, "the receipt", bytes_max=RECEIPT_BYTES_MAX))
    except ContractError as error:
        return f"It cannot be shown: {error.message}"


def _looked_into(world: World, chosen: list[Artifact]) -> list[Item]:
    """A preview of each, as long as not too much was read for the others."""
    found: list[Item] = []
    read = images = 0
    for each in chosen:
        is_image = preview.kept_bytes_max(each.mime) == preview.IMAGE_BYTES_MAX
        if each.size_bytes > READ_BYTES_MAX:
            shown: Html | str = f"It is not looked into: it has {each.size_bytes} bytes."
        elif read + each.size_bytes > READ_ALL_BYTES_MAX:
            shown = f"It is not looked into: {read} bytes were read for the others."
        elif is_image and images + each.size_bytes > IMAGES_BYTES_MAX:
            shown = f"It is not shown: the other images have {images} bytes."
        else:
            read += each.size_bytes
            images += each.size_bytes if is_image else 0
            shown = _preview(world, each)
        found.append(Item(each, shown))
    return found


def _preview(world: World, artifact: Artifact) -> Html | str:
    most, kept = preview.kept_bytes_max(artifact.mime), bytearray()
    try:
        for chunk in world.objects.chunks(artifact.cid):  # all of it, or its hash says nothing
            kept += chunk[: most - len(kept)]
    except ContractError:
        return "Its bytes are gone, or not those that were stored."
    return preview.of(bytes(kept), artifact.size_bytes, artifact.mime, artifact.path)
