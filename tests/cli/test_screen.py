"""What is printed: for people, for machines; never obeyed by the terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone

import pytest

from anzol.cli.exits import Exit, code_of
from anzol.cli.lines import attempt_line
from anzol.cli.options import read_span, read_time
from anzol.cli.screen import Screen, clean, coloured, count, moment, plain, show_error, span
from anzol.errors import (
    AddressRefused,
    AnzolError,
    AppError,
    Conflict,
    InvalidPayload,
    InvalidValue,
    NotFound,
    SchemaOutdated,
    SettingsError,
    UnknownWebhook,
)
from anzol.lifecycle import State
from anzol.model import Page

NOW = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Thing:
    name: str
    at: datetime
    state: State
    body: bytes = field(repr=False, default=b"")
    every: tuple[timedelta, ...] = ()


def test_data_is_json_as_other_programs_expect_it() -> None:
    thing = Thing("a", datetime(2026, 11, 23, 15, tzinfo=timezone(timedelta(hours=1))), State.EXHAUSTED, b"ol\xc3\xa1")

    assert plain(thing) == {
        "name": "a",
        "at": "2026-11-23T14:00:00Z",
        "state": "exhausted",
        "body": "olá",
        "every": [],
    }
    assert plain({"bytes": b"\xff", "spans": (timedelta(seconds=1.5),)}) == {
        "bytes": {"base64": "/w=="},
        "spans": [1.5],
    }


def test_a_table_is_not_cut_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(as_json=False).table([], ("id", "url"), [("msg_" + "x" * 22, "https://example.com/" + "y" * 120)], empty="-")

    shown = capsys.readouterr().out
    assert "msg_" + "x" * 22 in shown
    assert "y" * 120 in shown
    assert "\x1b" not in shown


def test_an_empty_list_says_so_to_people_and_is_a_list_to_machines(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(as_json=False).page(Page(()), ("id",), [], empty="No messages.")
    assert capsys.readouterr().out == "No messages.\n"

    Screen(as_json=True).page(Page(()), ("id",), [], empty="No messages.")
    assert json.loads(capsys.readouterr().out) == {"items": [], "next": None, "first": None, "last": None}


def test_the_next_page_is_told_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(as_json=False).page(Page(("x",), "cursor-1"), ("id",), [("x",)], empty="")

    assert "--after cursor-1" in capsys.readouterr().err


def test_what_others_wrote_does_not_reach_the_terminal_s_controls(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "\x1b]0;owned\x07\x1b[2J\u202e"
    screen = Screen(as_json=False)

    screen.table([], ("x",), [(hostile,)], empty="")
    screen.facts({}, [("x", hostile)])
    show_error(NotFound(f"No {hostile}"), as_json=False)

    shown = "".join(capsys.readouterr())
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert clean(hostile) == "\\x1b]0;owned\\x07\\x1b[2J\\u202e"


def test_rich_markup_of_others_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    Screen(as_json=False).table([], ("x",), [("[red]x[/red] [link=file:///]y[/link]",)], empty="")

    assert "[red]x[/red] [link=file:///]y[/link]" in capsys.readouterr().out


def test_an_error_is_on_stderr_with_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(AppError("It is broken.", trace='  File "main.py", line 3\n', do="Mend it."), as_json=False)

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == 'Error: It is broken.\n  File "main.py", line 3\nMend it.\n'


def test_with_json_an_error_is_json_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(NotFound("No such endpoint.", do="List them."), as_json=True)

    assert json.loads(capsys.readouterr().err) == {
        "error": {"kind": "NotFound", "what": "No such endpoint.", "do": "List them."}
    }


def test_colours_are_for_terminals_that_want_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert coloured(True)
    assert not coloured(False)
    monkeypatch.setenv("TERM", "dumb")
    assert not coloured(True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured(True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Conflict("x"), Exit.FAILED),
        (AnzolError("x"), Exit.FAILED),
        (InvalidValue("x"), Exit.USAGE),
        (AddressRefused("x", reason="private"), Exit.USAGE),
        (InvalidPayload("x"), Exit.USAGE),
        (SettingsError("x"), Exit.USAGE),
        (AppError("x"), Exit.APP),
        (NotFound("x"), Exit.NOT_FOUND),
        (UnknownWebhook("x"), Exit.NOT_FOUND),
        (SchemaOutdated("x"), Exit.DATABASE),
    ],
)
def test_every_kind_of_error_has_its_exit_code(error: AnzolError, code: Exit) -> None:
    assert code_of(error) == code


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("6h", NOW - timedelta(hours=6)),
        ("3d", NOW - timedelta(days=3)),
        ("0", NOW),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:00", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01T12:00Z", datetime(2026, 11, 1, 12, tzinfo=UTC)),
        ("2026-11-01T12:00-03:00", datetime(2026, 11, 1, 15, tzinfo=UTC)),
    ],
)
def test_a_time_is_an_age_or_a_moment(text: str, at: datetime) -> None:
    assert read_time(text, NOW, "since") == at


@pytest.mark.parametrize("text", ["", "soon", "5", "5w", "-5m", "٣d", "1.5h", "2026-13-01", "999999999d"])
def test_what_is_no_time_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(InvalidValue, match="90s, 30m, 6h or 3d") as caught:
        read_time(text, NOW, "since")

    assert caught.value.field == "since"


def test_no_time_at_all_is_a_length_of_time() -> None:
    assert read_span("0", "keep-old") == timedelta()


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(milliseconds=3), "3 ms"),
        (timedelta(seconds=12), "12 s"),
        (timedelta(minutes=5), "5 min"),
        (timedelta(hours=5), "5 h"),
        (timedelta(days=3), "3 d"),
    ],
)
def test_lengths_of_time_are_in_the_unit_that_fits(length: timedelta, text: str) -> None:
    assert span(length) == text


def test_numbers_and_times_read_well() -> None:
    assert (count(1, "message"), count(1204, "message")) == ("1 message", "1,204 messages")
    assert count(0, "delivery", "deliveries") == "0 deliveries"
    assert (moment(NOW), moment(None)) == ("2026-11-23 14:00:00Z", "-")


FACTS = {
    "event_type": "new-subscription",
    "host": "127.0.0.1:8000",
    "outcome": "ok",
    "status": 204,
    "total_ms": 12.4,
    "number": 1,
    "message_id": "msg_1",
    "due_at": None,
}


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({}, "✓ new-subscription to 127.0.0.1:8000  204  12 ms  attempt 1  msg_1"),
        (
            {"outcome": "http_status", "status": 503, "due_at": 1005.0},
            "✗ new-subscription to 127.0.0.1:8000  503  12 ms  attempt 1  again in 5 s  msg_1",
        ),
        (
            {"outcome": "timeout", "status": None, "number": 10},
            "✗ new-subscription to 127.0.0.1:8000  timeout  12 ms  attempt 10  given up  msg_1",
        ),
    ],
)
def test_an_attempt_is_one_line_that_says_what_comes_next(change: dict[str, object], line: str) -> None:
    assert attempt_line({**FACTS, **change}, now=1000.0)[10:] == line  # type: ignore[dict-item]  # facts, as in life


HEAVY = {"rich", "fastapi", "uvicorn", "sqlalchemy", "asyncio", "anzol.app", "anzol.settings"}


@pytest.mark.parametrize("arguments", [["--help"], ["endpoints", "--help"], ["--version"]])
def test_help_loads_nothing_that_is_slow(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from anzol.cli.program import program\n"
        f"try: program({arguments!r})\n"
        "except SystemExit as end: assert end.code in (0, None), end.code\n"
        f"print('HEAVY', sorted({HEAVY!r} & set(sys.modules)))\n"
    )

    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert shown.stdout.endswith("HEAVY []\n")
