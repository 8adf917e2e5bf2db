"""py_module: Python sources whose every import must resolve to a direct dependency.

The check is a validation action: it runs for each module in the transitive closure of whatever is
built or tested, so a forbidden or undeclared import is a build error, not a finding of some lane.
"""

load("@rules_python//python:py_info.bzl", "PyInfo")
load(":python.bzl", "TOOLCHAIN", "run_script")

def _dependency(target):
    """One line a file: what a direct dependency offers (only these may be imported)."""
    return [
        "{}\t{}".format(target.label, file.short_path)
        for file in target[DefaultInfo].files.to_list()
    ]

def _check(ctx):
    listing = ctx.actions.declare_file(ctx.label.name + ".direct_deps")
    lines = ctx.actions.args()
    lines.set_param_file_format("multiline")
    lines.add_all([line for dep in ctx.attr.deps for line in _dependency(dep)])
    ctx.actions.write(listing, lines)
    marker = ctx.actions.declare_file(ctx.label.name + ".imports_checked")
    args = ctx.actions.args()
    args.add("--target", str(ctx.label).replace("@@", ""))
    args.add("--deps", listing)
    args.add("--marker", marker)
    args.add_all(ctx.files.srcs, before_each = "--source")
    run_script(
        ctx,
        ctx.file._checker,
        [args],
        depset(ctx.files.srcs + [listing]),
        [marker],
        "CheckImports",
        "Checking imports of %{label}",
    )
    return marker

def _py_module_impl(ctx):
    sources = depset(
        ctx.files.srcs,
        transitive = [dep[PyInfo].transitive_sources for dep in ctx.attr.deps],
    )
    imports = depset(transitive = [dep[PyInfo].imports for dep in ctx.attr.deps])
    runfiles = ctx.runfiles(files = ctx.files.srcs + ctx.files.data).merge_all(
        [dep[DefaultInfo].default_runfiles for dep in ctx.attr.deps + ctx.attr.data],
    )
    return [
        DefaultInfo(files = depset(ctx.files.srcs), runfiles = runfiles),
        PyInfo(transitive_sources = sources, imports = imports),
        OutputGroupInfo(_validation = depset([_check(ctx)])),
    ]

_py_module = rule(
    implementation = _py_module_impl,
    doc = "Python sources of one module.",
    attrs = {
        "srcs": attr.label_list(allow_files = [".py"], mandatory = True),
        "deps": attr.label_list(providers = [PyInfo]),
        "data": attr.label_list(allow_files = True),
        "_checker": attr.label(
            default = "//tools/build:check_imports.py",
            allow_single_file = True,
        ),
    },
    toolchains = [TOOLCHAIN],
)

def py_module(name, srcs = None, deps = [], package = True, **kwargs):
    """One Python module.

    Args:
      name: The module's name; its file is NAME.py unless srcs says otherwise.
      srcs: The file, if it is not NAME.py.
      deps: What the module imports, directly; its package (``__init__.py``) is added.
      package: Whether the folder is a Python package; test folders are not.
      **kwargs: Common attributes; visibility is private unless given.
    """
    own_package = [":package"] if package and name != "package" else []
    _py_module(
        name = name,
        srcs = srcs or [name + ".py"],
        deps = own_package + deps,
        **kwargs
    )
