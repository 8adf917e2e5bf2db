"""The repository of one wheel, and the hub that gives all of them their public names."""

load(":private_root.bzl", "run_wheels_program")

# Target names and globs are those of the real rules.
_WHEEL_BUILD = """\
load("@rules_python//python:py_library.bzl", "py_library")

package(default_visibility = ["//visibility:public"])

py_library(
    name = "pkg",
    srcs = glob(["site-packages/**/*.py"], allow_empty = True),
    data = [":data"] + glob(
        ["site-packages/**/*"],
        allow_empty = True,
        exclude = ["**/*.py", "**/*.pyc", "site-packages/*.dist-info/RECORD"],
    ),
    imports = ["site-packages"],
    deps = {deps},
)

filegroup(
    name = "whl",
    srcs = [{wheel}],
    data = {whl_deps},
)

filegroup(
    name = "data",
    srcs = glob(["data/**"], allow_empty = True),
)

filegroup(
    name = "dist_info",
    srcs = glob(["site-packages/*.dist-info/**"]),
)

filegroup(
    name = "extracted_whl_files",
    srcs = glob(["site-packages/**"], allow_empty = True),
)
"""

def _wheel_repository_impl(repository_ctx):
    attr = repository_ctx.attr
    answer = run_wheels_program(
        repository_ctx,
        "fetching {} for @{}".format(attr.requirement, attr.hub_name),
        {
            "extras": attr.extras,
            "hashes": attr.hashes,
            "locked": attr.locked,
            "requirement": attr.requirement,
            "target": str(repository_ctx.path(".")),
        },
    )
    deps = ["@{}//{}".format(attr.hub_name, name) for name in answer["deps"]]
    repository_ctx.file("BUILD.bazel", _WHEEL_BUILD.format(
        deps = repr([dep + ":pkg" for dep in deps]),
        whl_deps = repr([dep + ":whl" for dep in deps]),
        wheel = repr(answer["wheel"]),
    ))

wheel_repository = repository_rule(
    implementation = _wheel_repository_impl,
    doc = "One wheel, unpacked to site-packages, with the dependencies that its metadata names.",
    attrs = {
        "extras": attr.string_list(doc = "Extras that the lock asks for."),
        "hashes": attr.string_list(mandatory = True, doc = "SHA-256 digests that the wheel may have."),
        "hub_name": attr.string(mandatory = True),
        "locked": attr.string_list(mandatory = True, doc = "All packages of the lock."),
        "requirement": attr.string(mandatory = True, doc = "NAME==VERSION."),
    },
)

_HUB_TARGETS = ["pkg", "whl", "data", "dist_info", "extracted_whl_files"]

_REQUIREMENTS_BZL = """\
\"\"\"Labels of the locked packages.\"\"\"

_PACKAGES = {packages}

def requirement(name):
    \"\"\"Returns the label of the package `name`, in any spelling.\"\"\"
    normalized = name.lower().replace("-", "_").replace(".", "_")
    if normalized not in _PACKAGES:
        fail("{{}} is not in the lock file of this hub".format(repr(name)))
    return str(Label("//{{}}:pkg".format(normalized)))

all_requirements = [str(Label("//{{}}:pkg".format(name))) for name in _PACKAGES]

all_whl_requirements = [str(Label("//{{}}:whl".format(name))) for name in _PACKAGES]
"""

def _hub_repository_impl(repository_ctx):
    hub_name = repository_ctx.attr.hub_name
    repository_ctx.file("BUILD.bazel", "exports_files([\"requirements.bzl\"])\n")
    repository_ctx.file("requirements.bzl", _REQUIREMENTS_BZL.format(packages = repr(repository_ctx.attr.packages)))
    for name in repository_ctx.attr.packages:
        aliases = {name: "pkg"} | {target: target for target in _HUB_TARGETS}
        repository_ctx.file("{}/BUILD.bazel".format(name), "\n".join(
            ["package(default_visibility = [\"//visibility:public\"])\n"] +
            [
                "alias(\n    name = {},\n    actual = {},\n)\n".format(
                    repr(alias),
                    repr("@{}_{}//:{}".format(hub_name, name, target)),
                )
                for alias, target in aliases.items()
            ],
        ))

hub_repository = repository_rule(
    implementation = _hub_repository_impl,
    doc = "Aliases @HUB//PACKAGE and @HUB//PACKAGE:TARGET to the repositories of the wheels.",
    attrs = {
        "hub_name": attr.string(mandatory = True),
        "packages": attr.string_list(mandatory = True),
    },
)
