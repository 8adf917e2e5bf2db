"""``registry.yaml``: read strictly, refused with a reason that names the field."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator import schema_subset
from orchestrator.images import registry
from processors.protocol import canonical
from processors.protocol.errors import ContractError
from processors.protocol.refs import Ref
from tests.unit.source_rules import registry_files, root

type Document = dict[str, Any]
type Change = Callable[[Document], object]

REF = Ref("llm", "chat", 1)
DIGEST = "sha256:" + "0a" * 32
VALID: Document = {
    "schema": "v1",
    "ref": "llm/chat@1",
    "summary": "answers",
    "runtime": "python3.13",
    "entrypoint": "main.py",
    "image": {"repository": "processors/llm-chat", "digest": None},
    "inputs": {
        "type": "object",
        "properties": {"text": {"type": "string", "maxLength": 5}},
        "required": ["text"],
    },
    "requires": {"text": "/artifacts/text/{name}/outputs/text.md"},
    "produces": ["/artifacts/chat/{name}/outputs/reply.md"],
    "limits": {"time_s": 1, "memory_mb": 1, "max_input_bytes": 1, "max_output_bytes": 1},
    "cost": {"estimate_micro_usd": 0},
    "secrets": ["OPENAI_API_KEY"],
    "endpoints": {"openai": {"base_url": "https://api.test/v1", "secret": "OPENAI_API_KEY"}},
    "prices": {"m": {"input_micro_usd_per_mtok": 1, "output_micro_usd_per_mtok": 2}},
}


def load(data: str | bytes) -> registry.Registry:
    return registry.load(data.encode() if isinstance(data, str) else data, REF, "registry.yaml")


def changed(change: Change) -> str:
    document = copy.deepcopy(VALID)
    change(document)
    return json.dumps(document)


def assert_refused(data: str | bytes, words: str = "") -> None:
    with pytest.raises(ContractError) as caught:
        load(data)
    assert (caught.value.code, caught.value.reason) == ("ERR_REGISTRY_MISMATCH", "invalid_registry")
    assert caught.value.message.startswith("registry.yaml: ")
    assert words in caught.value.message


def test_a_valid_registry_is_read_and_given_back() -> None:
    found = load(yaml.safe_dump(VALID))

    expected = copy.deepcopy(VALID)
    expected["limits"]["attempts_max"] = 1
    assert found.document() == expected


def test_a_pin_is_kept() -> None:
    found = load(changed(lambda document: document["image"].update(digest=DIGEST)))

    assert found.document()["image"] == {"repository": "processors/llm-chat", "digest": DIGEST}


def test_every_registry_of_the_repository_is_valid() -> None:
    files = registry_files(root())
    assert files

    for file in files:
        ns, name, version = file.parent.parts[-3:]
        ref = Ref(ns, name, int(version.removeprefix("v")))
        assert registry.load(file.read_bytes(), ref, str(file)).ref == str(ref)


def test_a_registry_in_the_folder_of_another_ref_is_a_mismatch() -> None:
    with pytest.raises(ContractError) as caught:
        registry.load(json.dumps(VALID).encode(), Ref("llm", "chat", 2), "registry.yaml")

    assert (caught.value.code, caught.value.reason) == ("ERR_REGISTRY_MISMATCH", "ref_mismatch")


@pytest.mark.parametrize("key", sorted(VALID))
def test_a_partial_registry_is_refused(key: str) -> None:
    assert_refused(changed(lambda document: document.pop(key)), key)


@pytest.mark.parametrize("key", sorted(VALID))
@pytest.mark.parametrize("value", [None, 7, True, [[]], {"x": []}], ids=json.dumps)
def test_a_member_of_another_type_is_refused(key: str, value: object) -> None:
    assert_refused(changed(lambda document: document.update({key: value})), key)


def test_an_enum_holds_no_nan() -> None:
    data = changed(field(type="number", enum=[0.5])).replace("0.5", ".nan")

    assert_refused(data, "a number not in decimal digits")


SYNTAX = {
    "empty": "",
    "a list": "[]",
    "a word": "registry",
    "broken": "schema: [v1",
    "two documents": "a: 1\n---\nb: 2\n",
    "alias": "a: &x 1\nb: *x\n",
    "merge key": "a: {b: 1}\n<<: {c: 1}\n",
    "merge of an alias": "a: &x {b: 1}\nc:\n  <<: *x\n",
    "key twice": "schema: v1\nschema: v1\n",
    "inner key twice": "limits: {time_s: 1, time_s: 2}\n",
    "number as key": "1: a\n",
    "boolean as key": "yes: a\n",
    "null as key": "~: a\n",
    "list as key": "? [a]\n: b\n",
    "python object": "a: !!python/object/apply:os.system [id]\n",
    "own tag": "a: !mine b\n",
    "tag of a number without digits": "a: !!int ''\n",
    "tag of a float without digits": "a: !!float ''\n",
    "tag of a boolean on a word": "a: !!bool b\n",
    "tag of a timestamp on a word": "a: !!timestamp b\n",
    "tag that fits": "a: !!str b\n",
    "not UTF-8": b"summary: \xff\n",
    "UTF-16": json.dumps(VALID).encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf" + json.dumps(VALID).encode(),
    "control character": "summary: \x07\n",
    "tab": "a:\n\t- b\n",
    "too deep": "[" * 5_000,
    "too large": "#" * (registry.DOCUMENT_BYTES_MAX + 1),
}


@pytest.mark.parametrize("number", ["1:30", "1:" * 100_000 + "1", "0x3c", "074", "6_0", ".inf"])
def test_a_number_is_written_in_decimal_digits(number: str) -> None:
    data = json.dumps(VALID).replace('"time_s": 1,', f'"time_s": {number},')
    assert number in data

    assert_refused(data, "a number not in decimal digits")


@pytest.mark.parametrize("data", SYNTAX.values(), ids=SYNTAX)
def test_yaml_that_can_be_misread_is_refused(data: str | bytes) -> None:
    assert_refused(data)


@pytest.mark.parametrize(
    "data", ["schema: v1\nschema: v1\n", "limits: {time_s: 1, time_s: 2}\n", "<<: {a: 1}\n"]
)
def test_an_ambiguous_key_is_named_as_the_fault(data: str) -> None:
    with pytest.raises(ContractError) as caught:
        load(data)

    assert any(word in caught.value.message for word in ("given twice", "no plain string", "merge"))


def limit(name: str, value: object) -> Change:
    return lambda document: document["limits"].update({name: value})


def pin(value: object) -> Change:
    return lambda document: document["image"].update(digest=value)


def repository(value: str) -> Change:
    return lambda document: document["image"].update(repository=value)


def url(value: str) -> Change:
    return lambda document: document["endpoints"]["openai"].update(base_url=value)


def inputs(**value: object) -> Change:
    return lambda document: document.update(inputs=value)


def field(**schema: object) -> Change:
    return inputs(type="object", properties={"a": schema})


def product(*templates: str) -> Change:
    return lambda document: document.update(produces=list(templates))


WRONG: dict[str, tuple[Change, str]] = {
    "unknown key": (lambda document: document.update(more=1), "more"),
    "unknown limit": (limit("cpu", 1), "limits.cpu"),
    "unknown image key": (lambda document: document["image"].update(tag="v1"), "image.tag"),
    "schema v2": (lambda document: document.update(schema="v2"), "schema"),
    "other runtime": (lambda document: document.update(runtime="python2"), "runtime"),
    "entrypoint elsewhere": (lambda document: document.update(entrypoint="../x"), "entrypoint"),
    "malformed ref": (lambda document: document.update(ref="llm/chat"), "ref"),
    "empty summary": (lambda document: document.update(summary=""), "summary"),
    "limit zero": (limit("time_s", 0), "limits.time_s"),
    "limit as text": (limit("time_s", "10"), "limits.time_s"),
    "limit as float": (limit("memory_mb", 1.5), "limits.memory_mb"),
    "limit as boolean": (limit("memory_mb", value=True), "limits.memory_mb"),
    "limit beyond a day": (limit("time_s", 86_401), "limits.time_s"),
    "negative cost": (
        lambda document: document["cost"].update(estimate_micro_usd=-1),
        "cost.estimate_micro_usd",
    ),
    "products under two prefixes": (
        product("/artifacts/a/{n}/outputs/x", "/artifacts/b/{n}/outputs/y"),
        "more than one write prefix",
    ),
    "two wildcards in a segment": (product("/artifacts/{a}-{b}/outputs/x"), "more than one"),
    "repository in upper case": (repository("A/b"), "image: Value error, 'A' is no part"),
    "repository with a tag": (repository("a/b:v1"), "'b:v1' is no part"),
    "repository on no host": (repository("a_b.c/d"), "'a_b.c' is no host"),
    "repository too long": (repository("a" * 256), "at most 255"),
    "empty repository": (repository(""), "'' is no part"),
    "pin of a tag": (pin("latest"), "digest must be"),
    "pin without algorithm": (pin(DIGEST.removeprefix("sha256:")), "digest must be"),
    "short pin": (pin(DIGEST[:-1]), "digest must be"),
    "upper-case pin": (pin("sha256:" + "0A" * 32), "digest must be"),
    "empty pin": (pin(""), "digest must be"),
    "pin of another algorithm": (pin(DIGEST.replace("256", "512")), "digest must be"),
    "http": (url("http://api.test/v1"), "must be https"),
    "http to a name like loopback": (url("http://localhost.test/v1"), "must be https"),
    "http to an address like loopback": (url("http://127.0.0.1.test/"), "must be https"),
    "http in capitals": (url("HTTP://api.test/"), "base_url"),
    "user in the address": (url("https://user@api.test/"), "base_url"),
    "other scheme": (url("file:///etc/passwd"), "base_url"),
    "blank in the address": (url("https://api.test/ x"), "base_url"),
    "query in the address": (url("https://api.test/?x"), "base_url"),
    "port beyond the last": (url("https://api.test:99999/v1"), "a port from 1 to 65535"),
    "port zero": (url("https://api.test:0/v1"), "a port from 1 to 65535"),
    "port a word": (url("https://api.test:http/v1"), "a port from 1 to 65535"),
    "no host": (url("https://:443/v1"), "must name a host"),
    "half a host": (url("https://[::1/v1"), "must name a host"),
    "repository at a port beyond the last": (repository("a.b:99999/c"), "'a.b:99999' is no host"),
    "secret not listed": (
        lambda document: document["endpoints"]["openai"].update(secret="OTHER_KEY"),  # noqa: S106
        "OTHER_KEY is not listed",
    ),
    "malformed secret": (lambda document: document.update(secrets=["A-B"]), "secrets.0"),
    "secret in the place of a folder": (
        lambda document: document["secrets"].append("TMPDIR"),
        "secrets lists TMPDIR, which every processor's environment has",
    ),
    "secret in the place of a setting": (
        lambda document: document["secrets"].append("PYTHONHASHSEED"),
        "secrets lists PYTHONHASHSEED",
    ),
    "inputs no object": (inputs(type="string"), "must be of type object"),
    "inputs without type": (inputs(properties={}), "inputs.type"),
    "unknown keyword": (inputs(type="object", oneOf=[]), "unknown keyword oneOf"),
    "nested unknown keyword": (
        inputs(type="object", properties={"a": {"type": "string", "pattern": "x"}}),
        "inputs.properties.a: unknown keyword pattern",
    ),
    "unknown type": (
        inputs(type="object", properties={"a": {"type": "date"}}),
        "properties.a.type",
    ),
    "required is no property": (inputs(type="object", required=["a"]), "which is no property"),
    "items no schema": (
        inputs(type="object", properties={"a": {"type": "array", "items": [1]}}),
        "items must be a schema",
    ),
    "required no list": (inputs(type="object", required=5), "inputs.required has a value"),
    "required null": (inputs(type="object", required=None), "inputs.required has a value"),
    "required a word": (inputs(type="object", required="a"), "inputs.required has a value"),
    "required no names": (inputs(type="object", required=[5]), "inputs.required lists"),
    "minimum a word": (field(type="integer", minimum="5"), "a.minimum has a value"),
    "minimum too large": (field(type="number", minimum=2**60), "a.minimum must be"),
    "enum a word": (field(type="string", enum="abc"), "a.enum has a value"),
    "enum beyond 2^53": (field(type="integer", enum=[1, 2**53]), "a.enum must be a number"),
    "a range without a value": (
        field(type="integer", minimum=3, maximum=2),
        "inputs.properties.a.minimum is 3, more than maximum, 2; no value is both",
    ),
    "a range without an integer": (
        field(type="integer", minimum=0.2, maximum=0.8),
        "inputs.properties.a: no integer is between 0.2 and 0.8",
    ),
    "a length without a value": (
        field(type="string", minLength=5, maxLength=2),
        "inputs.properties.a.minLength is 5, more than maxLength, 2",
    ),
    "a count without a value": (
        field(type="array", minItems=2, maxItems=1),
        "inputs.properties.a.minItems is 2, more than maxItems, 1",
    ),
    "negative length": (field(type="string", maxLength=-1), "a.maxLength is -1; expected 0 or"),
    "empty enum": (field(type="string", enum=[]), "a.enum is empty; expected a value"),
    "enum of another type": (
        field(type="integer", enum=[1, "2"]),
        "inputs.properties.a.enum[1] is a JSON string, not of type integer",
    ),
    "enum out of range": (field(type="integer", enum=[1], minimum=2), "a.enum[0] is less than 2"),
    "default": (field(type="string", default="a"), "unknown keyword default; expected type,"),
    "lone surrogate": (field(type="string", description="\ud800"), "half of a surrogate pair"),
    "lone surrogate in an enum": (
        field(type="string", enum=["\ud800"]),
        "half of a surrogate pair",
    ),
    "length a fraction": (field(type="string", maxLength=5.0), "a.maxLength has a value"),
    "length a boolean": (field(type="string", maxLength=True), "a.maxLength has a value"),
    "keyword of another type": (field(type="string", properties={}), "has no meaning for type"),
    "secret twice": (
        lambda document: document.update(secrets=["API_KEY", "API_KEY"]),
        "secrets lists something twice",
    ),
    "open brace": (product("/artifacts/{name/outputs/y"), "a brace that is no {name}"),
    "outputs at the end": (product("/artifacts/x/outputs"), "exactly one /outputs/"),
    "outputs in outputs": (product("/artifacts/outputs/outputs/y"), "exactly one /outputs/"),
    "no outputs segment": (product("/artifacts/x/text.md"), "exactly one /outputs/"),
    "two outputs segments": (product("/artifacts/outputs/x/outputs/y"), "exactly one /outputs/"),
    "relative product": (product("artifacts/outputs/x"), "does not start with /"),
    "product of no facet": (product("/x/outputs/y"), "starts with none of"),
    "product with parent": (product("/artifacts/../outputs/y"), ".. segment"),
    "product in another facet": (
        product("/streams/{name}/outputs/y"),
        "/streams/{name}/outputs/y: no output can lie there: write prefix",
    ),
    "product in a reserved folder": (
        product("/artifacts/execution/{name}/outputs/y"),
        "write prefix lies under /artifacts/execution/ (reserved)",
    ),
    "product right below its facet": (product("/artifacts/outputs/y"), "is no folder under"),
    "product not canonical": (product("/artifacts/%61/outputs/y"), "is not canonical"),
}


@pytest.mark.parametrize(("change", "words"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_refused_by_name(change: Change, words: str) -> None:
    assert_refused(changed(change), words)


PLACES: dict[str, tuple[Change, str]] = {
    "a key": (limit("time_s", 0), '"time_s": 0'),
    "a key too many": (limit("cpu", 1), '"cpu": 1'),
    "a pin": (pin("latest"), '"digest": "latest"'),
    "an address": (url("https://a.test:0/"), '"base_url": "https://a.test:0/"'),
    "a keyword": (field(type="string", minLength=5, maxLength=2), '"minLength": 5'),
    "a value of an enum": (field(type="integer", enum=[7, "x"]), '"x"'),
    "a property": (inputs(type="object", properties={"a": {"type": "date"}}), '"type": "date"'),
    "a product": (product("/artifacts/a/outputs/y", "/plan/b/outputs/y"), '"/plan/b/outputs/y"'),
    "a second prefix": (
        product("/artifacts/a/outputs/y", "/artifacts/b/outputs/y"),
        '"/artifacts/b/outputs/y"',
    ),
    "a requirement": (
        lambda document: document.update(requires={"text": "/artifacts/{"}),
        '"text": "/artifacts/{"',
    ),
    "a secret": (lambda document: document["secrets"].append("HOME"), '"HOME"'),
    "a secret that is twice there": (
        lambda document: document.update(secrets=["A_KEY", "OPENAI_API_KEY", "A_KEY "[:5]]),
        '"A_KEY"\n',
    ),
}


@pytest.mark.parametrize(("change", "written"), PLACES.values(), ids=PLACES)
def test_a_mistake_is_named_with_its_line(change: Change, written: str) -> None:
    document = copy.deepcopy(VALID)
    change(document)
    data = json.dumps(document, indent=1)
    assert data.count(written) == 1
    line = data.count("\n", 0, data.index(written)) + 1

    assert_refused(data, f"registry.yaml: line {line}: ")


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.test/v1",
        "https://api.test:8443/",
        "http://127.0.0.1:80/v1",
        "http://localhost/",
    ],
)
def test_an_address_is_https_or_loopback(base_url: str) -> None:
    assert load(changed(url(base_url))).endpoints["openai"].base_url == base_url


# Limits, each as the guide states it.


def price(name: str, value: int) -> Change:
    return lambda document: document["prices"]["m"].update({name: value})


def secret(size: int) -> Change:
    return lambda document: document["secrets"].append("S" * size)


def endpoint(size: int) -> Change:
    return lambda document: document["endpoints"].update(
        {"e" * size: document["endpoints"]["openai"]}
    )


def template(size: int) -> Change:
    start = "/artifacts/"
    filler = "/".join(["a" * 9] * 60)
    return lambda document: document.update(requires={"text": (start + filler)[: size - 1] + "b"})


def nested(levels: int) -> Change:
    """An input schema in which every level takes two of JSON's."""
    schema: Document = {"type": "string"}
    for _ in range(levels - 1):
        schema = {"type": "object", "properties": {"a": schema}}
    return inputs(**schema)


LIMITED: dict[str, Callable[[int], Change]] = {
    "time_s": lambda value: limit("time_s", value),
    "memory_mb": lambda value: limit("memory_mb", value),
    "max_input_bytes": lambda value: limit("max_input_bytes", value),
    "max_output_bytes": lambda value: limit("max_output_bytes", value),
    "attempts_max": lambda value: limit("attempts_max", value),
    "max_pages": lambda value: limit("max_pages", value),
    "estimate_micro_usd": lambda value: (
        lambda document: document["cost"].update(estimate_micro_usd=value)
    ),
    "input_micro_usd_per_mtok": lambda value: price("input_micro_usd_per_mtok", value),
    "output_micro_usd_per_mtok": lambda value: price("output_micro_usd_per_mtok", value),
    "summary": lambda value: lambda document: document.update(summary="s" * value),
    "a path": template,
    "secrets": secret,
    "endpoints": endpoint,
    "repository": lambda value: repository("r" * value),
    "nesting": nested,
}
# The least of these is what makes one at all.
BARE = {"a path": 12, "nesting": 2}


def stated() -> dict[str, tuple[str, int, int]]:
    """The guide's table: unit, least and most of each thing that is limited."""
    page = Path("docs/guides/processors.md").read_text()
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (\d*) \| (\d+) \|$", page, re.MULTILINE)
    return {what: (unit, int(least or "0"), int(most)) for what, unit, least, most in rows}


@pytest.mark.proves("PA-3")
@pytest.mark.parametrize("name", LIMITED)
def test_a_limit_is_the_one_that_the_guide_states(name: str) -> None:
    [(_, least, most)] = [
        row
        for what, row in stated().items()
        if name in re.split(r"[`.,]", what) or what.startswith(name)
    ]
    change = LIMITED[name]

    load(changed(change(max(least, BARE.get(name, 0)))))
    load(changed(change(most)))
    assert_refused(changed(change(most + 1)))
    if name not in BARE:
        assert_refused(changed(change(least - 1)))


@pytest.mark.proves("PA-3")
def test_every_limit_of_the_guide_is_tried_and_has_a_unit() -> None:
    assert len(stated()) == len(LIMITED) + 1  # and the file's own size
    assert all(unit.strip() for unit, _, _ in stated().values())
    assert stated()["the file"][2] == registry.DOCUMENT_BYTES_MAX


def test_the_deepest_registry_can_be_read_where_it_was_built() -> None:
    document = load(changed(nested(schema_subset.LEVELS_MAX))).document()

    assert canonical.parse(canonical.canonical({"registry": document}), "processor.json")
