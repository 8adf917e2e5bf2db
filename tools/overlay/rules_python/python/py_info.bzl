"""Public name of PyInfo."""

load("//python/private:providers.bzl", _PyInfo = "PyInfo")

PyInfo = _PyInfo
