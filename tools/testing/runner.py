"""Run one pytest file under Bazel: results, filter and shards as the Test Encyclopedia asks.

No test collected, no test left to run, a skip nobody announced: each is a failure.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from pathlib import Path

import pytest

from tools.testing.lanes import LanePlugin
from tools.testing.shards import ShardPlugin

# What every search by chance starts from: the same examples everywhere. Another one can be tried
# with --test_arg=--hypothesis-seed=N.
SEED = 20_260_101


def main() -> None:
    """Run the file that the arguments name and exit with pytest's status."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--lane", required=True)
    parser.add_argument("--have", action="append", default=[], help="a capability of this machine")
    parser.add_argument("file")
    given, rest = parser.parse_known_args()
    lane = LanePlugin(given.lane, frozenset(given.have))
    shards = ShardPlugin(
        index=int(os.environ.get("TEST_SHARD_INDEX", "0")),
        total=int(os.environ.get("TEST_TOTAL_SHARDS", "1")),
    )
    if "TEST_SHARD_STATUS_FILE" in os.environ:
        Path(os.environ["TEST_SHARD_STATUS_FILE"]).touch()
    status = pytest.main([*_options(), *rest, given.file], plugins=[lane, shards])
    if status == pytest.ExitCode.NO_TESTS_COLLECTED and shards.emptied:
        status = pytest.ExitCode.OK  # other shards hold this file's tests
    sys.exit(status)


def _options() -> list[str]:
    options = [
        "-p",
        "no:cacheprovider",
        "--strict-markers",
        "--strict-config",
        "--import-mode=importlib",
        "-Werror",
        "-ra",
        "-ojunit_family=xunit1",  # the form whose test cases hold properties
    ]
    if importlib.util.find_spec("hypothesis") is not None:
        options.append(f"--hypothesis-seed={SEED}")
    if xml := os.environ.get("XML_OUTPUT_FILE"):
        options.append(f"--junitxml={xml}")
    if only := os.environ.get("TESTBRIDGE_TEST_ONLY"):
        options.append(f"-k={only}")
    if scratch := os.environ.get("SCRATCH", os.environ.get("TEST_TMPDIR")):
        options.append(f"--basetemp={tempfile.mkdtemp(dir=scratch)}/pytest")
    return options
