from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anzol.errors import InvalidHeader
from anzol.headers import check_headers, check_prefix, header_lines, signed_headers, user_agent


def test_what_may_be_set_comes_back_with_lower_case_names() -> None:
    given_headers = {"Authorization": "Bearer abc", "X-Empty": "", "X-Blanks": "a b\tc"}

    assert check_headers(given_headers) == (
        ("authorization", "Bearer abc"),
        ("x-empty", ""),
        ("x-blanks", "a b\tc"),
    )


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "CONNECTION",
        "te",
        "trailer",
        "Upgrade",
        "expect",
        "Proxy-Authorization",
        "proxy-connection",
        "webhook-id",
        "Webhook-Signature",
        "webhook-anything",
    ],
)
def test_what_is_the_senders_own_may_not_be_set(name: str) -> None:
    with pytest.raises(InvalidHeader, match="may not be replaced") as caught:
        check_headers({name: "x"})

    assert caught.value.field == f"headers.{name}"


@pytest.mark.parametrize("name", ["", "a b", "a:", "é", "a\r\nb", "a\0", "(a)", "a" * 101])
def test_a_name_outside_the_grammar_is_refused(name: str) -> None:
    with pytest.raises(InvalidHeader):
        check_headers({name: "x"})


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "a\0b", " a", "a ", "\ta", "é", "\x7f", "a" * 4097])
def test_a_value_outside_the_grammar_is_refused_and_not_repeated(value: str) -> None:
    with pytest.raises(InvalidHeader) as caught:
        check_headers({"x-secret": value})

    assert "x-secret" in str(caught.value)
    assert len(value) < 4 or value not in str(caught.value)


@pytest.mark.parametrize(("name", "value"), [("x-a", 1), ("x-a", None), ("x-a", b"1"), (1, "a"), (None, "a")])
def test_what_is_no_text_is_refused(name: Any, value: Any) -> None:
    with pytest.raises(InvalidHeader):
        check_headers({name: value})


def test_one_name_twice_is_refused() -> None:
    with pytest.raises(InvalidHeader, match="twice"):
        check_headers([("X-A", "1"), ("x-a", "2")])


def test_too_many_and_too_much_are_refused() -> None:
    with pytest.raises(InvalidHeader, match="51 headers"):
        check_headers({f"x-{number}": "" for number in range(51)})
    with pytest.raises(InvalidHeader, match="bytes"):
        check_headers({f"x-{number}": "a" * 4000 for number in range(3)})


def test_an_endpoints_own_copies_may_not_be_set() -> None:
    with pytest.raises(InvalidHeader, match="copy"):
        check_headers({"Svix-Id": "x"}, prefix="svix-")

    assert check_headers({"svix-id": "x"}) == (("svix-id", "x"),)
    assert check_headers({"svix-other": "x"}, prefix="svix-") == (("svix-other", "x"),)


@pytest.mark.parametrize("prefix", ["svix-", "x-acme-", "a1-"])
def test_a_prefix_for_copies_is_taken(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize(
    "prefix", ["", "-", "svix", "Svix-", "webhook-", "proxy-", "a b-", "a\r\n-", "1-", "x" * 40 + "-"]
)
def test_what_is_no_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidHeader):
        check_prefix(prefix)


def test_signed_headers_are_copied_under_the_endpoints_prefix() -> None:
    lines = signed_headers("msg_1", 7, "v1,x", "svix-")

    assert lines == (
        b"webhook-id: msg_1\r\nwebhook-timestamp: 7\r\nwebhook-signature: v1,x\r\n"
        b"svix-id: msg_1\r\nsvix-timestamp: 7\r\nsvix-signature: v1,x\r\n"
    )
    assert signed_headers("msg_1", 7, "v1,x").count(b"\r\n") == 3


def test_of_one_name_the_last_layers_value_is_sent() -> None:
    lines = header_lines([("content-type", "application/json")], [("Content-Type", "text/plain"), ("x-a", "1")])

    assert (
        lines
        == (
            f"user-agent: {user_agent()}\r\naccept-encoding: identity\r\ncontent-type: text/plain\r\nx-a: 1\r\n"
        ).encode()
    )
    assert user_agent().startswith("Anzol/")
    assert b"x-a" not in header_lines([("x-a", "1")], [("X-A", "2"), ("x-b", "3")], without={"x-a"})


@pytest.mark.parametrize("pair", [("x-a", "b\r\nx-c: d"), ("x-a", "b\n"), ("x-a\r\n", "b"), ("x", "\r")])
def test_a_line_break_is_never_put_on_the_wire(pair: tuple[str, str]) -> None:
    with pytest.raises(InvalidHeader):
        header_lines([pair])


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=40), max_size=5))
def test_what_is_taken_makes_one_line_each(given_headers: dict[str, str]) -> None:
    try:
        checked = check_headers(given_headers)
    except InvalidHeader:
        return

    lines = header_lines(checked).split(b"\r\n")
    for name, value in checked:
        assert f"{name}: {value}".encode("ascii") in lines
