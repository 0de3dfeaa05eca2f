"""`anzol dev`, run as a process: the app, its documentation, deliveries to the inbox, reloads, and what goes wrong."""

from __future__ import annotations

import json
import re
import signal
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect

from anzol.cli.server import own_files
from tests.cli.conftest import APP, Dev, World, until

SUBSCRIPTION = {"username": "maria", "monthly_fee": 8.5}


def arrived(dev: Dev) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = httpx.get(f"{dev.links['inbox']}/arrivals").json()["arrivals"]
    return shown


def test_an_event_of_the_app_arrives_in_the_inbox_verified(world: World) -> None:
    with world.dev("--no-reload", "--inbox-for", "acme") as dev:
        httpx.post(f"{dev.links['app']}/subscriptions", json=SUBSCRIPTION).raise_for_status()

        attempt = dev.line("outcome")
        [arrival] = until(lambda: arrived(dev), "it arrives")

        assert (attempt["event_type"], attempt["outcome"], attempt["status"]) == ("new-subscription", "ok", 204)
        assert (arrival["verified"], arrival["event"]) == (True, "new-subscription")
        assert json.loads(arrival["body"]) == SUBSCRIPTION
        assert dev.stop() == 0


def test_the_links_lead_somewhere_and_need_no_internet(world: World) -> None:
    with world.dev("--no-reload") as dev:
        facts = dev.line("links")
        docs = httpx.get(dev.links["docs"])
        inbox = httpx.get(dev.links["inbox"])

    assert set(facts["links"]) == {"app", "docs", "inbox", "deliver_to"}
    assert facts["webhooks"] == ["new-subscription", "invoice.paid"]
    assert facts["database"] == str(world.folder / "anzol.db")
    assert (docs.status_code, inbox.status_code) == (200, 200)
    assert not re.findall(r'(?:src|href)="https?://', docs.text + inbox.text)


def test_an_app_without_documentation_gets_no_link_to_it(world: World) -> None:
    world.write("main.py", APP.replace("FastAPI()", "FastAPI(docs_url=None)"))
    with world.dev("--no-reload") as dev:
        assert "docs" not in dev.links


def test_the_example_is_sent_once_in_a_run_and_its_endpoint_made_once(world: World) -> None:
    for _ in range(2):
        with world.dev("--no-reload", "--inbox-for", "demo", "--send", "new-subscription") as dev:
            until(lambda dev=dev: arrived(dev), "the example arrives")
            assert [one["verified"] for one in arrived(dev)] == [True]
            receiving = dev.links["deliver_to"]
            assert dev.stop() == 0

    endpoints = world.data("endpoints", "list")["items"]
    assert [(one["customer"], one["url"]) for one in endpoints] == [("demo", receiving)]
    assert len(world.data("messages")["items"]) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("reload", ["--reload", "--no-reload"])
def test_a_signal_ends_it_in_good_order_though_the_inbox_is_open(
    world: World, number: signal.Signals, reload: str
) -> None:
    with world.dev(reload, "--inbox-for", "acme") as dev, httpx.stream("GET", f"{dev.links['inbox']}/events") as stream:
        assert next(stream.iter_lines()) == "event: hello"

        assert dev.stop(number) == 0
        assert "Traceback" not in dev.said

    assert world.data("status")["workers"] == []


def test_a_reload_takes_up_the_new_code_keeps_the_inbox_and_leaves_no_lease_behind(world: World) -> None:
    with world.dev("--inbox-for", "acme", "--send", "new-subscription") as dev:
        until(lambda: arrived(dev), "the example arrives")

        world.write("main.py", APP.replace('"/subscriptions"', '"/other"'))
        dev.line("reloaded")

        assert len(arrived(dev)) == 1
        assert httpx.post(f"{dev.links['app']}/other", json=SUBSCRIPTION).status_code == 200
        # The lease of a worker that was not drained would hold this back for 30 seconds.
        dev.line("outcome", number=2, patience=20)
        assert [one["verified"] for one in arrived(dev)] == [True, True]
        assert len(world.data("status")["workers"]) == 1
        assert dev.stop() == 0


def test_an_app_that_breaks_is_told_and_mended_without_starting_anew(world: World) -> None:
    world.write("main.py", "import nothing_of_this_name\n")
    with world.dev() as dev:
        until(lambda: dev.said.endswith("\n}\n"), "the error is told")
        error = json.loads(dev.said)["error"]
        assert error["kind"] == "AppError"
        assert "nothing_of_this_name" in error["what"]

        world.write("main.py", APP + "\n# mended\n")

        assert httpx.get(dev.links["docs"]).status_code == 200


def test_the_app_s_own_paths_stay_its_own(world: World) -> None:
    world.write("main.py", APP + "\n@app.get('/_anzol/inboxes')\ndef mine() -> str:\n    return 'mine'\n")
    with world.dev("--no-reload") as dev:
        assert httpx.get(f"{dev.links['app']}/_anzol/inboxes").json() == "mine"
        assert httpx.get(f"{dev.links['app']}/openapi.json").json()["paths"].keys() == {
            "/subscriptions",
            "/_anzol/inboxes",
        }


def test_what_only_development_lets_through_is_refused_by_a_worker(world: World) -> None:
    with world.dev("--no-reload", "--inbox-for", "acme") as dev:
        assert dev.links
        dev.stop()
    world.call("trigger", "new-subscription", "--customer", "acme")

    world.run("worker", "--once")

    outcomes = [attempt["outcome"] for attempt in world.data("attempts")["items"]]
    assert outcomes == ["address_refused"]


# --- what goes wrong


def test_a_port_that_is_taken_is_told_with_another(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = world.run("dev", "--port", str(port))

    assert result.returncode == 6
    assert f"Port {port} of 127.0.0.1 is taken." in result.stderr
    assert f"--port {port + 1}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "changes", "code", "said"),
    [
        (["nowhere.py"], {}, 3, "There is no 'nowhere.py'"),
        (["nowhere:app"], {}, 3, "There is no module 'nowhere'"),
        (["main.py:other"], {}, 3, "Its FastAPI app is called 'app'"),
        (["broken.py"], {}, 3, "ZeroDivisionError"),
        (["bare.py"], {}, 3, "This application has no Webhooks."),
        ([], {"ANZOL_RETRY_SCHEDUL": "0"}, 2, "Did you mean ANZOL_RETRY_SCHEDULE?"),
        ([], {"ANZOL_RETRY_SCHEDULE": "soon"}, 2, "ANZOL_RETRY_SCHEDULE"),
        ([], {"ANZOL_DATABASE_URL": "sqlite:////nowhere/at/all/anzol.db"}, 2, "/nowhere/at/all"),
        ([], {"ANZOL_DATABASE_URL": "sqlite:///broken.py"}, 5, "broken.py"),
        (["--inbox-for", "demo", "--send", "new-subscriptio"], {}, 4, "new-subscription"),
        (["--send", "new-subscription"], {}, 2, "--inbox-for"),
        (["--inbox-for", "a/b"], {}, 2, "cannot stand in a URL"),
        (["--port", "70000"], {}, 2, "--port"),
    ],
)
def test_what_goes_wrong_is_told_in_words_with_its_exit_code(
    world: World, arguments: list[str], changes: dict[str, str], code: int, said: str
) -> None:
    world.write("broken.py", "def divide():\n    return 1 / 0\n\n\ndivide()\n" + "#" * 5000)
    world.write("bare.py", "from fastapi import FastAPI\n\napp = FastAPI()\n")
    port = [] if "--port" in arguments else ["--port", "0"]

    result = world.run("dev", "--no-reload", *port, *arguments, **changes)

    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert result.returncode == code
    assert result.stdout == ""


def test_an_app_that_cannot_be_imported_is_shown_at_its_own_line(world: World) -> None:
    world.write("broken.py", "def divide():\n    return 1 / 0\n\n\ndivide()\n")

    said = world.run("dev", "broken.py", "--no-reload", "--port", "0").stderr

    assert "line 5, in <module>" in said
    assert "line 2, in divide" in said
    assert "importlib" not in said


def test_reloading_looks_at_the_app_s_own_files_only(tmp_path: Path) -> None:
    wanted = {"main.py", "app/routes.py"}
    others = {".hidden/x.py", "env/lib/x.py", "app/__pycache__/x.py", "node_modules/a/x.py", "notes.txt"}
    for name in [*wanted, *others, "env/pyvenv.cfg"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert {str(path.relative_to(tmp_path)) for path in own_files(tmp_path)} == wanted


# --- in Chromium


@pytest.mark.browser
def test_a_newcomer_posts_from_the_docs_and_sees_it_arrive_verified(
    world: World, chromium: Browser, artefacts: Path
) -> None:
    with world.dev("--no-reload", "--inbox-for", "acme") as dev:
        outside: list[str] = []
        context = chromium.new_context(locale="en-US")
        context.on("request", lambda request: None if "//127.0.0.1" in request.url else outside.append(request.url))
        inbox = context.new_page()
        inbox.goto(dev.links["inbox"])
        expect(inbox.get_by_role("status")).to_have_text("Live")
        docs = context.new_page()
        docs.goto(dev.links["docs"])
        expect(docs.get_by_text("/subscriptions").first).to_be_visible()
        expect(docs.get_by_text("new-subscription").first).to_be_visible()
        docs.screenshot(path=artefacts / "dev-docs.png", full_page=True)

        docs.locator("#operations-default-subscribe_subscriptions_post .opblock-summary").click()
        docs.get_by_role("button", name="Try it out").click()
        docs.get_by_role("button", name="Execute").click()

        expect(inbox.locator(".row")).to_have_count(1)
        expect(inbox.locator("article .chip")).to_have_text("verified")
        expect(inbox.locator("pre")).to_contain_text('"username": "string"')
        inbox.screenshot(path=artefacts / "dev-inbox.png")
        context.close()

        assert [url for url in outside if url.startswith("http")] == []
        assert dev.stop() == 0
