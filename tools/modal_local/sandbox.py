"""The command that starts a container: bubblewrap over an image's unpacked file system.

No network, no process, no user of the machine is inside. The image's files are read-only; ``/tmp``,
``/root`` and the folders that hold a mount are the container's own. What goes into the environment
goes through a pipe, since an argument vector can be read by everybody on the machine.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

PROBE_S = 20
_OWN = frozenset({"dev", "proc", "sys", "tmp"})


class NoSandboxError(Exception):
    """This machine cannot start a container; nothing takes its place."""


class RootError(Exception):
    """An image in which a container of this function cannot start."""


@dataclass(frozen=True)
class Bind:
    """A file or folder of the machine and where it lies in the container."""

    source: Path
    target: str
    is_writable: bool = False


def probe(bwrap: str = "bwrap") -> str:
    """Where bubblewrap is, if it can do what a container needs.

    Raises:
        NoSandboxError: With the reason.
    """
    found = shutil.which(bwrap)
    if found is None:
        raise NoSandboxError("bubblewrap (bwrap) is not on PATH")
    words = [found, *_FIXED, "--ro-bind", "/", "/", "--", "/bin/sh", "-c", ":"]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NoSandboxError("bubblewrap does not come back") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()
        raise NoSandboxError(f"bubblewrap cannot make user namespaces here: {said}")
    return found


_FIXED = [
    "--unshare-user",
    "--unshare-all",
    "--uid",
    "0",
    "--gid",
    "0",
    "--hostname",
    "modal",
    "--die-with-parent",
    "--new-session",
    "--cap-drop",
    "ALL",
]


def options(root: Path, binds: list[Bind], env: dict[str, str], workdir: str) -> bytes:
    """Bubblewrap's options, for its ``--args``.

    Raises:
        RootError: A mount would lie below a link or a file of the image.
    """
    words = [*_FIXED, "--clearenv"]
    words += _tree(root, "", {bind.target: bind for bind in binds} | {"/root": None})
    words += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/tmp"]  # noqa: S108
    words += ["--chdir", workdir]
    for name, value in env.items():
        words += ["--setenv", name, value]
    if any("\0" in word for word in words):
        raise RootError("a NUL in a name or a value")
    return b"".join(os.fsencode(word) + b"\0" for word in words)


def _tree(root: Path, place: str, targets: dict[str, Bind | None]) -> list[str]:
    """The options for one folder that cannot be bound whole, since something lies in it."""
    words: list[str] = []
    names = set(os.listdir(root)) if root.is_dir() else set()
    inner = {target[len(place) + 1 :].partition("/")[0] for target in targets}
    for name in sorted(names | inner):
        path, here = root / name, f"{place}/{name}"
        below = {t: bind for t, bind in targets.items() if t == here or t.startswith(f"{here}/")}
        if not place and name in _OWN:
            if below:
                raise RootError(f"{here}: no place for a mount")
        elif not below:
            words += ["--symlink", os.readlink(path), here] if path.is_symlink() else []
            words += ["--ro-bind", str(path), here] if not path.is_symlink() else []
        elif path.is_symlink() or path.is_file():
            raise RootError(
                f"{here}: is a link or a file of the image, and a mount wants to be there"
            )
        elif (bind := below.get(here)) is not None:
            kind = "--bind" if bind.is_writable else "--ro-bind"
            words += [kind, str(bind.source), here]
        else:
            words += ["--dir", here]
            rest = {target: bind for target, bind in below.items() if target != here}
            words += _tree(path, here, rest)
    return words
