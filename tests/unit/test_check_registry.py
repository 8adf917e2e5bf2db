"""The build's look at a ``registry.yaml``: what it says must be what is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from processors.protocol.errors import ContractError
from tests.unit.source_rules import root
from tools.build import check_registry

FOLDER = "processors/llm/chat/v1"
RUNTIME, ENTRYPOINT = "runtime: python3.13\n", "entrypoint: main.py\n"
EXEC = "runtime: exec\n"
SCRIPT = b"#!/bin/sh\n"


def registry(tmp_path: Path, runtime: str = RUNTIME, entrypoint: str = ENTRYPOINT) -> Path:
    """A registry of the repository, of a processor that starts otherwise."""
    text = (root() / FOLDER / "registry.yaml").read_text(encoding="utf-8")
    assert text.count(RUNTIME + ENTRYPOINT) == 1
    file = tmp_path / "registry.yaml"
    file.write_text(text.replace(RUNTIME + ENTRYPOINT, runtime + entrypoint), encoding="utf-8")
    return file


def program(tmp_path: Path, data: bytes) -> Path:
    """A file for the rule's ``program``."""
    file = tmp_path / "count.sh"
    file.write_bytes(data)
    return file


def test_the_entrypoint_is_what_starts(tmp_path: Path) -> None:
    assert check_registry.load(registry(tmp_path), FOLDER, None).entrypoint == "main.py"


@pytest.mark.parametrize("data", [SCRIPT, b"\x7fELF\x02"])
def test_a_program_starts_where_the_registry_says_so(data: bytes, tmp_path: Path) -> None:
    file = registry(tmp_path, EXEC, "entrypoint: count.sh\n")

    found = check_registry.load(file, FOLDER, program(tmp_path, data))

    assert (found.runtime, found.entrypoint) == ("exec", "count.sh")


@pytest.mark.parametrize(
    ("runtime", "entrypoint", "given", "line", "says"),
    [
        (RUNTIME, "other.py", None, 5, "entrypoint is other.py; with no program in .*is main.py$"),
        (EXEC, "main.py", None, 4, "runtime is exec; with no program in .* it is python3.13$"),
        (EXEC, "count.sh", None, 4, "runtime is exec; with no program in .* it is python3.13$"),
        (RUNTIME, "main.py", SCRIPT, 4, "runtime is python3.13; with program count.sh .*is exec$"),
        (EXEC, "main.py", SCRIPT, 5, "entrypoint is main.py; with program count.sh .*is count.sh$"),
    ],
)
def test_what_does_not_start_stops_the_build_with_its_line(
    runtime: str, entrypoint: str, given: bytes | None, line: int, says: str, tmp_path: Path
) -> None:
    file = registry(tmp_path, runtime, f"entrypoint: {entrypoint}\n")
    said = file.read_text(encoding="utf-8").splitlines()[line - 1]
    assert said.startswith(says.partition(" ")[0])

    with pytest.raises(SystemExit, match=f"^{FOLDER}/registry.yaml: line {line}: {says}"):
        check_registry.load(file, FOLDER, program(tmp_path, given) if given else None)


@pytest.mark.parametrize("data", [b"", b"echo\n", b"import os\n", b"PK\x03\x04"])
def test_a_program_that_no_kernel_starts_stops_the_build(data: bytes, tmp_path: Path) -> None:
    file = registry(tmp_path, EXEC, "entrypoint: count.sh\n")

    with pytest.raises(SystemExit, match=f"{FOLDER}: count.sh is no program"):
        check_registry.load(file, FOLDER, program(tmp_path, data))


def test_a_product_that_nothing_can_make_stops_the_build_with_its_line(tmp_path: Path) -> None:
    file = registry(tmp_path)
    text = file.read_text(encoding="utf-8")
    product = next(line for line in text.splitlines() if "/outputs/" in line and "chat" in line)
    file.write_text(text.replace(product, product.replace("/artifacts/", "/streams/")))
    line = text.splitlines().index(product) + 1

    with pytest.raises(ContractError, match=f"{FOLDER}/registry.yaml: line {line}: .*no output"):
        check_registry.load(file, FOLDER, None)
