"""The overlay: what it mimics, what is used of it, and that its Bazel needs nothing on PATH."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator

from tools.selfcheck.check import check, expect, expect_same
from tools.selfcheck.layout import build_files
from tools.selfcheck.scratch import Scratch

_STAND_IN = "tools/overlay/rules_python/python"
_OCI_STAND_IN = "tools/overlay/rules_oci/oci"
_RULES = ("py_binary", "py_library", "py_test")
_OCI_RULES = ("oci_image", "oci_image_index")
_MODULES = ("rules_oci", "rules_python")
# Attributes that Bazel itself gives to rules or tests; a stand-in has them without asking.
_COMMON = frozenset(
    [
        "args",
        "flaky",
        "generator_function",
        "generator_location",
        "generator_name",
        "name",
        "shard_count",
        "size",
        "tags",
        "testonly",
        "timeout",
        "visibility",
    ]
)


def _surface(scratch: Scratch, module: str) -> dict[str, dict[str, object]]:
    found = json.loads(scratch.read("tools/overlay/surface.json"))[module]
    assert isinstance(found, dict)
    return found


def _flat(value: object, path: str = "") -> Iterator[str]:
    """A nested table as lines: ``a > b > c``."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}{key} > ")
    else:
        assert isinstance(value, list)
        yield from (f"{path}{item}" for item in value)


def _tree(scratch: Scratch, name: str) -> ast.Module:
    """A Starlark file as a syntax tree; Python's grammar covers it."""
    return ast.parse(scratch.read(name))


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _keys(value: ast.expr, names: dict[str, ast.expr]) -> list[str]:
    """The keys of a dict, of a sum of dicts, or of one that is assigned to a name."""
    if isinstance(value, ast.Name):
        return _keys(names[value.id], names)
    if isinstance(value, ast.BinOp):
        return _keys(value.left, names) + _keys(value.right, names)
    assert isinstance(value, ast.Dict)
    return _texts(value.keys)


def _texts(nodes: Iterable[ast.AST | None]) -> list[str]:
    """The literal strings among nodes."""
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [value for value in values if isinstance(value, str)]


def _word(value: ast.expr, key: str) -> ast.expr:
    assert isinstance(value, ast.Call)
    return next(word.value for word in value.keywords if word.arg == key)


@check(
    "surface.json lists exactly what the stand-in of rules_python has",
    "BZ-8",
    sabotage=[
        ("tools/overlay/surface.json", '"main", "srcs"]', '"main", "nothing", "srcs"]'),
        (
            f"{_STAND_IN}/private/py_rules.bzl",
            '    "data": attr',
            '    "extra": attr.string(),\n    "data": attr',
        ),
        (
            f"{_STAND_IN}/private/providers.bzl",
            '        "imports": "',
            '        "new": "",\n        "imports": "',
        ),
        (
            f"{_STAND_IN}/extensions/pip.bzl",
            '"hub_name": attr',
            '"other": attr.bool(),\n            "hub_name": attr',
        ),
    ],
)
def surface_is_true(scratch: Scratch) -> None:
    """Read off the stand-in's files, so that neither list nor code can move alone."""
    label = "@rules_python//python"
    loads = {
        f"{label}:{name}": list(_assigned(_tree(scratch, f"{_STAND_IN}/{name}")))
        for name in (path.rpartition("/")[2] for path in scratch.files(f"{_STAND_IN}/*.bzl"))
        if (scratch.root / _STAND_IN / name).exists()
    }
    rules = _assigned(_tree(scratch, f"{_STAND_IN}/private/py_rules.bzl"))
    providers = _assigned(_tree(scratch, f"{_STAND_IN}/private/providers.bzl"))
    extensions = {}
    for name in ("config", "pip", "python"):
        names = _assigned(_tree(scratch, f"{_STAND_IN}/extensions/{name}.bzl"))
        classes = _word(names[name], "tag_classes")
        assert isinstance(classes, ast.Dict)
        extensions[f"{label}/extensions:{name}.bzl"] = {
            name: {
                tag.value: _keys(_word(_resolve(value, names), "attrs"), names)
                for tag, value in zip(classes.keys, classes.values)
                if isinstance(tag, ast.Constant)
            }
        }
    hub = _assigned(_tree(scratch, f"{_STAND_IN}/private/wheel_repository.bzl"))
    requirements = hub["_REQUIREMENTS_BZL"]
    [text] = _texts([requirements])
    public = re.findall(r"^(?:def )?([a-z]\w+)(?:\(| =)", text, re.MULTILINE)
    seen = {
        "loads": loads,
        "rules": {name: _keys(_word(rules[name], "attrs"), rules) for name in _RULES},
        "providers": {
            name: _keys(_word(value, "fields"), providers) for name, value in providers.items()
        },
        "toolchain_types": {f"{label}:toolchain_type": ["py3_runtime"]},
        "extensions": extensions,
        "hub": {"targets": ast.literal_eval(hub["_HUB_TARGETS"]), "requirements.bzl": public},
    }
    listed = _surface(scratch, "rules_python")
    expect_same("the stand-in, and surface.json", list(_flat(seen)), list(_flat(listed)))


@check(
    "surface.json lists exactly what the stand-in of rules_oci has",
    "BZ-8",
    sabotage=[
        ("tools/overlay/surface.json", '"oci_image_index": ["images"]', '"oci_image_index": []'),
        (f"{_OCI_STAND_IN}/defs.bzl", "\noci_image =", "\noci_push = _oci_image\noci_image ="),
        (f"{_OCI_STAND_IN}/BUILD.bazel", '"crane_toolchain_type"', '"crane_type"'),
        (f"{_OCI_STAND_IN}/private/crane.bzl", "crane_info =", "crane ="),
        (f"{_OCI_STAND_IN}/private/macros.bzl", 'name + ".digest"', 'name + ".sha256"'),
        (f"{_OCI_STAND_IN}/private/providers.bzl", '"binary"', '"version"'),
        (
            f"{_OCI_STAND_IN}/private/rules.bzl",
            '        "base": attr',
            '        "resource_set": attr.string(),\n        "base": attr',
        ),
    ],
)
def oci_surface_is_true(scratch: Scratch) -> None:
    """As for rules_python; the macros add names to a target's own, and those are listed as well."""
    label = "@rules_oci//oci"
    rules = _assigned(_tree(scratch, f"{_OCI_STAND_IN}/private/rules.bzl"))
    providers = _assigned(_tree(scratch, f"{_OCI_STAND_IN}/private/providers.bzl"))
    types = _calls(_tree(scratch, f"{_OCI_STAND_IN}/BUILD.bazel"), "toolchain_type")
    [toolchain] = _calls(_tree(scratch, f"{_OCI_STAND_IN}/private/crane.bzl"), "ToolchainInfo")
    helpers = {
        suffix
        for node in ast.walk(_tree(scratch, f"{_OCI_STAND_IN}/private/macros.bzl"))
        if isinstance(node, ast.BinOp) and getattr(node.left, "id", "") == "name"
        for suffix in _texts([node.right])
    }
    seen = {
        "loads": {
            f"{label}:{path.name}": list(_assigned(_tree(scratch, f"{_OCI_STAND_IN}/{path.name}")))
            for path in (scratch.root / _OCI_STAND_IN).glob("*.bzl")
        },
        "rules": {
            name: [key for key in _keys(_word(rules[name], "attrs"), rules) if key[0] != "_"]
            for name in _OCI_RULES
        },
        "providers": {
            name: _keys(_word(value, "fields"), providers) for name, value in providers.items()
        },
        "toolchain_types": {
            f"{label}:{name}": [str(word.arg) for word in toolchain.keywords]
            for call in types
            for name in _texts([_word(call, "name")])
        },
        "helpers": {"NAME": sorted(helpers)},
    }
    listed = _surface(scratch, "rules_oci")
    expect_same("the stand-in, and surface.json", list(_flat(seen)), list(_flat(listed)))


def _calls(tree: ast.Module, name: str) -> list[ast.Call]:
    """The calls of a function, or of a method, by its last name."""
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and name in (getattr(node.func, "id", ""), getattr(node.func, "attr", ""))
    ]


def _resolve(value: ast.expr, names: dict[str, ast.expr]) -> ast.expr:
    return names[value.id] if isinstance(value, ast.Name) else value


@check(
    "every rule, attribute, provider, extension tag and hub target in use is in surface.json",
    "BZ-8",
    sabotage=[
        ("tools/overlay/surface.json", '"PyInfo": ["imports", ', '"PyInfo": ['),
        ("tools/overlay/surface.json", '"main", "srcs"]\n    },', '"srcs"]\n    },'),
        ("tools/overlay/surface.json", '["hub_name", ', "["),
        ("tools/overlay/surface.json", '"pkg", "whl"]', '"pkg"]'),
        (
            "tools/overlay/surface.json",
            "@rules_python//python:py_test.bzl",
            "@rules_python//python:x.bzl",
        ),
        ("tools/overlay/surface.json", '        "variant",\n', ""),
        ("tools/overlay/surface.json", '["oci_image", "oci_image_index"]', '["oci_image"]'),
        ("tools/overlay/surface.json", '["crane_info"]', "[]"),
    ],
)
def surface_is_enough(scratch: Scratch) -> None:
    """What is listed and not in use is printed; it is what a connected user may expect to work."""
    used = {*_used_loads(scratch), *_used_attributes(scratch), *_used_fields(scratch)}
    used |= {*_used_tags(scratch), *_used_hub(scratch)}
    listed = {line for module in _MODULES for line in _flat(_surface(scratch, module))}
    expect(len(used) > 20, f"the scan is blind: {sorted(used)}")
    missing = sorted(used - listed)
    expect(not missing, f"in use and not in surface.json: {missing}")
    idle = sorted(line for line in listed - used if not line.startswith(("hub", "helpers")))
    print(f"      listed and not in use: {'; '.join(idle) or 'nothing'}")


def _used_loads(scratch: Scratch) -> Iterator[str]:
    for name in build_files(scratch):
        for node in ast.walk(_tree(scratch, name)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "load":
                label, *names = _texts([*node.args, *(word.value for word in node.keywords)])
                if label.startswith(("@rules_oci//", "@rules_python//")):
                    yield from (f"loads > {label} > {word}" for word in names)


def _used_attributes(scratch: Scratch) -> Iterator[str]:
    kinds = "(py_(binary|library|test)|oci_image(_index)?) rule"
    text = "\n".join(scratch.query(f'kind("{kinds}", //...)', "--output=build"))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in (*_RULES, *_OCI_RULES):
            rule = node.func.id  # type: ignore[attr-defined]
            names = {word.arg for word in node.keywords if word.arg} - _COMMON
            yield from (f"rules > {rule} > {name}" for name in names)


def _used_fields(scratch: Scratch) -> Iterator[str]:
    for name in build_files(scratch):
        text = scratch.read(name)
        yield from (f"providers > PyInfo > {x}" for x in re.findall(r"\[PyInfo\]\.(\w+)", text))
        found = re.findall(r"\bPyInfo\(([^)]*)\)", text)
        yield from (
            f"providers > PyInfo > {x}" for words in found for x in re.findall(r"(\w+) =", words)
        )
        yield from (
            f"providers > PyRuntimeInfo > {x}" for x in re.findall(r"\bruntime\.(\w+)", text)
        )
        toolchain = "toolchain_types > @rules_python//python:toolchain_type"
        yield from (
            f"{toolchain} > {x}" for x in re.findall(r"\.toolchains\[TOOLCHAIN\]\.(\w+)", text)
        )
        crane = "toolchain_types > @rules_oci//oci:crane_toolchain_type"
        found = re.findall(r"\.toolchains\[\w+\]\.(crane_info)\b", text)
        yield from (f"{crane} > {x}" for x in found)
        found = re.findall(r"\bcrane_info\.(\w+)", text)
        yield from (f"providers > CraneInfo > {x}" for x in found)


def _used_tags(scratch: Scratch) -> Iterator[str]:
    tree = _tree(scratch, "MODULE.bazel")
    extensions = {
        name: _texts(value.args)
        for name, value in _assigned(tree).items()
        if isinstance(value, ast.Call)
    }
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        label, name = extensions[getattr(node.func.value, "id", "")]
        for word in node.keywords:
            if str(label).startswith("@rules_python"):
                yield f"extensions > {label} > {name} > {node.func.attr} > {word.arg}"


def _used_hub(scratch: Scratch) -> Iterator[str]:
    text = "\n".join(scratch.query("//...", "--output=build"))
    for package, target in re.findall(r'"@pypi//(\w+):(\w+)"', text):
        if package != target:
            yield f"hub > targets > {target}"


@check(
    "tools/bazel works with an empty PATH but for the system's folders, and stdout stays clean",
    "BZ-8",
    sabotage=[
        ("tools/bazel", "exec python3 -EsB", "exec python2 -EsB"),
        ("tools/bazel", "set -eu\n", "set -eu\necho noise\n"),
    ],
)
def private_root(scratch: Scratch) -> None:
    """By choice and by lack of anything else."""
    for startup in ((), ("--private",)):
        done = scratch.bazel("info", "release", startup=startup, env={"PATH": "/usr/bin:/bin"})
        expect(done.code == 0, f"exit {done.code}: {done.stderr[-500:]}")
        expect(done.stdout.count("\n") == 1, f"stdout is {done.stdout!r}")
