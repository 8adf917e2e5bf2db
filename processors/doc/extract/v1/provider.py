"""The libraries behind doc/extract@1, one function for each format.

PDF by PDFium, DOCX by mammoth (which makes HTML of it), HTML by Beautiful Soup and markdownify.
Each library's errors are turned into ours where it is called, and nowhere else: whatever the bytes,
the answer is a ``Document`` or a ``ContractError``.
"""

from __future__ import annotations

import codecs
import ctypes
import gc
import itertools
import re
import zipfile
from collections import Counter
from xml.etree import ElementTree

import mammoth
import pypdfium2
from bs4 import BeautifulSoup, Tag
from bs4.dammit import EncodingDetector
from bs4.exceptions import ParserRejectedMarkup
from markdownify import MarkdownConverter
from pypdfium2 import raw

from processors.protocol.errors import ContractError, inputs_error

HTML_BYTES_MAX = 8_388_608  # a parsed page takes about fifty times its size in memory
UNZIPPED_BYTES_MAX = 268_435_456  # of a DOCX; more in 50 MiB is no document but a bomb
XML_BYTES_MAX = 33_554_432  # of a DOCX, without its images; a few million words
TITLE_CHARS_MAX = 1_000
LANGUAGE_CHARS_MAX = 35  # RFC 5646 section 4.4.1
HEADING_CHARS_MAX = 200
BODY_SHARE = 0.2  # a size that sets less of the text than this is not the body's

# What a page shows around its content, and what it does not show at all.
_NOISE = (
    "script", "style", "noscript", "template", "svg", "canvas", "iframe", "object",
    "nav", "aside", "footer", "dialog", "input", "button", "select", "textarea",
)  # fmt: skip
_UNSEEN = (
    '[hidden], [aria-hidden="true"], [role="navigation"], [role="search"], '
    'img[src^="data:"], img:not([src])'
)
_PERMALINKS = ("", "#", "¶", "§", "🔗", "\uf0c1")  # a heading's link to itself
_BULLETS = re.compile(r"^[•◦▪‣·]\s*")
_LETTER = re.compile(r"[^\W\d_]")
_NUMBER = "data-number"
_NATURAL = re.compile(r"[0-9]{1,9}")
_LIVE = re.compile(r"<(?=[A-Za-z/!?])|&(?=#?[0-9A-Za-z]+;)")
_BLANKS = re.compile(r"[ \t\r\n]{100,}")  # markdownify takes quadratic time for these
# What pages mean by their labels (WHATWG Encoding, section 4.2): those that Python does not know,
# by Python's names the larger sets that stand for some, and all that is taken.
_LABELS = {
    "iso-8859-8-i": "iso8859-8",
    "windows-874": "cp874",
    "windows-949": "cp949",
    "x-euc-jp": "euc_jp",
    "x-gbk": "gb18030",
    "x-mac-cyrillic": "mac-cyrillic",
    "x-sjis": "cp932",
}
_MEANT = {
    "ascii": "cp1252",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "iso8859-11": "cp874",
    "iso8859-9": "cp1254",
    "shift_jis": "cp932",
    "tis-620": "cp874",
    "utf-8": "utf-8-sig",
}
_WINDOWS = frozenset(["cp874", *(f"cp{number}" for number in range(1250, 1259))])
_ENCODINGS = _WINDOWS | {
    *("big5hkscs", "cp866", "cp932", "cp949", "euc_jp", "gb18030", "iso2022_jp", "koi8-r"),
    *("koi8-u", "mac-cyrillic", "mac-roman", "utf-8-sig"),
    *(f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
}
_SAME = "processors.doc.extract.same"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff]")


class _Line:
    """A line of a page: its text and size, and the baselines it starts and ends on, in points.

    They differ where PDFium has joined a divided word, and with it two lines.
    """

    __slots__ = ("end", "size", "start", "text")

    def __init__(self, text: str, size: float, start: float, end: float) -> None:
        self.text = text
        self.size = size
        self.start = start
        self.end = end


class _Converter(MarkdownConverter):
    """Markdownify (whose stub lacks these), with cells that cannot end early and text that is text.

    It counts the items before each one of a list, so each is shown to it as the first of a list
    that begins with its number; ``_number`` has put that there.
    """

    def escape(self, text: str, parent_tags: set[str]) -> str:
        return _inert(str(super().escape(text, parent_tags)))  # type: ignore[misc]

    def convert_li(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        if el.parent is not None and el.parent.name == "ol":  # elsewhere the page may say so itself
            alone = Tag(name="ol", attrs={"start": str(el[_NUMBER])})
            el = Tag(name="li")
            alone.append(el)
        return str(super().convert_li(el, text, parent_tags))  # type: ignore[misc]

    def convert_td(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        cell = text.replace("|", r"\|")
        return str(super().convert_td(el, cell, parent_tags))  # type: ignore[misc]

    def convert_th(self, el: Tag, text: str, parent_tags: set[str]) -> str:
        cell = text.replace("|", r"\|")
        return str(super().convert_th(el, cell, parent_tags))  # type: ignore[misc]


class Document:
    """What was found in a document; None where it does not say."""

    __slots__ = ("language", "pages", "text", "title")

    def __init__(
        self,
        text: str,
        title: str | None,
        language: str | None,
        pages: int | None,
        *,
        tidy: bool = True,
    ) -> None:
        self.text = _tidy(_clean(text)) if tidy else _clean(text)
        self.title = _short(title, TITLE_CHARS_MAX)
        self.language = _short(language, LANGUAGE_CHARS_MAX)
        self.pages = pages


def read(path: str, format_: str, *, pages_max: int, text_bytes_max: int) -> Document:
    """Read a document.

    Args:
        path: The file.
        format_: ``pdf``, ``html``, ``docx``, ``markdown`` or ``text``.
        pages_max: The most pages a PDF may have.
        text_bytes_max: The most text a PDF may hold.

    Raises:
        ContractError: ``ERR_INPUTS`` with reason ``corrupt_document``, ``encrypted_document``,
            ``bad_encoding`` or ``input_too_large``.
    """
    try:
        if format_ == "pdf":
            return _pdf(path, pages_max, text_bytes_max)
        if format_ == "docx":
            return _docx(path)
        with open(path, "rb") as file:
            data = file.read()
        return _html(data) if format_ == "html" else _text(data, format_)
    except (MemoryError, SystemError):  # out of memory, CPython may raise the second as well
        pass
    gc.collect()  # a half-read page is all cycles; without this, no memory to answer with
    raise inputs_error("input_too_large", "reading the document takes more memory than there is")


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
                    # Not left to the caller: cleaning could bring a cut text below the limit.
                    raise inputs_error(
                        "input_too_large", f"the text has more than {text_bytes_max} bytes"
                    )
            return Document(
                _markdown(lines), pdf.get_metadata_value("Title"), _pdf_language(pdf), pages
            )
    except UnicodeDecodeError:
        raise inputs_error("corrupt_document", "the PDF's title or language is not text") from None
    except pypdfium2.PdfiumError as error:
        if error.err_code == raw.FPDF_ERR_PASSWORD:
            raise inputs_error("encrypted_document", "the PDF needs a password") from None
        raise inputs_error("corrupt_document", f"the PDF cannot be parsed: {error}") from None


def _page_lines(pdf: pypdfium2.PdfDocument, index: int) -> list[_Line]:
    """The lines of a page; a line's size is that of its first letter, not of a bullet."""
    page = pdf[index]
    words = page.get_textpage()
    x, start, end = ctypes.c_double(), ctypes.c_double(), ctypes.c_double()

    def place(position: int) -> int:
        return int(raw.FPDFText_GetCharIndexFromTextIndex(words.raw, position))

    try:
        found = []
        at = 0
        for text in words.get_text_range().split("\n"):
            if text.strip():
                letter = _LETTER.search(text)
                first = place(at + _units(text[: letter.start()] if letter else ""))
                raw.FPDFText_GetCharOrigin(words.raw, first, x, start)
                last = place(at + _units(text.rstrip()) - 1)
                raw.FPDFText_GetCharOrigin(words.raw, last, x, end)
                size = round(raw.FPDFText_GetFontSize(words.raw, first), 1)
                found.append(_Line(text.strip(), size, start.value, end.value))
            at += _units(text) + 1
        return found
    finally:
        words.close()
        page.close()


def _units(text: str) -> int:
    """How long PDFium says that a text is: it counts in UTF-16, where some letters are two."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


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
    enough = BODY_SHARE * weights.total()
    # A listing in small print may be longer than the text around it, which is no heading for it.
    body = max((size for size, weight in weights.items() if weight >= enough), default=0.0)
    larger = sorted((size for size in weights if size > 1.15 * body), reverse=True)
    step_max = _step_max(lines)
    blocks: list[_Line] = []
    for line in lines:
        before = blocks[-1] if blocks and not _BULLETS.match(line.text) else None
        if before is not None and _continues(before, line, step_max):
            before.text += f" {line.text}"  # PDFium has joined divided words already
            before.end = line.end
        else:
            blocks.append(line)
    return "\n\n".join(_inert(_block(block, larger)) for block in blocks)


def _block(block: _Line, larger: list[float]) -> str:
    if bullet := _BULLETS.match(block.text):
        return f"- {block.text[bullet.end() :]}"
    heading = len(block.text) <= HEADING_CHARS_MAX and _LETTER.search(block.text)
    if block.size in larger and heading:
        return f"{'#' * min(larger.index(block.size) + 1, 4)} {block.text}"
    return block.text


def _step_max(lines: list[_Line]) -> float:
    """How far below a line the next one of its paragraph may lie, in sizes of the type.

    Most steps of a document are from line to line of a paragraph, so the commonest one tells how it
    is spaced. Steps below one size or above two and a half are none of these.
    """
    steps: Counter[float] = Counter()
    for before, line in itertools.pairwise(lines):
        step = before.end - line.start
        if line.size == before.size > 0 and line.size <= step <= 2.5 * line.size:
            steps[round(step / line.size, 1)] += 1
    return max(1.35, 1.15 * steps.most_common(1)[0][0]) if steps else 1.35


def _continues(before: _Line, line: _Line, step_max: float) -> bool:
    """Whether a line goes on with the one before: the same size, and the next one below it."""
    return line.size == before.size and 0 <= before.end - line.start <= step_max * line.size


# HTML and DOCX


def _html(data: bytes) -> Document:
    if len(data) > HTML_BYTES_MAX:
        raise inputs_error(
            "input_too_large", f"the page has {len(data)} bytes; at most {HTML_BYTES_MAX}"
        )
    try:
        soup = BeautifulSoup(_BLANKS.sub("\n", _decode_html(data)), "lxml")
        title = soup.title.get_text() if soup.title else None
        root = soup.find("html")
        language = root.get("lang") or root.get("xml:lang") if root else None
        for element in soup.find_all(_NOISE):
            element.decompose()
        for element in soup.select(_UNSEEN):
            element.decompose()
        for link in soup.select(":is(h1, h2, h3, h4, h5, h6) a[href^='#']"):
            if link.get_text().strip() in _PERMALINKS:
                link.decompose()
            else:
                link.unwrap()
        articles = soup.find_all("article")
        content = soup.find("main") or (articles[0] if len(articles) == 1 else soup.body) or soup
        _number(soup)
        _join_sections(soup)
        text = _Converter(heading_style="atx", bullets="-").convert_soup(content)
    except (RecursionError, ParserRejectedMarkup, ValueError):
        raise inputs_error(
            "corrupt_document", "the page is nested too deeply, or is no HTML"
        ) from None
    return Document(text, title, str(language) if language else None, None)


def _number(soup: BeautifulSoup) -> None:
    """Give each item of an ordered list its number, and take away numbers that are none."""
    for items in soup.find_all("ol"):
        first = str(items.get("start", ""))
        start = int(first) if _NATURAL.fullmatch(first) else 1
        for number, item in enumerate(items.find_all("li", recursive=False), start):
            item[_NUMBER] = str(number)
    for cell in soup.select("[colspan]"):
        if not _NATURAL.fullmatch(str(cell["colspan"])):
            del cell["colspan"]


def _join_sections(soup: BeautifulSoup) -> None:
    """Make one section of all of a table: in Markdown it has one head, and no sections."""
    for table in soup.find_all("table"):
        sections = table.find_all("tbody", recursive=False)
        for other in sections[1:]:
            for row in list(other.children):
                sections[0].append(row)
            other.decompose()


def _inert(text: str) -> str:
    """Text in which nothing is a tag or a reference to a character for who reads Markdown."""
    return _LIVE.sub(r"\\\g<0>", text)


def _docx(path: str) -> Document:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_archive(archive)
            title, language = _docx_properties(archive)
        with open(path, "rb") as file:
            # An image becomes an element without a source, which the HTML step drops.
            images = mammoth.images.img_element(lambda _: {})
            html = mammoth.convert_to_html(file, convert_image=images).value
    except (ContractError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - mammoth judges nothing; it trips over bad XML
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
    size = sum(
        member.file_size for member in members if not member.filename.startswith("word/media/")
    )
    if size > XML_BYTES_MAX:
        raise inputs_error(
            "input_too_large", f"the DOCX holds {size} bytes of XML; at most {XML_BYTES_MAX}"
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


def _text(data: bytes, format_: str) -> Document:
    text = _decode(data, "utf-8-sig")
    heading = re.search(r"^# +(.*)$", text, re.MULTILINE) if format_ == "markdown" else None
    title = heading[1].rstrip(" #\r") if heading else None
    # Blanks and empty lines are the author's: in Markdown they mean something.
    return Document(text, title, None, None, tidy=False)


def _decode_html(data: bytes) -> str:
    """Text by its byte order mark, else by the encoding the page declares, else as UTF-8."""
    declared = EncodingDetector.find_declared_encoding(data, is_html=True) or "utf-8"
    try:
        name = codecs.lookup(_LABELS.get(declared, declared)).name
    except (LookupError, ValueError):  # the label is the page's own words
        name = ""
    # What was read byte by byte is no UTF-16, whatever it says (HTML, section 13.2.3.2).
    meant = "utf-8-sig" if name.startswith("utf-16") else _MEANT.get(name, name)
    if meant not in _ENCODINGS:
        raise inputs_error("bad_encoding", "the page declares no known encoding")
    return _decode(data, meant)


def _same(error: UnicodeError) -> tuple[str, int]:
    """A byte that a Windows code page leaves open is the control character of its number."""
    if not isinstance(error, UnicodeDecodeError) or error.object[error.start] >= 0xA0:
        raise error
    return chr(error.object[error.start]), error.start + 1


codecs.register_error(_SAME, _same)


def _decode(data: bytes, encoding: str) -> str:
    """Text by its byte order mark, else in the encoding given; never by a guess."""
    if data.startswith(codecs.BOM_UTF8):
        encoding = "utf-8-sig"
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        return data.decode(encoding, _SAME if encoding in _WINDOWS else "strict")
    except UnicodeError:
        raise inputs_error(
            "bad_encoding", "the text is not UTF-8, or not of the encoding it declares"
        ) from None


def _clean(text: str) -> str:
    """One kind of line end, no control characters, one line end at the end."""
    text = re.sub(r"\r\n?|[\u2028\u2029\f]", "\n", text)
    return _CONTROL.sub("", text).strip("\n") + "\n"


def _tidy(text: str) -> str:
    """No trailing blanks, and one empty line at most."""
    lines = [line.rstrip() for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines))


def _short(text: str | None, chars_max: int) -> str | None:
    """One line, not longer than anyone reads; None when there is nothing in it."""
    return " ".join(_clean(text or "").split())[:chars_max] or None
