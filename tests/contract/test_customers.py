"""Customers: made without a word, made by name, renamed; and nothing is ever delivered to the wrong one."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from anzol import ids
from anzol.errors import Conflict, NotFound
from anzol.model import OPERATIONAL, UNNAMED, Customer
from anzol.storage.face import Retention, Selection
from tests.contract.conftest import ENVIRONMENT, Scene, Worker, beside


async def create(scene: Scene, uid: str | None, **fields: object) -> tuple[Customer, bool]:
    known: dict[str, object] = {"name": "", "metadata": {}, "throttle": None}
    return await scene.storage.create_customer(ENVIRONMENT, uid, **(known | fields))  # type: ignore[arg-type] # as a test gives them


async def rename(scene: Scene, uid: str, new: str | None) -> Customer:
    return await scene.storage.rename_customer(ENVIRONMENT, uid, new)


async def deliver(worker: Worker) -> list[str]:
    """Deliver all there is; return the endpoints that got something, one for each delivery."""
    found = []
    for _ in range(5):
        claims = (await worker.round()).claims
        await worker.settle(claims)
        found += [ids.show(ids.ENDPOINT, claim.endpoint_id) for claim in claims]
    return found


async def clean(scene: Scene) -> None:
    while await scene.storage.clean(Retention(), limit=100):
        pass


async def messages_of(scene: Scene, uid: str) -> set[str]:
    page = await scene.storage.messages(ENVIRONMENT, Selection(customer=uid))
    return {message.id for message in page.items}


# --- made


async def test_a_customer_that_is_there_is_left_alone(scene: Scene) -> None:
    first, made = await create(scene, "acme", name="Acme", metadata={"plan": "gold"}, throttle=5)
    second, again = await create(scene, "acme", name="Else", metadata={}, throttle=None)

    assert (made, again) == (True, False)
    assert second == first
    assert (first.name, first.metadata, first.throttle) == ("Acme", {"plan": "gold"}, 5)


async def test_of_many_that_make_one_at_once_one_has_made_it(scene: Scene) -> None:
    async with beside(scene) as other:
        results = await asyncio.gather(*(create(one, "acme", name="Acme") for one in (scene, other) * 3))

    assert sum(made for _, made in results) == 1
    assert len({customer.id for customer, _ in results}) == 1


async def test_a_customer_that_nobody_named_has_a_uid_of_its_own(scene: Scene) -> None:
    first, made = await create(scene, None, name="One")
    second, _ = await create(scene, None, name="Two")

    assert made
    assert first.uid.startswith(UNNAMED)
    assert len(first.uid) == len(UNNAMED) + 22
    assert first.uid != second.uid
    assert await scene.storage.customer(ENVIRONMENT, first.uid) == first


async def test_a_deleted_customer_that_is_made_again_is_another(scene: Scene) -> None:
    await create(scene, "acme", name="Acme", metadata={"plan": "gold"}, throttle=5)
    await scene.storage.delete_customer(ENVIRONMENT, "acme")

    customer, made = await create(scene, "acme", name="Again")

    assert made
    assert (customer.name, customer.metadata, customer.throttle) == ("Again", {}, None)


async def test_when_a_customer_changed_is_kept(scene: Scene) -> None:
    first, _ = await create(scene, "acme", name="Acme")
    scene.later(1)
    same = await scene.storage.put_customer(ENVIRONMENT, "acme", name="Acme")
    assert same.updated_at == first.updated_at == first.created_at

    seen = [first]
    for change in ({"name": "Else"}, {"metadata": {"a": "b"}}, {"throttle": 7}):
        scene.later(1)
        seen.append(await scene.storage.put_customer(ENVIRONMENT, "acme", **change))
    scene.later(1)
    seen.append(await rename(scene, "acme", "beta"))

    times = [customer.updated_at for customer in seen if customer.updated_at is not None]
    assert times == sorted(set(times))
    assert len(times) == 5
    assert {customer.created_at for customer in seen} == {first.created_at}


async def test_an_environment_that_a_refused_act_began_is_there_for_the_next(scene: Scene) -> None:
    storage = scene.storage
    refused, made = await asyncio.gather(
        storage.pause("fresh", customer=None, event_type=None, endpoint_id="ep_" + "0" * 22, actor="me"),
        storage.put_customer("fresh", "acme", name="Acme"),
        return_exceptions=True,
    )

    assert isinstance(refused, NotFound)
    assert await storage.customer("fresh", "acme") == made


# --- renamed


async def test_a_renamed_customer_keeps_all_that_it_has(scene: Scene) -> None:
    customer, _ = await create(scene, "acme", name="Acme", throttle=9)
    endpoint = await scene.endpoint("acme", uid="main")
    message = await scene.send("acme", key="k")
    worker = await scene.worker()
    await deliver(worker)

    renamed = await rename(scene, "acme", "beta")

    assert (renamed.id, renamed.uid, renamed.name, renamed.throttle) == (customer.id, "beta", "Acme", 9)
    assert (await scene.storage.endpoint(ENVIRONMENT, endpoint.id)).customer == "beta"
    assert await messages_of(scene, "beta") == {message}
    assert (await scene.accept(customer="beta", key="k")).duplicate
    with pytest.raises(NotFound):
        await scene.storage.customer(ENVIRONMENT, "acme")


async def test_holders_of_its_lanes_are_told_of_a_new_uid(scene: Scene) -> None:
    await scene.endpoint("acme")
    await scene.send("acme")
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)

    await rename(scene, "acme", "beta")

    assert [profile.customer for profile in (await worker.round()).profiles] == ["beta"]


async def test_who_sends_to_the_old_uid_makes_a_new_customer(scene: Scene) -> None:
    former, _ = await create(scene, "acme")
    theirs = await scene.endpoint("acme")
    await rename(scene, "acme", "beta")

    stray = await scene.send("acme")
    worker = await scene.worker()
    assert await deliver(worker) == []
    ours = await scene.endpoint("acme")
    scene.later(1)
    await scene.send("acme")
    await scene.send("beta")
    got = await deliver(worker)

    assert sorted(got) == sorted([ours.id, theirs.id])
    acme = await scene.storage.customer(ENVIRONMENT, "acme")
    assert acme.id != former.id
    assert stray in await messages_of(scene, "acme")
    assert stray not in await messages_of(scene, "beta")


async def test_a_message_that_waits_during_a_renaming_goes_to_whom_it_was_sent(scene: Scene) -> None:
    theirs = await scene.endpoint("acme")
    scene.later(1)
    before = await scene.send("acme")
    await rename(scene, "acme", "beta")
    after = await scene.send("acme")
    worker = await scene.worker()

    got = await deliver(worker)

    assert got == [theirs.id]
    assert await messages_of(scene, "beta") == {before}
    assert await messages_of(scene, "acme") == {after}


async def test_the_old_uid_is_another_customers_after_housekeeping_too(scene: Scene) -> None:
    theirs = await scene.endpoint("acme")
    await rename(scene, "acme", "beta")
    await clean(scene)
    scene.later(1)

    await scene.send("acme")
    worker = await scene.worker()
    first = await deliver(worker)
    await scene.storage.delete_customer(ENVIRONMENT, "acme")
    await clean(scene)
    await scene.send("acme")
    second = await deliver(worker)
    await scene.send("beta")

    assert (first, second) == ([], [])
    assert await deliver(worker) == [theirs.id]


async def test_a_deleted_customer_is_not_brought_back_by_who_sends_to_its_former_uid(scene: Scene) -> None:
    await scene.endpoint("acme")
    await rename(scene, "acme", "beta")
    await scene.storage.delete_customer(ENVIRONMENT, "beta")
    await clean(scene)

    await scene.send("acme")
    worker = await scene.worker()
    await deliver(worker)

    listed = {customer.uid for customer in (await scene.storage.customers(ENVIRONMENT)).items}
    assert listed == {"acme"}


async def test_names_that_are_passed_on_in_a_ring_never_mix(scene: Scene) -> None:
    endpoints = {}
    for uid in ("a", "b", "c"):
        endpoints[uid] = await scene.endpoint(uid)
    await rename(scene, "a", "x")
    await rename(scene, "b", "a")
    await rename(scene, "c", "b")
    await rename(scene, "x", "c")
    await clean(scene)
    scene.later(1)
    worker = await scene.worker()

    for now, first in (("a", "b"), ("b", "c"), ("c", "a")):
        await scene.send(now)
        assert await deliver(worker) == [endpoints[first].id]
    await scene.send("x")
    assert await deliver(worker) == []


async def test_there_and_back_is_the_same_customer(scene: Scene) -> None:
    customer, _ = await create(scene, "acme")
    endpoint = await scene.endpoint("acme")
    await rename(scene, "acme", "beta")

    back = await rename(scene, "beta", "acme")
    await clean(scene)
    scene.later(1)
    await scene.send("acme")
    await scene.send("beta")

    assert back.id == customer.id
    assert await deliver(await scene.worker()) == [endpoint.id]


async def test_a_uid_of_a_live_customer_is_refused(scene: Scene) -> None:
    await create(scene, "acme")
    await create(scene, "beta")

    with pytest.raises(Conflict, match="beta"):
        await rename(scene, "acme", "beta")

    assert {customer.uid for customer in (await scene.storage.customers(ENVIRONMENT)).items} == {"acme", "beta"}


async def test_a_uid_that_a_waiting_message_names_is_refused(scene: Scene) -> None:
    await create(scene, "acme")
    await scene.send("beta")

    with pytest.raises(Conflict, match="beta"):
        await rename(scene, "acme", "beta")


async def test_a_uid_of_a_deleted_customer_is_free(scene: Scene) -> None:
    await scene.endpoint("beta")
    lost = await scene.send("beta")
    worker = await scene.worker()
    claims = (await worker.round()).claims  # one in flight keeps the deleted customer's row for a while
    await scene.storage.delete_customer(ENVIRONMENT, "beta")
    theirs = await scene.endpoint("acme")
    scene.later(1)

    renamed = await rename(scene, "acme", "beta")
    await worker.settle(claims)
    await clean(scene)
    kept = await scene.send("beta")

    assert await deliver(worker) == [theirs.id]
    assert await messages_of(scene, "beta") == {kept}
    assert lost != kept
    assert [customer.id for customer in (await scene.storage.customers(ENVIRONMENT)).items] == [renamed.id]


async def test_a_deleted_customer_that_is_sent_to_again_has_its_uid(scene: Scene) -> None:
    await scene.endpoint("beta")
    await scene.send("beta")
    worker = await scene.worker()
    claims = (await worker.round()).claims
    await scene.storage.delete_customer(ENVIRONMENT, "beta")
    await create(scene, "acme")
    await scene.send("beta")

    with pytest.raises(Conflict, match="beta"):
        await rename(scene, "acme", "beta")
    await worker.settle(claims)


async def test_a_customer_can_lose_its_name_and_have_one_again(scene: Scene) -> None:
    customer, _ = await create(scene, None)
    endpoint = await scene.endpoint(customer.uid)

    named = await rename(scene, customer.uid, "acme")
    unnamed = await rename(scene, "acme", None)
    await clean(scene)
    scene.later(1)
    await scene.send("acme")
    worker = await scene.worker()
    assert await deliver(worker) == []
    await scene.send(unnamed.uid)

    assert await deliver(worker) == [endpoint.id]
    assert customer.id == named.id == unnamed.id
    assert unnamed.uid.startswith(UNNAMED)
    assert unnamed.uid != customer.uid


async def test_who_sends_to_a_made_up_uid_of_before_does_not_bring_a_deleted_customer_back(scene: Scene) -> None:
    customer, _ = await create(scene, None)
    await rename(scene, customer.uid, "acme")
    await scene.storage.delete_customer(ENVIRONMENT, "acme")
    await clean(scene)

    await scene.send(customer.uid)
    assert await deliver(await scene.worker()) == []

    assert (await scene.storage.customers(ENVIRONMENT)).items == ()


async def test_the_same_uid_changes_nothing(scene: Scene) -> None:
    customer, _ = await create(scene, "acme")
    scene.later(1)

    assert await rename(scene, "acme", "acme") == customer


async def test_a_customer_that_is_not_there_is_not_renamed(scene: Scene) -> None:
    await scene.endpoint(OPERATIONAL)

    for uid in ("nobody", OPERATIONAL):
        with pytest.raises(NotFound):
            await rename(scene, uid, "beta")


async def test_of_many_who_take_one_uid_one_has_it(scene: Scene) -> None:
    endpoints = {}
    for number in range(4):
        endpoints[f"c{number}"] = await scene.endpoint(f"c{number}")
    async with beside(scene) as other:
        results = await asyncio.gather(
            *(rename((scene, other)[number % 2], f"c{number}", "beta") for number in range(4)), return_exceptions=True
        )

    assert sum(isinstance(result, Conflict) for result in results) == 3
    (winner,) = [number for number, result in enumerate(results) if isinstance(result, Customer)]
    scene.later(1)
    await scene.send("beta")
    assert await deliver(await scene.worker()) == [endpoints[f"c{winner}"].id]


async def test_sending_while_a_customer_is_renamed_delivers_to_nobody_else(scene: Scene) -> None:
    theirs = await scene.endpoint("acme")
    scene.later(1)
    async with beside(scene) as other:

        async def send(uid: str) -> list[str]:
            return [await other.send(uid) for _ in range(20)]

        old, new, _ = await asyncio.gather(send("acme"), send("beta"), move(scene))
        deliveries = 0
        worker = await scene.worker()
        while got := await deliver(worker):
            assert set(got) == {theirs.id}
            deliveries += len(got)

    delivered = await scene.deliveries(endpoint_id=theirs.id)
    assert len(delivered) == deliveries
    owned = await messages_of(scene, (await scene.storage.endpoint(ENVIRONMENT, theirs.id)).customer)
    assert {one.message_id for one in delivered} <= owned <= {*old, *new}
    assert delivered


async def move(scene: Scene) -> None:
    """Rename while others send; the new uid may be somebody's by then."""
    try:
        await rename(scene, "acme", "beta")
    except Conflict:
        return


async def test_messages_erased_with_a_renamed_customer_are_all_of_its_own(scene: Scene) -> None:
    await scene.endpoint("acme")
    scene.later(1)
    await scene.send("acme")
    await deliver(await scene.worker())
    await rename(scene, "acme", "beta")
    others = await scene.send("acme")
    await scene.send("beta")

    await scene.storage.delete_customer(ENVIRONMENT, "beta")
    await clean(scene)
    scene.later(timedelta(days=1).total_seconds())

    page = await scene.storage.messages(ENVIRONMENT, Selection())
    assert {message.id for message in page.items} == {others}
