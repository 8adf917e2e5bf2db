"""Makes the private root once: download, unpack, adjust, try out, and only then call it ready.

Killed anywhere, the next start goes on: downloads are kept, the tree is unpacked under another
name and renamed when complete, and the marker file is written last. Two starts at once are safe:
the second waits for the first. No maintainer script of any package is run.
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import time
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import _sandbox
import _spec
from _apt import Apt
from _console import LauncherError, capture, megabytes, say, tail

MARKER = "etc/private-root-ready"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
PYTHON = "usr/bin/python3.13"
STANDARD_LIBRARY = "usr/lib/python3.13"
PIP = "usr/share/private-pip"  # Known to tools/overlay/rules_python/python/private/wheels.py.
UNPACK_JOBS_MAX = 4  # More of them only wait for the disk.

RETRY_ADVICE = "Run the same command again: what is already downloaded is kept."


def ensure_root() -> Path:
    """Return the path of the ready private root, making it first if need be.

    Raises:
        LauncherError: it can't be made on this machine, or a step failed.
    """
    root = _cache_folder() / f"private-root-{_spec.spec_hash()}"
    if not (root / MARKER).is_file():
        _check_machine()
        root.parent.mkdir(parents=True, exist_ok=True)
        with _lock(root.with_suffix(".lock")):
            if not (root / MARKER).is_file():  # Another start may just have finished it.
                _make(root)
    return root


def _cache_folder() -> Path:
    configured = os.environ.get("XDG_CACHE_HOME", "")
    home = os.environ.get("HOME", "")
    # The XDG specification wants a relative path to be ignored.
    if os.path.isabs(configured):
        return Path(configured) / "world-orchestrator"
    if os.path.isabs(home):
        return Path(home) / ".cache" / "world-orchestrator"
    raise LauncherError(
        f"no place for the private root: HOME is {home!r} and XDG_CACHE_HOME is {configured!r}; "
        "expected an absolute path in one of them.\nSet HOME to a folder you may write to."
    )


def _check_machine() -> None:
    system, machine = platform.system(), platform.machine()
    if (system, machine) != ("Linux", "x86_64"):
        raise LauncherError(
            f"the private root is for Linux on x86_64; this is {system} on {machine}.\n"
            "Install Bazelisk instead, or use a Debian VM or container."
        )


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another start is preparing the private root; waiting for it ...")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _make(root: Path) -> None:
    started = time.monotonic()
    work = root.with_suffix(".work")
    say(
        f"no Bazel {_spec.VERSIONS['bazel-bootstrap']} on this machine: preparing a private one, "
        "once.\n"
        f"It is Debian's, with Python {_spec.VERSIONS['python3.13']}, unpacked from the machine's "
        "Debian mirror; nothing is installed on the machine.\n"
        f"place:     {root}\n"
        f"size:      {megabytes(_spec.DOWNLOAD_BYTES)} to download at most, "
        "then about half a minute\n"
        f"to remove: rm -rf {root.parent}"
    )
    older = sorted(path for path in root.parent.glob("private-root-*") if (path / MARKER).is_file())
    for path in older:
        say(f"not used by this version of the workspace any more: {path}")
    _check_space(root.parent)
    work.mkdir(exist_ok=True, mode=0o700)  # Proxy settings copied below may hold a password.
    apt = Apt(work)
    files = apt.download(apt.resolve())
    _remove(work / "root")
    _remove(root)  # Renamed but never tried out: killed just before its marker.
    _unpack(files, work / "root")
    _adjust(work / "root", final=root)
    (work / "root").rename(root)
    _try_out(root)
    size = _size_bytes(root)
    (root / MARKER).write_text(f"{_spec.spec_hash()}\n", encoding="utf-8")
    _remove(work)
    say(f"the private root is ready after {time.monotonic() - started:.0f} s, {megabytes(size)}.")


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _spec.DISK_BYTES_NEEDED:
        raise LauncherError(
            f"{folder} has {megabytes(free)} left; preparing the private root needs "
            f"{megabytes(_spec.DISK_BYTES_NEEDED)}.\n"
            "Make room, or set XDG_CACHE_HOME to a folder on a larger disk."
        )


def _unpack(files: Sequence[Path], target: Path) -> None:
    target.mkdir()
    say("unpacking ...")
    # base-files brings /bin, /lib and /sbin as links into /usr; the others unpack through them.
    base = [path for path in files if path.name.startswith("base-files_")]
    rest = [path for path in files if path not in base]
    for path in base:
        _unpack_one(path, target)
    with ThreadPoolExecutor(min(os.cpu_count() or 1, UNPACK_JOBS_MAX)) as pool:
        for done, _ in enumerate(pool.map(lambda path: _unpack_one(path, target), rest), start=1):
            if done % 100 == 0:
                say(f"  {done} of {len(rest)} packages")


def _unpack_one(package: Path, target: Path) -> None:
    unpack = [
        "tar",
        "--extract",
        f"--directory={target}",
        "--keep-directory-symlink",
        # Everything belongs to the caller, and nothing is set-user-id, whoever unpacks.
        "--no-same-owner",
        "--no-same-permissions",
        *(f"--exclude={path}" for path in _spec.PATHS_EXCLUDED),
    ]
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", str(package)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as reader:
        done = subprocess.run(
            unpack, stdin=reader.stdout, stderr=subprocess.PIPE, text=True, check=False
        )
    if done.returncode != 0 or reader.returncode != 0:
        raise LauncherError(
            f"unpacking {package.name}: dpkg-deb ended with {reader.returncode}, tar with "
            f"{done.returncode}, and it said:\n{tail(done.stderr)}\n"
            f"If the disk is full, make room. {RETRY_ADVICE}"
        )


def _adjust(tree: Path, *, final: Path) -> None:
    """Make the unpacked ``tree`` usable from its ``final`` place."""
    # Debian's system-wide settings override modules of this workspace; the launcher passes its own.
    (tree / "etc/bazel/bazelrc").unlink()
    # Modules packaged by Debian must not be importable by a target that didn't declare them.
    _remove(tree / "usr/lib/python3/dist-packages")
    # Debian has pip as a wheel; unpacked and compiled it starts four times as fast, once per wheel.
    wheel = next((tree / "usr/share/python-wheels").glob("pip-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tree / PIP)
    for command, program in _spec.COMMANDS.items():
        link = tree / "usr/bin" / command
        if not link.is_symlink():
            link.symlink_to(program)
    # Built programs run outside the root as well, where its Python must find its own C library.
    capture(
        [
            *_sandbox.through_loader(tree, "usr/bin/patchelf"),
            "--no-sort",  # Sorting program headers gave a Python that crashed at its first step.
            "--set-interpreter",
            str(final / _sandbox.LOADER),
            "--force-rpath",
            "--set-rpath",
            str(final / LIBRARIES),
            str(tree / PYTHON),
        ],
        doing="Adjusting the private Python",
        advice=RETRY_ADVICE,
    )


def _try_out(root: Path) -> None:
    """Start the private Python outside and inside the root, and compile its library.

    Raises:
        LauncherError: the kernel refuses what the root needs, or the root is broken.
    """
    python = [str(root / PYTHON), "-I", "-c", "import ctypes, hashlib, lzma, sqlite3, ssl, zlib"]
    capture(python, doing="Starting the private Python", advice=RETRY_ADVICE)
    # Programs in a sandbox can't keep what they compile, and would do it again at every start.
    capture(
        [
            str(root / PYTHON),
            "-I",
            "-m",
            "compileall",
            "-q",
            "-j0",
            str(root / STANDARD_LIBRARY),
            str(root / PIP),
        ],
        doing="Compiling the private Python's standard library",
        advice=RETRY_ADVICE,
    )
    capture(
        _sandbox.enter_command(root, python),
        doing="Entering the private root",
        advice=_sandbox.NAMESPACE_ADVICE,
    )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)


def _size_bytes(path: Path) -> int:
    return sum(
        (Path(folder) / name).lstat().st_blocks * 512
        for folder, _, names in os.walk(path)
        for name in names
    )
