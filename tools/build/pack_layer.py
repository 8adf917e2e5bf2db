"""Pack one layer of a processor's image, and say what it holds.

A layer's bytes depend on its inputs alone. It has sources and the importable part of wheels, and no
bytecode, so that no compiler's version is part of a digest. The last layer also gets what the whole
image is known by: the content root over all layers, as a file and as a label.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from processors.protocol import content, digests
from tools.build import make_tree
from tools.build.layers import Member, write_layer

FOLDER = content.FOLDER.removeprefix("/")
FILE = 0o644


def main() -> None:
    """Write the files that the command line asks for."""
    given = _arguments()
    files: dict[str, tuple[int, bytes]] = {}
    for place, mode, data in _files(given):
        if place in files:
            raise SystemExit(f"{place} stands twice in one layer")
        files[place] = (mode, data)
    members = [Member(f"{FOLDER}/{place}", mode, data) for place, (mode, data) in files.items()]
    for item in given.link:
        place, _, target = item.partition("=")
        members.append(Member(place, FILE, target))
    known = {place: digests.of_bytes(data) for place, (_, data) in files.items()}
    if given.description:
        root = content.root_of(_joined([*given.below, known]))
        members.append(Member(content.ROOT_FILE.removeprefix("/"), FILE, f"{root}\n".encode()))
        description = json.loads(given.description.read_text(encoding="utf-8"))
        _write_lines(given.labels, _labels(description, root, given.licence))
        _write_lines(given.entrypoint, _entrypoint(description["argv"]))
        _write_lines(given.cmd, _cmd(description["registry_file"]))
        given.content_root.write_text(root + "\n", encoding="utf-8")
    write_layer(given.layer, members)
    given.files.write_text(json.dumps(known, sort_keys=True, indent=0) + "\n", encoding="utf-8")


def _files(given: argparse.Namespace) -> Iterator[tuple[str, int, bytes]]:
    """Each file of the layer: its place in the processor's folder, mode and bytes."""
    for item in given.source:
        place, _, name = item.partition("=")
        data = Path(name).read_bytes()
        yield f"app/{place}", make_tree.mode_of(data), data
    for wheel in given.wheel:
        for place, data in make_tree.wheel_files(wheel):
            yield f"site-packages/{place}", FILE, data
    if given.call:
        yield "start.py", FILE, make_tree.start_text(given.call).encode()


def _joined(layers: Sequence[dict[str, str]]) -> dict[str, str]:
    """All files of all layers; one layer must not replace what another has."""
    found: dict[str, str] = {}
    for layer in layers:
        if twice := found.keys() & layer.keys():
            raise SystemExit(f"two layers hold {', '.join(sorted(twice)[:3])}")
        found |= layer
    return found


def _labels(description: dict[str, object], root: str, licence: str) -> list[str]:
    registry = description["registry"]
    assert isinstance(registry, dict)
    return [
        f"org.opencontainers.image.title={registry['ref']}",
        f"org.opencontainers.image.licenses={licence}",
        f"processor.ref={registry['ref']}",
        f"processor.source-root={description['source_root']}",
        f"processor.content-root={root}",
    ]


def _entrypoint(argv: Sequence[str]) -> list[str]:
    """How a local child is started, with the places of an image."""
    return [word.format(python=content.PYTHON, tree=content.FOLDER) for word in argv]


def _cmd(registry_file: object) -> list[str]:
    return ["--root", "/world", "--registry", f"{content.FOLDER}/{registry_file}"]


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(fromfile_prefix_chars="@", allow_abbrev=False)
    parser.add_argument("--layer", type=Path, required=True, help="the .tar.gz to write")
    parser.add_argument("--files", type=Path, required=True, help="where {place: digest} goes")
    parser.add_argument("--source", action="append", default=[], help="PLACE=FILE in app/")
    parser.add_argument("--wheel", action="append", default=[], type=Path)
    parser.add_argument("--call", action="append", default=[], help="a line that ends start.py")
    parser.add_argument("--link", action="append", default=[], help="PATH=TARGET, from the root")
    last = parser.add_argument_group("the last layer")
    last.add_argument("--description", type=Path, help="processor.json")
    last.add_argument("--below", action="append", default=[], type=_listing)
    last.add_argument("--licence")
    last.add_argument("--labels", type=Path)
    last.add_argument("--entrypoint", type=Path)
    last.add_argument("--cmd", type=Path)
    last.add_argument("--content-root", type=Path)
    return parser.parse_args()


def _listing(name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(Path(name).read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
