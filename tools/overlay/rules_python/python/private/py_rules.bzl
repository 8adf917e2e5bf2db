"""py_binary, py_library and py_test.

A program is a shell script that finds its runfiles and replaces itself by the interpreter, which
runs a generated file that sets sys.path and then becomes the main file. The path is set inside the
process, not through PYTHONPATH: child processes must not inherit it, and the standard library must
come first.
"""

load("@bazel_skylib//lib:paths.bzl", "paths")
load("@bazel_skylib//lib:shell.bzl", "shell")
load(":providers.bzl", "PyInfo")

TOOLCHAIN_TYPE = Label("//python:toolchain_type")

_LAUNCHER = """#!/bin/sh
# Starts {label}.
set -eu
bootstrap={bootstrap}
interpreter={interpreter}

case $0 in
/*) program=$0 ;;
*) program=$PWD/$0 ;;
esac

# Beside the program, around it, or beside what it links to; an inherited RUNFILES_DIR comes last,
# because it may be another program's.
runfiles=
while [ -z "$runfiles" ]; do
    for candidate in "$program.runfiles" "${{program%.runfiles/*}}.runfiles"; do
        if [ -e "$candidate/$bootstrap" ]; then
            runfiles=$candidate
            break 2
        fi
    done
    [ -L "$program" ] || break
    target=$(readlink -- "$program")
    case $target in
    /*) program=$target ;;
    *) program=${{program%/*}}/$target ;;
    esac
done
if [ -z "$runfiles" ] && [ -e "${{RUNFILES_DIR-}}/$bootstrap" ]; then
    runfiles=$RUNFILES_DIR
fi
if [ -z "$runfiles" ]; then
    echo "$0: error: no runfiles: expected $0.runfiles/$bootstrap. Build {label} again." >&2
    exit 1
fi
if ! [ -x "$interpreter" ]; then
    echo "$0: error: no interpreter at $interpreter: the private root was removed." >&2
    echo "$0: run tools/bazel build {label}, which prepares it again." >&2
    exit 1
fi

export RUNFILES_DIR="$runfiles"
exec "$interpreter" -P -s "$runfiles/$bootstrap" "$@"
"""

_BOOTSTRAP = '''"""Becomes {main} after setting sys.path."""


def _start():
    import sys

    root = __file__[: -len({bootstrap})]
    main = root + {main}
    sys.path += [root[:-1], *(root + path for path in {imports})]
    sys.argv[0] = main
    with open(main, "rb") as source:
        code = compile(source.read(), main, "exec", dont_inherit=True)
    # The main file starts with the names of a fresh __main__ module, and no others.
    namespace = globals()
    del namespace["_start"]
    namespace.update(__doc__=None, __file__=main, __cached__=None)
    exec(code, namespace)


_start()
'''

def _rlocation(ctx, path):
    """Returns the path below the runfiles root of a short_path."""
    return paths.normalize(ctx.workspace_name + "/" + path)

def _own_imports(ctx):
    base = paths.join(ctx.label.workspace_name or ctx.workspace_name, ctx.label.package)
    found = []
    for entry in ctx.attr.imports:
        path = paths.normalize(paths.join(base, entry))
        if paths.is_absolute(entry) or path == ".." or path.startswith("../"):
            fail("{}: imports has {}, which leaves the runfiles; expected a path relative to the package".format(
                ctx.label,
                repr(entry),
            ))
        found.append(path)
    return found

def _py_info(ctx):
    infos = [dep[PyInfo] for dep in ctx.attr.deps]
    return PyInfo(
        imports = depset(
            _own_imports(ctx),
            transitive = [info.imports for info in infos],
            order = "preorder",  # Its own folders come before those of its dependencies.
        ),
        transitive_sources = depset(
            ctx.files.srcs,
            transitive = [info.transitive_sources for info in infos],
            order = "postorder",
        ),
    )

def _runfiles(ctx, files):
    others = ctx.attr.srcs + ctx.attr.deps + ctx.attr.data
    return ctx.runfiles(files = files + ctx.files.srcs + ctx.files.data).merge_all(
        [target[DefaultInfo].default_runfiles for target in others],
    )

def _py_library_impl(ctx):
    return [
        DefaultInfo(files = depset(ctx.files.srcs), runfiles = _runfiles(ctx, [])),
        _py_info(ctx),
    ]

def _main_file(ctx):
    if ctx.file.main:
        if ctx.file.main not in ctx.files.srcs:
            fail("{}: main is {}, which is not in srcs; add it there".format(ctx.label, ctx.file.main.short_path))
        return ctx.file.main
    wanted = paths.join(ctx.label.package, ctx.label.name + ".py")
    for file in ctx.files.srcs:
        if file.short_path == wanted:
            return file
    fail("{}: no main file: srcs has no {}.py; add it or set main".format(ctx.label, ctx.label.name))

def _py_executable_impl(ctx):
    if ctx.attr.legacy_create_init == 1:
        fail("{}: legacy_create_init = 1 is not supported: write the __init__.py files".format(ctx.label))
    py_info = _py_info(ctx)
    runtime = ctx.toolchains[TOOLCHAIN_TYPE].py3_runtime

    bootstrap = ctx.actions.declare_file("_{}.bootstrap.py".format(ctx.label.name))
    bootstrap_path = _rlocation(ctx, bootstrap.short_path)
    ctx.actions.write(bootstrap, _BOOTSTRAP.format(
        bootstrap = repr(bootstrap_path),
        imports = repr(py_info.imports.to_list() + [ctx.workspace_name]),
        main = repr(_rlocation(ctx, _main_file(ctx).short_path)),
    ))

    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.write(executable, is_executable = True, content = _LAUNCHER.format(
        bootstrap = shell.quote(bootstrap_path),
        interpreter = shell.quote(runtime.interpreter_path),
        label = ctx.label,
    ))

    expanded = {
        name: ctx.expand_location(value, ctx.attr.data)
        for name, value in ctx.attr.env.items()
    }
    return [
        DefaultInfo(
            executable = executable,
            files = depset([executable] + ctx.files.srcs),
            runfiles = _runfiles(ctx, [executable, bootstrap]),
        ),
        RunEnvironmentInfo(environment = expanded),
        py_info,
    ]

_LIBRARY_ATTRS = {
    "data": attr.label_list(allow_files = True, doc = "Files and targets needed at run time."),
    "deps": attr.label_list(providers = [PyInfo], doc = "Python targets that are imported."),
    "imports": attr.string_list(doc = "Folders for sys.path, relative to the package."),
    "srcs": attr.label_list(allow_files = [".py"], doc = "The .py files of this target."),
}

_EXECUTABLE_ATTRS = _LIBRARY_ATTRS | {
    "env": attr.string_dict(doc = "Environment under bazel run and bazel test; $(location) of data is expanded."),
    "legacy_create_init": attr.int(default = -1, values = [-1, 0, 1], doc = "Accepted as -1 and 0, which mean the same."),
    "main": attr.label(allow_single_file = [".py"], doc = "Main file, one of srcs; default NAME.py."),
}

py_library = rule(
    implementation = _py_library_impl,
    attrs = _LIBRARY_ATTRS,
    provides = [PyInfo],
)

py_binary = rule(
    implementation = _py_executable_impl,
    attrs = _EXECUTABLE_ATTRS,
    executable = True,
    toolchains = [TOOLCHAIN_TYPE],
)

py_test = rule(
    implementation = _py_executable_impl,
    attrs = _EXECUTABLE_ATTRS,
    test = True,
    toolchains = [TOOLCHAIN_TYPE],
)
