"""Run mypy over the files that the test target names.

``run_mypy.py FILE...``

mypy runs inside this process, because it then finds third-party packages on our own ``sys.path``:
the test target's ``deps``.
"""

from __future__ import annotations

import sys

from mypy import api


def main() -> None:
    """Exit with mypy's status; a selection without a file is an error."""
    files = sys.argv[1:]
    if not files:
        sys.exit("no file to check: the target's list of sources is empty")
    found, trouble, status = api.run(["--config-file=pyproject.toml", *files])
    sys.stdout.write(found)
    sys.stderr.write(trouble)
    sys.exit(status)


if __name__ == "__main__":
    main()
