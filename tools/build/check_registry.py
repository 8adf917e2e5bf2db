"""Check a ``registry.yaml``, and write what the later steps and the processor read of it.

It must say what the rule was given: a program, or none.

``checked.json`` (for what describes the processor): the registry, and how to start the processor
from source. ``registry.json`` (for the processor, and for the image): the registry without its
``image``, so that pinning never changes what is pinned.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from orchestrator import strict_yaml
from orchestrator.images import registry
from processors.protocol import spawn
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import ContractError
from processors.protocol.refs import parse_ref
from tools.build import make_tree


def main() -> None:
    """Write the files that the command line asks for."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--registry", type=Path, required=True)
    parser.add_argument("--folder", required=True, help="the processor's folder in the repository")
    parser.add_argument("--program", type=Path, help="what starts, if main.py does not")
    parser.add_argument("--registry-out", type=Path, required=True)
    parser.add_argument("--checked-out", type=Path, required=True)
    given = parser.parse_args()
    try:
        found = load(given.registry, given.folder, given.program)
    except ContractError as error:
        raise SystemExit(str(error)) from None
    document = found.document()
    own = {key: value for key, value in document.items() if key != "image"}
    given.registry_out.write_bytes(canonical(own) + b"\n")
    checked: dict[str, Json] = {
        "argv": list[Json](spawn.PROCESSOR_ARGV),
        "registry": document,
        "registry_file": f"app/{given.folder}/registry.json",
    }
    given.checked_out.write_bytes(canonical(checked) + b"\n")


def load(path: Path, folder: str, program: Path | None) -> registry.Registry:
    """Check a registry against its folder (``.../processors/<ns>/<name>/v<N>``) and its program."""
    *_, parent, ns, name, version = folder.split("/")
    ref = parse_ref(f"{ns}/{name}@{version.removeprefix('v')}")
    if parent != "processors" or ref is None:
        raise SystemExit(f"{folder} is no folder of a processor: processors/<ns>/<name>/v<N>")
    data, where = path.read_bytes(), f"{folder}/registry.yaml"
    found = registry.load(data, ref, where)
    built = ("python3.13", "main.py") if program is None else ("exec", program.name)
    rule = "no program" if program is None else f"program {program.name}"
    for key, seen, wanted in zip(
        ("runtime", "entrypoint"), (found.runtime, found.entrypoint), built, strict=True
    ):
        if seen != wanted:
            line = strict_yaml.read(data, registry.DOCUMENT_BYTES_MAX).line((key,))
            raise SystemExit(
                f"{where}: line {line}: {key} is {seen}; with {rule} in BUILD.bazel it is {wanted}"
            )
    if program is not None and not program.read_bytes().startswith(make_tree.PROGRAM_MAGIC):
        raise SystemExit(
            f"{folder}: {program.name} is no program: it begins with neither #! nor ELF's mark"
        )
    return found


if __name__ == "__main__":
    main()
