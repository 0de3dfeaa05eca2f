"""The engines' SQL and the pure rule say the same of every endpoint and message."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anzol import ids
from anzol.lifecycle import Disabled
from anzol.subscription import MATCHED, Occurrence, Subscription, wants
from tests.contract.conftest import ENVIRONMENT, Scene, raw

# Words that would break a comparison by text: quotes, commas, brackets, SQL and JSON escapes.
WORDS = st.sampled_from(["a", "b", "a.b", "A", "é", 'a"', 'a","b', "a'", "%", "a\\", "[]", "", "\x1f", "0"])
WORDS_LIST = st.lists(WORDS, max_size=3, unique=True).map(tuple)


@dataclass(frozen=True, slots=True)
class Wanted:
    event_types: tuple[str, ...]
    channels: tuple[str, ...]
    fate: str


@dataclass(frozen=True, slots=True)
class Sent:
    event_type: str
    channels: tuple[str, ...]
    only: int | None


WANTED = st.builds(
    Wanted, WORDS_LIST, WORDS_LIST, st.sampled_from(["live", "live", "live", "disabled", "deleted", "later", "ahead"])
)
SENT = st.builds(Sent, WORDS, WORDS_LIST, st.one_of(st.none(), st.none(), st.integers(0, 3)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(endpoints=st.lists(WANTED, min_size=1, max_size=4), messages=st.lists(SENT, min_size=1, max_size=4))
async def test_fan_out_follows_the_rule(scene: Scene, endpoints: list[Wanted], messages: list[Sent]) -> None:
    customer = ids.new(scene.now).hex()
    made = [await register(scene, customer, wanted) for wanted in endpoints if wanted.fate != "later"]
    accepted = []
    for sent in messages:
        only = made[sent.only % len(made)].endpoint_id if sent.only is not None and made else None
        shown = await scene.send(customer, sent.event_type, channels=sent.channels, only_endpoint=only)
        accepted.append((shown, Occurrence(sent.event_type, scene.now, sent.channels, only)))
    scene.clock.advance(timedelta(milliseconds=1))
    made += [await register(scene, customer, wanted) for wanted in endpoints if wanted.fate == "later"]

    worker = await scene.worker()
    while (await worker.round(take=0, idle_lanes=False)).fanned_out:
        pass

    for shown, occurrence in accepted:
        got = {raw(one.endpoint_id) for one in await scene.deliveries(message_id=shown)}
        assert got == {one.endpoint_id for one in made if wants(one, occurrence, scene.now) == MATCHED}
        said = {raw(one.endpoint_id): one.reason for one in await scene.storage.matches(ENVIRONMENT, shown)}
        assert said == {one.endpoint_id: wants(one, occurrence, scene.now) for one in made}


async def test_a_clock_set_back_keeps_no_message_from_endpoints_that_were_there(scene: Scene) -> None:
    customer = ids.new(scene.now).hex()
    there = await scene.endpoint(customer)
    scene.clock.advance(timedelta(hours=-1))
    shown = await scene.send(customer)

    (claim,) = (await (await scene.worker()).round()).claims

    assert ids.show(ids.MESSAGE, claim.content.message_id) == shown
    assert [one.reason for one in await scene.storage.matches(ENVIRONMENT, shown)] == [MATCHED]
    assert claim.endpoint_id == raw(there.id)


async def register(scene: Scene, customer: str, wanted: Wanted) -> Subscription:
    ahead = timedelta(hours=wanted.fate == "ahead")
    scene.clock.advance(ahead)
    endpoint = await scene.endpoint(customer, event_types=wanted.event_types, channels=wanted.channels)
    created_at = scene.now
    scene.clock.advance(-ahead)
    if wanted.fate == "disabled":
        await scene.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_CUSTOMER)
    if wanted.fate == "deleted":
        await scene.storage.delete_endpoint(ENVIRONMENT, endpoint.id)
    return Subscription(
        raw(endpoint.id),
        wanted.event_types,
        wanted.channels,
        enabled=wanted.fate != "disabled",
        deleted=wanted.fate == "deleted",
        created_at=created_at,
    )
