"""Whatever a child prints, the orchestrator's memory stays flat and nothing waits for ever."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from tests.harness import zoo

GIBIBYTE = 1_073_741_824
RSS_KIB_MAX = 65_536  # above what an ordinary run takes


@pytest.mark.proves("SP-4", "SP-7")
def test_a_gibibyte_of_output_is_drained_in_flat_memory(tmp_path: Path) -> None:
    zoo("good", world=tmp_path / "idle")
    idle_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss

    result = zoo("flood_both", world=tmp_path / "flood")

    tails = result.envelope["meta"]["tails"]
    peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    assert result.error == ("ERR_ADAPTER_INVOCATION", "envelope_invalid")
    assert tails["stdout"]["size_bytes"] + tails["stderr"]["size_bytes"] >= GIBIBYTE
    assert all(len(tail["text"].encode()) <= 8_192 for tail in tails.values())
    assert peak_kib - idle_kib < RSS_KIB_MAX
