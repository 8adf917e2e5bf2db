"""``registry.yaml``: its closed schema and its strict reader.

Used when Bazel builds a processor, and for ``--registry-root``. It imports pydantic and PyYAML, so
the ordinary path of an execution never imports this module.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from orchestrator.execution.input_schema import TYPES
from orchestrator.images import reference
from processors.protocol import digests, paths
from processors.protocol.canonical import SAFE_INTEGER_MAX, Json, canonical
from processors.protocol.errors import ContractError
from processors.protocol.refs import NAME_GRAMMAR, REF_GRAMMAR, Ref

DOCUMENT_BYTES_MAX = 262_144
SCHEMA_LEVELS_MAX = 16  # a level takes two of DEPTH_MAX, where the built registry is read as JSON

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
            raise ValueError(wrong)
        return self

    @model_validator(mode="after")
    def _pin_is_a_digest(self) -> Image:
        if self.digest is not None and not digests.is_digest(self.digest):
            raise ValueError("digest must be null or sha256: and 64 lower-case hex digits")
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
    """What one execution is expected to cost, in millionths of a US dollar."""

    estimate_micro_usd: MicroUsd


class Endpoint(_Closed):
    """A service the processor may call; inputs choose it by name only."""

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s@?#]{1,500}$")]
    secret: SecretName

    @model_validator(mode="after")
    def _key_travels_encrypted(self) -> Endpoint:
        host = self.base_url.partition("://")[2].partition("/")[0].partition(":")[0]
        if self.base_url.startswith("http:") and host not in ("127.0.0.1", "localhost"):
            raise ValueError("base_url must be https, except on loopback")
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
    requires: list[Text]
    produces: list[Text]
    limits: Limits
    cost: Cost
    secrets: list[SecretName]
    endpoints: dict[Name, Endpoint]
    prices: dict[Text, Price]

    @model_validator(mode="after")
    def _nothing_twice(self) -> Registry:
        for name in ("requires", "produces", "secrets"):
            listed = getattr(self, name)
            if len(set(listed)) != len(listed):
                raise ValueError(f"{name} lists something twice")
        return self

    @model_validator(mode="after")
    def _parts_agree(self) -> Registry:
        _check_schema(self.inputs, "inputs", 1)
        if self.inputs["type"] != "object":
            raise ValueError("inputs must be of type object")
        for endpoint in self.endpoints.values():
            if endpoint.secret not in self.secrets:
                raise ValueError(f"endpoint secret {endpoint.secret} is not listed under secrets")
        for template in (*self.requires, *self.produces):
            _check_template(template)
        for template in self.produces:
            if template.split("/").count("outputs") != 1 or template.endswith("/outputs"):
                raise ValueError(f"{template}: a product has exactly one /outputs/ segment")
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
        if len(data) > DOCUMENT_BYTES_MAX:
            raise ValueError(f"larger than {DOCUMENT_BYTES_MAX} bytes")
        text = data.decode("utf-8")  # PyYAML would also take UTF-16
        if text.startswith("\ufeff"):
            raise ValueError("starts with a byte order mark; leave it out")
        registry = Registry.model_validate(yaml.load(text, Loader=_Strict))  # noqa: S506
        canonical(registry.document())  # refuses a lone surrogate, wherever it is
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "document"
        raise _invalid(what, f"{field}: {first['msg']}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _invalid(what, " ".join(str(error).split())) from None
    if registry.ref != str(ref):
        raise ContractError(
            "ERR_REGISTRY_MISMATCH",
            "ref_mismatch",
            f"{what} says ref {registry.ref}, its folder stands for {ref}",
        )
    return registry


_NUMBER_TAGS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_NUMBER_CHARS = frozenset("+-.0123456789eE")


class _Strict(yaml.SafeLoader):
    """YAML 1.1 without what makes files ambiguous.

    No alias, tag, merge key or repeated key; no number to the base of 60, 16, 8 or 2 or with an
    underscore, which other readers take for text, and which can take seconds to read.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.events.AliasEvent):
            raise ValueError("an alias; spell the value out")
        # PyYAML's constructors raise what they like for a value that its tag does not fit.
        event: object = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            raise ValueError("a tag; write the value plainly")
        node = super().compose_node(parent, index)
        if isinstance(node, yaml.ScalarNode) and node.tag in _NUMBER_TAGS:
            whole = node.tag == _NUMBER_TAGS[0]
            padded = whole and node.value.lstrip("+-").startswith("0") and len(node.value) > 1
            if padded or not _NUMBER_CHARS.issuperset(node.value):
                raise ValueError(f"line {node.start_mark.line + 1}: a number not in decimal digits")
        return node

    def construct_mapping(  # PyYAML's own signature
        self,
        node: yaml.MappingNode,
        deep: bool = False,  # noqa: FBT001, FBT002
    ) -> dict[object, object]:
        plain = all(key.tag == "tag:yaml.org,2002:str" for key, _ in node.value)  # no merge key
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if plain]
        if not plain or "<<" in keys:
            raise ValueError(f"line {node.start_mark.line + 1}: a key that is no plain string")
        if len(set(keys)) != len(keys):
            raise ValueError(f"line {node.start_mark.line + 1}: a key is given twice")
        return super().construct_mapping(node, deep)


# What the value of each keyword must be, and for which types the keyword has a meaning.
_ANY = frozenset(TYPES)
_NUMBERS = frozenset({"integer", "number"})
_KEYWORD_RULES: dict[str, tuple[frozenset[str], type | tuple[type, ...]]] = {
    "type": (_ANY, str),
    "description": (_ANY, str),
    "enum": (_ANY - {"object", "array"}, list),
    "minimum": (_NUMBERS, (int, float)),
    "maximum": (_NUMBERS, (int, float)),
    "minLength": (frozenset({"string"}), int),
    "maxLength": (frozenset({"string"}), int),
    "minItems": (frozenset({"array"}), int),
    "maxItems": (frozenset({"array"}), int),
    "items": (frozenset({"array"}), dict),
    "properties": (frozenset({"object"}), dict),
    "required": (frozenset({"object"}), list),
}


def _check_schema(schema: object, where: str, depth: int) -> None:
    """Refuse an input schema that says more, or something else, than the validator understands."""
    if depth > SCHEMA_LEVELS_MAX:
        raise ValueError(f"inputs is nested too deep; at most {SCHEMA_LEVELS_MAX} levels")
    if not isinstance(schema, dict):
        raise ValueError(f"{where} must be a schema (an object)")
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise ValueError(f"{where}.type must be one of {', '.join(TYPES)}")
    for keyword, value in schema.items():
        _check_keyword(keyword, value, kind, where)
    for name, part in schema.get("properties", {}).items():
        if not isinstance(name, str):
            raise ValueError(f"{where}.properties has a name that is no string")
        _check_schema(part, f"{where}.properties.{name}", depth + 1)
    if unknown := sorted(set(schema.get("required", [])) - set(schema.get("properties", {}))):
        raise ValueError(f"{where}.required names {', '.join(unknown)}, which is no property")
    if "items" in schema:
        _check_schema(schema["items"], f"{where}.items", depth + 1)


def _check_keyword(keyword: object, value: object, kind: str, where: str) -> None:
    if keyword not in _KEYWORD_RULES:
        raise ValueError(f"{where}: unknown keyword {keyword}")
    kinds, wanted = _KEYWORD_RULES[str(keyword)]
    if kind not in kinds:
        raise ValueError(f"{where}.{keyword} has no meaning for type {kind}")
    if keyword == "items" and not isinstance(value, dict):
        raise ValueError(f"{where}.items must be a schema (an object)")
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise ValueError(f"{where}.{keyword} has a value of the wrong type")
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, int | float) and not abs(part) <= SAFE_INTEGER_MAX:  # NaN fails too
            raise ValueError(
                f"{where}.{keyword} must be a number of at most {SAFE_INTEGER_MAX} in size"
            )
    if isinstance(value, list):
        scalar = str if keyword == "required" else (str, int, float)
        if not all(isinstance(item, scalar) for item in value):
            raise ValueError(f"{where}.{keyword} lists something of the wrong type")


def _check_template(template: str) -> None:
    """A world path whose segments may hold ``{name}`` wildcards."""
    plain = re.sub(r"\{[a-z][a-z0-9_]{0,31}\}", "x", template)
    if "{" in plain or "}" in plain:
        raise ValueError(f"{template} has a brace that is no {{name}}")
    try:
        found = paths.canonical_path(plain)
    except ContractError as error:
        raise ValueError(error.message) from None
    if found != plain:
        raise ValueError(f"{template} is not canonical")


def _invalid(what: str, message: str) -> ContractError:
    return ContractError("ERR_REGISTRY_MISMATCH", "invalid_registry", f"{what}: {message}")
