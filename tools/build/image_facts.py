"""What the build knows of an image, from its OCI layout and from what the processor's rule made.

Nothing is taken from an argument that a file can answer for: the index must be the bytes that its
digest names, and the base must be the lowest layers of every image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.images import referrers
from processors.protocol import digests
from processors.protocol.canonical import Json, parse_object
from processors.protocol.shapes import text


@dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """One index and where it came from; ``base`` and ``lock`` are digests."""

    expected: referrers.Expected
    repository: str
    content_root: str
    platforms: tuple[str, ...]
    base: str
    lock: str


def read_facts(
    *, image: Path, processor: Path, content_root: Path, base: Path, lock: Path
) -> ImageFacts:
    """Read the facts of an image.

    Args:
        image: The index as an OCI layout.
        processor: The ``processor.json`` of the processor's rule.
        content_root: The file whose one line is the digest of the files that run.
        base: The layer or the OCI layout that every image starts with.
        lock: The lock of the third-party packages.
    """
    described = _object(processor)
    registry = described["registry"]
    locked = digests.of_file(str(lock))[0]
    if described["lock"] != locked:
        raise SystemExit(f"{processor} was made with another lock than {lock}")
    index = _one_manifest(image)
    if index["mediaType"] != referrers.INDEX_TYPE:
        raise SystemExit(f"{image} holds no image index but {index['mediaType']}")
    size = len(_blob(image, index))
    root = content_root.read_text().removesuffix("\n")
    if not digests.is_digest(root):
        raise SystemExit(f"{content_root} holds no digest")
    images = _manifests(image, index)
    based = _base_layers(base)
    for platform, layers in images:
        if not any(layers[: len(lowest)] == lowest for lowest in based):
            raise SystemExit(f"{image}: the image for {platform} does not start with {base}")
    return ImageFacts(
        expected=referrers.Expected(
            digest=text(index, "digest"),
            size=size,
            ref=text(registry, "ref"),
            source_root=text(described, "source_root"),
        ),
        repository=_member(registry, "image", "repository"),
        content_root=root,
        platforms=tuple(sorted(platform for platform, _ in images)),
        base=_digest_of(base),
        lock=locked,
    )


def digest_of_files(files: dict[str, Path]) -> str:
    """The digest of some files under their places, as describe_processor.py has source roots."""
    named: dict[str, Json] = {
        place: digests.of_file(str(path))[0] for place, path in sorted(files.items())
    }
    return digests.of_json(named)


def _digest_of(base: Path) -> str:
    if base.is_dir():
        return text(_one_manifest(base), "digest")
    return digests.of_file(str(base))[0]


def _base_layers(base: Path) -> list[list[Json]]:
    """The layers of each image that ``base`` holds; a layer alone is its own."""
    if base.is_dir():
        return [layers for _, layers in _manifests(base, _one_manifest(base))]
    return [[_digest_of(base)]]


def _manifests(layout: Path, found: Json) -> list[tuple[str, list[Json]]]:
    """Platform and layers' digests of each image below a descriptor."""
    document = parse_object(_blob(layout, found), f"a manifest of {layout}")
    below = document.get("manifests")
    if isinstance(below, list):
        return [image for inner in below for image in _manifests(layout, inner)]
    layers, config = document["layers"], document["config"]
    assert isinstance(layers, list)
    made_for = parse_object(_blob(layout, config), f"a configuration of {layout}")
    words = [made_for[key] for key in ("os", "architecture", "variant") if key in made_for]
    return [("/".join(map(str, words)), [text(layer, "digest") for layer in layers])]


def _one_manifest(layout: Path) -> dict[str, Json]:
    manifests = _object(layout / "index.json")["manifests"]
    if not isinstance(manifests, list) or len(manifests) != 1:
        raise SystemExit(f"{layout}/index.json does not name exactly one manifest")
    (found,) = manifests
    assert isinstance(found, dict)
    return found


def _blob(layout: Path, found: Json) -> bytes:
    digest = text(found, "digest")
    data = (layout / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()
    if digests.of_bytes(data) != digest:
        raise SystemExit(f"{layout}: the blob {digest} has other bytes")
    return data


def _object(path: Path) -> dict[str, Json]:
    return parse_object(path.read_bytes(), str(path))


def _member(document: Json, outer: str, inner: str) -> str:
    assert isinstance(document, dict)
    return text(document[outer], inner)
