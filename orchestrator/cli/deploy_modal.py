"""``deploy_modal``: deploy a processor's pinned image to Modal, and tell what runs there."""

from __future__ import annotations

import os

from orchestrator import naming
from orchestrator.cli import program
from orchestrator.cli.flags import Flag, Given
from orchestrator.cli.places import REF, TIMEOUT, ref_of, timeout_of
from orchestrator.cli.program import Call, Command
from orchestrator.execution import resolve
from orchestrator.images import processors
from orchestrator.images.crane import Crane
from orchestrator.images.processors import Processor
from orchestrator.images.records import Records
from orchestrator.modal import deploy, synced
from orchestrator.modal.deploy import Deployer, History, Target, Wanted
from orchestrator.modal.session import DEPLOYING, Session
from processors.protocol import shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import inputs_error

SUMMARY = "deploy a processor's pinned image to Modal, and tell what runs there"
ACTIONS = ("--status", "--drift", "--stop", "--rollback")
FLAGS = (
    REF,
    Flag("--lane", "dev|staging|main", "where to; the environment is called alike", required=True),
    Flag("--registry", "HOST[:PORT][/PATH]", "the registry that has the pinned image"),
    Flag("--branch", "B", "the branch part of the app's name (lane dev)"),
    Flag("--user", "U", "the user part of the app's name (lane dev)"),
    Flag("--image-override", "REPO@sha256:HEX", "an image instead of the pinned one (lane dev)"),
    Flag("--registry-root", "DIR", "read registry.yaml files from a folder (lane dev)"),
    Flag("--status", "", "tell what is deployed, and deploy nothing"),
    Flag("--drift", "", "fail if what is deployed is not what is pinned; deploy nothing"),
    Flag("--stop", "", "stop the app, and what runs of it"),
    Flag("--rollback", "", "deploy what was deployed before; a pinned lane pins it first"),
    TIMEOUT,
)

type Answer = tuple[dict[str, Json], list[str]]


def main(argv: list[str], root: str) -> int:
    """Run the command; return its exit status."""
    return program.run_alone(command(root), argv)


def command(root: str) -> Command:
    """The command, over what was built below a root."""
    return Command("deploy_modal", SUMMARY, FLAGS, lambda call: _run(call, root), alone=True)


def _run(call: Call, root: str) -> Answer:
    given = call.given
    actions = [name for name in ACTIONS if given.has(name)]
    if len(actions) > 1:
        raise inputs_error("conflicting_flags", f"give only one of {', '.join(actions)}")
    if not call.world:
        raise inputs_error("missing_flag", "missing: --world, whose ledger has the facts")
    target = deploy.target(
        ref_of(given.require(REF.name)),
        given.require("--lane"),
        branch=given.get("--branch"),
        user=given.get("--user"),
        override=given.has("--image-override"),
        scratch=given.has("--registry-root"),
    )
    with Records(call.world) as records:
        history = History(records.events(), target)
        if actions in (["--status"], ["--stop"]):
            return _asked(actions[0], target, history, records)
        processor = _processor(given, target, root)
        if actions == ["--drift"]:
            with Session(os.environ, DEPLOYING) as session:
                pinned = processors.pin_of(processor)
                result = Deployer(session, history, target).drift(pinned)
            return result, [f"as pinned  {target.app}  {pinned}"]
        deploy.check_pins(root, target.lane)
        wanted = _wanted(given, processor, history, rollback=actions == ["--rollback"])
        return _deploy(given, root, target, wanted, history, records)


def _asked(action: str, target: Target, history: History, records: Records) -> Answer:
    with Session(os.environ, DEPLOYING) as session:
        deployer = Deployer(session, history, target)
        if action == "--status":
            result = deployer.status()
            return result, [f"deployed  {target.app} in {target.lane}  {result['digest']}"]
        fact = deployer.stop()
        records.add(deploy.STOPPED, fact)
        return fact, [f"stopped  {target.app} in {target.lane}"]


def _processor(given: Given, target: Target, root: str) -> Processor:
    processor = processors.load(os.path.join(root, "processors"), target.ref)
    if (files := given.get("--registry-root")) is not None:
        processor.read_by(resolve.read_registry(files, processor))
    return processor


def _wanted(given: Given, processor: Processor, history: History, *, rollback: bool) -> Wanted:
    override = given.get("--image-override")
    if rollback and override is not None:
        raise inputs_error("conflicting_flags", "--rollback says itself which image it deploys")
    wanted = deploy.wanted(processor, given.get("--registry"), override)
    return deploy.back(wanted, history, given.require("--lane")) if rollback else wanted


def _deploy(
    given: Given, root: str, target: Target, wanted: Wanted, history: History, records: Records
) -> Answer:
    part = synced.wanted(wanted.processor, naming.modal_secret_name(target.ref, target.lane))
    synced.check(history.synced, part, target.lane)
    crane = Crane(root, os.environ, timeout_of(given.get(TIMEOUT.name)))
    image = deploy.find(crane, wanted)
    with Session(os.environ, DEPLOYING) as session:
        kind, fact = Deployer(session, history, target).deploy(image, wanted)
    records.add(kind, fact)
    changed = kind == deploy.MADE
    result: dict[str, Json] = {
        **fact,
        "image": image.reference,
        "changed": changed,
        "missing": list[Json](target.missing),
    }
    word = "deployed" if changed else "unchanged"
    lines = [f"{word}  {target.app} in {target.lane}, version {fact['version']}"]
    lines += [f"  {image.reference}", f"  content root {shapes.text(fact, 'content_root')}"]
    lines += [f"  warning: the name lacks {', '.join(target.missing)}"] if target.missing else []
    return result, lines
