"""Each real processor runs in mock where no package but the protocol can be imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from orchestrator.goals import effects
from processors.protocol import digests
from processors.protocol.payload import Artifact, Payload
from tests.fixtures import known_processors
from tests.harness import ROOT

# Only the standard library and the protocol can be imported; everything else is refused by name.
BARE = """
import sys

class Bare:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top != "processors" and top not in sys.stdlib_module_names:
            raise ImportError("blocked: " + name)

sys.meta_path.insert(0, Bare())
module, folder = sys.argv[1:3]
sys.path.append(folder)
sys.argv[1:] = sys.argv[3:]
"""
RUN = """
from importlib import import_module
from processors.protocol.runtime import main
main(import_module(module).run)
"""


class Subject(NamedTuple):
    """A real processor, and the example of its BUILD file, a job for it in mock mode."""

    ref: str
    folder: str

    @property
    def tree(self) -> Path:
        """The folder it runs from."""
        return ROOT / self.folder / "tree"

    @property
    def own(self) -> Path:
        """The folder of its own files there."""
        return self.tree / "app" / self.folder

    @property
    def module(self) -> str:
        """Its main module."""
        return self.folder.replace("/", ".") + ".main"

    @property
    def example(self) -> dict[str, Any]:
        """Its inputs, and the place of each file that it attaches."""
        found: dict[str, Any] = json.loads((ROOT / self.folder / "image_example.json").read_bytes())
        assert found["ref"] == self.ref
        return found


EVERY = [
    Subject(ref, f"processors/{place}")
    for ref, place in known_processors.places(ROOT, "processor.json").items()
]
SUBJECTS = [item for item in EVERY if (item.own / "main.py").exists()]  # the others are no Python
PROVIDERS = [item for item in SUBJECTS if (item.own / "provider.py").exists()]
every_processor = pytest.mark.parametrize("subject", SUBJECTS, ids=[item.ref for item in SUBJECTS])


def bare(
    subject: Subject, root: Path, *, program: str = BARE + RUN, seed: str = "0"
) -> subprocess.CompletedProcess[bytes]:
    """Run a program on the subject's payload in an interpreter without any package."""
    artifacts = {}
    for name, file in subject.example["files"].items():
        data = (ROOT / file).read_bytes()
        cid = digests.of_bytes(data)
        path = f"/artifacts/attached/{cid[7:]}/{Path(file).name}"
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).write_bytes(data)
        artifacts[name] = Artifact(path, cid, len(data))
    payload = Payload(
        execution_id="e-1",
        ref=subject.ref,
        mode="mock",
        inputs=subject.example["inputs"],
        artifacts=artifacts,
        write_prefix="/artifacts/x/",
    )
    (root / "artifacts/x").mkdir(parents=True)
    registry = subject.own / "registry.json"
    words = [subject.module, str(subject.tree / "app"), "--root", str(root)]
    return subprocess.run(
        [sys.executable, "-P", "-s", "-S", "-B", "-c", program, *words, "--registry", registry],
        input=payload.encode(),
        env={"PYTHONHASHSEED": seed},
        capture_output=True,
        timeout=30,
        check=False,
    )


@pytest.mark.proves("HR-3", "PA-1")
@every_processor
def test_a_processor_needs_nothing_but_the_protocol_in_mock(
    subject: Subject, tmp_path: Path
) -> None:
    ended = bare(subject, tmp_path)

    assert ended.returncode == 0, ended.stderr
    envelope = json.loads(ended.stdout)
    assert envelope["status"] == "success"
    made = [item["path"] for item in envelope["outputs"]]
    products = json.loads((subject.own / "registry.json").read_bytes())["produces"]
    assert effects.missing(products, "/artifacts/x/", made) is None


@pytest.mark.parametrize("name", ["django", "orchestrator", "openai", "pypdfium2", "pydantic"])
def test_the_bare_interpreter_refuses_packages(name: str, tmp_path: Path) -> None:
    """Without this, the test above would prove nothing."""
    ended = bare(SUBJECTS[0], tmp_path, program=f"{BARE}import {name}")

    assert ended.returncode == 1
    assert f"blocked: {name}".encode() in ended.stderr


@pytest.mark.proves("HR-3")
@pytest.mark.parametrize("subject", PROVIDERS, ids=[item.ref for item in PROVIDERS])
def test_a_provider_does_need_its_packages(subject: Subject, tmp_path: Path) -> None:
    """The heavy part is where it should be: its import is what the bare interpreter refuses."""
    load = "\nfrom importlib import import_module\nimport_module(module[:-5] + '.provider')"

    ended = bare(subject, tmp_path, program=BARE + load)

    assert ended.returncode == 1
    assert b"blocked: " in ended.stderr


@pytest.mark.proves("HR-3")
@every_processor
def test_a_processors_tree_holds_no_orchestrator_and_no_framework(subject: Subject) -> None:
    tops = {path.name for path in (subject.tree / "app").iterdir()} - {"__pycache__"}
    packages = {path.name.lower() for path in subject.tree.glob("site-packages/*")}
    own = [path for path in subject.own.iterdir() if path.is_file()]

    assert tops == {"processors"}
    assert not packages & {"django", "flask", "fastapi", "starlette", "orchestrator", "modal"}
    assert {path.name for path in own} <= {"__init__.py", "main.py", "provider.py", "registry.json"}


@pytest.mark.proves("PA-4")
@every_processor
def test_results_do_not_depend_on_the_hash_seed(subject: Subject, tmp_path: Path) -> None:
    """The seed is fixed for every child; this shows that nothing leans on it."""
    replies = []
    for seed in ("0", "1", "2", "4294967295"):
        ended = bare(subject, tmp_path / seed, seed=seed)
        assert ended.returncode == 0, ended.stderr
        replies.append(json.loads(ended.stdout)["outputs"])

    assert all(reply == replies[0] for reply in replies)
