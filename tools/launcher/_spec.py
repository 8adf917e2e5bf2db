"""What the private root consists of. Data only.

Debian's unstable suite is the only one with a Bazel that reads this workspace (stable has 4.2).
A suite moves, so the versions that matter are written down here and checked before anything is
downloaded: another Bazel must be a decision, never a surprise.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Final

SUITE: Final = "sid"
COMPONENT: Final = "main"
ARCHITECTURE: Final = "amd64"

# The packages asked for by name; apt adds what they depend on.
PACKAGES: Final = (
    "apt",  # Finds the machine's Debian mirror, from which image targets take their base.
    "bazel-bootstrap",
    "bubblewrap",  # Enters the root; run from the root itself, so the host needs none.
    "ca-certificates",
    "crane",  # A container registry in one process, for image targets and their tests.
    "debian-archive-keyring",  # What apt checks the base's package lists with.
    "faketime",  # Shows builds another date, which must change nothing.
    "jq",
    "patchelf",  # Lets the root's Python run outside the root as well.
    "python3-pip-whl",  # Fetches the locked wheels.
    "python3.13",
    # Judges of images that are not ours.
    "skopeo",
    "umoci",
    # What Bazel's own scripts, build actions and tests may call.
    "bash",
    "coreutils",
    "dash",
    "diffutils",
    "dpkg",  # apt reads its table of architectures.
    "findutils",
    "git",
    "grep",
    "gzip",
    "libc-bin",
    "mawk",
    "procps",
    "sed",
    "tar",
    "unzip",
    "util-linux",
    "zip",
)

# Package -> upstream version that the workspace was tested with; "3.13.*" takes any patch release.
VERSIONS: Final[Mapping[str, str]] = {
    "bazel-bootstrap": "7.7.1",
    "bazel-platforms": "0.0.10",
    "bazel-skylib": "1.9.1",
    "crane": "0.20.7",
    "python3.13": "3.13.*",
}

# Dependencies that are left out, by regular expression over the whole name. Nothing here is run:
# no target of the workspace compiles Java or C++, and the Bazel server needs only the Java runtime.
SKIPPED: Final = (
    r"(default|openjdk-\d+)-jdk-headless",  # 350 MB of Java compiler.
    r"(gcc|g\+\+|cpp)(-\d+)?(-x86-64-linux-gnu)?",  # The C++ toolchain, 150 MB unpacked.
    r"binutils(-.*)?",
    r"lib(c6|stdc\+\+-\d+|gcc-\d+)-dev",
    r"lib(asan|hwasan|lsan|tsan|ubsan)\d+",  # Sanitizers, of use only to that toolchain.
    r"linux-libc-dev",
    # Image tools ask for them to check signatures, which nothing here does.
    r"dirmngr|gnupg(-l10n)?|gpg(-agent|conf|sm)?|pinentry-curses",
)

# Commands that packages install by a script, which isn't run here.
COMMANDS: Final[Mapping[str, str]] = {"awk": "mawk", "sh": "dash"}

# Never read by a program that runs in the root, and 100 MB of it.
PATHS_EXCLUDED: Final = (
    "./usr/share/doc",
    "./usr/share/info",
    "./usr/share/locale",
    "./usr/share/man",
)

DOWNLOAD_BYTES: Final = 330_000_000  # Rounded up; only for the message that asks for patience.
DISK_BYTES_NEEDED: Final = (
    1_600_000_000  # The packages and the tree exist side by side for a while.
)

FORMAT: Final = 1  # Raise it when the steps that make the root change.


def spec_hash() -> str:
    """Return a short name for this specification; a changed one gets a root of its own."""
    spec = [
        FORMAT,
        SUITE,
        COMPONENT,
        PACKAGES,
        dict(VERSIONS),
        SKIPPED,
        dict(COMMANDS),
        PATHS_EXCLUDED,
    ]
    return hashlib.sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest()[:12]


def is_skipped(package: str) -> bool:
    """Tell whether ``package`` is a dependency that the root does without."""
    return any(re.fullmatch(pattern, package) for pattern in SKIPPED)


def upstream(version: str) -> str:
    """Return the upstream part of a Debian version: ``7.7.1`` for ``1:7.7.1+ds-8+b1``."""
    without_epoch = version.split(":", 1)[-1]
    return re.split(r"[+-]", without_epoch, maxsplit=1)[0]


def version_fits(version: str, wanted: str) -> bool:
    """Tell whether a Debian ``version`` is the upstream version ``wanted``."""
    seen = upstream(version)
    return seen.startswith(wanted[:-1]) if wanted.endswith(".*") else seen == wanted
