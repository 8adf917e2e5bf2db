"""sources: every Python file of a package, for the checks that read the whole repository."""

def sources():
    """Declares ``:sources``; every package with Python files has it (a self check looks)."""
    native.filegroup(
        name = "sources",
        srcs = native.glob(["*.py"]),
        visibility = ["//tests:__subpackages__"],
    )
