"""Customers that are renamed, and messages that are erased, while others send, fan out and make: nothing goes astray.

One side's transaction is held open, as another machine's may be; the other is done, or is seen to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from anzol import ids
from anzol.clock import OwnedClock
from anzol.errors import Conflict, NotFound
from anzol.lifecycle import State
from anzol.model import Customer
from anzol.storage.face import NewMessage, Retention, Selection
from anzol.storage.postgres import accept, customers, erase, recovery, register
from tests.contract.conftest import ENVIRONMENT, Scene, beside, raw
from tests.storage.stage import Hand, Stage, begin


@dataclass(slots=True)
class Office:
    """Two processes on one database, and hands beside them."""

    stage: Stage
    here: Scene
    there: Scene

    async def rename(self, uid: str, new: str | None) -> Customer:
        return await self.here.storage.rename_customer(ENVIRONMENT, uid, new)

    async def accept(self, hand: Hand, customer: str) -> str:
        """Accept a message in a transaction that stays open; return its shown id."""
        message: NewMessage = self.here.message(customer)
        await accept.accept(hand.work, [message], fresh=True)
        return ids.show(ids.MESSAGE, message.id)

    async def delivered(self) -> list[str]:
        """Deliver all there is; return the endpoint of each delivery."""
        worker, found = await self.there.worker(), []
        for _ in range(4):
            claims = (await worker.round()).claims
            await worker.settle(claims)
            found += [ids.show(ids.ENDPOINT, claim.endpoint_id) for claim in claims]
        return found

    async def clean(self) -> None:
        while await self.here.storage.clean(Retention(), limit=100):
            pass

    async def uids(self) -> list[str]:
        return sorted(one.uid for one in (await self.here.storage.customers(ENVIRONMENT)).items)

    async def messages(self, uid: str) -> Sequence[str]:
        page = await self.here.storage.messages(ENVIRONMENT, Selection(customer=uid))
        return [message.id for message in page.items]


@pytest.fixture
async def office(stage: Stage) -> AsyncIterator[Office]:
    assert isinstance(stage.clock, OwnedClock)
    here = Scene(stage.storage, stage.clock)
    async with beside(here) as there:
        yield Office(stage, here, there)
    await here.intact()


# --- renaming


async def test_a_message_committed_after_the_renaming_is_the_customers_it_was_sent_to(office: Office) -> None:
    endpoint = await office.here.endpoint("acme")
    office.here.later(1)
    async with office.stage.open() as hand:
        message = await office.accept(hand, "acme")
        await office.rename("acme", "beta")
        await hand.commit()

    assert await office.delivered() == [endpoint.id]
    assert await office.messages("beta") == [message]
    assert await office.uids() == ["beta"]


async def test_a_message_to_a_deleted_customer_never_reaches_who_has_its_uid_now(office: Office) -> None:
    await office.here.endpoint("beta")
    await office.here.endpoint("acme")
    await office.stage.storage.change(customers.delete_customer, ENVIRONMENT, "beta")  # its row stays for a while
    office.here.later(1)
    async with office.stage.open() as hand:
        message = await office.accept(hand, "beta")
        await office.rename("acme", "beta")
        await hand.commit()

    assert await office.delivered() == []
    assert await office.messages("beta") == []
    assert await office.uids() == ["beta"]
    await office.clean()
    assert (await office.here.storage.message(ENVIRONMENT, message)).customer == "beta"
    assert await office.delivered() == []


async def test_a_first_message_never_reaches_who_has_its_customers_uid_now(office: Office) -> None:
    await office.here.endpoint("acme")
    office.here.later(1)
    async with office.stage.open() as hand:
        await office.accept(hand, "beta")
        await office.rename("acme", "beta")
        await hand.commit()

    assert await office.delivered() == []
    assert await office.messages("beta") == []
    assert await office.uids() == ["beta"]


@pytest.mark.parametrize("kept", [True, False], ids=["committed", "taken back"])
async def test_a_uid_that_somebody_is_just_taking_is_waited_for(office: Office, kept: bool) -> None:
    await office.here.endpoint("acme")
    async with office.stage.open() as hand:
        await register.make_customer(hand.work, ENVIRONMENT, "beta")
        renaming = begin(office.rename("acme", "beta"))
        await hand.blocks(renaming)
        await hand.connection.execute("commit" if kept else "rollback")
        if kept:
            with pytest.raises(Conflict, match="beta"):
                await renaming
        else:
            assert (await renaming).uid == "beta"


@pytest.mark.parametrize("uid", ["acme", "beta"])
async def test_who_makes_an_endpoint_meanwhile_waits_and_has_one_of_the_right_customer(
    office: Office, uid: str
) -> None:
    first = await office.here.endpoint("acme")
    async with office.stage.open() as hand:
        chance = ids.new(office.stage.now), ids.new(office.stage.now)
        renamed = await customers.rename_customer(hand.work, ENVIRONMENT, "acme", "beta", chance)
        making = begin(office.there.endpoint(uid))
        await hand.blocks(making)
        await hand.commit()
        made = await making

    # Who waits with the uid that the customer had until then has meant that customer.
    assert made.customer == "beta"
    assert (await office.here.storage.customer(ENVIRONMENT, "beta")).id == renamed.id
    listed = (await office.here.storage.endpoints(ENVIRONMENT, customer="beta")).items
    assert {one.id for one in listed} == {first.id, made.id}


async def test_a_customer_that_is_renamed_by_two_has_the_first_name(office: Office) -> None:
    await office.here.endpoint("acme")
    async with office.stage.open() as hand:
        chance = ids.new(office.stage.now), ids.new(office.stage.now)
        await customers.rename_customer(hand.work, ENVIRONMENT, "acme", "beta", chance)
        second = begin(office.rename("acme", "gamma"))
        await hand.blocks(second)
        await hand.commit()
        with pytest.raises(NotFound):
            await second

    assert await office.uids() == ["beta"]


async def test_two_that_want_each_others_names_are_refused_both_and_harm_nobody(office: Office) -> None:
    one, other = await office.here.endpoint("a"), await office.here.endpoint("b")
    storages = office.here.storage, office.there.storage

    for _ in range(5):
        results = await asyncio.gather(
            storages[0].rename_customer(ENVIRONMENT, "a", "b"),
            storages[1].rename_customer(ENVIRONMENT, "b", "a"),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [Conflict, Conflict]

    office.here.later(1)
    await office.here.send("a")
    assert await office.delivered() == [one.id]
    await office.here.send("b")
    assert await office.delivered() == [other.id]


# --- erasing


async def test_a_message_that_is_just_being_fanned_out_is_erased_behind_that(office: Office) -> None:
    endpoint = await office.here.endpoint("acme")
    office.here.later(1)
    message = await office.here.send("acme")
    worker = await office.here.worker()
    async with office.stage.open() as hand:
        await hand.run("select from anzol.accepted for update")
        erasing = begin(office.there.storage.erase_message(ENVIRONMENT, message))
        await hand.blocks(erasing)
        await hand.run("delete from anzol.accepted")
        await hand.run(
            "insert into anzol.pending (endpoint_id, message_id, due_at) values ($1, $2, 0)",
            raw(endpoint.id),
            raw(message),
        )
        await hand.run("update anzol.lane set turn_at = 0")
        await hand.commit()
        await erasing

    assert await office.here.states(message_id=message) == [State.CANCELLED]
    assert list((await worker.round()).claims) == []


async def test_who_sends_again_while_a_message_is_erased_waits_and_is_refused(office: Office) -> None:
    endpoint = await office.here.endpoint("acme")
    office.here.later(1)
    message = await office.here.send("acme")
    await office.delivered()
    async with office.stage.open() as hand:
        await erase.erase_message(hand.work, ENVIRONMENT, message)
        resending = begin(office.there.storage.resend(ENVIRONMENT, message, endpoint.id))
        await hand.blocks(resending)
        await hand.commit()
        with pytest.raises(Conflict, match="erased"):
            await resending


async def test_a_message_that_is_just_being_sent_again_is_erased_behind_that(office: Office) -> None:
    endpoint = await office.here.endpoint("acme")
    office.here.later(1)
    message = await office.here.send("acme")
    await office.delivered()
    async with office.stage.open() as hand:
        await recovery.resend(hand.work, ENVIRONMENT, message, endpoint.id)
        erasing = begin(office.there.storage.erase_message(ENVIRONMENT, message))
        await hand.blocks(erasing)
        await hand.commit()
        await erasing

    assert await office.here.states(message_id=message) == [State.CANCELLED]
    assert await office.delivered() == []
