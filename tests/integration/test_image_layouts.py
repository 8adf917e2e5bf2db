"""The layouts of oci_image and oci_image_index, byte for byte.

The same digests must come out on a connected machine, where rules_oci 2.3.0 itself builds, and
where tools/overlay stands in for it. What each form is taken from:

- The empty image, and the order of keys in every config: measured with the real rules.
- Manifest and config: what their jq programs print. Objects keep the order of insertion, two
  blanks of indent, raw UTF-8; the manifest with its newline, the config without, since a shell's
  ``$(...)`` took it away. ``size`` comes before ``digest``: a size of 0 is there from the start.
- The blob of an index: the same jq over ``{schemaVersion, mediaType, manifests: []}``; each entry
  is the descriptor in the image's own index.json (mediaType, digest, size) and ``platform`` after
  it, with os, architecture, variant in that order, from the config, absent ones left out.
- index.json of an image: written by regctl, a Go program (schemaVersion, mediaType, manifests),
  then indented by jq. index.json of an index: jq alone, with mediaType, size, digest.
- oci-layout: regctl's compact form for an image; for an index a line of the shell.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path("tests/fixtures/images")
LABEL = "//tests/fixtures/images"

IMAGES = {
    "arm": "17553a8a63131d4ffdbb4978e7c0d9c44befcf492fab09df20b5d3c9618e3287",
    "base_only": "5f1d651e8620b7c39f7c8413d43f864ab1d7dee95fff032f436ee5e0cecea9f2",
    "commanded": "5fd49b276fe5c949240043a391960f8695371ce665abc00c435006076673a646",
    "dated": "b0ab6f867787c43e2aaf278d2db021ce95b74b00808cd67eefb8c02a4ed5bca9",
    "empty": "721f7055dd3bab220c502a761fe7bc3a643cefacfdf04fa749196bfa03384554",
    "everything": "b3f42871c4be829445d90e44a26d0bf20534b87030e0117db60402321a5a7887",
    "from_files": "431b67ffb9f74264425383dc8f23a9b83fd0d12ee2b72ef57ac8fa7402dcfd31",
    "gzip": "c7d0e58ade58abcc830afc6ffc811640c89e27bdd79265db936932aacd6ef943",
    "new_cmd": "8e6f5d1922e9ad6d5dc1e2c43f5e4f79659db8a69fc9cb5836e61f8891266425",
    "new_entrypoint": "647ac0c66f7d433efc855eb0e0c13a2d503c8b5baacc2c16954061a767992e19",
    "on_base": "5f1d651e8620b7c39f7c8413d43f864ab1d7dee95fff032f436ee5e0cecea9f2",
    "on_foreign": "7a2249b2c21b5457227d4ddd289655efcab1bb921ee923ccb303b6712a7f0232",
    "plain": "f88f349c4d33645ba002963ac99e23176c22cbaf18790430e9fbcaca84d52aa6",
    "settings": "b362849eeae457dbe6c34342bde8d1fa1b80795f93c734ea35c2a82b2aa8b025",
    "several": "db3b8c2f2f714038defcebbeac586b26430320e945f0b18a3767269e4c2b5f26",
    "variables_base": "d7a768dcd341a7c02ac2c5adf4e01680b00d6c5976f427627d79bdc35ffae6e0",
    "variables_over": "f2a455f77fe0aeb0775a1a54ab48589e844b27b28c0527d3347a7b398ea78c61",
    "words": "90da633a5731c3b0c0893df7b3e8bf05c2c01463dc3239e3900fab84613a3a7f",
    "words_over": "2083acaae97dcbb1eae6449477d1038955e3e522efc34340583437250c28a974",
}
INDEXES = {
    "index_of_one": "6a2b8b201f575adc702d3ff1a6eabb22790365d144f47b627747fea396227cac",
    "index_of_two": "3e6a4be6af1627aeb4fea7b7f1144fe9499de561137aa5223781407b81a4e245",
}
# File of each layer, beside the layouts.
LAYERS = {
    "gzip": ["gzip_layer.tar.gz"],
    "on_base": ["plain_layer.tar", "top_layer.tar"],
    "several": ["top_layer.tar", "nothing.tar", "gzip_layer.tar.gz", "plain_layer.tar"],
}

EMPTY_MANIFEST = """\
{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {
    "mediaType": "application/vnd.oci.image.config.v1+json",
    "size": 176,
    "digest": "sha256:91da713de6bef274ca8e71b3a5e686085925d0a1e415c8caa503677cbb3ff62a"
  },
  "layers": []
}
"""
EMPTY_CONFIG = """\
{
  "created": "1970-01-01T00:00:00Z",
  "config": {},
  "history": [],
  "rootfs": {
    "type": "layers",
    "diff_ids": []
  },
  "architecture": "amd64",
  "os": "linux"
}"""
IMAGE_INDEX_JSON = """\
{{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [
    {{
      "mediaType": "application/vnd.oci.image.manifest.v1+json",
      "digest": "sha256:{digest}",
      "size": {size}
    }}
  ]
}}
"""
INDEX_INDEX_JSON = """\
{{
  "manifests": [
    {{
      "mediaType": "application/vnd.oci.image.index.v1+json",
      "size": {size},
      "digest": "sha256:{digest}"
    }}
  ]
}}
"""
INDEX_OF_TWO = """\
{{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [
    {{
      "mediaType": "application/vnd.oci.image.manifest.v1+json",
      "digest": "sha256:{on_base}",
      "size": 659,
      "platform": {{
        "os": "linux",
        "architecture": "amd64"
      }}
    }},
    {{
      "mediaType": "application/vnd.oci.image.manifest.v1+json",
      "digest": "sha256:{arm}",
      "size": 474,
      "platform": {{
        "os": "linux",
        "architecture": "arm64",
        "variant": "v8"
      }}
    }}
  ]
}}
"""


def built(name: str) -> Path:
    """The folder that Bazel built; a sandbox shows its files through links of its own."""
    return (FOLDER / name / "index.json").resolve().parent


def blob(name: str, digest: str) -> bytes:
    """A blob of a layout."""
    return (built(name) / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()


def manifest(name: str) -> dict[str, Any]:
    """The manifest of an image."""
    found: dict[str, Any] = json.loads(blob(name, IMAGES[name]))
    return found


def config(name: str) -> dict[str, Any]:
    """The config of an image."""
    found: dict[str, Any] = json.loads(blob(name, manifest(name)["config"]["digest"]))
    return found


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("name", [*IMAGES, *INDEXES])
def test_digest_is_the_one_that_is_checked_in(name: str) -> None:
    golden = {**IMAGES, **INDEXES}[name]

    assert sha256(blob(name, golden)) == golden
    assert (FOLDER / f"{name}.json.sha256").read_bytes() == f"sha256:{golden}\n".encode()


@pytest.mark.parametrize("name", [*IMAGES, *INDEXES])
def test_layout_files_have_their_exact_bytes(name: str) -> None:
    if name in IMAGES:
        digest, form, version = IMAGES[name], IMAGE_INDEX_JSON, '{"imageLayoutVersion":"1.0.0"}'
    else:
        digest, form, version = INDEXES[name], INDEX_INDEX_JSON, '{"imageLayoutVersion": "1.0.0"}\n'
    if name == "on_foreign":  # Its base says no mediaType in index.json, and regctl adds none.
        form = form.replace('  "mediaType": "application/vnd.oci.image.index.v1+json",\n', "", 1)

    expected = form.format(digest=digest, size=len(blob(name, digest)))
    assert (built(name) / "index.json").read_text(encoding="utf-8") == expected
    assert (built(name) / "oci-layout").read_text(encoding="utf-8") == version


@pytest.mark.parametrize("name", IMAGES)
def test_image_holds_its_blobs_and_nothing_else(name: str) -> None:
    folder = built(name) / "blobs/sha256"
    layers = {layer["digest"] for layer in manifest(name)["layers"]}
    own = {f"sha256:{IMAGES[name]}", manifest(name)["config"]["digest"]}

    found = {f"sha256:{path.name}": path.read_bytes() for path in folder.iterdir()}

    assert set(found) == layers | own
    assert all(f"sha256:{sha256(data)}" == digest for digest, data in found.items())
    assert sorted(path.name for path in built(name).iterdir()) == [
        "blobs",
        "index.json",
        "oci-layout",
    ]


def test_layers_are_links_out_of_the_directory() -> None:
    """A copy of the directory alone is broken, as it is with the real rules."""
    folder = built("on_base") / "blobs/sha256"
    lower, upper = (layer["digest"].partition(":")[2] for layer in manifest("on_base")["layers"])

    links = {path.name: os.readlink(path) for path in folder.iterdir() if path.is_symlink()}

    assert links == {
        lower: f"../../../plain/blobs/sha256/{lower}",
        upper: "../../../top_layer.tar",
    }


@pytest.mark.parametrize(
    ("name", "images"), [("index_of_one", ["plain"]), ("index_of_two", ["on_base", "arm"])]
)
def test_index_holds_real_copies_of_all_blobs(name: str, images: list[str]) -> None:
    folder = built(name) / "blobs/sha256"
    wanted = {
        path.name: path.read_bytes()
        for image in images
        for path in (built(image) / "blobs/sha256").iterdir()
    }

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        **wanted,
        INDEXES[name]: blob(name, INDEXES[name]),
    }
    assert not any(path.is_symlink() for path in folder.iterdir())


def test_empty_image_is_the_measured_one() -> None:
    assert blob("empty", IMAGES["empty"]).decode() == EMPTY_MANIFEST
    assert blob("empty", manifest("empty")["config"]["digest"]).decode() == EMPTY_CONFIG


def test_index_of_two_is_as_jq_prints_it() -> None:
    expected = INDEX_OF_TWO.format(on_base=IMAGES["on_base"], arm=IMAGES["arm"])

    assert blob("index_of_two", INDEXES["index_of_two"]).decode() == expected


@pytest.mark.parametrize("name", LAYERS)
def test_layers_keep_their_order_and_carry_their_labels(name: str) -> None:
    """A source file's label is its own, that of a built one its rule's."""
    data = [(FOLDER / file).read_bytes() for file in LAYERS[name]]
    kinds = ["tar+gzip" if file.endswith(".gz") else "tar" for file in LAYERS[name]]
    owners = [file.partition(".")[0] if "_" in file else file for file in LAYERS[name]]

    assert [list(layer.items()) for layer in manifest(name)["layers"]] == [
        [
            ("size", len(layer)),
            ("digest", f"sha256:{sha256(layer)}"),
            ("mediaType", f"application/vnd.oci.image.layer.v1.{kind}"),
        ]
        for layer, kind in zip(data, kinds, strict=True)
    ]
    assert config(name)["history"] == [
        {"created": "1970-01-01T00:00:00Z", "created_by": f"bazel build {LABEL}:{owner}"}
        for owner in owners
    ]
    assert len(config(name)["rootfs"]["diff_ids"]) == len(data)


def test_diff_id_of_a_gzipped_layer_is_of_the_tar() -> None:
    packed = (FOLDER / "gzip_layer.tar.gz").read_bytes()
    tar = packed[10 + 5 : -8]  # One stored block: header, data, checksum.

    assert config("gzip")["rootfs"]["diff_ids"] == [f"sha256:{sha256(tar)}"]


def test_base_alone_gives_the_base_back() -> None:
    assert IMAGES["base_only"] == IMAGES["on_base"]


def test_variables_expand_from_the_base_and_from_earlier_ones() -> None:
    assert config("variables_over")["config"]["Env"] == [
        "PATH=/app/bin:/usr/bin:/bin",
        "EMPTY=",
        "LANG=C.UTF-8",
        "HOME=/app",
        "ODD=||$/app|a=b",
    ]


def test_labels_and_annotations_are_raw_text_in_the_order_given() -> None:
    """Those of the base come first and keep their places."""
    text = blob("words", manifest("words")["config"]["digest"]).decode()

    assert '"org.example.ünïcode": "naïve 🙂 = text"' in text
    assert list(manifest("words_over"))[-1] == "annotations"
    assert list(manifest("words_over")["annotations"].items()) == [
        ("org.example.note", 'Grüße, 世界 "quoted" back\\slash'),
        ("org.example.empty", "no more"),
        ("org.example.last", "z"),
    ]
    assert list(config("words_over")["config"]["Labels"].items()) == [
        ("org.example.ünïcode", "naïve 🙂 = text"),
        ("org.example.tab", "no more"),
        ("org.example.last", "z"),
    ]


def test_entrypoint_drops_the_cmd_of_the_base_and_cmd_keeps_the_entrypoint() -> None:
    """Together they stand as Cmd, Entrypoint; empty items are dropped, newlines stay."""
    commanded = [
        ("Cmd", ["--root", "two\nlines"]),
        ("Entrypoint", ["/usr/bin/app", "-x, y"]),
    ]

    assert list(config("commanded")["config"].items()) == commanded
    assert config("new_entrypoint")["config"] == {"Entrypoint": ["/usr/bin/other"]}
    assert list(config("new_cmd")["config"].items()) == [("Cmd", ["--other"]), commanded[1]]


def test_config_has_the_order_of_the_builder_not_of_the_build_file() -> None:
    order = "Cmd Entrypoint ExposedPorts Volumes Env Labels User WorkingDir"

    assert list(config("everything")["config"]) == order.split()
    assert list(config("everything"))[-2:] == ["architecture", "os"]


def test_settings_are_what_the_build_file_says() -> None:
    assert config("settings")["config"] == {
        "ExposedPorts": {"8080/tcp": {}, "53/udp": {}},
        "Volumes": {"/world": {}, "/data": {}},
        "User": "65532:65532",
        "WorkingDir": "/tmp",  # noqa: S108 - a path in the image
    }


def test_settings_may_come_from_files() -> None:
    assert config("from_files")["config"] == {
        "Cmd": ["--first", "two words, one item"],
        "ExposedPorts": {"80/tcp": {}, "81/udp": {}},
        "Env": ["LANG=C.UTF-8", "OPTIONS=a=b=C.UTF-8"],
    }


def test_created_dates_the_image_and_not_its_layers() -> None:
    assert config("dated")["created"] == "2001-02-03T04:05:06Z"
    assert config("dated")["history"][0]["created"] == "1970-01-01T00:00:00Z"


def test_variant_comes_last() -> None:
    assert list(config("arm").items())[-3:] == [
        ("architecture", "arm64"),
        ("os", "linux"),
        ("variant", "v8"),
    ]


def test_base_of_other_hands_keeps_its_order_of_keys() -> None:
    """What the base lacks comes at the end; its Cmd goes, its health check stays."""
    assert list(config("on_foreign")) == ["os", "architecture", "rootfs", "config", "history"]
    assert list(config("on_foreign")["config"].items()) == [
        ("User", "1:1"),
        ("Env", ["PATH=/usr/bin:/bin"]),
        ("Healthcheck", {"Retries": 3}),
        ("Entrypoint", ["/usr/bin/app"]),
    ]
    assert list(manifest("on_foreign")) == ["config", "layers", "mediaType", "schemaVersion"]
    assert len(config("on_foreign")["rootfs"]["diff_ids"]) == 2
