"""Receipts of two mock runs of one payload differ in a named set of fields alone."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import harness
from tests.harness import Result
from tests.property.profile import searched_by_runs

# What may differ, and nothing else.
VOLATILE = {"execution_id", "payload_hash", "started_at", "duration_ms"}
TIMES = {"started_at", "duration_ms"}

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant"]), "content": WORDS.filter(bool)}
    ),
    min_size=1,
    max_size=4,
)
CHATS = st.fixed_dictionaries(
    {
        "endpoint": st.sampled_from(["openai", "nowhere"]),
        "model": st.sampled_from(["gpt-4o-mini", "gpt-4o", "unheard-of"]),
        "messages": MESSAGES,
    },
    optional={
        "temperature": st.floats(0, 2),
        "max_output_tokens": st.integers(1, 131_072),
        "seed": st.integers(-(2**53) + 1, 2**53 - 1),
    },
)
ZOO = st.sampled_from(
    [*("good", "many", "no_outputs", "own_error", "raise", "chatty_stderr", "print_stdout")]
).map(lambda name: {"behaviour": name}) | st.fixed_dictionaries(
    {"behaviour": st.just("echo"), "text": WORDS.filter(bool)}
)


@contextmanager
def worlds() -> Iterator[tuple[Path, Path]]:
    """Two empty worlds."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        yield Path(one), Path(other)


def run(ref: str, inputs: object, world: Path, *words: str) -> Result:
    """Run a processor in mock mode; the inputs come through stdin."""
    return harness.run(
        *("--ref", ref, *harness.MOCK, "--write-prefix", "/artifacts/x/", "--inputs", "-"),
        *("--json", *words),
        stdin=json.dumps(inputs).encode(),
        world=world,
        command=harness.ZOO_COMMAND if ref.startswith("hostile/") else harness.COMMAND,
    )


def receipt(result: Result) -> dict[str, Any]:
    """The receipt of a run, both copies of which are equal."""
    execution_id = result.envelope["execution_id"]
    beside = result.file("/artifacts/x/receipt.json").read_bytes()
    assert (
        result.file(f"/artifacts/execution/{execution_id}/determinism.json").read_bytes() == beside
    )
    found: dict[str, Any] = json.loads(beside)
    return found


def assert_equal_but_for(one: dict[str, Any], other: dict[str, Any], volatile: set[str]) -> None:
    """Two receipts are equal on every field but the named ones."""
    own, others = one.pop("volatile"), other.pop("volatile")
    assert one == other
    assert own.keys() == others.keys() == VOLATILE
    assert {key for key in own if own[key] != others[key]} <= volatile


def judge(ref: str, inputs: object) -> None:
    """Run one payload in two worlds, under different ids and under the same."""
    with worlds() as (one, other):
        first, second = run(ref, inputs, one), run(ref, inputs, other)
        assert first.exit_code == second.exit_code
        assert_equal_but_for(receipt(first), receipt(second), VOLATILE)
    same = ("--execution-id", "the-same-1")
    with worlds() as (one, other):
        first, second = run(ref, inputs, one, *same), run(ref, inputs, other, *same)
        assert_equal_but_for(receipt(first), receipt(second), TIMES)
        assert first.visible == second.visible
        for item in first.envelope.get("outputs", []):
            assert first.file(item["path"]).read_bytes() == second.file(item["path"]).read_bytes()


@pytest.mark.proves("RC-6")
@searched_by_runs
@given(CHATS)
def test_receipts_of_a_chat_are_equal_but_for_the_volatile_set(inputs: dict[str, Any]) -> None:
    judge("llm/chat@1", inputs)


@pytest.mark.proves("RC-6")
@searched_by_runs
@given(ZOO)
def test_receipts_of_any_processor_are_equal_but_for_the_volatile_set(
    inputs: dict[str, Any],
) -> None:
    judge("hostile/zoo@1", inputs)
