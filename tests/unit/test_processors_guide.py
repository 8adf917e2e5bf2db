"""The whole processor of the guide is one: its registry is read and its main.py does its work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from orchestrator.goals import effects
from orchestrator.images import registry
from processors.protocol.errors import ContractError
from processors.protocol.payload import Artifact, Payload
from processors.protocol.refs import Ref
from processors.protocol.runtime import Job

GUIDE = Path("docs/guides/processors.md").read_text(encoding="utf-8")
PREFIX = "/artifacts/count/a/"
SOURCE = "/artifacts/raw/a"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def declared() -> registry.Registry:
    [text] = [block for block in blocks("yaml") if block.startswith("schema:")]
    return registry.load(text.encode(), Ref("text", "count", 1), "the guide's registry.yaml")


def counted(data: bytes, root: Path) -> Job:
    """Run the guide's processor on a source."""
    for place, content in ((SOURCE, data), (PREFIX + "kept", b"")):
        (root / place[1:]).parent.mkdir(parents=True)
        (root / place[1:]).write_bytes(content)
    payload = Payload(
        execution_id="x-1",
        ref="text/count@1",
        mode="mock",
        inputs={},
        artifacts={"source": Artifact(SOURCE, "sha256:" + "0" * 64, len(data))},
        write_prefix=PREFIX,
    )
    job = Job(payload, declared().document(), str(root))
    [code] = blocks("python")
    namespace: dict[str, Any] = {"__name__": "main"}
    exec(compile(code, "the guide's main.py", "exec"), namespace)  # noqa: S102 - it is ours
    namespace["run"](job)
    return job


def test_the_processor_of_the_guide_makes_what_it_declares(tmp_path: Path) -> None:
    job = counted(b"two words", tmp_path)

    made = [output.path for output in job.outputs]
    assert effects.missing(declared().produces, PREFIX, made) is None
    assert (tmp_path / made[0][1:]).read_bytes() == b'{"words":2}\n'


def test_the_guide_says_where_a_line_goes_and_how_it_looks() -> None:
    [line] = [block for block in blocks("starlark") if not block.startswith("load(")]
    listed = Path("processors/processors.bzl").read_text(encoding="utf-8")
    form = re.compile(r'    "//processors/[a-z_]+/[a-z_]+/v\d+",\n')
    _, start, rest = listed.partition("\nPROCESSORS = [\n")

    assert "`PROCESSORS` in `processors/processors.bzl`" in GUIDE
    assert start
    assert form.fullmatch(line)
    assert form.sub("", rest.partition("]\n")[0]) == ""


def test_the_processor_of_the_guide_tells_the_caller_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="ERR_INPUTS/bad_encoding"):
        counted(b"\xff", tmp_path)
