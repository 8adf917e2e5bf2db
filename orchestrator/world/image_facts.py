"""The facts of images: what build, push and pin have left.

``facts`` takes them into its closed set. No folder of a machine is a fact.
"""

from __future__ import annotations

from orchestrator.world import grammar
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json

# What an event of each type is written as today.
VERSIONS = {
    "image.built": 1,
    "image.pushed": 1,
    "image.pinned": 1,
}


def _is_word(value: Json) -> bool:
    """ASCII without a blank, as repositories and platforms are."""
    return isinstance(value, str) and value != "" and all("!" <= each <= "~" for each in value)


def _are_platforms(value: Json) -> bool:
    """Platforms as an index has them: sorted, each once, at least one."""
    if not isinstance(value, list) or not value:
        return False
    words = [each for each in value if isinstance(each, str) and _is_word(each)]
    return len(words) == len(value) and words == sorted(set(words))


# Where an image was pushed to.
_PLACE: shapes.Shape = {
    "ref": grammar.is_ref,
    "digest": digests.is_digest,
    "kind": lambda value: value in ("registry", "layout"),
    "repository": _is_word,
}

SHAPES: dict[tuple[str, int], shapes.Shape] = {
    ("image.built", 1): {
        "ref": grammar.is_ref,
        "digest": digests.is_digest,
        "platforms": _are_platforms,
    },
    ("image.pushed", 1): _PLACE,
    ("image.pinned", 1): {**_PLACE, "previous": grammar.is_digest_or_null},
}
