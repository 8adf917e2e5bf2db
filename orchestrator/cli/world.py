"""``world``: what a world holds, where it comes from, and real files in and out of it."""

from __future__ import annotations

import base64

from orchestrator.cli import program
from orchestrator.cli.accounts import account_lines, difference_lines
from orchestrator.cli.flags import Flag
from orchestrator.cli.ledger import row
from orchestrator.cli.program import Call, Command
from orchestrator.world import delivery, heads, history, intake, provenance, verification
from orchestrator.world.ledger import utc_now
from orchestrator.world.records import Artifact
from orchestrator.world.world import World
from processors.protocol import paths
from processors.protocol.canonical import DOCUMENT_BYTES_MAX, Json
from processors.protocol.errors import inputs_error

SUMMARY = "what a world holds, where it comes from, and real files in and out of it"

type Answer = tuple[dict[str, Json], list[str]]


def main(argv: list[str], _: str) -> int:
    """Run the command; return its exit status."""
    return program.run("world", SUMMARY, COMMANDS, argv)


def _ls(call: Call) -> Answer:
    folder = delivery.folder_of(call.given.get("PREFIX") or "/")
    count = size_bytes = 0
    with World(call.world, make=False) as world:
        for artifact in delivery.at_or_under(world, folder):
            call.item(_listed(artifact), _listed_line(artifact))
            count, size_bytes = count + 1, size_bytes + artifact.size_bytes
    total: dict[str, Json] = {"count": count, "size_bytes": size_bytes}
    return total, [f"{size_bytes:>14} bytes, {count} artifacts"]


def _cat(call: Call) -> Answer:
    with World(call.world, make=False) as world:
        found = delivery.find(world, call.given.require("PATH"))
        if call.as_json:
            if found.size_bytes > DOCUMENT_BYTES_MAX:
                raise inputs_error(
                    "too_large",
                    f"{found.path!a} has {found.size_bytes} bytes, a document"
                    f" {DOCUMENT_BYTES_MAX}; leave --json out, or get it",
                )
            return {**_listed(found), **_content(world.objects.read(found.cid))}, []
        for _ in world.objects.chunks(found.cid):
            pass  # what does not verify is not printed
        for chunk in world.objects.chunks(found.cid):
            call.raw(chunk)
    return {}, []


def _content(data: bytes) -> dict[str, Json]:
    try:
        return {"encoding": "utf-8", "content": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"encoding": "base64", "content": base64.b64encode(data).decode("ascii")}


def _put(call: Call) -> Answer:
    given = call.given.require("FILE|FOLDER"), call.given.require("PATH")
    files = intake.sources(*given, call.world)
    with World(call.world, make=True) as world:
        heads.check(world.ledger)
        with call.progress("files stored", len(files)) as progress:
            facts = intake.put(world, files, progress)
        heads.publish(world.ledger, None, utc_now())
    lines = [f"put  {fact['path']}  {fact['cid']}  {fact['size_bytes']} bytes" for fact in facts]
    return {"artifacts": list[Json](facts)}, lines


def _get(call: Call) -> Answer:
    path, target = call.given.require("PATH|PREFIX/"), call.given.require("TARGET")
    with World(call.world, make=False) as world:
        chosen = delivery.choose(world, path)
        with call.progress("files written", len(chosen)) as progress:
            got = delivery.get(world, chosen, target, progress)
    items: list[Json] = [{**_listed(artifact), "file": _text(file)} for artifact, file in got]
    return {"files": items}, [f"got  {artifact.path}  as {file}" for artifact, file in got]


def _rm(call: Call) -> Answer:
    with World(call.world, make=False) as world:
        heads.check(world.ledger)
        path = intake.remove(world, call.given.require("PATH"))
        heads.publish(world.ledger, None, utc_now())
    return {"path": path}, [f"removed  {path}; its bytes stay until gc"]


def _log(call: Call) -> Answer:
    text = call.given.get("PATH")
    path = None if text is None else paths.canonical_path(text)
    count = 0
    with World(call.world, make=False) as world:
        events = world.ledger.events()
        entries = map(history.entry, events) if path is None else history.touches(events, path)
        for count, entry in enumerate(entries, start=1):  # noqa: B007 - the last one counts
            call.item(entry, f"{row(entry)}  {entry.get('change', '')}".rstrip())
    if path is not None and count == 0:
        raise inputs_error("unknown_artifact", f"nothing was ever at {path!a}")
    return {"count": count}, []


def _why(call: Call) -> Answer:
    one, other = call.given.require("PATH|EXECUTION"), call.given.get("OTHER")
    with World(call.world, make=False) as world:
        if other is None:
            account = provenance.of(world, one)
            return account, account_lines(account)
        found = provenance.between(world, one, other)
    return found, difference_lines(found)


def _rebuild(call: Call) -> Answer:
    with World(call.world, make=False) as world:
        world.ledger.rebuild()
        head = world.ledger.head()
        counts: dict[str, Json] = {
            "artifacts": sum(1 for _ in world.ledger.artifacts()),
            "executions": sum(1 for _ in world.ledger.executions()),
        }
    said = f"{counts['artifacts']} artifacts, {counts['executions']} executions"
    return {"events": head.count, **counts}, [f"rebuilt  {said} from {head.count} events"]


def _gc(call: Call) -> Answer:
    with World(call.world, make=False) as world:
        with call.progress("events verified", world.ledger.head().count) as progress:
            # What is collected is gone for good, whatever the ledger should have said of it.
            verification.verify(world.ledger, (), None, progress)
        world.wait()  # or what is collected would be put back by the next who opens the world
        count, size_bytes = world.objects.collect(world.ledger.cids)
    result: dict[str, Json] = {"count": count, "size_bytes": size_bytes}
    return result, [f"collected  {count} content(s) that nothing refers to, {size_bytes} bytes"]


def _listed(artifact: Artifact) -> dict[str, Json]:
    return {name: getattr(artifact, name) for name in ("path", "cid", "size_bytes", "mime", "seq")}


def _listed_line(artifact: Artifact) -> str:
    return f"{artifact.size_bytes:>14}  {artifact.mime:<25} {artifact.path}"


def _text(name: str) -> str:
    """A real file's name as text; it may hold bytes that are none (PEP 383)."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


_PATH = Flag("PATH", "", "a world path", required=True)

COMMANDS = (
    Command(
        "ls",
        "list artifacts, sorted by path",
        (Flag("PREFIX", "", "a folder of the world, or one path; everything by default"),),
        _ls,
        streams="artifacts",
    ),
    Command(
        "cat", "print an artifact's bytes; with --json a document that holds them", (_PATH,), _cat
    ),
    Command(
        "put",
        "bring a file, or every file of a folder, into the world: all or nothing",
        (
            Flag("FILE|FOLDER", "", "what to bring in", required=True),
            Flag("PATH", "", "the world path it gets, or that its files come below", required=True),
        ),
        _put,
    ),
    Command(
        "get",
        "copy an artifact to a file, or a folder of the world to a folder; nothing is overwritten",
        (
            Flag("PATH|PREFIX/", "", "a world path, or a folder with its slash", required=True),
            Flag("TARGET", "", "the file or folder to make; it must not exist", required=True),
        ),
        _get,
    ),
    Command("rm", "take an artifact out of sight; what happened stays in the log", (_PATH,), _rm),
    Command(
        "log",
        "list every event, or those that touched a path",
        (Flag("PATH", "", "a world path"),),
        _log,
        streams="entries",
    ),
    Command(
        "why",
        "tell what made something and from what; of two, the parts in which they differ",
        (
            Flag("PATH|EXECUTION", "", "an artifact or an execution", required=True),
            Flag("OTHER", "", "another one, to compare it with"),
        ),
        _why,
    ),
    Command("rebuild", "fold the projections again from the events", (), _rebuild),
    Command("gc", "remove stored bytes that nothing refers to", (), _gc),
)
