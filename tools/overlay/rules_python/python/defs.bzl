"""Every public name that this stand-in has."""

load("//python/private:providers.bzl", _PyInfo = "PyInfo", _PyRuntimeInfo = "PyRuntimeInfo")
load(
    "//python/private:py_rules.bzl",
    _py_binary = "py_binary",
    _py_library = "py_library",
    _py_test = "py_test",
)

PyInfo = _PyInfo
PyRuntimeInfo = _PyRuntimeInfo
py_binary = _py_binary
py_library = _py_library
py_test = _py_test
