"""processor: a checked registry and the tree of files that runs, from source or in an image."""

load(":py_module.bzl", "py_module")
load(":python.bzl", "TOOLCHAIN")
load(":tree.bzl", "TREE_ATTRS", "make_tree", "whl")

_CALL = [
    "from {module}.main import run",
    "from processors.protocol.runtime import main",
    "main(run)",
]

def _describe(ctx, args, inputs, output):
    args.add("--registry", ctx.file.registry)
    args.add("--folder", ctx.label.package)
    ctx.actions.run(
        executable = ctx.executable._describe,
        arguments = [args],
        inputs = [ctx.file.registry] + inputs,
        outputs = [output],
        mnemonic = "DescribeProcessor",
        progress_message = "Checking the registry of %{label}",
    )

def _processor_impl(ctx):
    registry = ctx.actions.declare_file("registry.json")
    args = ctx.actions.args()
    args.add("--registry-out", registry)
    _describe(ctx, args, [], registry)

    source_root = ctx.actions.declare_file("source_root")
    tree = make_tree(
        ctx,
        "tree",
        [line.format(module = ctx.label.package.replace("/", ".")) for line in _CALL],
        extra = {registry.short_path: registry},
        source_root = source_root,
    )

    description = ctx.actions.declare_file("processor.json")
    args = ctx.actions.args()
    args.add("--processor-out", description)
    args.add("--source-root", source_root)
    args.add("--lock", ctx.file._lock)
    _describe(ctx, args, [source_root, ctx.file._lock], description)

    files = depset([description, tree])
    return [DefaultInfo(files = files, runfiles = ctx.runfiles(transitive_files = files))]

_processor = rule(
    implementation = _processor_impl,
    doc = "One processor: processor.json and the folder tree/ beside it.",
    attrs = TREE_ATTRS | {
        "registry": attr.label(allow_single_file = [".yaml"], mandatory = True),
        "_describe": attr.label(
            default = "//tools/build:describe_processor",
            executable = True,
            cfg = "exec",
        ),
        "_lock": attr.label(default = "//:requirements_lock.txt", allow_single_file = True),
    },
    toolchains = [TOOLCHAIN],
)

def processor(name, main_deps, provider_deps = [], packages = [], **kwargs):
    """A processor: main.py, registry.yaml and, if it has provider_deps, provider.py.

    Args:
      name: The target's name.
      main_deps: What main.py imports.
      provider_deps: What provider.py imports, third-party packages included.
      packages: The third-party packages (``@pypi//x``) of the tree.
      **kwargs: Common attributes.
    """
    native.exports_files(["registry.yaml"], visibility = ["//tests:__subpackages__"])
    if provider_deps:
        py_module(name = "provider", deps = provider_deps, **kwargs)
    py_module(
        name = "main",
        deps = main_deps + ([":provider"] if provider_deps else []),
        **kwargs
    )
    _processor(
        name = name,
        registry = "registry.yaml",
        deps = [":main", "//processors/protocol:runtime"],
        wheels = [whl(package) for package in packages],
        visibility = ["//:__pkg__", "//tests:__subpackages__", "//tools/bench:__pkg__"],
        **kwargs
    )
