"""A control plane of this machine, for a benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from pathlib import Path
from typing import Self

from processors.protocol.canonical import Json, parse_object

ROOT = Path(os.environ["RUNFILES_DIR"]).resolve() / "_main"


class Plane:
    """A control plane, while the context lasts.

    Attributes:
        environ: What a program needs to find it.
    """

    def __init__(self, folder: str, environment: str, *words: str) -> None:
        program = str(ROOT / "tools/modal_local/modal_local")
        own = ["--state", f"{folder}/state", "--environment", environment, *words]
        self._process = subprocess.Popen([program, "up", *own], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        addresses = json.loads(self._process.stdout.readline())
        self._admin_url = addresses["admin_url"]
        self.environ = {
            "MODAL_SERVER_URL": addresses["server_url"],
            "MODAL_TOKEN_ID": "ak-bench",
            "MODAL_TOKEN_SECRET": "as-bench",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    def ask(self, path: str, body: Json = None) -> dict[str, Json]:
        """Ask the admin port."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._admin_url + path, data)  # noqa: S310 - of loopback
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - likewise
            return parse_object(answer.read(), "the state")
