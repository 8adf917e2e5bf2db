"""py_command: a program that starts with one ``exec`` of the interpreter.

Bazel's ordinary launcher starts Python twice and drops its isolation flags; this one is eight lines
of sh (docs/decisions/0006-start-up.md has the figures).
"""

load(":python.bzl", "TOOLCHAIN", "python_runtime")
load(":tree.bzl", "TREE_ATTRS", "make_tree", "whl")

# -I: no variable and no folder of the caller's reaches the interpreter; -S: no site folder; -B: no
# bytecode is written; -X utf8: a file's name is the same text in every locale. A program's files lie
# beside its launcher, or around it where that is among another's files, also where it is started
# through a link. A folder above may be named like theirs, so they are looked for where they could be.
# Under "bazel run" the working folder is the runfiles; the caller's is restored.
# Python ends at once, without a word of ours, when its stdin is a folder; what takes the folder's place
# cannot be read either.
_LAUNCHER = """#!/bin/sh
case "$0" in /*) self=$0 ;; *) self=$PWD/$0 ;; esac
root=$self.runfiles
[ -d "$root" ] || root=${{self%.runfiles/*}}.runfiles
[ -d "$root/{tree}" ] || root=$(readlink -f "$self").runfiles
case "$PWD/" in "$root"/*) cd "${{BUILD_WORKING_DIRECTORY:-.}}" || exit 1 ;; esac
[ -d /dev/stdin ] && exec 0>/dev/null
exec {interpreter} -I -S -B -X utf8 "$root/{tree}/start.py" "$@"
"""

# Until the program takes signals, SIGINT ends it as SIGTERM does: at once and without a traceback.
_CALL = [
    "import _signal",
    "_signal.signal(_signal.SIGINT, _signal.SIG_DFL)",
    "import os",
    "from {module} import main",
    "os._exit(main(sys.argv[1:], tree.rpartition('/')[0]))",
]

def _py_command_impl(ctx):
    tree = make_tree(ctx, ctx.label.name + ".tree", [
        line.format(module = ctx.attr.module)
        for line in _CALL
    ])
    runtime = python_runtime(ctx)
    if runtime.interpreter:
        rlocation = ctx.workspace_name + "/" + runtime.interpreter.short_path
        interpreter = '"$root/{}"'.format(rlocation.replace(ctx.workspace_name + "/../", ""))
    else:
        interpreter = "'{}'".format(runtime.interpreter_path)
    launcher = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(
        launcher,
        _LAUNCHER.format(
            interpreter = interpreter,
            tree = ctx.workspace_name + "/" + tree.short_path,
        ),
        is_executable = True,
    )
    runfiles = ctx.runfiles(
        files = [launcher, tree],
        transitive_files = runtime.files,
    ).merge_all([target[DefaultInfo].default_runfiles for target in ctx.attr.data])
    return [DefaultInfo(executable = launcher, files = depset([launcher]), runfiles = runfiles)]

_py_command = rule(
    implementation = _py_command_impl,
    doc = "A program of the orchestrator.",
    attrs = TREE_ATTRS | {
        "module": attr.string(mandatory = True),
        "data": attr.label_list(),
    },
    executable = True,
    toolchains = [TOOLCHAIN],
)

def py_command(name, main, packages = [], data = [], **kwargs):
    """A program.

    Args:
      name: The command's name.
      main: The label of the py_module with ``main(argv, folder) -> int``; ``folder`` is the
        repository's root as the program sees it, with what ``data`` built below it.
      packages: Third-party packages (``@pypi//x``) that the program imports.
      data: What the program reads: processors.
      **kwargs: Common attributes.
    """
    label = native.package_relative_label(main)
    _py_command(
        name = name,
        module = (label.package + "/" + label.name).replace("/", "."),
        deps = [main],
        wheels = [whl(package) for package in packages],
        data = data,
        **kwargs
    )
