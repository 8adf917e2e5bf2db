"""The flags that say where images lie, and what they stand for: shared by push and pin."""

from __future__ import annotations

import os

from orchestrator.cli.flags import Flag, Given
from orchestrator.images import crane, store
from orchestrator.images.built import Image
from orchestrator.images.crane import Crane
from orchestrator.images.folder import Folder
from orchestrator.images.store import Registry, Store
from processors.protocol.errors import inputs_error
from processors.protocol.refs import REF_GRAMMAR, Ref, parse_ref

TIMEOUT_S_MAX = 86_400

REF = Flag("--ref", "NS/NAME@N", "the processor", required=True)
REGISTRY = Flag("--registry", "HOST[:PORT][/PATH]", "the registry that has its repository")
LAYOUT = Flag("--layout", "DIR", "an OCI image layout in its place: a folder, no registry")
TIMEOUT = Flag(
    "--timeout-s",
    "N",
    f"limit of all that is said to the registry, in seconds; {crane.LIMIT_S} by default",
)
ONE_OF = (REGISTRY.name, LAYOUT.name)


def ref_of(text: str) -> Ref:
    """The processor that a flag names.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``bad_value``.
    """
    ref = parse_ref(text)
    if ref is None:
        raise inputs_error("bad_value", f"--ref {text[:80]!a} is not of the form {REF_GRAMMAR}")
    return ref


def store_of(given: Given, image: Image, root: str) -> Store:
    """The repository that the flags name for an image.

    Raises:
        ContractError: ``ERR_INPUTS``: ``bad_value`` or ``conflicting_flags``.
    """
    limit_s = timeout_of(given.get(TIMEOUT.name))
    folder = given.get(LAYOUT.name)
    if folder is not None and given.get(TIMEOUT.name) is not None:
        raise inputs_error(
            "conflicting_flags", f"{TIMEOUT.name} is about a registry, {LAYOUT.name} names none"
        )
    if folder is not None:
        return Folder(folder, image.repository)
    name = store.repository_at(given.require(REGISTRY.name), image.repository)
    return Registry(Crane(root, os.environ, limit_s), name)


def timeout_of(text: str | None) -> int:
    """The limit that a flag gives.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``bad_value``.
    """
    if text is None:
        return crane.LIMIT_S
    if text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= TIMEOUT_S_MAX:
        return int(text)
    raise inputs_error(
        "bad_value", f"--timeout-s {text[:80]!a} is no number from 1 to {TIMEOUT_S_MAX}"
    )
