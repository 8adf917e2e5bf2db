"""The facts of deployments: what was deployed where, and whose secrets were sent.

``facts`` takes them into its closed set. No value of a secret is a fact, nor anything made from it.
"""

from __future__ import annotations

from orchestrator.world import grammar
from processors.protocol import digests, shapes
from processors.protocol.canonical import Json

# What an event of each type is written as today.
VERSIONS = {
    "deployment.made": 1,
    "deployment.unchanged": 1,
    "deployment.stopped": 1,
    "secrets.sending": 1,
    "secrets.synced": 1,
}


def _are_names(value: Json) -> bool:
    """Names of secrets: sorted, each once."""
    if not isinstance(value, list):
        return False
    words = [each for each in value if isinstance(each, str) and each]
    return len(words) == len(value) and words == sorted(set(words))


def _is_one(value: Json) -> bool:
    return shapes.problem(value, _SECRET, "secret") is None


def _are_secrets(value: Json) -> bool:
    """What each processor of the environment was given, by ref."""
    if not isinstance(value, list) or not all(_is_one(each) for each in value):
        return False
    refs = [shapes.text(each, "ref") for each in value]
    return refs == sorted(set(refs))


# One processor's part of a sync: its names, and the registry that asked for them.
_SECRET: shapes.Shape = {
    "ref": grammar.is_ref,
    "secret": shapes.is_text,
    "names": _are_names,
    "registry": digests.is_digest,
}

_PLACE: shapes.Shape = {
    "ref": grammar.is_ref,
    "environment": grammar.is_label,
    "app": shapes.is_text,
}

_DEPLOYED: shapes.Shape = {
    **_PLACE,
    "version": grammar.is_count_or_null,  # as Modal counts an app's deployments
    "digest": digests.is_digest,
    "content_root": digests.is_digest,
    "override": grammar.is_bool,
    "epoch": shapes.is_count,  # of the secrets that it has; 0 where there are none
}

SHAPES: dict[tuple[str, int], shapes.Shape] = {
    ("deployment.made", 1): _DEPLOYED,
    ("deployment.unchanged", 1): _DEPLOYED,
    ("deployment.stopped", 1): _PLACE,
    ("secrets.sending", 1): {"environment": grammar.is_label},
    ("secrets.synced", 1): {
        "environment": grammar.is_label,
        "epoch": grammar.is_positive,
        "names": _are_names,
        "secrets": _are_secrets,
    },
}
