"""Writes OCI image layouts byte for byte as rules_oci 2.3.0 does, for the rules beside it.

  layer   what a tar is as a layer; apart, so that a tar is read once and not for each image
  image   one image: a manifest, a config, and links to its layers
  index   an index of images, with everything copied
  digest  the digest that a layout's index.json names, and a copy of index.json

The real rules make these documents with jq, so the order of keys is that of insertion, text is
UTF-8, and a document is indented by two. What would come out otherwise there, or is not known to
come out the same, is refused.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import shutil
import sys
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

Document = dict[str, Any]  # A JSON object; some of them were made by others.

EPOCH = "1970-01-01T00:00:00Z"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"

GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
READ_BYTES = 1 << 20
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
VARIABLE = re.compile(r"\$\{?([a-zA-Z0-9_]+)\}?", re.ASCII)


class LayoutError(Exception):
    """The message says what was seen, what was expected, and what to do."""


@dataclass
class Image:
    """An image that is being made.

    Attributes:
        head: What index.json has besides its one manifest.
        manifest: The manifest; its config is filled in when the image is written.
        config: The config.
        layers: Digest of each layer → its file.
    """

    head: Document
    manifest: Document
    config: Document
    layers: dict[str, Path]


def encoded(document: Document) -> bytes:
    """Return a document as jq prints it, without the newline.

    Raises:
        LayoutError: it has a character that jq, or a version of it, writes in another way.
    """
    text = json.dumps(document, ensure_ascii=False, indent=2)
    odd = re.search(r"[\x7f\ud800-\udfff]", text)
    if odd:
        raise LayoutError(f"a value has the character {odd[0]!a}; remove it")
    return text.encode()


def digest_of(data: bytes) -> str:
    """Return the digest of a document."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def from_scratch(platform: Mapping[str, str]) -> Image:
    """Return the image without layers for a platform."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {"mediaType": CONFIG_TYPE, "size": 0},
        "layers": [],
    }
    config = {
        "created": EPOCH,
        "config": {},
        "history": [],
        "rootfs": {"type": "layers", "diff_ids": []},
        **platform,
    }
    return Image({"schemaVersion": 2, "mediaType": INDEX_TYPE}, manifest, config, {})


def from_layout(layout: Path) -> Image:
    """Read the image of a layout with a single manifest.

    Raises:
        LayoutError: it holds something else, or a blob isn't what it is called.
    """
    head, descriptor = read_index(layout)
    manifest = _read_blob(layout, descriptor)
    if manifest.get("mediaType") != MANIFEST_TYPE:
        raise LayoutError(
            f"{layout}: the manifest's mediaType is {manifest.get('mediaType')!r}; "
            f"expected {MANIFEST_TYPE}"
        )
    config = _read_blob(layout, manifest.get("config"))
    layers = {}
    for layer in manifest.get("layers") or []:
        path = _blob(layout, layer)
        if path.stat().st_size != layer.get("size"):
            raise LayoutError(f"{layout}: layer {layer['digest']} hasn't the size {layer['size']}")
        layers[layer["digest"]] = path
    return Image(head, manifest, config, layers)


def read_index(layout: Path) -> tuple[Document, Document]:
    """Return the head of a layout's index.json, and its one descriptor.

    Raises:
        LayoutError: it has not exactly one, or anything that would get lost.
    """
    path = layout / "index.json"
    head = _parsed(path, _read(path))
    manifests = head.pop("manifests", None)
    if set(head) - {"schemaVersion", "mediaType"}:
        raise LayoutError(f"{path}: has {sorted(head)} besides manifests; expected no annotations")
    if not isinstance(manifests, list) or len(manifests) != 1:
        raise LayoutError(f"{path}: expected exactly one manifest; make a layout with one")
    if manifests[0].get("mediaType") != MANIFEST_TYPE:
        raise LayoutError(
            f"{path}: its one entry is {manifests[0].get('mediaType')!r}; expected a manifest, "
            f"{MANIFEST_TYPE}: an image, not an index"
        )
    return head, manifests[0]


def described_layer(path: Path, label: str) -> Document:
    """Return a layer's descriptor for a tar, plain or gzipped, and its diff_id.

    Raises:
        LayoutError: it is compressed in another way, or broken.
    """
    with path.open("rb") as file:
        magic = file.read(len(ZSTD_MAGIC))
        file.seek(0)
        digest = _stream_digest(file)
    if magic == ZSTD_MAGIC:
        raise LayoutError(
            f"{path} ({label}) is a zstd layer, which the overlay does not support; "
            "make it a plain or gzipped tar"
        )
    if not magic:
        raise LayoutError(f"{path} ({label}) is empty; expected a tar")
    zipped = magic.startswith(GZIP_MAGIC)
    media_type = LAYER_TYPE + ("+gzip" if zipped else "")
    layer = {"size": path.stat().st_size, "digest": digest, "mediaType": media_type}
    return {"layer": layer, "diff_id": _unzipped_digest(path) if zipped else digest}


def add_layer(image: Image, path: Path, label: str, described: Document) -> None:
    """Put a tar on top of an image."""
    history = {"created": EPOCH, "created_by": f"bazel build {label}"}
    rootfs = image.config.setdefault("rootfs", {})
    rootfs["diff_ids"] = [*(rootfs.get("diff_ids") or []), described["diff_id"]]
    image.config["history"] = [*(image.config.get("history") or []), history]
    image.manifest["layers"] = [*(image.manifest.get("layers") or []), described["layer"]]
    image.layers[described["layer"]["digest"]] = path


def settings(given: argparse.Namespace, env: Sequence[str]) -> Document:
    """Return what is laid over an image's config, in the order in which the real rules do it.

    Args:
        given: The arguments; a setting is the name of the file that holds it.
        env: The variables that the base has.
    """
    found: Document = {}
    if given.created:
        found["created"] = _text(given.created)
    config: Document = {}
    if given.entrypoint:
        config["Cmd"] = None  # The base's belongs to the base's entrypoint.
        config["Entrypoint"] = _items(_text(given.entrypoint))
    if given.cmd:
        config["Cmd"] = _items(_text(given.cmd))
    if given.exposed_ports:
        config["ExposedPorts"] = _keys(_text(given.exposed_ports))
    if given.volumes:
        config["Volumes"] = _keys(_text(given.volumes))
    if given.env:
        config["Env"] = merged_env(env, _pairs(given.env))
    if given.labels:
        config["Labels"] = dict(_pairs(given.labels))
    if given.user:
        config["User"] = given.user
    if given.workdir:
        config["WorkingDir"] = given.workdir
    return {**found, "config": config} if config else found


def merged_env(base: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return the variables of a base with new ones laid over them, one after the other.

    A variable in a value stands for what the base and the pairs before it say, or for nothing.
    """
    found = [tuple(entry.partition("=")[::2]) for entry in base]
    for key, raw in pairs:
        values = found

        def value_of(match: re.Match[str], values: Sequence[tuple[str, ...]] = values) -> str:
            return "".join(value for name, value in values if name == match[1])

        entry = (key, VARIABLE.sub(value_of, raw))
        names = [name for name, _ in found]
        if key in names:
            place = names.index(key)
            found = [*found[:place], entry, *found[place + 1 :]]
        else:
            found = [*found, entry]
    return [f"{key}={value}" for key, value in found]


def lay_over(document: Document, update: Mapping[str, Any]) -> None:
    """Merge objects as jq's ``*`` does: a key that is there keeps its place."""
    for key, value in update.items():
        if isinstance(value, dict) and isinstance(document.get(key), dict):
            lay_over(document[key], value)
        else:
            document[key] = value


def write_layer(given: argparse.Namespace) -> None:
    """Write what a tar is as a layer."""
    described = described_layer(Path(given.tar), given.label)
    Path(given.output).write_text(json.dumps(described), encoding="utf-8")


def write_image(given: argparse.Namespace) -> None:
    """Make one image."""
    kinds = ("architecture", "os", "variant")
    platform = {kind: getattr(given, kind) for kind in kinds if getattr(given, kind)}
    image = from_layout(Path(given.base)) if given.base else from_scratch(platform)
    for path, label, described in given.layer:
        add_layer(image, Path(path), label, json.loads(Path(described).read_bytes()))
    if given.annotations:
        old = image.manifest.get("annotations") or {}
        image.manifest["annotations"] = {**old, **dict(_pairs(given.annotations))}
    base_config = image.config.get("config") or {}
    lay_over(image.config, settings(given, base_config.get("Env") or []))
    own = image.config.get("config")
    if isinstance(own, dict) and own.get("Cmd", "") is None:
        del own["Cmd"]
    _write_image(Path(given.output), image)


def _write_image(output: Path, image: Image) -> None:
    blobs = output / "blobs/sha256"
    blobs.mkdir(parents=True)
    for digest, path in image.layers.items():
        link = blobs / digest.partition(":")[2]
        link.symlink_to(os.path.relpath(path, blobs))
    config = encoded(image.config)
    image.manifest["config"]["digest"] = _put(blobs, config)
    image.manifest["config"]["size"] = len(config)
    manifest = encoded(image.manifest) + b"\n"
    descriptor = {
        "mediaType": MANIFEST_TYPE,
        "digest": _put(blobs, manifest),
        "size": len(manifest),
    }
    index = encoded({**image.head, "manifests": [descriptor]}) + b"\n"
    (output / "index.json").write_bytes(index)
    (output / "oci-layout").write_bytes(b'{"imageLayoutVersion":"1.0.0"}')


def write_index(given: argparse.Namespace) -> None:
    """Make an index of images, with copies of all they consist of."""
    output = Path(given.output)
    blobs = output / "blobs/sha256"
    blobs.mkdir(parents=True)
    entries = []
    for name in given.image:
        layout = Path(name)
        _, descriptor = read_index(layout)
        entries.append({**descriptor, "platform": _platform(from_layout(layout).config)})
        for path in sorted((layout / "blobs/sha256").iterdir()):
            shutil.copyfile(path, blobs / path.name)
    listing = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
    data = encoded(listing) + b"\n"
    descriptor = {"mediaType": INDEX_TYPE, "size": len(data), "digest": _put(blobs, data)}
    (output / "index.json").write_bytes(encoded({"manifests": [descriptor]}) + b"\n")
    (output / "oci-layout").write_bytes(b'{"imageLayoutVersion": "1.0.0"}\n')


def _platform(config: Document) -> Document:
    kinds = ("os", "architecture", "variant", "os.version", "os.features")
    return {kind: config[kind] for kind in kinds if config.get(kind) is not None}


def write_digest(given: argparse.Namespace) -> None:
    """Write the digest that a layout's index.json names, and copy index.json."""
    path = Path(given.layout) / "index.json"
    data = _read(path)
    [descriptor] = _parsed(path, data)["manifests"]
    Path(given.index_json).write_bytes(data)
    Path(given.digest).write_text(f"{descriptor['digest']}\n", encoding="utf-8")


def _put(blobs: Path, data: bytes) -> str:
    digest = digest_of(data)
    (blobs / digest.partition(":")[2]).write_bytes(data)
    return digest


def _blob(layout: Path, descriptor: object) -> Path:
    """Return the file of a descriptor."""
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise LayoutError(f"{layout}: {descriptor!r} has no digest sha256:HEX")
    path = layout / "blobs" / digest.replace(":", "/")
    if not path.is_file():
        raise LayoutError(f"{layout}: the blob {digest} is missing")
    return path


def _read_blob(layout: Path, descriptor: object) -> Document:
    path = _blob(layout, descriptor)
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != path.name:
        raise LayoutError(f"{path}: the file's digest is {digest_of(data)}, not its name")
    return _parsed(path, data)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LayoutError(f"{path}: {error.strerror}; expected an OCI image layout") from error


def _parsed(path: Path, data: bytes) -> Document:
    def refuse(number: str) -> None:
        raise LayoutError(f"{path}: has the number {number}, which jq may print in another form")

    try:
        found = json.loads(data.decode(), parse_float=refuse, parse_constant=refuse)
    except ValueError as error:
        raise LayoutError(f"{path}: not JSON in UTF-8: {error}") from error
    if not isinstance(found, dict):
        raise LayoutError(f"{path}: expected a JSON object")
    return found


def _unzipped_digest(path: Path) -> str:
    try:
        with gzip.open(path) as tar:
            return _stream_digest(tar)
    except (EOFError, OSError, zlib.error) as error:
        raise LayoutError(f"{path}: broken gzip: {error}") from error


def _stream_digest(file: BinaryIO | gzip.GzipFile) -> str:
    sha256 = hashlib.sha256()
    while part := file.read(READ_BYTES):
        sha256.update(part)
    return f"sha256:{sha256.hexdigest()}"


def _text(name: str) -> str:
    try:
        return Path(name).read_bytes().decode()
    except UnicodeDecodeError as error:
        raise LayoutError(f"{name}: not UTF-8: {error}") from error


def _items(text: str) -> list[str]:
    return [line.replace("%5Cn", "\n") for line in text.split("\n") if line]


def _keys(text: str) -> Document:
    words = text.split(",")
    if "\n" in text or "" in words:
        raise LayoutError(f"{text!r} is not a list of words between commas, in one line")
    return {word: {} for word in words}


def _pairs(name: str) -> list[tuple[str, str]]:
    lines = _text(name).removesuffix("\n").split("\n")
    for line in lines:
        if line.find("=") < 1:
            raise LayoutError(f"{name}: the line {line!r} is not KEY=VALUE")
    return [(key, value) for key, _, value in (line.partition("=") for line in lines)]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    verbs = parser.add_subparsers(required=True)
    layer = verbs.add_parser("layer", allow_abbrev=False)
    layer.set_defaults(run=write_layer)
    for word in ("tar", "label", "output"):
        layer.add_argument(f"--{word}", required=True)
    image = verbs.add_parser("image", allow_abbrev=False)
    image.set_defaults(run=write_image)
    image.add_argument("--output", required=True)
    parts = ("TAR", "LABEL", "DESCRIBED")
    image.add_argument("--layer", action="append", nargs=len(parts), default=[], metavar=parts)
    for word in ("base", "architecture", "os", "variant", "user", "workdir"):
        image.add_argument(f"--{word}")
    for word in ("created", "entrypoint", "cmd", "exposed_ports", "volumes"):
        image.add_argument(f"--{word}", metavar="FILE")
    for word in ("env", "labels", "annotations"):
        image.add_argument(f"--{word}", metavar="FILE")
    index = verbs.add_parser("index", allow_abbrev=False)
    index.set_defaults(run=write_index)
    index.add_argument("--output", required=True)
    index.add_argument("--image", action="append", required=True)
    digest = verbs.add_parser("digest", allow_abbrev=False)
    digest.set_defaults(run=write_digest)
    for word in ("layout", "index_json", "digest"):
        digest.add_argument(f"--{word}", required=True)
    return parser


def main() -> int:
    """Do what the arguments say."""
    given = _parser().parse_args()
    try:
        given.run(given)
    except LayoutError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
