"""Check that every import of a module resolves to one of its direct dependencies.

Run by Bazel for each py_module, as a validation action; standard library only. What a dependency
offers is read off its files: ours by their path in the repository, third-party ones by the first
folder below ``site-packages``. A package's ``__init__.py`` offers the package, not what lies in it.
"""

from __future__ import annotations

import argparse
import ast
import sys
from pathlib import Path

ADVICE = (
    "Add the target that owns the module to deps (of a processor: main_deps or provider_deps), if"
    " layers allow."
)


def main() -> None:
    """Check the sources that the command line names; write the marker or name every finding."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--target", required=True)
    parser.add_argument("--deps", type=Path, required=True, help="lines of LABEL<tab>SHORT_PATH")
    parser.add_argument("--source", action="append", default=[], type=Path)
    parser.add_argument("--marker", type=Path, required=True)
    given = parser.parse_args()
    offered = {}
    for line in given.deps.read_text().splitlines():
        label, _, path = line.partition("\t")
        offered[module_of(path)] = label
    found = [
        f"{source}:{line}: import of {names[0]}: no direct dependency of {given.target} has it"
        for source in given.source
        for line, names in imports_of(ast.parse(source.read_text(), str(source)))
        if not any(is_offered(name, offered) for name in names)
    ]
    if found:
        sys.exit("\n".join([*found, ADVICE]))
    given.marker.touch()


def imports_of(tree: ast.AST) -> list[tuple[int, list[str]]]:
    """Each import as (line, the modules any of which would satisfy it)."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, [alias.name]) for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            found.append((node.lineno, ["a relative name (write it in full)"]))
        elif isinstance(node, ast.ImportFrom) and node.module:
            # "from a import b": b is a module of its own or a name in a.
            for alias in node.names:
                found.append((node.lineno, [f"{node.module}.{alias.name}", f"{node.module}:"]))
    return found


def is_offered(name: str, offered: dict[str, str]) -> bool:
    """Whether the standard library or a dependency has a module.

    A name that ends with a colon asks for a module to take names from; a bare package will not do.
    """
    module = name.removesuffix(":")
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or f"{top}/" in offered:
        return True
    return module in offered if name.endswith(":") else module in offered or f"{module}." in offered


def module_of(path: str) -> str:
    """The module that a file offers.

    ``a.b`` for ours, ``a.`` for a package's own file, ``x/`` for everything of a third-party
    top-level package.
    """
    _, site, rest = path.partition("/site-packages/")
    if site:
        first = rest.partition("/")[0]
        return first.partition(".")[0] + "/"
    dotted = path.removesuffix(".py").replace("/", ".")
    return dotted.removesuffix("__init__") if dotted.endswith(".__init__") else dotted


if __name__ == "__main__":
    main()
