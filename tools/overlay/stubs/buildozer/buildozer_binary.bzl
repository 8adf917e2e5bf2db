"""The extension that Bazel's own tools use, with an empty repository behind its name."""

_empty = repository_rule(
    implementation = lambda repository_ctx: repository_ctx.file("BUILD.bazel"),
)

buildozer_binary = module_extension(
    implementation = lambda _module_ctx: _empty(name = "buildozer_binary"),
)
