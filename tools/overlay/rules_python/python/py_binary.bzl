"""Public name of py_binary."""

load("//python/private:py_rules.bzl", _py_binary = "py_binary")

py_binary = _py_binary
