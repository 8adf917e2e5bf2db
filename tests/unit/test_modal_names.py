"""Each RPC, message, field and value that the plane uses is in the wheel that is pinned.

A field that a later wheel drops would otherwise be a fault at run time, in one handler, some day.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from modal_proto import api_pb2

from tools.modal_local import faults, main
from tools.modal_local.plane import Plane, Settings
from tools.modal_local.session import SERVICE
from tools.modal_local.tasks import Tasks

SOURCES = sorted(Path("tools/modal_local").glob("*.py"))
ALLOWED = {"aiohttp", "cbor2", "google", "grpclib", "h2", "modal_proto", "modal_version", "tools"}


def dotted(node: ast.expr) -> str:
    """``api_pb2.A.B`` as text, or nothing for another expression."""
    if isinstance(node, ast.Attribute):
        inner = dotted(node.value)
        return f"{inner}.{node.attr}" if inner else ""
    return node.id if isinstance(node, ast.Name) else ""


def of_the_wheel(name: str) -> object:
    """What ``api_pb2.A.B`` is; an error if it is not there."""
    found: object = api_pb2
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found


def fields(name: str) -> set[str]:
    """The fields of a message."""
    found = of_the_wheel(name)
    assert isinstance(found, type), name
    return set(found.DESCRIPTOR.fields_by_name)  # type: ignore[attr-defined]


def missing(tree: ast.Module) -> Iterator[str]:
    """What a module uses that the wheel has not."""
    for node in ast.walk(tree):
        name = dotted(node) if isinstance(node, ast.Attribute) else ""
        if name.startswith("api_pb2."):
            try:
                of_the_wheel(name)
            except AttributeError:
                yield name
        if isinstance(node, ast.Call) and dotted(node.func).startswith("api_pb2."):
            given = {keyword.arg for keyword in node.keywords if keyword.arg}
            yield from sorted(given - fields(dotted(node.func)))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from of_arguments(node)


def of_arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """Attributes of a function's messages that are no field of theirs."""
    kinds = {
        each.arg: dotted(each.annotation)
        for each in function.args.args
        if each.annotation is not None and dotted(each.annotation).startswith("api_pb2.")
    }
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            kind = kinds.get(node.value.id)
            if kind and node.attr not in fields(kind) | set(dir(of_the_wheel(kind))):
                yield f"{kind}.{node.attr}"


def test_there_are_sources() -> None:
    assert len(SOURCES) > 20


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_a_module_uses_only_what_the_wheel_has(source: Path) -> None:
    assert list(missing(ast.parse(source.read_text()))) == []


@pytest.mark.parametrize(
    "text",
    [
        "api_pb2.NoSuchMessage",
        "api_pb2.AppGetTagsRequest(app_idd='')",
        "def f(request: api_pb2.AppGetTagsRequest): return request.app_idd",
    ],
)
def test_a_name_that_the_wheel_has_not_is_found(text: str) -> None:
    assert len(list(missing(ast.parse(text)))) == 1


def test_every_rpc_that_is_served_is_in_the_wheel(tmp_path: Path) -> None:
    plane = Plane(Settings(state=tmp_path / "state", is_simulated=True))
    tasks = Tasks(*[None] * 5).table()  # type: ignore[arg-type]

    served = {*plane.served, *tasks}

    assert served <= set(SERVICE.methods_by_name)
    assert len(served) > 55


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_plane_knows_nothing_of_the_product(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            assert top in ALLOWED or top in sys.stdlib_module_names
            assert top != "tools" or name.startswith("tools.modal_local")


def test_every_module_is_short() -> None:
    assert [path.name for path in SOURCES if len(path.read_text().splitlines()) > 250] == []


def test_the_page_names_every_fault_and_every_option() -> None:
    page = Path("docs/concepts/modal_local.md").read_text()
    told = set(re.findall(r"`([a-z0-9_]+)`", page.partition("## Faults")[2]))
    options = set(re.findall(r"`(--[a-z-]+)", page)) - {"--"}

    assert set(faults.KINDS) <= told
    assert options == set(re.findall(r"(--[a-z-]+)", help_of_up())) - {"--help"}


def help_of_up() -> str:
    """What ``up --help`` says."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.raises(SystemExit):
        main.parser().parse_args(["up", "--help"])
    return said.getvalue()
