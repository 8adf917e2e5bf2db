"""A copy of the repository with a Bazel server of its own, to be broken at will."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 900  # A first build downloads every wheel.


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Both streams."""
        return self.stdout + self.stderr


class Scratch:
    """The copy: its files, its Bazel.

    Attributes:
        root: The copy's folder.
    """

    def __init__(self, origin: Path, place: str = "copy") -> None:
        name = hashlib.sha256(str(origin).encode()).hexdigest()[:12]
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        # The copy's path stays the same, so that a second run finds the first one's build.
        self._folder = cache / "world-orchestrator" / f"selfcheck-{name}"
        self._origin = origin
        self.root = self._folder / place
        self._output_base = self._folder / f"{place}.output_base"
        self._originals: dict[Path, bytes | None] = {}

    def fill(self) -> None:
        """Copy what git tracks and what it would track; wait for another run to end first."""
        self.root.parent.mkdir(parents=True, exist_ok=True)
        self._lock = self.root.with_suffix(".lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.remove()
        for name in self.files():
            source, target = self._origin / name, self.root / name
            if source.is_symlink() or source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target, follow_symlinks=False)

    def twin(self, place: str) -> Scratch:
        """Another copy, of this one as it is now, with an output base of its own."""
        other = Scratch(self._origin, place)
        other.remove()
        ignore = shutil.ignore_patterns("bazel-*")
        shutil.copytree(self.root, other.root, symlinks=True, ignore=ignore)
        return other

    def files(self, *patterns: str) -> list[str]:
        """The repository's files, by git's patterns."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        done = subprocess.run(
            [*command, "--", *patterns], cwd=self._origin, stdout=subprocess.PIPE, check=True
        )
        names = os.fsdecode(done.stdout).split("\0")
        return sorted({name for name in names if name and (self._origin / name).exists()})

    def remove(self) -> None:
        """Delete the copy; the build's output base stays for the next time."""
        shutil.rmtree(self.root, ignore_errors=True)

    def read(self, name: str) -> str:
        """A file of the copy."""
        return (self.root / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Change or make a file of the copy until ``restore``."""
        path = self.root / name
        self._originals.setdefault(path, path.read_bytes() if path.exists() else None)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def clear(self, folder: str) -> None:
        """Delete the files below a folder of the copy until ``restore``."""
        for path in (self.root / folder).rglob("*"):
            if path.is_file():
                self._originals.setdefault(path, path.read_bytes())
                path.unlink()

    def restore(self) -> None:
        """Undo every write and clear."""
        for path, data in self._originals.items():
            if data is None:
                path.unlink(missing_ok=True)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        self._originals.clear()

    def command(self, *words: str, startup: Sequence[str] = ()) -> list[str]:
        """The argument vector of a Bazel command on the copy."""
        base = f"--output_base={self._output_base}"
        return [str(self.root / "tools/bazel"), *startup, base, *words]

    def bazel(
        self,
        *words: str,
        startup: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: str = "",
    ) -> Done:
        """Run Bazel on the copy."""
        done = subprocess.run(
            self.command(*words, startup=startup),
            cwd=self.root / cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        stdout, stderr = (text.decode(errors="replace") for text in (done.stdout, done.stderr))
        return Done(done.returncode, stdout, stderr)

    def query(self, expression: str, *options: str) -> list[str]:
        """The lines of a query that must succeed."""
        done = self.bazel("query", expression, "--noimplicit_deps", *options)
        if done.code:
            raise RuntimeError(f"query {expression}: {done.stderr[-2000:]}")
        return done.stdout.splitlines()

    def testlog(self, target: str) -> str:
        """What a test of the copy printed in its last run."""
        package, _, name = target[2:].partition(":")
        return self.read(f"bazel-testlogs/{package}/{name}/test.log")

    def close(self) -> None:
        """Shut the copy's server down and delete the copy."""
        if self.root.exists():
            self.restore()
            self.bazel("shutdown")
        self.remove()
