"""What a deployment says of itself: tags of the app, in the form that fits. Pure.

A digest in hex has 64 digits, and neither a tag nor a deployment's label takes more than 63 or 50
characters; in base64url it has 43.
"""

from __future__ import annotations

import base64
import binascii

from processors.protocol import digests

DIGEST = "image-digest"
CONTENT_ROOT = "content-root"


def short(digest: str) -> str:
    """A digest in 43 characters."""
    data = bytes.fromhex(digest.removeprefix("sha256:"))
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def long(text: object) -> str | None:
    """The digest that a tag stands for, or None if it stands for none."""
    if not isinstance(text, str) or len(text) != 43:
        return None
    try:
        data = base64.b64decode(text + "=", altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    found = "sha256:" + data.hex()
    return found if digests.is_digest(found) and short(found) == text else None
