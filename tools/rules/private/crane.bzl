"""crane_binary: the crane of rules_oci's toolchain, as a file of a fixed name."""

_TOOLCHAIN = "@rules_oci//oci:crane_toolchain_type"

def _crane_binary_impl(ctx):
    binary = ctx.toolchains[_TOOLCHAIN].crane_info.binary
    program = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(output = program, target_file = binary, is_executable = True)
    return [DefaultInfo(
        executable = program,
        files = depset([program]),
        runfiles = ctx.runfiles(files = [program, binary]),
    )]

crane_binary = rule(
    implementation = _crane_binary_impl,
    doc = "crane, the client of registries.",
    executable = True,
    toolchains = [_TOOLCHAIN],
)
