"""lane_test: a pytest file whose folder is its lane."""

load("@rules_python//python:py_test.bzl", "py_test")
load(":py_module.bzl", "py_module")

# Folder below tests/ → tag. tests/README.md says what each lane may touch.
LANES = {
    "acceptance/pinned": "acceptance_pinned",
    "acceptance/pr": "acceptance_pr",
    "contracts": "contracts",
    "integration": "integration",
    "property": "property",
    "smoke": "smoke",
    "unit": "unit",
}

_RUNNER = "//tools/testing:main.py"

def lane_test(name, deps = [], data = [], size = "small", shard_count = None, tags = []):
    """A pytest file, NAME.py.

    Args:
      name: The file's name without its ending; starts with ``test_``.
      deps: What the file imports.
      data: Files the test reads, and commands it runs.
      size: Bazel's test size; small ends after a minute.
      shard_count: How many processes share the file's tests.
      tags: Tags besides the lane's; naming a lane here is an error.
    """
    folder = native.package_name().removeprefix("tests/")
    if folder not in LANES:
        fail("//{}:{}: tests live in tests/{{{}}}".format(native.package_name(), name, ", ".join(LANES)))
    if [tag for tag in tags if tag in LANES.values()]:
        fail("{}: a test's lane is its folder and never a tag".format(name))
    if not name.startswith("test_"):
        fail("{}: a test file is named test_*.py".format(name))
    py_module(
        name = name + "_module",
        srcs = [name + ".py"],
        deps = deps,
        package = False,
        testonly = True,
    )
    py_test(
        name = name,
        size = size,
        srcs = [_RUNNER],
        main = _RUNNER,
        args = ["--lane=" + LANES[folder], "{}/{}.py".format(native.package_name(), name)],
        data = data,
        shard_count = shard_count,
        tags = tags + [LANES[folder]],
        deps = [
            ":" + name + "_module",
            "//tools/testing:runner",
        ],
    )
