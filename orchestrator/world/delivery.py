"""Artifacts out of a world as real files: verified, whole or not at all, nothing overwritten."""

from __future__ import annotations

import os
import shutil

from orchestrator.world import durable, grammar
from orchestrator.world.objects import Objects
from orchestrator.world.records import Artifact
from orchestrator.world.world import World
from processors.protocol import paths
from processors.protocol.errors import inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def folder_of(text: str) -> str:
    """The canonical form of a folder of the world, with its slash; ``/`` is all of it.

    Raises:
        ContractError: ``ERR_INPUTS`` with a ``path_*`` reason.
    """
    return text if text == "/" else paths.canonical_path(text.removesuffix("/")) + "/"


def find(world: World, text: str) -> Artifact:
    """The artifact at a path.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unknown_artifact``, or a ``path_*`` reason.
    """
    path = paths.canonical_path(text)
    found = world.ledger.artifact(path)
    if found is None:
        raise inputs_error("unknown_artifact", f"the world has no artifact {path!a}")
    return found


def at_or_under(world: World, folder: str) -> Iterator[Artifact]:
    """What lies at a path, given with a slash behind it, and under it."""
    own = world.ledger.artifact(folder[:-1])
    if own is not None:
        yield own
    yield from world.ledger.artifacts(folder)


class Chosen:
    """What is to be copied: one artifact, or what lies under a folder (``folder`` is not None)."""

    __slots__ = ("artifacts", "folder")

    def __init__(self, artifacts: list[Artifact], folder: str | None) -> None:
        self.artifacts = artifacts
        self.folder = folder

    def __len__(self) -> int:
        return len(self.artifacts)


def choose(world: World, text: str) -> Chosen:
    """The artifact at a path, or with a slash at its end everything under a folder of the world.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``unknown_artifact``, or a ``path_*`` reason.
    """
    if not text.endswith("/"):
        return Chosen([find(world, text)], None)
    folder = folder_of(text)
    found = list(world.ledger.artifacts(folder))
    if not found:
        raise inputs_error("unknown_artifact", f"the world has nothing under {folder!a}")
    for each in found:  # no event has another, thus a table does; it could lead anywhere
        if not grammar.is_path(each.path):
            raise world.ledger.file.corrupt(f"the table artifacts: {each.path!a} is no world path")
    return Chosen(found, folder)


def get(
    world: World, chosen: Chosen, target: str, progress: Callable[[int], None]
) -> list[tuple[Artifact, str]]:
    """Copy an artifact to a file, or a folder of the world to a folder.

    Args:
        world: The world.
        chosen: What to copy.
        target: The file or folder, which must not exist.
        progress: Is told how many files were copied.

    Returns:
        Every artifact with its file, sorted by path.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unwritable_target`` or ``world_corrupt``; then nothing of
            it is at the target.
    """
    folder = chosen.folder
    placed = [
        (each, target if folder is None else os.path.join(target, each.path.removeprefix(folder)))
        for each in chosen.artifacts
    ]
    try:
        if os.path.lexists(target):
            raise inputs_error("unwritable_target", f"{target!a} is there already")
        if folder is None:
            _copy(world.objects, *placed[0])
        else:
            _make_folder(world.objects, placed, target, progress)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise inputs_error("unwritable_target", f"{target!a}: {why}") from None
    return placed


def write_new(target: str, chunks: Iterable[bytes]) -> None:
    """Write a file that does not exist yet; it exists afterwards if all of it was written.

    Raises:
        OSError: It cannot be written.
    """
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with open(fd, "wb") as file:
            file.writelines(chunks)
    except BaseException:
        os.unlink(target)
        raise


def save_copy(target: str, data: bytes) -> None:
    """Write some bytes to a file that does not exist yet; afterwards they are on the disk.

    Raises:
        ContractError: ``ERR_INPUTS`` / ``unwritable_target``.
    """
    try:
        write_new(target, (data,))
        durable.sync(target)
        durable.sync(os.path.dirname(os.path.abspath(target)))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise inputs_error("unwritable_target", f"{target!a}: {why}") from None


def _make_folder(
    objects: Objects,
    chosen: list[tuple[Artifact, str]],
    target: str,
    progress: Callable[[int], None],
) -> None:
    os.mkdir(target)
    try:
        for count, (artifact, file) in enumerate(chosen, start=1):
            os.makedirs(os.path.dirname(file), exist_ok=True)
            _copy(objects, artifact, file)
            progress(count)
    except BaseException:
        shutil.rmtree(target)
        raise


def _copy(objects: Objects, artifact: Artifact, file: str) -> None:
    write_new(file, objects.chunks(artifact.cid))
