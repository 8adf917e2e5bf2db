"""The toolchain of the private root's interpreter."""

load(":providers.bzl", "PyRuntimeInfo")

def _private_py_toolchain_impl(ctx):
    major, minor = ctx.attr.python_version.split(".")
    runtime = PyRuntimeInfo(
        files = None,
        interpreter = None,
        interpreter_path = ctx.attr.interpreter_path,
        interpreter_version_info = struct(major = int(major), minor = int(minor)),
        python_version = "PY3",
    )
    return [platform_common.ToolchainInfo(py2_runtime = None, py3_runtime = runtime)]

private_py_toolchain = rule(
    implementation = _private_py_toolchain_impl,
    attrs = {
        "interpreter_path": attr.string(mandatory = True),
        "python_version": attr.string(mandatory = True),
    },
)
