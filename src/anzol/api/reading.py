"""Reading JSON strictly, and knowing where each value stood: what was sent is stored as it came.

Refused is what JSON does not say or two readers may read differently: a key twice, NaN and Infinity, anything behind
the value, a byte order mark, bytes that are not UTF-8. Numbers of any length are carried: they are not read.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from json.scanner import make_scanner
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

from anzol.api.problems import Problem

T = TypeVar("T")
Read = Callable[[str, int], tuple[T, int]]  # what reads the value at a place, and says where it ends
NOTHING: Final[Mapping[str, Any]] = {}
DEEPEST: Final = 64  # objects and lists within each other
MOST_KEYS: Final = 10_000  # of one object
blank = re.compile(r"[ \t\n\r]*").match
mark = re.compile(r"[ \t\n\r]*(.)[ \t\n\r]*", re.DOTALL).match
# A key as most are, without an escape, its colon, and the blanks around that.
plain_key = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*').match


class Number(str):
    """A number's characters, as they came."""

    __slots__ = ()


def refused(why: str) -> Problem:
    """Return the problem of a body that cannot be read."""
    return Problem("invalid_request", why)


def one_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of its members; raises Problem where a key is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise refused(f"The key {twice[:100]!r} is in one object twice.")
    if len(found) > MOST_KEYS:
        raise refused(f"An object has {len(found)} keys; {MOST_KEYS} are the most.")
    return found


def no_number(word: str) -> NoReturn:
    """Refuse what Python reads as a number and JSON does not."""
    raise refused(f"{word} is no JSON.")


decoder = json.JSONDecoder(
    object_pairs_hook=one_of_each, parse_int=Number, parse_float=Number, parse_constant=no_number
)
scan = make_scanner(decoder)  # type: ignore[arg-type]  # a scanner is made of a decoder; the stub says: of a scanner


class Value(NamedTuple):
    """A value, and from where to where it stood in the text. Numbers are `Number`."""

    read: Any
    text: str
    start: int
    end: int

    @property
    def written(self) -> str:
        """The value as it came."""
        return self.text[self.start : self.end]


def text_of(body: bytes) -> str:
    """Return a body as text; raises Problem."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise refused(f"The body is not UTF-8, from byte {error.start} on.") from None
    if text.startswith("\ufeff"):
        raise refused("The body begins with a byte order mark.")
    return text


def check(body: bytes) -> None:
    """Refuse a body that is not JSON, or is deeper than is read; raises Problem."""
    text = text_of(body)
    value = value_at(text, past_blank(text, 0))
    end_at(text, value.end)


def read_object(text: str, readers: Mapping[str, Read[Any]] = NOTHING) -> dict[str, Value]:
    """Return the members of the object that a text is; raises Problem.

    Args:
        readers: What reads the values of some keys, in place of `value_at`.
    """
    members, end = members_at(text, past_blank(text, 0), readers)
    end_at(text, end)
    return members


def past_blank(text: str, at: int) -> int:
    """Return where the next character stands that is not blank."""
    found = blank(text, at)
    assert found is not None  # it fits nothing, too
    return found.end()


def end_at(text: str, at: int) -> None:
    """Refuse anything but blanks from a place on."""
    end = past_blank(text, at)
    if end != len(text):
        raise refused(f"There is something behind the JSON, from character {end} on.")


def value_at(text: str, at: int) -> Value:
    """Read the value that begins at a place; raises Problem."""
    try:
        read, end = scan(text, at)
    except StopIteration as error:
        raise refused(f"The body is no JSON: a value is missing at character {error.value}.") from None
    except json.JSONDecodeError as error:
        raise refused(f"The body is no JSON: {error.msg} at character {error.pos}.") from None
    except RecursionError:
        raise too_deep() from None
    value = Value(read, text, at, end)
    if type(read) in (dict, list):
        check_depth(value)
    return value


def members_at(text: str, at: int, readers: Mapping[str, Read[Any]] = NOTHING) -> tuple[dict[str, Value], int]:
    """Read the object that begins at a place, and say where it ends; raises Problem."""
    if not text.startswith("{", at):
        raise refused("A JSON object is wanted.")
    members: dict[str, Value] = {}
    at = past_blank(text, at + 1)
    if text.startswith("}", at):
        return members, at + 1
    while True:
        key, start = key_at(text, at)
        if key in members:
            raise refused(f"The key {key[:100]!r} is in one object twice.")
        if key in readers:
            read, end = readers[key](text, start)
            members[key] = Value(read, text, start, end)
        else:
            members[key] = value = value_at(text, start)
            end = value.end
        sign, at = mark_at(text, end)
        if sign == "}":
            return members, at
        if sign != ",":
            raise refused(f"The body is no JSON: ',' is missing at character {end}.")


def key_at(text: str, at: int) -> tuple[str, int]:
    """Read a key and its colon; return where its value begins."""
    found = plain_key(text, at)
    if found is not None:
        return found[1], found.end()
    if not text.startswith('"', at):
        raise refused(f"The body is no JSON: a key is missing at character {at}.")
    key = value_at(text, at)
    return key.read, past_blank(text, expected(text, past_blank(text, key.end), ":"))


def mark_at(text: str, at: int) -> tuple[str, int]:
    """Return the next character that is not blank, and where the next such one behind it is; empty at the end."""
    found = mark(text, at)
    return (found[1], found.end()) if found is not None else ("", at)


def expected(text: str, at: int, mark: str) -> int:
    """Return what comes behind a mark; raises Problem where that is not there."""
    if not text.startswith(mark, at):
        raise refused(f"The body is no JSON: {mark!r} is missing at character {at}.")
    return at + 1


def items_at(text: str, at: int, read: Read[T]) -> tuple[list[T], int]:
    """Read the list that begins at a place, and say where it ends.

    Args:
        read: Reads the item at a place, and says where that ends.
    """
    if not text.startswith("[", at):
        raise refused("A JSON list is wanted.")
    items: list[T] = []
    at = past_blank(text, at + 1)
    if text.startswith("]", at):
        return items, at + 1
    while True:
        item, at = read(text, at)
        items.append(item)
        sign, after = mark_at(text, at)
        if sign == "]":
            return items, after
        if sign != ",":
            raise refused(f"The body is no JSON: ',' is missing at character {at}.")
        at = after


def check_depth(value: Value) -> None:
    """Refuse a value that is deeper than is read; raises Problem."""
    # Counting marks, those in texts too, is quick, and mostly enough.
    marks = value.text.count("{", value.start, value.end) + value.text.count("[", value.start, value.end)
    if marks <= DEEPEST:
        return
    layer = [value.read]
    for _ in range(DEEPEST):
        layer = [inner for outer in layer for inner in contents(outer) if type(inner) in (dict, list)]
        if not layer:
            return
    raise too_deep()


def contents(outer: Any) -> Any:
    """Return what an object or a list has in it."""
    return outer.values() if type(outer) is dict else outer


def too_deep() -> Problem:
    """Return the problem of a value that is too deep."""
    return refused(f"Objects and lists are more than {DEEPEST} deep within each other.")
