"""What the main module of a processor may say, hand back and raise, and when."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fixtures.commands import Copy
from tests.harness import Result, run, zoo_words

FOLDER = "processors/hostile/zoo/v1/tree/app/tests/fixtures/processors/hostile/zoo/v1"
RUN = "def run(job: Job) -> None:"
SAID = 'print("by print")\nos.write(1, b"by write\\n")\n'


def ran(tmp_path: Path, new: str) -> Result:
    """Run the test processor with something else where its function begins."""
    copy = Copy(tmp_path)
    copy.replace(f"{FOLDER}/main.py", RUN, new)
    return run(*zoo_words("good"), world=tmp_path / "world", command=copy.command)


@pytest.mark.proves("HR-4")
def test_what_a_module_prints_when_it_is_imported_is_logged(tmp_path: Path) -> None:
    result = ran(tmp_path, f"{SAID}\n\n{RUN}")

    assert result.envelope["status"] == "success"
    logged = [event["text"] for event in result.events if event["event"] == "processor.log"]
    assert logged == ["by print", "by write"]


@pytest.mark.parametrize(
    ("new", "kind"),
    [
        (f"async {RUN}", "coroutine"),
        (f"{RUN}\n    yield", "generator"),
        (f"{RUN}\n    return 0", "int"),
    ],
)
def test_a_function_that_hands_something_back_did_not_do_its_work(
    new: str, kind: str, tmp_path: Path
) -> None:
    """A coroutine or a generator has not even begun."""
    result = ran(tmp_path, new)

    assert result.error == ("ERR_ADAPTER_INVOCATION", "processor_error")
    assert f"run(job) returned {kind}" in result.envelope["error"]["message"]


def test_whatever_is_raised_is_told_by_its_type_alone(tmp_path: Path) -> None:
    """As by libraries whose panics are no Exception, lest a program goes on after one."""
    panic = "class Panic(BaseException):\n    pass\n\n\n"
    result = ran(tmp_path, f"{panic}{RUN}\n    raise Panic('the data')")

    assert result.error == ("ERR_ADAPTER_INVOCATION", "processor_error")
    assert result.envelope["error"]["message"] == "the processor raised Panic"
    assert b"the data" not in result.stdout + result.stderr


def test_a_function_may_change_its_inputs(tmp_path: Path) -> None:
    """What they were is known already."""
    result = ran(tmp_path, f"{RUN}\n    job.inputs['more'] = 1")

    assert result.envelope["status"] == "success"
