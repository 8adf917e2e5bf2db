"""The toolchain of the private root's crane.

The program is a shell script, because crane itself is linked against libraries that a built program
would not find when it runs outside the private root.
"""

load("@bazel_skylib//lib:shell.bzl", "shell")

# Stand-in beside stand-in: where the private root is should be said once.
# buildifier: disable=bzl-visibility
load("@rules_python//python/private:private_root.bzl", "private_root")
load(":providers.bzl", "CraneInfo")

_LAUNCHER = """#!/bin/sh
# Starts crane of the private root.
root={root}
libraries=$root/usr/lib/x86_64-linux-gnu
if ! [ -x "$root/usr/bin/crane" ]; then
    echo "$0: error: no crane at $root/usr/bin: the private root was removed." >&2
    echo "$0: run tools/bazel build, which prepares it again." >&2
    exit 1
fi
exec "$libraries/ld-linux-x86-64.so.2" --library-path "$libraries" "$root/usr/bin/crane" "$@"
"""

_BUILD = """\
load("@rules_oci//oci/private:crane.bzl", "private_crane_toolchain")

private_crane_toolchain(
    name = "crane_toolchain",
    crane = "crane",
)

toolchain(
    name = "toolchain",
    exec_compatible_with = [
        "@platforms//cpu:x86_64",
        "@platforms//os:linux",
    ],
    toolchain = ":crane_toolchain",
    toolchain_type = "@rules_oci//oci:crane_toolchain_type",
)
"""

def _private_crane_toolchain_impl(ctx):
    return [platform_common.ToolchainInfo(crane_info = CraneInfo(binary = ctx.executable.crane))]

private_crane_toolchain = rule(
    implementation = _private_crane_toolchain_impl,
    attrs = {
        "crane": attr.label(
            allow_single_file = True,
            cfg = "exec",
            executable = True,
            mandatory = True,
        ),
    },
)

def _private_crane_impl(repository_ctx):
    launcher = _LAUNCHER.format(root = shell.quote(private_root(repository_ctx)))
    repository_ctx.file("crane", launcher)
    repository_ctx.file("BUILD.bazel", _BUILD, executable = False)

_private_crane = repository_rule(implementation = _private_crane_impl)

def _crane_impl(_):
    _private_crane(name = "private_crane")

crane = module_extension(implementation = _crane_impl)
