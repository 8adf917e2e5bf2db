"""What a provider says, good or bad, and what it is asked, never shows on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fixtures import traces
from tests.fixtures.canary import CANARY, shows
from tests.harness import REAL, ROOT, run
from tests.simulators import openai_server as simulated

CHAT: dict[str, Any] = {
    "endpoint": "openai",
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": CANARY}],
}


@pytest.fixture
def server() -> Iterator[simulated.Server]:
    with simulated.Server() as found:
        yield found


@pytest.mark.parametrize(
    "behaviour",
    [
        simulated.ok(CANARY),
        simulated.ok(None, **{CANARY: CANARY}),
        simulated.ok(model=CANARY),
        simulated.status(400, code=CANARY, message=CANARY),
        simulated.status(401, message=CANARY),
        simulated.status(429, retry_after=CANARY, message=CANARY),
        simulated.body(CANARY.encode()),
        simulated.body(f'{{"{CANARY}":'.encode()),
        simulated.redirect(f"http://127.0.0.1:9/{CANARY}"),
    ],
    ids=["ok", "odd", "model", "400", "401", "429", "no JSON", "cut JSON", "redirect"],
)
def test_a_talk_with_a_provider_never_shows(
    behaviour: simulated.Behaviour, server: simulated.Server, tmp_path: Path
) -> None:
    server.script(*[behaviour] * 3)
    path = tmp_path / "llm/chat/v1/registry.yaml"
    path.parent.mkdir(parents=True)
    registry = yaml.safe_load((ROOT / "processors/llm/chat/v1/registry.yaml").read_text())
    address = {"base_url": server.base_url, "secret": "OPENAI_API_KEY"}
    registry["endpoints"]["openai"] = address
    path.write_text(json.dumps(registry))

    result = run(
        *("--ref", "llm/chat@1", *REAL, "--write-prefix", "/artifacts/x/", "--json"),
        *("--inputs-json", json.dumps(CHAT), "--registry-root", str(tmp_path)),
        *("--allow-env", "OPENAI_API_KEY"),
        world=tmp_path / "world",
        env={"OPENAI_API_KEY": simulated.KEY},
    )

    assert server.requests
    assert not shows(result.stderr), result.stderr
    error = result.envelope.get("error", {"message": ""})
    assert not shows(error["message"].encode()), error
    traces.names(result)
