"""Extension "python": one toolchain, the private root's interpreter, whoever asks."""

load("//python/private:private_root.bzl", "PYTHON_VERSION", "check_python_version", "private_python")

_BUILD = """\
load("@rules_python//python/private:py_toolchain.bzl", "private_py_toolchain")

private_py_toolchain(
    name = "runtime",
    interpreter_path = {interpreter_path},
    python_version = {python_version},
)

toolchain(
    name = "toolchain",
    target_compatible_with = [
        "@platforms//cpu:x86_64",
        "@platforms//os:linux",
    ],
    toolchain = ":runtime",
    toolchain_type = "@rules_python//python:toolchain_type",
)
"""

def _private_python_impl(repository_ctx):
    repository_ctx.file("BUILD.bazel", _BUILD.format(
        interpreter_path = repr(private_python(repository_ctx)),
        python_version = repr(PYTHON_VERSION),
    ))

_private_python = repository_rule(implementation = _private_python_impl)

def _python_impl(module_ctx):
    for module in module_ctx.modules:
        for tag in module.tags.defaults:
            check_python_version("python.defaults", tag.python_version)
        for tag in module.tags.toolchain:
            check_python_version("python.toolchain", tag.python_version)
    _private_python(name = "private_python")

_VERSION_TAG = tag_class(attrs = {"python_version": attr.string(mandatory = True)})

python = module_extension(
    implementation = _python_impl,
    tag_classes = {"defaults": _VERSION_TAG, "toolchain": _VERSION_TAG},
)
