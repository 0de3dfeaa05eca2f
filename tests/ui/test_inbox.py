"""The test inbox: what arrives is checked, shown as it came, and never obeyed."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect

from anzol.inbox import Arrivals, Inbox
from anzol.inbox.words import ENGLISH, PORTUGUESE, words_for
from anzol.signing import SigningKey, signature_header

SECRET = SigningKey.generate("v1", b"7" * 24)
OLD = SigningKey.generate("v1", b"5" * 24)


@dataclass(frozen=True)
class Running:
    url: str
    arrivals: Arrivals

    def send(
        self, body: bytes, *, to: str = "demo", key: SigningKey = SECRET, event: str = "new-subscription", **more: Any
    ) -> httpx.Response:
        message, at = more.pop("message", "msg_1"), more.pop("at", int(time.time()))
        headers = {
            "webhook-id": message,
            "webhook-timestamp": str(at),
            "webhook-signature": signature_header([key], message, at, body),
            "content-type": "application/json",
            **({"webhook-event": event} if event else {}),
            **more.pop("headers", {}),
        }
        return httpx.post(f"{self.url}/to/{to}", content=body, headers=headers, **more)


async def secrets(name: str) -> Sequence[str]:
    return {"demo": [SECRET.text, OLD.text]}.get(name, [])


@pytest.fixture
def inbox() -> Iterator[Running]:
    listener = socket.create_server(("127.0.0.1", 0))
    arrivals = Arrivals("boot-1")
    app = Inbox(arrivals, secrets)
    config = uvicorn.Config(app, ws="none", lifespan="off", log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield Running(f"http://127.0.0.1:{listener.getsockname()[1]}", arrivals)
    finally:
        arrivals.closed = True
        server.should_exit = True
        thread.join(10)
        listener.close()
    assert not thread.is_alive()


@pytest.fixture
def page(chromium: Browser) -> Iterator[Callable[..., Page]]:
    contexts = []

    def opened(**options: Any) -> Page:
        contexts.append(chromium.new_context(**{"locale": "en-US", **options}))
        return contexts[-1].new_page()

    yield opened
    for context in contexts:
        context.close()


def listed(inbox: Running, **query: Any) -> dict[str, Any]:
    shown: dict[str, Any] = httpx.get(f"{inbox.url}/arrivals", params=query).json()
    return shown


# --- arriving


def test_what_is_rightly_signed_is_verified_and_answered_204(inbox: Running) -> None:
    answer = inbox.send(b'{"username": "maria"}')

    assert answer.status_code == 204
    [arrival] = listed(inbox)["arrivals"]
    assert arrival["verified"] is True
    assert arrival["body"] == '{"username": "maria"}'
    assert (arrival["event"], arrival["message"], arrival["inbox"]) == ("new-subscription", "msg_1", "demo")


def test_an_old_secret_that_still_signs_is_verified_too(inbox: Running) -> None:
    inbox.send(b"{}", key=OLD)

    assert listed(inbox)["arrivals"][0]["verified"] is True


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"key": SigningKey.generate("v1", b"x" * 24)}, "no_match"),
        ({"at": 1_600_000_000}, "too_old"),
        ({"at": 4_000_000_000}, "too_new"),
        ({"headers": {"webhook-signature": ""}}, "missing_header"),
        ({"headers": {"webhook-signature": "v1"}}, "malformed_signature"),
        ({"headers": {"webhook-timestamp": "soon"}}, "malformed_timestamp"),
        ({"message": "msg.1"}, "malformed_id"),
        ({"to": "nobody"}, "no_endpoint"),
    ],
)
def test_what_is_wrongly_signed_is_shown_with_the_reason(inbox: Running, change: Any, reason: str) -> None:
    inbox.send(b"{}", **change)

    [arrival] = listed(inbox)["arrivals"]
    assert (arrival["verified"], arrival["reason"]) == (False, reason)
    assert reason in ENGLISH
    assert reason in PORTUGUESE


def test_a_later_request_for_the_same_message_is_counted(inbox: Running) -> None:
    inbox.send(b"{}")
    inbox.send(b"{}", message="msg_2")
    inbox.send(b"{}")

    assert [(one["message"], one["time"]) for one in listed(inbox)["arrivals"]] == [
        ("msg_1", 2),
        ("msg_2", 1),
        ("msg_1", 1),
    ]


@pytest.mark.parametrize("answer", [200, 410, 429, 503])
def test_it_answers_what_the_url_asks_for(inbox: Running, answer: int) -> None:
    assert inbox.send(b"{}", params={"answer": answer}).status_code == answer
    assert listed(inbox)["arrivals"][0]["answered"] == answer


@pytest.mark.parametrize("answer", ["99", "600", "abc", "-20", "٢٠٤", ""])
def test_an_answer_that_is_no_status_is_refused(inbox: Running, answer: str) -> None:
    assert inbox.send(b"{}", params={"answer": answer}).status_code == 400
    assert listed(inbox)["arrivals"] == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_every_method_of_a_webhook_is_received(inbox: Running, method: str) -> None:
    answer = httpx.request(method, f"{inbox.url}/to/demo", content=b"{}")

    assert answer.status_code == 204
    assert listed(inbox)["arrivals"][0]["method"] == method


def test_a_long_body_is_checked_whole_and_kept_in_part(inbox: Running) -> None:
    inbox.send(b'"' + b"a" * 200_000 + b'"')

    [arrival] = listed(inbox)["arrivals"]
    assert arrival["verified"] is True
    assert (arrival["size"], arrival["shown"], len(arrival["body"])) == (200_002, 65_536, 65_536)


def test_the_newest_two_hundred_are_kept(inbox: Running) -> None:
    with httpx.Client() as client:
        for number in range(205):
            client.post(f"{inbox.url}/to/demo", content=str(number).encode())

    assert [one["body"] for one in listed(inbox)["arrivals"]] == [str(number) for number in range(204, 4, -1)]


# --- asking


def test_only_what_is_new_is_listed_to_one_who_has_seen_the_rest(inbox: Running) -> None:
    inbox.send(b"1")
    inbox.send(b"2")

    assert [one["body"] for one in listed(inbox, boot="boot-1", after=1)["arrivals"]] == ["2"]
    assert [one["body"] for one in listed(inbox, boot="another", after=1)["arrivals"]] == ["2", "1"]


def test_the_stream_says_what_arrives(inbox: Running) -> None:
    with httpx.stream("GET", f"{inbox.url}/events", timeout=10) as stream:
        lines = (line for line in stream.iter_lines() if line)
        assert next(lines) == "event: hello"
        next(lines)
        assert next(lines) == "event: cleared"
        next(lines)

        inbox.send(b'{"a": "line\\nend"}')

        assert next(lines) == "event: arrival"
        assert json.loads(next(lines).removeprefix("data: "))["body"] == '{"a": "line\\nend"}'


def test_clearing_forgets_what_came(inbox: Running) -> None:
    inbox.send(b"{}")

    assert httpx.delete(f"{inbox.url}/arrivals").status_code == 204
    assert listed(inbox)["arrivals"] == []


@pytest.mark.parametrize("path", ["/", "/arrivals", "/events"])
def test_a_page_that_calls_this_machine_by_another_name_sees_nothing(inbox: Running, path: str) -> None:
    answer = httpx.get(f"{inbox.url}{path}", headers={"host": "rebound.example"})

    assert answer.status_code == 421
    assert "msg_" not in answer.text


def test_the_page_allows_its_own_script_and_style_and_nothing_else(inbox: Running) -> None:
    answer = httpx.get(f"{inbox.url}/")

    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "<script>" not in answer.text
    assert " style=" not in answer.text
    assert "//cdn" not in answer.text


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "pt-BR"),
        ("en-US,en;q=0.9,pt;q=0.8", "en"),
        ("pt;q=0.2, en;q=0.7", "en"),
        ("de, pt;q=0.5", "pt-BR"),
        ("de", "en"),
        ("pt;q=0", "en"),
        ("pt;q=x", "en"),
    ],
)
def test_the_reader_s_language_is_spoken(header: str, language: str) -> None:
    assert words_for(header)["language"] == language


# --- the page, in Chromium


@pytest.mark.browser
def test_what_arrives_appears_at_once_with_its_signature_checked(
    inbox: Running, page: Callable[..., Page], artefacts: Path
) -> None:
    shown = page()
    shown.goto(f"{inbox.url}/")
    expect(shown.get_by_role("status")).to_have_text("Live")
    expect(shown.get_by_text("Nothing has arrived yet.")).to_be_visible()

    inbox.send(
        b'{"username":"maria","monthly_fee":12345678901234567890.10,"start_date":"2026-11-23T12:00:00Z","tags":[]}'
    )
    inbox.send(
        b"{}", key=SigningKey.generate("v1", b"x" * 24), event="invoice.paid", message="msg_2", params={"answer": 503}
    )

    rows = shown.locator(".row")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("invoice.paid")
    expect(rows.nth(0)).to_contain_text("not verified")
    expect(rows.nth(0)).to_contain_text("503")
    expect(shown.locator("article")).to_contain_text("No signature fits the body")
    rows.nth(1).click()
    expect(shown.locator("article .chip")).to_have_text("verified")
    # A number keeps its digits: JavaScript would have printed 12345678901234567000.
    expect(shown.locator("pre")).to_contain_text('"monthly_fee": 12345678901234567890.10,')
    shown.set_viewport_size({"width": 1200, "height": 760})
    shown.screenshot(path=artefacts / "inbox-light.png")
    shown.emulate_media(color_scheme="dark")
    shown.screenshot(path=artefacts / "inbox-dark.png")


@pytest.mark.browser
def test_a_narrow_screen_needs_no_sideways_scrolling(
    inbox: Running, page: Callable[..., Page], artefacts: Path
) -> None:
    inbox.send(
        json.dumps({"a" * 300: "b" * 500}).encode(), event="a-very-long-name." * 10, headers={"x-long": "c" * 400}
    )
    shown = page(viewport={"width": 390, "height": 844}, locale="pt-BR")
    shown.goto(f"{inbox.url}/")
    expect(shown.get_by_role("status")).to_have_text("Ao vivo")
    expect(shown.locator("article .chip")).to_have_text("verificada")

    width = shown.evaluate("document.documentElement.scrollWidth")

    shown.screenshot(path=artefacts / "inbox-narrow.png", full_page=True)
    assert width <= 390


HOSTILE = [
    "<script>document.title='ran'</script>",
    "<img src=x onerror=\"document.title='ran'\">",
    "\"><svg onload=document.title='ran'>",
    "</pre></body><iframe srcdoc='<script>parent.document.title=1</script>'>",
    "{{title}} ${document.title='ran'} javascript:alert(1)",
    "\u202egnol ekil\u0000\u0007\x1b[31m",
]


@pytest.mark.browser
def test_hostile_content_is_shown_and_never_obeyed(inbox: Running, page: Callable[..., Page]) -> None:
    shown = page()
    complaints: list[str] = []
    shown.on("console", lambda message: complaints.append(message.text))
    shown.on("dialog", lambda dialog: complaints.append(dialog.message))
    shown.goto(f"{inbox.url}/")
    for number, text in enumerate(HOSTILE):
        ascii_only = text.encode("ascii", "ignore").decode().translate({0: None, 7: None, 27: None})
        inbox.send(
            json.dumps({text: text}).encode(),
            message=f"msg_{number}",
            headers={"x-hostile": ascii_only},
            event=ascii_only,
        )
        inbox.send(text.encode(), message=f"msg_raw_{number}")

    expect(shown.locator(".row")).to_have_count(2 * len(HOSTILE))
    for row in shown.locator(".row").all():
        row.click()
        expect(shown.locator("pre")).to_be_visible()

    assert "ran" not in shown.title()
    assert shown.locator("iframe, article img, article script").count() == 0
    assert complaints == []


@pytest.mark.browser
def test_without_a_stream_the_page_asks_and_says_so(inbox: Running, page: Callable[..., Page]) -> None:
    shown = page()
    shown.route("**/events", lambda route: route.abort())
    shown.goto(f"{inbox.url}/")
    expect(shown.get_by_role("status")).to_have_text("Polling")

    inbox.send(b"{}")

    expect(shown.locator(".row")).to_have_count(1)


@pytest.mark.browser
def test_clear_empties_the_page_and_keys_move_through_it(inbox: Running, page: Callable[..., Page]) -> None:
    shown = page()
    for number in range(3):
        inbox.send(str(number).encode(), message=f"msg_{number}")
    shown.goto(f"{inbox.url}/")
    expect(shown.locator(".row")).to_have_count(3)

    shown.keyboard.press("j")
    expect(shown.locator("pre")).to_have_text("1")
    shown.keyboard.press("k")
    expect(shown.locator("pre")).to_have_text("2")
    shown.get_by_role("button", name="Clear").click()

    expect(shown.locator(".row")).to_have_count(0)
    expect(shown.get_by_text("Nothing has arrived yet.")).to_be_visible()
