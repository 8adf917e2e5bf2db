"""The names of Modal apps: their shapes, pairs that could collide, one module that makes them."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.lanes import LANES
from orchestrator.naming import (
    ENVIRONMENTS,
    NAME_CHARS_MAX,
    NAME_GRAMMAR,
    TAIL_CHARS,
    missing_parts,
    modal_app_name_from_ref,
)
from processors.protocol.errors import ContractError
from processors.protocol.refs import Ref, parse_ref
from tests.unit.source_rules import Module, product, root

LONG = "n" * 32
LONGEST = f"{LONG}/{LONG}@9999"

CANONICAL = [
    ("doc/extract@1", "doc-extract-v1"),
    ("llm/chat@9999", "llm-chat-v9999"),
    ("ap/abcdefghijklmnopqrs@1", "ap-abcdefghijklmnopqrs-v1"),
    # Tails as sha256sum computes them of "5:my_ns4:chat2:v1" and so on.
    ("my_ns/chat@1", "my-ns-chat-v1-5d204af82c6edf0c5c4e2346"),
    ("a_/b__c@1", "a-b-c-v1-261a642464c79a62893449cf"),
    ("a/b_c@1", "a-b-c-v1-73e02f703f8c0043f851a1cc"),
    ("a_b/c@1", "a-b-c-v1-351d5daf3696947801329853"),
    (LONGEST, f"{LONG}-v9999-c20835d522a19023225abb5c"),
]

# Of doc/extract@1, in dev.
PERSONAL = [
    ("main", "ada", "main-ada-doc-extract-v1"),
    ("7", "0", "7-0-doc-extract-v1"),
    ("b" * 38, "u" * 10, "b" * 38 + "-uuuuuuuuuu-doc-extract-v1"),
    (
        "b" * 40,
        "u" * 10,
        "b" * 13 + "-uuuuuuuuuu-doc-extract-v1-521293f84a9499d86a321484",
    ),
    (
        "feature/x-y",
        "ada@corp.test",
        "eature-x-y-ada-corp-test-doc-extract-v1-8d0fb035ef7007822b6b55b7",
    ),
    ("a-b", "c", "a-b-c-doc-extract-v1-b41352d7582e1c18c9b3219c"),
    ("a", "b-c", "a-b-c-doc-extract-v1-576bd37a596ef333b7fca4f7"),
    ("Feat", "u", "feat-u-doc-extract-v1-b7ae2ae910ad14ecc599b95f"),
    ("", "ada", "ada-doc-extract-v1-72b38bebda761dda2bd9b179"),
    ("\U0001f600\u00e9", "ada", "ada-doc-extract-v1-e5562d72d2069b316f41f81a"),
    ("\u212a", "ada", "ada-doc-extract-v1-5c6d540721b725e45f6d73c2"),
    ("\ud800", "ada", "ada-doc-extract-v1-a4a6609a7e0e0951b849ee50"),
]


def ref(text: str) -> Ref:
    parsed = parse_ref(text)
    assert parsed is not None, text
    return parsed


DOC = ref("doc/extract@1")


def is_name(text: str) -> bool:
    """Whether Modal takes it, and it is of our own narrower grammar."""
    return (
        len(text) <= NAME_CHARS_MAX == 64
        and re.fullmatch(NAME_GRAMMAR, text) is not None
        and re.fullmatch("[A-Za-z0-9-_.]+", text) is not None
        and re.fullmatch("ap-[A-Za-z0-9]{22}", text) is None
    )


@pytest.mark.proves("NM-2")
@pytest.mark.parametrize(("text", "name"), CANONICAL)
def test_staging_and_main_call_an_app_by_its_ref(text: str, name: str) -> None:
    assert modal_app_name_from_ref(ref(text), "staging") == name
    assert modal_app_name_from_ref(ref(text), "main") == name
    assert is_name(name)


@pytest.mark.proves("NM-2")
@pytest.mark.parametrize(("branch", "user", "name"), PERSONAL)
def test_dev_puts_the_branch_and_the_user_first(branch: str, user: str, name: str) -> None:
    assert modal_app_name_from_ref(DOC, "dev", branch, user) == name
    assert is_name(name)


def test_a_name_is_hashed_from_one_character_too_many_on() -> None:
    fits = modal_app_name_from_ref(DOC, "dev", "b" * 38, "u" * 10)
    hashed = modal_app_name_from_ref(DOC, "dev", "b" * 39, "u" * 10)

    assert len(fits) == NAME_CHARS_MAX
    assert re.fullmatch(f".+-v1-[0-9a-f]{{{TAIL_CHARS}}}", hashed)
    assert len(hashed) == NAME_CHARS_MAX


@pytest.mark.parametrize(
    "group",
    [
        [("a-b", "c"), ("a", "b-c"), ("a", "b_c"), ("a--b", "c"), ("-a-b", "c"), ("a-b-c", "")],
        [("Feat", "u"), ("feat", "u"), ("FEAT", "u"), ("feat", "U"), ("feat ", "u")],
        [("x_y", "u"), ("x-y", "u"), ("x.y", "u"), ("x/y", "u"), ("xy", "u")],
        [("\u00e9", "u"), ("e\u0301", "u"), ("e", "u"), ("\u212a", "u"), ("k", "u"), ("K", "u")],
        [("", "u"), ("u", ""), ("", ""), ("-", ""), ("", "-"), ("\u00df", ""), ("ss", "")],
        [("b" * 50, "u"), ("c" + "b" * 49, "u"), ("b" * 51, "u")],
        [("\ud83d\ude00", "u"), ("\U0001f600", "u"), ("\ud83d", "\ude00u"), ("\x00", "u")],
        [("1:a", "b"), ("1:a1:b", ""), ("a", "1:b"), ("3:doc", "7:extract2:v1")],
    ],
)
def test_branches_and_users_that_look_alike_keep_their_own_apps(
    group: list[tuple[str, str]],
) -> None:
    names = [modal_app_name_from_ref(DOC, "dev", branch, user) for branch, user in group]

    assert len(set(names)) == len(group), names
    assert all(map(is_name, names))


def test_refs_that_differ_in_what_is_lost_have_different_names() -> None:
    parts = ("a", "a_", "a_b", "a__b", "b", "b_c", "c", "ab")
    refs = [Ref(ns, name, version) for ns in parts for name in parts for version in (1, 11)]

    for env in ENVIRONMENTS:
        assert len({modal_app_name_from_ref(each, env) for each in refs}) == len(refs)


def test_a_name_that_imitates_a_hashed_one_is_another() -> None:
    """A branch or user made of someone else's whole name, tail included."""
    hashed = modal_app_name_from_ref(DOC, "dev", "a-b", "c")
    tail = hashed.rpartition("-")[2]
    imitations = [
        modal_app_name_from_ref(DOC, "dev", hashed, ""),
        modal_app_name_from_ref(DOC, "dev", "", hashed),
        modal_app_name_from_ref(DOC, "dev", tail, "c"),
        modal_app_name_from_ref(DOC, "dev", "a-b", f"c-doc-extract-v1-{tail}"),
    ]

    assert len({hashed, *imitations}) == 5


def test_a_version_beyond_the_grammar_of_refs_cannot_pass_for_a_tail() -> None:
    name = modal_app_name_from_ref(Ref("doc", "extract", 10**22), "main")

    assert len(f"v{10**22}") == TAIL_CHARS
    assert is_name(name)
    assert re.fullmatch(".+-[0-9a-f]{24}", name)


@pytest.mark.parametrize(
    ("branch", "user", "missing"),
    [
        (None, None, ("branch", "user")),
        (None, "ada", ("branch",)),
        ("main", None, ("user",)),
    ],
)
def test_dev_without_a_branch_or_a_user_falls_back_and_says_what_was_missing(
    branch: str | None, user: str | None, missing: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("USER", "LOGNAME", "USERNAME", "GIT_BRANCH", "GITHUB_REF_NAME"):
        monkeypatch.setenv(variable, "guessed")

    assert modal_app_name_from_ref(DOC, "dev", branch, user) == "doc-extract-v1"
    assert missing_parts("dev", branch, user) == missing


def test_nothing_is_missing_where_nothing_is_needed_or_all_was_given() -> None:
    assert missing_parts("dev", "main", "ada") == ()
    assert missing_parts("dev", "", "") == ()
    assert missing_parts("staging", None, None) == ()
    assert missing_parts("main", None, None) == ()


def test_the_environments_are_the_lanes_that_deploy() -> None:
    assert ENVIRONMENTS == ("dev", "staging", "main")


@pytest.mark.parametrize(
    ("env", "branch", "user"),
    [
        ("pr", None, None),
        ("", None, None),
        ("Main", None, None),
        *((env, *given) for env in ("staging", "main") for given in (("b", None), (None, "u"))),
        ("staging", "", ""),
    ],
)
def test_a_name_that_would_mislead_is_refused(
    env: str, branch: str | None, user: str | None
) -> None:
    with pytest.raises(ContractError) as refused:
        modal_app_name_from_ref(DOC, env, branch, user)

    assert (refused.value.code, refused.value.reason) == ("ERR_INPUTS", "bad_value")


# Calls whose first argument is an app's name, and what an app's name is called.
TAKERS = re.compile(r"(.*\.)?(App|App\.lookup|Function\.from_name|Cls\.from_name)")
CALLED = re.compile(r"(modal_)?app(_name)?|APP(_NAME)?")
TEXT_METHODS = ("format", "join", "replace", "lower", "strip", "removesuffix", "removeprefix")
NAMING = "orchestrator/naming.py"


def made_up_names(module: Module) -> Iterator[str]:
    """Where a module gives an app a name that it wrote or put together itself."""
    for node in ast.walk(module.tree):
        values: list[ast.expr | None] = []
        match node:
            case ast.Assign(targets=targets, value=value):
                values = [value] if any(is_called(each) for each in targets) else []
            case ast.AnnAssign(target=target, value=value) if is_called(target):
                values = [value]
            case ast.Call(func=function, args=args, keywords=keywords):
                values = [each.value for each in keywords if CALLED.fullmatch(each.arg or "")]
                values += args[:1] if TAKERS.fullmatch(ast.unparse(function)) else []
            case ast.FunctionDef(name="modal_app_name_from_ref"):
                yield module.at(node, "a second modal_app_name_from_ref")
        for value in values:
            if is_made_here(value):
                yield module.at(node, f"only {NAMING} makes an app's name")


def is_called(target: ast.expr) -> bool:
    return CALLED.fullmatch(ast.unparse(target).rpartition(".")[2]) is not None


def is_made_here(value: ast.expr | None) -> bool:
    match value:
        case ast.Constant(value=constant):
            return isinstance(constant, str)
        case ast.JoinedStr() | ast.BinOp():
            return True
        case ast.Call(func=ast.Attribute(attr=method)):
            return method in TEXT_METHODS
    return False


@pytest.mark.proves("NM-1")
def test_one_module_makes_the_names_of_apps() -> None:
    modules = product(root())

    assert NAMING in {module.path for module in modules}
    found = [each for module in modules if module.path != NAMING for each in made_up_names(module)]
    assert found == []


@pytest.mark.parametrize(
    ("line", "is_found"),
    [
        ('app_name = f"{ref.ns}-{ref.name}"', True),
        ('self.app = "-".join(parts)', True),
        ('app_name: str = branch + "-" + name', True),
        ('deploy(app_name=name.replace("_", "-"))', True),
        ('app = modal.App(f"{ns}-{name}")', True),
        ('modal.Function.from_name("doc-extract-v1", "run")', True),
        ("def modal_app_name_from_ref(ref): ...", True),
        ("app_name = modal_app_name_from_ref(ref, env, branch, user)", False),
        ("app = modal.App(app_name)", False),
        ("app_name = None", False),
        ("trail.say(app=resolved.app_name)", False),
    ],
)
def test_the_rule_sees_a_name_that_is_made_elsewhere(
    line: str, tmp_path: Path, *, is_found: bool
) -> None:
    (tmp_path / "x.py").write_text(line)

    assert bool(list(made_up_names(Module(tmp_path, tmp_path / "x.py")))) == is_found


def test_one_ref_has_one_name_in_each_environment_but_personal_ones_are_apart() -> None:
    given = [(branch, user) for branch, user in itertools.product(("b", "c"), ("u", "w"))]
    personal = {modal_app_name_from_ref(DOC, "dev", branch, user) for branch, user in given}
    canonical = {modal_app_name_from_ref(DOC, env) for env in ENVIRONMENTS}

    assert len(personal) == 4
    assert len(canonical) == 1
    assert not personal & canonical
    assert set(ENVIRONMENTS) < set(LANES)
