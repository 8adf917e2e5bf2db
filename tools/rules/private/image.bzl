"""processor_image: a processor's image, its digest, and the test of what is in it.

Layers, from what changes seldom to what changes often: the base, the wheels, the protocol, the app
for Modal, the processor. Each is packed by our own rule, so that its bytes are the same on every machine; the
image is assembled by rules_oci.
"""

load("@rules_oci//oci:defs.bzl", "oci_image", "oci_image_index")
load("@rules_python//python:py_test.bzl", "py_test")
load(":processor.bzl", "ProcessorInfo")
load(":referrers.bzl", "image_referrers")
load(":tree.bzl", "placed")

LayerInfo = provider(
    doc = "A layer of a processor's image.",
    fields = {"files": "JSON file: the digest of each file, by its place in the processor's folder"},
)

_SHARED = "processors/protocol/"
_SHARED_FILES = ["processors/__init__.py"]  # the packages around it

_PACKER = {
    "_pack_layer": attr.label(
        default = "//tools/build:pack_layer",
        executable = True,
        cfg = "exec",
    ),
}

def _is_shared(file):
    return file.short_path.startswith(_SHARED) or file.short_path in _SHARED_FILES

def _pack(ctx, *, sources = {}, wheels = depset(), links = {}, more = None, inputs = [], outputs = []):
    """Packs one layer; returns the target's providers.

    Args:
      ctx: The rule's context; the layer is named after the target.
      sources: {place in app/: File}.
      wheels: A depset of wheels.
      links: {path in the image: what it leads to}.
      more: Further Args, or None.
      inputs: What they name.
      outputs: What they make.
    """
    layer = ctx.actions.declare_file(ctx.label.name + ".tar.gz")
    files = ctx.actions.declare_file(ctx.label.name + ".files.json")
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = True)
    args.set_param_file_format("multiline")
    args.add("--layer", layer)
    args.add("--files", files)
    args.add_all(placed(sources), before_each = "--source")
    args.add_all(wheels, before_each = "--wheel")
    args.add_all(["{}={}".format(at, to) for at, to in links.items()], before_each = "--link")
    ctx.actions.run(
        executable = ctx.executable._pack_layer,
        arguments = [args] + ([more] if more else []),
        inputs = depset(sources.values() + inputs, transitive = [wheels]),
        outputs = [layer, files] + outputs,
        env = {"PYTHONHASHSEED": "0"},
        mnemonic = "PackLayer",
        progress_message = "Packing layer %{label}",
    )
    return [DefaultInfo(files = depset([layer])), LayerInfo(files = files)]

def _packages_layer_impl(ctx):
    return _pack(ctx, wheels = ctx.attr.processor[ProcessorInfo].wheels)

_packages_layer = rule(
    implementation = _packages_layer_impl,
    doc = "The wheels of a processor.",
    attrs = _PACKER | {"processor": attr.label(mandatory = True, providers = [ProcessorInfo])},
)

def _wheels_impl(ctx):
    return [DefaultInfo(files = ctx.attr.processor[ProcessorInfo].wheels)]

_wheels = rule(
    implementation = _wheels_impl,
    doc = "The wheels of a processor, as files.",
    attrs = {"processor": attr.label(mandatory = True, providers = [ProcessorInfo])},
)

def _built_impl(ctx):
    targets = [ctx.attr.processor] + ctx.attr.parts
    files = depset(transitive = [target[DefaultInfo].files for target in targets])
    runfiles = ctx.runfiles(transitive_files = files)
    return [DefaultInfo(
        files = files,
        runfiles = runfiles.merge_all([target[DefaultInfo].default_runfiles for target in targets]),
    )]

_built = rule(
    implementation = _built_impl,
    doc = "All that a program needs to push and pin an image.",
    attrs = {
        "parts": attr.label_list(mandatory = True),
        "processor": attr.label(mandatory = True, providers = [ProcessorInfo]),
    },
)

def _protocol_layer_impl(ctx):
    sources = {file.short_path: file for file in ctx.files.srcs}
    return _pack(ctx, sources = sources, links = ctx.attr.links)

protocol_layer = rule(
    implementation = _protocol_layer_impl,
    doc = "Sources that are the same layer in every image: the protocol, the app for Modal.",
    attrs = _PACKER | {
        "links": attr.string_dict(doc = "{path in the image: what it leads to}"),
        "srcs": attr.label_list(allow_files = [".py"], mandatory = True),
    },
)

def _processor_layer_impl(ctx):
    processor = ctx.attr.processor[ProcessorInfo]
    outputs = {
        "--cmd": ctx.outputs.cmd,
        "--content-root": ctx.outputs.content_root,
        "--entrypoint": ctx.outputs.entrypoint,
        "--labels": ctx.outputs.labels,
    }
    below = [layer[LayerInfo].files for layer in ctx.attr.below]
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = True)
    args.set_param_file_format("multiline")
    args.add_all(processor.call, before_each = "--call")
    args.add("--description", processor.description)
    args.add_all(below, before_each = "--below")
    args.add("--licence", ctx.attr.licence)
    for flag, file in outputs.items():
        args.add(flag, file)
    return _pack(
        ctx,
        sources = {
            at: file
            for at, file in processor.sources.items()
            if not _is_shared(file)
        },
        more = args,
        inputs = [processor.description] + below,
        outputs = outputs.values(),
    )

_processor_layer = rule(
    implementation = _processor_layer_impl,
    doc = "A processor's own files, and what its image is known by.",
    attrs = _PACKER | {
        "below": attr.label_list(mandatory = True, providers = [LayerInfo]),
        "cmd": attr.output(mandatory = True),
        "content_root": attr.output(mandatory = True),
        "entrypoint": attr.output(mandatory = True),
        "labels": attr.output(mandatory = True),
        "licence": attr.string(mandatory = True),
        "processor": attr.label(mandatory = True, providers = [ProcessorInfo]),
    },
)

# What every container has, and nothing of the caller's; a local child has the same, but for its own
# folder in the place of TMPDIR, where a processor works.
_ENV = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONHASHSEED": "0",
    "TMPDIR": "/tmp",
    "TZ": "UTC",
}

# Python finds a module that it is told to run below the working folder, so Modal finds the app there.
_WORKDIR = "/opt/processor/app"

_USER = "65532:65532"  # nobody in particular, and not root

_BASE_LOCK = "//tools/images:base.lock.json"

# What our base is made of; a base that takes its place is described by its digest alone.
_LOCK_OF_BASE = select({
    "//tools/images/base:own": _BASE_LOCK,
    "//conditions:default": None,
})

_RUNNER = "//tools/testing:main.py"

def _ref(folder):
    """The ref that a processor's folder stands for."""
    parts = folder.split("/")[-3:]
    return "{}/{}@{}".format(parts[0], parts[1], parts[2].removeprefix("v"))

def _example_impl(ctx):
    out = ctx.actions.declare_file(ctx.label.name + ".json")
    places = {name: file.short_path for name, file in zip(ctx.attr.names, ctx.files.files)}
    document = {
        "files": places,
        "inputs": json.decode(ctx.attr.inputs),
        "ref": _ref(ctx.label.package),
    }
    ctx.actions.write(out, json.encode(document))
    return [DefaultInfo(
        files = depset([out]),
        runfiles = ctx.runfiles(files = [out] + ctx.files.files),
    )]

_example = rule(
    implementation = _example_impl,
    doc = "A processor's example for its tests, with the files that it attaches. It has no image.",
    attrs = {
        "files": attr.label_list(allow_files = True),
        "inputs": attr.string(mandatory = True, doc = "JSON."),
        "names": attr.string_list(doc = "What each of the files is attached as."),
    },
)

def _structure_test(name, image, example, **kwargs):
    """The test of what is in an image. It needs the base, so its lane is acceptance/pinned."""
    py_test(
        name = name,
        size = "medium",
        srcs = [_RUNNER],
        main = _RUNNER,
        args = ["--lane=acceptance_pinned", "tests/acceptance/pinned/test_structure.py"],
        data = [image, image + ".digest", example],
        env = {
            "IMAGE_DIGEST": "$(rootpath {}.digest)".format(image),
            "IMAGE_EXAMPLE": "$(rootpath {})".format(example),
            "IMAGE_LAYOUT": "$(rootpath {})".format(image),
        },
        tags = ["acceptance_pinned"],
        visibility = ["//tests/acceptance/pinned:__pkg__"],
        deps = [
            "//tests/acceptance/pinned:structure",
            "//tools/testing:runner",
        ],
        **kwargs
    )

def processor_image(
        name,
        example_inputs,
        example_files = {},
        processor = ":v1",
        base = "//tools/images/base",
        base_lock = _LOCK_OF_BASE,
        licence = "LicenseRef-Proprietary",
        **kwargs):
    """The image of a processor: ``NAME`` (an index), ``NAME.digest``, ``NAME_linux_amd64``.

    Also ``NAME_sbom`` and ``NAME_provenance``, which accompany it in a registry; ``NAME_built``, all of
    these for a program to read; ``NAME_example``, the example alone, for tests that need no image;
    and ``NAME_test``, the test of what is in it.

    Args:
      name: The target's name.
      example_inputs: Inputs that the processor answers in mock mode, for the test.
      example_files: {name: label} of what the example attaches.
      processor: The processor.
      base: The ``oci_image`` to build on: Python 3.13 at /usr/bin/python3.13 for linux/amd64.
      base_lock: The lock of the base's packages, or None if ``base`` is no base of ours.
      licence: The SPDX expression of the processor's licence.
      **kwargs: Common attributes.
    """
    shared = ["//processors/protocol:layer", "//modal_app:layer"]
    visibility = ["//:__pkg__", "//tests:__subpackages__", "//tools:__subpackages__"]
    _packages_layer(name = name + "_packages", processor = processor, **kwargs)
    _processor_layer(
        name = name + "_processor",
        processor = processor,
        below = [name + "_packages"] + shared,
        licence = licence,
        cmd = name + "_cmd",
        content_root = name + "_content_root",
        entrypoint = name + "_entrypoint",
        labels = name + "_labels",
        **kwargs
    )
    oci_image(
        name = name + "_linux_amd64",
        base = base,
        cmd = name + "_cmd",
        entrypoint = name + "_entrypoint",
        env = _ENV,
        labels = name + "_labels",
        tars = [name + "_packages"] + shared + [name + "_processor"],
        user = _USER,
        workdir = _WORKDIR,
        visibility = visibility,
        **kwargs
    )
    oci_image_index(
        name = name,
        images = [name + "_linux_amd64"],
        visibility = visibility,
        **kwargs
    )
    _wheels(name = name + "_wheels", processor = processor, **kwargs)
    image_referrers(
        name = name,
        base = base,
        base_lock = base_lock,
        content_root = name + "_content_root",
        image = name,
        processor = processor,
        protocol = ["//modal_app:files", "//processors/protocol:files"],
        visibility = visibility,
        wheels = [name + "_wheels"],
        **kwargs
    )
    _built(
        name = name + "_built",
        parts = [name, name + ".digest", name + "_sbom", name + "_provenance"],
        processor = processor,
        visibility = visibility,
        **kwargs
    )
    _example(
        name = name + "_example",
        files = example_files.values(),
        inputs = json.encode(example_inputs),
        names = example_files.keys(),
        visibility = ["//tests:__subpackages__"],
        **kwargs
    )
    _structure_test(name + "_test", ":" + name, ":" + name + "_example")
