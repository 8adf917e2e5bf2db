"""Make the base image's layer from the locked packages. Run by Bazel (``base.bzl``)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tools.build import layers
from tools.build.layers import LayerError
from tools.images import base_layer, base_lock, deb
from tools.images.base_layer import BaseError
from tools.images.base_lock import LockError
from tools.images.deb import Deb, DebError


class MismatchError(Exception):
    """What was given is not what the lock names."""


def main() -> None:
    """Write the layer that the command line describes, or say which package can't be used."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the .tar.gz to write")
    parser.add_argument("packages", type=Path, nargs="+", help="NAME.deb")
    given = parser.parse_args()
    try:
        packages = [_read(file) for file in given.packages]
        _compare(packages, given.lock)
        layers.write_layer(given.out, base_layer.members(packages))
    except (BaseError, DebError, LayerError, LockError, MismatchError) as error:
        sys.exit(f"the base image: {error}")


def _read(file: Path) -> Deb:
    try:
        return deb.read(file.read_bytes())
    except DebError as error:
        raise DebError(f"{file.name}: {error}") from error


def _compare(packages: list[Deb], lock: Path) -> None:
    seen = {(each.name, each.fields["Version"]) for each in packages}
    wanted = {(each.name, each.version) for each in base_lock.read(lock)}
    if seen != wanted:
        differ = ", ".join(f"{name} {version}" for name, version in sorted(seen ^ wanted))
        raise MismatchError(f"packages and lock differ in {differ}")


if __name__ == "__main__":
    main()
