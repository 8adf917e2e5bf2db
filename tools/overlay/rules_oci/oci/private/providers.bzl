"""The provider, with the field that the workspace reads."""

CraneInfo = provider(
    doc = "How to start crane.",
    fields = {
        "binary": "File: the program",
    },
)
