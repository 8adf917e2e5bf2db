"""The tasks that are measured, as each program wants to be told them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from processors.protocol import digests
from processors.protocol.canonical import Json
from processors.protocol.payload import Artifact, Payload

ROOT = Path(os.environ["RUNFILES_DIR"]).resolve() / "_main"
PROJECTS = ROOT / "tools/bench/peers/projects"
FLOOR, OURS = "floor", "ours"
ENV = {"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", "TMPDIR": "."}
TEXT = "/artifacts/text/{name}/outputs/text.md"
REPLY = "/artifacts/chat/{name}/outputs/reply.md"
ASKED: dict[str, Json] = {
    "endpoint": "openai",
    "model": "gpt-5-mini",
    "messages": [{"role": "user", "artifact": "text"}],
}
FLAGS = ("--lane", "pr", "--adapter", "local", "--mode", "mock")

type Side = tuple[str, Callable[[Path], list[str]]]


class Built:
    """What Bazel has built.

    Attributes:
        python: The interpreter.
        argv: What starts the processor.
        registry: Its registry file.
    """

    def __init__(self) -> None:
        own = ROOT / "processors/llm/chat/v1"
        described = json.loads((own / "processor.json").read_text())
        self.python = sys.executable
        places = {"python": self.python, "tree": str(own / "tree")}
        self.argv = [word.format_map(places) for word in described["argv"]]
        self.registry = str(own / "tree" / described["registry_file"])


class Work:
    """A number of tasks.

    Attributes:
        tasks: How many.
        chain: Whether each takes what the one before has made; else none needs another.
    """

    def __init__(self, made: Built, tasks: int, *, chain: bool) -> None:
        self._built = made
        self.tasks = tasks
        self.chain = chain

    def sides(self, peers: Path) -> list[Side]:
        """The commands that do the tasks."""
        python, jobs = self._built.python, 1 if self.chain else 2
        return [
            (FLOOR, lambda _: [python, "-S", str(PROJECTS / "floor.py")]),
            (OURS, lambda _: self._ours(jobs)),
            *self._peers(python, peers, jobs),
        ]

    def settled_sides(self, peers: Path) -> list[Side]:
        """The commands that find out that there is nothing to do."""
        python = self._built.python
        return [
            (FLOOR, lambda _: [python, "-S", str(PROJECTS / "stat_and_hash.py")]),
            (OURS, lambda _: self._ours(2)),
            *(side for side in self._peers(python, peers, 2) if side[0] in {"doit", "snakemake"}),
        ]

    def _ours(self, jobs: int) -> list[str]:
        words = ["--goal", "goal.yaml", "--world", "world", *FLAGS, "--jobs", str(jobs)]
        return [str(ROOT / "achieve"), *words, "--json"]

    def _peers(self, python: str, peers: Path, jobs: int) -> list[Side]:
        def module(name: str, *words: str) -> Callable[[Path], list[str]]:
            return lambda _: [python, "-m", name, *words]

        def script(name: str) -> Callable[[Path], list[str]]:
            return lambda _: [python, str(PROJECTS / name)]

        many = ("-n", str(jobs), "-P", "thread") if jobs > 1 else ()
        snakefile = ("-s", str(PROJECTS / "Snakefile"), "--cores", str(jobs), "-q", "all")
        redun = ("-c", ".redun", "run", str(PROJECTS / "redun_flow.py"), "main")
        return [
            ("doit", module("doit", "-f", str(PROJECTS / "dodo.py"), "--dir", ".", *many)),
            ("luigi", script("luigi_flow.py")),
            ("parsl", script("parsl_flow.py")),
            ("dbos", script("dbos_flow.py")),
            ("snakemake", module("snakemake", *snakefile)),
            ("redun", lambda _: [python, str(peers / "bin/redun"), *redun]),
        ]

    def prepare(self, folder: Path, *, ours: bool) -> None:
        """Write down what the tasks begin with."""
        if ours:
            self._write_goal(folder)
            self._put(folder, "text", "text.md")
            return
        for name in ("out", "payloads", "roots", ".redun"):
            (folder / name).mkdir()
        (folder / ".redun/redun.ini").write_text((PROJECTS / "redun.ini").read_text())
        described = {
            "argv": self._built.argv,
            "registry": self._built.registry,
            "env": ENV,
            "chain": self.chain,
            "tasks": self.tasks,
        }
        (folder / "work.json").write_text(json.dumps(described))
        for number in range(self.tasks):
            self._write_task(folder, number)

    def _write_task(self, folder: Path, number: int) -> None:
        data = _text(number)
        path = TEXT.format(name=f"n{number}")
        root = folder / f"roots/{number}"
        text = root / path[1:]
        text.parent.mkdir(parents=True)
        text.write_bytes(data)
        prefix = f"/artifacts/chat/n{number}/"
        (root / prefix[1:]).mkdir(parents=True)
        payload = Payload(
            execution_id=f"bench-{number}",
            ref="llm/chat@1",
            mode="mock",
            inputs=ASKED,
            artifacts={"text": Artifact(path, digests.of_bytes(data), len(data))},
            write_prefix=prefix,
        )
        (folder / f"payloads/{number}").write_bytes(payload.encode())

    def settle(self, folder: Path, *, ours: bool) -> None:
        """Write down what the tasks begin with and what they made."""
        if ours:
            self._write_goal(folder)
            self._put(folder, "text", "text.md")
            self._put(folder, "chat", "reply.md")
            return
        for name in ("out", "payloads"):
            (folder / name).mkdir()
        (folder / "work.json").write_text(
            json.dumps(
                {"argv": ["true"], "registry": "", "env": ENV, "chain": False, "tasks": self.tasks}
            )
        )
        for number in range(self.tasks):
            (folder / f"payloads/{number}").write_bytes(_text(number))
            (folder / f"out/{number}").write_bytes(_text(number))

    def _put(self, folder: Path, kind: str, file: str) -> None:
        for number in range(1 if self.chain else self.tasks):
            made = folder / f"{kind}/n{number}/outputs/{file}"
            made.parent.mkdir(parents=True)
            made.write_bytes(_text(number))
        command = [str(ROOT / "world"), "put", kind, f"/artifacts/{kind}"]
        subprocess.run(
            [*command, "--world", "world"], cwd=folder, check=True, stdout=subprocess.DEVNULL
        )

    def _write_goal(self, folder: Path) -> None:
        lines = [
            "schema: v1",
            "name: bench",
            "summary: tasks that are measured",
            "budget_micro_usd: 1000000000",
            "processors: [llm/chat@1]",
        ]
        asked = json.dumps(ASKED)
        last = f"n{self.tasks - 1}"
        if self.chain:
            lines += ["transitions:", *(self._step(number) for number in range(self.tasks))]
            wanted = ["", f"    args: {{path: '{REPLY.format(name=last)}'}}"]
        else:
            lines += [f"use: {{llm/chat@1: {{inputs: {asked}}}}}"]
            wanted = [f"    for_each: '{TEXT}'", f"    args: {{path: '{REPLY}'}}"]
        lines += ["predicates:", "  - name: all", "    predicate: artifact.exists"]
        (folder / "goal.yaml").write_text("\n".join([*lines, *filter(None, wanted)]) + "\n")

    def _step(self, number: int) -> str:
        before = REPLY.format(name=f"n{number - 1}") if number else TEXT.format(name="n0")
        step = {
            "ref": "llm/chat@1",
            "write_prefix": f"/artifacts/chat/n{number}/",
            "use": {"text": before},
            "inputs": ASKED,
        }
        return f"  - {json.dumps(step)}"

    def check(self, folder: Path, *, ours: bool) -> None:
        """Refuse a side that did not do the tasks."""
        if ours:
            lines = (folder / "log").read_text().splitlines()
            [answer] = [json.loads(line) for line in lines if line.startswith('{"meta"')]
            assert answer["result"]["executions"] == self.tasks, answer
        else:
            assert len(os.listdir(folder / "out")) == self.tasks


def _text(number: int) -> bytes:
    return f"What is said, number {number}.\n".encode() * 8
