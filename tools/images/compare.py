"""Say where two images differ: the first layer, and the first file in it.

    python3 -B -m tools.images.compare LAYOUT LAYOUT

Each is an OCI image layout. The exit status is 0 when they are one image, 1 when they are not. It
reads what lies there and trusts no digest. Standard library only, Python 3.9 and newer.
"""

from __future__ import annotations

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple


class Image(NamedTuple):
    """One platform's image: its manifest, its configuration and its layers, lowest first."""

    manifest: dict[str, Any]
    config: dict[str, Any]
    layers: list[bytes]


def main(argv: list[str]) -> int:
    """Compare the two layouts that the command line names."""
    if len(argv) != 2:
        print("usage: compare LAYOUT LAYOUT", file=sys.stderr)
        return 2
    found = difference(Path(argv[0]), Path(argv[1]))
    print(found or f"the same: {digest_of(Path(argv[0]))}")
    return 1 if found else 0


def digest_of(layout: Path) -> str:
    """The digest of what a layout's index.json names."""
    [descriptor] = _json(layout / "index.json")["manifests"]
    return str(descriptor["digest"])


def difference(one: Path, other: Path) -> str | None:
    """What differs first between two layouts, or None."""
    images, others = list(images_of(one)), list(images_of(other))
    if len(images) != len(others):
        return f"{len(images)} platforms, {len(others)} in the other"
    for image, counterpart in zip(images, others):
        if found := _between_images(image, counterpart):
            return found
    for name in sorted({*_files(one), *_files(other)}):
        if _bytes(one / name) != _bytes(other / name):
            return f"{name} differs, though every layer and configuration is the same"
    return None


def images_of(layout: Path) -> Iterator[Image]:
    """The images that a layout holds, in the order of its index."""
    for descriptor in _json(layout / "index.json")["manifests"]:
        yield from _images(layout, descriptor)


def _images(layout: Path, descriptor: dict[str, Any]) -> Iterator[Image]:
    document = json.loads(_blob(layout, descriptor["digest"]))
    if "manifests" in document:
        for each in document["manifests"]:
            yield from _images(layout, each)
        return
    layers = [_blob(layout, layer["digest"]) for layer in document["layers"]]
    yield Image(document, json.loads(_blob(layout, document["config"]["digest"])), layers)


def _between_images(one: Image, other: Image) -> str | None:
    for number, (layer, counterpart) in enumerate(zip(one.layers, other.layers)):
        if layer != counterpart:
            by = _made_by(one.config, number)
            return f"layer {number}{by}: {_between_layers(layer, counterpart)}"
    if len(one.layers) != len(other.layers):
        return f"{len(one.layers)} layers, {len(other.layers)} in the other"
    return _between_values(one.config, other.config, "configuration") or _between_values(
        one.manifest, other.manifest, "manifest"
    )


def _made_by(config: dict[str, Any], number: int) -> str:
    """What a layer was made by, in brackets, where the configuration tells.

    See the OCI image configuration, ``history``: some of its entries made no layer.
    """
    steps = [step for step in config.get("history", []) if not step.get("empty_layer")]
    by = steps[number].get("created_by") if number < len(steps) else None
    return f" ({by})" if by else ""


def _between_layers(one: bytes, other: bytes) -> str:
    members, others = _members(one), _members(other)
    for name in sorted({*members, *others}):
        if name not in members or name not in others:
            return f"{name} is in one of them only"
        seen, counterpart = members[name], others[name]
        for key in seen:
            if seen[key] != counterpart[key]:
                return f"{name} has the {key} {seen[key]!r} and {counterpart[key]!r}"
    if list(members) != list(others):
        return "the same files in another order"
    return "the same files; the tar or its compression differs"


def _members(layer: bytes) -> dict[str, dict[str, object]]:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return {info.name: _attributes(archive, info) for info in archive}


def _attributes(archive: tarfile.TarFile, info: tarfile.TarInfo) -> dict[str, object]:
    data = archive.extractfile(info) if info.isreg() else None
    return {
        "type": info.type,
        "mode": oct(info.mode),
        "owner": (info.uid, info.gid, info.uname, info.gname),
        "time": info.mtime,
        "link": info.linkname,
        "size": info.size,
        "digest": hashlib.sha256(data.read()).hexdigest() if data else None,
    }


def _between_values(one: object, other: object, where: str) -> str | None:
    """The first place where two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict) and list(one) == list(other):
        pairs = [(f"{where}.{key}", one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{where}[{index}]", *pair) for index, pair in enumerate(zip(one, other))]
    else:
        return None if one == other else f"{where}: {one!r:.200} and {other!r:.200}"
    return next(filter(None, (_between_values(a, b, at) for at, a, b in pairs)), None)


def _files(layout: Path) -> list[str]:
    return [str(path.relative_to(layout)) for path in layout.rglob("*") if path.is_file()]


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _json(path: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    return json.loads(path.read_bytes())


def _blob(layout: Path, digest: str) -> bytes:
    algorithm, _, name = digest.partition(":")
    return (layout / "blobs" / algorithm / name).read_bytes()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
