"""Check a ``registry.yaml`` and write what the later steps and the processor read of it.

``checked.json`` (for what describes the processor): the registry, and how to start the processor
from source. ``registry.json`` (for the processor, and for the image): the registry without its
``image``, so that pinning never changes what is pinned.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from orchestrator.images import registry
from processors.protocol import spawn
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import ContractError
from processors.protocol.refs import parse_ref

ENTRYPOINT = "main.py"


def main() -> None:
    """Write the files that the command line asks for."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--registry", type=Path, required=True)
    parser.add_argument("--folder", required=True, help="the processor's folder in the repository")
    parser.add_argument("--registry-out", type=Path, required=True)
    parser.add_argument("--checked-out", type=Path, required=True)
    given = parser.parse_args()
    try:
        found = load(given.registry, given.folder)
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


def load(path: Path, folder: str) -> registry.Registry:
    """Check a registry against the folder it lies in (``.../processors/<ns>/<name>/v<N>``)."""
    *_, parent, ns, name, version = folder.split("/")
    ref = parse_ref(f"{ns}/{name}@{version.removeprefix('v')}")
    if parent != "processors" or ref is None:
        raise SystemExit(f"{folder} is no folder of a processor: processors/<ns>/<name>/v<N>")
    found = registry.load(path.read_bytes(), ref, f"{folder}/registry.yaml")
    if found.entrypoint != ENTRYPOINT:
        raise SystemExit(
            f"{folder}/registry.yaml: entrypoint is {found.entrypoint}; {ENTRYPOINT} is what starts"
        )
    return found


if __name__ == "__main__":
    main()
