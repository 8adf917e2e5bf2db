"""``ledger``: verify a world's list of events and its verdicts, publish its head, move it."""

from __future__ import annotations

import os

from orchestrator.cli import program
from orchestrator.cli.flags import Flag
from orchestrator.cli.program import Call, Command
from orchestrator.images import chain, records
from orchestrator.loop import certificates, policy, readmit
from orchestrator.loop.readmit import Disagreement
from orchestrator.world import delivery, heads, history, stats, transfer, verification
from orchestrator.world.ledger import Ledger, utc_now
from orchestrator.world.world import World
from processors.protocol import shapes
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import ContractError, inputs_error
from processors.protocol.refs import REF_GRAMMAR, parse_ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchestrator.world.chain import Event

SUMMARY = "verify a world's list of events, publish its head, take it out and in"
COUNT = 10  # of events that tail shows by default

type Answer = tuple[dict[str, Json], list[str]]


def main(argv: list[str], _: str) -> int:
    """Run the command; return its exit status."""
    return program.run("ledger", SUMMARY, COMMANDS, argv)


def _verify(call: Call) -> Answer:
    file = call.given.get("--public-key")
    key = None if file is None else heads.read_public_key(file)
    with (
        Ledger(call.world, make=False) as ledger,
        call.progress("verified", ledger.head().count) as progress,
    ):
        result = verification.verify(ledger, call.given.all("--head"), key, progress)
    lines = [f"valid  {result['count']} events, {result['hash']}"]
    for head in _items(result["heads"]):
        signed = f"signed by {head['key']} ({head['signature']})" if head["key"] else "unsigned"
        lines.append(f"  {head['file']}: a head at {head['count']}, {signed}")
    lines.append(f"  {result['behind_no_head']} event(s) behind no head")
    return result, lines


def _head(call: Call) -> Answer:
    file, out = call.given.get("--sign-key"), call.given.get("--out")
    key = None if file is None else heads.read_signing_key(file)
    with Ledger(call.world, make=False) as ledger:
        document = heads.publish(ledger, key, utc_now())
        count = ledger.head().count
    if out is not None:
        delivery.save_copy(out, canonical(document) + b"\n")
    behind = max(0, count - shapes.count(document, "count"))
    signed = f"signed by {document['key']}" if document["key"] else "unsigned"
    lines = [
        f"head  {document['count']} events, {document['hash']}",
        f"  {signed}, of {document['at']}, world {document['world']}",
        f"  {behind} event(s) behind it",
    ]
    return {"head": document, "behind": behind}, lines


def _readmit(call: Call) -> Answer:
    now = policy.current()
    with (
        World(call.world, make=False) as world,
        call.progress("decided", world.ledger.head().count) as progress,
    ):
        recheck = certificates.Recheck(world)
        try:
            tally = readmit.readmit(_told(world.ledger.events(), progress), now, recheck)
        except Disagreement as found:
            raise ContractError("ERR_CI_SAFETY", "verdict_differs", str(found)) from None
    result: dict[str, Json] = {
        **tally.as_json(),
        "certificates_gone": recheck.gone,
        "policy": now.version,
    }
    split = f"{result['admitted']} admitted, {result['refused']} refused"
    lines = [
        f"agreed  {result['decided']} decision(s): {split}",
        f"  {result['by_another_policy']} by another policy than {now.version}",
        f"  {tally.certificates} certificate(s) of no plan, of which {recheck.gone} are gone",
    ]
    return result, lines


def _told(events: Iterator[Event], progress: Callable[[int], None]) -> Iterator[Event]:
    """Events as they are, while it is shown how far they are."""
    for event in events:
        progress(event.seq)
        yield event


def _export(call: Call) -> Answer:
    with World(call.world, make=False) as world:
        ledger = world.ledger
        until = ledger.head()
        with call.progress("exported", until.count) as progress:
            for event in ledger.events(until=until.count):
                call.raw(transfer.line(event))
                progress(event.seq)
        result = transfer.result(until, ledger.world())
    # People get what programs get: without its last line an export is not whole.
    return result, [] if call.as_json else [_last_line(result)]


def _last_line(result: dict[str, Json]) -> str:
    document: dict[str, Json] = {"status": "success", "result": result, "meta": {}}
    return canonical(document).decode("utf-8")


def _import(call: Call) -> Answer:
    file = call.given.require("FILE")
    size = os.path.getsize(file) if os.path.isfile(file) else 0
    with call.progress("bytes imported", size) as progress:
        head = transfer.take(call.world, file, progress)
    with Ledger(call.world, make=False) as ledger:
        result = transfer.result(head, ledger.world())
    lines = [
        f"imported  {head.count} events, {head.hash}",
        "  the bytes of artifacts lie in the store and do not come along",
    ]
    return result, lines


def _tail(call: Call) -> Answer:
    text = call.given.get("--count") or str(COUNT)
    if not (text.isascii() and text.isdigit() and 1 <= len(text) <= 9):
        raise inputs_error("bad_value", f"--count {text[:80]!a} is no number from 0 to 999999999")
    with Ledger(call.world, make=False) as ledger:
        end = ledger.head()
        for event in ledger.events(max(0, end.count - int(text)), end.count):
            if call.as_json:
                call.raw(transfer.line(event))
            else:
                call.item({}, row(history.entry(event)))
        result = transfer.result(end, ledger.world())
    return result, []


def row(entry: dict[str, Json]) -> str:
    """An entry of the history in a line for people."""
    about = entry["execution_id"] or entry["path"] or ""
    return f"{entry['seq']:>9}  {entry['at']}  {entry['type']:<20}  {about}"


def _stats(call: Call) -> Answer:
    with World(call.world, make=False) as world:
        result = stats.of(world)
    lines = [f"world {result['world']}, format {result['format']}"]
    for title, member in (("events", "by_type"), ("executions", "by_status")):
        counted = shapes.members(result, title)
        lines.append(f"{counted['count']:>14} {title}")
        rows = shapes.members(counted, member)
        lines += [f"{number:>14}   {name}" for name, number in rows.items()]
    for title in ("artifacts", "contents_referred", "contents_stored"):
        amount = shapes.members(result, title)
        name = title.replace("_", " ")
        lines.append(f"{amount['count']:>14} {name}, {amount['size_bytes']} bytes")
    return result, [*lines, f"{result['ledger_bytes']:>14} bytes of ledger"]


def _images(call: Call) -> Answer:
    ref = call.given.require("--ref")
    if parse_ref(ref) is None:
        raise inputs_error("bad_value", f"--ref {ref[:80]!a} is not of the form {REF_GRAMMAR}")
    with Ledger(call.world, make=False) as ledger:
        found = (records.of_event(event, ref) for event in ledger.events())
        hops = chain.last(each for each in found if each is not None)
    if (wrong := chain.problem(ref, hops)) is not None:
        raise wrong
    result: dict[str, Json] = {
        "ref": ref,
        "digest": next((each.digest for each in hops.values()), None),
        "hops": {hop: hops[hop].seq if hop in hops else None for hop in chain.HOPS},
    }
    lines = [f"{ref}  {result['digest'] or 'no record'}"]
    lines += [f"{each.seq:>9}  {hop}" for hop, each in hops.items()]
    return result, lines


def _items(found: Json) -> list[dict[str, Json]]:
    assert isinstance(found, list)
    return [item for item in found if isinstance(item, dict)]


COMMANDS = (
    Command(
        "verify",
        "judge every event, the projections and every head",
        (
            Flag("--head", "FILE", "a head that was kept elsewhere", repeats=True),
            Flag(
                "--public-key",
                "FILE",
                "the Ed25519 key (PEM) that must have signed the heads; an unsigned one fails then",
            ),
        ),
        _verify,
    ),
    Command(
        "head",
        "write down where the chain ends, beside the ledger",
        (
            Flag("--sign-key", "FILE", "sign it with this Ed25519 key (PEM)"),
            Flag("--out", "FILE", "write a copy to a file that does not exist yet"),
        ),
        _head,
    ),
    Command(
        "readmit",
        "decide every admission again from what was recorded, and name the first that differs",
        (),
        _readmit,
    ),
    Command(
        "export",
        "print every event as it is stored, with or without --json",
        (),
        _export,
        streams="events",
    ),
    Command(
        "import",
        "make a new world's ledger from an export; the bytes of artifacts do not come along",
        (Flag("FILE", "", "what export has printed", required=True),),
        _import,
    ),
    Command(
        "tail",
        "print the last events",
        (Flag("--count", "N", f"how many; {COUNT} by default"),),
        _tail,
        streams="events",
    ),
    Command(
        "images",
        "compare the digests that build, push and pin of an image have left, hop by hop",
        (Flag("--ref", "NS/NAME@N", "the processor", required=True),),
        _images,
    ),
    Command("stats", "count events, executions, artifacts and bytes", (), _stats),
)
