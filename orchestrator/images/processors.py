"""The processors that were built in: what each one's build left behind.

``<folder>/<ns>/<name>/v<N>/processor.json`` is written by Bazel from the checked ``registry.yaml``;
beside it lies the tree with the processor's own files and packages. Reading them needs the
standard library alone, since the checking was done at build time.
"""

from __future__ import annotations

import os

from processors.protocol import digests, shapes
from processors.protocol.canonical import Json, parse_object
from processors.protocol.errors import ContractError, inputs_error
from processors.protocol.refs import Ref, parse_ref

DESCRIPTION_BYTES_MAX = 524_288


class Processor:
    """One processor: its registry, and how to start it from source.

    Attributes:
        ref: The processor's ref.
        registry_file: The copy that the processor reads, without ``image``.
        argv: Program and arguments; ``{python}`` and ``{tree}`` are still to be filled in.
        tree: The folder with the processor's files and packages.
        source_root: The digest of its own source files.
        lock: The digest of the locked packages.
    """

    __slots__ = (
        *("_registry", "_registry_digest"),
        *("argv", "lock", "ref", "registry_file", "source_root", "tree"),
    )

    def __init__(self, ref: Ref, folder: str, description: dict[str, Json]) -> None:
        argv = description["argv"]
        assert isinstance(argv, list)
        self.ref = ref
        self.read_by(shapes.members(description, "registry"))
        # By its own name: Bazel leaves it behind links, and a start looks up some 300 names in it.
        self.tree = os.path.realpath(os.path.join(folder, "tree"))
        self.argv = [str(word) for word in argv]
        self.registry_file = os.path.join(self.tree, shapes.text(description, "registry_file"))
        self.source_root = shapes.text(description, "source_root")
        self.lock = shapes.text(description, "lock")

    def read_by(self, registry: dict[str, Json]) -> None:
        """Take a checked registry as the one that the processor runs by."""
        own = {key: value for key, value in registry.items() if key != "image"}
        self._registry = registry
        self._registry_digest = digests.of_json(own)

    @property
    def registry(self) -> dict[str, Json]:
        """The checked registry, with its ``image``."""
        return self._registry

    @property
    def registry_digest(self) -> str:
        """Of the registry as the processor reads it: without its ``image``."""
        return self._registry_digest

    def limit(self, name: str) -> int:
        """An integer of the registry's ``limits``."""
        return shapes.count(self.registry["limits"], name)

    @property
    def secrets(self) -> list[str]:
        """The names of the secrets that real mode needs."""
        names = self.registry["secrets"]
        assert isinstance(names, list)
        return [str(name) for name in names]

    @property
    def products(self) -> list[str]:
        """The templates of what an execution makes."""
        templates = self.registry["produces"]
        assert isinstance(templates, list)
        return [str(template) for template in templates]

    @property
    def image_digest(self) -> str | None:
        """The pinned digest, or None before the first pin."""
        digest = shapes.members(self.registry, "image")["digest"]
        return None if digest is None else str(digest)


def load(folder: str, ref: Ref) -> Processor:
    """Read the description of one built-in processor.

    Args:
        folder: Where Bazel left the processors.
        ref: The processor asked for.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``unknown_ref``; ``ERR_REGISTRY_MISMATCH`` when what the
            build left cannot be used or is not the processor asked for.
    """
    own = os.path.join(folder, ref.folder)
    try:
        with open(os.path.join(own, "processor.json"), "rb") as file:
            data = file.read(DESCRIPTION_BYTES_MAX + 1)
    except FileNotFoundError:
        known = ", ".join(known_refs(folder)) or "none"
        raise inputs_error(
            "unknown_ref",
            f"no processor {ref} is built in; known: {known} (see processors/processors.bzl)",
        ) from None
    except OSError as error:
        raise _invalid(ref, str(error.strerror)) from None
    try:
        description = parse_object(data, "processor.json", bytes_max=DESCRIPTION_BYTES_MAX)
    except ContractError as error:
        raise _invalid(ref, error.message) from None
    if (wrong := shapes.problem(description, _DESCRIPTION, "processor.json")) is not None:
        raise _invalid(ref, wrong)
    found = shapes.members(description, "registry").get("ref")
    if found != str(ref):
        raise ContractError(
            "ERR_REGISTRY_MISMATCH", "ref_mismatch", f"{ref} was asked for, {found} is registered"
        )
    return Processor(ref, own, description)


def pin_of(processor: Processor) -> str:
    """The digest that a processor is pinned to.

    Raises:
        ContractError: ``ERR_IMAGE_UNPINNED``.
    """
    if processor.image_digest is None:
        raise ContractError(
            "ERR_IMAGE_UNPINNED",
            "no_pin",
            f"adapter modal runs pinned images, and {processor.ref} has image.digest null",
        )
    if not digests.is_pin(processor.image_digest):
        raise ContractError(
            "ERR_IMAGE_UNPINNED",
            "bad_pin",
            f"{processor.ref} is pinned to {processor.image_digest[:100]!a}, which is no digest",
        )
    return processor.image_digest


def known_refs(folder: str) -> list[str]:
    """The refs of all built-in processors, sorted."""
    found = []
    for ns in _folders(folder):
        for name in _folders(os.path.join(folder, ns)):
            found += [
                f"{ns}/{name}@{version.removeprefix('v')}"
                for version in _folders(os.path.join(folder, ns, name))
                if os.path.exists(os.path.join(folder, ns, name, version, "processor.json"))
            ]
    return sorted(found)


def load_all(folder: str) -> list[Processor]:
    """Every built-in processor, sorted by ref; see ``load``."""
    refs = [parse_ref(text) for text in known_refs(folder)]
    return [load(folder, ref) for ref in refs if ref is not None]


def _folders(path: str) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    except FileNotFoundError:
        return []


def _invalid(ref: Ref, why: str) -> ContractError:
    return ContractError(
        "ERR_REGISTRY_MISMATCH", "invalid_registry", f"{ref} as it was built: {why}; build it again"
    )


_DESCRIPTION: shapes.Shape = {
    "schema": lambda value: value == "v1",
    "argv": lambda value: isinstance(value, list) and value != [],
    "registry": shapes.is_object,
    "registry_file": shapes.is_text,
    "source_root": digests.is_digest,
    "lock": digests.is_digest,
}
