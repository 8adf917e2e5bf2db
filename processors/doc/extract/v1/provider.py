"""The libraries behind doc/extract@1, one function for each format.

PDF by PDFium, DOCX by mammoth (which makes HTML of it), HTML by Beautiful Soup and markdownify. Each
library's errors are turned into ours where it is called, and nowhere else.
"""

from __future__ import annotations

import ctypes
import re
import zipfile
from collections import Counter
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError

import mammoth
import pypdfium2
from bs4 import BeautifulSoup
from markdownify import MarkdownConverter
from pypdfium2 import raw

from processors.protocol.errors import inputs_error

HTML_BYTES_MAX = 8_388_608  # a parsed page takes about fifty times its size in memory
UNZIPPED_BYTES_MAX = 268_435_456  # of a DOCX; more in 50 MiB is no document but a bomb

# What a page shows around its content, and what it does not show at all.
_NOISE = (
    "script", "style", "noscript", "template", "svg", "canvas", "iframe", "object",
    "nav", "aside", "footer", "form", "button", "dialog",
)  # fmt: skip
_BULLETS = re.compile(r"^[•◦▪‣·]\s*")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")


class _Line:
    """A line of a page: its text, its size in points, and where its baseline lies, in points."""

    __slots__ = ("baseline", "size", "text")

    def __init__(self, text: str, size: float, baseline: float) -> None:
        self.text = text
        self.size = size
        self.baseline = baseline


class Document:
    """What was found in a document; None where it does not say."""

    __slots__ = ("language", "pages", "text", "title")

    def __init__(
        self, text: str, title: str | None, language: str | None, pages: int | None
    ) -> None:
        self.text = _clean(text)
        self.title = _clean(title).strip() or None if title else None
        self.language = language.strip() or None if language else None
        self.pages = pages


def read(path: str, format_: str, *, pages_max: int, text_bytes_max: int) -> Document:
    """Read a document.

    Args:
        path: The file.
        format_: ``pdf``, ``html``, ``docx``, ``markdown`` or ``text``.
        pages_max: The most pages a PDF may have.
        text_bytes_max: Where reading stops: the caller refuses a longer text anyway.

    Raises:
        ContractError: ``ERR_INPUTS`` with reason ``corrupt_document``, ``encrypted_document`` or
            ``input_too_large``.
    """
    if format_ == "pdf":
        return _pdf(path, pages_max, text_bytes_max)
    if format_ == "docx":
        return _docx(path)
    with open(path, "rb") as file:
        data = file.read()
    if format_ == "html":
        return _html(data)
    text = _decode(data)
    heading = re.search(r"^# +(.+?)[ #]*$", text, re.MULTILINE) if format_ == "markdown" else None
    return Document(text, heading and heading[1], None, None)


# PDF


def _pdf(path: str, pages_max: int, text_bytes_max: int) -> Document:
    try:
        with pypdfium2.PdfDocument(path) as pdf:
            pages = len(pdf)
            if pages > pages_max:
                raise inputs_error("input_too_large", f"the PDF has {pages} pages of {pages_max}")
            lines: list[_Line] = []
            size = 0
            for index in range(pages):
                page = _page_lines(pdf, index)
                lines += page
                size += sum(len(line.text) for line in page)
                if size > text_bytes_max:
                    break
            return Document(
                _markdown(lines), pdf.get_metadata_value("Title"), _pdf_language(pdf), pages
            )
    except pypdfium2.PdfiumError as error:
        if error.err_code == raw.FPDF_ERR_PASSWORD:
            raise inputs_error("encrypted_document", "the PDF needs a password") from None
        raise inputs_error("corrupt_document", f"the PDF cannot be parsed: {error}") from None


def _page_lines(pdf: pypdfium2.PdfDocument, index: int) -> list[_Line]:
    """The lines of a page, placed by their first characters."""
    page = pdf[index]
    words = page.get_textpage()
    x, y = ctypes.c_double(), ctypes.c_double()
    try:
        found = []
        at = 0
        for text in words.get_text_range().split("\n"):
            if text.strip():
                raw.FPDFText_GetCharOrigin(words.raw, at, x, y)
                size = round(raw.FPDFText_GetFontSize(words.raw, at), 1)
                found.append(_Line(text.strip(), size, y.value))
            at += len(text) + 1
        return found
    finally:
        words.close()
        page.close()


def _pdf_language(pdf: pypdfium2.PdfDocument) -> str | None:
    """The document's own /Lang (ISO 32000-1 section 14.9.2), in UTF-16 with a final NUL."""
    buffer = bytearray(128)
    as_ushort = (raw.FPDF_WCHAR * 64).from_buffer(buffer)
    size = raw.FPDFCatalog_GetLanguage(pdf.raw, as_ushort, len(buffer))
    return buffer[: size - 2].decode("utf-16-le") if 2 < size <= len(buffer) else None


def _markdown(lines: list[_Line]) -> str:
    """Join lines to paragraphs, and make headings of what is set larger than the body."""
    weights: Counter[float] = Counter()
    for line in lines:
        weights[line.size] += len(line.text)
    body = weights.most_common(1)[0][0] if weights else 0.0
    larger = sorted({line.size for line in lines if line.size > 1.15 * body}, reverse=True)
    out: list[str] = []
    before: _Line | None = None
    for line in lines:
        bullet = _BULLETS.match(line.text)
        if before is not None and not bullet and _continues(before, line):
            out[-1] = _join(out[-1], line.text)
        elif line.size in larger:
            out.append(f"{'#' * min(larger.index(line.size) + 1, 4)} {line.text}")
        else:
            out.append(f"- {line.text[bullet.end() :]}" if bullet else line.text)
        before = line
    return "\n\n".join(out)


def _continues(before: _Line, line: _Line) -> bool:
    """Whether a line goes on with the one before: the same size, and the next one below it."""
    step = before.baseline - line.baseline
    return line.size == before.size and 0 <= step <= 1.35 * line.size


def _join(before: str, line: str) -> str:
    """Continue a paragraph; a hyphen at the line's end between letters is a division."""
    if re.search(r"[^\W\d_]-$", before) and line[:1].islower():
        return before[:-1] + line
    return f"{before} {line}"


# HTML and DOCX


def _html(data: bytes) -> Document:
    if len(data) > HTML_BYTES_MAX:
        raise inputs_error(
            "input_too_large", f"the page has {len(data)} bytes; at most {HTML_BYTES_MAX}"
        )
    try:
        soup = BeautifulSoup(data, "html.parser")
        title = soup.title.get_text() if soup.title else None
        root = soup.find("html")
        language = root.get("lang") if root else None
        for element in soup.find_all(_NOISE):
            element.decompose()
        for element in soup.select(
            '[hidden], [aria-hidden="true"], img[src^="data:"], img:not([src])'
        ):
            element.decompose()
        content = soup.find("main") or soup.find("article") or soup.body or soup
        text = MarkdownConverter(heading_style="atx", bullets="-").convert_soup(content)
    except RecursionError:
        raise inputs_error("corrupt_document", "the page is nested too deeply") from None
    return Document(text, title, str(language) if language else None, None)


def _docx(path: str) -> Document:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive)
            title, language = _docx_properties(archive)
        with open(path, "rb") as file:
            # An image becomes an element without a source, which the HTML step drops.
            images = mammoth.images.img_element(lambda _: {})
            html = mammoth.convert_to_html(file, convert_image=images).value
    except (zipfile.BadZipFile, KeyError, ValueError, ExpatError, ElementTree.ParseError) as error:
        kind = type(error).__name__
        raise inputs_error("corrupt_document", f"the DOCX cannot be parsed ({kind})") from None
    found = _html(f"<body>{html}</body>".encode())
    return Document(found.text, title, language, None)


def _check_archive(archive: zipfile.ZipFile) -> None:
    members = archive.infolist()
    if any(member.flag_bits & 1 for member in members):
        raise inputs_error("encrypted_document", "the DOCX has encrypted parts")
    size = sum(member.file_size for member in members)
    if size > UNZIPPED_BYTES_MAX:
        raise inputs_error(
            "input_too_large", f"the DOCX unpacks to {size} bytes; at most {UNZIPPED_BYTES_MAX}"
        )
    if "word/document.xml" not in archive.namelist():
        raise inputs_error("format_mismatch", "the ZIP archive holds no word/document.xml")


def _docx_properties(archive: zipfile.ZipFile) -> tuple[str | None, str | None]:
    """Title and language of the core properties (ECMA-376 part 2, section 8)."""
    if "docProps/core.xml" not in archive.namelist():
        return None, None
    core = ElementTree.fromstring(archive.read("docProps/core.xml"))  # noqa: S314
    dublin_core = "{http://purl.org/dc/elements/1.1/}"
    return core.findtext(dublin_core + "title"), core.findtext(dublin_core + "language")


# Text


def _decode(data: bytes) -> str:
    """Text by its byte order mark, else as UTF-8, else as Windows-1252 (as browsers do)."""
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ("utf-16",) if marked else ("utf-8-sig", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise inputs_error("corrupt_document", "the text is not UTF-8, UTF-16 or Windows-1252")


def _clean(text: str) -> str:
    """One kind of line end, no control characters, no trailing blanks, one empty line at most."""
    text = re.sub(r"\r\n?|[\u2028\u2029\f]", "\n", text)
    lines = [line.rstrip() for line in _CONTROL.sub("", text).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n") + "\n"
