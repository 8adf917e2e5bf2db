"""What the build says of an image: everything that is in it, and nothing of when or where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from google.protobuf.json_format import Parse
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement

from tests.fixtures import synthetic_image as image
from tools.build.bill_of_materials import bill_of_materials
from tools.build.image_facts import ImageFacts, digest_of_files, read_facts
from tools.build.locked_packages import read_wheels
from tools.build.provenance_statement import provenance_statement
from tools.images import base_lock


@pytest.fixture
def made(tmp_path: Path) -> Path:
    image.write(tmp_path)
    return tmp_path


def facts_of(folder: Path, base: str = "base.tar") -> ImageFacts:
    return read_facts(
        image=folder / "paper",
        processor=folder / "processor.json",
        content_root=folder / "processor.root",
        base=folder / base,
        lock=folder / "requirements_lock.txt",
    )


def wheels_of(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.whl"))


def bill_of(folder: Path, *, with_base: bool = True) -> bytes:
    wheels = read_wheels(wheels_of(folder), folder / "requirements_lock.txt")
    base = base_lock.read(folder / "base_lock.json") if with_base else None
    return bill_of_materials(facts_of(folder), wheels, base)


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def test_a_bill_lists_the_wheels_and_the_packages_of_the_base(made: Path) -> None:
    bill = json.loads(bill_of(made))

    assert {each["purl"]: each["hashes"] for each in bill["components"]} == {
        purl: [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]
        for purl, digest in {
            **{
                f"pkg:pypi/{name.lower().replace('.', '-')}@{version}": image.sha256(
                    image.wheel(name, version, lines)
                )
                for name, version, lines in image.WHEELS
            },
            "pkg:deb/debian/libc6@2.41-12?arch=amd64": image.sha256(b"libc6"),
            "pkg:deb/debian/libssl3t64@3.5.1-1%2Bdeb13u1?arch=amd64": image.sha256(b"libssl3t64"),
            "pkg:deb/debian/tzdata@1:2025b-4%2Bdeb13u1?arch=all": image.sha256(b"tzdata"),
        }.items()
    }


def test_the_root_of_a_bill_is_the_image_and_depends_on_all_of_it(made: Path) -> None:
    bill = json.loads(bill_of(made))

    root = bill["metadata"]["component"]
    digest = facts_of(made).expected.digest
    assert (root["type"], root["name"], root["version"]) == ("container", image.REF, digest)
    assert root["hashes"] == [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]
    assert {each["name"]: each["value"] for each in root["properties"]} == {
        "processor.ref": image.REF,
        "processor.source-root": image.SOURCE_ROOT,
        "processor.content-root": image.CONTENT_ROOT,
    }
    depends = {each["ref"]: each.get("dependsOn", []) for each in bill["dependencies"]}
    assert sorted(depends[root["bom-ref"]]) == sorted(each["purl"] for each in bill["components"])


def test_licences_are_what_the_wheels_declare(made: Path) -> None:
    bill = json.loads(bill_of(made))

    assert {
        each["name"]: each["licenses"] for each in bill["components"] if "licenses" in each
    } == {
        "alpha-beta": [{"acknowledgement": "declared", "expression": "MIT OR Apache-2.0"}],
        "gamma": [{"license": {"acknowledgement": "declared", "id": "BSD-3-Clause"}}],
        "delta": [{"license": {"acknowledgement": "declared", "name": "MIT License"}}],
    }


@pytest.mark.parametrize("with_base", [True, False])
def test_a_bill_passes_its_published_schema(made: Path, *, with_base: bool) -> None:
    judge = JsonStrictValidator(SchemaVersion.V1_6)
    bill = bill_of(made, with_base=with_base).decode()

    assert judge.validate_str(bill) is None
    assert judge.validate_str(bill.replace('"type":"library"', '"type":"book"')) is not None
    assert judge.validate_str(bill.replace('"version":1}', '"version":1,"more":1}')) is not None


def test_a_base_that_only_its_digest_describes_is_one_component(made: Path) -> None:
    bill = json.loads(bill_of(made, with_base=False))

    digest = image.sha256(b"the base")
    assert [each["purl"] for each in bill["components"] if each["type"] == "container"] == [
        f"pkg:oci/base@{digest}"
    ]
    assert not [each for each in bill["components"] if each["purl"].startswith("pkg:deb")]


def test_a_bill_has_no_time_and_a_serial_number_of_its_content(made: Path) -> None:
    first, again = bill_of(made), bill_of(made)
    edit(made / "base_lock.json", "2.41-12", "2.41-13")
    other = bill_of(made)

    assert first == again
    assert b"timestamp" not in first
    serials = [json.loads(each)["serialNumber"] for each in (first, other)]
    assert serials[0] != serials[1]
    assert all(serial.startswith("urn:uuid:") for serial in serials)


def test_a_wheel_that_the_lock_does_not_hold_is_named(made: Path) -> None:
    (made / "gamma-2.1-py3-none-any.whl").write_bytes(image.wheel("gamma", "2.1", ("X: y",)))

    with pytest.raises(SystemExit, match=r"gamma-2\.1.*is not in .*requirements_lock\.txt"):
        bill_of(made)


def test_a_digest_of_another_package_is_not_enough(made: Path) -> None:
    edit(made / "requirements_lock.txt", "gamma==2.1", "gamma==2.2")

    with pytest.raises(SystemExit, match=r"gamma 2\.1 .* is not in"):
        read_wheels(wheels_of(made), made / "requirements_lock.txt")


def test_a_package_in_two_wheels_is_refused(made: Path) -> None:
    files = [*wheels_of(made), made / "gamma-2.1-py3-none-any.whl"]

    with pytest.raises(SystemExit, match="gamma is given twice"):
        read_wheels(files, made / "requirements_lock.txt")


def statement_of(folder: Path) -> Any:  # noqa: ANN401 - a whole document
    materials = {"protocol": "sha256:" + "9" * 64, "base": facts_of(folder).base}
    return json.loads(provenance_statement(facts_of(folder), "//tests/paper:image", materials))


def test_a_statement_is_complete(made: Path) -> None:
    assert statement_of(made) == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": image.REPOSITORY,
                "digest": {"sha256": facts_of(made).expected.digest.removeprefix("sha256:")},
            }
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:world-orchestrator:processor-image:v1",
                "externalParameters": {"ref": image.REF, "target": "//tests/paper:image"},
                "internalParameters": {"platforms": ["linux/amd64"]},
                "resolvedDependencies": [
                    {
                        "name": "base",
                        "digest": {"sha256": image.sha256(b"the base").removeprefix("sha256:")},
                    },
                    {"name": "protocol", "digest": {"sha256": "9" * 64}},
                    {"name": "source-root", "digest": {"sha256": "5" * 64}},
                ],
            },
            "runDetails": {
                "builder": {"id": "urn:world-orchestrator:builder:bazel:unsigned"},
                "byproducts": [{"name": "content-root", "digest": {"sha256": "c" * 64}}],
            },
        },
    }


def test_a_statement_is_one_to_the_attestation_framework(made: Path) -> None:
    document = json.dumps(statement_of(made))

    Statement.copy_from_pb(Parse(document, statement_pb2.Statement())).validate()
    with pytest.raises(ValueError, match="digest"):
        Statement.copy_from_pb(
            Parse(document.replace('"digest"', '"annotations"'), statement_pb2.Statement())
        ).validate()


def test_the_base_must_be_what_every_image_starts_with(made: Path) -> None:
    (made / "other.tar").write_bytes(b"the wheels")
    image.layout(made / "based", [b"the base", b"the wheels"])
    image.layout(made / "elsewhere", [b"the wheels"])

    assert facts_of(made).base == image.sha256(b"the base")
    assert facts_of(made, "based").base.startswith("sha256:")
    for base in ("other.tar", "elsewhere"):
        with pytest.raises(SystemExit, match="the image for linux/amd64 does not start with"):
            facts_of(made, base)


def test_an_index_of_two_platforms_names_both(made: Path) -> None:
    for file in sorted((made / "paper").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (made / "paper").rmdir()
    digest = image.layout(made / "paper", [b"the base"], ("arm64", "amd64"))

    facts = facts_of(made)

    assert facts.platforms == ("linux/amd64", "linux/arm64")
    assert facts.expected.digest == digest


def test_an_index_with_other_bytes_than_its_digest_names_is_refused(made: Path) -> None:
    digest = facts_of(made).expected.digest.removeprefix("sha256:")
    with (made / "paper/blobs/sha256" / digest).open("ab") as file:
        file.write(b" ")

    with pytest.raises(SystemExit, match=f"{digest} has other bytes"):
        facts_of(made)


def test_an_image_that_is_no_index_is_refused(made: Path) -> None:
    edit(made / "paper/index.json", image.INDEX_TYPE, image.MANIFEST_TYPE)

    with pytest.raises(SystemExit, match="holds no image index"):
        facts_of(made)


def test_a_processor_made_with_another_lock_is_refused(made: Path) -> None:
    with (made / "requirements_lock.txt").open("a") as file:
        file.write("# more\n")

    with pytest.raises(SystemExit, match="another lock"):
        facts_of(made)


def test_a_content_root_is_a_digest(made: Path) -> None:
    (made / "processor.root").write_text("sha256:abc\n")

    with pytest.raises(SystemExit, match="holds no digest"):
        facts_of(made)


def test_the_digest_of_files_is_of_their_places_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")
    places = {"x/b.py": tmp_path / "b", "x/a.py": tmp_path / "a"}
    listed = {"x/a.py": image.sha256(b"one"), "x/b.py": image.sha256(b"two")}

    assert digest_of_files(places) == image.sha256(
        json.dumps(listed, sort_keys=True, separators=(",", ":")).encode()
    )
