"""Reading documents that somebody else wrote."""

from __future__ import annotations

import pytest

from anzol.documents import DEEPEST, MOST_VALUES, parsed
from anzol.errors import DocumentRefused


def test_json_and_yaml_say_the_same() -> None:
    wanted = {"openapi": "3.1.0", "list": [1, 2.5, -3e2, True, None, "text", ""], "nested": {"a": {"b": []}}}

    assert parsed('{"openapi":"3.1.0","list":[1,2.5,-3e2,true,null,"text",""],"nested":{"a":{"b":[]}}}') == wanted
    assert parsed("openapi: 3.1.0\nlist: [1, 2.5, -3e2, true, ~, text, '']\nnested:\n  a:\n    b: []\n") == wanted


def test_what_yaml_1_1_takes_for_something_else_is_text() -> None:
    text = "a: yes\nb: on\nc: 2026-01-01\nd: 2026-01-31T12:00:00Z\ne: 12:30:45\nf: 0x1F\ng: .inf\nh: 1_000\non: off\n"

    assert parsed(text) == {
        "a": "yes",
        "b": "on",
        "c": "2026-01-01",
        "d": "2026-01-31T12:00:00Z",
        "e": "12:30:45",
        "f": "0x1F",
        "g": ".inf",
        "h": "1_000",
        "on": "off",
    }


def test_keys_are_text_as_they_are_written() -> None:
    assert parsed("responses:\n  200: ok\n  true: x\n  '201': y") == {
        "responses": {"200": "ok", "true": "x", "201": "y"}
    }


def test_quoted_and_tagged_scalars_keep_their_type() -> None:
    assert parsed("[ '5', \"true\", !!str 5, !!int '7', ! 8, plain ]") == ["5", "true", "5", 7, "8", "plain"]


def test_an_object_without_quotes_is_yaml() -> None:
    assert parsed("{openapi: 3.1.0, webhooks: {}}") == {"openapi": "3.1.0", "webhooks": {}}


def test_aliases_are_followed_and_merged() -> None:
    assert parsed("a: &a {x: 1, y: 2}\nb: *a\nc:\n  <<: *a\n  y: 3\nd:\n  <<: [*a, {y: 4, z: 5}]\n") == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
        "d": {"x": 1, "y": 2, "z": 5},
    }


def bomb(way: str) -> str:
    lines = ["a: &a {x0: 1}" if way == "merge" else "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for before, name in zip("abcdefghi", "bcdefghij", strict=True):
        nine = ", ".join([f"*{before}"] * 9)
        lines.append(f"{name}: &{name} " + (f"{{<<: [{nine}]}}" if way == "merge" else f"[{nine}]"))
    return "\n".join(lines)


@pytest.mark.parametrize("way", ["list", "merge"])
def test_aliases_that_multiply_are_counted_before_anything_is_made(way: str) -> None:
    with pytest.raises(DocumentRefused, match=f"more than {MOST_VALUES} values"):
        parsed(bomb(way))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("# nothing\n", "empty"),
        ("--- a\n--- b\n", "several documents"),
        ("a: b: c\n", "Line 1, column 5"),
        ("a: [1, 2\nb: 3\n", "Line 2"),
        ("a: 1\nb: 2\na: 3\n", "Line 3, column 1: the key 'a' is there twice"),
        ("a: *b\n", "b"),
        ("a: &a [*a]\n", "inside itself"),
        ("a: &a {b: {c: *a}}\n", "inside itself"),
        ("a: !!python/object/apply:os.getcwd []\n", "python/object"),
        ("a: !!binary aGVsbG8=\n", "binary"),
        ("a: !mine {}\n", "!mine"),
        ("? [a, b]\n: c\n", "a key is a text"),
        ("a: {<<: 5}\n", "merges objects"),
        ("a: 1e999\n", "too large"),
        ("a: " + "9" * 5000, "cannot be read"),
        ("a: \0", "No YAML"),
        ("[" * 5000, "nested deeper|recursion|JSON"),
        ("- " * 5000 + "x", f"nested deeper than {DEEPEST}"),
        ('{"a": 1 "b": 2}', "Line 1, column 9: no JSON"),
        ('{"a": 1, "a": 2}', "'a' is there twice"),
        ('{"a": NaN}', "NaN"),
        ('{"a": ' + "9" * 5000 + "}", "cannot be read"),
        ('{"a":' * 100_000, "cannot be read"),
    ],
)
def test_what_cannot_be_read_says_where(text: str, said: str) -> None:
    with pytest.raises(DocumentRefused, match=said):
        parsed(text)


def test_aliases_nest_no_deeper_than_what_is_written_out() -> None:
    deep = "x" if DEEPEST else ""
    for _ in range(DEEPEST - 2):
        deep = f"[{deep}]"
    assert parsed(f"- &a {deep}\n")
    with pytest.raises(DocumentRefused, match="nested deeper"):
        parsed(f"- &a {deep}\n- [[[*a]]]\n")
