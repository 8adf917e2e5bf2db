"""base_layer: the one layer of the base image."""

def _base_layer_impl(ctx):
    layer = ctx.actions.declare_file(ctx.label.name + ".tar.gz")
    args = ctx.actions.args()
    args.add("--lock", ctx.file.lock)
    args.add("--out", layer)
    args.add_all(ctx.files.packages)
    ctx.actions.run(
        executable = ctx.executable._pack,
        arguments = [args],
        inputs = ctx.files.packages + [ctx.file.lock],
        outputs = [layer],
        mnemonic = "PackBase",
        progress_message = "Packing the base image's layer %{label}",
    )
    return [DefaultInfo(files = depset([layer]))]

base_layer = rule(
    implementation = _base_layer_impl,
    doc = "NAME.tar.gz, from Debian packages and without their maintainer scripts.",
    attrs = {
        "lock": attr.label(allow_single_file = [".json"], mandatory = True),
        "packages": attr.label_list(allow_files = [".deb"], mandatory = True),
        "_pack": attr.label(
            default = "//tools/images:pack_base",
            executable = True,
            cfg = "exec",
        ),
    },
)
