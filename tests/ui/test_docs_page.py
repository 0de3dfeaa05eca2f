"""The documentation pages without internet: in a real browser where it matters, at the wire for the rest."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse
from fastapi.testclient import TestClient
from pydantic import BaseModel

from anzol.docspages import ASSETS, serve_docs, webhooks_page
from anzol.openapi import complete

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


class Subscription(BaseModel):
    username: str
    monthly_fee: float = 0


def documented(**options: Any) -> FastAPI:
    app = FastAPI(**options)

    @app.webhooks.post("new-subscription")
    def new_subscription(body: Subscription) -> None:
        """When a new user subscribes to your service."""

    @app.get("/users/")
    def read_users() -> list[str]:
        return ["Rick", "Morty"]

    complete(app)
    serve_docs(app)
    return app


def settings(page: str) -> dict[str, Any]:
    found = re.search(r'data-settings="([^"]*)"', page)
    assert found
    data: dict[str, Any] = json.loads(unescape(found[1]))
    return data


def addresses(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="([^"]*)"', page)


@contextmanager
def running(app: Any) -> Iterator[str]:
    """Serve *app* on a free port of this machine; yields its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    limit = time.monotonic() + 20
    while not server.started and time.monotonic() < limit:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


def watched(browser: Browser, own: str) -> tuple[Page, list[str], list[str]]:
    """Open a page whose requests to anywhere but *own* fail; return it, what it asked of others, its complaints."""
    page = browser.new_page(viewport={"width": 1200, "height": 1000})
    asked: list[str] = []
    complaints: list[str] = []

    def gate(route: Any) -> None:
        address = route.request.url
        if address.startswith((own, "data:", "blob:")):
            route.continue_()
        else:
            asked.append(address)
            route.abort()

    page.route("**/*", gate)
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, asked, complaints


@pytest.mark.browser
def test_docs_show_paths_and_webhooks_without_internet(chromium: Browser, artefacts: Path) -> None:
    with running(documented(title="Subscriptions")) as own:
        page, asked, complaints = watched(chromium, own)
        page.goto(f"{own}/docs")
        page.get_by_text("/users/").first.wait_for()
        page.get_by_text("new-subscription").first.wait_for()
        page.screenshot(path=artefacts / "docs.png", full_page=True)
        page.get_by_text("new-subscription").first.click()
        page.get_by_text("webhook-signature").first.wait_for()
        page.screenshot(path=artefacts / "docs-webhook.png", full_page=True)

    assert asked == []
    assert complaints == []


@pytest.mark.browser
def test_redoc_shows_paths_and_webhooks_without_internet(chromium: Browser, artefacts: Path) -> None:
    with running(documented(title="Subscriptions")) as own:
        page, asked, complaints = watched(chromium, own)
        page.goto(f"{own}/redoc")
        page.get_by_text("Read Users").first.wait_for()
        page.get_by_text("new-subscription").first.wait_for()
        page.screenshot(path=artefacts / "redoc.png")

    # ReDoc draws its maker's logo from the maker's server; the policy stops it before it is asked for.
    assert asked == []
    assert [text for text in complaints if "logo-mini.svg" not in text] == []


@pytest.mark.browser
def test_the_public_page_shows_webhooks_and_nothing_else(chromium: Browser, artefacts: Path) -> None:
    app = documented(title="Subscriptions")
    app.include_router(webhooks_page(app), prefix="/developers")
    with running(app) as own:
        page, asked, complaints = watched(chromium, own)
        page.goto(f"{own}/developers")
        page.get_by_text("new-subscription").first.click()
        page.get_by_text("monthly_fee").first.wait_for()
        shown = page.inner_text("body")
        page.screenshot(path=artefacts / "webhooks-docs.png", full_page=True)

    assert "/users/" not in shown
    assert "Try it out" not in shown
    assert "No operations" not in shown
    assert asked == []
    assert complaints == []


HOSTILE = """</script></title><script>window.taken = 1</script><img src=x onerror="window.taken=1">"{x}"""


@pytest.mark.browser
@pytest.mark.parametrize("path", ["/docs", "/redoc", "/developers"])
def test_nothing_that_a_declaration_says_is_run(chromium: Browser, path: str) -> None:
    app = FastAPI(title=HOSTILE, description=HOSTILE, swagger_ui_parameters={"hostile": HOSTILE})

    @app.webhooks.post("new-subscription", tags=[HOSTILE], summary=HOSTILE, description=f"seen {HOSTILE}")
    def new_subscription(body: Subscription) -> None: ...

    complete(app)
    serve_docs(app)
    app.include_router(webhooks_page(app), prefix="/developers")
    with running(app) as own:
        page, asked, _ = watched(chromium, own)
        answer = page.goto(f"{own}{path}")
        if path != "/redoc":
            page.locator(".opblock-summary-control").first.click()
        page.get_by_text("seen").first.wait_for(state="attached")

        assert answer
        assert "<script>window" not in answer.text()
        assert page.evaluate("window.taken") is None
        assert asked == []


def test_the_page_and_its_assets_come_from_the_application() -> None:
    client = TestClient(documented())
    page = client.get("/docs")

    assert [address for address in addresses(page.text) if not address.startswith("/")] == []
    assert "<script>" not in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    for address in addresses(page.text):
        answer = client.get(address)
        assert answer.status_code == 200
        if address != "/openapi.json":
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", ASSETS)
def test_assets_are_sent_compressed_to_those_who_take_it(name: str) -> None:
    client = TestClient(documented())
    folder = addresses(client.get("/docs").text)[0].rsplit("/", 1)[0]

    plain = client.get(f"{folder}/{name}", headers={"accept-encoding": "identity"})
    small = client.get(f"{folder}/{name}", headers={"accept-encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert small.headers["content-encoding"] == "gzip"
    assert small.content == plain.content
    assert plain.headers["content-type"].startswith(ASSETS[name])


@pytest.mark.parametrize("path", ["../openapi.py", "versions.json", "%2e%2e/app.py", "nothing.js"])
def test_nothing_but_the_assets_is_sent(path: str) -> None:
    client = TestClient(documented())
    folder = addresses(client.get("/docs").text)[0].rsplit("/", 1)[0]

    assert client.get(f"{folder}/{path}").status_code == 404
    assert client.get("/docs/anzol-assets/old/start.js").status_code == 404


def test_the_applications_own_settings_count() -> None:
    app = documented(
        docs_url="/manual",
        redoc_url="/reading",
        openapi_url="/api/spec.json",
        swagger_ui_oauth2_redirect_url="/manual/back",
        swagger_ui_parameters={"deepLinking": False, "syntaxHighlight": {"theme": "obsidian"}},
        swagger_ui_init_oauth={"clientId": "</script><b>"},
    )
    client = TestClient(app)
    page = settings(client.get("/manual").text)

    assert page["url"] == "/api/spec.json"
    assert page["parameters"]["deepLinking"] is False
    assert page["parameters"]["syntaxHighlight"] == {"theme": "obsidian"}
    assert page["oauth2RedirectUrl"] == "/manual/back"
    assert page["oauth"] == {"clientId": "</script><b>"}
    assert "</script><b>" not in client.get("/manual").text
    assert settings(client.get("/reading").text)["url"] == "/api/spec.json"
    assert "oauth2-redirect.js" in client.get("/manual/back").text
    assert client.get("/docs").status_code == 404


def test_what_is_off_stays_off() -> None:
    off = TestClient(documented(docs_url=None, redoc_url=None))
    without_document = TestClient(documented(openapi_url=None))
    only_redoc = TestClient(documented(docs_url=None))

    assert {off.get(path).status_code for path in ("/docs", "/redoc", "/docs/oauth2-redirect")} == {404}
    assert {without_document.get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")} == {404}
    assert only_redoc.get("/docs").status_code == 404
    assert only_redoc.get(addresses(only_redoc.get("/redoc").text)[0]).status_code == 200


def test_a_page_of_the_applications_own_stays() -> None:
    app = FastAPI(docs_url=None)

    @app.get("/docs", include_in_schema=False)
    def own() -> HTMLResponse:
        return HTMLResponse("mine")

    serve_docs(app)

    assert TestClient(app).get("/docs").text == "mine"


def test_serving_again_changes_nothing() -> None:
    app = documented()
    before = len(app.router.routes)
    serve_docs(app)

    assert len(app.router.routes) == before


def test_behind_a_prefix_and_mounted_the_addresses_follow() -> None:
    prefixed = TestClient(documented(), root_path="/behind")
    outer = FastAPI()
    outer.mount("/inner", documented())
    mounted = TestClient(outer)

    assert settings(prefixed.get("/docs").text)["url"] == "/behind/openapi.json"
    assert addresses(prefixed.get("/docs").text)[0].startswith("/behind/docs/anzol-assets/")
    assert settings(mounted.get("/inner/docs").text)["url"] == "/inner/openapi.json"
    assert {mounted.get(address).status_code for address in addresses(mounted.get("/inner/docs").text)} == {200}
    assert "new-subscription" in mounted.get("/inner/openapi.json").json()["webhooks"]


def test_the_public_document_follows_late_declarations_and_names_no_path() -> None:
    app, router = FastAPI(title="Shop"), APIRouter()
    app.include_router(webhooks_page(lambda: router, title="Shop events", version="7"), prefix="/events")
    client = TestClient(app)
    before = client.get("/events/openapi.json").json()

    @router.post("sold")
    def sold(body: Subscription) -> None: ...

    after = client.get("/events/openapi.json").json()

    assert "webhooks" not in before
    assert list(after["webhooks"]) == ["sold"]
    assert after["info"] == {"title": "Shop events", "version": "7"}
    assert "<title>Shop events</title>" in client.get("/events").text
    assert "/events/" not in app.openapi()["paths"]
