"""What people set, on several connections at once: one side's transaction is held open, the other is seen to wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from anzol import ids
from anzol.clock import OwnedClock
from anzol.errors import Conflict, InvalidValue, NotFound
from anzol.lifecycle import Cause, Disabled, State
from anzol.storage import pages
from anzol.storage.books import EventTypeChanges
from anzol.storage.face import EndpointChanges, NewEndpoint, Retention, Selection
from anzol.storage.postgres import clean, customers, fanout, recovery, register, registering
from tests.contract.conftest import ENVIRONMENT, Scene, Worker, beside, raw
from tests.storage.stage import LONG, TERM, Stage, begin

NUL = "a\0b"
NOTHING: dict[str, Any] = {"customer": None, "event_type": None, "endpoint_id": None}


@dataclass(slots=True)
class Office:
    """Two processes on one database, and hands beside them."""

    stage: Stage
    here: Scene
    there: Scene

    async def waiting(self, count: int) -> None:
        """Wait until so many transactions wait for locks."""
        asked = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
        async with asyncio.timeout(LONG):
            while len(await self.stage.connection.fetch(asked)) != count:
                await asyncio.sleep(0.005)

    async def undelivered(self, scene: Scene, worker: Worker, count: int) -> list[str]:
        """Send messages, and have each given up on."""
        sent = [await scene.send() for _ in range(count)]
        await worker.settle((await worker.round(room=count)).claims, cause=Cause.GAVE_UP)
        return sent

    async def paused(self) -> list[bool]:
        return [row[0] for row in await self.stage.ask("select paused from anzol.pending order by id")]


@pytest.fixture
async def office(stage: Stage) -> AsyncIterator[Office]:
    assert isinstance(stage.clock, OwnedClock)
    here = Scene(stage.storage, stage.clock)
    async with beside(here) as there:
        yield Office(stage, here, there)


def new_endpoint(**fields: Any) -> NewEndpoint:
    known = {"customer": "acme", "url": "https://acme.example/in", "secret": "whsec_" + "a" * 32}
    return NewEndpoint(**(known | fields))


# --- customers


async def test_a_new_customer_that_many_use_at_once_is_made_once(office: Office) -> None:
    one, other = office.here, office.there

    await asyncio.gather(
        *(scene.storage.put_customer(ENVIRONMENT, "acme", name="Acme") for scene in (one, other) * 5),
        *(scene.endpoint(uid=str(number)) for number, scene in enumerate((one, other) * 5)),
        *(scene.storage.pause(ENVIRONMENT, **(NOTHING | {"customer": "acme"}), actor="me") for scene in (one, other)),
    )

    assert [found.uid for found in (await one.storage.customers(ENVIRONMENT)).items] == ["acme"]
    assert [found.paused for found in (await one.storage.endpoints(ENVIRONMENT)).items] == [True] * 10


@pytest.mark.parametrize("kept", [True, False], ids=["committed", "taken back"])
async def test_a_customer_that_is_just_being_made_is_waited_for(office: Office, kept: bool) -> None:
    async with office.stage.open() as hand:
        await register.make_customer(hand.work, ENVIRONMENT, "acme")
        making = begin(office.there.endpoint())
        await hand.blocks(making)
        await hand.connection.execute("commit" if kept else "rollback")

        assert (await making).customer == "acme"


async def test_an_endpoint_made_while_its_customer_is_deleted_is_of_a_new_customer(office: Office) -> None:
    first = await office.here.endpoint()
    async with office.stage.open() as hand:
        await customers.delete_customer(hand.work, ENVIRONMENT, "acme")
        making = begin(office.there.endpoint())
        await hand.blocks(making)
        await hand.commit()
        made = await making

    assert (await office.here.storage.customer(ENVIRONMENT, "acme")).uid == "acme"
    assert [one.id for one in (await office.here.storage.endpoints(ENVIRONMENT)).items] == [made.id]
    assert made.id != first.id


async def test_a_customer_deleted_while_an_endpoint_of_it_is_made_is_deleted_with_that(office: Office) -> None:
    await office.here.endpoint()
    async with office.stage.open() as hand:
        endpoint_id = ids.new(office.stage.now)
        made = await register.create_endpoint(hand.work, ENVIRONMENT, new_endpoint(), endpoint_id)
        deleting = begin(office.there.storage.delete_customer(ENVIRONMENT, "acme"))
        await hand.blocks(deleting)
        await hand.commit()
        await deleting

    for call in (office.here.storage.endpoint(ENVIRONMENT, made.id), office.here.storage.customer(ENVIRONMENT, "acme")):
        with pytest.raises(NotFound):
            await call


# --- uids


@pytest.mark.parametrize("kept", [True, False], ids=["committed", "taken back"])
async def test_of_two_endpoints_made_with_one_uid_the_second_waits_for_the_first(office: Office, kept: bool) -> None:
    await office.here.storage.put_customer(ENVIRONMENT, "acme")
    async with office.stage.open() as hand:
        first = ids.new(office.stage.now)
        await register.create_endpoint(hand.work, ENVIRONMENT, new_endpoint(uid="main"), first)
        making = begin(office.there.endpoint(uid="main"))
        await hand.blocks(making)
        await hand.connection.execute("commit" if kept else "rollback")
        if kept:
            with pytest.raises(Conflict, match=ids.show(ids.ENDPOINT, first)):
                await making
        else:
            assert (await making).uid == "main"


@pytest.mark.parametrize("first", ["changed", "made"])
async def test_a_uid_given_by_a_change_is_taken_once(office: Office, first: str) -> None:
    known = await office.here.endpoint()
    changes = EndpointChanges(uid="main")
    async with office.stage.open() as hand:
        if first == "changed":
            await register.update_endpoint(hand.work, ENVIRONMENT, known.id, changes)
            second = begin(office.there.endpoint(uid="main"))
        else:
            made = ids.new(office.stage.now)
            await register.create_endpoint(hand.work, ENVIRONMENT, new_endpoint(uid="main"), made)
            second = begin(office.there.storage.update_endpoint(ENVIRONMENT, known.id, changes))
        await hand.blocks(second)
        await hand.commit()

        with pytest.raises(Conflict):
            await second


async def test_a_uid_is_free_when_the_endpoint_that_has_it_is_being_deleted(office: Office) -> None:
    known = await office.here.endpoint(uid="main")
    async with office.stage.open() as hand:
        await register.delete_endpoint(hand.work, ENVIRONMENT, known.id)
        making = begin(office.there.endpoint(uid="main"))
        await hand.blocks(making)
        await hand.commit()

        assert (await making).uid == "main"


# --- endpoints


async def test_changes_of_one_endpoint_come_one_after_another(office: Office) -> None:
    known = await office.here.endpoint()
    async with office.stage.open() as hand:
        await register.delete_endpoint(hand.work, ENVIRONMENT, known.id)
        changing = begin(office.there.storage.enable_endpoint(ENVIRONMENT, known.id))
        await hand.blocks(changing)
        await hand.commit()

        with pytest.raises(NotFound):
            await changing


async def test_an_endpoint_made_while_everything_is_being_paused_is_paused(office: Office) -> None:
    async with office.stage.open() as hand:
        await recovery.pause(hand.work, ENVIRONMENT, None, None, None, "me")
        making = begin(office.there.endpoint())
        await hand.blocks(making)
        await hand.commit()

        assert (await making).paused


async def test_a_pause_waits_for_an_endpoint_that_is_being_made(office: Office) -> None:
    async with office.stage.open() as hand:
        made = ids.new(office.stage.now)
        await register.create_endpoint(hand.work, ENVIRONMENT, new_endpoint(), made)
        pausing = begin(office.there.storage.pause(ENVIRONMENT, **NOTHING, actor="me"))
        await hand.blocks(pausing)
        await hand.commit()
        await pausing

    assert (await office.here.storage.endpoint(ENVIRONMENT, ids.show(ids.ENDPOINT, made))).paused


async def test_rotations_at_the_same_time_all_leave_their_secret(office: Office) -> None:
    endpoint = await office.here.endpoint(secret="whsec_0")
    office.here.later(1)

    await asyncio.gather(
        *(
            scene.storage.rotate_secret(ENVIRONMENT, endpoint.id, f"whsec_{number}", keep_old=TERM)
            for number, scene in enumerate((office.here, office.there) * 3, start=1)
        )
    )

    secrets = await office.here.storage.secrets(ENVIRONMENT, endpoint.id)
    assert {one.value for one in secrets} == {f"whsec_{number}" for number in range(7)}
    assert [one.expires_at is None for one in secrets] == [True] + [False] * 6


# --- resend and recover


@pytest.mark.parametrize("page", [1000, 1], ids=["whole", "to the tail"])
async def test_a_resend_waits_for_a_fan_out_and_makes_nothing_twice(
    office: Office, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(fanout, "PAGE", page)
    monkeypatch.setattr(pages, "PAGE", page)
    first, second = sorted([(await office.here.endpoint()).id for _ in range(2)], key=raw)
    sent = await office.here.send()
    worker = await office.there.worker()
    async with office.stage.open() as hand:
        await hand.run("select from anzol.lane where endpoint_id = $1 for update", raw(first))
        fanning = begin(worker.round(take=0, idle_lanes=False))
        await hand.blocks(fanning)
        resending = begin(office.here.storage.resend(ENVIRONMENT, sent, second))
        await office.waiting(2)
        await hand.commit()
        await asyncio.gather(fanning, resending)
    while (await worker.round(take=0, idle_lanes=False)).fanned_out:
        pass

    assert await office.stage.ask("select count(*) from anzol.pending group by endpoint_id") == [(1,), (1,)]


async def test_of_two_that_resend_the_same_one_makes_it_pending(office: Office) -> None:
    endpoint = await office.here.endpoint()
    worker = await office.here.worker()
    (sent,) = await office.undelivered(office.here, worker, 1)
    async with office.stage.open() as hand:
        await recovery.resend(hand.work, ENVIRONMENT, sent, endpoint.id)
        resending = begin(office.there.storage.resend(ENVIRONMENT, sent, endpoint.id))
        await hand.blocks(resending)
        await hand.commit()

        assert (await resending).attempts == 1

    assert [row[2] for row in await office.stage.pending()] == [1]


async def test_what_two_recover_at_once_is_sent_once_more_each(office: Office) -> None:
    for _ in range(3):
        await office.here.endpoint()
    worker = await office.here.worker()
    sent = [await office.here.send() for _ in range(20)]
    await worker.settle((await worker.round(room=100)).claims, cause=Cause.GAVE_UP)

    async def everything(scene: Scene) -> int:
        changed, after = 0, None
        while True:
            page = await scene.storage.recover(ENVIRONMENT, Selection(), after=after, limit=7)
            changed, after = changed + page.changed, page.next
            if after is None:
                return changed

    found = await asyncio.gather(everything(office.here), everything(office.there))

    assert sum(found) == len(await office.here.deliveries(states=(State.PENDING,))) == 3 * len(sent)


async def test_what_is_claimed_while_it_is_cancelled_is_left(office: Office) -> None:
    await office.here.endpoint()
    worker = await office.here.worker()
    await office.here.send()
    (claim,) = (await worker.round()).claims
    await office.here.storage.settle(worker.me, [office.here.failed(claim)])
    async with office.stage.open() as hand:
        await hand.run("update anzol.pending set holder = $1 where id = $2", worker.me, claim.id)
        cancelling = begin(office.there.storage.cancel(ENVIRONMENT, Selection(), after=None, limit=5))
        await hand.blocks(cancelling)
        await hand.commit()

        assert (await cancelling).changed == 0

    assert await office.here.states() == [State.PENDING]


# --- what is erased


async def test_a_message_that_is_being_erased_is_not_sent_again(office: Office) -> None:
    endpoint = await office.here.endpoint()
    worker = await office.here.worker()
    (sent,) = await office.undelivered(office.here, worker, 1)
    async with office.stage.open() as hand:
        await clean.remove(hand.work, [raw(sent)], 100)
        resending = begin(office.there.storage.resend(ENVIRONMENT, sent, endpoint.id))
        await hand.blocks(resending)
        await hand.commit()

        with pytest.raises(NotFound):
            await resending


async def test_a_message_that_is_just_sent_again_is_not_removed(office: Office) -> None:
    endpoint = await office.here.endpoint()
    worker = await office.here.worker()
    (sent,) = await office.undelivered(office.here, worker, 1)
    office.here.later(31 * 24 * 3600)
    retention = Retention(attempts=timedelta(days=90))
    async with office.stage.open() as hand:
        await recovery.resend(hand.work, ENVIRONMENT, sent, endpoint.id)
        during = await office.there.storage.clean(retention, limit=50)
        await hand.commit()
    after = await office.there.storage.clean(retention, limit=50)

    assert (during, after) == (0, 0)
    assert await office.here.states(message_id=sent) == [State.PENDING]


async def test_a_message_sent_again_between_the_look_and_the_lock_is_not_removed(office: Office) -> None:
    endpoint = await office.here.endpoint()
    worker = await office.here.worker()
    (sent,) = await office.undelivered(office.here, worker, 1)
    async with office.stage.open() as hand:
        chosen = await hand.work.column("messages_done", messages=[raw(sent)], most=5)
        await office.there.storage.resend(ENVIRONMENT, sent, endpoint.id)
        removed = await clean.remove(hand.work, chosen, 100)
        await hand.commit()

    assert (chosen, removed) == ([raw(sent)], 0)
    assert await office.here.states(message_id=sent) == [State.PENDING]


async def test_of_two_that_clean_one_has_its_turn(office: Office) -> None:
    await office.here.send(key="k")
    office.here.later(31 * 24 * 3600)
    async with office.stage.open() as hand:
        await clean.clean(hand.work, Retention(), 1, clean.Sweep())
        during = await office.there.storage.clean(Retention(), limit=50)
        await hand.connection.execute("rollback")

    assert (during, await office.there.storage.clean(Retention(), limit=50)) == (0, 1)


# --- rules that hold back an event type


@pytest.fixture
async def crowd(office: Office) -> Worker:
    """Five deliveries wait in three lanes, one of them of another event type."""
    for _ in range(2):
        await office.here.endpoint(event_types=("bad",))
    await office.here.endpoint(event_types=("good",))
    for event_type in ("bad", "good", "bad"):
        await office.here.send(event_type=event_type)
    worker = await office.here.worker()
    await worker.round(take=0, idle_lanes=False)
    return worker


@pytest.mark.parametrize("part", ["everything", "customer"])
async def test_what_waits_is_held_back_page_by_page(
    office: Office, crowd: Worker, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(registering, "JUDGED", 2)
    parts = NOTHING | {"event_type": "bad"} | ({"customer": "acme"} if part == "customer" else {})

    await office.here.storage.pause(ENVIRONMENT, **parts, actor="me")
    held = await office.paused()
    during = await crowd.round()
    resumed = await office.there.storage.resume(ENVIRONMENT, **parts)
    after = await crowd.round()

    assert sorted(held) == [False] + [True] * 4
    assert ([claim.content.event_type for claim in during.claims], resumed) == (["good"], 1)
    assert [claim.content.event_type for claim in after.claims] == ["bad"] * 4
    assert await office.stage.ask("select id from anzol.judging") == []


async def test_what_a_crash_has_left_unjudged_is_judged_by_housekeeping(office: Office, crowd: Worker) -> None:
    rule, judging = await office.stage.storage.change(recovery.pause, ENVIRONMENT, None, "bad", None, "me")
    assert judging is not None
    await office.stage.storage.change(recovery.judge, judging, 2)
    halfway = await office.paused()
    intact = await office.here.storage.broken()
    while await office.there.storage.clean(Retention(), limit=2):
        pass

    assert (sorted(halfway), intact) == ([False] * 3 + [True] * 2, ())
    assert sorted(await office.paused()) == [False] + [True] * 4
    assert [one.id for one in await office.there.storage.pause_rules(ENVIRONMENT)] == [rule.id]
    assert crowd.lanes == set()


async def test_a_rule_taken_back_while_it_is_applied_holds_nothing_back(office: Office, crowd: Worker) -> None:
    _, judging = await office.stage.storage.change(recovery.pause, ENVIRONMENT, None, "bad", None, "me")
    assert judging is not None
    await office.stage.storage.change(recovery.judge, judging, 2)

    await office.there.storage.resume(ENVIRONMENT, **(NOTHING | {"event_type": "bad"}))
    while await office.stage.storage.change(recovery.judge, judging, 2):
        pass

    assert await office.paused() == [False] * 5
    assert len((await crowd.round()).claims) == 5


async def test_who_judges_page_by_page_lets_a_new_rule_wait_for_his_page_only(office: Office, crowd: Worker) -> None:
    _, judging = await office.stage.storage.change(recovery.pause, ENVIRONMENT, None, "bad", None, "me")
    assert judging is not None
    async with office.stage.open() as hand:
        await recovery.judge(hand.work, judging, 2)
        resuming = begin(office.there.storage.resume(ENVIRONMENT, **(NOTHING | {"event_type": "bad"})))
        await hand.blocks(resuming)
        await hand.commit()

        assert await resuming == 1

    assert await office.paused() == [False] * 5
    assert crowd.lanes == set()


# --- texts


@pytest.mark.parametrize("field", ["uid", "url", "description", "contact", "header_prefix", "event_types", "channels"])
async def test_what_postgresql_cannot_store_of_an_endpoint_is_refused(office: Office, field: str) -> None:
    known = await office.here.endpoint()
    given: dict[str, Any] = {field: (NUL,) if field in {"event_types", "channels"} else NUL}

    with pytest.raises(InvalidValue) as made:
        await office.here.endpoint(**given)
    with pytest.raises(InvalidValue) as changed:
        await office.here.storage.update_endpoint(ENVIRONMENT, known.id, EndpointChanges(**given))

    assert (made.value.field, changed.value.field) == (field, field)


async def test_what_postgresql_cannot_store_is_refused_wherever_it_is_given(office: Office) -> None:
    storage = office.here.storage
    for call in (
        storage.put_customer(ENVIRONMENT, NUL),
        storage.put_customer(ENVIRONMENT, "acme", name=NUL),
        storage.delete_customer(ENVIRONMENT, NUL),
        storage.create_customer(ENVIRONMENT, NUL, name="", metadata={}, throttle=None),
        storage.rename_customer(ENVIRONMENT, "acme", NUL),
        storage.create_event_type(ENVIRONMENT, NUL, EventTypeChanges()),
        storage.put_event_type(ENVIRONMENT, "a", EventTypeChanges(feature_flags=(NUL,)), make=True),
        storage.event_type(ENVIRONMENT, NUL),
        storage.event_types(ENVIRONMENT, after=NUL),
        storage.audits(ENVIRONMENT, actor=NUL),
        storage.note(ENVIRONMENT, "act", NUL),
        storage.customer(ENVIRONMENT, NUL),
        storage.endpoints(ENVIRONMENT, customer=NUL),
        storage.pause(ENVIRONMENT, **(NOTHING | {"event_type": NUL}), actor="me"),
        storage.pause(ENVIRONMENT, **NOTHING, actor=NUL),
        storage.resume(ENVIRONMENT, **(NOTHING | {"customer": NUL})),
        storage.sync_event_types(ENVIRONMENT, [("a", NUL, {})]),
        storage.messages(ENVIRONMENT, Selection(tag=NUL)),
        storage.deliveries(ENVIRONMENT, Selection(event_types=(NUL,))),
        storage.cancel(ENVIRONMENT, Selection(customer=NUL), after=None, limit=5),
    ):
        with pytest.raises(InvalidValue):
            await call


async def test_metadata_may_hold_what_json_may(office: Office) -> None:
    given = {"key \0": "value \0 é \ud800"}

    put = await office.here.storage.put_customer(ENVIRONMENT, "acme", metadata=given)
    endpoint = await office.here.endpoint(metadata=given)

    assert (put.metadata, endpoint.metadata) == (given, given)


async def test_disabling_while_a_lane_is_held_tells_its_holder(office: Office) -> None:
    endpoint = await office.here.endpoint()
    worker = await office.here.worker()
    await office.here.send()
    await worker.round()

    await office.there.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_OPERATOR)

    assert [profile.active for profile in (await worker.round()).profiles] == [False]
