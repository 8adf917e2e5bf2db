"""``artifact``: what lies where, judged by the ledger and a look for the bytes; nothing is read."""

from __future__ import annotations

from orchestrator.goals.predicate import COUNT, TEXT, Predicate, arguments
from orchestrator.goals.templates import Template
from orchestrator.goals.view import MATCHES_MAX, SOURCE_GONE, STALE
from processors.protocol import digests, shapes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestrator.goals.predicate import Args
    from orchestrator.goals.view import Answer, View

COUNT_AT_LEAST = "artifact.count_at_least"


def _exists(args: Args, view: View) -> Answer:
    return view.artifact(shapes.text(args, "path")) is not None, {}


def _current(args: Args, view: View) -> Answer:
    found = view.artifact(shapes.text(args, "path"))
    if found is None:
        return False, {"why": "absent"}
    taken = view.taken(found)
    for path in sorted(taken):
        now = view.artifact(path)
        if now is None or now.cid != taken[path]:
            why = SOURCE_GONE if now is None else STALE
            return False, {"why": why, "source": path, "made_from": taken[path]}
    return True, {"sources": len(taken)}


def _digest(args: Args, view: View) -> Answer:
    found = view.artifact(shapes.text(args, "path"))
    return found is not None and found.cid == args["cid"], {}


def _digest_problem(args: Args) -> str | None:
    if not digests.is_digest(args["cid"]):
        return "args.cid is not sha256: and 64 lower-case hex digits"
    return None


def _count_at_least(args: Args, view: View) -> Answer:
    wanted = shapes.count(args, "count")
    count = 0
    for _ in view.matching(shapes.text(args, "pattern")):
        count += 1
        if count == wanted:
            break
    return count >= wanted, {"count": count}


def _pattern_problem(args: Args) -> str | None:
    try:
        Template(shapes.text(args, "pattern"))
    except ValueError as error:
        return f"args.pattern: {error}"
    return None


def _size_between(args: Args, view: View) -> Answer:
    found = view.artifact(shapes.text(args, "path"))
    if found is None:
        return False, {}
    least, most = shapes.count(args, "at_least_bytes"), shapes.count(args, "at_most_bytes")
    return least <= found.size_bytes <= most, {"size_bytes": found.size_bytes}


def _size_problem(args: Args) -> str | None:
    if shapes.count(args, "at_least_bytes") > shapes.count(args, "at_most_bytes"):
        return "args.at_least_bytes is more than args.at_most_bytes"
    return None


PREDICATES = (
    Predicate(
        "artifact.exists", "something lies at the path", arguments(["path"], path=TEXT), _exists
    ),
    Predicate(
        "artifact.current",
        "what lies at the path was made from what lies now at the paths that it was made from; what"
        " came from outside always is",
        arguments(["path"], path=TEXT),
        _current,
    ),
    Predicate(
        "artifact.digest",
        "what lies at the path has this content id",
        arguments(["path", "cid"], path=TEXT, cid=TEXT),
        _digest,
        check=_digest_problem,
    ),
    Predicate(
        COUNT_AT_LEAST,
        "so many artifacts lie at paths of the pattern, whose wildcards are its own",
        arguments(
            ["pattern", "count"],
            pattern=TEXT,
            count={"type": "integer", "minimum": 1, "maximum": MATCHES_MAX},
        ),
        _count_at_least,
        paths=(),
        check=_pattern_problem,
    ),
    Predicate(
        "artifact.size_between",
        "what lies at the path has a size between the two, ends included",
        arguments(
            ["path", "at_least_bytes", "at_most_bytes"],
            path=TEXT,
            at_least_bytes=COUNT,
            at_most_bytes=COUNT,
        ),
        _size_between,
        check=_size_problem,
    ),
)
