"""What a result may depend on besides code and inputs: ``key=value;...``, sorted by key.

``%``, ``;`` and ``=`` are percent-encoded in values, so no value can forge a key.
"""

from __future__ import annotations

import os
import sys


def encode(facts: dict[str, str]) -> str:
    """Format facts; ``decode`` gives them back."""
    return ";".join(f"{key}={_escape(facts[key])}" for key in sorted(facts))


def decode(text: str) -> dict[str, str]:
    """Parse what ``encode`` wrote."""
    pairs = (item.partition("=") for item in text.split(";") if item)
    return {key: _unescape(value) for key, _, value in pairs}


def of_local(lock_digest: str) -> str:
    """The fingerprint of a local run: machine, operating system, interpreter, locked packages."""
    version = sys.version_info
    machine = os.uname()
    return encode(
        {
            "arch": machine.machine,
            "lock": lock_digest,
            "os": machine.sysname.lower(),
            "python": f"{version.major}.{version.minor}.{version.micro}",
        }
    )


def of_modal(image_digest: str) -> str:
    """The fingerprint of a run on Modal: the platform that images are of, and the image."""
    return encode({"arch": "x86_64", "image": image_digest, "os": "linux"})


def _escape(value: str) -> str:
    return value.replace("%", "%25").replace(";", "%3B").replace("=", "%3D")


def _unescape(value: str) -> str:
    return value.replace("%3D", "=").replace("%3B", ";").replace("%25", "%")
