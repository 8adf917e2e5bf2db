"""The words of a command line decide alone what runs; nothing is inferred."""

from __future__ import annotations

import itertools
import json
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli import run_processor
from tests import harness
from tests.property.profile import searched

VARIABLES: dict[str, tuple[str, ...]] = {
    "CI": ("true", "1", ""),
    "LANE": ("staging", "pr", "dev"),
    "TEST_LANE": ("main", "pr"),
    "APP_ENV": ("production", "dev"),
    "MODAL_ENVIRONMENT": ("main", "dev"),
}
ENVIRONMENTS: st.SearchStrategy[dict[str, str]] = st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) for name, values in VARIABLES.items()}
)
PLAIN = {
    "--ref": "no/such@1",
    "--adapter": "local",
    "--mode": "mock",
    "--lane": "pr",
    "--write-prefix": "/artifacts/x/",
    "--inputs-json": "{}",
    "--execution-id": "x-1",
}
WORDS = {
    "--adapter": ["local", "modal", "docker"],
    "--mode": ["mock", "real", "smoke"],
    "--lane": ["pr", "dev", "staging", "main", "ci"],
    "--write-prefix": ["/artifacts/x/", "/artifacts/{execution_id}/", "/plan/"],
    "--inputs-json": ["{}", "[]", "{"],
    "--allow-env": ["A_KEY"],
    "--image-override": ["x@sha256:" + "0" * 64],
}
# A command line with any of its flags changed or absent; most are refused, each for its own reason.
LINES = st.fixed_dictionaries(
    {"--ref": st.just("no/such@1"), "--execution-id": st.just("x-1")},
    optional={name: st.sampled_from(values) for name, values in WORDS.items()},
).flatmap(lambda changed: st.sampled_from([changed, {**PLAIN, **changed}, {**PLAIN, **changed}]))


@contextmanager
def _streams() -> Iterator[tuple[int, int]]:
    """Let fds 1 and 2 lead to two files, and keep the signal handlers, for a while."""
    handlers = {
        each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        kept = [os.dup(fd) for fd in (1, 2)]
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        try:
            yield out.fileno(), err.fileno()
        finally:
            for fd, old in zip((1, 2), kept, strict=True):
                os.dup2(old, fd)
                os.close(old)
            for signum, handler in handlers.items():
                signal.signal(signum, handler)


def call(
    line: Mapping[str, str],
    environment: Mapping[str, str],
    *switches: str,
    root: str = "/nonexistent",
) -> tuple[int, dict[str, Any], list[dict[str, Any]]]:
    """Run the command inside this process: exit status, envelope, events.

    Durations are left out; so is an execution id that the command had to make up.
    """
    argv = [word for pair in line.items() for word in pair] + ["--json", *switches]
    before = dict(os.environ)
    for name in VARIABLES:
        os.environ.pop(name, None)
    os.environ.update(environment)
    try:
        with _streams() as (out, err):
            status = run_processor.main(argv, root)
            stdout, stderr = (os.pread(fd, 1_000_000, 0) for fd in (out, err))
    finally:
        os.environ.clear()
        os.environ.update(before)
    envelope = json.loads(stdout)
    envelope["meta"].pop("duration_ms")
    events = [json.loads(each) for each in stderr.splitlines()]
    for each in (envelope, *events):
        each.pop("elapsed_ms", None)
        if each["execution_id"] != PLAIN["--execution-id"]:
            each["execution_id"] = "new"
    return status, envelope, events


def adapter_events(events: Sequence[Mapping[str, Any]]) -> list[str]:
    return [event["event"] for event in events if event["event"].startswith("adapter.")]


@pytest.mark.proves("HR-7")
@searched
@given(LINES, ENVIRONMENTS)
def test_no_variable_changes_a_request_or_its_refusal(
    line: dict[str, str], environment: dict[str, str]
) -> None:
    assert call(line, environment) == call(line, {})


@pytest.mark.proves("HR-7")
def test_a_request_is_resolved_to_its_own_words_under_every_environment() -> None:
    """Every combination of the five variables, absent ones included."""
    spread = [(None, *values) for values in VARIABLES.values()]
    for values in itertools.product(*spread):
        pairs = zip(VARIABLES, values, strict=True)
        environment = {name: value for name, value in pairs if value is not None}

        status, envelope, _ = call(PLAIN, environment)

        assert status == 2
        assert envelope["error"]["reason"] == "unknown_ref"
        meta = envelope["meta"]
        assert (meta["mode"], meta["adapter"], meta["lane"]) == ("mock", "local", "pr")


@pytest.mark.proves("HR-7")
@pytest.mark.parametrize("name", ["--ref", "--adapter", "--mode", "--lane", "--write-prefix"])
def test_what_is_not_said_is_asked_for_and_never_inferred(name: str) -> None:
    line = {key: value for key, value in PLAIN.items() if key != name}
    everything = {key: values[0] for key, values in VARIABLES.items()}

    status, envelope, events = call(line, everything)

    assert status == 2
    assert envelope["error"] == {
        "code": "ERR_INPUTS",
        "reason": "missing_flag",
        "message": f"missing: {name}",
    }
    assert adapter_events(events) == []


@pytest.mark.proves("HR-1")
@searched
@given(
    st.sampled_from(["smoke", "default", "simulate", "MOCK", "Real", "", "null", "mock ", "--json"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
def test_any_mode_but_two_is_refused_before_an_adapter_hears_of_it(mode: str) -> None:
    status, envelope, events = call(PLAIN | {"--mode": mode}, {})

    if mode in ("mock", "real"):
        return
    assert status == 2
    assert envelope["error"]["code"] == "ERR_INPUTS"
    assert adapter_events(events) == []
    assert [event["event"] for event in events] == ["execution.start", "execution.settle"]


@pytest.mark.proves("F-12")
def test_a_path_that_holds_a_secret_is_not_quoted(tmp_path: Path) -> None:
    value = "key-0123456789abcdef"
    file = tmp_path / value
    file.write_bytes(b"no folder, so that looking into it is an error")
    line = PLAIN | {"--mode": "real", "--lane": "dev", "--allow-env": "A_KEY"}

    _, envelope, events = call(line, {"A_KEY": value}, "--debug", root=str(file))

    assert envelope["error"]["reason"] == "invalid_registry"
    assert value not in json.dumps([envelope, events])


INPUTS = {
    "endpoint": "openai",
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Hello?"}],
}


@pytest.mark.proves("HR-7")
def test_whole_runs_agree_under_every_environment(tmp_path: Path) -> None:
    environments = [
        {},
        {name: values[0] for name, values in VARIABLES.items()},
        {name: values[-1] for name, values in VARIABLES.items()},
        {"CI": "true"},
        {"LANE": "main", "TEST_LANE": "main"},
    ]
    found = []
    for number, environment in enumerate(environments):
        result = harness.run(
            *("--ref", "llm/chat@1", *harness.MOCK, "--write-prefix", "/artifacts/x/"),
            *("--inputs-json", json.dumps(INPUTS), "--execution-id", "x-1", "--json"),
            world=tmp_path / str(number),
            env=environment,
        )
        envelope = result.envelope
        envelope["meta"].pop("duration_ms")
        found.append((result.exit_code, envelope, result.output("reply.md")))

    assert found[0][0] == 0
    assert all(each == found[0] for each in found)
