"""The provenance of an image: an in-toto statement with the SLSA predicate, unsigned.

The messages of the attestation framework build it, so a field that they do not know is an error.
It says what went in and what came out, and nothing of when, where or by whom.
"""

from __future__ import annotations

from google.protobuf.json_format import MessageToDict, ParseDict
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from orchestrator.images import referrers
from processors.protocol.canonical import canonical
from tools.build.image_facts import ImageFacts


def provenance_statement(facts: ImageFacts, target: str, materials: dict[str, str]) -> bytes:
    """Write the statement of an image.

    Args:
        facts: The image; its index is the subject.
        target: The label that was built.
        materials: The digest of everything that went in, by name; the source root is added.
    """
    image = facts.expected
    resolved = materials | {referrers.SOURCES: image.source_root}
    predicate = {
        "buildDefinition": {
            "buildType": referrers.BUILD_TYPE,
            "externalParameters": {"ref": image.ref, "target": target},
            "internalParameters": {"platforms": list(facts.platforms)},
            "resolvedDependencies": [_resource(*item) for item in sorted(resolved.items())],
        },
        "runDetails": {
            "builder": {"id": referrers.BUILDER_ID},
            "byproducts": [_resource(referrers.CONTENT, facts.content_root)],
        },
    }
    ParseDict(predicate, provenance_pb2.Provenance())  # refuses what the predicate does not have
    subject = ResourceDescriptor(
        name=facts.repository, digest={"sha256": image.digest.removeprefix("sha256:")}
    )
    statement = Statement([subject.pb], referrers.PREDICATE_URI, predicate)
    statement.validate()
    return canonical(MessageToDict(statement.pb)) + b"\n"


def _resource(name: str, digest: str) -> dict[str, object]:
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}
