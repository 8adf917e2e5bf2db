"""YAML that cannot be misread: what is refused, and on which line everything stands."""

from __future__ import annotations

import pytest

from orchestrator import strict_yaml

TEXT = b"""\
# a goal
name: digest
list:
  - a: 1
    b: [x, y]

  - a: 2
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ([], 1),
        (["name"], 2),
        (["list"], 3),
        (["list", 0], 4),
        (["list", 0, "b", 1], 5),
        (["list", 1], 7),
        (["list", 1, "a"], 7),
        (["list", 1, "absent"], 7),
        (["list", 9], 3),
        (["name", "deeper"], 2),
        (["absent"], 1),
    ],
)
def test_every_place_has_its_line(place: list[str | int], line: int) -> None:
    assert strict_yaml.read(TEXT, 1_000).line(place) == line


def test_the_value_is_the_files() -> None:
    assert strict_yaml.read(TEXT, 1_000).value == {
        "name": "digest",
        "list": [{"a": 1, "b": ["x", "y"]}, {"a": 2}],
    }
    assert strict_yaml.read(b"", 1_000).value is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"a: 1\nb: &x 1\nc: *x\n", "line 3: an alias"),
        (b"a: 1\nb: !!str 1\n", "line 2: a tag"),
        (b"a: 1\nb:\n  c: 1\n  c: 2\n", "line 4: a key is given twice: 'c'"),
        (b"a: 1\n1: 2\n", "line 2: a key that is no plain string"),
        (b"a: 1\nb: 1:30\n", "line 2: a number not in decimal digits"),
        (b"a: [1\nb: 2\n", "line 2: while parsing a flow sequence"),
        (b"a: 1\nb: \xff\n", "line 2: 'utf-8' codec"),
        (b"\xef\xbb\xbfa: 1\n", "byte order mark"),
        (b"a: 1\n--- 2\n", "line 2: expected a single document"),
        (b"a: \x07\n", "special characters"),
        (b"[" * 5_000, "nested too deep"),
        (b"a" * 1_001, "larger than 1000 bytes"),
    ],
)
def test_what_is_refused_says_why_and_where(text: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("(", r"\(")):
        strict_yaml.read(text, 6_000 if text[:1] == b"[" else 1_000)
