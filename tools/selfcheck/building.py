"""What is a build error: a forbidden dependency, an undeclared import, another runtime."""

from __future__ import annotations

from tools.selfcheck.check import check, expect, expect_same
from tools.selfcheck.scratch import Scratch

_LOAD = 'load("//tools/rules:defs.bzl", "py_module")\n\n'
_PACKAGE = 'py_module(\n    name = "package",\n    srcs = ["__init__.py"],\n)\n\n'
_MODULE = 'py_module(\n    name = "{name}",\n    deps = {deps},\n)\n\n'


def _plant(scratch: Scratch, folder: str, modules: dict[str, tuple[str, list[str]]]) -> None:
    """Make a package of modules: name → (source, deps)."""
    build = _LOAD + _PACKAGE
    scratch.write(f"{folder}/__init__.py", "")
    for name, (source, deps) in modules.items():
        scratch.write(f"{folder}/{name}.py", source)
        build += _MODULE.format(name=name, deps=str(deps).replace("'", '"'))
    scratch.write(f"{folder}/BUILD.bazel", build)


def _refuses_orchestrator(scratch: Scratch, folder: str) -> None:
    owned = scratch.query('kind("_py_module rule", //orchestrator/...)')
    expect(len(owned) > 5, f"orchestrator has only {owned}")
    modules = {f"m{number}": ("", [label]) for number, label in enumerate(owned)}
    _plant(scratch, folder, modules)
    done = scratch.bazel("build", "--nobuild", "--keep_going", f"//{folder}:all")
    refused = [label for label in owned if _says_invisible(done.text, folder, label)]
    expect(done.code == 1, f"exit {done.code}, expected 1: {done.text[-500:]}")
    expect_same(f"what {folder} may not use", refused, owned)


def _says_invisible(text: str, folder: str, label: str) -> bool:
    return any(
        f"target '{label}' is not visible from" in line.replace("@@//", "//")
        or (f"'{label}'" in line and f"//{folder}" in line and "isible" in line)
        for line in text.splitlines()
    )


@check(
    "a processor that depends on any module of the orchestrator does not build",
    sabotage=[
        (
            "orchestrator/BUILD.bazel",
            'srcs = ["__init__.py"],\n    visibility = [":__subpackages__"],',
            'srcs = ["__init__.py"],\n    visibility = ["//visibility:public"],',
        )
    ],
)
def processors_stay_below(scratch: Scratch) -> None:
    """Each module of the orchestrator is tried, so no single visibility can be forgotten."""
    _refuses_orchestrator(scratch, "processors/planted")


@check(
    "the folder of the Modal app may not depend on any module of the orchestrator",
    sabotage=[
        (
            "orchestrator/BUILD.bazel",
            'visibility = [":__subpackages__"],',
            'visibility = ["//visibility:public"],',
        )
    ],
)
def modal_app_stays_below(scratch: Scratch) -> None:
    """The folder itself is due with the adapter that needs it; the rule holds already."""
    _refuses_orchestrator(scratch, "modal_app/planted")


@check(
    "an undeclared and a relative import are build errors that name file and line",
    sabotage=[("tools/build/check_imports.py", "    if found:\n", "    if False:\n")],
)
def imports_are_declared(scratch: Scratch) -> None:
    """The good module shows that the planted package builds at all."""
    good = "import json\n\nfrom processors.protocol import refs\n\nprint(json, refs)\n"
    modules = {
        "good": (good, ["//processors/protocol:refs"]),
        "relative": ("import json\nfrom . import good\n", [":good"]),
        "transitive": (
            "import json\n\nfrom processors.protocol import canonical\n",
            ["//processors/protocol:payload"],
        ),
        "third_party": ("import json\n\n\n\nimport yaml\n", []),
    }
    _plant(scratch, "processors/planted", modules)
    done = scratch.bazel("build", "//processors/planted:good")
    expect(done.code == 0, f"the good module fails: {done.text[-800:]}")
    done = scratch.bazel("build", "--keep_going", "//processors/planted:all")
    expect(done.code == 1, f"exit {done.code}, expected 1")
    for found in (
        "processors/planted/relative.py:2: import of a relative name",
        "processors/planted/transitive.py:3: import of processors.protocol",
        "processors/planted/third_party.py:5: import of yaml",
    ):
        expect(found in done.text, f"no line says {found!r}: {done.text[-1500:]}")
    expect("planted/good.py" not in done.text, "the good module was refused")


_LINES = "tests/fixtures/processors/polyglot/lines/v1"
_CHAT = "processors/llm/chat/v1"


@check(
    "a processor that starts otherwise than its registry says does not build",
    sabotage=[
        ("tools/build/check_registry.py", "        if seen != wanted:\n", "        if False:\n"),
        ("tools/rules/private/processor.bzl", "if ctx.file.program else []", "if False else []"),
        ("tools/rules/private/processor.bzl", "(main_deps == None) ==", "False =="),
    ],
)
def processors_start_as_said(scratch: Scratch) -> None:
    """A program where main.py is said, main.py where a program is said, both, and neither."""
    given = 'program = "lines.sh",'
    for folder, name, old, new, said in (
        (_LINES, "registry.yaml", ": exec", ": python3.13", "line 4: runtime is python3.13"),
        (_CHAT, "registry.yaml", ": python3.13", ": exec", "line 4: runtime is exec"),
        (_LINES, "BUILD.bazel", given, f"{given}\n    main_deps = [],", "either main_deps or"),
        (_LINES, "BUILD.bazel", given, "", "either main_deps or"),
    ):
        text = scratch.read(f"{folder}/{name}")
        expect(text.count(old) == 1, f"{folder}/{name} does not say {old} once")
        scratch.write(f"{folder}/{name}", text.replace(old, new))
        done = scratch.bazel("build", f"//{folder}:v1")
        scratch.write(f"{folder}/{name}", text)
        expect(done.code != 0, f"{folder} builds with {new!r} for {old!r}")
        expect(said in done.stderr, done.stderr[-800:])
    done = scratch.bazel("build", f"//{_LINES}:v1")
    expect(done.code == 0, f"{_LINES} does not build: {done.stderr[-800:]}")
