"""Customers, endpoints, secrets: what people set."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from anzol import ids
from anzol.errors import Conflict, NotFound
from anzol.lifecycle import Disabled, State
from anzol.model import Endpoint
from anzol.storage.face import EndpointChanges, LaneHealth, Retention, Selection
from tests.contract.conftest import ENVIRONMENT, Scene, raw


async def test_an_endpoint_is_kept_as_it_was_given(scene: Scene) -> None:
    made = await scene.endpoint(
        uid="main",
        description="Their intake",
        event_types=("a", "b"),
        channels=("eu",),
        headers=(("x-api-key", "secret-value"),),
        throttle=5,
        fifo=True,
        contact="ops@acme.example",
        header_prefix="acme",
        schedule=(timedelta(seconds=3),),
        metadata={"team": "é"},
    )

    kept = await scene.storage.endpoint(ENVIRONMENT, made.id)

    assert kept == made
    assert (kept.uid, kept.customer, kept.description) == ("main", "acme", "Their intake")
    assert (kept.event_types, kept.channels, kept.headers) == (("a", "b"), ("eu",), ("x-api-key",))
    assert (kept.throttle, kept.fifo, kept.contact, kept.header_prefix) == (5, True, "ops@acme.example", "acme")
    assert (kept.schedule, kept.metadata) == ((timedelta(seconds=3),), {"team": "é"})
    assert (kept.enabled, kept.disabled_because, kept.paused) == (True, None, False)


async def test_only_what_is_given_is_changed(scene: Scene) -> None:
    made = await scene.endpoint(throttle=5, contact="a@b.example", event_types=("a",), headers=(("x-a", "1"),))
    scene.later(1)

    changed = await scene.storage.update_endpoint(
        ENVIRONMENT,
        made.id,
        EndpointChanges(throttle=None, channels=("eu",), headers=(("x-b", "2"),), metadata={"k": "v"}),
    )

    assert (changed.throttle, changed.channels, changed.headers, changed.metadata) == (
        None,
        ("eu",),
        ("x-b",),
        {"k": "v"},
    )
    assert (changed.contact, changed.event_types, changed.url) == ("a@b.example", ("a",), made.url)
    assert changed.updated_at - changed.created_at == timedelta(seconds=1)
    (profile,) = await scene.storage.profiles([raw(made.id)])
    assert profile.headers == (("x-b", "2"),)


async def test_a_uid_is_taken_once_for_each_customer(scene: Scene) -> None:
    first = await scene.endpoint(uid="main")
    await scene.endpoint("globex", uid="main")
    other = await scene.endpoint(uid="second")

    with pytest.raises(Conflict, match=first.id):
        await scene.endpoint(uid="main")
    with pytest.raises(Conflict):
        await scene.storage.update_endpoint(ENVIRONMENT, other.id, EndpointChanges(uid="main"))
    same = await scene.storage.update_endpoint(ENVIRONMENT, first.id, EndpointChanges(uid="main"))
    await scene.storage.delete_endpoint(ENVIRONMENT, first.id)
    again = await scene.endpoint(uid="main")

    assert (same.uid, again.uid) == ("main", "main")


async def test_a_refused_change_changes_nothing_and_spoils_no_neighbour(scene: Scene) -> None:
    await scene.endpoint(uid="main")

    answers = await asyncio.gather(
        scene.accept(),
        scene.endpoint("brand-new", uid="x"),
        scene.endpoint(uid="main"),
        scene.storage.delete_endpoint(ENVIRONMENT, ids.show(ids.ENDPOINT, ids.new(scene.now))),
        scene.accept(),
        return_exceptions=True,
    )

    kinds = [type(answer) for answer in answers]
    assert (kinds[1], kinds[2], kinds[3]) == (Endpoint, Conflict, NotFound)
    assert len((await scene.storage.messages(ENVIRONMENT, Selection())).items) == 2
    assert len((await scene.storage.endpoints(ENVIRONMENT)).items) == 2


async def test_what_is_of_another_environment_is_not_found(scene: Scene) -> None:
    made = await scene.endpoint()

    for call in (
        scene.storage.endpoint("sandbox", made.id),
        scene.storage.delete_endpoint("sandbox", made.id),
        scene.storage.secrets("sandbox", made.id),
        scene.storage.endpoint(ENVIRONMENT, "ep_nonsense"),
        scene.storage.customer("sandbox", "acme"),
    ):
        with pytest.raises(NotFound):
            await call


async def test_a_customer_is_made_by_its_endpoint_or_by_name(scene: Scene) -> None:
    await scene.endpoint("acme")
    put = await scene.storage.put_customer(ENVIRONMENT, "acme", name="Acme Ltd", metadata={"plan": "pro"})
    renamed = await scene.storage.put_customer(ENVIRONMENT, "acme", name="Acme")

    assert put.id == ids.show(ids.CUSTOMER, ids.derive(ENVIRONMENT, "acme"))
    assert (renamed.name, renamed.metadata, renamed.id) == ("Acme", {"plan": "pro"}, put.id)
    assert await scene.storage.customer(ENVIRONMENT, "acme") == renamed


async def test_a_disabled_endpoint_gets_nothing_new_and_keeps_what_waits(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    waiting = await scene.send()
    worker = await scene.worker()
    await worker.round(take=0, idle_lanes=False)

    await scene.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_CUSTOMER)
    await scene.send()
    during = await worker.round()
    (parked,) = await scene.deliveries()
    enabled = await scene.storage.enable_endpoint(ENVIRONMENT, endpoint.id)
    after = await worker.round()

    assert (during.claims, during.waiting, during.next_turn_at) == ([], False, None)
    assert (parked.message_id, parked.state, parked.parked) == (waiting, State.PENDING, "disabled")
    assert enabled.enabled
    assert [claim.content.message_id for claim in after.claims] == [raw(waiting)]


async def test_enabling_clears_failures_and_circuit(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    await worker.round()
    health = LaneHealth(raw(endpoint.id), 9, scene.now, scene.now + 5, 3, Disabled.FAILING)
    await scene.storage.settle(worker.me, [], [health])

    disabled = await scene.storage.endpoint(ENVIRONMENT, endpoint.id)
    enabled = await scene.storage.enable_endpoint(ENVIRONMENT, endpoint.id)

    assert (disabled.disabled_because, disabled.health.failures) == (Disabled.FAILING, 9)
    assert (enabled.disabled_because, enabled.health.failures, enabled.health.failing_since) == (None, 0, None)
    assert enabled.health.circuit_open_until is None


async def test_a_deleted_endpoint_is_gone_and_what_waited_is_cancelled(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    for _ in range(5):
        await scene.send()
    worker = await scene.worker()
    await worker.round(take=0, idle_lanes=False)

    await scene.storage.delete_endpoint(ENVIRONMENT, endpoint.id)
    await scene.send()
    found = await worker.round()
    pieces = []
    while piece := await scene.storage.clean(Retention(), limit=2):
        pieces.append(piece)

    assert found.claims == []
    assert max(pieces) <= 2
    assert await scene.states() == [State.CANCELLED] * 5
    with pytest.raises(NotFound):
        await scene.storage.endpoint(ENVIRONMENT, endpoint.id)
    assert (await scene.storage.endpoints(ENVIRONMENT)).items == ()


async def test_the_current_secret_comes_first_and_the_old_one_signs_on_for_a_while(scene: Scene) -> None:
    endpoint = await scene.endpoint(secret="whsec_one")
    scene.later(1)

    rotated = await scene.storage.rotate_secret(ENVIRONMENT, endpoint.id, "whsec_two", keep_old=timedelta(hours=24))
    (during,) = await scene.storage.profiles([raw(endpoint.id)])
    scene.later(24 * 3600)
    (after,) = await scene.storage.profiles([raw(endpoint.id)])

    assert [one.value for one in rotated] == ["whsec_two", "whsec_one"]
    assert (rotated[0].expires_at, rotated[1].expires_at is None) == (None, False)
    assert during.secrets == ("whsec_two", "whsec_one")
    assert during.secrets_change_at == scene.now
    assert (after.secrets, after.secrets_change_at) == (("whsec_two",), None)
    assert [one.value for one in await scene.storage.secrets(ENVIRONMENT, endpoint.id)] == ["whsec_two"]


async def test_rotation_ends_at_the_most_that_may_live(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    keep = timedelta(hours=24)
    for number in range(2):
        await scene.storage.rotate_secret(ENVIRONMENT, endpoint.id, f"whsec_{number}", keep_old=keep, most=3)

    with pytest.raises(Conflict):
        await scene.storage.rotate_secret(ENVIRONMENT, endpoint.id, "whsec_more", keep_old=keep, most=3)
    at_once = await scene.storage.rotate_secret(ENVIRONMENT, endpoint.id, "whsec_x", keep_old=timedelta(0), most=4)

    assert [one.value for one in at_once] == ["whsec_x"]


async def test_a_rotated_secret_reaches_the_holder_of_the_lane(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    await scene.send()
    worker = await scene.worker()
    await worker.round()

    await scene.storage.rotate_secret(ENVIRONMENT, endpoint.id, "whsec_two", keep_old=timedelta(0))
    (profile,) = (await worker.round(look=())).profiles

    assert profile.secrets == ("whsec_two",)


async def test_a_deleted_customer_leaves_nothing(scene: Scene) -> None:
    endpoint = await scene.endpoint()
    await scene.endpoint("globex")
    delivered = await scene.send(key="k")
    worker = await scene.worker()
    await worker.settle((await worker.round()).claims)
    await scene.send()
    await worker.round(room=0)
    await scene.send()
    other = await scene.send("globex")

    await scene.storage.delete_customer(ENVIRONMENT, "acme")
    found = await worker.round()

    assert {claim.content.message_id for claim in found.claims} == {raw(other)}
    assert {one.id for one in (await scene.storage.messages(ENVIRONMENT, Selection())).items} == {other}
    assert (await scene.storage.attempts(ENVIRONMENT, Selection())).items == ()
    for call in (
        scene.storage.customer(ENVIRONMENT, "acme"),
        scene.storage.endpoint(ENVIRONMENT, endpoint.id),
        scene.storage.message(ENVIRONMENT, delivered),
        scene.storage.delete_customer(ENVIRONMENT, "acme"),
    ):
        with pytest.raises(NotFound):
            await call


async def test_a_customer_deleted_while_something_is_in_flight_is_erased_after_it(scene: Scene) -> None:
    await scene.endpoint()
    shown = await scene.send()
    worker = await scene.worker()
    claims = (await worker.round()).claims

    await scene.storage.delete_customer(ENVIRONMENT, "acme")
    during = await scene.storage.message(ENVIRONMENT, shown)
    fenced = await worker.settle(claims)
    while await scene.storage.clean(Retention(), limit=50):
        pass

    assert during.id == shown
    assert list(fenced) == []
    with pytest.raises(NotFound):
        await scene.storage.message(ENVIRONMENT, shown)


async def test_a_customer_deleted_and_used_again_starts_anew(scene: Scene) -> None:
    await scene.endpoint()
    await scene.send(key="k")
    await scene.storage.delete_customer(ENVIRONMENT, "acme")

    again = await scene.accept(key="k")
    endpoint = await scene.endpoint()
    later = await scene.send()
    found = await (await scene.worker()).round()

    assert not again.duplicate
    assert {claim.endpoint_id for claim in found.claims} == {raw(endpoint.id)}
    assert raw(later) in {claim.content.message_id for claim in found.claims}
    assert (await scene.storage.customer(ENVIRONMENT, "acme")).uid == "acme"


async def test_outbox_sources_are_remembered_once(scene: Scene) -> None:
    for url in ("postgresql://u:secret@db/app", "sqlite:///app.db", "postgresql://u:secret@db/app"):
        await scene.storage.add_outbox_source(url)

    assert list(await scene.storage.outbox_sources()) == ["postgresql://u:secret@db/app", "sqlite:///app.db"]
