"""Extension "config": only explicit_init_py, and only the one behaviour that exists here."""

def _config_impl(module_ctx):
    for module in module_ctx.modules:
        for tag in module.tags.explicit_init_py:
            if not tag.default:
                fail("explicit_init_py(default = False) is not supported: no __init__.py is ever added")

config = module_extension(
    implementation = _config_impl,
    tag_classes = {
        "explicit_init_py": tag_class(attrs = {"default": attr.bool(mandatory = True)}),
    },
)
