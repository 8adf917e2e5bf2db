"""The fuzzer: a short run of every target, and proof that it finds what is broken."""

from __future__ import annotations

import pytest

from tools.fuzz.search import breach, search
from tools.fuzz.targets import CANARY, CANARY_EXECUTIONS, TARGETS, Target

SEED = 20_260_101


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_no_input_breaks_a_parser(target: Target) -> None:
    found = search(target, 100 * target.weight, SEED)

    assert (found.why, found.shrunk) == ("", b"")
    assert found.runs == 100 * target.weight
    assert found.runs > found.accepted >= len(target.corpus)


@pytest.mark.parametrize("seed", range(3))
def test_a_broken_parser_is_found(seed: int) -> None:
    found = search(CANARY, CANARY_EXECUTIONS, seed)

    assert found.data is not None
    assert len(found.shrunk) <= len(found.data)
    assert breach(CANARY, found.shrunk) == found.why


def test_a_run_is_repeatable() -> None:
    one, two = (search(CANARY, CANARY_EXECUTIONS, SEED) for _ in range(2))

    assert (one.runs, one.data, one.shrunk) == (two.runs, two.data, two.shrunk)
