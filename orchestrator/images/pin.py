"""Pin an image: see that it is where it was pushed to, then edit one value of ``registry.yaml``.

The only module that writes a ``registry.yaml``. The digest is the build's; a registry is asked
whether it has it, never what it is. Every byte but those of the digest stays; what cannot be edited
in that way is refused, and nothing is ever committed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass

import yaml

from orchestrator import strict_yaml
from orchestrator.images import registry
from orchestrator.images.built import REFERRERS, Image, Referrer
from orchestrator.images.crane import is_absent
from orchestrator.images.registry import Registry
from orchestrator.images.store import Store
from processors.protocol import digests
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, inputs_error, mismatch, unavailable
from processors.protocol.refs import Ref

FILE = "registry.yaml"
_NULL = "tag:yaml.org,2002:null"
PRESENT, ABSENT, NOT_BUILT = "verified", "absent", "not built"


@dataclass(frozen=True)
class Source:
    """A ``registry.yaml`` of a working tree.

    Attributes:
        shown: Its path, as it was named.
        path: Where it really lies, links followed.
        data: Its bytes.
        found: What they say, checked.
    """

    shown: str
    path: str
    data: bytes
    found: Registry

    @property
    def digest(self) -> str | None:
        """The pin."""
        return self.found.image.digest


def path_of(root: str, ref: Ref) -> str:
    """Where a processor's ``registry.yaml`` lies below a folder of processors."""
    return os.path.join(root, ref.folder, FILE)


def read(root: str, ref: Ref) -> Source:
    """Read and check a ``registry.yaml``.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH``: ``invalid_registry`` or ``ref_mismatch``.
    """
    shown = path_of(root, ref)
    path = os.path.realpath(shown)
    data = read_bytes(path, shown)
    return Source(shown, path, data, registry.load(data, ref, ascii(shown)))


def read_bytes(path: str, shown: str) -> bytes:
    """The bytes of a ``registry.yaml``, or as many as show that it is too large."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise mismatch("invalid_registry", f"{shown!a} is no regular file")
        with open(path, "rb") as file:
            return file.read(registry.DOCUMENT_BYTES_MAX + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise mismatch("invalid_registry", f"{shown!a}: {why}") from None


def written(root: str, ref: Ref) -> str | None:
    """The pin as it is written, be it one or not; None for null.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH``: the file has other faults than its pin.
    """
    shown = path_of(root, ref)
    data = read_bytes(os.path.realpath(shown), shown)
    try:
        node = _pin_of(data)
    except ValueError:
        node = None  # the registry's check says what is wrong with it
    if node is not None and node.tag != _NULL and not digests.is_digest(node.value):
        return str(node.value)
    return registry.load(data, ref, ascii(shown)).image.digest


def check_source(source: Source, image: Image) -> None:
    """Refuse a working tree that the image was not built from.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH`` / ``build_stale``.
    """
    own, built = source.found.document(), image.registry
    differs = [key for key in sorted(own.keys() | built.keys()) if own.get(key) != built.get(key)]
    if differs == ["image"] and source.found.image.repository == image.repository:
        return  # another pin than when it was built: it is no part of what was built
    if differs:
        raise mismatch(
            "build_stale",
            f"{source.shown!a} and the registry that was built differ in {', '.join(differs)}",
        )


def verify(image: Image, store: Store) -> dict[str, Json]:
    """Fetch an image back, whole, and measure it.

    Returns:
        The record of what was seen: the platforms, and for each referrer whether it is there.

    Raises:
        ContractError: ``ERR_IMAGE_UNAVAILABLE``: ``not_in_store``, ``platform_missing`` and what a
            registry answers; ``ERR_REGISTRY_MISMATCH``: what is there is not what was built.
    """
    store.fetch(image.index.descriptor)
    for part in image.images:
        try:
            store.fetch(part.descriptor)
        except ContractError as error:
            if is_absent(error):
                platform = part.descriptor.platform
                why = f"{image.ref} for {platform}: {error.message}"
                raise unavailable("platform_missing", why) from None
            raise
    # Platforms share layers.
    for blob in {blob.digest: blob for part in image.images for blob in part.blobs}.values():
        store.check_blob(blob)
    built = {each.name: each for each in image.referrers}
    return {
        "platforms": list[Json](image.platforms),
        "referrers": {
            name: _verify_referrer(built[name], store) if name in built else NOT_BUILT
            for name in REFERRERS
        },
    }


def _verify_referrer(referrer: Referrer, store: Store) -> str:
    """Whether what refers to the image is there; if it is, it must be what was built."""
    try:
        store.fetch(referrer.manifest.descriptor)
        for blob in referrer.manifest.blobs:
            store.check_blob(blob)
    except ContractError as error:
        if is_absent(error):
            return ABSENT
        raise
    return PRESENT


def edited(data: bytes, digest: str, ref: Ref, what: str) -> bytes:
    """A ``registry.yaml`` with another pin, and the same in every other byte.

    Args:
        data: The file's bytes, which ``registry.load`` accepts.
        digest: The new pin.
        ref: The processor.
        what: How messages call the file.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH`` / ``invalid_registry``: the value is written in a
            way that cannot be edited alone.
    """
    before = registry.load(data, ref, what).document()
    text = data.decode("utf-8")
    node = _pin_of(data)
    if node is None:
        raise mismatch("invalid_registry", f"{what}: image.digest is no plain value")
    start, end = node.start_mark.index, node.end_mark.index
    new = f"{text[:start]}{_written(text[start:end], text[:start], node, digest)}{text[end:]}"
    result = new.encode("utf-8")
    try:
        after = registry.load(result, ref, what).document()
    except ContractError:
        after = {}
    image = before["image"]
    assert isinstance(image, dict)
    if after != {**before, "image": {**image, "digest": digest}}:
        raise mismatch(
            "invalid_registry", f"{what}: write the pin as `digest: null`, so that it can be edited"
        )
    return result


def _written(old: str, before: str, node: yaml.ScalarNode, digest: str) -> str:
    """The scalar that takes an old one's place, in the style of the old one."""
    if node.value and node.value in old:
        before_it, _, after_it = old.rpartition(node.value)
        return f"{before_it}{digest}{after_it}"  # quotes, or a block's indicator, stay
    if old:
        return digest
    return f" {digest}" if before[-1:] not in (" ", "\t") else digest


def _pin_of(data: bytes) -> yaml.ScalarNode | None:
    """The scalar ``image.digest``, if there is one.

    Raises:
        ValueError: The file is none that the strict reader takes.
    """
    node = strict_yaml.read(data, registry.DOCUMENT_BYTES_MAX).node(("image", "digest"))
    return node if isinstance(node, yaml.ScalarNode) else None


def write(source: Source, data: bytes) -> None:
    """Put new bytes in a file's place: afterwards the old ones or the new ones are there, whole.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``unwritable_target``.
    """
    scratch = f"{source.path}.{os.urandom(8).hex()}.new"
    try:
        mode = stat.S_IMODE(os.stat(source.path).st_mode)
        fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(fd, "wb") as file:
                file.write(data)
                os.fchmod(fd, mode)
                file.flush()
                os.fsync(fd)
            os.replace(scratch, source.path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):  # a signal came when it was replaced
                os.unlink(scratch)
            raise
    except OSError as error:
        raise inputs_error("unwritable_target", f"{source.shown!a}: {error.strerror}") from None
