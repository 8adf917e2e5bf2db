"""Images: from a changed line to a new digest, against buildah, as ratios of wall-clock time.

    python3 -B -m tools.bench.images [--pairs N]

One side is this workspace's ``doc/extract@1``, in a scratch copy: a line of its source changes,
Bazel builds the image, the digest file is read. The other is buildah with an equivalent
Containerfile: the same base, the same unpacked wheels, the same sources, every layer but the last
one warm; then the layout and its digest are written, which is what can be pinned. Both sides
alternate. Nothing is asserted. Needs buildah on PATH, and is started outside of Bazel, because it
starts Bazel itself.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import shutil
import statistics
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools.images import compare
from tools.selfcheck.scratch import Scratch

ROOT = Path(__file__).resolve().parents[2]
LABEL = "//processors/doc/extract/v1:image"
SOURCE = "processors/doc/extract/v1/main.py"
WARM_UP = 1
CONTAINERFILE = """FROM scratch
ADD base.tar /
COPY packages /
COPY protocol /
COPY processor /
ENTRYPOINT ["/usr/bin/python3.13", "-P", "-s", "-S", "-B", "-u", "/opt/processor/start.py"]
USER 65532:65532
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--pairs", type=int, default=7)
    given = parser.parse_args()
    if shutil.which("buildah") is None:
        raise SystemExit("buildah is not on PATH; Debian has a package of that name")
    scratch = Scratch(ROOT, "bench")
    with tempfile.TemporaryDirectory() as folder:
        try:
            scratch.fill()
            ours, theirs = Ours(scratch), Theirs(Path(folder), layout(scratch))
            _measure("one line changed", given.pairs, ours.changed, theirs.changed)
            _measure("nothing changed", given.pairs, ours.again, theirs.again)
        finally:
            scratch.close()


class Ours:
    """Our side."""

    def __init__(self, scratch: Scratch) -> None:
        self._scratch = scratch
        self._text = scratch.read(SOURCE)

    def changed(self, number: int) -> str:
        """Build after a change."""
        (self._scratch.root / SOURCE).write_text(f"{self._text}# {number}\n", encoding="utf-8")
        done = self._scratch.bazel("build", f"{LABEL}.digest", LABEL)
        assert done.code == 0, done.text
        return self._scratch.read("bazel-bin/processors/doc/extract/v1/image.json.sha256")

    def again(self, _: int) -> str:
        """Ask for the digest once more."""
        words = ("run", "//:build_processor", "--", "--ref", "doc/extract@1", "--json")
        done = self._scratch.bazel(*words)
        assert done.code == 0, done.text
        return str(json.loads(done.stdout)["result"])


class Theirs:
    """buildah, with a store of its own."""

    def __init__(self, folder: Path, image: Path) -> None:
        self._folder = folder
        self._context = folder / "context"
        self._context.mkdir()
        [found] = compare.images_of(image)
        base, *layers = found.layers
        (self._context / "base.tar").write_bytes(gzip.decompress(base))
        for name, layer in zip(("packages", "protocol", "processor"), layers):
            with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
                archive.extractall(self._context / name)  # noqa: S202 - our own layers
        (self._context / "Containerfile").write_text(CONTAINERFILE, encoding="utf-8")

    def changed(self, number: int) -> str:
        """Build after a change."""
        file = self._context / "processor/opt/processor/app" / SOURCE
        file.chmod(0o644)
        with file.open("a") as text:
            text.write(f"# {number}\n")
        return self.again(number)

    def again(self, _: int) -> str:
        """Build, and write the layout that has the digest."""
        store = ["--root", str(self._folder / "store"), "--runroot", str(self._folder / "run")]
        digest = self._folder / "digest"
        target = self._folder / "layout"
        shutil.rmtree(target, ignore_errors=True)
        _buildah(*store, "bud", "--isolation", "chroot", "--layers", "-t", "it", self._context)
        _buildah(*store, "push", "--digestfile", digest, "it", f"oci:{target}:it")
        return digest.read_text(encoding="ascii")


def layout(scratch: Scratch) -> Path:
    """Where our image lies once it is built."""
    done = scratch.bazel("build", LABEL, "//:build_processor")
    assert done.code == 0, done.text
    return scratch.root / "bazel-bin/processors/doc/extract/v1/image"


def _buildah(*words: str | Path) -> None:
    done = subprocess.run(
        ["buildah", *map(str, words)],
        env={**os.environ, "STORAGE_DRIVER": "vfs"},  # works without privileges or a module
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]


def _measure(
    what: str, pairs: int, ours: Callable[[int], str], theirs: Callable[[int], str]
) -> None:
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(-WARM_UP, pairs):
        for side, times in zip((ours, theirs), seconds):
            began = time.perf_counter()
            side(number)
            if number >= 0:
                times.append(time.perf_counter() - began)
    ratios = [other / own for own, other in zip(*seconds)]
    own, other = map(statistics.median, seconds)
    print(f"{what}: {own:.2f} s here, {other:.2f} s with buildah; ratio {_middle(ratios)}")


def _middle(ratios: list[float]) -> str:
    return f"{statistics.median(ratios):.1f} (from {min(ratios):.1f} to {max(ratios):.1f})"


if __name__ == "__main__":
    main()
