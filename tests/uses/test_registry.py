"""Customers, endpoints and the history: every value judged, every list paged."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from anzol import (
    AddressRefused,
    Conflict,
    Disabled,
    InvalidCustomer,
    InvalidHeader,
    InvalidValue,
    NotFound,
    State,
    Webhooks,
)
from anzol.model import UNSET
from tests.uses.conftest import Shop

URL = "http://127.0.0.1:8999/in"


@pytest.fixture
def webhooks(shop: Shop) -> Webhooks:
    return shop.webhooks


# --- endpoints ------------------------------------------------------------------------------------------------------


async def test_an_endpoint_is_registered_with_all_that_is_said(shop: Shop) -> None:
    schedule = (timedelta(0), timedelta(minutes=1))
    made = await shop.webhooks.endpoints.create(
        5,
        url=URL,
        event_types=["stopped", shop.new_subscription],
        channels=["eu"],
        headers={"Authorization": "Bearer canary"},
        description="The main one",
        throttle=20,
        fifo=True,
        contact="ops@example.com",
        schedule=schedule,
        metadata={"plan": "pro"},
        uid="main",
        header_prefix="svix-",
    )

    kept = await shop.webhooks.endpoints.get(made.id)
    assert kept == made
    assert (kept.customer, kept.url, kept.uid) == ("5", URL, "main")
    assert set(kept.event_types) == {"stopped", "new-subscription"}
    assert (kept.channels, kept.headers, kept.header_prefix) == (("eu",), ("authorization",), "svix-")
    assert (kept.throttle, kept.fifo, kept.contact, kept.schedule) == (20, True, "ops@example.com", schedule)
    assert (kept.description, dict(kept.metadata), kept.enabled) == ("The main one", {"plan": "pro"}, True)
    assert "canary" not in repr(kept)


async def test_a_secret_is_made_and_can_be_shown(webhooks: Webhooks) -> None:
    endpoint = await webhooks.endpoints.create("acme", url=URL)

    secret = await webhooks.endpoints.secret(endpoint.id)

    assert secret.startswith("whsec_")
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32


async def test_a_secret_can_be_brought_along(webhooks: Webhooks) -> None:
    own = "whsec_" + base64.b64encode(bytes(range(24))).decode()

    endpoint = await webhooks.endpoints.create("acme", url=URL, secret=own)

    assert await webhooks.endpoints.secret(endpoint.id) == own


async def test_a_rotated_secret_signs_beside_the_old_one(webhooks: Webhooks) -> None:
    endpoint = await webhooks.endpoints.create("acme", url=URL)
    old = await webhooks.endpoints.secret(endpoint.id)

    live = await webhooks.endpoints.rotate_secret(endpoint.id, keep_old=timedelta(hours=1))

    assert [secret.value for secret in live][1:] == [old]
    assert live[0].expires_at is None
    ends = live[1].expires_at
    assert ends is not None
    assert timedelta(minutes=59) < ends - datetime.now(UTC) <= timedelta(hours=1)
    assert await webhooks.endpoints.secret(endpoint.id) == live[0].value


async def test_an_update_changes_what_is_given_and_nothing_else(webhooks: Webhooks) -> None:
    endpoint = await webhooks.endpoints.create("acme", url=URL, throttle=5, contact="a@b", description="x")

    changed = await webhooks.endpoints.update(endpoint.id, throttle=None, description="y")

    assert (changed.throttle, changed.description) == (None, "y")
    assert (changed.contact, changed.url) == ("a@b", URL)


async def test_an_endpoint_is_disabled_enabled_and_deleted(webhooks: Webhooks) -> None:
    endpoint = await webhooks.endpoints.create("acme", url=URL)

    disabled = await webhooks.endpoints.disable(endpoint.id)
    enabled = await webhooks.endpoints.enable(endpoint.id)
    await webhooks.endpoints.delete(endpoint.id)

    assert (disabled.enabled, disabled.disabled_because) == (False, Disabled.BY_OPERATOR)
    assert (enabled.enabled, enabled.disabled_because) == (True, None)
    with pytest.raises(NotFound):
        await webhooks.endpoints.get(endpoint.id)


@pytest.mark.parametrize(
    ("said", "error", "field", "reason"),
    [
        ({"url": "ftp://example.com"}, AddressRefused, "url", "https or http"),
        ({"url": "http://10.0.0.1/"}, AddressRefused, "url", "private"),
        ({"url": "http://[::ffff:10.0.0.1]/"}, AddressRefused, "url", "embedded"),
        ({"url": "http://user:pw@example.com"}, AddressRefused, "url", "no user"),
        ({"url": "https://example.com:22/"}, AddressRefused, "url", "Port 22"),
        ({"url": "https://example.com/\0"}, InvalidValue, "url", "cannot be stored"),
        ({"url": 5}, InvalidValue, "url", "is a text"),
        ({"event_types": ["new_subscription"]}, InvalidValue, "event_types", "Did you mean 'new-subscription'"),
        ({"event_types": "stopped"}, InvalidValue, "event_types", "list of names"),
        ({"channels": "eu"}, InvalidValue, "channels", "list of texts"),
        ({"headers": {"Host": "x"}}, InvalidHeader, "headers.Host", "set by the sender"),
        ({"headers": {"X-A": "a\r\nb: c"}}, InvalidHeader, "headers.X-A", "line breaks"),
        ({"header_prefix": "webhook-"}, InvalidHeader, "header_prefix", "not a prefix"),
        ({"throttle": 0}, InvalidValue, "throttle", "1 to"),
        ({"throttle": True}, InvalidValue, "throttle", "whole number"),
        ({"description": "x" * 5000}, InvalidValue, "description", "4096"),
        ({"contact": "\ud800"}, InvalidValue, "contact", "cannot be stored"),
        ({"schedule": []}, InvalidValue, "schedule", "1 to 50"),
        ({"schedule": [timedelta(days=8)]}, InvalidValue, "schedule", "7 days"),
        ({"schedule": [5]}, InvalidValue, "schedule", "timedelta"),
        ({"secret": "hunter2"}, InvalidValue, "secret", "not a signing secret"),
        ({"uid": "ep_mine"}, InvalidValue, "uid", "not a uid"),
        ({"metadata": {"a": 5}}, InvalidValue, "metadata.a", "is a text"),
        ({"metadata": [("a", "b")]}, InvalidValue, "metadata", "a dict of texts, not a list"),
        ({"event_types": None}, InvalidValue, "event_types", "list of names"),
        ({"channels": None}, InvalidValue, "channels", "not None"),
        ({"headers": "X-A: b"}, InvalidHeader, "headers", "a dict"),
        ({"headers": 5}, InvalidHeader, "headers", "a dict"),
        ({"header_prefix": 5}, InvalidHeader, "header_prefix", "not a prefix"),
        ({"fifo": "no"}, InvalidValue, "fifo", "True or False"),
        ({"enabled": "no"}, InvalidValue, "enabled", "True or False"),
        ({"schedule": timedelta(1)}, InvalidValue, "schedule", "list of delays"),
        ({"secret": b"whsec_"}, InvalidValue, "secret", "not a bytes"),
    ],
)
async def test_a_value_that_does_not_fit_is_refused_by_name(
    webhooks: Webhooks, said: dict[str, Any], error: type[InvalidValue], field: str, reason: str
) -> None:
    with pytest.raises(error, match=reason) as caught:
        await webhooks.endpoints.create("acme", **({"url": URL} | said))

    assert caught.value.field == field
    assert (await webhooks.endpoints.list()).items == ()


async def test_an_update_is_judged_as_a_registration_is(webhooks: Webhooks) -> None:
    endpoint = await webhooks.endpoints.create("acme", url=URL)

    for said in (
        {"url": "http://10.0.0.1/"},
        {"event_types": ["nonsense"]},
        {"headers": {"host": "x"}},
        {"uid": ""},
        {"fifo": 1},
    ):
        with pytest.raises(InvalidValue):
            await webhooks.endpoints.update(endpoint.id, **said)  # type: ignore[arg-type]  # one of several kinds

    assert await webhooks.endpoints.get(endpoint.id) == endpoint


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"header_prefix": "svix-"}, {"headers": {"svix-signature": "mine"}}),
        ({"headers": {"svix-signature": "mine"}}, {"header_prefix": "svix-"}),
    ],
)
async def test_a_copy_of_a_signed_header_is_not_set_beside_it_by_an_update(
    webhooks: Webhooks, before: dict[str, Any], after: dict[str, Any]
) -> None:
    endpoint = await webhooks.endpoints.create("acme", url=URL, **before)

    with pytest.raises(InvalidHeader, match="own copy"):
        await webhooks.endpoints.update(endpoint.id, **after)
    await webhooks.endpoints.update(endpoint.id, description="changed", header_prefix=None)

    assert (await webhooks.endpoints.get(endpoint.id)).description == "changed"


async def test_loopback_is_refused_unless_it_is_allowed(webhooks: Webhooks) -> None:
    webhooks.core._settings = webhooks.settings.model_copy(update={"allow_networks": ()})

    for url in (URL, "http://localhost:8999/", "http://[::1]:8999/"):
        with pytest.raises(AddressRefused):
            await webhooks.endpoints.create("acme", url=url)


async def test_a_name_that_does_not_resolve_yet_may_be_registered(webhooks: Webhooks) -> None:
    endpoint = await webhooks.endpoints.create("acme", url="https://not-there-yet.invalid/in")

    assert endpoint.url == "https://not-there-yet.invalid/in"


async def test_a_uid_is_unique_for_its_customer(webhooks: Webhooks) -> None:
    await webhooks.endpoints.create("acme", url=URL, uid="main")

    with pytest.raises(Conflict):
        await webhooks.endpoints.create("acme", url=URL, uid="main")
    await webhooks.endpoints.create("other", url=URL, uid="main")


@pytest.mark.parametrize("act", ["get", "delete", "enable", "disable", "secret", "secrets", "rotate_secret", "update"])
async def test_an_endpoint_that_is_not_there_is_not_found(webhooks: Webhooks, act: str) -> None:
    with pytest.raises(NotFound):
        await getattr(webhooks.endpoints, act)("ep_0000000000000000000000")


@pytest.mark.parametrize("endpoint_id", [None, 5, "", "nonsense", "msg_0000000000000000000000"])
async def test_what_is_no_id_names_no_endpoint(webhooks: Webhooks, endpoint_id: Any) -> None:
    with pytest.raises(NotFound, match="There is no endpoint"):
        await webhooks.endpoints.get(endpoint_id)


@pytest.mark.parametrize("keep_old", [timedelta(seconds=-1), timedelta(days=8), 5])
async def test_old_secrets_are_kept_for_a_week_at_most(webhooks: Webhooks, keep_old: Any) -> None:
    endpoint = await webhooks.endpoints.create("acme", url=URL)

    with pytest.raises(InvalidValue):
        await webhooks.endpoints.rotate_secret(endpoint.id, keep_old=keep_old)


async def test_endpoints_are_listed_in_pages_newest_first(webhooks: Webhooks) -> None:
    made = [await webhooks.endpoints.create(f"c{number % 2}", url=URL) for number in range(5)]

    first = await webhooks.endpoints.list(limit=3)
    second = await webhooks.endpoints.list(limit=3, after=first.next)
    mine = [endpoint.id async for endpoint in webhooks.endpoints.all("c0")]

    assert [endpoint.id for endpoint in first.items + second.items] == [endpoint.id for endpoint in reversed(made)]
    assert second.next is None
    assert mine == [made[4].id, made[2].id, made[0].id]


@pytest.mark.parametrize("limit", [0, 251, -1, "5", None])
async def test_a_page_has_a_bounded_size(webhooks: Webhooks, limit: Any) -> None:
    for part in (webhooks.customers, webhooks.endpoints, webhooks.messages, webhooks.deliveries, webhooks.attempts):
        with pytest.raises(InvalidValue, match="1 to 250"):
            await part.list(limit=limit)


# --- customers ------------------------------------------------------------------------------------------------------


async def test_a_customer_is_made_by_its_first_endpoint(webhooks: Webhooks) -> None:
    with pytest.raises(NotFound):
        await webhooks.customers.get("acme")

    await webhooks.endpoints.create("acme", url=URL)

    assert (await webhooks.customers.get("acme")).uid == "acme"


async def test_a_customer_is_named_and_described(webhooks: Webhooks) -> None:
    await webhooks.customers.put("acme", name="Acme", metadata={"plan": "pro"})
    changed = await webhooks.customers.put("acme", name="Acme Ltd")

    assert (changed.name, dict(changed.metadata)) == ("Acme Ltd", {"plan": "pro"})
    assert [customer.uid async for customer in webhooks.customers.all()] == ["acme"]
    assert await webhooks.customers.put("acme", name=UNSET) == changed


async def test_a_customer_has_a_throttle_until_it_is_taken_away(webhooks: Webhooks) -> None:
    assert (await webhooks.customers.put("acme", throttle=50)).throttle == 50
    assert (await webhooks.customers.put("acme", name="Acme")).throttle == 50
    assert (await webhooks.customers.put("acme", throttle=None)).throttle is None


@pytest.mark.parametrize("throttle", [0, -1, 10_001, 1.5, True, "7"])
async def test_a_throttle_that_is_none_is_refused(webhooks: Webhooks, throttle: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        await webhooks.customers.put("acme", throttle=throttle)

    assert caught.value.field == "throttle"


async def test_a_deleted_customer_takes_its_endpoints_along(webhooks: Webhooks) -> None:
    endpoint = await webhooks.endpoints.create("acme", url=URL)

    await webhooks.customers.delete("acme")

    with pytest.raises(NotFound):
        await webhooks.endpoints.get(endpoint.id)
    with pytest.raises(NotFound):
        await webhooks.customers.delete("acme")


async def test_a_customer_that_is_none_is_refused(webhooks: Webhooks) -> None:
    with pytest.raises(InvalidCustomer):
        await webhooks.endpoints.create(None, url=URL)  # type: ignore[arg-type]  # that is what is refused


# --- history --------------------------------------------------------------------------------------------------------


async def test_messages_are_found_by_every_filter(shop: Shop) -> None:
    tagged = await shop.webhooks.to("acme", tags=["vip"]).send(shop.new_subscription, shop.subscription)
    other = await shop.webhooks.to("beta").send("stopped", shop.subscription, reason="x")
    now = datetime.now(UTC)
    messages = shop.webhooks.messages

    async def found(**filters: Any) -> list[str]:
        return [message.id async for message in messages.all(**filters)]

    assert await found() == [other.id, tagged.id]
    assert await found(customer="acme") == [tagged.id]
    assert await found(tag="vip") == [tagged.id]
    assert await found(event_type="stopped") == [other.id]
    assert await found(event_type=shop.new_subscription) == [tagged.id]
    assert await found(until=now - timedelta(minutes=1)) == []
    assert await found(since=now - timedelta(minutes=1), until=now + timedelta(minutes=1)) == [other.id, tagged.id]


async def test_a_filter_that_cannot_match_is_refused(webhooks: Webhooks) -> None:
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - that is what is refused
    with pytest.raises(InvalidValue, match="Did you mean 'stopped'"):
        await webhooks.deliveries.list(event_type="stoped")
    with pytest.raises(InvalidValue, match="no time zone"):
        await webhooks.attempts.list(since=naive)
    for said, field in (
        ({"since": "2026-01-01"}, "since"),
        ({"until": date(2026, 1, 1)}, "until"),
        ({"states": ["pending"]}, "states"),
        ({"states": "pending"}, "states"),
        ({"states": [1]}, "states"),
        ({"after": 5}, "after"),
        ({"after": "garbage"}, "after"),
    ):
        with pytest.raises(InvalidValue) as caught:
            await webhooks.deliveries.list(**said)  # type: ignore[arg-type]  # one of several kinds
        assert caught.value.field == field
    with pytest.raises(InvalidValue, match=r"Outcome\.OK"):
        webhooks.attempts.all(outcomes=["ok"])  # type: ignore[list-item]  # that is what is refused


async def test_what_is_not_there_is_not_found(webhooks: Webhooks) -> None:
    with pytest.raises(NotFound):
        await webhooks.messages.get("msg_0000000000000000000000")
    with pytest.raises(NotFound):
        await webhooks.deliveries.get("msg_0000000000000000000000", "ep_0000000000000000000000")


# --- mending --------------------------------------------------------------------------------------------------------


async def test_recover_needs_somebody_to_recover_for(webhooks: Webhooks) -> None:
    with pytest.raises(InvalidValue, match="endpoint or a customer"):
        await webhooks.recover(since=datetime.now(UTC))
    with pytest.raises(InvalidValue, match="a time from which on"):
        await webhooks.recover(customer="acme", since=None)  # type: ignore[arg-type]  # that is what is refused


async def test_recover_refuses_what_is_pending(webhooks: Webhooks) -> None:
    with pytest.raises(InvalidValue, match="has ended"):
        await webhooks.recover(customer="acme", since=datetime.now(UTC), states=[State.PENDING])


async def test_cancel_everything_must_be_said_by_a_part(webhooks: Webhooks) -> None:
    with pytest.raises(InvalidValue, match="Name a customer"):
        await webhooks.cancel()


async def test_pause_rules_are_shown_and_taken_back(webhooks: Webhooks) -> None:
    rule = await webhooks.pause(customer="acme", event_type="stopped", actor="ada")

    assert await webhooks.paused() == (rule,)
    assert (rule.customer, rule.event_type, rule.endpoint_id, rule.actor) == ("acme", "stopped", None, "ada")
    assert await webhooks.resume(customer="acme") == 0
    assert await webhooks.resume(customer="acme", event_type="stopped") == 1
    assert await webhooks.paused() == ()


@pytest.mark.parametrize("parts", [{}, {"customer": None}, {"everything": True, "customer": "acme"}])
async def test_a_pause_of_everything_is_said_and_not_come_by(webhooks: Webhooks, parts: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match="or everything") as refusal:
        await webhooks.pause(**parts)

    assert refusal.value.field == "everything"
    assert await webhooks.paused() == ()


async def test_everything_can_be_paused_and_resumed(webhooks: Webhooks) -> None:
    rule = await webhooks.pause(everything=True)

    assert (rule.customer, rule.event_type, rule.endpoint_id) == (None, None, None)
    assert await webhooks.resume() == 1


async def test_resuming_for_a_customer_that_is_not_there_makes_none(webhooks: Webhooks) -> None:
    assert await webhooks.resume(customer="acme") == 0

    with pytest.raises(NotFound):
        await webhooks.customers.get("acme")


async def test_an_example_goes_to_a_customer_or_an_endpoint(shop: Shop) -> None:
    with pytest.raises(InvalidValue, match="give one of them"):
        await shop.webhooks.send_example(shop.new_subscription)
    message = await shop.webhooks.send_example("new-subscription", customer="acme")

    kept = await shop.webhooks.messages.get(message.id)
    assert kept.tags == ("example",)
    assert b'"username"' in (kept.body or b"")
