"""Who did what: each act of people leaves one entry, with its actor, in its own transaction, and without secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from anzol.actors import acting
from anzol.errors import Conflict, InvalidValue, NotFound
from anzol.lifecycle import Disabled
from anzol.model import AuditEntry
from anzol.storage.books import EventTypeChanges
from anzol.storage.face import EndpointChanges, Retention, Selection
from tests.contract.conftest import ENVIRONMENT, Scene

SECRET = "whsec_" + "z" * 32


async def entries(scene: Scene, **which: object) -> list[AuditEntry]:
    page = await scene.storage.audits(ENVIRONMENT, oldest_first=True, limit=100, **which)  # type: ignore[arg-type] # as a test gives them
    return list(page.items)


async def told(scene: Scene, **which: object) -> list[tuple[str, str, str | None]]:
    return [(entry.action, entry.object_id, entry.customer) for entry in await entries(scene, **which)]


# --- what is written down


async def test_acts_upon_customers(scene: Scene) -> None:
    storage = scene.storage
    made = await storage.put_customer(ENVIRONMENT, "acme", name="Acme")
    await storage.put_customer(ENVIRONMENT, "acme", name="Acme")
    await storage.put_customer(ENVIRONMENT, "acme", name="Else", metadata={}, throttle=5)
    await storage.create_customer(ENVIRONMENT, "acme", name="", metadata={}, throttle=None)
    other, _ = await storage.create_customer(ENVIRONMENT, "globex", name="", metadata={}, throttle=None)
    await storage.rename_customer(ENVIRONMENT, "acme", "beta")
    await storage.delete_customer(ENVIRONMENT, "globex")

    assert [(entry.action, entry.object_id, entry.detail) for entry in await entries(scene)] == [
        ("customer.created", made.id, {}),
        ("customer.updated", made.id, {"changed": ["name", "throttle"]}),
        ("customer.created", other.id, {}),
        ("customer.renamed", made.id, {"from": "acme", "to": "beta"}),
        ("customer.deleted", other.id, {}),
    ]
    assert [entry.customer for entry in await entries(scene)] == ["beta", "beta", None, "beta", None]


async def test_acts_upon_endpoints(scene: Scene) -> None:
    storage = scene.storage
    endpoint = await scene.endpoint(headers=(("X-Key", "canary"),), metadata={"a": "b"})
    await storage.update_endpoint(
        ENVIRONMENT,
        endpoint.id,
        EndpointChanges(
            url="https://acme.example/new",
            headers=(("X-Key", "canary two"),),
            metadata={"a": "b"},
            channels=(),
            event_types=("invoice.paid",),
            schedule=(timedelta(seconds=5),),
            fifo=False,
        ),
    )
    await storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_OPERATOR)
    await storage.enable_endpoint(ENVIRONMENT, endpoint.id)
    await storage.rotate_secret(ENVIRONMENT, endpoint.id, SECRET, keep_old=timedelta(hours=1))
    await storage.delete_endpoint(ENVIRONMENT, endpoint.id)

    found = await entries(scene)
    assert [(entry.action, entry.detail) for entry in found] == [
        ("endpoint.created", {}),
        ("endpoint.updated", {"changed": ["event_types", "headers", "schedule", "url"]}),
        ("endpoint.disabled", {"because": "by_operator"}),
        ("endpoint.enabled", {}),
        ("secret.rotated", {"old_signs_for": 3600}),
        ("endpoint.deleted", {}),
    ]
    assert {(entry.object_id, entry.customer) for entry in found} == {(endpoint.id, "acme")}
    assert "canary" not in repr(found)
    assert SECRET not in repr(found)


async def test_acts_upon_deliveries(scene: Scene) -> None:
    storage = scene.storage
    endpoint = await scene.endpoint()
    scene.later(1)
    message = await scene.send()
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)
    await storage.pause(ENVIRONMENT, customer="acme", event_type="invoice.paid", endpoint_id=None, actor="ops")
    await storage.resume(ENVIRONMENT, customer="acme", event_type="invoice.paid", endpoint_id=None)
    await storage.resume(ENVIRONMENT, customer="acme", event_type="invoice.paid", endpoint_id=None)
    await storage.pause(ENVIRONMENT, customer=None, event_type=None, endpoint_id=endpoint.id, actor="ops")
    await storage.resend(ENVIRONMENT, message, endpoint.id)
    await storage.cancel(ENVIRONMENT, Selection(customer="acme"), after=None, limit=10)
    await storage.recover(ENVIRONMENT, Selection(endpoint_id=endpoint.id), after=None, limit=10)
    await storage.recover(ENVIRONMENT, Selection(message_id=message, tag="t"), after=None, limit=10)
    await storage.cancel(ENVIRONMENT, Selection(event_types=("a",)), after=None, limit=10)

    found = (await told(scene))[1:]
    assert found == [
        ("deliveries.paused", "acme", "acme"),
        ("deliveries.resumed", "acme", "acme"),
        ("deliveries.paused", endpoint.id, "acme"),
        ("delivery.resent", message, "acme"),
        ("deliveries.cancelled", "acme", "acme"),
        ("deliveries.recovered", endpoint.id, "acme"),
        ("deliveries.recovered", message, "acme"),
        ("deliveries.cancelled", ENVIRONMENT, None),
    ]
    assert (await entries(scene, action="deliveries.recovered"))[1].detail == {"message": message, "tag": "t"}
    assert (await entries(scene, action="delivery.resent"))[0].detail == {"endpoint": endpoint.id}


async def test_one_recovery_is_one_entry_however_many_pages_it_has(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    scene.later(1)
    for _ in range(5):
        await scene.send()
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)

    after, pages = None, 0
    while pages == 0 or after is not None:
        progress = await scene.storage.recover(ENVIRONMENT, Selection(endpoint_id=endpoint.id), after=after, limit=2)
        after, pages = progress.next, pages + 1

    assert pages > 2
    assert [entry.action for entry in await entries(scene)] == ["endpoint.created", "deliveries.recovered"]


async def test_acts_upon_event_types_and_contents(scene: Scene) -> None:
    storage = scene.storage
    await storage.create_event_type(ENVIRONMENT, "user.left", EventTypeChanges())
    await storage.put_event_type(ENVIRONMENT, "user.left", EventTypeChanges(deprecated=True), make=False)
    await storage.delete_event_type(ENVIRONMENT, "user.left", expunge=False)
    await storage.delete_event_type(ENVIRONMENT, "user.left", expunge=True)
    message = await scene.send()
    await storage.erase_message(ENVIRONMENT, message)

    found = await entries(scene)
    assert [(entry.action, entry.object_id, entry.detail) for entry in found] == [
        ("event_type.created", "user.left", {}),
        ("event_type.updated", "user.left", {"changed": ["deprecated"]}),
        ("event_type.updated", "user.left", {"changed": ["archived"]}),
        ("event_type.deleted", "user.left", {}),
        ("message.erased", message, {}),
    ]


async def test_what_nobody_did_by_hand_is_not_written_down(scene: Scene) -> None:
    with acting("key:Billing"):
        endpoint = await scene.endpoint()
        scene.later(1)
        await scene.send()
        await scene.send("newcomer")
        worker = await scene.worker()
        claims = (await worker.round()).claims
        await scene.storage.settle(worker.me, [scene.failed(claim) for claim in claims])
        await scene.storage.clean(Retention(), limit=100)

    assert await told(scene) == [("endpoint.created", endpoint.id, "acme")]


async def test_an_act_that_is_refused_leaves_nothing(scene: Scene) -> None:
    await scene.endpoint(uid="main")

    with pytest.raises(Conflict):
        await scene.endpoint(uid="main")
    with pytest.raises(NotFound):
        await scene.storage.delete_customer(ENVIRONMENT, "nobody")
    with pytest.raises(NotFound):
        await scene.storage.cancel(ENVIRONMENT, Selection(endpoint_id="ep_" + "0" * 22), after=None, limit=1)

    assert [action for action, *_ in await told(scene)] == ["endpoint.created"]


# --- by whom


async def test_each_act_has_the_actor_of_whoever_called(scene: Scene) -> None:
    async def act(name: str) -> None:
        with acting(name):
            await scene.storage.put_customer(ENVIRONMENT, f"of-{name}", name=name)

    await scene.storage.put_customer(ENVIRONMENT, "acme", name="Acme")
    await asyncio.gather(*(act(f"key:{number}") for number in range(10)))
    await scene.storage.put_customer(ENVIRONMENT, "acme", name="Else")

    by_customer = {entry.customer: entry.actor for entry in await entries(scene, action="customer.created")}
    assert by_customer == {"acme": "code"} | {f"of-key:{number}": f"key:{number}" for number in range(10)}
    assert [entry.actor for entry in await entries(scene, action="customer.updated")] == ["code"]


# --- notes and lists


async def test_a_note_is_an_entry_like_others(scene: Scene) -> None:
    customer = await scene.storage.put_customer(ENVIRONMENT, "acme", name="Acme")
    with acting("key:Billing"):
        await scene.storage.note(ENVIRONMENT, "portal.link", customer.id, customer="acme", session="s1", nothing=None)
        await scene.storage.note(ENVIRONMENT, "openapi.imported", "")

    found = await entries(scene, actor="key:Billing")
    assert [(one.action, one.object_id, one.customer, one.detail) for one in found] == [
        ("portal.link", customer.id, "acme", {"session": "s1"}),
        ("openapi.imported", "", None, {}),
    ]
    assert found[0].at == customer.created_at


async def test_a_list_is_of_one_environment_and_filtered(scene: Scene) -> None:
    await scene.storage.note("staging", "else", "x")
    for number, actor in enumerate(("cli", "cli:ann", "cli")):
        with acting(actor):
            await scene.storage.note(ENVIRONMENT, f"act.{number}", "x", customer="acme" if number else None)

    assert [action for action, *_ in await told(scene, actor="cli")] == ["act.0", "act.2"]
    assert [action for action, *_ in await told(scene, action="act.1")] == ["act.1"]
    assert [entry.action for entry in await entries(scene, customer="acme")] == ["act.1", "act.2"]
    assert [action for action, *_ in await told(scene, actor="cli", customer="acme")] == ["act.2"]
    assert (await scene.storage.audits("unknown")).items == ()


async def test_a_list_goes_both_ways(scene: Scene) -> None:
    for number in range(5):
        await scene.storage.note(ENVIRONMENT, f"act.{number}", "x")

    async def page(**how: object) -> tuple[list[str], str | None, str | None]:
        found = await scene.storage.audits(ENVIRONMENT, limit=2, **how)  # type: ignore[arg-type] # as a test gives them
        return [entry.action for entry in found.items], found.next, found.first

    first, place, _ = await page()
    second, place, begin = await page(after=place)
    third, end, _ = await page(after=place)
    back, _, _ = await page(after=begin, oldest_first=True)

    assert (first, second, third, end) == (["act.4", "act.3"], ["act.2", "act.1"], ["act.0"], None)
    assert back == ["act.3", "act.4"]
    with pytest.raises(InvalidValue):
        await page(after="x")


async def test_entries_are_kept_for_a_year(scene: Scene) -> None:
    await scene.storage.note(ENVIRONMENT, "act.old", "x")
    scene.later(timedelta(days=364).total_seconds())
    await scene.storage.note(ENVIRONMENT, "act.young", "x")
    await cleaned(scene.storage.clean)
    assert [action for action, *_ in await told(scene)] == ["act.old", "act.young"]

    scene.later(timedelta(days=2).total_seconds())
    await cleaned(scene.storage.clean)

    assert [action for action, *_ in await told(scene)] == ["act.young"]


async def cleaned(clean: Callable[..., Awaitable[int]]) -> None:
    while await clean(Retention(), limit=1):
        pass
