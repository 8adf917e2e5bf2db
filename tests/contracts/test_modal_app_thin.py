"""The app for Modal is thin: standard library and protocol, nothing else, not even Modal."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import PATIENCE_S, ROOT

PROGRAM = """
import sys
sys.path.append(sys.argv[1])
class Block:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in ("modal_app", "processors"):
            raise ImportError("blocked: " + name)
        if name.startswith("processors.") and not name.startswith("processors.protocol"):
            raise ImportError("blocked: " + name)
sys.meta_path.insert(0, Block())
"""


def bare(code: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run code where the app and the protocol are, and nothing else of ours."""
    for name in ("modal_app", "processors/protocol"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copyfile(ROOT / "processors/__init__.py", tmp_path / "processors/__init__.py")
    return subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", PROGRAM + code, str(tmp_path)],
        env={},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.proves("HR-3")
def test_the_app_needs_nothing_but_the_protocol(tmp_path: Path) -> None:
    done = bare("import modal_app.entry\nprint(modal_app.entry.run.__name__)", tmp_path)

    assert (done.returncode, done.stdout.strip()) == (0, "run"), done.stderr


@pytest.mark.proves("HR-3")
@pytest.mark.parametrize("name", ["django", "orchestrator", "modal", "processors.llm"])
def test_the_bare_interpreter_refuses_what_it_should(name: str, tmp_path: Path) -> None:
    done = bare(f"import {name}", tmp_path)

    assert done.returncode == 1
    assert f"blocked: {name}" in done.stderr
