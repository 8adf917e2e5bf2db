"""image_referrers: what accompanies an image, as OCI layouts whose subject is its index."""

load(":tree.bzl", "place", "wheel_files")

# What made the image and is pinned in the tree; each file is a material of its own.
_TOOLS = ["//:MODULE.bazel"]

def _described(ctx):
    """The processor.json among the files of the processor's rule."""
    found = [file for file in ctx.files.processor if file.basename == "processor.json"]
    if len(found) != 1:
        fail("{}: {} has no processor.json".format(ctx.label, ctx.attr.processor.label))
    return found[0]

def _common_args(ctx, kind, layout):
    args = ctx.actions.args()
    args.add("--kind", kind)
    args.add("--image", ctx.file.image.path)
    args.add("--processor", _described(ctx))
    args.add("--content-root", ctx.file.content_root)
    args.add("--base", ctx.file.base.path)
    args.add("--lock", ctx.file.lock)
    if ctx.file.base_lock:
        args.add("--base-lock", ctx.file.base_lock)
    args.add("--layout", layout.path)
    args.add("--digest", ctx.outputs.digest)
    return args

def _make(ctx, kind, more, inputs):
    layout = ctx.actions.declare_directory(ctx.label.name)
    files = [ctx.file.image, _described(ctx), ctx.file.content_root, ctx.file.base, ctx.file.lock]
    ctx.actions.run(
        executable = ctx.executable._make_referrer,
        arguments = [_common_args(ctx, kind, layout), more],
        inputs = depset(files + ctx.files.base_lock, transitive = [inputs]),
        outputs = [layout, ctx.outputs.digest],
        mnemonic = "MakeReferrer",
        progress_message = "Writing %{label}",
    )
    return [DefaultInfo(
        files = depset([layout]),
        runfiles = ctx.runfiles([layout, ctx.outputs.digest]),
    )]

_ATTRS = {
    "image": attr.label(allow_single_file = True, mandatory = True),
    "processor": attr.label(allow_files = True, mandatory = True),
    "content_root": attr.label(allow_single_file = True, mandatory = True),
    "base": attr.label(allow_single_file = True, mandatory = True),
    "base_lock": attr.label(allow_single_file = [".json"]),
    "lock": attr.label(allow_single_file = True, mandatory = True),
    "digest": attr.output(mandatory = True),
    "_make_referrer": attr.label(
        default = "//tools/build:make_referrer",
        executable = True,
        cfg = "exec",
    ),
}

def _sbom_impl(ctx):
    wheels = wheel_files(ctx.attr.wheels)
    for file in wheels.to_list():
        if file.extension != "whl":
            fail("{}: {} is no wheel".format(ctx.label, file.short_path))
    args = ctx.actions.args()
    args.add_all(wheels, before_each = "--wheel")
    return _make(ctx, "sbom", args, wheels)

_sbom = rule(
    implementation = _sbom_impl,
    doc = "The bill of materials of an image.",
    # By their ending, Bazel would refuse a target that has none, as of a processor without packages.
    attrs = _ATTRS | {"wheels": attr.label_list(allow_files = True)},
)

def _provenance_impl(ctx):
    args = ctx.actions.args()
    args.add("--target", "//{}:{}".format(ctx.attr.image.label.package, ctx.attr.image.label.name))
    args.add_all(ctx.files.protocol, before_each = "--protocol", map_each = place)
    args.add_all(ctx.files.tools, before_each = "--tool", map_each = place)
    return _make(ctx, "provenance", args, depset(ctx.files.protocol + ctx.files.tools))

_provenance = rule(
    implementation = _provenance_impl,
    doc = "The provenance statement of an image.",
    attrs = _ATTRS | {
        "protocol": attr.label_list(allow_files = True, mandatory = True),
        "tools": attr.label_list(allow_files = True, mandatory = True),
    },
)

def image_referrers(
        name,
        image,
        processor,
        content_root,
        base,
        protocol,
        base_lock = None,
        wheels = [],
        lock = "//:requirements_lock.txt",
        tools = _TOOLS,
        **kwargs):
    """Makes NAME_sbom and NAME_provenance, and the files NAME_sbom.digest and NAME_provenance.digest.

    Each is an OCI layout of one manifest, whose subject is the index and whose one layer is the
    document. A program that has ``:NAME_sbom`` in its ``data`` finds both the folder and the digest.

    Args:
      name: The image's name.
      image: The image index (``oci_image_index``), an OCI layout with real files in it.
      processor: The ``processor`` whose image it is; its ``processor.json`` has ref, repository and source root.
      content_root: The file with the digest of what runs, ``sha256:<hex>`` and a newline.
      base: The layer that every image of the index starts with, or an OCI layout whose layers they
        start with; anything else is an error.
      protocol: The files of the layers that every processor shares.
      base_lock: The lock of the base's Debian packages, in the form of ``tools/images/base.lock.json``. None
        if the base is no base of ours; the bill then names the base alone.
      wheels: The wheels of the image, as files or as ``@pypi//x:whl``, whose dependencies come along.
      lock: The lock that must hold each wheel's digest, and that ``processor`` was made with.
      tools: Files that pin what made the image.
      **kwargs: Common attributes.
    """
    common = dict(
        image = image,
        processor = processor,
        content_root = content_root,
        base = base,
        base_lock = base_lock,
        lock = lock,
        **kwargs
    )
    _sbom(
        name = name + "_sbom",
        digest = name + "_sbom.digest",
        wheels = wheels,
        **common
    )
    _provenance(
        name = name + "_provenance",
        digest = name + "_provenance.digest",
        protocol = protocol,
        tools = tools,
        **common
    )
