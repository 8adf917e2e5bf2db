"""Which branch a file's working tree is on, so that a pin is never edited on a protected one."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass

from orchestrator.images import tool
from orchestrator.lanes import PROTECTED_BRANCHES
from processors.protocol.errors import ContractError

LIMIT_S = 20
_HEADS = "refs/heads/"


@dataclass(frozen=True)
class Tree:
    """A working tree.

    Attributes:
        name: The branch that is checked out.
        top: Its uppermost folder.
    """

    name: str
    top: str

    def path_of(self, file: str) -> str:
        """A file's path below the uppermost folder, as git names it."""
        return os.path.relpath(file, self.top)


def check(folder: str, environ: Mapping[str, str]) -> Tree:
    """The working tree that a folder lies in, and its branch.

    Args:
        folder: A folder; links in its path must have been followed.
        environ: The caller's environment, for PATH and HOME; git's own variables could name
            another repository than the folder's and are left out.

    Raises:
        ContractError: ``ERR_CI_SAFETY``: ``protected_branch``, or ``unknown_branch``.
    """
    head = _git(folder, environ, "symbolic-ref", "--quiet", "HEAD")
    top = _git(folder, environ, "rev-parse", "--show-toplevel")
    name = head.removeprefix(_HEADS) if head.startswith(_HEADS) and top else None
    if (found := problem(name)) is not None:
        raise found
    return Tree(str(name), top)


def problem(name: str | None) -> ContractError | None:
    """Why no pin may be edited on a branch, or None; None as the name is no branch at all."""
    if name is None:
        return _refusal(
            "unknown_branch", "git names no branch here: a detached head, or no working tree"
        )
    if name in PROTECTED_BRANCHES:
        return _refusal("protected_branch", f"branch {name} takes pins by review alone")
    return None


def _git(folder: str, environ: Mapping[str, str], *words: str) -> str:
    """What git answers; "" if it does not."""
    git = shutil.which("git", path=environ.get("PATH", os.defpath))
    if git is None:
        return ""
    said = bytearray()
    try:
        status = tool.run(
            [git, "-C", folder, *words],
            env={name: environ[name] for name in ("HOME", "PATH") if name in environ},
            limit_s=LIMIT_S,
            on_stdout=said.extend,
            on_stderr_line=lambda _: None,
        )
    except (OSError, TimeoutError):
        return ""
    return os.fsdecode(bytes(said)).removesuffix("\n") if status == 0 else ""


def _refusal(reason: str, message: str) -> ContractError:
    return ContractError("ERR_CI_SAFETY", reason, message)
