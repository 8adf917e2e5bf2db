"""``sync_modal_secrets``: give an environment of Modal the secrets that the registries name.

What it prints is names. Values come from variables that are named on the command line, or from a
file; none is ever in an argument.
"""

from __future__ import annotations

import os

from orchestrator.cli import program
from orchestrator.cli.flags import Flag, Given
from orchestrator.cli.program import Call, Command
from orchestrator.execution import resolve
from orchestrator.images import processors
from orchestrator.images.records import Records
from orchestrator.modal import deploy, sync, synced
from orchestrator.modal.session import DEPLOYING, Session
from processors.protocol.canonical import Json
from processors.protocol.errors import inputs_error

SUMMARY = "give an environment of Modal the secrets that the registries name"
SOURCES = ("--from-env", "--from-file")
FLAGS = (
    Flag("--lane", "dev|staging|main", "which; the environment is called alike", required=True),
    Flag("--from-env", "NAME", "take a value from this variable", repeats=True),
    Flag("--from-file", "FILE", "take the values from this JSON object, a file of mode 600"),
    Flag("--registry-root", "DIR", "read registry.yaml files from a folder (lane dev)"),
    Flag("--check", "", "fail if anything is missing or older than the registries; send nothing"),
)

type Answer = tuple[dict[str, Json], list[str]]


def main(argv: list[str], root: str) -> int:
    """Run the command; return its exit status."""
    return program.run_alone(command(root), argv)


def command(root: str) -> Command:
    """The command, over the processors that were built below a root."""
    return Command("sync_modal_secrets", SUMMARY, FLAGS, lambda call: _run(call, root), alone=True)


def _run(call: Call, root: str) -> Answer:
    given = call.given
    lane = given.require("--lane")
    files = given.get("--registry-root")
    deploy.check_lane(lane, scratch=files is not None)
    if not call.world:
        raise inputs_error("missing_flag", "missing: --world, whose ledger has the facts")
    chosen = [name for name in SOURCES if given.has(name)]
    if len(chosen) > 1 or (chosen and given.has("--check")):
        raise inputs_error("conflicting_flags", f"{', '.join(chosen)}: one source, or --check")
    built = processors.load_all(os.path.join(root, "processors"))
    for processor in built if files is not None else []:
        processor.read_by(resolve.read_registry(str(files), processor))
    parts, needed = sync.parts_of(built, lane), sync.names_of(built)
    with Records(call.world) as records:
        before = synced.last(records.events(), lane)
        if given.has("--check"):
            for part in parts:
                synced.check(before, part, lane)
            with Session(os.environ, DEPLOYING) as session:
                sync.check(session, lane, parts, before)
            result: dict[str, Json] = {"environment": lane, "names": list[Json](needed)}
            return result, [f"complete  {lane}", *(f"  {name}" for name in needed)]
        values = _values(given, needed)
        with Session(os.environ, DEPLOYING) as session:
            records.add(synced.BEGUN, {"environment": lane})
            fact = sync.send(session, lane, parts, values, before)
        records.add(synced.FACT, fact)
    lines = [f"synced  {lane}, epoch {fact['epoch']}", *(f"  {name}  present" for name in needed)]
    return fact, lines


def _values(given: Given, needed: list[str]) -> dict[str, str]:
    file = given.get("--from-file")
    if file is not None:
        values = sync.from_file(file)
        sync.check_values(values, list(values), needed)
    else:
        names = given.all("--from-env")
        values = sync.from_environment(names, os.environ)
        sync.check_values(values, names, needed)
    return values
