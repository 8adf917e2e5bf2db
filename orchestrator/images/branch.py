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
WORDS_MAX = 400  # bytes of what git says that are told
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
    head, _ = _git(folder, environ, "symbolic-ref", "--quiet", "HEAD")
    top, said = _git(folder, environ, "rev-parse", "--show-toplevel")
    name = head.removeprefix(_HEADS) if head.startswith(_HEADS) and top else None
    if (found := problem(name, said)) is not None:
        raise found
    return Tree(str(name), top)


def problem(name: str | None, said: str = "") -> ContractError | None:
    """Why no pin may be edited on a branch, or None.

    Args:
        name: The branch; None is no branch at all.
        said: What git said then, if anything.
    """
    if name is None:
        why = "a detached head, or no working tree" + (f"; {said}" if said else "")
        return _refusal("unknown_branch", f"git names no branch here: {why}")
    if name in PROTECTED_BRANCHES:
        return _refusal("protected_branch", f"branch {name} takes pins by review alone")
    return None


def _git(folder: str, environ: Mapping[str, str], *words: str) -> tuple[str, str]:
    """What git answers, "" if it does not; and why it does not, as far as it says."""
    git = shutil.which("git", path=environ.get("PATH", os.defpath))
    if git is None:
        return "", "there is no git on PATH"
    said, lines = bytearray(), list[bytes]()
    try:
        status = tool.run(
            [git, "-C", folder, *words],
            env={name: environ[name] for name in ("HOME", "PATH") if name in environ},
            limit_s=LIMIT_S,
            on_stdout=said.extend,
            on_stderr_line=lines.append,
        )
    except (OSError, TimeoutError) as error:
        return "", f"git cannot be run ({type(error).__name__})"
    if status == 0:
        return os.fsdecode(bytes(said)).removesuffix("\n"), ""
    text = lines[0][:WORDS_MAX].decode("utf-8", "backslashreplace") if lines else ""
    return "", text and f"it says: {text}"


def _refusal(reason: str, message: str) -> ContractError:
    return ContractError("ERR_CI_SAFETY", reason, message)
