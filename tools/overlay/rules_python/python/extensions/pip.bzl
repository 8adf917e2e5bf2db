"""Extension "pip": one repository per locked wheel, fetched when a target needs it, and the hub."""

load("//python/private:private_root.bzl", "check_python_version", "run_wheels_program")
load("//python/private:wheel_repository.bzl", "hub_repository", "wheel_repository")

_PLATFORMS = ["linux_x86_64", "{os}_{arch}"]

def _check(tag):
    check_python_version("pip.parse of " + tag.hub_name, tag.python_version)
    for platform in tag.target_platforms:
        if platform not in _PLATFORMS:
            fail("pip.parse of {}: target_platforms has {}; the private root knows {}".format(
                tag.hub_name,
                repr(platform),
                " and ".join([repr(name) for name in _PLATFORMS]),
            ))

def _parse(module_ctx, tag):
    _check(tag)
    module_ctx.watch(tag.requirements_lock)
    locked = run_wheels_program(module_ctx, "reading {}".format(tag.requirements_lock), {
        "lock": str(module_ctx.path(tag.requirements_lock)),
    })
    for name, entry in locked.items():
        wheel_repository(
            name = "{}_{}".format(tag.hub_name, name),
            hub_name = tag.hub_name,
            locked = locked.keys(),
            **entry
        )
    hub_repository(name = tag.hub_name, hub_name = tag.hub_name, packages = locked.keys())

def _pip_impl(module_ctx):
    seen = {}
    for module in module_ctx.modules:
        for tag in module.tags.parse:
            if tag.hub_name in seen:
                fail("pip.parse: hub_name {} is used twice; here a hub has one lock".format(repr(tag.hub_name)))
            seen[tag.hub_name] = True
            _parse(module_ctx, tag)

pip = module_extension(
    implementation = _pip_impl,
    tag_classes = {
        "parse": tag_class(attrs = {
            "hub_name": attr.string(mandatory = True),
            "python_version": attr.string(mandatory = True),
            "requirements_lock": attr.label(mandatory = True, allow_single_file = True),
            "target_platforms": attr.string_list(),
        }),
    },
)
