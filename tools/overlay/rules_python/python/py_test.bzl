"""Public name of py_test."""

load("//python/private:py_rules.bzl", _py_test = "py_test")

py_test = _py_test
