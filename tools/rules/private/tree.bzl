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

def place(file):
    """A source's argument: where it stands in the repository, and its file."""
    return "{}={}".format(file.short_path, file.path)

def own_sources(ctx):
    """The sources of a rule with TREE_ATTRS, but not those of packages: {place in app/: File}."""
    every = depset(transitive = [dep[PyInfo].transitive_sources for dep in ctx.attr.deps])
    return {
        file.short_path: file
        for file in every.to_list()
        if not file.short_path.startswith("../")
    }

def placed(sources):
    """Sources as the scripts take them: PLACE=FILE."""
    return ["{}={}".format(at, file.path) for at, file in sources.items()]

def wheel_files(targets):
    """Wheels and those that they depend on, as a depset of Files."""
    return depset(transitive = [
        part
        for target in targets
        for part in (target[DefaultInfo].files, target[DefaultInfo].default_runfiles.files)
    ])

def make_tree(ctx, name, call, sources = None):
    """Declares the tree of a rule with TREE_ATTRS.

    Args:
      ctx: The rule's context.
      name: The folder's name.
      call: The lines that start.py ends with.
      sources: {place in app/: File}; what ``own_sources`` says if None.

    Returns:
      The folder's File.
    """
    tree = ctx.actions.declare_directory(name)
    ours = own_sources(ctx) if sources == None else sources
    wheels = wheel_files(ctx.attr.wheels)
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = True)
    args.set_param_file_format("multiline")
    args.add("--tree", tree.path)
    args.add_all(call, before_each = "--call")
    args.add_all(placed(ours), before_each = "--source")
    args.add_all(wheels, before_each = "--wheel")
    run_script(
        ctx,
        ctx.file._make_tree,
        [args],
        depset(ours.values(), transitive = [wheels]),
        [tree],
        "MakeTree",
        "Laying out %{label}",
    )
    return tree
