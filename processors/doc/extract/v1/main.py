"""doc/extract@1: a document in, clean Markdown text and metadata out.

The document's name says what it claims to be; its bytes must agree. Everything that needs a library
lies in ``provider.py``, which is imported in real mode alone.
"""

from __future__ import annotations

from processors.protocol import digests, shapes
from processors.protocol.canonical import Json
from processors.protocol.errors import inputs_error
from processors.protocol.runtime import Job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from processors.doc.extract.v1.provider import Document

# Ending → format.
FORMATS = {
    "pdf": "pdf",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "docx": "docx",
    "md": "markdown",
    "markdown": "markdown",
    "txt": "text",
}

# Format → the library that reads it; named in breadcrumbs, in both modes.
LIBRARIES = {
    "pdf": "pypdfium2",
    "html": "markdownify",
    "docx": "mammoth",
    "markdown": "none",
    "text": "none",
}

# First bytes → what they are. Only PDF and ZIP are read; the others make a better message.
SIGNATURES = (
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"\x1f\x8b", "a gzip file"),
    (b"\x7fELF", "a program"),
)
BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")  # of UTF-16
HEAD_BYTES = 65_536  # enough to judge by; PDF allows its mark anywhere in the first 1,024


def run(job: Job) -> None:
    """Extract the attached document ``source``.

    Raises:
        ContractError: ``ERR_INPUTS``: no usable name, bytes that do not agree with it, or a
            document that is empty, too large, encrypted or corrupt.
    """
    name = _declared_name(job)
    ending = name.rpartition(".")[2].lower()
    wanted = FORMATS.get(ending)
    if wanted is None:
        known = ", ".join(f".{known}" for known in FORMATS)
        raise inputs_error("unsupported_format", f"the name's ending is none of {known}")
    path = job.artifact("source")
    with open(path, "rb") as file:
        _check_agreement(file.read(HEAD_BYTES), wanted)
    with job.provider_call(LIBRARIES[wanted], "extract"):
        document = _read(job, path, wanted) if job.mode == "real" else _mock(path, wanted)
    text, metadata = document
    if not text.strip():
        raise inputs_error("no_text", f"the {wanted} document holds no text")
    data = text.encode("utf-8")
    limit = job.limit("max_output_bytes")
    if len(data) > limit:
        raise inputs_error("input_too_large", f"the text has {len(data)} bytes; at most {limit}")
    job.write("text.md", data, mime="text/markdown")
    job.write_json(
        "metadata.json",
        {
            "format": wanted,
            **metadata,
            "characters": len(text),
            "words": len(text.split()),
        },
    )


def _read(job: Job, path: str, wanted: str) -> tuple[str, dict[str, Json]]:
    from processors.doc.extract.v1 import provider  # the libraries are heavy, and real mode's alone

    document: Document = provider.read(
        path,
        wanted,
        pages_max=job.limit("max_pages"),
        text_bytes_max=job.limit("max_output_bytes"),
    )
    return document.text, {
        "title": document.title,
        "language": document.language,
        "pages": document.pages,
    }


def _mock(path: str, wanted: str) -> tuple[str, dict[str, Json]]:
    """The same text for the same bytes, without reading the document."""
    digest, size = digests.of_file(path)
    text = f"# Mock extraction\n\nA {wanted} document of {size} bytes, {digest}.\n"
    return text, {"title": "Mock extraction", "language": None, "pages": None}


def _declared_name(job: Job) -> str:
    """The name the caller gives, else the artifact's own; an attached file has none."""
    name = shapes.text(job.inputs, "filename") if "filename" in job.inputs else ""
    name = name or job.artifact_name("source")
    if "." not in name:
        raise inputs_error(
            "schema_violation", "inputs.filename is needed: the artifact's path has no file ending"
        )
    return name


def _check_agreement(head: bytes, wanted: str) -> None:
    """Refuse a document whose first bytes contradict its name."""
    if wanted == "pdf" and b"%PDF-" in head[:1024]:
        return
    seen = _kind(head)
    expected = {"pdf": "pdf", "docx": "zip"}.get(wanted, "text")
    if wanted == "docx" and seen == "ole":
        raise inputs_error(
            "encrypted_document", "the .docx is an OLE file: encrypted, or of Word 97 to 2003"
        )
    if wanted == "html" and (seen == "html" or (seen == "text" and b"<" in head)):
        return
    if wanted == "html" and seen == "text":
        expected = "html"
    if seen != expected:
        what = {
            "pdf": "a PDF document",
            "html": "an HTML page",
            "zip": "a ZIP archive",
            "ole": "an OLE file",
            "text": "plain text",
        }.get(seen, seen)
        raise inputs_error("format_mismatch", f"the name says {wanted}, the content is {what}")


def _kind(head: bytes) -> str:
    for signature, name in SIGNATURES:
        if head.startswith(signature):
            return name
    if b"\0" in head and not head.startswith(BYTE_ORDER_MARKS):
        return "binary data"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:14].lower()
    return "html" if start.startswith((b"<!doctype html", b"<html")) else "text"
