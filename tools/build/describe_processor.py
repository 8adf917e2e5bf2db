"""Check a ``registry.yaml`` and write what the orchestrator and the processor read of it.

``processor.json`` (for the orchestrator): the registry, how to start the processor from source, the
digests of its sources and of the package lock. ``registry.json`` (for the processor, and for the
image): the registry without its ``image``, so that pinning never changes what is pinned.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from orchestrator.images import registry
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import ContractError
from processors.protocol.refs import parse_ref

# -P: no implicit folder on the path; -s and -S: no site folder of the user or the interpreter; -B:
# no bytecode is written; -u: no buffering. -I and -E would switch PYTHONHASHSEED off.
PYTHON_ARGV: list[Json] = ["{python}", "-P", "-s", "-S", "-B", "-u", "{tree}/start.py"]


def main() -> None:
    """Write the file that the command line asks for."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--registry", type=Path, required=True)
    parser.add_argument("--folder", required=True, help="the processor's folder in the repository")
    parser.add_argument("--registry-out", type=Path)
    parser.add_argument("--processor-out", type=Path)
    parser.add_argument("--source-root", type=Path)
    parser.add_argument("--lock", type=Path)
    given = parser.parse_args()
    try:
        found = load(given.registry, given.folder)
    except ContractError as error:
        raise SystemExit(str(error)) from None
    document = found.document()
    if given.registry_out:
        own = {key: value for key, value in document.items() if key != "image"}
        given.registry_out.write_bytes(canonical(own) + b"\n")
    if given.processor_out:
        described: dict[str, Json] = {
            "schema": "v1",
            "argv": argv(found, given.folder),
            "registry": document,
            "registry_file": f"app/{given.folder}/registry.json",
            "source_root": given.source_root.read_text().strip(),
            "lock": "sha256:" + hashlib.sha256(given.lock.read_bytes()).hexdigest(),
        }
        given.processor_out.write_bytes(canonical(described) + b"\n")


def argv(found: registry.Registry, folder: str) -> list[Json]:
    """Program and arguments that start a processor, with ``{python}`` and ``{tree}`` to fill in."""
    if found.runtime == "exec":
        return [f"{{tree}}/app/{folder}/{found.entrypoint}"]
    return PYTHON_ARGV


def load(path: Path, folder: str) -> registry.Registry:
    """Check a registry against the folder it lies in (``.../processors/<ns>/<name>/v<N>``)."""
    *_, parent, ns, name, version = folder.split("/")
    ref = parse_ref(f"{ns}/{name}@{version.removeprefix('v')}")
    if parent != "processors" or ref is None:
        raise SystemExit(f"{folder} is no folder of a processor: processors/<ns>/<name>/v<N>")
    return registry.load(path.read_bytes(), ref, f"{folder}/registry.yaml")


if __name__ == "__main__":
    main()
