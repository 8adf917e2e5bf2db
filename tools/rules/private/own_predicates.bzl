"""own_predicates: the table of the predicates that a repository adds, made of its modules."""

load(":py_module.bzl", "py_module")

# Families of the built-in predicates; another one of their name would be a second meaning.
_TAKEN = ["artifact", "goal", "json", "ledger", "receipt", "table", "text"]

def _source_impl(ctx):
    out = ctx.actions.declare_file("registered.py")
    names = sorted(ctx.attr.modules)
    lines = ['"""The predicates of this repository\'s own; written by the build."""', ""]
    lines += ["from predicates import {}".format(name) for name in names]
    lines += ["", "PREDICATES = {"]
    for name in names:
        lines.append("    **{{f\"{0}.{{what}}\": each for what, each in {0}.PREDICATES.items()}},".format(name))
    ctx.actions.write(out, "\n".join(lines + ["}", ""]))
    return [DefaultInfo(files = depset([out]))]

_source = rule(
    implementation = _source_impl,
    doc = "registered.py.",
    attrs = {"modules": attr.string_list(mandatory = True)},
)

def own_predicates(name, modules, **kwargs):
    """The module ``registered``, which the orchestrator imports.

    Args:
      name: The target's name; must be "registered".
      modules: The py_modules with a table PREDICATES; a module's name is its family's.
      **kwargs: Common attributes.
    """
    if name != "registered":
        fail("{}: own_predicates makes the module registered, and is named so".format(name))
    families = [native.package_relative_label(module).name for module in modules]
    for family in families:
        if family in _TAKEN:
            fail("{}: {} is a family of the built-in predicates".format(name, family))
    _source(name = name + "_source", modules = families)
    py_module(name = name, srcs = [":" + name + "_source"], deps = modules, **kwargs)
