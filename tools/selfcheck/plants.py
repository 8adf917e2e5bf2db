"""Tests to plant: what they do, and how a lane must answer. Data only."""

from __future__ import annotations

from dataclasses import dataclass

_SWALLOW = """
import contextlib


def test_swallows() -> None:
    with contextlib.suppress(BaseException):
        {statement}
"""

_CHILD = """
import subprocess
import sys


def test_dials_in_a_child() -> None:
    # In a child, where no plugin listens: what stops it is the sandbox.
    code = {code!r}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    print(done.stderr)
    assert done.returncode == 0
"""

# 192.0.2.0/24 belongs to nobody (RFC 5737). Without an interface the kernel says so at once; with
# one, this would be a time-out.
_DIAL = "import socket; socket.create_connection(('192.0.2.1', 9), 5)"
_RESOLVE = "import socket; socket.getaddrinfo('example.com', 80)"

_GOOD = "def test_good() -> None:\n    assert True\n"


@dataclass(frozen=True)
class Plant:
    """A test file.

    Attributes:
        lane: Its folder below tests/.
        name: Its name without ``test_``.
        source: What it holds.
        passes: Whether its lane must be green.
        says: What its log must hold, so that it is red for the right reason.
        tags: Tags its target carries.
    """

    lane: str
    name: str
    source: str
    passes: bool = False
    says: str = ""
    tags: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its target."""
        return f"//tests/{self.lane}:test_{self.name}"


def _swallow(lane: str, name: str, statement: str, event: str) -> Plant:
    source = _SWALLOW.format(statement=statement)
    return Plant(lane, name, source, says=f"lane {lane.replace('/', '_')} forbids {event}")


EMPTY = (
    Plant(
        "unit",
        "all_skipped",
        'import pytest\n\n\n@pytest.mark.skip(reason="planted")\ndef test_one() -> None: ...\n',
        says="a skip nobody announced",
    ),
    Plant("unit", "none_collected", "VALUE = 1\n", says="no tests ran"),
    Plant(
        "unit", "uncollectable", 'raise RuntimeError("planted")\n', says="error during collection"
    ),
    Plant(
        "unit",
        "only_requires",
        'import pytest\n\n\n@pytest.mark.requires("moon")\ndef test_one() -> None: ...\n',
        says="1 deselected",
    ),
)

SKIPS = (
    Plant(
        "unit",
        "one_skipped",
        "import pytest\n\n\ndef test_good() -> None: ...\n\n\n"
        'def test_skips() -> None:\n    pytest.skip("planted")\n',
        says="a skip nobody announced",
    ),
)

COUNTS = (
    Plant(
        "unit",
        "some_require",
        "import pytest\n\n\ndef test_good() -> None: ...\n\n\n"
        '@pytest.mark.requires("moon")\ndef test_one() -> None: ...\n',
        passes=True,
        says="lane unit: 1 run, 0 skipped, 1 deselected",
    ),
)

UNIT = (
    Plant("unit", "good", _GOOD, passes=True),
    _swallow(
        "unit", "spawns", "__import__('subprocess').run(['true'], check=False)", "subprocess.Popen"
    ),
    _swallow("unit", "forks", "__import__('os').system('true')", "os.system"),
    _swallow("unit", "opens_socket", "__import__('socket').socket()", "socket.__new__"),
    _swallow("unit", "sleeps", "__import__('time').sleep(0)", "time.sleep"),
)

INTEGRATION = (
    Plant(
        "integration",
        "loopback",
        "import socket\n\n\ndef test_loopback() -> None:\n"
        "    with socket.create_server(('127.0.0.1', 0)) as server:\n"
        "        socket.create_connection(server.getsockname(), 5).close()\n",
        passes=True,
    ),
    _swallow(
        "integration",
        "dials_out",
        "__import__('socket').create_connection(('192.0.2.1', 9), 5)",
        "socket.connect",
    ),
)

CONTRACTS = (
    Plant(
        "contracts",
        "spawns",
        "import subprocess\nimport sys\n\n\ndef test_spawns() -> None:\n"
        "    code = 'import sys; print(1); print(2, file=sys.stderr)'\n"
        "    done = subprocess.run([sys.executable, '-c', code], capture_output=True, check=True)\n"
        "    assert (done.stdout, done.stderr) == (b'1\\n', b'2\\n')\n",
        passes=True,
    ),
)

PR = (
    Plant(
        "acceptance/pr",
        "spawns",
        "import subprocess\n\n\ndef test_spawns() -> None:\n"
        "    subprocess.run(['true'], check=True)\n",
        passes=True,
    ),
    _swallow("acceptance/pr", "opens_socket", "__import__('socket').socket()", "socket.__new__"),
)

HERMETIC = (
    Plant("acceptance/pr", "dials", _CHILD.format(code=_DIAL), says="Network is unreachable"),
    Plant("contracts", "dials", _CHILD.format(code=_DIAL), says="Network is unreachable"),
    Plant("acceptance/pr", "resolves", _CHILD.format(code=_RESOLVE), says="gaierror"),
    Plant(
        "integration",
        "interfaces",
        "import socket\n\n\ndef test_interfaces() -> None:\n"
        "    assert [name for _, name in socket.if_nameindex()] == ['lo']\n",
        passes=True,
    ),
    Plant(
        "acceptance/pr",
        "reads_secret",
        "import os\n\n\ndef test_reads() -> None:\n    assert os.environ['OPENAI_API_KEY']\n",
        says="KeyError: 'OPENAI_API_KEY'",
    ),
    Plant(
        "acceptance/pr",
        "sees_no_secret",
        "import os\n\n\ndef test_environment() -> None:\n"
        "    assert 'planted-value' not in ''.join(os.environ.values())\n"
        "    assert not {'PLANTED_SECRET', 'OPENAI_API_KEY', 'CI'} & set(os.environ)\n",
        passes=True,
    ),
)

UNSANDBOXED = (
    Plant("contracts", "unsandboxed", _GOOD, tags=("no-sandbox",)),
    Plant("contracts", "local", _GOOD, tags=("local",)),
)
