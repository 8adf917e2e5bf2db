"""Mock leaves the events that real leaves, one for one, but for the mode and the time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.fixtures import traces
from tests.harness import ROOT, Result, run
from tests.simulators import openai_server as simulated

MODES = ("mock", "real")
PAGE = b"<!doctype html><html><title>A page</title><p>Some words.</p></html>"

# What may differ: times, and the digests of what says which mode it was.
VARYING = frozenset(
    {"duration_ms", "elapsed_ms", "execution_id", "memo_key", "mode", "payload_hash"}
    | {"reply_digest"}
)


@pytest.fixture
def server() -> Iterator[simulated.Server]:
    with simulated.Server() as found:
        yield found


def dev(mode: str, folder: Path, *words: str, **options: Any) -> Result:
    """Run a processor in one mode, in a world of its own."""
    return run(
        *("--adapter", "local", "--lane", "dev", "--mode", mode, "--json"),
        *("--write-prefix", "/artifacts/x/", *words),
        world=folder / mode,
        **options,
    )


def chat(mode: str, folder: Path, server: simulated.Server, **inputs: Any) -> Result:
    """Ask the simulated provider, or do as if."""
    path = folder / "registries/llm/chat/v1/registry.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    registry = yaml.safe_load((ROOT / "processors/llm/chat/v1/registry.yaml").read_text())
    registry["endpoints"]["loopback"] = {
        "base_url": server.base_url,
        "secret": "OPENAI_API_KEY",
    }
    path.write_text(json.dumps(registry))
    asked = {
        "endpoint": "loopback",
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hello?"}],
        **inputs,
    }
    return dev(
        *(mode, folder, "--ref", "llm/chat@1", "--inputs-json", json.dumps(asked)),
        *("--registry-root", str(folder / "registries")),
        *(("--allow-env", "OPENAI_API_KEY") if mode == "real" else ()),
        env={"OPENAI_API_KEY": simulated.KEY},
    )


def extract(mode: str, folder: Path, name: str, document: bytes) -> Result:
    """Extract a document, or do as if."""
    (folder / "document").write_bytes(document)
    return dev(
        *(mode, folder, "--ref", "doc/extract@1"),
        *("--inputs-json", json.dumps({"filename": name})),
        *("--attach", f"source={folder / 'document'}"),
    )


def told(result: Result) -> list[dict[str, Any]]:
    """What every event says, but for what may differ."""
    traces.names(result)
    return [
        {key: value for key, value in event.items() if key not in VARYING}
        for event in result.events
    ]


def judge(results: list[Result], *, called: bool) -> None:
    """Both modes say the same, each under its own name."""
    mock, real = results
    assert told(mock) == told(real)
    for mode, result in zip(MODES, results, strict=True):
        assert {event["mode"] for event in result.events[1:]} == {mode}
        talk = [event["event"] for event in result.events if event["event"].startswith("provider.")]
        assert talk == (["provider.call", "provider.response"] if called else [])


@pytest.mark.proves("OB-6")
def test_a_chat_in_mock_leaves_the_events_of_a_real_one(
    server: simulated.Server, tmp_path: Path
) -> None:
    results = [chat(mode, tmp_path, server) for mode in MODES]

    assert [result.exit_code for result in results] == [0, 0]
    assert len(server.requests) == 1  # of the real one
    judge(results, called=True)


@pytest.mark.proves("OB-6")
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "no-such"}, "unknown_price"),
        ({"endpoint": "no-such"}, "unknown_endpoint"),
        ({"messages": [{"role": "user", "artifact": "none"}]}, "unknown_name"),
        ({"temperature": 3}, "schema_violation"),
    ],
)
def test_a_chat_that_cannot_be_leaves_the_same_events_in_both_modes(
    changes: dict[str, Any], reason: str, server: simulated.Server, tmp_path: Path
) -> None:
    results = [chat(mode, tmp_path, server, **changes) for mode in MODES]

    assert [result.error[1] for result in results] == [reason] * 2
    judge(results, called=False)


@pytest.mark.proves("OB-6")
@pytest.mark.parametrize(
    ("name", "document"), [("a.txt", b"Some words.\n"), ("a.md", b"# Words\n"), ("a.html", PAGE)]
)
def test_an_extraction_in_mock_leaves_the_events_of_a_real_one(
    name: str, document: bytes, tmp_path: Path
) -> None:
    results = [extract(mode, tmp_path, name, document) for mode in MODES]

    assert [result.exit_code for result in results] == [0, 0]
    judge(results, called=True)


@pytest.mark.proves("OB-6")
@pytest.mark.parametrize(
    ("name", "document", "reason"),
    [
        ("a.txt", b"", "empty_input"),
        ("a.pdf", PAGE, "format_mismatch"),
        ("a.xyz", PAGE, "unsupported_format"),
        ("none", PAGE, "schema_violation"),
    ],
)
def test_an_extraction_that_cannot_be_leaves_the_same_events_in_both_modes(
    name: str, document: bytes, reason: str, tmp_path: Path
) -> None:
    results = [extract(mode, tmp_path, name, document) for mode in MODES]

    assert [result.error[1] for result in results] == [reason] * 2
    judge(results, called=False)
