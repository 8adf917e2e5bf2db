"""Write what accompanies an image as an OCI layout: its bill of materials or its provenance.

``make_referrer.py --kind sbom|provenance --image LAYOUT ... --layout FOLDER --digest FILE``

What was written is read back by the check that pushing and pinning ask, before the build uses it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from orchestrator.images import referrers
from processors.protocol import digests
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import ContractError
from tools.build.image_facts import ImageFacts, digest_of_files, read_facts


def main() -> None:
    """Write the layout that the command line asks for."""
    given = _arguments()
    facts = read_facts(
        image=given.image,
        processor=given.processor,
        content_root=given.content_root,
        base=given.base,
        lock=given.lock,
    )
    try:
        if given.kind == "sbom":
            artifact_type, document = referrers.SBOM_TYPE, _bill(facts, given)
            manifest = manifest_of(artifact_type, document, facts.expected)
            referrers.bill_of_materials(manifest, document, facts.expected)
        else:
            artifact_type, document = referrers.PROVENANCE_TYPE, _statement(facts, given)
            manifest = manifest_of(artifact_type, document, facts.expected)
            referrers.provenance(manifest, document, facts.expected)
    except ContractError as error:
        raise SystemExit(str(error)) from None
    write_layout(given.layout, artifact_type, manifest, document)
    given.digest.write_text(digests.of_bytes(manifest) + "\n")


def manifest_of(artifact_type: str, document: bytes, image: referrers.Expected) -> bytes:
    """The manifest of a document that is about an image."""
    size = len(document)
    return canonical(
        {
            "schemaVersion": 2,
            "mediaType": referrers.MANIFEST_TYPE,
            "artifactType": artifact_type,
            "config": referrers.descriptor(referrers.EMPTY_TYPE, referrers.EMPTY),
            "layers": [referrers.layer(artifact_type, digests.of_bytes(document), size)],
            "subject": image.subject(),
            "annotations": referrers.manifest_annotations(artifact_type),
        }
    )


def write_layout(folder: Path, artifact_type: str, manifest: bytes, document: bytes) -> None:
    """Write an OCI layout of one manifest (OCI Image Specification 1.1, "Image Layout")."""
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for data in (manifest, document, referrers.EMPTY):
        (blobs / digests.of_bytes(data).removeprefix("sha256:")).write_bytes(data)
    named = referrers.descriptor(referrers.MANIFEST_TYPE, manifest)
    named["artifactType"] = artifact_type
    index: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": referrers.INDEX_TYPE,
        "manifests": [named],
    }
    (folder / "index.json").write_bytes(canonical(index) + b"\n")
    (folder / "oci-layout").write_text(json.dumps({"imageLayoutVersion": "1.0.0"}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--kind", choices=["sbom", "provenance"], required=True)
    parser.add_argument("--image", type=Path, required=True, help="the index, an OCI layout")
    parser.add_argument("--processor", type=Path, required=True, help="its processor.json")
    parser.add_argument("--content-root", type=Path, required=True)
    parser.add_argument("--base", type=Path, required=True, help="a layer, or an OCI layout")
    parser.add_argument("--lock", type=Path, required=True, help="requirements_lock.txt")
    parser.add_argument("--base-lock", type=Path, help="the base's packages, if it is made of any")
    parser.add_argument("--wheel", type=Path, action="append", default=[])
    parser.add_argument("--protocol", action="append", default=[], help="PLACE=FILE")
    parser.add_argument("--tool", action="append", default=[], help="PLACE=FILE")
    parser.add_argument("--target", help="the label of the image")
    parser.add_argument("--layout", type=Path, required=True, help="the folder to make")
    parser.add_argument("--digest", type=Path, required=True, help="where its digest goes")
    return parser.parse_args()


def _bill(facts: ImageFacts, given: argparse.Namespace) -> bytes:
    from tools.build.bill_of_materials import bill_of_materials
    from tools.build.locked_packages import read_wheels
    from tools.images import base_lock

    try:
        base = base_lock.read(given.base_lock) if given.base_lock else None
    except base_lock.LockError as error:
        raise SystemExit(f"{given.base_lock}: {error}") from None
    return bill_of_materials(facts, read_wheels(given.wheel, given.lock), base)


def _statement(facts: ImageFacts, given: argparse.Namespace) -> bytes:
    from tools.build.provenance_statement import provenance_statement

    materials = {
        "base": facts.base,
        "packages-lock": facts.lock,
        "protocol": digest_of_files(_placed(given.protocol)),
    }
    if given.base_lock:
        materials["base-lock"] = digests.of_file(str(given.base_lock))[0]
    for place, path in _placed(given.tool).items():
        materials[f"tool:{place}"] = digests.of_file(str(path))[0]
    return provenance_statement(facts, given.target, materials)


def _placed(items: list[str]) -> dict[str, Path]:
    pairs = [item.partition("=") for item in items]
    return {place: Path(file) for place, _, file in pairs}


if __name__ == "__main__":
    main()
