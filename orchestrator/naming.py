"""The one name of a Modal app, for whoever deploys it and for whoever looks it up.

A name is plain or hashed, and no two (ref, branch, user) of an environment share one:

* Plain: every part is of ``[a-z0-9]+`` and the whole fits. Parts hold no separator, so a plain name
  splits into them again: three in staging and main, five in dev (three for the fallback).
* Hashed: anything else, as its readable rest and a tail, 24 hex digits of a SHA-256 over the parts
  as they were given, each after its length. Two of n names collide by chance with a probability
  below n²/2⁹⁷; to hit the name of another takes 2⁹⁶ tries.
* A plain name is never a hashed one: its last part is shorter than a tail, and no tail has a
  separator.

None looks like an app's id at Modal (``ap-`` and 22 letters or digits): a plain name has two
separators or more, and a tail has 24 digits.

Letters are lowered in ASCII only: what Unicode calls a letter changes with Python's version.
Nothing here reads a clock, an environment, git or a login.
"""

from __future__ import annotations

from orchestrator.lanes import LANES
from processors.protocol import digests
from processors.protocol.errors import inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from processors.protocol.refs import Ref

# A Modal environment is called like its lane.
ENVIRONMENTS = tuple(lane for lane, policy in LANES.items() if "modal" in policy.adapters)
PERSONAL = "dev"  # the environment where each branch and user has apps of their own

NAME_GRAMMAR = "[a-z0-9]+(-[a-z0-9]+)+"
NAME_CHARS_MAX = 64  # Modal's limit
TAIL_CHARS = 24

_WORD = frozenset("abcdefghijklmnopqrstuvwxyz0123456789")


def modal_app_name_from_ref(
    ref: Ref, env: str, branch: str | None = None, user: str | None = None
) -> str:
    """Return the app's name, of ``NAME_GRAMMAR`` and at most ``NAME_CHARS_MAX`` characters.

    In dev ``<branch>-<user>-<ns>-<name>-v<ver>``, or without a branch or a user the canonical name;
    ``missing_parts`` says when. In staging and main the canonical ``<ns>-<name>-v<ver>``.

    Args:
        ref: The processor.
        env: One of ``ENVIRONMENTS``.
        branch: Any text, in dev. An empty one is a branch like any other, and None is none.
        user: Likewise.

    Raises:
        ContractError: ``ERR_INPUTS`` for an environment without apps, and for a branch or a user
            outside dev: ignoring it would give two callers one app that each takes for its own.
    """
    if env not in ENVIRONMENTS:
        allowed = ", ".join(ENVIRONMENTS)
        raise inputs_error("bad_value", f"apps have names in the environments {allowed} alone")
    if env != PERSONAL and not (branch is None and user is None):
        raise inputs_error("bad_value", f"an app in {env} belongs to no branch and to no user")

    parts = [ref.ns, ref.name, f"v{ref.version}"]
    if branch is not None and user is not None:
        parts = [branch, user, *parts]
    name = "-".join(parts)
    if len(name) <= NAME_CHARS_MAX and len(parts[-1]) < TAIL_CHARS and all(map(_is_word, parts)):
        return name
    # The end stays when something must go: the ref says more about an app than its branch.
    room = NAME_CHARS_MAX - TAIL_CHARS - 1
    return f"{_readable(name)[-room:].lstrip('-')}-{_tail(parts)}"


def modal_secret_name(ref: Ref, env: str) -> str:
    """Return the name of the secret that holds a processor's values in an environment.

    It belongs to no branch and to no user, so it is called like the canonical app.
    """
    return modal_app_name_from_ref(ref, env)


def missing_parts(env: str, branch: str | None, user: str | None) -> tuple[str, ...]:
    """Name what a full name would need and was not given: the subject of the caller's one warning.

    Empty means that nothing is missing and there is nothing to warn of.
    """
    given = {"branch": branch, "user": user} if env == PERSONAL else {}
    return tuple(part for part, value in given.items() if value is None)


def _is_word(part: str) -> bool:
    return part != "" and _WORD.issuperset(part)


def _readable(text: str) -> str:
    """The words of a text in the grammar of names; never empty, as a version has a letter."""
    lowered = (chr(ord(char) + 32) if "A" <= char <= "Z" else char for char in text)
    spaced = "".join(char if char in _WORD else " " for char in lowered)
    return "-".join(spaced.split())


def _tail(parts: Sequence[str]) -> str:
    """A hash of the parts: with its length before it, each begins and ends in one way only."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    data = b"".join(b"%d:%b" % (len(part), part) for part in encoded)
    return digests.of_bytes(data).removeprefix("sha256:")[:TAIL_CHARS]
