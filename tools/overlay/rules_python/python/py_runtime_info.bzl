"""Public name of PyRuntimeInfo."""

load("//python/private:providers.bzl", _PyRuntimeInfo = "PyRuntimeInfo")

PyRuntimeInfo = _PyRuntimeInfo
