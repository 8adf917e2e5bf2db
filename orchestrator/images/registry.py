"""``registry.yaml``: its closed schema and its strict reader.

Used when Bazel builds a processor, and for ``--registry-root``. It imports pydantic and PyYAML, so
the ordinary path of an execution never imports this module.
"""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from orchestrator import schema_subset, strict_yaml
from orchestrator.goals import effects
from orchestrator.goals.templates import Template
from orchestrator.images import reference
from orchestrator.schema_subset import PlacedError
from processors.protocol import digests, marks, paths, spawn
from processors.protocol.canonical import Json, canonical
from processors.protocol.errors import ContractError
from processors.protocol.refs import NAME_GRAMMAR, REF_GRAMMAR, Ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.schema_subset import Place

DOCUMENT_BYTES_MAX = 262_144

# What a processor finds in its environment besides its secrets; a secret would take its place.
_OWN_VARIABLES = frozenset({*spawn.PROCESSOR_ENV, "HOME", "TMPDIR", marks.VARIABLE})

Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Name = Annotated[str, StringConstraints(pattern=f"^{NAME_GRAMMAR}$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
MicroUsd = Annotated[int, Field(ge=0, le=10**12)]
Positive = Annotated[int, Field(ge=1, le=2**40)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Image(_Closed):
    """Where the image lies, and its pin; ``digest`` is null until the first pin."""

    repository: str
    digest: str | None

    @model_validator(mode="after")
    def _repository_can_be_asked_for(self) -> Image:
        if (wrong := reference.repository_problem(self.repository)) is not None:
            raise PlacedError(("repository",), wrong)
        return self

    @model_validator(mode="after")
    def _pin_is_a_digest(self) -> Image:
        if self.digest is not None and not digests.is_digest(self.digest):
            raise PlacedError(
                ("digest",), "digest must be null or sha256: and 64 lower-case hex digits"
            )
        return self


class Limits(_Closed):
    """What one execution may use: seconds, MiB, bytes, attempts."""

    time_s: Annotated[int, Field(ge=1, le=86_400)]
    memory_mb: Positive
    max_input_bytes: Positive
    max_output_bytes: Positive
    attempts_max: Annotated[int, Field(ge=1, le=10)] = 1
    max_pages: Positive | None = None


class Cost(_Closed):
    """What one execution is expected to take: millionths of a US dollar, and milliseconds."""

    estimate_micro_usd: MicroUsd
    estimate_ms: Annotated[int, Field(ge=0, le=10**9)] | None = None


class Endpoint(_Closed):
    """A service the processor may call; inputs choose it by name only."""

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@?#]{1,500}$")]
    secret: SecretName

    @model_validator(mode="after")
    def _key_travels_encrypted(self) -> Endpoint:
        host = self.base_url.partition("://")[2].partition("/")[0].partition(":")[0]
        if self.base_url.startswith("http:") and host not in ("127.0.0.1", "localhost"):
            raise PlacedError(("base_url",), "base_url must be https, except on loopback")
        return self

    @model_validator(mode="after")
    def _somebody_can_be_asked(self) -> Endpoint:
        try:
            parts = urlsplit(self.base_url)
            reached = parts.hostname is not None and parts.port != 0
        except ValueError:
            reached = False
        if not reached:
            raise PlacedError(
                ("base_url",), "base_url must name a host, and a port from 1 to 65535 if any"
            )
        return self


class Price(_Closed):
    """Micro-USD for a million tokens."""

    input_micro_usd_per_mtok: MicroUsd
    output_micro_usd_per_mtok: MicroUsd


class Registry(_Closed):
    """The whole of a ``registry.yaml``."""

    schema_: Literal["v1"] = Field(alias="schema")
    ref: Annotated[str, StringConstraints(pattern=f"^{REF_GRAMMAR}$")]
    summary: Text
    runtime: Literal["python3.13", "exec"]
    entrypoint: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*(\.[a-z0-9]+)?$")]
    image: Image
    inputs: dict[str, object]
    requires: dict[Name, Text]
    produces: list[Text]
    limits: Limits
    cost: Cost
    secrets: list[SecretName]
    endpoints: dict[Name, Endpoint]
    prices: dict[Text, Price]

    @model_validator(mode="after")
    def _nothing_twice(self) -> Registry:
        for name in ("produces", "secrets"):
            listed = getattr(self, name)
            for index, item in enumerate(listed):
                if item in listed[:index]:
                    raise PlacedError((name, index), f"{name} lists something twice: {item}")
        return self

    @model_validator(mode="after")
    def _secrets_hide_nothing(self) -> Registry:
        for index, name in enumerate(self.secrets):
            if name in _OWN_VARIABLES:
                raise PlacedError(
                    ("secrets", index),
                    f"secrets lists {name}, which every processor's environment has",
                )
        return self

    @model_validator(mode="after")
    def _parts_agree(self) -> Registry:
        schema_subset.check(self.inputs, ("inputs",))
        if self.inputs["type"] != "object":
            raise PlacedError(("inputs", "type"), "inputs must be of type object")
        for name, endpoint in self.endpoints.items():
            if endpoint.secret not in self.secrets:
                raise PlacedError(
                    ("endpoints", name, "secret"),
                    f"endpoint secret {endpoint.secret} is not listed under secrets",
                )
        return self

    @model_validator(mode="after")
    def _effects_can_come_true(self) -> Registry:
        for name, template in self.requires.items():
            _placed(("requires", name), template, Template)
        for index, template in enumerate(self.produces):
            place: Place = ("produces", index)
            _placed(place, template, Template)
            _placed(place, template, _check_product)
            if effects.prefix_of(template) != effects.prefix_of(self.produces[0]):
                raise PlacedError(
                    place, "produces names more than one write prefix; an execution has one"
                )
        return self

    def document(self) -> dict[str, Json]:
        """The registry as JSON, in the keys of the file."""
        dumped: dict[str, Json] = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        dumped["image"] = {"repository": self.image.repository, "digest": self.image.digest}
        return dumped


def load(data: bytes, ref: Ref, what: str) -> Registry:
    """Parse and check a ``registry.yaml``.

    Args:
        data: The file's bytes.
        ref: The ref that the file's folder stands for.
        what: How messages call the file.

    Raises:
        ContractError: ``ERR_REGISTRY_MISMATCH``, reason ``invalid_registry`` or ``ref_mismatch``.
    """
    try:
        document = strict_yaml.read(data, DOCUMENT_BYTES_MAX)
    except ValueError as error:
        raise _invalid(what, str(error)) from None
    try:
        registry = Registry.model_validate(document.value)
        canonical(registry.document())  # refuses a lone surrogate, wherever it is
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        inner = getattr(first.get("ctx", {}).get("error"), "place", ())
        line = document.line((*first["loc"], *inner))
        field = ".".join(str(part) for part in first["loc"]) or "document"
        raise _invalid(what, f"line {line}: {field}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise _invalid(what, str(error)) from None
    if registry.ref != str(ref):
        raise ContractError(
            "ERR_REGISTRY_MISMATCH",
            "ref_mismatch",
            f"{what} says ref {registry.ref}, its folder stands for {ref}",
        )
    return registry


def _placed(place: Place, template: str, look: Callable[[str], object]) -> None:
    try:
        look(template)
    except (ValueError, ContractError) as error:
        raise PlacedError(place, getattr(error, "message", str(error))) from None


def _check_product(template: str) -> None:
    """Refuse a product that no execution can make, wherever its write prefix leads."""
    if template.split("/").count("outputs") != 1 or template.endswith("/outputs"):
        raise ValueError(f"{template}: a product has exactly one /outputs/ segment")
    prefix = Template(effects.prefix_of(template)[:-1])
    try:
        paths.canonical_prefix(prefix.substitute(dict.fromkeys(prefix.names, "x")) + "/")
    except ContractError as error:
        raise ValueError(f"{template}: no output can lie there: {error.message}") from None


def _invalid(what: str, message: str) -> ContractError:
    return ContractError("ERR_REGISTRY_MISMATCH", "invalid_registry", f"{what}: {message}")
