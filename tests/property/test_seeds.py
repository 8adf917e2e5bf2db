"""A search by chance can be repeated: its seed is in the result, its counter-example in the log."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tools.testing.runner import SEED

PLANTED = """
from hypothesis import given, strategies as st, reproduce_failure

from tests.property.profile import searched


{extra}@searched
@given(st.lists(st.integers(0, 1000)))
def test_no_list_has_a_large_sum(numbers: list[int]) -> None:
    print("tried", numbers)
    assert sum(numbers) < {limit}
"""


class Outcome:
    """How a planted file ended: exit status, log, and the seeds in its result."""

    def __init__(self, folder: Path, source: str, *words: str) -> None:
        file = folder / "test_planted.py"
        file.write_text(source)
        result = folder / "result.xml"
        start = "import sys; from tools.testing.runner import main; sys.exit(main())"
        kept = {name: os.environ[name] for name in ("PATH", "TEST_SRCDIR") if name in os.environ}
        done = subprocess.run(
            [sys.executable, "-B", "-c", start, "--lane=property", str(file), *words],
            env={
                **kept,
                "HOME": str(folder),
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "TEST_TMPDIR": str(folder),
                "XML_OUTPUT_FILE": str(result),
            },
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        self.status = done.returncode
        self.log = done.stdout + done.stderr
        text = result.read_text(encoding="utf-8")
        self.seeds = re.findall(r'<property name="seed" value="(\d+)"', text)

    @property
    def tried(self) -> list[str]:
        """The examples, as the planted test printed them."""
        return [line for line in self.log.splitlines() if line.startswith("tried")]


def planted(folder: Path, limit: int, *words: str, extra: str = "") -> Outcome:
    """Search for a list whose sum reaches a limit."""
    folder.mkdir()
    return Outcome(folder, PLANTED.format(limit=limit, extra=extra), *words)


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A search that finds a counter-example."""
    return planted(tmp_path_factory.mktemp("failed") / "first", 500)


@pytest.mark.proves("TS-6")
def test_a_search_records_its_seed_whether_it_finds_something_or_not(
    failed: Outcome, tmp_path: Path
) -> None:
    good = planted(tmp_path / "good", 10**9)

    assert (good.status, failed.status) == (0, 1)
    assert good.seeds == failed.seeds == [str(SEED)]
    assert f"the search started from seed {SEED}" in failed.log


@pytest.mark.proves("TS-6")
def test_a_counter_example_is_shrunk_and_comes_with_what_repeats_it(
    failed: Outcome, tmp_path: Path
) -> None:
    assert "numbers=[500]," in failed.log
    assert failed.tried[-1] == "tried [500]"
    found = re.search(r"@reproduce_failure\('[0-9.]+', b'[^']+'\)", failed.log)
    assert found is not None, failed.log

    again = planted(tmp_path / "again", 500, extra=f"{found[0]}\n")

    assert again.status == 1
    assert set(again.tried) == {"tried [500]"}


@pytest.mark.proves("TS-6")
def test_a_search_is_the_same_every_time(failed: Outcome, tmp_path: Path) -> None:
    again = planted(tmp_path / "again", 500)

    assert len(failed.tried) > 10
    assert again.tried == failed.tried


@pytest.mark.proves("TS-6")
def test_another_seed_is_recorded_too_and_gives_another_search(
    failed: Outcome, tmp_path: Path
) -> None:
    other = planted(tmp_path / "other", 500, "--hypothesis-seed=7")

    assert other.seeds == ["7"]
    assert "the search started from seed 7" in other.log
    assert other.tried != failed.tried
