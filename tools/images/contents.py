"""What the base image holds. Data only, and the only part of it that is kept by hand.

``base.lock.json`` follows from the names here (``tools/bazel run //tools/images:refresh_base``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

SUITE: Final = "stable"
COMPONENT: Final = "main"
ARCHITECTURE: Final = "amd64"
PYTHON: Final = "3.13"  # Another one is a decision: wheels are locked for this one.

# The packages asked for by name; apt adds what they depend on.
WANTED: Final = (
    f"python{PYTHON}-minimal",
    f"libpython{PYTHON}-stdlib",
    "base-files",  # What the system calls itself, the links into /usr, the texts of licences.
    "ca-certificates",
    "libc-bin",  # Its locale C.UTF-8, which LANG names; none of its programs.
    "libstdc++6",  # Wheels with C++ in them rely on the system's.
    "media-types",  # mimetypes reads it.
    "netbase",  # Names of protocols and ports.
    "tzdata",  # zoneinfo reads it.
)

# Dependencies that are left out, each with the reason.
LEFT_OUT: Final[Mapping[str, str]] = {
    "debconf": "asks an administrator questions when packages are set up; nothing is set up here",
    "libdb5.3t64": "a file format that dbm.ndbm alone reads",
    "libncursesw6": "draws on terminals; a processor has none",
    "libreadline8t64": "edits lines on terminals",
    "libtinfo6": "describes terminals",
    "mawk": "base-files runs it when it is set up",
    "openssl": "ca-certificates runs it when it is set up; the trust store is written here instead",
    "openssl-provider-legacy": "broken ciphers and digests (MD4, RC4, DES)",
    "readline-common": "settings of readline",
}

# Regular expressions over whole paths: files of the packages that are left out.
EXCLUDED: Final = (
    # For people at a terminal. What says whose work it is stays: copyright and licences.
    r"usr/share/doc/[^/]+/(?!copyright$).*",
    r"usr/share/(base-files|binfmts|bug|gcc|gdb|info|lintian|locale|man)/.*",
    r"etc/(issue(\.net)?|ethertypes|update-motd\.d/.*)",
    # For a system that is set up and booted.
    r"usr/lib/binfmt\.d/.*",
    # Every program but Python: whoever breaks into a processor finds nothing to start.
    rf"usr/s?bin/(?!python{re.escape(PYTHON)}$).*",
    # Single certificates: the trust store has them all in one file.
    r"usr/share/ca-certificates/.*",
    # Converts character sets for C programs; Python has its own.
    r"usr/lib/x86_64-linux-gnu/gconv/.*",
    # Python's own tests, teaching aids and installers, and what needs a library left out above.
    r"usr/lib/python[^/]+/(curses|pydoc_data|test|venv)/.*",
    r"usr/lib/python[^/]+/turtle\.py",
    r"usr/lib/python[^/]+/lib-dynload/(_ctypes_test|_test\w+|_xxtestfuzz|xx\w+)\..*",
    r"usr/lib/python[^/]+/lib-dynload/(_curses(_panel)?|_dbm|readline)\..*",
    # A hook into every start of Python, which Debian fills when a crash reporter is installed.
    r"(etc|usr/lib)/python[^/]+/sitecustomize\.py",
)

CERTIFICATES: Final = r"usr/share/ca-certificates/mozilla/[^/]+\.crt"
TRUST_STORE: Final = "etc/ssl/certs/ca-certificates.crt"

# Whoever runs a processor; the numbers are those that other images without a shell use.
USER: Final = 65532

# A home that can be written to, because libraries expect one.
FILES: Final[Mapping[str, str]] = {
    "etc/passwd": (
        "root:x:0:0:root:/root:/usr/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"
        f"nonroot:x:{USER}:{USER}:nonroot:/tmp:/usr/sbin/nologin\n"
    ),
    "etc/group": f"root:x:0:\nnogroup:x:65534:\nnonroot:x:{USER}:\n",
    "etc/nsswitch.conf": (
        "passwd: files\n"
        "group: files\n"
        "hosts: files dns\n"
        "services: files\n"
        "protocols: files\n"
        "rpc: files\n"
    ),
}

# The local time, and where OpenSSL looks: what set-up and a package that is left out would bring.
LINKS: Final[Mapping[str, str]] = {
    "etc/localtime": "/usr/share/zoneinfo/Etc/UTC",
    "usr/lib/ssl/cert.pem": f"/{TRUST_STORE}",
    "usr/lib/ssl/certs": "/etc/ssl/certs",
}

# Folders that stand empty. Only the last two can be written to by whoever runs a processor.
FOLDERS: Final[Mapping[str, int]] = {
    "dev": 0o755,
    "proc": 0o755,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o755,
    "usr/sbin": 0o755,
    "tmp": 0o1777,
    "world": 0o1777,  # The place for a processor's part of a world.
}
