"""What a request resolves to, once and before anything starts: names, processor, image, secrets."""

from __future__ import annotations

import os
import stat

from orchestrator import secrets
from orchestrator.execution import input_schema
from orchestrator.execution.request import Request
from orchestrator.images import processors
from orchestrator.images.processors import Processor
from processors.protocol.canonical import Json
from processors.protocol.errors import ContractError, inputs_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

REGISTRY_BYTES_MAX = 262_144


class Names:
    """What the thing that runs is called, all of it null where it has no name.

    Attributes:
        app: The Modal app.
        function: The function of that app.
        missing: What a full name would need and was not given.
    """

    __slots__ = ("app", "function", "missing")

    def __init__(self, app: str | None, function: str | None, missing: tuple[str, ...]) -> None:
        self.app = app
        self.function = function
        self.missing = missing


class Resolved:
    """What will run.

    Attributes:
        processor: The processor, with the registry that applies.
        image_digest: The image's digest; None where no image runs.
        names: What that is called.
        overridden: Whether the image is not the pinned one.
        secrets: Names and values for the child's environment, and for nothing else.
    """

    __slots__ = ("image_digest", "names", "overridden", "processor", "secrets")

    def __init__(
        self,
        processor: Processor,
        named: Names,
        *,
        image_digest: str | None,
        overridden: bool,
        secret_values: dict[str, str],
    ) -> None:
        self.processor = processor
        self.names = named
        self.image_digest = image_digest
        self.overridden = overridden
        self.secrets = secret_values


def names(request: Request) -> Names:
    """Name the app and the function; --branch and --user alone say whose app it is in lane dev.

    Raises:
        ContractError: ``ERR_INPUTS``: a branch or a user where no app, or no app of their own, is
            called by them.
    """
    if request.adapter == "local":
        if request.branch is not None or request.user is not None:
            raise inputs_error(
                "conflicting_flags",
                "--branch and --user are parts of an app's name, and adapter local runs no app",
            )
        return Names(None, None, ())
    from orchestrator import naming  # local runs do without these
    from processors.protocol import remote

    whose = (request.lane, request.branch, request.user)
    app = naming.modal_app_name_from_ref(request.ref, *whose)
    return Names(app, remote.FUNCTION, naming.missing_parts(*whose))


def resolve(
    request: Request, named: Names, processor: Processor, environ: Mapping[str, str]
) -> Resolved:
    """Find what a request names, and check its inputs against the processor's registry.

    Args:
        request: The request, which the lane table allows.
        named: Its names.
        processor: The processor; with --registry-root it gets another registry.
        environ: The caller's environment; read for the secrets that were opted in by name.

    Raises:
        ContractError: ``ERR_INPUTS``, ``ERR_REGISTRY_MISMATCH``, ``ERR_IMAGE_UNPINNED`` or
            ``ERR_MISSING_SECRET``.
    """
    if request.registry_root is not None:
        processor.read_by(read_registry(request.registry_root, processor))
    schema = processor.registry["inputs"]
    assert isinstance(schema, dict)
    if (wrong := input_schema.problem(request.inputs, schema)) is not None:
        raise inputs_error("schema_violation", wrong)
    here = request.adapter == "local"
    needed = processor.secrets if here and request.mode == "real" else []
    return Resolved(
        processor,
        named,
        image_digest=None if here else _image(request, processor),
        overridden=request.image_override is not None,
        secret_values=secrets.select(needed, request.allow_env, environ),
    )


def _image(request: Request, processor: Processor) -> str:
    """The digest of the image to run: the pin, or in lane dev the override."""
    if request.image_override is not None:
        from orchestrator.images import reference  # rarely needed

        return reference.parse(request.image_override, "--image-override").digest
    return processors.pin_of(processor)


def read_registry(root: str, processor: Processor) -> dict[str, Json]:
    """Read and check a registry.yaml from a folder instead of the built-in one."""
    from orchestrator.images import registry  # heavy (pydantic, YAML), and rarely needed

    path = os.path.join(root, processor.ref.folder, "registry.yaml")
    found = registry.load(_read_regular(path), processor.ref, ascii(path)).document()
    for name in ("runtime", "entrypoint"):
        if found[name] != processor.registry[name]:  # else it would name a program that isn't run
            built = processor.registry[name]
            raise _invalid(path, f"{name} is {found[name]}, and {built} is what was built")
    return found


def _read_regular(path: str) -> bytes:
    """The bytes of a file, or as many as show that it is too large; a pipe would never end."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise _invalid(path, "not a regular file")
        with open(fd, "rb") as file:
            return file.read(REGISTRY_BYTES_MAX + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        why = str(error.strerror if isinstance(error, OSError) else error)
        raise _invalid(path, why) from None


def _invalid(path: str, why: str) -> ContractError:
    return ContractError("ERR_REGISTRY_MISMATCH", "invalid_registry", f"{path!a}: {why}")
