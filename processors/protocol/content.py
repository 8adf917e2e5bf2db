"""The content root: one digest for all files of a processor, measured where they lie.

What runs on Modal is an image derived from ours, so the digest seen there is never the pinned one.
The files are: the build writes this root into the image's label, under the pinned digest, and
whoever starts the processor measures it again (see docs/concepts/images.md).
"""

from __future__ import annotations

import os

from processors.protocol import digests
from processors.protocol.errors import ContractError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FOLDER = "/opt/processor"  # of the processor's files in an image
PYTHON = "/usr/bin/python3.13"  # what runs them there, of the base image
ROOT_FILE = FOLDER + ".root"  # the content root, beside what it is the root of


def root_of(files: Mapping[str, str]) -> str:
    """The content root of files given as {path below the folder: digest}.

    It is the digest of that object's canonical JSON, so it depends on names and bytes alone.
    """
    return digests.of_json(dict(files))


def measure(folder: str) -> str:
    """The content root of a folder on disk, by reading every byte of it.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH`` / ``content_mismatch`` when the folder holds what
            no build puts there (a link, a pipe), or cannot be read.
    """
    try:
        files = {path[len(folder) + 1 :]: digests.of_file(path)[0] for path in _files(folder)}
    except OSError as error:
        raise _mismatch(f"{error.filename}: {error.strerror}") from None
    return root_of(files)


def check(folder: str, expected: str) -> None:
    """Refuse a folder whose content root is another one.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH`` / ``content_mismatch``.
    """
    measured = measure(folder)
    if measured != expected:
        raise _mismatch(f"{folder} has the content root {measured}, the image's is {expected}")


def _files(folder: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            elif entry.is_file(follow_symlinks=False):
                yield entry.path
            else:
                raise _mismatch(f"{entry.path} is neither a file nor a folder")


def _mismatch(message: str) -> ContractError:
    return ContractError("ERR_REGISTRY_MISMATCH", "content_mismatch", message)
