"""World paths: the one canonicaliser.

A canonical path starts with ``/`` and a known facet, is in Unicode normal form C, has no escape,
no ``.``, ``..`` or empty segment, at most 1,024 characters, and at most 255 bytes of UTF-8 a
segment (the limit of the file systems that hold it). ``canonical_path`` is idempotent, and
containment is always judged by segments, never by text.
"""

from __future__ import annotations

from processors.protocol.errors import inputs_error

FACETS = ("artifacts", "streams", "plan", "goals")
PATH_CHARS_MAX = 1_024
PREFIX_CHARS_MAX = 512  # leaves as much again for the names of outputs
SEGMENT_BYTES_MAX = 255

ATTACHED = "/artifacts/attached/"  # content-named files that a caller attached
EXECUTIONS = "/artifacts/execution/"  # one folder an execution: its determinism receipt

_PLAIN_STARTS = tuple(f"/{facet}/" for facet in FACETS)


def canonical_path(text: str) -> str:
    """Return the canonical form of a world path.

    Percent escapes are decoded once; an escape that hides a slash or yields another percent sign
    is refused, since a second decoding would then give another path.

    Raises:
        ContractError: ``ERR_INPUTS`` with one ``path_*`` reason for each rule.
    """
    if _is_plain(text):
        return text
    if not text.startswith("/"):
        raise inputs_error("path_not_absolute", f"world path {_show(text)} does not start with /")
    if len(text) > 12 * PATH_CHARS_MAX:  # a character of four bytes takes twelve when escaped
        raise inputs_error("path_too_long", f"a world path has {len(text)} characters")
    segments = [_segment(raw, text) for raw in text[1:].split("/")]
    path = "/" + "/".join(segments)
    if len(path) > PATH_CHARS_MAX:
        raise inputs_error(
            "path_too_long", f"world path of {len(path)} characters; at most {PATH_CHARS_MAX}"
        )
    if segments[0] not in FACETS:
        known = ", ".join(f"/{facet}/" for facet in FACETS)
        raise inputs_error(
            "path_unknown_facet", f"world path {_show(text)} starts with none of {known}"
        )
    return path


def canonical_prefix(text: str) -> str:
    """Return the canonical form of a write prefix: a folder under /artifacts/, with its slash.

    Raises:
        ContractError: ``ERR_INPUTS`` with a ``path_*`` reason.
    """
    if not text.endswith("/"):
        raise inputs_error("path_bad_prefix", f"write prefix {_show(text)} does not end with /")
    path = canonical_path(text[:-1]) + "/"
    if not path.startswith("/artifacts/") or path == "/artifacts/":
        raise inputs_error(
            "path_bad_prefix", f"write prefix {_show(text)} is no folder under /artifacts/"
        )
    if len(path) > PREFIX_CHARS_MAX:
        raise inputs_error(
            "path_too_long", f"write prefix of {len(path)} characters; at most {PREFIX_CHARS_MAX}"
        )
    for reserved in (ATTACHED, EXECUTIONS):
        if is_under(path, reserved):
            raise inputs_error("path_bad_prefix", f"write prefix lies under {reserved} (reserved)")
    return path


def is_under(path: str, folder: str) -> bool:
    """Whether a canonical path is a folder (with its slash) or lies in it, by segments."""
    return path == folder or path.startswith(folder)


def receipt_path(write_prefix: str) -> str:
    """Where the receipt of an execution lies in its write prefix."""
    return write_prefix + "receipt.json"


def determinism_path(execution_id: str) -> str:
    """Where the receipt's copy lies, found by execution id alone."""
    return f"{EXECUTIONS}{execution_id}/determinism.json"


def inputs_path(execution_id: str) -> str:
    """Where an execution's inputs lie."""
    return f"{EXECUTIONS}{execution_id}/inputs.json"


def envelope_path(execution_id: str) -> str:
    """Where the envelope lies that an execution was answered with."""
    return f"{EXECUTIONS}{execution_id}/envelope.json"


def index_path(write_prefix: str) -> str:
    """Where the list of outputs lies."""
    return write_prefix + "outputs.json"


def _is_plain(text: str) -> bool:
    """Whether a path is canonical at a glance, as nearly all are; the rules judge the others."""
    return (
        text.startswith(_PLAIN_STARTS)
        and len(text) <= SEGMENT_BYTES_MAX
        and text.isascii()
        and text.isprintable()
        and "%" not in text
        and "//" not in text
        and "/." not in text
        and text[-1] != "/"
    )


def _segment(raw: str, whole: str) -> str:
    text = raw
    if "%" in raw:
        text = _decode(raw, whole)
    if not text.isascii():
        import unicodedata  # only paths outside ASCII pay for it

        text = unicodedata.normalize("NFC", text)
    if not text:
        raise inputs_error("path_empty_segment", f"world path {_show(whole)} has an empty segment")
    if text in (".", ".."):
        raise inputs_error("path_dot_segment", f"world path {_show(whole)} has a {text} segment")
    # Control characters are not printable; the first test is fast and nearly always enough.
    if not text.isprintable() and any(char < " " or "\x7f" <= char <= "\x9f" for char in text):
        raise inputs_error("path_bad_character", f"world path {_show(whole)}: control character")
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise inputs_error(
            "path_bad_character", f"world path {_show(whole)} has a lone surrogate"
        ) from None
    if size > SEGMENT_BYTES_MAX:
        raise inputs_error(
            "path_too_long", f"a world path segment has {size} bytes; at most {SEGMENT_BYTES_MAX}"
        )
    return text


def _decode(raw: str, whole: str) -> str:
    """Decode percent escapes (RFC 3986 section 2.1) once."""
    out = bytearray()
    rest = raw
    while rest:
        before, mark, rest = rest.partition("%")
        out += before.encode("utf-8", "surrogatepass")
        if not mark:
            break
        try:
            value = bytes.fromhex(rest[:2]) if rest[:2].isalnum() else b""
        except ValueError:
            value = b""
        if len(value) != 1 or value == b"%":
            raise inputs_error(
                "path_bad_percent", f"world path {_show(whole)} has a % that is no single escape"
            )
        if value == b"/":
            raise inputs_error("path_encoded_slash", f"world path {_show(whole)} hides a slash")
        out += value
        rest = rest[2:]
    try:
        return out.decode("utf-8")
    except UnicodeDecodeError:
        raise inputs_error(
            "path_bad_percent", f"world path {_show(whole)}: its escapes are not UTF-8"
        ) from None


def _show(text: str) -> str:
    """A path for a message: printable, bounded."""
    return ascii(text[:80]) + ("..." if len(text) > 80 else "")
