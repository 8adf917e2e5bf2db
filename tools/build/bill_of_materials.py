"""The bill of materials of an image: CycloneDX 1.6, a function of what the image holds.

The library writes the document; its clock and its random numbers are taken out again. The serial
number is made of the document itself, so another bill of the same image has another one.
"""

from __future__ import annotations

import json
import uuid

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License, LicenseAcknowledgement
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from orchestrator.images.referrers import CONTENT_ROOT, REF, SOURCE_ROOT
from processors.protocol import digests
from processors.protocol.canonical import Json, canonical
from tools.build.image_facts import ImageFacts
from tools.build.locked_packages import Wheel
from tools.images.base_lock import Package


def bill_of_materials(facts: ImageFacts, wheels: list[Wheel], base: list[Package] | None) -> bytes:
    """Write the bill of an image.

    Args:
        facts: The image; it is the root component.
        wheels: The wheels that it holds.
        base: The packages of its base, or None if the base is an image that only its digest
            describes; the bill then names that image and nothing in it.
    """
    components = [_of_wheel(wheel) for wheel in wheels]
    components += [_of_image(facts.base)] if base is None else [_of_debian(each) for each in base]
    bom = Bom(components=components)
    bom.metadata.component = _root(facts)
    bom.register_dependency(bom.metadata.component, components)
    document: dict[str, Json] = json.loads(JsonV1Dot6(bom).output_as_string())
    metadata = document["metadata"]
    assert isinstance(metadata, dict)
    del metadata["timestamp"], document["serialNumber"]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, digests.of_json(document))
    return canonical(document | {"serialNumber": serial.urn}) + b"\n"


def _root(facts: ImageFacts) -> Component:
    image = facts.expected
    purl = PackageURL(
        "oci",
        None,
        facts.repository.rpartition("/")[2],
        image.digest,
        {"repository_url": facts.repository},
    )
    said = {REF: image.ref, SOURCE_ROOT: image.source_root, CONTENT_ROOT: facts.content_root}
    return _component(
        ComponentType.CONTAINER,
        image.ref,
        purl,
        image.digest,
        properties=[Property(name=name, value=value) for name, value in said.items()],
    )


def _of_image(digest: str) -> Component:
    return _component(
        ComponentType.CONTAINER, "base", PackageURL("oci", None, "base", digest), digest
    )


def _of_wheel(wheel: Wheel) -> Component:
    purl = PackageURL("pypi", None, wheel.name, wheel.version)
    return _component(
        ComponentType.LIBRARY, wheel.name, purl, wheel.digest, licenses=_licences(wheel)
    )


def _of_debian(package: Package) -> Component:
    purl = PackageURL(
        "deb", "debian", package.name, package.version, {"arch": package.architecture}
    )
    return _component(ComponentType.LIBRARY, package.name, purl, f"sha256:{package.sha256}")


def _component(
    kind: ComponentType,
    name: str,
    purl: PackageURL,
    digest: str,
    *,
    properties: list[Property] | None = None,
    licenses: list[License] | None = None,
) -> Component:
    content = digest.removeprefix("sha256:")
    return Component(
        type=kind,
        name=name,
        version=purl.version,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=content)],
        properties=properties,
        licenses=licenses,
    )


def _licences(wheel: Wheel) -> list[License]:
    """What the wheel declares: one expression, or names, as SPDX identifiers where it has them."""
    declared = LicenseAcknowledgement.DECLARED
    make = LicenseFactory()
    if wheel.licence_expression is not None:
        return [make.make_with_expression(wheel.licence_expression, acknowledgement=declared)]
    return [
        make.make_from_string(name, license_acknowledgement=declared)
        for name in wheel.licence_names
    ]
