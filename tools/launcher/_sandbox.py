"""Enters the private root with bubblewrap and stays its parent until the command ends.

Inside, / is the private root; the host's home, working trees and temporary folders keep their
paths. Not chroot and not a fresh /proc: under either, the kernel refuses the namespaces of Bazel's
own sandbox, and Bazel would quietly run tests with the network open.

bubblewrap itself would answer a TERM by dying at once, with the command running on as an orphan.
So it ignores INT, TERM and HUP, and the launcher passes these on to the command.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from _console import LauncherError

LOADER = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"

NAMESPACE_ADVICE = (
    "The private root is entered with bubblewrap, which needs user namespaces. If the lines above "
    "speak of namespaces or permissions: sysctl kernel.unprivileged_userns_clone, "
    "kernel.apparmor_restrict_unprivileged_userns and user.max_user_namespaces must allow them, "
    "and a container must be started with a seccomp profile that does.\n"
    "Or install Bazelisk instead."
)

# These folders of / come from the private root; all others come from the host.
_OWN = frozenset(
    {
        "bin",
        "boot",
        "dev",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "libx32",
        "proc",
        "sbin",
        "sys",
        "usr",
        "var",
    }
)
# What programs inside need to know of the host: users, names, trust, and where packages come from.
_HOST_FILES = (
    "/etc/apt",
    "/etc/group",
    "/etc/hosts",
    "/etc/passwd",
    "/etc/pip.conf",
    "/etc/resolv.conf",
    "/etc/ssl/certs",
    "/usr/lib/os-release",  # By whose name for its release its mirror is found.
    "/usr/local/share/ca-certificates",
)
_TRUST_VARIABLES = (
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
)
# Settings for the host's programs that would break the root's.
_ENV_DROPPED = (
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "PYTHONHOME",
    "PYTHONPATH",
    "_JAVA_OPTIONS",
)
_FORWARDED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


def through_loader(root: Path, program: str) -> list[str]:
    """Return the start of a command that runs ``program`` of the root on the host."""
    libraries = str((root / LOADER).parent)
    return [str(root / LOADER), "--library-path", libraries, str(root / program)]


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return ``environment`` as it may enter the root."""
    kept = {name: value for name, value in environment.items() if name not in _ENV_DROPPED}
    return {**kept, "PATH": "/usr/bin:/bin"}


def enter_command(root: Path, command: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """Return the command that runs ``command`` inside ``root``, in the caller's directory."""
    cwd = os.getcwd()
    argv = [*through_loader(root, "usr/bin/bwrap"), *options, "--die-with-parent"]
    argv += ["--bind", str(root), "/"]
    argv += ["--dev-bind", "/dev", "/dev", "--bind", "/proc", "/proc", "--ro-bind", "/sys", "/sys"]
    for path in _host_folders():
        argv += ["--bind", os.path.realpath(path), path]
    for path in _HOST_FILES:
        if os.path.exists(path):
            argv += ["--ro-bind", os.path.realpath(path), path]
    for path in _outlying(root, cwd):
        argv += ["--bind", path, path]
    return [*argv, "--remount-ro", "/", "--chdir", cwd, "--", *command]


def run(root: Path, command: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run ``command`` inside ``root`` and return its exit code (128 + N for signal N).

    Raises:
        LauncherError: the root could not be entered.
    """
    awaited = {signal.SIGCHLD, *_FORWARDED}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    # What the caller wants ignored (as nohup does) starts ignored in the command, too.
    names = [number.name[3:] for number in _FORWARDED if signal.getsignal(number) != signal.SIG_IGN]
    if names:
        command = ["/usr/bin/env", f"--default-signal={','.join(names)}", *command]
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    argv = enter_command(root, command, ["--info-fd", str(writer)])
    for number in _FORWARDED:
        signal.signal(number, signal.SIG_IGN)  # For bubblewrap; we still see what we have blocked.
    wrapper = os.posix_spawn(
        argv[0],
        argv,
        environment,
        setsigmask=(),
        setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores them; the command shouldn't.
    )
    os.close(writer)
    with os.fdopen(reader) as info:
        text = info.read()
    if not text:
        os.waitpid(wrapper, 0)
        raise LauncherError(f"bubblewrap could not enter {root}.\n{NAMESPACE_ADVICE}")
    return _supervise(wrapper, json.loads(text)["child-pid"], awaited)


def _supervise(wrapper: int, child: int, awaited: set[signal.Signals]) -> int:
    """Pass signals on to ``child`` until ``wrapper`` ends; return its exit code."""
    while True:
        seen = signal.sigwaitinfo(awaited)
        if seen.si_signo != signal.SIGCHLD:
            # A positive code: the kernel sent it, for a key or a hangup of the terminal, and then
            # the whole foreground group has it already. Twice would make Bazel kill its server.
            if seen.si_code <= 0:
                _send(child, seen.si_signo)
            continue
        pid, status = os.waitpid(wrapper, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # It has just ended; SIGCHLD is on its way.
        os.kill(pid, number)


def _host_folders() -> Iterator[str]:
    for entry in sorted(os.scandir("/"), key=lambda item: item.name):
        if entry.name not in _OWN and entry.is_dir():
            yield entry.path


def _outlying(root: Path, cwd: str) -> list[str]:
    """Return the folders we need that lie where the private root hides the host's."""
    named = [os.environ.get(name, "") for name in ("HOME", "TMPDIR", *_TRUST_VARIABLES)]
    wanted = {
        "/var/tmp",  # noqa: S108 - a place programs may expect, not a file of ours
        str(root.parent),
        os.path.dirname(os.path.dirname(os.path.dirname(__file__))),
        cwd,
    }
    wanted.update(path for path in named if os.path.isabs(path))
    hidden = {path for path in wanted if path.split("/")[1] in _OWN and os.path.exists(path)}
    return sorted(hidden - {"/etc/ssl/certs"})
