"""A cold call of a processor against a cold call of a function that does nothing, as a ratio.

    tools/bazel run //tools/bench:modal_cold [-- --rounds N]

Both are deployed to a control plane of this machine, in the same image, anew for each round, so
that each call finds no container. The function that does nothing is called by the SDK from this
process. The processor is ``llm/chat@1`` in mock, called as the adapter does: what is measured is
container, app, the processor itself and the way there and back. Both take turns; who is first
changes from round to round. The second call of each finds its container. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

from orchestrator.modal.session import DEPLOYING, Session
from processors.protocol import digests
from processors.protocol.canonical import Json
from processors.protocol.payload import Payload
from processors.protocol.remote import Request, decode_reply
from tests.simulators.registry import Server
from tools.bench.planes import ROOT, Plane

ENVIRONMENT = "dev"
REF, PLACE = "llm/chat@1", "processors/llm/chat/v1"
PATIENCE_S = 120
LIMITS: dict[str, Json] = {"memory_mb": 512, "timeout_s": 60, "startup_timeout_s": 60}

type Call = Callable[[], int]  # what the processor itself has taken, in ms


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(ROOT / "tools/images/crane") as registry,
        Plane(folder, ENVIRONMENT) as plane,
    ):
        _run("push_processor", "--registry", registry.host)
        built = _run("build_processor")
        os.environ.update(plane.environ, MODAL_CONFIG_PATH="/nonexistent")
        with Session(plane.environ) as session, Session(plane.environ, DEPLOYING) as deploying:
            image = f"{registry.host}/{_repository()}@{built['digest']}"
            _measure(Bench(session, deploying, image, built), given.rounds)


def _run(program: str, *words: str) -> dict[str, Any]:
    argv = [str(ROOT / program), "--ref", REF, *words, "--json"]
    done = subprocess.run(argv, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)["result"]
    assert isinstance(found, dict)
    return found


def _repository() -> str:
    described = json.loads((ROOT / PLACE / "processor.json").read_bytes())
    return str(described["registry"]["image"]["repository"])


class Bench:
    """What both sides are deployed from."""

    def __init__(
        self, session: Session, deploying: Session, image: str, built: dict[str, Any]
    ) -> None:
        self._session = session
        self._deploying = deploying
        self._image = image
        self._digest = str(built["digest"])
        [self._root] = {str(root) for root in built["content_roots"].values()}
        registry = json.loads((ROOT / PLACE / "processor.json").read_bytes())["registry"]
        own = {key: value for key, value in registry.items() if key != "image"}
        self._body = Request(
            payload=Payload(
                execution_id="cold",
                ref=REF,
                mode="mock",
                inputs={
                    "endpoint": "openai",
                    "model": "gpt-4o-mini",
                    "messages": [{"role": "user", "content": "hello"}],
                },
                artifacts={},
                write_prefix="/artifacts/cold/",
            ).encode(),
            content_root=self._root,
            registry=digests.of_json(own),
            timeout_s=30,
        ).encode()

    def bare(self, number: int) -> Call:
        """Deploy a function that does nothing; how it is called."""
        import modal  # reads its variables once, when it is imported

        client = modal.Client.from_credentials("ak-bench", "as-bench")
        app = modal.App(f"bare-{number}", include_source=False)
        image = modal.Image.from_registry(self._image).entrypoint([])
        same: dict[str, Any] = {
            "serialized": True,
            "include_source": False,
            "name": "empty",
            "timeout": 60,
        }
        app.function(image=image, **same)(lambda data: data)
        app.deploy(name=f"bare-{number}", environment_name=ENVIRONMENT, client=client)
        found = modal.Function.from_name(f"bare-{number}", "empty", environment_name=ENVIRONMENT)
        found.hydrate(client)

        def call() -> int:
            assert found.remote(self._body) == self._body
            return 0

        return call

    def ours(self, number: int) -> Call:
        """Deploy the processor; how it is called."""
        place: dict[str, Json] = {"app": f"ours-{number}", "environment": ENVIRONMENT}
        what: dict[str, Json] = {"image": self._image, "digest": self._digest}
        rest: dict[str, Json] = {"content_root": self._root, "secret": None, "keys": []}
        self._deploying.perform("deploy", {**place, **what, **rest, **LIMITS})
        self._session.perform("lookup", {**place, "secret": None, "keys": []})

        def call() -> int:
            ticket = self._session.ask("call", place, self._body, within_s=PATIENCE_S)
            ticket.wait()
            reply = decode_reply(ticket.take()[1])
            assert reply.error is None, reply.error
            assert reply.ended is not None
            return reply.ended.elapsed_ms

        return call


def _measure(bench: Bench, rounds: int) -> None:
    spent: dict[str, list[float]] = {}
    for number in range(rounds):
        calls = [("bare", bench.bare(number)), ("ours", bench.ours(number))]
        for heat in ("cold", "warm"):
            for name, call in calls if number % 2 else reversed(calls):
                began = time.monotonic()
                processor_s = call() / 1000
                took = time.monotonic() - began
                spent.setdefault(f"{heat} {name}", []).append(took)
                spent.setdefault(f"{heat} {name}, rest", []).append(took - processor_s)
    for heat in ("cold", "warm"):
        bare = spent[f"{heat} bare"]
        told = [f"{heat}: bare {statistics.median(bare):.3f} s"]
        for name, words in (("ours", "ours"), ("ours, rest", "without the processor itself")):
            mine = spent[f"{heat} {name}"]
            ratio = statistics.median(one / other for one, other in zip(mine, bare, strict=True))
            told.append(f"{words} {statistics.median(mine):.3f} s, ratio {ratio:.2f}")
        print("; ".join(told) + f" (medians of {rounds} rounds)", flush=True)


if __name__ == "__main__":
    main()
