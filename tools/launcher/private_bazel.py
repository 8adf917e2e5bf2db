"""Runs Debian's Bazel from a private root. Called by tools/bazel when the machine has no Bazel.

For machines that reach package registries and nothing else: no Bazelisk download, no Central
Registry. The first start prepares the root (about half a minute plus downloads) in
``${XDG_CACHE_HOME:-~/.cache}/world-orchestrator``; it needs Debian (or a system with apt, dpkg and
a Debian mirror) on x86_64, and neither root rights nor any package installed. Removing that folder
removes everything.

Rules:
  - stdout is never written to; progress and errors are on stderr.
  - The same MODULE.bazel and BUILD files as on a connected machine; only the modules are replaced
    (tools/overlay).
  - The exit code is the command's; 36 (Bazel's own code for a problem of the local environment)
    when the root could not be prepared or entered.

Modules: _spec (what the root consists of), _apt (downloads), _setup (makes it once), _sandbox
(enters it), _console (words and errors). Standard library only, Python 3.9 and newer.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.version_info < (3, 9):  # noqa: UP036 - an older one gets a sentence, not a traceback
    sys.exit(
        f"tools/bazel: error: Python 3.9 or newer is needed, this is {sys.version.split()[0]}."
    )

import _sandbox
import _setup
import _spec
from _console import LauncherError, say

EXIT_LOCAL_ENVIRONMENT = 36
WORKSPACE = Path(__file__).resolve().parent.parent.parent


def bazel_command(root: Path, arguments: list[str]) -> list[str]:
    """Return the command that starts Bazel inside ``root``."""
    return [
        "bazel",
        "--nosystem_rc",
        "--install_base=/usr/share/bazel",
        "--trust_install_base",
        # The full path tells one root's server from another's: Bazel restarts on a changed option.
        f"--server_javabase={root}/usr/lib/jvm/default-java",
        f"--bazelrc={WORKSPACE}/tools/overlay/overlay.bazelrc",
        *arguments,
    ]


def bazel_environment(root: Path) -> dict[str, str]:
    """Return the caller's environment with what Debian's Bazel and the overlay need."""
    return {
        **_sandbox.clean_environment(os.environ),
        # Debian's build has no version baked in; rule sets ask for it.
        "BAZEL_DEV_VERSION_OVERRIDE": _spec.VERSIONS["bazel-bootstrap"],
        # The root has no C++ compiler, and no target needs one.
        "BAZEL_DO_NOT_DETECT_CPP_TOOLCHAIN": "1",
        # Where the overlay's repository rules find Python and pip.
        "MONOREPO_PRIVATE_ROOT": str(root),
    }


def main(arguments: list[str]) -> int:
    """Run Bazel with ``arguments`` and return the exit code."""
    try:
        root = _setup.ensure_root()
        return _sandbox.run(root, bazel_command(root, arguments), bazel_environment(root))
    except LauncherError as error:
        say(f"error: {error}")
    except OSError as error:
        say(f"error: {error}\nCheck that the folder exists, may be written to, and has room.")
    except KeyboardInterrupt:
        say("interrupted; the same command goes on where this one stopped.")
        return 130
    return EXIT_LOCAL_ENVIRONMENT


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
