"""Handlers of incidents: each run once per incident, again only if it failed."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from anzol import Report
from anzol.app.handlers import Handlers, known_incident
from anzol.lifecycle import Incident

FAILING = known_incident("endpoint.failing")


def report(number: int = 1, kind: Incident = FAILING) -> Report:
    return Report(number, kind, datetime(2026, 1, 1, tzinfo=UTC), "acme", "ep_1", "https://x", None, None, "")


async def test_every_handler_of_the_incident_is_run_and_no_other() -> None:
    heard: list[str] = []
    handlers = Handlers()

    async def first(told: Report) -> None:
        heard.append(f"first {told.id}")

    handlers.add(FAILING, first)
    handlers.add(FAILING, lambda told: heard.append(f"second {told.id}"))
    handlers.add(known_incident("message.exhausted"), lambda told: heard.append("other"))
    await handlers.tell(report(7))

    assert heard == ["first 7", "second 7"]


async def test_a_handler_that_does_not_await_runs_in_a_thread_of_its_own() -> None:
    threads: list[int] = []
    handlers = Handlers()
    handlers.add(FAILING, lambda _: threads.append(threading.get_ident()))

    await handlers.tell(report())

    assert threads != [threading.get_ident()]


async def test_an_object_with_an_awaitable_call_is_awaited() -> None:
    class Pager:
        told = 0

        async def __call__(self, report: Report) -> None:
            self.told += 1

    pager = Pager()
    handlers = Handlers()
    handlers.add(FAILING, pager)

    await handlers.tell(report())

    assert pager.told == 1


async def test_a_handler_that_failed_is_run_again_and_no_other() -> None:
    heard: list[str] = []
    handlers = Handlers()

    async def fails_once(_: Report) -> None:
        heard.append("fails")
        if heard.count("fails") == 1:
            raise ConnectionError("no mail server")

    handlers.add(FAILING, fails_once)
    handlers.add(FAILING, lambda _: heard.append("well"))
    with pytest.raises(ConnectionError):
        await handlers.tell(report())
    await handlers.tell(report())

    assert heard == ["fails", "well", "fails"]


async def test_an_incident_without_handlers_is_done_with() -> None:
    await Handlers().tell(report(kind=Incident.ENDPOINT_RECOVERED))
