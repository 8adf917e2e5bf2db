"""A loop with all its calls in flight: what a step costs the orchestrator, and how that grows.

    tools/bazel run //tools/bench:modal_loop [-- --steps N ...]

``achieve --adapter modal --jobs N`` summarises N texts. A control plane of this machine simulates
the containers. None answers before all calls are there; then each does with what the same goal
made when it ran on this machine, the files of which lie on the volume already. Counted are
``achieve`` and the process that runs the SDK, from start to end. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from orchestrator.modal.session import DEPLOYING, Session
from orchestrator.world.records import Execution
from orchestrator.world.world import World
from processors.protocol import paths, shapes
from processors.protocol.canonical import Json, canonical, parse_object
from processors.protocol.remote import Left, Reply
from processors.protocol.spawn import Ended, Tail
from tests.fixtures.modal_images import Pusher, layer
from tests.simulators.registry import Server
from tools.bench.planes import ROOT, Plane

PROCESSOR = "processors/llm/chat/v1"
APP, ENVIRONMENT = "llm-chat-v1", "staging"
DIGEST = "sha256:" + "d1" * 32
UPLOADS = 500  # files in one request
PATIENCE_S = 300
LOOK_S = 0.1
GOAL = """\
schema: v1
name: bench
summary: steps that are measured
budget_micro_usd: 1000000000
processors: [llm/chat@1]
use:
  llm/chat@1:
    inputs: {endpoint: openai, model: gpt-5-mini, messages: [{role: user, artifact: text}]}
predicates:
  - name: all
    predicate: artifact.exists
    for_each: "/artifacts/text/{name}/outputs/text.md"
    args: {path: "/artifacts/chat/{name}/outputs/reply.md"}
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--steps", type=int, nargs="+", default=[200, 2_000])
    for count in parser.parse_args().steps:
        with (
            tempfile.TemporaryDirectory() as folder,
            Server(ROOT / "tools/images/crane") as registry,
            Plane(folder, ENVIRONMENT, "--simulated") as plane,
        ):
            image = Pusher(registry.host).push(layer({"empty": b""}))
            _measure(Bench(Path(folder), plane, count), image)


class Bench:
    """A folder with the program and the goal, and the plane that it calls.

    Attributes:
        folder: The folder.
        plane: The plane.
        count: How many steps.
        environ: What the program needs to find the plane.
    """

    def __init__(self, folder: Path, plane: Plane, count: int) -> None:
        self.folder = folder
        self.plane = plane
        self.count = count
        self.environ = plane.environ
        self._program = folder / "bench.runfiles/_main"
        self._program.mkdir(parents=True)
        shutil.copy(ROOT / "achieve", self._program)
        for other in (*ROOT.parent.iterdir(), ROOT / "achieve.tree"):
            if other != ROOT:
                place = self._program if other.parent == ROOT else self._program.parent
                (place / other.name).symlink_to(other)
        own = self._program / PROCESSOR
        own.mkdir(parents=True)
        (own / "tree").symlink_to(ROOT / PROCESSOR / "tree")
        described = json.loads((ROOT / PROCESSOR / "processor.json").read_bytes())
        described["registry"]["image"]["digest"] = DIGEST
        (own / "processor.json").write_text(json.dumps(described))
        (folder / "goal.yaml").write_text(GOAL)

    def start(self, world: str, *words: str) -> subprocess.Popen[bytes]:
        """Start the loop."""
        argv = ["./bench.runfiles/_main/achieve", "--goal", "goal.yaml", "--world", world]
        with (self.folder / f"{world}.log").open("wb") as log:
            return subprocess.Popen(
                [*argv, "--mode", "mock", "--json", *words],
                cwd=self.folder,
                env=self.environ,
                stdout=log,
                stderr=log,
            )

    def end(self, process: subprocess.Popen[bytes], world: str) -> float:
        """Wait for it; the CPU that it and its children have used, in seconds."""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit((self.folder / f"{world}.log").read_text()[-2_000:])
        return usage.ru_utime + usage.ru_stime


def _measure(bench: Bench, image: str) -> None:
    with Session(bench.environ, DEPLOYING) as session:
        own: dict[str, Json] = {"app": APP, "environment": ENVIRONMENT, "image": image}
        own |= {"digest": DIGEST, "content_root": DIGEST, "secret": None, "keys": []}
        limits: dict[str, Json] = {"memory_mb": 512, "timeout_s": 600, "startup_timeout_s": 600}
        session.perform("deploy", {**own, **limits})
    _put_texts(bench)
    bench.end(bench.start("local", "--lane", "dev", "--adapter", "local", "--jobs", "2"), "local")
    with World(str(bench.folder / "local"), make=False) as made:
        _upload(bench, made)
        canned: list[Json] = [
            [base64.b64encode(part).decode() for part in (each.execution_id.encode(), answer)]
            for each in made.ledger.executions()
            if (answer := _reply(made, each).encode())
        ]
    bench.plane.ask("/answers", {"hold": True, "canned": canned})
    began = time.monotonic()
    words = ("--lane", ENVIRONMENT, "--adapter", "modal", "--jobs", str(bench.count))
    process = bench.start("world", *words)
    peaks: dict[str, int] = {}
    while shapes.count(bench.plane.ask("/state"), "containers") < bench.count:
        _look(process, peaks)
    together = time.monotonic() - began
    bench.plane.ask("/answers", {"canned": canned})  # nothing is held any more
    while _look(process, peaks):
        pass
    cpu = bench.end(process, "world")
    print(
        f"{bench.count:>6} steps at once: {cpu / bench.count * 1000:.1f} ms of CPU a step, peak"
        f" {' + '.join(f'{kb / 1024:.0f}' for kb in peaks.values())} MiB; all calls there after"
        f" {together:.1f} s, done after {time.monotonic() - began:.1f} s",
        flush=True,
    )


def _put_texts(bench: Bench) -> None:
    """Make a world with the texts, and a copy of it."""
    for number in range(bench.count):
        text = bench.folder / f"text/n{number}/outputs/text.md"
        text.parent.mkdir(parents=True)
        text.write_text(f"What is said, number {number}.\n" * 8)
    put = [str(ROOT / "world"), "put", "text", "/artifacts/text", "--world", "world"]
    subprocess.run(put, cwd=bench.folder, check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(bench.folder / "world", bench.folder / "local")


def _upload(bench: Bench, made: World) -> None:
    """Put onto the volume what was made, as containers would have."""
    found: list[Json] = [
        {"cid": each.cid, "path": made.objects.path(each.cid)} for each in made.ledger.artifacts()
    ]
    with Session(bench.environ) as session:
        for first in range(0, len(found), UPLOADS):
            files = found[first : first + UPLOADS]
            asked: dict[str, Json] = {"environment": ENVIRONMENT, "files": files}
            ticket = session.ask("upload", asked, within_s=PATIENCE_S)
            ticket.wait()
            ticket.take()


def _reply(made: World, execution: Execution) -> Reply:
    """What a container says at the end of an execution."""
    assert execution.outputs_seq is not None
    assert execution.receipts_seq is not None
    facts = made.ledger.event(execution.outputs_seq).data
    receipts = made.ledger.event(execution.receipts_seq).data["receipts"]
    assert isinstance(facts["outputs"], list)
    assert isinstance(receipts, list)
    assert execution.envelope is not None
    told = parse_object(made.objects.read(execution.envelope), "the envelope")
    meta = shapes.members(told, "meta")
    keys = ("processor_ref", "mode", "inputs_hash", "cost_micro_usd")
    document = {**told, "meta": {key: meta[key] for key in keys}}
    stdout = Tail(1 << 20)
    stdout.feed(canonical(document) + b"\n")
    [receipt] = {shapes.text(each, "cid") for each in receipts}
    size = shapes.count(receipts[0], "size_bytes")
    files = [*facts["outputs"], facts["index"]]
    left = [
        Left(shapes.text(each, "path"), shapes.text(each, "cid"), shapes.count(each, "size_bytes"))
        for each in files
    ]
    first = paths.receipt_path(execution.write_prefix)
    second = paths.determinism_path(execution.execution_id)
    left += [Left(first, receipt, size), Left(second, receipt, size)]
    ended = Ended(
        returncode=0, stdout=stdout, stderr=Tail(1), elapsed_ms=1, timed_out=False, stopped=None
    )
    return Reply(ended=ended, left=left)


def _look(process: subprocess.Popen[bytes], peaks: dict[str, int]) -> bool:
    """Note what the loop and the SDK's process have needed; whether the loop still runs."""
    time.sleep(LOOK_S)
    tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = [child for task in tasks for child in task.read_text().split()]
    for name, pid in (("loop", str(process.pid)), *(("sdk", child) for child in children[:1])):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        for line in lines:
            if line.startswith("VmHWM:"):
                peaks[name] = int(line.split()[1])
    stat = Path(f"/proc/{process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] != "Z"


if __name__ == "__main__":
    main()
