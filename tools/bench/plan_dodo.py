"""The steps of the plan benchmark as tasks for doit, in the folder that it is called in."""

from __future__ import annotations

import os
from collections.abc import Iterator


def task_extract() -> Iterator[dict[str, object]]:
    """One task a document."""
    for name in _names():
        source, text = f"artifacts/raw/{name}.pdf", f"artifacts/text/{name}/outputs/text.md"
        yield {
            "name": name,
            "actions": [f"extract {source} {text}"],
            "file_dep": [source],
            "targets": [text],
        }


def task_chat() -> Iterator[dict[str, object]]:
    """One task a text."""
    for name in _names():
        text = f"artifacts/text/{name}/outputs/text.md"
        reply = f"artifacts/chat/{name}/outputs/reply.md"
        yield {
            "name": name,
            "actions": [f"chat {text} {reply}"],
            "file_dep": [text],
            "targets": [reply],
        }


def _names() -> list[str]:
    return [name.removesuffix(".pdf") for name in sorted(os.listdir("artifacts/raw"))]
