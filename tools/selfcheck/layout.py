"""The tree: what the card asks for is there, and no file escapes what looks after it."""

from __future__ import annotations

import re

from tools.selfcheck.check import check, expect, expect_same
from tools.selfcheck.lanes import FOLDERS
from tools.selfcheck.scratch import Scratch

_CARD = (
    ".bazelrc",
    "BUILD.bazel",
    "MODULE.bazel",
    "README.md",
    "WORKSPACE.bazel",
    "modal_app",
    "orchestrator",
    "processors",
    "tests",
    "tools",
)
_STRAY = """sources()
load("@rules_python//python:py_test.bzl", "py_test")
py_test(name = "x", srcs = ["harness.py"], main = "harness.py", tags = ["unit"])
"""
_IMAGES_SUITE = "//tests/acceptance/pinned:test_structure"
_OVERLAY = "tools/overlay/"  # .bazelignore: modules of their own, no packages of ours.


@check(
    "the top level is as carded, WORKSPACE.bazel empty, every dependency in MODULE.bazel",
    "BZ-1",
    sabotage=[
        ("WORKSPACE.bazel", "# This", "workspace(name = 'x')\n# This"),
        ("MODULE.bazel", "use_repo(pip, pypi", "use_repo(pip, pypy"),
        ("MODULE.bazel", 'name = "debian_base"', 'name = "debian_bass"'),
        (".bazelrc", "common --noenable_workspace", "common --enable_workspace"),
    ],
)
def top_level(scratch: Scratch) -> None:
    """Every repository that a BUILD or bzl file names comes from MODULE.bazel."""
    missing = [name for name in _CARD if not (scratch.root / name).exists()]
    expect(not missing, f"missing at the top: {missing}")
    lines = scratch.read("WORKSPACE.bazel").splitlines()
    code = [line for line in lines if line.strip() and not line.startswith("#")]
    expect(not code, f"WORKSPACE.bazel has {code}")
    expect("--noenable_workspace" in scratch.read(".bazelrc").split(), ".bazelrc reads WORKSPACE")
    module = scratch.read("MODULE.bazel")
    declared = set(re.findall(r'bazel_dep\(name = "([^"]+)"', module))
    for names in re.findall(r"use_repo\(\s*\w+,([^)]*)\)", module):
        declared |= set(re.findall(r"(\w+) =", names)) | set(re.findall(r'(?<!= )"(\w+)"', names))
    for rule in re.findall(r"(\w+) = use_repo_rule\(", module):
        declared |= set(re.findall(rf'\b{rule}\(\s*name = "([^"]+)"', module))
    used: dict[str, str] = {}
    for name in build_files(scratch):
        code_only = re.sub(r"#.*|```?[^`]*```?", "", scratch.read(name))
        used.update(dict.fromkeys(re.findall(r'"@([a-z_]+)//', code_only), name))
    unknown = {repo: name for repo, name in used.items() if repo not in declared}
    expect(not unknown, f"not in MODULE.bazel: {unknown}")
    expect("pypi" in used, "no BUILD file uses a package of the lock: the scan is blind")


def build_files(scratch: Scratch) -> list[str]:
    """The BUILD and bzl files of the workspace; the overlay's belong to other modules."""
    names = scratch.files("*.bazel", "*.bzl")
    return [
        name
        for name in names
        if not name.startswith(_OVERLAY) and name not in ("MODULE.bazel", "WORKSPACE.bazel")
    ]


@check(
    "every Python file is linted",
    sabotage=[
        ("tests/lint/BUILD.bazel", '        "//orchestrator/cli:sources",\n', ""),
        ("tools/rules/private/sources.bzl", 'glob(["*.py"])', 'glob(["*n.py"])'),
    ],
)
def all_linted(scratch: Scratch) -> None:
    """Compares git's list with the sources of the lint targets."""
    found = scratch.query('kind("source file", deps(//tests/lint:sources))')
    linted = [label[2:].replace(":", "/").lstrip("/") for label in found if label.endswith(".py")]
    expect_same("files that lint reads, and Python files", linted, scratch.files("*.py"))


@check(
    "every package with Python files has the target sources",
    sabotage=[("processors/llm/BUILD.bazel", "sources()\n", "")],
)
def all_have_sources(scratch: Scratch) -> None:
    """So that lint can take a folder by one name."""
    folders = {name.rpartition("/")[0] for name in scratch.files("*.py")}
    wanted = [f"//{folder}:sources" for folder in folders if not f"{folder}/".startswith(_OVERLAY)]
    found = scratch.query('filter(":sources$", //... except //tests/lint:all)')
    expect_same("targets named sources, and folders with Python", found, wanted)


@check(
    "every test file lies in a lane folder and is a target there",
    "TS-8",
    sabotage=[
        ("tests/integration/BUILD.bazel", 'name = "test_openai_server"', 'name = "test_other"'),
        ("tests/lint/test_stray.py", "", "def test_stray() -> None: ...\n"),
        ("tests/BUILD.bazel", "sources()\n", _STRAY),
    ],
)
def all_tests_declared(scratch: Scratch) -> None:
    """Files against targets, both ways; and no lane's tag on anything but a lane's test.

    One file is the test of many images: the targets are beside these, and a suite of the file's
    name in its lane has them all.
    """
    files = [
        str(path.relative_to(scratch.root)) for path in (scratch.root / "tests").rglob("test_*.py")
    ]
    stray = [name for name in files if name[len("tests/") :].rpartition("/")[0] not in FOLDERS]
    expect(not stray, f"outside the seven folders: {stray}")
    tests = scratch.query("tests(//...) except attr(tags, '\\blint\\b', tests(//...))")
    wanted = [f"//{folder}:{name[:-3]}" for folder, _, name in (f.rpartition("/") for f in files)]
    images = scratch.query(f"tests({_IMAGES_SUITE})")
    built = scratch.query("kind('_processor_layer rule', //...)")
    beside = [label.replace("_processor", "_test") for label in built]
    expect_same("the suite of the images' tests, and the images", images, beside)
    wanted = [label for label in wanted if label != _IMAGES_SUITE] + images
    expect_same("test targets, and test files", tests, wanted)
    for folder, tag in FOLDERS.items():
        tagged = scratch.query(f"attr(tags, '[\\[ ]{tag}[,\\]]', tests(//...))")
        inside = [label for label in tests if label.startswith(f"//tests/{folder}:")]
        inside += images if folder == "acceptance/pinned" else []
        expect_same(f"targets tagged {tag}, and tests in {folder}", tagged, inside)
