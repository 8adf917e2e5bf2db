"""The PR lane has no network but loopback, and no secret, on any machine."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys

import pytest

from tests.harness import ROOT

# 192.0.2.0/24 and 2001:db8::/32 are reserved for documentation; nothing answers there.
OUTSIDE = [("AF_INET", "192.0.2.1"), ("AF_INET6", "2001:db8::1")]
DIAL = """
import socket, sys
family, address, kind = sys.argv[1:]
with socket.socket(getattr(socket, family), getattr(socket, kind)) as dialled:
    dialled.settimeout(5)
    try:
        dialled.connect((address, 9))
    except OSError as error:
        print(type(error).__name__, error.errno)
    else:
        print("connected")
"""


@pytest.mark.proves("HR-6", "BZ-4")
def test_the_only_network_interface_is_loopback() -> None:
    assert [name for _, name in socket.if_nameindex()] == ["lo"]


@pytest.mark.proves("HR-6", "BZ-4")
@pytest.mark.parametrize(("family", "address"), OUTSIDE)
@pytest.mark.parametrize("kind", ["SOCK_STREAM", "SOCK_DGRAM"])
def test_nothing_outside_can_be_reached(family: str, address: str, kind: str) -> None:
    """Refused by the kernel at once, since there is no route; a mere silence would time out."""
    ended = subprocess.run(
        [sys.executable, "-c", DIAL, family, address, kind],
        capture_output=True,
        timeout=30,
        check=True,
    )

    assert ended.stdout.split()[0] == b"OSError", ended.stdout


@pytest.mark.proves("HR-6")
def test_the_environment_has_no_secret_like_variable() -> None:
    like = re.compile("KEY|TOKEN|SECRET|PASSW|CREDENTIAL|AUTH|PROXY", re.IGNORECASE)

    assert [name for name in os.environ if like.search(name)] == []


@pytest.mark.proves("HR-6")
def test_files_of_the_tests_are_all_that_the_build_laid_out() -> None:
    assert (ROOT / "run_processor").exists()
    assert not (ROOT / ".git").exists()
    assert not (ROOT / "MODULE.bazel").exists()
