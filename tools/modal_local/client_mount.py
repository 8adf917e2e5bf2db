"""The client that every container gets: ``/pkg``, and its dependencies at ``/__modal/deps``.

They are laid out once in the state folder, from the very packages that this program runs with, as
the wheel's own mount builder lays them out. What the entrypoint imports is compiled there, since a
container cannot write it and would compile it at every start.
"""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

DEPENDENCIES = "/__modal/deps"
COMPILE_S = 60
_SITE = f"import sys\n\nsys.path.append({DEPENDENCIES!r})\n"
_IMPORT = """
import sys
sys.path[:0] = sys.argv[1:]
import modal._container_entrypoint
"""
# The client, and what its entrypoint imports; the real mounts hold the same.
_CLIENT = ("modal", "modal_proto", "modal_version", "synchronicity")
_DEPENDENCIES = (
    "aiohappyeyeballs",
    "aiohttp",
    "aiosignal",
    "attr",
    "attrs",
    "cbor2",
    "certifi",
    "frozenlist",
    "google._upb",
    "google.protobuf",
    "grpclib",
    "h2",
    "hpack",
    "hyperframe",
    "idna",
    "multidict",
    "propcache",
    "toml",
    "typing_extensions",
    "yarl",
)


class ClientMount:
    """The client's folders, made while something else is done."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to lay them out."""
        self._made = asyncio.create_task(asyncio.to_thread(self._lay_out))

    async def folders(self) -> tuple[Path, Path]:
        """Those for /pkg and /__modal/deps, once they are there."""
        assert self._made is not None
        await asyncio.shield(self._made)
        return self._folder / "pkg", self._folder / "deps"

    async def close(self) -> None:
        """Wait for what cannot be interrupted."""
        if self._made is not None:
            await asyncio.gather(self._made, return_exceptions=True)

    def _lay_out(self) -> None:
        if self._folder.is_dir():
            return
        staged = self._folder.with_name(f".{self._folder.name}")
        shutil.rmtree(staged, ignore_errors=True)
        for name, modules in (("pkg", _CLIENT), ("deps", _DEPENDENCIES)):
            (staged / name).mkdir(parents=True)
            for module in modules:
                _copy_module(module, staged / name)
        (staged / "pkg/sitecustomize.py").write_text(_SITE)
        folders = [str(staged / name) for name in ("pkg", "deps")]
        words = [sys.executable, "-I", "-S", "-c", _IMPORT, *folders]
        subprocess.run(words, env={}, check=True, capture_output=True, timeout=COMPILE_S)
        staged.rename(self._folder)


def _copy_module(module: str, target: Path) -> None:
    """Copy a module's file or folder; links, which a build makes of files, become files."""
    spec = importlib.util.find_spec(module)
    assert spec is not None, module
    placed = target.joinpath(*module.split("."))
    placed.parent.mkdir(parents=True, exist_ok=True)
    if spec.submodule_search_locations:
        [folder] = spec.submodule_search_locations
        shutil.copytree(folder, placed, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    else:
        assert spec.origin is not None, module
        shutil.copyfile(spec.origin, placed.with_name(Path(spec.origin).name))
