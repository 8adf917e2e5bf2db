"""The providers, with the fields that the workspace reads."""

PyInfo = provider(
    doc = "What a Python target gives to those that depend on it.",
    fields = {
        "imports": "depset of runfiles paths that belong on sys.path",
        "transitive_sources": "depset of the .py files of the target and all its dependencies",
    },
)

PyRuntimeInfo = provider(
    doc = "The interpreter of a toolchain. Here always one outside the build, so a path and no file.",
    fields = {
        "files": "always None: the interpreter is not an output",
        "interpreter": "always None: the interpreter is not an output",
        "interpreter_path": "absolute path of the interpreter",
        "interpreter_version_info": "struct with major and minor",
        "python_version": "always \"PY3\"",
    },
)
