"""doc/extract@1 seen from outside: good documents, bad ones, and bytes that are neither."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import struct
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from processors.protocol.payload import Artifact, Payload
from tests.harness import MOCK, REAL, ROOT, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.harness import Result

FOLDER = ROOT / "processors/doc/extract/v1"
PREFIX = "/artifacts/demo/x/"
MEMORY_BYTES_MAX = 200 * 1_048_576
SEED = 20_251  # of the mutations; printed with what fails

# Documents, made here.

_PADDING = bytes.fromhex("28bf4e5e4e758a4164004e56fffa01082e2e00b6d0683e802f0ca9fe6453697a")


def rc4(key: bytes, data: bytes) -> bytes:
    state = list(range(256))
    j = 0
    for i in range(256):
        j = (j + state[i] + key[i % len(key)]) % 256
        state[i], state[j] = state[j], state[i]
    out = bytearray()
    i = j = 0
    for byte in data:
        i = (i + 1) % 256
        j = (j + state[i]) % 256
        state[i], state[j] = state[j], state[i]
        out.append(byte ^ state[(state[i] + state[j]) % 256])
    return bytes(out)


def encryption(password: bytes, file_id: bytes) -> bytes:
    """The /Encrypt dictionary of 40-bit RC4 (ISO 32000-1 section 7.6.3, algorithms 2 to 4)."""
    padded = (password + _PADDING)[:32]
    owner = rc4(hashlib.md5(padded).digest()[:5], padded)  # noqa: S324 (the format's own)
    rights = -4
    seed = padded + owner + struct.pack("<i", rights) + file_id
    key = hashlib.md5(seed).digest()[:5]  # noqa: S324
    user = rc4(key, _PADDING)
    words = (b"<</Filter/Standard/V 1/R 2/O<", owner.hex().encode(), b">/U<", user.hex().encode())
    return b"".join(words) + b">/P %d>>" % rights


def pdf(
    pages: Sequence[Sequence[tuple[int, int, str]]],
    *,
    password: bytes | None = None,
    means: tuple[str, str] | None = None,
) -> bytes:
    """A PDF; a page is a list of (points, baseline, text). One letter may mean something else."""
    objects = [b"", b"", b"<</Title(The Annual Report)>>"]
    objects.append(b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>")
    kids = []
    for page in pages:
        shown = b"".join(
            b"BT /F1 %d Tf 72 %d Td (%s) Tj ET\n" % (points, baseline, text.encode("latin-1"))
            for points, baseline, text in page
        )
        objects.append(b"<</Length %d>>stream\n%sendstream" % (len(shown), shown))
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R"
            b"/Resources<</Font<</F1 4 0 R>>>>>>" % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    if means is not None:
        codes = tuple(each.encode("utf-16-be").hex().encode() for each in means)
        told = b"begincmap\n1 begincodespacerange <00> <FF> endcodespacerange\n1 beginbfchar "
        told += b"<%s> <%s> endbfchar\nendcmap" % (codes[0][2:], codes[1])
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(told), told))
        objects[3] = objects[3][:-2] + b"/ToUnicode %d 0 R>>" % len(objects)
    objects[0] = b"<</Type/Catalog/Pages 2 0 R/Lang(en-GB)>>"
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(kids))
    trailer = b"/Root 1 0 R/Info 3 0 R"
    if password is not None:
        file_id = bytes(range(16))
        objects.append(encryption(password, file_id))
        hexed = file_id.hex().encode()
        trailer += b"/Encrypt %d 0 R/ID[<%s><%s>]" % (len(objects), hexed, hexed)
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<</Size %d%s>>\n" % (
        size,
        table,
        size,
        trailer,
    )
    return bytes(out + b"startxref\n%d\n%%%%EOF\n" % start)


W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
RELATION = f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '


def docx(body: str, **changes: bytes | None) -> bytes:
    """A DOCX; ``changes`` replace parts by their last name, or leave them out."""
    parts = {
        "[Content_Types].xml": (
            f'<Types xmlns="{PACKAGE}/content-types">'
            '<Default Extension="xml" ContentType="application/xml"/></Types>'
        ),
        "_rels/.rels": f'{RELATION}Type="{R}/officeDocument" Target="word/document.xml"/>'
        "</Relationships>",
        "word/_rels/document.xml.rels": f'{RELATION}Type="{R}/hyperlink" '
        'Target="https://example.test/a" TargetMode="External"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{W}" xmlns:r="{R}"><w:body>{body}</w:body>'
        "</w:document>",
        "word/styles.xml": f'<w:styles xmlns:w="{W}"><w:style w:type="paragraph" w:styleId="H1">'
        '<w:name w:val="heading 1"/></w:style></w:styles>',
        "word/numbering.xml": f'<w:numbering xmlns:w="{W}"><w:abstractNum w:abstractNumId="0">'
        '<w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl></w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>',
        "docProps/core.xml": f'<c:coreProperties xmlns:c="{PACKAGE}/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The Annual Report</dc:title>'
        "<dc:language>en-GB</dc:language></c:coreProperties>",
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            data = changes.get(name.rpartition("/")[2].partition(".")[0], text.encode())
            if data is not None:
                archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return file.getvalue()


def paragraph(text: str, properties: str = "") -> str:
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r><w:t>{text}</w:t></w:r></w:p>"


def with_header_fields(data: bytes, *, at: int, value: bytes) -> bytes:
    """A ZIP archive in which every central header (APPNOTE 4.3.12) has other bytes at an offset."""
    pieces = data.split(b"PK\x01\x02")
    first, rest = pieces[0], pieces[1:]
    changed = [piece[: at - 4] + value + piece[at - 4 + len(value) :] for piece in rest]
    return b"PK\x01\x02".join([first, *changed])


BODY_LINES = [(11, 700 - 13 * n, f"Line {n} of the body text, which is longer.") for n in range(9)]
PDF = pdf(
    [
        [
            (24, 760, "The Annual Report"),
            *BODY_LINES,
            (11, 500, "A new para-"),
            (11, 487, "graph."),
        ],
        [(16, 760, "Second chapter"), (11, 700, "\x95 first point"), (11, 660, "Caf\xe9 (c")],
    ]
).replace(b"(Caf\xe9 (c)", b"(Caf\\351 \\(c)")
DOCX = docx(
    paragraph("The Report", '<w:pStyle w:val="H1"/>')
    + paragraph("Grüße &amp; more.")
    + "".join(
        paragraph(point, '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>')
        for point in ("one", "two")
    )
    + '<w:p><w:hyperlink r:id="rId1"><w:r><w:t>a link</w:t></w:r></w:hyperlink></w:p>'
    + "<w:tbl>"
    + "".join(
        f"<w:tr><w:tc>{paragraph(left)}</w:tc><w:tc>{paragraph(right)}</w:tc></w:tr>"
        for left, right in (("Name", "Size"), ("a|b", "7"))
    )
    + "</w:tbl>"
)
HTML = """<!DOCTYPE html><html lang="de"><head><meta charset="windows-1252"><title>Der
 Bericht</title><style>.x{color:red}</style><script>var noise=1;</script></head><body>
<nav>Navigation noise</nav><div role="navigation">more noise</div><form><main>
<h1>Größe<a class="headerlink" href="#x">¶</a></h1><h2><a href="#y">Zweitens</a></h2>
<p>Für <a href="https://example.test/">alle</a>.</p><ul><li>eins</li><li>zwei</li></ul>
<img src="data:image/png;base64,AAAA" alt="noise"><table><tr><th>Name</th><th>Wert</th></tr>
<tr><td>a|b</td><td>7</td></tr></table></main></form><footer>noise</footer></body></html>""".encode(
    "cp1252"
)
MARKDOWN = b"Preface\n\n# The *Report* #\n\n- one\n- two\n"
TEXT = "Zeile eins\r\nGrüße, 5 €\n"
GOOD = {
    "r.pdf": PDF,
    "r.docx": DOCX,
    "r.html": HTML,
    "r.md": MARKDOWN,
    "r.txt": TEXT.encode(),
}


# Running it.


@pytest.fixture
def extract(tmp_path: Path) -> Callable[..., Result]:
    """Runs the processor on a document, or on a file, under a name."""

    def extract(
        name: str | None,
        document: bytes | Path,
        *,
        mode: tuple[str, ...] = REAL,
        world: str = "world",
        limits: dict[str, int] | None = None,
    ) -> Result:
        if isinstance(document, bytes):
            (tmp_path / "document").write_bytes(document)
            document = tmp_path / "document"
        words = ["--ref", "doc/extract@1", *mode, "--write-prefix", PREFIX, "--json"]
        words += ["--inputs-json", json.dumps({} if name is None else {"filename": name})]
        words += ["--execution-id", "x1", "--attach", f"source={document}"]
        if limits is not None:
            registry = yaml.safe_load((FOLDER / "registry.yaml").read_text())
            registry["limits"] |= limits
            place = tmp_path / "registries/doc/extract/v1/registry.yaml"
            place.parent.mkdir(parents=True)
            place.write_text(json.dumps(registry))
            words += ["--registry-root", str(tmp_path / "registries")]
        return run(*words, world=tmp_path / world, timeout_s=120)

    return extract


def extracted(result: Result) -> tuple[str, dict[str, Any]]:
    """Text and metadata of a success."""
    assert result.exit_code == 0, result.stdout
    text = result.output("text.md").decode()
    metadata = json.loads(result.output("metadata.json"))
    assert metadata["characters"] == len(text)
    assert metadata["words"] == len(text.split())
    return text, metadata


def refused(result: Result) -> str:
    """The reason of a refusal, after everything that every refusal leaves was checked."""
    assert result.exit_code == 2, result.stdout
    assert result.envelope["status"] == "error"
    code, reason = result.error
    assert code == "ERR_INPUTS"
    own = result.file(f"{PREFIX}receipt.json").read_bytes()
    assert own == result.file("/artifacts/execution/x1/determinism.json").read_bytes()
    receipt = json.loads(own)
    assert receipt["status"] == "error"
    assert not result.file(f"{PREFIX}outputs").exists()
    assert not result.file(f"{PREFIX}outputs.json").exists()
    return reason


# Good documents.


def test_a_pdf_becomes_headings_paragraphs_and_metadata(extract: Callable[..., Result]) -> None:
    text, metadata = extracted(extract("report.PDF", PDF))

    body = " ".join(line for _, _, line in BODY_LINES)
    assert text == (
        f"# The Annual Report\n\n{body}\n\nA new paragraph.\n\n## Second chapter\n\n"
        "- first point\n\nCafé (c\n"
    )
    assert metadata == metadata | {
        "format": "pdf",
        "title": "The Annual Report",
        "language": "en-GB",
        "pages": 2,
    }


def test_letters_that_are_two_units_move_no_heading(extract: Callable[..., Result]) -> None:
    lines = [(10, 780, "Great news ~~~ today"), (24, 700, "Heading"), (10, 650, "Body. " * 9)]

    text, _ = extracted(extract("r.pdf", pdf([lines], means=("~", "😀"))))

    assert text == f"Great news 😀😀😀 today\n\n# Heading\n\n{('Body. ' * 9).rstrip()}\n"


def test_small_print_makes_no_heading_of_the_body(extract: Callable[..., Result]) -> None:
    """A listing may be longer than the text around it."""
    prose = [(11, 780 - 30 * n, f"Paragraph {n} of some length.") for n in range(9)]
    listing = [(7, 500 - 9 * n, f"register {n} := register {n}") for n in range(20)]

    text, _ = extracted(extract("r.pdf", pdf([[*prose, *listing]])))

    assert "#" not in text


def test_a_docx_becomes_markdown(extract: Callable[..., Result]) -> None:
    text, metadata = extracted(extract("report.docx", DOCX))

    assert text == (
        "# The Report\n\nGrüße & more.\n\n- one\n- two\n\n[a link](https://example.test/a)\n\n"
        "|  |  |\n| --- | --- |\n| Name | Size |\n| a\\|b | 7 |\n"
    )
    assert (metadata["title"], metadata["language"]) == ("The Annual Report", "en-GB")
    assert metadata["pages"] is None


def test_a_page_becomes_its_content_without_its_surroundings(
    extract: Callable[..., Result],
) -> None:
    text, metadata = extracted(extract("page.html", HTML))

    assert text == (
        "# Größe\n\n## Zweitens\n\nFür [alle](https://example.test/).\n\n- eins\n- zwei\n\n"
        "| Name | Wert |\n| --- | --- |\n| a\\|b | 7 |\n"
    )
    assert (metadata["format"], metadata["title"]) == ("html", "Der Bericht")
    assert metadata["language"] == "de"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<ul><li>a<li>b</ul>", "- a\n- b\n"),
        ("<p>one<p>two", "one\n\ntwo\n"),
        (
            "<table><tr><th>k<th>v<tr><td>1<td>2</table>",
            "| k | v |\n| --- | --- |\n| 1 | 2 |\n",
        ),
        ("<article><p>one</article><article><p>two</article>", "one\n\ntwo\n"),
        ("<nav>x</nav><article><p>one</article><p>after", "one\n"),
        ("<ol start=8><li>a<li>b<ol><li>c</ol><li>d</ol>", "8. a\n9. b\n   1. c\n10. d\n"),
        ('<ol start="²"><li>a</ol>', "1. a\n"),
        ("<ul><li data-number=7>a</ul><ol><li data-number=7>b</ol>", "- a\n\n1. b\n"),
        (
            "<table><caption>k</caption><tbody><tr><td>1<tbody><tr><td colspan='²'>2</table>",
            "k\n\n|  |\n| --- |\n| 1 |\n| 2 |\n",
        ),
        (
            "<table><thead><tr><th>k<tbody><tr><td>1<tbody><tr><td>2</table>",
            "| k |\n| --- |\n| 1 |\n| 2 |\n",
        ),
        (
            "<p>List&lt;String&gt; &amp;lt; &lt;b&gt; 1 &lt; 2, AT&amp;T; R&amp;D",
            "List\\<String> \\&lt; \\<b> 1 < 2, AT\\&T; R&D\n",
        ),
    ],
    ids=[
        *("list", "paragraphs", "table", "articles", "article", "numbers", "no_number"),
        *("own_number", "sections", "head_and_sections", "text_like_tags"),
    ],
)
def test_html_may_leave_end_tags_out_and_hold_articles(
    extract: Callable[..., Result], page: str, expected: str
) -> None:
    text, _ = extracted(extract("page.html", f"<!doctype html><body>{page}".encode()))

    assert text == expected


@pytest.mark.parametrize("label", ["iso-8859-1", "windows-1252", "us-ascii"])
def test_a_page_is_read_in_the_encoding_it_declares(
    extract: Callable[..., Result], label: str
) -> None:
    page = f'<meta charset="{label}"><p>Grüße, 5 €'.encode("cp1252")

    text, _ = extracted(extract("page.html", page))

    assert text == "Grüße, 5 €\n"


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("utf-16", "a page, in truth of 7 bits"),
        ("gb2312", "朱镕基"),
        ("shift_jis", "髙①"),
        ("x-sjis", "髙"),
        ("euc-kr", "똠방각하"),
        ("iso-8859-9", "şağ €"),
        ("windows-874", "กขค"),
        ("iso-8859-8-i", "שלום"),
        ("koi8-r", "привет"),
        ("UTF-8", "žluťoučký"),
    ],
)
def test_a_label_means_what_pages_mean_by_it(
    extract: Callable[..., Result], label: str, text: str
) -> None:
    codec = {
        "utf-16": "ascii",
        "gb2312": "gbk",
        "shift_jis": "cp932",
        "x-sjis": "cp932",
        "euc-kr": "cp949",
        "iso-8859-9": "cp1254",
        "windows-874": "cp874",
        "iso-8859-8-i": "iso-8859-8",
    }.get(label, label)
    page = f'<meta charset="{label}"><p>{text}'.encode(codec)

    assert extracted(extract("page.html", page))[0] == f"{text}\n"


def test_a_byte_that_windows_leaves_open_does_no_harm(extract: Callable[..., Result]) -> None:
    text, _ = extracted(extract("page.html", b'<meta charset="windows-1252"><p>a\x81b\x80'))

    assert text == "ab€\n"


def test_many_items_and_sections_take_no_time(extract: Callable[..., Result]) -> None:
    items = b"<ol>" + b"<li>a</li>\n" * 30_000 + b"</ol>"
    sections = b"<table>" + b"<tbody><tr><td>b</td></tr></tbody>" * 10_000 + b"</table>"

    text, _ = extracted(extract("page.html", b"<html>" + items + sections, limits={"time_s": 60}))

    assert "30000. a" in text
    assert text.count("| b |") == 10_000


def test_markdown_stays_markdown(extract: Callable[..., Result]) -> None:
    text, metadata = extracted(extract("notes.md", MARKDOWN))

    assert text == MARKDOWN.decode()
    assert (metadata["format"], metadata["title"]) == ("markdown", "The *Report*")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_in_its_encoding(extract: Callable[..., Result], encoding: str) -> None:
    text, metadata = extracted(extract("notes.txt", TEXT.encode(encoding)))

    assert text == "Zeile eins\nGrüße, 5 €\n"
    assert metadata["title"] is None


def test_text_is_cleaned(extract: Callable[..., Result]) -> None:
    dirty = b"one\rtwo  \r\n\x1b[31mthree\x07\n\n\n\n\x0cfour\xc2\x85\xef\xbf\xbf"

    text, _ = extracted(extract("notes.txt", dirty))

    # Blanks and empty lines are the author's.
    assert text == "one\ntwo  \n[31mthree\n\n\n\n\nfour\n"


def test_text_may_speak_of_a_pdf(extract: Callable[..., Result]) -> None:
    text, _ = extracted(extract("notes.md", b"A PDF starts with `%PDF-1.4`.\n"))

    assert text == "A PDF starts with `%PDF-1.4`.\n"


def test_a_lone_surrogate_and_a_long_title_do_no_harm(extract: Callable[..., Result]) -> None:
    page = b"<html><title>" + b"x" * 5000 + b"</title><p>a&#xD800;&#55357;b&#0;"

    text, metadata = extracted(extract("page.html", page))

    assert "b" in text
    assert len(metadata["title"]) == 1000


def test_millions_of_blanks_take_no_time(extract: Callable[..., Result]) -> None:
    page = b"<html><p>a" + b" " * 4_000_000 + b"b"

    text, _ = extracted(extract("page.html", page, limits={"time_s": 15}))

    assert text.split() == ["a", "b"]


@pytest.mark.parametrize("name", GOOD)
def test_the_same_document_gives_the_same_bytes(extract: Callable[..., Result], name: str) -> None:
    results = [extract(name, GOOD[name], world=world) for world in ("one", "two")]

    for output in ("text.md", "metadata.json"):
        assert results[0].output(output) == results[1].output(output)


# Bad documents.

LYING = with_header_fields(docx("x" * 1_000_000), at=24, value=struct.pack("<I", 1000))
BAD = {
    "truncated_pdf": ("a.pdf", PDF[: len(PDF) // 4], "corrupt_document"),
    "garbage_pdf": ("a.pdf", b"%PDF-1.7\n" + bytes(range(256)) * 40, "corrupt_document"),
    "encrypted_pdf": ("a.pdf", pdf([BODY_LINES], password=b"secret"), "encrypted_document"),
    "empty": ("a.pdf", b"", "empty_input"),
    "png_named_pdf": ("a.pdf", b"\x89PNG\r\n\x1a\n" + b"\0" * 99, "format_mismatch"),
    "html_named_pdf": ("a.pdf", HTML, "format_mismatch"),
    "pdf_named_docx": ("a.docx", PDF, "format_mismatch"),
    "pdf_named_txt": ("a.txt", PDF, "format_mismatch"),
    "html_named_md": ("a.md", HTML, "format_mismatch"),
    "program_named_txt": ("a.txt", b"\x7fELF\x02", "format_mismatch"),
    "unknown_ending": ("a.xyz", PDF, "unsupported_format"),
    "no_name": (None, PDF, "schema_violation"),
    "no_ending": ("readme", b"x", "schema_violation"),
    "ole_docx": ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 999, "encrypted_document"),
    "bomb": (
        "a.docx",
        with_header_fields(DOCX, at=24, value=struct.pack("<I", 0x7FFFFFFF)),
        "input_too_large",
    ),
    "real_bomb": ("a.docx", docx(" " * 40_000_000), "input_too_large"),
    "lying_bomb": ("a.docx", LYING, "corrupt_document"),
    "encrypted_zip": (
        "a.docx",
        with_header_fields(DOCX, at=8, value=b"\x01\x00"),
        "encrypted_document",
    ),
    "other_zip": ("a.docx", docx("", document=None), "format_mismatch"),
    "broken_zip": ("a.docx", DOCX[:-30], "corrupt_document"),
    "broken_xml": ("a.docx", docx("<w:p>"), "corrupt_document"),
    "broken_core": ("a.docx", docx("", core=b"<a>"), "corrupt_document"),
    "other_xml": ("a.docx", docx("", document=b"<d/>"), "corrupt_document"),
    "deep_docx": ("a.docx", docx("<w:p>" * 50_000 + "</w:p>" * 50_000), "corrupt_document"),
    "entities": (
        "a.docx",
        docx(
            "",
            document=b'<!DOCTYPE d [<!ENTITY a "lol">'
            + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
            + b"]><d>&j;</d>",
        ),
        "corrupt_document",
    ),
    "deep_html": ("a.html", b"<html>" + b"<div>" * 100_000 + b"x", "corrupt_document"),
    "large_html": ("a.html", b"<html>" + b"x " * 4_500_000, "input_too_large"),
    "odd_utf16": ("a.txt", b"\xff\xfea\0b", "bad_encoding"),
    "undeclared_text": ("a.txt", "Grüße, 5 €".encode("cp1252"), "bad_encoding"),
    "undeclared_html": ("a.html", "<p>Grüße".encode("cp1252"), "bad_encoding"),
    "falsely_declared": ("a.html", b'<meta charset="shift_jis"><p>\x81', "bad_encoding"),
    "no_such_encoding": ("a.html", b'<meta charset="x-none"><p>a', "bad_encoding"),
    "no_encoding_of_text": ("a.html", b'<meta charset="rot13"><p>a', "bad_encoding"),
    "encoding_of_nothing": ("a.html", b'<meta charset="undefined"><p>a', "bad_encoding"),
    "text_named_html": ("a.html", b"no tag at all", "format_mismatch"),
    "encoding_of_no_page": ("a.html", b'<meta charset="cp037"><p>a', "bad_encoding"),
    "encoding_that_escapes": ("a.html", b'<meta charset="unicode_escape"><p>a', "bad_encoding"),
    "open_byte": ("a.html", b'<meta charset="windows-1253"><p>\xd2', "bad_encoding"),
    "scan": ("a.pdf", pdf([[]]), "no_text"),
    "blank_text": ("a.txt", b" \n\n", "no_text"),
}


@pytest.mark.parametrize(("name", "document", "reason"), BAD.values(), ids=BAD)
def test_a_bad_document_is_refused(
    extract: Callable[..., Result], name: str | None, document: bytes, reason: str
) -> None:
    assert refused(extract(name, document)) == reason


def test_a_pdf_with_too_many_pages_is_refused(extract: Callable[..., Result]) -> None:
    many = pdf([[]] * 3000)

    assert refused(extract("a.pdf", many, limits={"max_pages": 2999})) == "input_too_large"


def test_a_pdf_with_as_many_pages_as_allowed_is_read(extract: Callable[..., Result]) -> None:
    _, metadata = extracted(extract("a.pdf", pdf([BODY_LINES] * 30), limits={"max_pages": 30}))

    assert metadata["pages"] == 30


@pytest.mark.parametrize("name", ["a.txt", "a.pdf"])
def test_a_text_larger_than_its_limit_is_refused(extract: Callable[..., Result], name: str) -> None:
    document = PDF if name == "a.pdf" else b"x" * 100

    assert refused(extract(name, document, limits={"max_output_bytes": 99})) == "input_too_large"


def test_a_page_that_takes_too_much_memory_is_refused(extract: Callable[..., Result]) -> None:
    limits = {"memory_mb": 128}

    found = extract("a.html", b"<html>" + b"<br>" * 500_000, limits=limits)

    assert refused(found) == "input_too_large"


def test_a_file_of_200_mb_is_refused_in_little_memory(
    extract: Callable[..., Result], tmp_path: Path
) -> None:
    large = tmp_path / "large.pdf"
    with open(large, "wb") as file:
        file.truncate(200_000_000)

    assert refused(extract("large.pdf", large)) == "input_too_large"

    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    assert peak < MEMORY_BYTES_MAX


# Mock mode.


def test_mock_is_deterministic_and_speaks_of_the_document(extract: Callable[..., Result]) -> None:
    first, again = (extract("a.pdf", PDF, mode=MOCK, world=world) for world in ("one", "two"))
    other = extract("a.pdf", PDF + b"\n", mode=MOCK, world="three")

    digest = hashlib.sha256(PDF).hexdigest()
    text, metadata = extracted(first)
    assert f"A pdf document of {len(PDF)} bytes, sha256:{digest}." in text
    assert metadata["title"] == "Mock extraction"
    for name in ("text.md", "metadata.json"):
        assert first.output(name) == again.output(name)
    assert first.output("text.md") != other.output("text.md")


@pytest.mark.parametrize("name", GOOD)
def test_mock_leaves_the_same_trace_and_the_same_outputs_as_real(
    extract: Callable[..., Result], name: str
) -> None:
    mock = extract(name, GOOD[name], mode=MOCK, world="mock")
    real = extract(name, GOOD[name], world="real")

    def trace(result: Result) -> list[tuple[str, str | None]]:
        return [(event["event"], event.get("provider")) for event in result.events]

    assert trace(mock) == trace(real)
    assert "provider.call" in [event for event, _ in trace(mock)]
    assert extracted(mock)[1].keys() == extracted(real)[1].keys()


@pytest.mark.parametrize("case", ["empty", "png_named_pdf", "unknown_ending", "no_name"])
def test_mock_judges_as_real_does(extract: Callable[..., Result], case: str) -> None:
    name, document, reason = BAD[case]

    assert refused(extract(name, document, mode=MOCK)) == reason


@pytest.mark.proves("PA-1")
def test_mock_needs_no_library_and_real_imports_them_inside_the_call(tmp_path: Path) -> None:
    """Both modes, in an interpreter that has no installed package at all."""
    registry = yaml.safe_load((FOLDER / "registry.yaml").read_text())
    del registry["image"]
    (tmp_path / "registry.json").write_text(json.dumps(registry))
    path = "/artifacts/raw/a.pdf"
    digest = f"sha256:{hashlib.sha256(PDF).hexdigest()}"
    program = (
        "from processors.doc.extract.v1.main import run;"
        "from processors.protocol.runtime import main;"
        "main(run)"
    )

    def start(mode: str) -> subprocess.CompletedProcess[bytes]:
        root = tmp_path / mode
        (root / "artifacts/raw").mkdir(parents=True)
        (root / "artifacts/raw/a.pdf").write_bytes(PDF)
        payload = Payload(
            execution_id=mode,
            ref="doc/extract@1",
            mode=mode,
            inputs={},
            artifacts={"source": Artifact(path, digest, len(PDF))},
            write_prefix=PREFIX,
        )
        argv = [sys.executable, "-P", "-s", "-S", "-B", "-u", "-c", program]
        return subprocess.run(
            [*argv, "--root", str(root), "--registry", str(tmp_path / "registry.json")],
            input=payload.encode(),
            env={"PYTHONPATH": str(FOLDER / "tree/app")},
            capture_output=True,
            check=False,
            timeout=60,
        )

    mock, real = start("mock"), start("real")

    assert json.loads(mock.stdout)["status"] == "success"
    assert json.loads(real.stdout)["error"]["reason"] == "processor_error"
    *_, last, kind = real.stderr.decode().splitlines()
    line = int(last.partition("line ")[2].partition(",")[0])
    source = (FOLDER / "tree/app/processors/doc/extract/v1/provider.py").read_text().splitlines()
    assert (source[line - 1], kind) == ("import mammoth", "ModuleNotFoundError")
    assert b"ModuleNotFoundError" in real.stderr


# Any bytes.

MUTATE = """
import random, sys
from processors.doc.extract.v1 import provider
from processors.protocol.errors import ContractError

sample, format_, seed = sys.argv[1:]
data = open(sample, "rb").read()
chance = random.Random(int(seed))
read = refused = 0
for turn in range(200):
    at = chance.randrange(len(data))
    if chance.random() < 0.25:
        changed = data[:at]
    else:
        changed = data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]
    with open(sample + ".changed", "wb") as file:
        file.write(changed)
    try:
        document = provider.read(
            sample + ".changed", format_, pages_max=50, text_bytes_max=1_000_000
        )
        for text in (document.text, document.title or "", document.language or ""):
            text.encode("utf-8")
        read += 1
    except ContractError:
        refused += 1
    except BaseException as error:
        sys.exit(f"turn {turn} byte {at}: {error!r}")
print(read, refused)
"""


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("r.pdf", "pdf"),
        ("r.docx", "docx"),
        ("r.html", "html"),
        ("r.md", "markdown"),
        ("r.txt", "text"),
    ],
)
def test_any_bytes_give_a_document_or_a_contract_error(
    tmp_path: Path, name: str, format_: str
) -> None:
    """200 changes of one byte and truncations, in one process, so that a crash is seen."""
    (tmp_path / name).write_bytes(GOOD[name])
    tree = FOLDER / "tree"

    ended = subprocess.run(
        [sys.executable, "-P", "-s", "-S", "-B", "-c", MUTATE, tmp_path / name, format_, str(SEED)],
        env={"PYTHONPATH": f"{tree / 'app'}:{tree / 'site-packages'}"},
        capture_output=True,
        check=False,
        timeout=120,
    )

    assert ended.returncode == 0, (SEED, ended.stderr[-2000:])
    read, refused_count = map(int, ended.stdout.split())
    assert read + refused_count == 200
    assert read > 0
