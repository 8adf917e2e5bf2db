"""Build and pin reach a fixed point after one step: a pin changes nothing of what it pins."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.images import pin
from orchestrator.images.layout import Layout
from processors.protocol.canonical import canonical, parse_object
from processors.protocol.refs import Ref
from tests.fixtures import layouts
from tests.property.profile import searched
from tools.build import check_registry

REF = Ref("ns", "name", 3)
FOLDER = "processors/ns/name/v3"
OLD = "sha256:" + "0a" * 32
PARTS = {
    "schema": "v1",
    "ref": "ns/name@3",
    "runtime": "python3.13",
    "entrypoint": "main.py",
    "inputs": "{type: object, properties: {digest: {type: string}}}",
    "requires": "{}",
    "produces": "[]",
    "limits": "{time_s: 20, memory_mb: 256, max_input_bytes: 1, max_output_bytes: 1}",
    "cost": "{estimate_micro_usd: 0}",
    "secrets": "[]",
    "endpoints": "{}",
    "prices": "{}",
}
WORDS = st.text("abc #:{}'\"-\u00e9\u2028\U0001f600", min_size=1, max_size=20)
COMMENTS = st.sampled_from(["", "# digest: null", "#", "# image: {digest: null}"])
PINS = st.sampled_from(["null", "~", "Null", "", OLD, f"'{OLD}'", f'"{OLD}"'])
IMAGES = st.sampled_from(
    [
        "image: {{repository: a/b, digest: {pin} }}{note}",
        "image: {{ digest: {pin}, repository: a/b }}{note}",
        "image:\n  repository: a/b\n  digest: {pin}{note}",
        "image:{note}\n    digest: {pin}{note}\n    repository: a/b",
        "image:\n  digest: {note}\n    {pin}\n  repository: a/b",
        "image:\n  ? digest\n  : {pin}{note}\n  ? repository\n  : a/b",
    ]
)


@st.composite
def registries(draw: st.DrawFn) -> str:
    """A registry.yaml that is accepted, in some order and style."""
    note = draw(COMMENTS)
    image = draw(IMAGES).format(pin=draw(PINS), note=f" {note}" if note else "")
    summary = draw(WORDS.filter(lambda text: text.strip() != "")).replace("'", "''")
    parts = [f"{key}: {value}" for key, value in PARTS.items()]
    lines = draw(st.permutations([*parts, f"summary: 's{summary}'", image]))
    between = draw(COMMENTS)
    text = f"\n{between}\n".join(lines) if between else "\n".join(lines)
    text += draw(st.sampled_from(["", "\n", "\n\n# the end"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


def built(base: Path, data: bytes) -> tuple[str, bytes, dict[str, object]]:
    """What the build makes of a registry.yaml: the image's digest, what is in it, what is not."""
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir()
    (base / "registry.yaml").write_bytes(data)
    words = {
        "--registry": base / "registry.yaml",
        "--folder": FOLDER,
        "--registry-out": base / "registry.json",
        "--checked-out": base / "checked.json",
    }
    before, sys.argv = sys.argv, ["check", *(str(w) for item in words.items() for w in item)]
    try:
        check_registry.main()
    finally:
        sys.argv = before
    inside = (base / "registry.json").read_bytes()
    digest = layouts.write_image(base, contents=(b"sources\n", inside))
    assert Layout(str(base / "image")).only().digest == digest
    checked = parse_object((base / "checked.json").read_bytes(), "checked.json")
    registry = checked["registry"]
    assert isinstance(registry, dict)
    return digest, inside, dict(registry)


@pytest.mark.proves("F-13")
@settings(searched, max_examples=100)  # each builds twice
@given(text=registries())
def test_build_and_pin_reach_a_fixed_point_after_one_step(
    text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.getbasetemp() / "build"
    data = text.encode()
    first, inside, registry = built(base, data)

    pinned = pin.edited(data, first, REF, "registry.yaml")

    second, inside_again, registry_again = built(base, pinned)
    assert (second, inside_again) == (first, inside)
    assert registry_again == {**registry, "image": {"repository": "a/b", "digest": first}}
    assert pin.edited(pinned, second, REF, "registry.yaml") == pinned
    assert first.encode() not in inside
    assert canonical(parse_object(inside, "registry.json")) + b"\n" == inside
