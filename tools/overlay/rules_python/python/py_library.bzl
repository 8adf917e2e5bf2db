"""Public name of py_library."""

load("//python/private:py_rules.bzl", _py_library = "py_library")

py_library = _py_library
