"""What a request resolves to, once and before anything starts: processor, image, secrets."""

from __future__ import annotations

import os

from orchestrator import secrets
from orchestrator.execution import input_schema
from orchestrator.execution.request import Request
from orchestrator.images import processors
from orchestrator.images.processors import Processor
from processors.protocol import digests
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

REGISTRY_BYTES_MAX = 262_144


class Resolved:
    """What will run.

    Attributes:
        processor: The processor, with the registry that applies.
        image_digest: The image's digest; None where no image runs.
        overridden: Whether the image is not the pinned one.
        secrets: Names and values for the child's environment, and for nothing else.
    """

    __slots__ = ("image_digest", "overridden", "processor", "secrets")

    def __init__(
        self,
        processor: Processor,
        *,
        image_digest: str | None,
        overridden: bool,
        secret_values: dict[str, str],
    ) -> None:
        self.processor = processor
        self.image_digest = image_digest
        self.overridden = overridden
        self.secrets = secret_values


def resolve(request: Request, processors_folder: str, environ: Mapping[str, str]) -> Resolved:
    """Find what a request names, and check its inputs against the processor's registry.

    Args:
        request: The request, which the lane table allows.
        processors_folder: Where the build left the processors.
        environ: The caller's environment; read for the secrets that were opted in by name.

    Raises:
        ContractError: ``ERR_INPUTS``, ``ERR_REGISTRY_MISMATCH``, ``ERR_IMAGE_UNPINNED`` or
            ``ERR_MISSING_SECRET``.
    """
    processor = processors.load(processors_folder, request.ref)
    if request.registry_root is not None:
        processor.registry = _read_registry(request.registry_root, processor)
    schema = processor.registry["inputs"]
    assert isinstance(schema, dict)
    if (wrong := input_schema.problem(request.inputs, schema)) is not None:
        raise inputs_error("schema_violation", wrong)
    here = request.adapter == "local"
    needed = processor.secrets if here and request.mode == "real" else []
    return Resolved(
        processor,
        image_digest=None if here else _image(request, processor),
        overridden=request.image_override is not None,
        secret_values=secrets.select(needed, request.allow_env, environ),
    )


def _image(request: Request, processor: Processor) -> str:
    """The digest of the image to run: the pin, or in lane dev the override."""
    if request.image_override is not None:
        repository, _, digest = request.image_override.rpartition("@")
        if not repository or not digests.is_digest(digest):
            raise inputs_error("bad_value", "--image-override is not REPOSITORY@sha256:<64 hex>")
        return digest
    if processor.image_digest is None:
        raise ContractError(
            "ERR_IMAGE_UNPINNED",
            "no_pin",
            f"adapter modal runs pinned images, and {processor.ref} has image.digest null",
        )
    return processor.image_digest


def _read_registry(root: str, processor: Processor) -> dict[str, Json]:
    """Read and check a registry.yaml from a folder instead of the built-in one."""
    from orchestrator.images import registry  # heavy (pydantic, YAML), and rarely needed

    path = os.path.join(root, processor.ref.folder, "registry.yaml")
    try:
        with open(path, "rb") as file:
            data = file.read(REGISTRY_BYTES_MAX + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ContractError(
            "ERR_REGISTRY_MISMATCH", "invalid_registry", f"{path!a}: {why}"
        ) from None
    return registry.load(data, processor.ref, ascii(path)).document()
