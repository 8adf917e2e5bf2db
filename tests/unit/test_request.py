"""A request is checked word by word."""

from __future__ import annotations

import pytest

from orchestrator.execution import request
from processors.protocol.errors import ContractError
from processors.protocol.refs import is_execution_id


def refused(error: ContractError) -> tuple[str, str]:
    return error.code, error.reason


@pytest.mark.proves("HR-1")
@pytest.mark.parametrize("mode", ["mock", "real"])
def test_the_two_modes_are_accepted(mode: str) -> None:
    assert request.check_mode(mode) == mode


@pytest.mark.proves("HR-1")
@pytest.mark.parametrize(
    "mode",
    [
        "smoke",
        "default",
        "simulate",
        "MOCK",
        "Mock",
        "REAL",
        "",
        " mock",
        "real ",
        "mock\n",
        "mock,real",
        "mocked",
        "m",
        "null",
        "None",
        "\uff4d\uff4f\uff43\uff4b",
    ],
)
def test_any_other_mode_is_refused(mode: str) -> None:
    with pytest.raises(ContractError) as caught:
        request.check_mode(mode)

    assert refused(caught.value) == ("ERR_INPUTS", "bad_value")
    assert "mock, real" in caught.value.message


@pytest.mark.parametrize("text", ["local", "modal"])
def test_the_two_adapters_are_accepted(text: str) -> None:
    assert request.check_adapter(text) == text


@pytest.mark.parametrize("text", ["", "docker", "LOCAL", "local "])
def test_any_other_adapter_or_lane_is_refused(text: str) -> None:
    for check in (request.check_adapter, request.check_lane):
        with pytest.raises(ContractError) as caught:
            check(text)
        assert refused(caught.value) == ("ERR_INPUTS", "bad_value")


@pytest.mark.parametrize("text", ["pr", "dev", "staging", "main"])
def test_the_four_lanes_are_accepted(text: str) -> None:
    assert request.check_lane(text) == text


@pytest.mark.parametrize("text", ["", "doc", "doc/extract", "doc/extract@0", "Doc/extract@1"])
def test_a_malformed_ref_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(ContractError) as caught:
        request.check_ref(text)

    assert refused(caught.value) == ("ERR_INPUTS", "bad_value")
    assert "@[1-9]" in caught.value.message


def test_a_ref_is_accepted() -> None:
    assert str(request.check_ref("doc/extract@1")) == "doc/extract@1"


@pytest.mark.parametrize("text", ["", "-a", "A", "a_b", "a" * 64, "a b", "../x"])
def test_a_malformed_execution_id_is_refused(text: str) -> None:
    with pytest.raises(ContractError) as caught:
        request.check_execution_id(text)

    assert refused(caught.value) == ("ERR_INPUTS", "bad_value")


def test_new_execution_ids_are_valid_and_differ() -> None:
    ids = {request.new_execution_id() for _ in range(100)}

    assert len(ids) == 100
    assert all(is_execution_id(each) for each in ids)


def test_the_execution_id_is_expanded_once_in_the_write_prefix() -> None:
    check = request.check_write_prefix

    assert check("/artifacts/demo/{execution_id}/", "x-1") == "/artifacts/demo/x-1/"
    assert check("/artifacts/{execution_id}/{execution_id}/", "x") == "/artifacts/x/x/"
    assert check("/artifacts/{Execution_Id}/", "x") == "/artifacts/{Execution_Id}/"
    assert check("/artifacts/%7Bexecution_id%7D/", "x") == "/artifacts/{execution_id}/"


@pytest.mark.parametrize("text", ["", "/artifacts/x", "/plan/x/", "/artifacts/execution/x/"])
def test_a_bad_write_prefix_is_refused(text: str) -> None:
    with pytest.raises(ContractError) as caught:
        request.check_write_prefix(text, "x")

    assert caught.value.reason.startswith("path_")


@pytest.mark.parametrize(("text", "seconds"), [("1", 1), ("86400", 86_400), ("060", 60)])
def test_a_time_limit_is_whole_seconds(text: str, seconds: int) -> None:
    assert request.check_timeout(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "+1", "1.5", "1e3", "86401", "999999999", " 1", "1\n", "\u0661", "\u00b2"],
)
def test_any_other_time_limit_is_refused(text: str) -> None:
    with pytest.raises(ContractError) as caught:
        request.check_timeout(text)

    assert refused(caught.value) == ("ERR_INPUTS", "bad_value")


def test_named_values_are_split_at_the_first_equals_sign() -> None:
    found = request.check_named("--attach", ["a=/x=y", "b_2=z"])

    assert found == {"a": "/x=y", "b_2": "z"}


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        (["a"], "bad_value"),
        (["a="], "bad_value"),
        (["=x"], "bad_value"),
        (["A=x"], "bad_value"),
        (["a b=x"], "bad_value"),
        (["a=x", "a=y"], "repeated_flag"),
    ],
)
def test_malformed_named_values_are_refused(items: list[str], reason: str) -> None:
    with pytest.raises(ContractError) as caught:
        request.check_named("--attach", items)

    assert refused(caught.value) == ("ERR_INPUTS", reason)
    assert "--attach" in caught.value.message


def test_inputs_are_one_strict_object() -> None:
    assert request.check_inputs(b'{"a":1}', "--inputs-json") == {"a": 1}
    with pytest.raises(ContractError) as caught:
        request.check_inputs(b"[]", "--inputs-json")
    assert refused(caught.value) == ("ERR_INPUTS", "not_an_object")


def test_a_request_has_no_default_that_changes_what_runs() -> None:
    plain = request.Request(
        ref=request.check_ref("a/b@1"),
        adapter="local",
        mode="mock",
        lane="pr",
        write_prefix="/artifacts/x/",
        inputs={},
        execution_id="x",
    )

    assert (plain.attach, plain.use, plain.allow_env) == ({}, {}, [])
    assert (plain.timeout_s, plain.image_override, plain.registry_root) == (None, None, None)
    assert plain.allow_real is False
