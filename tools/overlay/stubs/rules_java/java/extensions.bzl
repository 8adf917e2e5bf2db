"""The extension that Bazel's own tools use, with empty repositories behind its names."""

_NAMES = [
    "local_jdk",
    "remote_java_tools",
    "remote_java_tools_darwin_arm64",
    "remote_java_tools_darwin_x86_64",
    "remote_java_tools_linux",
    "remote_java_tools_windows",
]

_empty = repository_rule(
    implementation = lambda repository_ctx: repository_ctx.file("BUILD.bazel"),
)

def _toolchains_impl(_module_ctx):
    for name in _NAMES:
        _empty(name = name)

toolchains = module_extension(implementation = _toolchains_impl)
