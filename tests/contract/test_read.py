"""Looking: pages, filters, why nobody got it, and how the whole is doing."""

from __future__ import annotations

import pytest

from anzol.clock import from_micros
from anzol.errors import InvalidValue, NotFound
from anzol.lifecycle import Cause, Disabled, Outcome, State
from anzol.storage.face import EndpointChanges, LaneHealth, Selection
from tests.contract.conftest import ENVIRONMENT, Scene, raw


async def pages(list_page: object, *given: object, limit: int, **named: object) -> list[object]:
    items: list[object] = []
    after = None
    while True:
        page = await list_page(ENVIRONMENT, *given, **named, after=after, limit=limit)  # type: ignore[operator]  # any list
        assert len(page.items) <= limit
        items += page.items
        after = page.next
        if after is None:
            return items


async def test_every_list_comes_in_pages_newest_first_and_whole(scene: Scene) -> None:
    endpoints = [(await scene.endpoint()).id for _ in range(5)]
    for number in range(7):
        await scene.storage.put_customer(ENVIRONMENT, f"c{number}")
    sent = [await scene.send() for _ in range(7)]
    worker = await scene.worker()
    claims = (await worker.round(room=4)).claims
    await worker.settle(claims)
    storage, anything = scene.storage, Selection()

    messages = await pages(storage.messages, anything, limit=3)
    deliveries = await pages(storage.deliveries, anything, limit=4)
    attempts = await pages(storage.attempts, anything, limit=4)
    listed = await pages(storage.endpoints, limit=2)
    customers = await pages(storage.customers, limit=3)

    assert [one.id for one in messages] == sent[::-1]  # type: ignore[attr-defined]  # pages of anything
    assert [one.id for one in listed] == endpoints[::-1]  # type: ignore[attr-defined]  # as above
    assert [one.uid for one in customers] == [*(f"c{n}" for n in range(6, -1, -1)), "acme"]  # type: ignore[attr-defined]  # as above
    assert len(deliveries) == len({(one.message_id, one.endpoint_id) for one in deliveries}) == 35  # type: ignore[attr-defined]  # as above
    assert len(attempts) == len({one.id for one in attempts}) == len(claims)  # type: ignore[attr-defined]  # as above


async def test_a_full_last_page_has_no_next(scene: Scene) -> None:
    for _ in range(4):
        await scene.send()

    page = await scene.storage.messages(ENVIRONMENT, Selection(), limit=4)

    assert (len(page.items), page.next) == (4, None)


@pytest.mark.parametrize("cursor", ["", "x", "1.2.3", "-1", "١"])
async def test_a_cursor_of_somebody_elses_is_refused(scene: Scene, cursor: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        await scene.storage.messages(ENVIRONMENT, Selection(), after=cursor)

    assert caught.value.field == "after"


async def test_lists_keep_to_what_is_selected(scene: Scene) -> None:
    one, two = await scene.endpoint(), await scene.endpoint(event_types=("b",))
    await scene.endpoint("globex")
    a = await scene.send(event_type="a", tags=("x", "y"))
    scene.later(10)
    b = await scene.send(event_type="b")
    other = await scene.send("globex", "a")
    worker = await scene.worker()
    claims = (await worker.round()).claims
    delivered = [claim for claim in claims if claim.content.message_id == raw(a)]
    await worker.settle(delivered)
    await worker.settle(
        [claim for claim in claims if claim.endpoint_id == raw(two.id)],
        cause=Cause.GAVE_UP,
        attempt=scene.record(Outcome.TIMEOUT, None),
    )
    storage = scene.storage

    async def found(**selection: object) -> tuple[set[str], int, int]:
        chosen = Selection(**selection)  # type: ignore[arg-type]  # fields by name
        messages = (await storage.messages(ENVIRONMENT, chosen)).items
        deliveries = (await storage.deliveries(ENVIRONMENT, chosen)).items
        attempts = (await storage.attempts(ENVIRONMENT, chosen)).items
        return {message.id for message in messages}, len(deliveries), len(attempts)

    assert await found() == ({a, b, other}, 4, 2)
    assert await found(customer="acme") == ({a, b}, 3, 2)
    assert await found(customer="globex") == ({other}, 1, 0)
    assert await found(customer="nobody") == (set(), 0, 0)
    assert await found(event_types=("a",)) == ({a, other}, 2, 1)
    assert await found(tag="y") == ({a}, 1, 1)
    assert await found(message_id=b) == ({b}, 2, 1)
    assert await found(endpoint_id=one.id) == ({a, b}, 2, 1)
    assert await found(endpoint_id=two.id, message_id=b) == ({b}, 1, 1)
    assert await found(since=from_micros(scene.now)) == ({b, other}, 3, 1)
    assert await found(until=from_micros(scene.now)) == ({a}, 1, 1)
    assert await found(states=(State.PENDING,)) == ({b, other}, 2, 0)
    assert await found(states=(State.DELIVERED, State.EXHAUSTED), customer="acme") == ({a, b}, 2, 2)
    timeouts = await storage.attempts(ENVIRONMENT, Selection(), outcomes=(Outcome.TIMEOUT,))
    assert [attempt.endpoint_id for attempt in timeouts.items] == [two.id]


async def test_selecting_by_what_is_not_there_is_not_found(scene: Scene) -> None:
    for selection in (Selection(message_id="msg_x"), Selection(endpoint_id="ep_" + "0" * 22)):
        with pytest.raises(NotFound):
            await scene.storage.deliveries(ENVIRONMENT, selection)


async def test_endpoints_of_one_customer(scene: Scene) -> None:
    mine = await scene.endpoint()
    await scene.endpoint("globex")

    page = await scene.storage.endpoints(ENVIRONMENT, customer="acme")

    assert [endpoint.id for endpoint in page.items] == [mine.id]


async def test_why_an_endpoint_did_not_get_a_message(scene: Scene) -> None:
    matched = await scene.endpoint(event_types=("a",), channels=("eu",))
    other_type = await scene.endpoint(event_types=("b",))
    other_channel = await scene.endpoint(channels=("us",))
    disabled = await scene.endpoint(enabled=False)
    deleted = await scene.endpoint()
    await scene.storage.delete_endpoint(ENVIRONMENT, deleted.id)
    shown = await scene.send(event_type="a", channels=("eu", "apac"))
    await (await scene.worker()).round()
    scene.later(1)
    later = await scene.endpoint()

    reasons = {match.endpoint_id: match.reason for match in await scene.storage.matches(ENVIRONMENT, shown)}

    assert reasons == {
        matched.id: "matched",
        other_type.id: "event_type",
        other_channel.id: "channel",
        disabled.id: "disabled",
        deleted.id: "deleted",
        later.id: "created_later",
    }


async def test_the_reason_is_that_of_then_not_of_now(scene: Scene) -> None:
    got = await scene.endpoint()
    disabled = await scene.endpoint(enabled=False)
    narrowed = await scene.endpoint(event_types=("b",))
    shown = await scene.send(event_type="a")
    await (await scene.worker()).round()
    scene.later(1)
    await scene.storage.disable_endpoint(ENVIRONMENT, got.id, Disabled.BY_CUSTOMER)
    await scene.storage.enable_endpoint(ENVIRONMENT, disabled.id)
    await scene.storage.update_endpoint(ENVIRONMENT, narrowed.id, EndpointChanges(event_types=()))

    reasons = {match.endpoint_id: match.reason for match in await scene.storage.matches(ENVIRONMENT, shown)}

    assert reasons == {got.id: "matched", disabled.id: "disabled", narrowed.id: "event_type"}


async def test_a_message_for_one_endpoint_says_so_of_the_others(scene: Scene) -> None:
    chosen = await scene.endpoint(event_types=("b",))
    other = await scene.endpoint()
    shown = await scene.send(event_type="a", only_endpoint=raw(chosen.id))
    found = await (await scene.worker()).round()

    reasons = {match.endpoint_id: match.reason for match in await scene.storage.matches(ENVIRONMENT, shown)}

    assert [claim.endpoint_id for claim in found.claims] == [raw(chosen.id)]
    assert reasons == {chosen.id: "matched", other.id: "other_endpoint"}


async def test_status_counts_what_there_is(scene: Scene) -> None:
    failing = await scene.endpoint()
    parked = await scene.endpoint("parked")
    begun = scene.now
    for _ in range(3):
        await scene.send()
    await scene.send("parked")
    worker = await scene.worker()
    await worker.round(take=0, idle_lanes=False)
    await scene.storage.disable_endpoint(ENVIRONMENT, parked.id, Disabled.BY_OPERATOR)
    scene.later(2)
    await worker.round(room=1)
    await scene.storage.settle(worker.me, [], [LaneHealth(raw(failing.id), 1, scene.now, None, 0)])
    await scene.send()

    status = await scene.storage.status(ENVIRONMENT)

    assert (status.accepted_waiting, status.pending, status.due) == (1, 4, 2)
    assert (status.parked, status.in_flight) == (1, 1)
    assert status.oldest_due == from_micros(begun)
    assert (status.failing_endpoints, status.disabled_endpoints) == (1, 1)
    assert len(status.workers) == 1
    assert (await scene.storage.status("sandbox")).pending == 0
