"""Images: what the stand-in of rules_oci does not do is an error, and the error says so."""

from __future__ import annotations

from tools.selfcheck.check import check, expect
from tools.selfcheck.scratch import Scratch

_PRIVATE = "tools/overlay/rules_oci/oci/private"
_FOLDER = "tests/planted"
_FIXTURES = "//tests/fixtures/images"
_PLATFORM = 'architecture = "amd64", os = "linux"'
_HEAD = """\
load("@rules_oci//oci:defs.bzl", "oci_image", "oci_image_index")

package(default_testonly = True)

genrule(name = "zstd", outs = ["zstd.tar"], cmd = "printf '\\\\050\\\\265\\\\057\\\\375' > $@")
genrule(name = "named", outs = ["named.tar.zst"], cmd = "touch $@")
genrule(name = "broken", outs = ["broken.tar.gz"], cmd = "printf '\\\\037\\\\213' > $@")
genrule(name = "lines", outs = ["lines.txt"], cmd = "echo nothing > $@")

"""
# Attributes → what the build must say. Each is a package of its own: an error of a macro, or of an
# unknown attribute, takes the whole package with it.
_REFUSED = (
    (f'base = "{_FIXTURES}:plain", architecture = "amd64"', "come from base"),
    (f'base = "{_FIXTURES}:plain", variant = "v8"', "come from base"),
    ('os = "linux"', "without base, os and architecture are required"),
    (f'{_PLATFORM}, tars = ["named.tar.zst"]', "is a zstd layer"),
    (f'{_PLATFORM}, tars = ["zstd.tar"]', "is a zstd layer"),
    (f'{_PLATFORM}, tars = ["broken.tar.gz"]', "broken gzip"),
    (f'{_PLATFORM}, tars = ["lines.txt"]', "does not produce any oci_image tars files"),
    (f'{_PLATFORM}, env = "lines.txt"', "'nothing' is not KEY=VALUE"),
    (f"{_PLATFORM}, env = {{}}", "env is empty; leave it out"),
    (f'{_PLATFORM}, env = ["A=1"]', "env is a list; expected a dict"),
    (f'{_PLATFORM}, labels = {{"a=b": "c"}}', "expected a key without '='"),
    (f'{_PLATFORM}, labels = {{"a": "b\\nc"}}', "no newline in either"),
    (f'{_PLATFORM}, volumes = ["/a,/b"]', "expected a word without comma"),
    (f'{_PLATFORM}, resource_set = "x"', "no such attribute 'resource_set'"),
    (f'base = "{_FIXTURES}:index_of_one"', "an image, not an index"),
    (f'base = "{_FIXTURES}:plain_layer"', "expected an OCI image layout"),
)


def _plant(scratch: Scratch, number: int, attributes: str) -> None:
    text = f'{_HEAD}oci_image(name = "image", {attributes})\n'
    scratch.write(f"{_FOLDER}/image{number}/BUILD.bazel", text)


@check(
    "an image that the stand-in of rules_oci can't make as the real one would does not build",
    "BZ-8",
    sabotage=[
        (f"{_PRIVATE}/rules.bzl", "if attr.base and (", "if False and ("),
        (f"{_PRIVATE}/rules.bzl", '(".tzst", ".tar.zst")', '(".tzst", ".zst2")'),
        (f"{_PRIVATE}/layout.py", "if magic == ZSTD_MAGIC:", "if False:"),
        (f"{_PRIVATE}/layout.py", 'if line.find("=") < 1:', "if False:"),
        (f"{_PRIVATE}/macros.bzl", "    if not value:\n", "    if False:\n"),
        (
            f"{_PRIVATE}/layout.py",
            'if manifests[0].get("mediaType") != MANIFEST_TYPE:',
            "if False:",
        ),
    ],
)
def oci_refusals(scratch: Scratch) -> None:
    """Each with its reason; the good image shows that the planted packages build at all."""
    _plant(scratch, 0, f'{_PLATFORM}, env = {{"A": "1"}}, tars = ["{_FIXTURES}:plain_layer"]')
    done = scratch.bazel("build", f"//{_FOLDER}/image0:image")
    expect(done.code == 0, f"the good image fails: {done.text[-800:]}")
    for number, (attributes, _) in enumerate(_REFUSED, start=1):
        _plant(scratch, number, attributes)
    for number, (attributes, says) in enumerate(_REFUSED, start=1):
        done = scratch.bazel("build", f"//{_FOLDER}/image{number}:image")
        expect(done.code == 1, f"{attributes}: exit {done.code}, expected 1")
        expect(says in done.text, f"{attributes}: no line says {says!r}: {done.text[-800:]}")
