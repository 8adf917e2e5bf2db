"""Real files and folders into a world, and artifacts out of its sight.

Whatever is brought in comes by one transaction: all of it or nothing. It may take the place of what
was brought in before, and never that of what an execution made or is about to make, so that what
lies under a write prefix is always one execution's.
"""

from __future__ import annotations

import mimetypes
import os

from orchestrator.world.world import World, open_regular
from processors.protocol import paths
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    type Data = dict[str, Json]

OTHER_MIME = "application/octet-stream"

# The standard library's own table. What the machine's files add to it is left out, so that the same
# name has the same type everywhere.
_MIMES = mimetypes.MimeTypes(filenames=()).types_map[1]


def mime_of(name: str) -> str:
    """The type that the ending of a name stands for."""
    return _MIMES.get(os.path.splitext(name)[1].lower(), OTHER_MIME)


def sources(source: str, target: str, world: str) -> dict[str, str]:
    """World path → file, for a file, or for every file of a folder; sorted by path.

    Args:
        source: A file or a folder.
        target: The world path that a file gets, or below which a folder's files come.
        world: The folder of the world that they come into, which they may not be a part of.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unreadable_file``, a ``path_*`` reason, or
            ``unwritable_target`` if two files would have one path.
    """
    if not os.path.isdir(source):
        return {_target(target): source}
    folder = _target(target.removesuffix("/"))
    own, given = os.path.realpath(world), os.path.realpath(source)
    if os.path.commonpath((own, given)) in (own, given):  # it would double with each call
        raise _unreadable(source, f"it holds the world itself, {own!a}, or is a part of it")
    found: dict[str, str] = {}
    for file in _files(source):
        add(found, f"{folder}/", os.path.relpath(file, source), file)
    if not found:
        raise inputs_error("unreadable_file", f"{source!a} holds no file")
    return dict(sorted(found.items()))


def add(found: dict[str, str], prefix: str, name: str, file: str) -> None:
    """Add a file below a prefix of the world to those that are to be brought in.

    Raises:
        ContractError: ``ERR_INPUTS``: a ``path_*`` reason, or ``unwritable_target`` if another file
            has its path.
    """
    if "%" in name:  # it would be taken for an escape
        raise inputs_error("path_bad_percent", f"{file!a}: a world path has no percent sign")
    path = _target(prefix + name)
    if path in found:
        raise inputs_error(
            "unwritable_target", f"{file!a} and {found[path]!a} have one world path, {path!a}"
        )
    found[path] = file


def put(world: World, files: dict[str, str], progress: Callable[[int], None]) -> list[Data]:
    """Store files and say so in one transaction; return what lies at each path now.

    A path that holds the same content already gets no event.

    Args:
        world: The world.
        files: As ``sources`` gives them.
        progress: Is told how many files were stored.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unreadable_file``, ``prefix_occupied``,
            ``unwritable_target``, ``world_unwritable`` or ``world_busy``.
    """
    check_places(world, files)  # before anything is copied
    facts: list[Data] = []
    with world.objects.placing() as placing:
        for count, (path, file) in enumerate(files.items(), start=1):
            fd = open_regular(file)
            try:
                cid, size_bytes = placing.copy(fd, file)
            finally:
                os.close(fd)
            facts.append(fact(path, cid, size_bytes, None))
            progress(count)
        placing.place()
        with world.ledger.writing() as transaction:
            check_places(world, files)
            for data in facts:
                if not is_there(world, data):
                    transaction.append("artifact.put", data)
    return [{name: item for name, item in data.items() if name != "source"} for data in facts]


def remove(world: World, text: str) -> str:
    """Take an artifact out of sight; its bytes stay until they are collected.

    Returns:
        Its canonical path.

    Raises:
        ContractError: ``ERR_INPUTS``: ``unknown_artifact``; ``path_bad_prefix`` or
            ``prefix_occupied`` for what says that an execution took place, or what a goal is.
    """
    path = paths.canonical_path(text)
    if paths.is_under(path, paths.EXECUTIONS):
        raise inputs_error("path_bad_prefix", f"{path!a} is evidence of an execution and stays")
    if not paths.is_under(path, "/artifacts/"):
        raise inputs_error("path_bad_prefix", f"{path!a} is a goal's or a plan's, and stays")
    with world.ledger.writing() as transaction:
        found = world.ledger.artifact(path)
        if found is None:
            raise inputs_error("unknown_artifact", f"the world has no artifact {path!a}")
        if world.ledger.event(found.seq).type == "execution.receipts":
            raise inputs_error(
                "prefix_occupied", f"{path!a} is the receipt of an execution, whose prefix this is"
            )
        transaction.append("artifact.removed", {"path": path})
    return path


def _files(folder: str) -> Iterator[str]:
    """Every file in a folder and in its folders; a link or a device among them is an error."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, str(error.strerror)) from None
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        elif entry.is_file(follow_symlinks=False):
            yield entry.path
        else:
            what = "a link" if entry.is_symlink() else "neither a file nor a folder"
            raise _unreadable(entry.path, f"{what}; files and folders alone are brought in")


def _unreadable(path: str, why: str) -> ContractError:
    return inputs_error("unreadable_file", f"{path!a}: {why}")


def _target(text: str) -> str:
    """A canonical path where files from outside may come."""
    path = paths.canonical_path(text)
    if not path.startswith("/artifacts/"):
        raise inputs_error("path_bad_prefix", f"{path!a} is not under /artifacts/")
    for reserved in (paths.ATTACHED, paths.EXECUTIONS):
        if paths.is_under(path + "/", reserved):
            raise inputs_error("path_bad_prefix", f"{path!a} lies under {reserved} (reserved)")
    return path


def check_places(world: World, files: Iterable[str]) -> None:
    """Refuse world paths where files from outside may not come.

    Raises:
        ContractError: ``ERR_INPUTS``: ``prefix_occupied`` or ``unwritable_target``.
    """
    running = [execution.write_prefix for execution in world.ledger.running()]
    checked: set[str] = set()
    for path in files:
        for prefix in running:
            if paths.is_under(path, prefix) or paths.is_under(prefix, path + "/"):
                raise inputs_error(
                    "prefix_occupied", f"{path!a} lies where a running execution writes"
                )
        if next(world.ledger.artifacts(path + "/"), None) is not None:
            raise inputs_error("unwritable_target", f"{path!a} is a folder of the world")
        _check_outer(world, path, checked)


def _check_outer(world: World, path: str, checked: set[str]) -> None:
    """Refuse a path below an artifact, or below the prefix of an execution."""
    outer = path
    while (outer := outer.rpartition("/")[0]) != "/artifacts" and outer not in checked:
        prefix = outer + "/"
        if world.is_settled(prefix):
            raise inputs_error("prefix_occupied", f"{prefix!a} holds an execution's outputs")
        if world.ledger.artifact(outer) is not None:
            raise inputs_error("unwritable_target", f"{outer!a} is a file of the world")
        checked.add(outer)


def fact(path: str, cid: str, size_bytes: int, source: Data | None) -> Data:
    """``artifact.put``; the source is the one of a goal that brought it in, or None."""
    file: Data = {"path": path, "cid": cid, "size_bytes": size_bytes, "mime": mime_of(path)}
    return {**file, "source": source}


def is_there(world: World, data: Data) -> bool:
    """Whether what ``artifact.put`` would say is so already."""
    found = world.ledger.artifact(str(data["path"]))
    return found is not None and (found.cid, found.mime) == (data["cid"], data["mime"])
