"""processor: a checked registry and the tree of files that runs, from source or in an image."""

load("@rules_python//python:py_library.bzl", "py_library")
load(":py_module.bzl", "py_module")
load(":python.bzl", "TOOLCHAIN", "run_script")
load(":tree.bzl", "TREE_ATTRS", "make_tree", "own_sources", "placed", "wheel_files", "whl")

ProcessorInfo = provider(
    doc = "What a processor consists of.",
    fields = {
        "call": "the lines that its start.py ends with",
        "description": "its processor.json",
        "sources": "{place in app/: File} of its own files and the protocol's",
        "wheels": "depset of its wheels",
    },
)

# What a module prints while it is imported goes to stderr, as all that it prints later; stdout is
# the envelope's.
_CALL = [
    "import os",
    "os.chdir(os.environ[\"TMPDIR\"])",
    "stdout = os.dup(1)",
    "os.dup2(2, 1)",
    "from {module}.main import run",
    "from processors.protocol.runtime import main",
    "os.dup2(stdout, 1)",
    "os.close(stdout)",
    "main(run)",
]

# A program of another language finds its folder and the signals as one that no interpreter started:
# Python ignores these two, and what is ignored stays so.
_EXEC_CALL = [
    "import os",
    "import signal",
    "os.chdir(os.environ[\"TMPDIR\"])",
    "signal.signal(signal.SIGPIPE, signal.SIG_DFL)",
    "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)",
    "program = tree + \"/app/{place}\"",
    "os.execv(program, [program, *sys.argv[1:]])",
]

def _check_registry(ctx):
    """Checks registry.yaml; returns what is known of it, and the processor's own copy."""
    checked = ctx.actions.declare_file("checked.json")
    registry = ctx.actions.declare_file("registry.json")
    args = ctx.actions.args()
    args.add("--registry", ctx.file.registry)
    args.add("--folder", ctx.label.package)
    programs = [ctx.file.program] if ctx.file.program else []
    args.add_all(programs, before_each = "--program")
    args.add("--registry-out", registry)
    args.add("--checked-out", checked)
    ctx.actions.run(
        executable = ctx.executable._check_registry,
        arguments = [args],
        inputs = [ctx.file.registry] + programs,
        outputs = [checked, registry],
        mnemonic = "CheckRegistry",
        progress_message = "Checking the registry of %{label}",
    )
    return checked, registry

def _describe(ctx, checked, sources):
    description = ctx.actions.declare_file("processor.json")
    args = ctx.actions.args()
    args.use_param_file("@%s", use_always = True)
    args.set_param_file_format("multiline")
    args.add("--checked", checked)
    args.add_all(placed(sources), before_each = "--source")
    args.add("--lock", ctx.file._lock)
    args.add("--out", description)
    run_script(
        ctx,
        ctx.file._describe,
        [args],
        depset([checked, ctx.file._lock] + sources.values()),
        [description],
        "DescribeProcessor",
        "Describing %{label}",
    )
    return description

def _processor_impl(ctx):
    checked, registry = _check_registry(ctx)
    program = ctx.file.program
    if program:
        place = "{}/{}".format(ctx.label.package, program.basename)
        if place == registry.short_path:
            fail("{}: {} is the registry's name".format(ctx.label, program.basename))
        call = [line.format(place = place) for line in _EXEC_CALL]
        sources = {place: program}
    else:
        call = [line.format(module = ctx.label.package.replace("/", ".")) for line in _CALL]
        sources = own_sources(ctx)
    sources = sources | {registry.short_path: registry}
    tree = make_tree(ctx, "tree", call, sources = sources)
    description = _describe(ctx, checked, sources)
    files = depset([description, tree])
    return [
        DefaultInfo(files = files, runfiles = ctx.runfiles(transitive_files = files)),
        ProcessorInfo(
            call = call,
            description = description,
            sources = sources,
            wheels = wheel_files(ctx.attr.wheels),
        ),
    ]

_processor = rule(
    implementation = _processor_impl,
    doc = "One processor: processor.json and the folder tree/ beside it.",
    attrs = TREE_ATTRS | {
        "program": attr.label(allow_single_file = True, doc = "What starts, if main.py does not."),
        "registry": attr.label(allow_single_file = [".yaml"], mandatory = True),
        "_check_registry": attr.label(
            default = "//tools/build:check_registry",
            executable = True,
            cfg = "exec",
        ),
        "_describe": attr.label(
            default = "//tools/build:describe_processor.py",
            allow_single_file = True,
        ),
        "_lock": attr.label(default = "//:requirements_lock.txt", allow_single_file = True),
    },
    toolchains = [TOOLCHAIN],
)

def processor(name, main_deps = None, program = None, provider_deps = [], packages = [], **kwargs):
    """A processor: registry.yaml, and main.py with provider.py if it has provider_deps, or a program.

    Args:
      name: The target's name.
      main_deps: What main.py imports.
      program: In place of main_deps, the label of the one file that is started; its name is the
        registry's entrypoint.
      provider_deps: What provider.py imports, third-party packages included.
      packages: The third-party packages (``@pypi//x``) of the tree.
      **kwargs: Common attributes.
    """
    if (main_deps == None) == (program == None):
        fail("{}: a processor has either main_deps or program".format(name))
    if program and (provider_deps or packages):
        fail("{}: a program imports neither provider.py nor packages".format(name))
    native.exports_files(["registry.yaml"], visibility = ["//tests:__subpackages__"])

    # What is imported that is not of this repository: who checks the types of main.py needs it too.
    py_library(
        name = "third_party",
        deps = [dep for dep in provider_deps if dep.startswith("@")],
        visibility = ["//tests/lint:__pkg__"],
        **kwargs
    )
    if provider_deps:
        py_module(name = "provider", deps = provider_deps, **kwargs)
    if not program:
        py_module(
            name = "main",
            deps = main_deps + ([":provider"] if provider_deps else []),
            **kwargs
        )
    _processor(
        name = name,
        registry = "registry.yaml",
        program = program,
        deps = [] if program else [":main", "//processors/protocol:runtime"],
        wheels = [whl(package) for package in packages],
        visibility = ["//:__pkg__", "//tests:__subpackages__", "//tools/bench:__subpackages__"],
        **kwargs
    )
