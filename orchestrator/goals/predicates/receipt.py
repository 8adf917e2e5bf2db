"""``receipt``: what a processor attested about a run agrees with what lies there."""

from __future__ import annotations

from orchestrator.goals.predicate import TEXT, Predicate, arguments
from orchestrator.goals.view import READ_BYTES_MAX
from processors.protocol import digests, paths, shapes
from processors.protocol.canonical import Json, parse_object
from processors.protocol.envelope import ENVELOPE_MARKS_MAX
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.predicate import Args
    from orchestrator.goals.view import Answer, View
    from orchestrator.world.records import Artifact

_NAME = "receipt.json"


def _deterministic(args: Args, view: View) -> Answer:
    path = shapes.text(args, "path")
    prefix = path.removesuffix(_NAME)
    index = view.artifact(paths.index_path(prefix))
    if index is None:
        return False, {"why": "no_outputs"}
    own = view.artifact(path)
    attested = _copy(view, index) if own is None else own
    if attested is None:
        return False, {"why": "no_receipt"}
    receipt, outputs = _read(view, attested), _read(view, index).get("outputs")
    if own is not None:
        copy = view.artifact(paths.determinism_path(_execution_id(receipt)))
        if copy is None or copy.cid != own.cid:
            return False, {"why": "copies_differ"}
    if (receipt.get("writer"), receipt.get("status")) != ("processor", "success"):
        return False, {"why": "no_success"}
    if not isinstance(outputs, list) or not _agree(receipt.get("outputs"), outputs, prefix):
        return False, {"why": "outputs_differ"}
    for item in outputs:
        found = view.artifact(shapes.text(item, "path"))
        if found is None or found.cid != shapes.text(item, "cid"):
            return False, {"why": "outputs_differ"}
    return True, {"outputs": len(outputs)}


def _copy(view: View, index: Artifact) -> Artifact | None:
    """The receipt of the execution whose contents were taken over, if they were."""
    event = view.event(index)
    if event.type != "execution.reused":
        return None
    return view.artifact(paths.determinism_path(shapes.text(event.data, "origin")))


def _read(view: View, artifact: Artifact) -> dict[str, Json]:
    """A document; one that is none has no members, and so agrees with nothing."""
    try:
        return parse_object(
            view.read(artifact),
            artifact.path,
            bytes_max=READ_BYTES_MAX,
            marks_max=ENVELOPE_MARKS_MAX,
        )
    except ContractError:
        return {}


def _execution_id(receipt: dict[str, Json]) -> str:
    volatile = receipt.get("volatile")
    return str(volatile.get("execution_id")) if isinstance(volatile, dict) else ""


def _agree(attested: Json, outputs: list[Json], prefix: str) -> bool:
    """Whether both lists name the same contents at the same places below their prefixes."""
    if not isinstance(attested, list) or len(attested) != len(outputs):
        return False
    for one, other in zip(attested, outputs, strict=True):
        for item in (one, other):
            if not isinstance(item, dict) or not isinstance(item.get("path"), str):
                return False
            if not digests.is_digest(item.get("cid")):
                return False
        below = shapes.text(other, "path").removeprefix(prefix)
        if not shapes.text(one, "path").endswith("/" + below):
            return False
        if shapes.text(one, "cid") != shapes.text(other, "cid"):
            return False
    return True


def _problem(args: Args) -> str | None:
    if not shapes.text(args, "path").endswith("/" + _NAME):
        return f"args.path does not end with /{_NAME}"
    return None


PREDICATES = (
    Predicate(
        "receipt.deterministic",
        "the receipt at the path is a processor's of a success, equals its copy in the execution's"
        " own folder, and names exactly the outputs that lie beside it; where the outputs were"
        " taken over from an earlier execution, its receipt counts",
        arguments(["path"], path=TEXT),
        _deterministic,
        check=_problem,
    ),
)
