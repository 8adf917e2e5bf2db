"""The one helper that starts processes: who uses it, and what it needs of a system."""

from __future__ import annotations

import ast
import sys

import pytest

from processors.protocol import reaper
from tests.unit.source_rules import ADAPTERS, SPAWN, imports, product, root

HELPERS = (SPAWN, "processors/protocol/reaper.py", "processors/protocol/marks.py")


@pytest.mark.proves("SP-1")
def test_the_helper_is_standard_library_and_its_users_are_adapters() -> None:
    modules = {module.path: module for module in product(root())}

    for path in HELPERS:
        for _, name in imports(modules[path]):
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or name.startswith("processors.protocol."), name
    users = {
        path
        for path, module in modules.items()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "spawn.run"
    }
    assert users
    assert all(path.startswith((ADAPTERS, "modal_app/")) for path in users)


@pytest.mark.proves("SP-8")
def test_time_is_read_from_the_monotonic_clock_alone() -> None:
    clocks = {
        name
        for module in product(root())
        if module.path in HELPERS
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and (name := ast.unparse(node)).startswith("time.")
    }

    assert clocks == {"time.monotonic", "time.sleep"}


def test_a_kernel_without_what_a_run_needs_is_named() -> None:
    assert reaper.missing("/proc/self") == []
    assert reaper.missing("/nowhere") == ["/proc/self/task/N/children"]
