"""The folder a program runs from: start.py, app/ with our sources, site-packages/ with wheels."""

load("@rules_python//python:py_info.bzl", "PyInfo")
load(":python.bzl", "run_script")

TREE_ATTRS = {
    "deps": attr.label_list(providers = [PyInfo], doc = "The modules; what they import comes along."),
    "wheels": attr.label_list(allow_files = [".whl"], doc = "Wheels; their dependencies come along."),
    "_make_tree": attr.label(default = "//tools/build:make_tree.py", allow_single_file = True),
}

def whl(package):
    """The wheel's label of a package label: ``@pypi//x`` → ``@pypi//x:whl``."""
    return package + ":whl"

def _is_ours(file):
    return not file.short_path.startswith("../")

def _place(file):
    return "{}={}".format(file.short_path, file.path)

def make_tree(ctx, name, call, extra = {}, source_root = None):
    """Declares the tree of a rule with TREE_ATTRS.

    Args:
      ctx: The rule's context.
      name: The folder's name.
      call: The lines that start.py ends with.
      extra: {place in app/: File} besides the sources of ``deps``.
      source_root: A File that takes the digest of app/, or None.

    Returns:
      The folder's File.
    """
    tree = ctx.actions.declare_directory(name)
    every = depset(transitive = [dep[PyInfo].transitive_sources for dep in ctx.attr.deps])
    ours = [file for file in every.to_list() if _is_ours(file)]
    wheels = depset(transitive = [
        part
        for wheel in ctx.attr.wheels
        for part in (wheel[DefaultInfo].files, wheel[DefaultInfo].default_runfiles.files)
    ])
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = True)
    args.set_param_file_format("multiline")
    args.add("--tree", tree.path)
    args.add_all(call, before_each = "--call")
    args.add_all(ours, before_each = "--source", map_each = _place)
    args.add_all(["{}={}".format(place, file.path) for place, file in extra.items()], before_each = "--source")
    args.add_all(wheels, before_each = "--wheel")
    if source_root:
        args.add("--root-out", source_root)
    run_script(
        ctx,
        ctx.file._make_tree,
        [args],
        depset(ours + extra.values(), transitive = [wheels]),
        [tree] + ([source_root] if source_root else []),
        "MakeTree",
        "Laying out %{label}",
    )
    return tree
