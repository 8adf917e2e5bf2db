"""The rules: each is one run of layout.py, which knows the bytes."""

PYTHON = "@rules_python//python:toolchain_type"

# Attributes whose value is a file; layout.py reads it under the same name.
_SETTINGS = [
    "created",
    "entrypoint",
    "cmd",
    "exposed_ports",
    "volumes",
    "env",
    "labels",
    "annotations",
]

_PROGRAM = {
    "_program": attr.label(
        allow_single_file = True,
        default = Label("//oci/private:layout.py"),
    ),
}

def _run(ctx, verb, arguments, inputs, outputs, mnemonic):
    runtime = ctx.toolchains[PYTHON].py3_runtime
    first = ctx.actions.args()
    first.add_all(["-I", "-S", "-B", "-X", "utf8"])
    first.add(ctx.file._program)
    first.add(verb)
    ctx.actions.run(
        executable = runtime.interpreter_path,
        arguments = [first, arguments],
        inputs = depset([ctx.file._program], transitive = [inputs]),
        outputs = outputs,
        mnemonic = mnemonic,
        progress_message = mnemonic + " %{label}",
    )

def _check_platform(ctx):
    attr = ctx.attr
    if attr.base and (attr.os or attr.architecture or attr.variant):
        fail("{}: os, architecture and variant come from base; remove them or base".format(ctx.label))
    if not attr.base and not (attr.os and attr.architecture):
        fail("{}: without base, os and architecture are required".format(ctx.label))

def _described(ctx, number, tar):
    """What a tar is as a layer, in a file of its own, so that it is read when it has changed."""
    output = ctx.actions.declare_file("{}.layer{}.json".format(ctx.label.name, number))
    args = ctx.actions.args()
    args.add("--tar", tar)
    args.add("--label", tar.owner)
    args.add("--output", output)
    _run(ctx, "layer", args, depset([tar]), [output], "OCILayer")
    return output

def _oci_image_impl(ctx):
    _check_platform(ctx)
    output = ctx.actions.declare_directory(ctx.label.name)
    settings = [(kind, getattr(ctx.file, kind)) for kind in _SETTINGS if getattr(ctx.file, kind)]
    args = ctx.actions.args()
    args.add("--output", output.path)
    for kind, file in settings:
        args.add("--" + kind, file)
    for kind in ("architecture", "os", "variant", "user", "workdir"):
        if getattr(ctx.attr, kind):
            args.add(getattr(ctx.attr, kind), format = "--" + kind + "=%s")
    layers = []
    for number, tar in enumerate(ctx.files.tars):
        if tar.basename.endswith((".tzst", ".tar.zst")):
            fail("{}: {} is a zstd layer, which the overlay does not support; make it a .tar or .tar.gz".format(
                ctx.label,
                tar.short_path,
            ))
        described = _described(ctx, number, tar)
        layers.append(described)
        args.add("--layer", tar)
        args.add(tar.owner)  # As Args writes a label: the main repository has no name.
        args.add(described)

    # The layers are links out of the directory, so whoever uses it needs what they lead to.
    linked = [depset(ctx.files.tars)]
    if ctx.attr.base:
        args.add("--base", ctx.file.base.path)
        linked += [ctx.attr.base[DefaultInfo].files, ctx.attr.base[DefaultInfo].default_runfiles.files]
    inputs = depset([file for _, file in settings] + layers, transitive = linked)
    _run(ctx, "image", args, inputs, [output], "OCIImage")
    return [DefaultInfo(
        files = depset([output]),
        runfiles = ctx.runfiles(transitive_files = depset(transitive = linked)),
    )]

oci_image = rule(
    implementation = _oci_image_impl,
    attrs = _PROGRAM | {
        "annotations": attr.label(allow_single_file = True),
        "architecture": attr.string(),
        "base": attr.label(allow_single_file = True),
        "cmd": attr.label(allow_single_file = True),
        "created": attr.label(allow_single_file = True),
        "entrypoint": attr.label(allow_single_file = True),
        "env": attr.label(allow_single_file = True),
        "exposed_ports": attr.label(allow_single_file = True),
        "labels": attr.label(allow_single_file = True),
        "os": attr.string(),
        "tars": attr.label_list(allow_files = [".tar", ".tgz", ".tar.gz", ".tzst", ".tar.zst"]),
        "user": attr.string(),
        "variant": attr.string(),
        "volumes": attr.label(allow_single_file = True),
        "workdir": attr.string(),
    },
    toolchains = [PYTHON],
)

def _oci_image_index_impl(ctx):
    output = ctx.actions.declare_directory(ctx.label.name)
    args = ctx.actions.args()
    args.add("--output", output.path)
    args.add_all(ctx.files.images, before_each = "--image", expand_directories = False)
    linked = [image[DefaultInfo].default_runfiles.files for image in ctx.attr.images]
    _run(ctx, "index", args, depset(ctx.files.images, transitive = linked), [output], "OCIIndex")
    return [DefaultInfo(files = depset([output]))]

oci_image_index = rule(
    implementation = _oci_image_index_impl,
    attrs = _PROGRAM | {
        "images": attr.label_list(allow_empty = False, mandatory = True),
    },
    toolchains = [PYTHON],
)

def _layout_digest_impl(ctx):
    args = ctx.actions.args()
    args.add("--layout", ctx.file.layout.path)
    args.add("--index_json", ctx.outputs.index_json)
    args.add("--digest", ctx.outputs.digest)
    outputs = [ctx.outputs.index_json, ctx.outputs.digest]
    _run(ctx, "digest", args, depset([ctx.file.layout]), outputs, "OCIDigest")
    return [DefaultInfo(files = depset([ctx.outputs.index_json]))]

layout_digest = rule(
    implementation = _layout_digest_impl,
    doc = "The digest that a layout's index.json names, and a copy of index.json.",
    attrs = _PROGRAM | {
        "digest": attr.output(mandatory = True),
        "index_json": attr.output(mandatory = True),
        "layout": attr.label(allow_single_file = True, mandatory = True),
    },
    toolchains = [PYTHON],
)
