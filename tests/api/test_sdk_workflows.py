"""The published Python SDK, unmodified, blocking and asynchronous, against a server that delivers to a receiver."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from svix import models
from svix.api import (
    BackgroundTaskListOptions,
    MessageAttemptListByEndpointOptions,
    MessageCreateOptions,
    MessageGetOptions,
    MessageListOptions,
    SvixAsync,
)
from svix.api.message import message_in_raw
from svix.exceptions import HttpError
from svix.webhooks import Webhook, WebhookVerificationError

from anzol.testing import FakeReceiver
from anzol.testing.receiver import Received
from tests.api.conftest import make, served
from tests.api.sdk import Sdk, application, endpoint, said, sdk_of, until

URL = "https://127.0.0.1:9/hook"
HOUR = timedelta(hours=1)
MANY = 600


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with FakeReceiver() as receiver:
        yield receiver


def verify(request: Received, key: str) -> None:
    """Verify as a receiver does that has the SDK."""
    Webhook(key).verify(request.body, dict(request.headers))


# --- a message on its way


async def test_a_message_arrives_and_verifies(sdk: Sdk, receiver: FakeReceiver) -> None:
    client, app = await application(sdk)
    made = await endpoint(client, app, receiver.url, headers={"x-team": "blue"})
    sent = await client.message.create(app, said(7))
    (request,) = await receiver.arrived(1)
    key = (await client.endpoint.get_secret(app, made.id)).key

    verify(request, key)
    assert (request.json(), request.message_id, request.header("x-team")) == ({"n": 7}, sent.id, "blue")
    with pytest.raises(WebhookVerificationError):
        Webhook(key).verify(request.body + b" ", dict(request.headers))


async def test_after_a_rotation_both_secrets_verify(sdk: Sdk, receiver: FakeReceiver) -> None:
    client, app = await application(sdk)
    await endpoint(client, app, receiver.url, uid="one")
    old = (await client.endpoint.get_secret(app, "one")).key
    await client.endpoint.rotate_secret(app, "one", models.EndpointSecretRotateIn(key="A" * 32))
    new = (await client.endpoint.get_secret(app, "one")).key
    await client.message.create(app, said())
    (request,) = await receiver.arrived(1)

    assert old != new == "whsec_" + "A" * 32
    verify(request, old)
    verify(request, new)


async def test_filters_and_channels_choose_the_endpoints(sdk: Sdk, receiver: FakeReceiver) -> None:
    client, app = await application(sdk)
    await endpoint(client, app, receiver.url, uid="paid", event_types=["invoice.paid"])
    await endpoint(client, app, receiver.url, uid="eu", channels=["eu"])
    await endpoint(client, app, receiver.url, uid="off", disabled=True)
    wanted = await client.message.precheck(app, models.MessagePrecheckIn(event_type="invoice.paid"))
    unwanted = await client.message.precheck(app, models.MessagePrecheckIn(event_type="invoice.void"))
    await client.message.create(app, said(event_id="paid"))
    await client.message.create(app, said(event_type="invoice.void", channels=["eu"], event_id="void"))

    assert (wanted.active, unwanted.active) == (True, False)
    for message, expected in (("paid", ["paid"]), ("void", ["eu"])):
        listed = await client.message_attempt.list_attempted_destinations(app, message)
        assert [one.uid for one in listed.data] == expected


async def test_an_example_goes_to_one_endpoint(sdk: Sdk, receiver: FakeReceiver) -> None:
    client, app = await application(sdk)
    kind = f"{sdk.name}.example"
    schemas = {"1": {"examples": [{"x": 1}]}}
    await client.event_type.create(models.EventTypeIn(name=kind, description="", schemas=schemas))
    await endpoint(client, app, receiver.url, uid="one", event_types=[kind])
    example = await client.endpoint.send_example(app, "one", models.EventExampleIn(event_type=kind))
    (request,) = await receiver.arrived(1)

    assert (example.payload, example.tags, request.json()) == ({"x": 1}, ["example"], {"x": 1})


async def test_the_same_again_is_the_same_message(sdk: Sdk) -> None:
    client, app = await application(sdk)
    key = MessageCreateOptions(idempotency_key=sdk.name)
    by_key = [await client.message.create(app, said(1), key) for _ in range(2)]
    by_event = [await client.message.create(app, said(2, event_id="order-1")) for _ in range(2)]
    with pytest.raises(HttpError) as other_body:
        await client.message.create(app, said(3), key)
    with pytest.raises(HttpError) as other_event:
        await client.message.create(app, said(4, event_id="order-1"))
    found = await client.message.get(app, "order-1", MessageGetOptions(with_content=True))

    assert by_key[0].id == by_key[1].id != by_event[0].id == by_event[1].id == found.id
    assert (found.event_id, found.payload) == ("order-1", {"n": 2})
    assert (other_body.value.status_code, other_event.value.status_code) == (409, 409)
    assert len((await client.message.list(app)).data) == 2


async def test_an_application_is_made_with_its_first_message(sdk: Sdk) -> None:
    client, app = sdk.client, sdk.name
    sent = await client.message.create(app, said(application=models.ApplicationIn(name="A", uid=app)))

    assert (await client.application.get(app)).uid == app
    assert [one.id for one in (await client.message.list(app)).data] == [sent.id]


async def test_a_raw_payload_is_sent_as_it_is(sdk: Sdk, receiver: FakeReceiver) -> None:
    client, app = await application(sdk)
    await endpoint(client, app, receiver.url, uid="one")
    await client.message.create(app, message_in_raw("invoice.paid", "<a/>", "application/xml"))
    (request,) = await receiver.arrived(1)

    verify(request, (await client.endpoint.get_secret(app, "one")).key)
    assert (request.body, request.header("content-type")) == (b"<a/>", "application/xml")


async def test_lists_of_messages_are_narrowed(sdk: Sdk) -> None:
    client, app = await application(sdk)
    for message in (said(event_type="a", tags=["vip"]), said(event_type="b", channels=["eu"]), said(event_type="c")):
        await client.message.create(app, message)
    now = datetime.now(UTC)

    async def kinds(**narrowed: Any) -> list[str]:
        listed = await client.message.list(app, MessageListOptions(**narrowed))
        return [one.event_type for one in listed.data]

    assert await kinds(event_types=["a", "c"]) == ["c", "a"]
    assert (await kinds(tag="vip"), await kinds(channel="eu")) == (["a"], ["b"])
    assert (await kinds(before=now - HOUR), await kinds(after=now - HOUR)) == ([], ["c", "b", "a"])
    (one,) = (await client.message.list(app, MessageListOptions(with_content=True, tag="vip"))).data
    assert one.payload == {"n": 1}


async def test_operational_endpoints_are_told(sdk: Sdk, receiver: FakeReceiver) -> None:
    told = sdk.client.operational_webhook.endpoint
    given = models.OperationalWebhookEndpointIn(url=receiver.url, event_types=["endpoint.created"])
    operational = await told.create(given)
    client, app = await application(sdk)
    made = await endpoint(client, app, URL, uid="one")
    (request,) = await receiver.arrived(1)
    key = (await told.get_secret(operational.id)).key
    await told.delete(operational.id)

    verify(request, key)
    assert (request.json()["type"], request.json()["data"]["endpointId"]) == ("endpoint.created", made.id)


async def test_content_is_expunged(sdk: Sdk) -> None:
    client, app = await application(sdk)
    sent = await client.message.create(app, said(7))
    whole = MessageGetOptions(with_content=True)
    before = await client.message.get(app, sent.id, whole)
    await client.message.expunge_content(app, sent.id)
    after = await client.message.get(app, sent.id, whole)

    assert (before.payload, after.payload) == ({"n": 7}, {})


# --- what became of it


async def test_attempts(sdk: Sdk, receiver: FakeReceiver) -> None:
    receiver.answer(500, body=b"no", times=1)
    client, app = await application(sdk)
    made = await endpoint(client, app, receiver.url, uid="one")
    sent = await client.message.create(app, said(event_id="order-1"))
    attempts = client.message_attempt
    failed = await until(lambda: attempts.list_by_msg(app, "order-1"), lambda listed: bool(listed.data))
    await attempts.resend(app, sent.id, "one")
    listed = await until(lambda: attempts.list_by_endpoint(app, "one"), lambda listed: len(listed.data) == 2)
    options = MessageAttemptListByEndpointOptions(status=models.MessageStatus.FAIL, with_msg=True)
    only_failed = await attempts.list_by_endpoint(app, made.id, options)
    one = await attempts.get(app, sent.id, failed.data[0].id)
    messages = await attempts.list_attempted_messages(app, "one")
    endpoints = await attempts.list_attempted_destinations(app, sent.id)
    stats = await client.endpoint.get_stats(app, "one")
    attempt_stats = await client.endpoint.get_attempt_stats(app, "one")

    assert (one.status, one.response, one.response_status_code) == (models.MessageStatus.FAIL, "no", 500)
    assert [attempt.trigger_type for attempt in listed.data] == [
        models.MessageAttemptTriggerType.MANUAL,
        models.MessageAttemptTriggerType.SCHEDULED,
    ]
    assert [(attempt.id, attempt.msg and attempt.msg.id) for attempt in only_failed.data] == [(one.id, sent.id)]
    assert [(message.id, message.event_id, message.status_text) for message in messages.data] == [
        (sent.id, "order-1", models.MessageStatusText.SUCCESS)
    ]
    assert [(one.id, one.status) for one in endpoints.data] == [(made.id, models.MessageStatus.SUCCESS)]
    assert (stats.success, stats.fail, attempt_stats.success, attempt_stats.fail) == (1, 0, 1, 1)


async def finished(
    client: SvixAsync, begun: models.RecoverOut | models.ReplayOut | models.AppUsageStatsOut
) -> models.BackgroundTaskOut:
    """Wait until a task has ended; return it."""

    done = models.BackgroundTaskStatus.FINISHED
    return await until(lambda: client.background_task.get(begun.id), lambda task: task.status is done)


async def test_what_was_answered_is_expunged(sdk: Sdk, receiver: FakeReceiver) -> None:
    receiver.answer(200, body=b"thanks")
    client, app = await application(sdk)
    await endpoint(client, app, receiver.url)
    sent = await client.message.create(app, said())
    listed = await until(lambda: client.message_attempt.list_by_msg(app, sent.id), lambda listed: bool(listed.data))
    attempt = listed.data[0].id
    before = await client.message_attempt.get(app, sent.id, attempt)
    await client.message_attempt.expunge_content(app, sent.id, attempt)
    after = await client.message_attempt.get(app, sent.id, attempt)
    bulk = await client.message.bulk_expunge_content(app, models.BulkExpungeContentsIn(ids=[sent.id, "nothing"]))

    assert (before.response, after.response, after.response_status_code) == ("thanks", "", 200)
    assert {name: status.value for name, status in bulk.results.items()} == {
        sent.id: "expunged",
        "nothing": "not-found",
    }


async def test_recover(sdk: Sdk, receiver: FakeReceiver) -> None:
    receiver.answer(500, times=2)
    client, app = await application(sdk)
    await endpoint(client, app, receiver.url, uid="one")
    for n in range(2):
        await client.message.create(app, said(n))
    await until(lambda: client.endpoint.get_stats(app, "one"), lambda stats: stats.fail == 2)
    since = datetime.now(UTC) - HOUR
    begun = await client.endpoint.recover(app, "one", models.RecoverIn(since=since))
    task = await finished(client, begun)
    stats = await until(lambda: client.endpoint.get_stats(app, "one"), lambda stats: stats.success == 2)

    assert (begun.task, task.data) == (models.BackgroundTaskType.ENDPOINT_RECOVER, {"changed": 2})
    assert (stats.fail, stats.pending, len(receiver.requests)) == (0, 0, 4)
    ended = BackgroundTaskListOptions(status=task.status, task=task.task)
    assert begun.id in [listed.id for listed in (await client.background_task.list(ended)).data]


async def test_replay_missing_and_bulk_replay(sdk: Sdk, receiver: FakeReceiver) -> None:
    client, app = await application(sdk)
    for n in range(3):
        await client.message.create(app, said(n, tags=["vip"] if n else None))
    made = await endpoint(client, app, receiver.url)
    since = datetime.now(UTC) - HOUR
    task = await finished(client, await client.endpoint.replay_missing(app, made.id, models.ReplayIn(since=since)))
    await until(lambda: client.endpoint.get_stats(app, made.id), lambda stats: stats.success == 3)
    bulk = await client.endpoint.bulk_replay(app, made.id, models.BulkReplayIn(since=since, tag="vip"))
    again = await finished(client, bulk)
    await receiver.arrived(5)

    assert (task.data, again.data) == ({"changed": 3}, {"changed": 2})


async def test_statistics_of_an_application(sdk: Sdk, receiver: FakeReceiver) -> None:
    client, app = await application(sdk)
    await endpoint(client, app, receiver.url)
    await client.message.create(app, said())
    now = datetime.now(UTC)
    given = models.AppUsageStatsIn(since=now - HOUR, until=now + HOUR, app_ids=[app, "nobody"])
    begun = await client.statistics.aggregate_app_stats(given)
    task = await finished(client, begun)

    assert begun.unresolved_app_ids == ["nobody"]
    assert [(one["appUid"], one["messageDestinations"]) for one in task.data["appStats"]] == [(app, 1)]


# --- access, and pages


async def test_portal_access_and_its_end(sdk: Sdk, receiver: FakeReceiver) -> None:
    client, app = await application(sdk)
    await client.application.create(models.ApplicationIn(name="B", uid=f"{app}-b"))
    await endpoint(client, app, receiver.url, uid="one")
    access = await client.authentication.app_portal_access(app, models.AppPortalAccessIn())
    portal = sdk.speaking(access.token)
    listed = await portal.endpoint.list(app)
    with pytest.raises(HttpError) as others:
        await portal.endpoint.list(f"{app}-b")
    with pytest.raises(HttpError) as forbidden:
        await portal.message.create(app, said())
    await client.authentication.expire_all(app, models.ApplicationTokenExpireIn())

    async def asked() -> int:
        try:
            await portal.endpoint.list(app)
        except HttpError as error:
            return error.status_code
        return 200

    async with asyncio.timeout(5):
        assert await until(asked, lambda status: status != 200) == 401
    assert "#" in access.url
    assert [one.uid for one in listed.data] == ["one"]
    assert (others.value.status_code, forbidden.value.status_code) == (404, 403)


async def test_a_portal_that_is_read_only(sdk: Sdk) -> None:
    client, app = await application(sdk)
    given = models.AppPortalAccessIn(read_only=True)
    portal = sdk.speaking((await client.authentication.app_portal_access(app, given)).token)
    assert (await portal.endpoint.list(app)).data == []
    with pytest.raises(HttpError) as refused:
        await portal.endpoint.create(app, models.EndpointIn(url=URL))
    await portal.authentication.logout()
    with pytest.raises(HttpError) as gone:
        await portal.endpoint.list(app)

    assert (refused.value.status_code, gone.value.status_code) == (403, 401)


async def test_paging_goes_forwards_and_back(sdk: Sdk) -> None:
    client, app = await application(sdk)
    sent = send_many(sdk, app)
    forwards = [await client.message.list(app, MessageListOptions(limit=250))]
    while not forwards[-1].done:
        forwards.append(await client.message.list(app, MessageListOptions(limit=250, iterator=forwards[-1].iterator)))
    back = [forwards[-1]]
    while len(back) < len(forwards):
        back.append(await client.message.list(app, MessageListOptions(limit=250, iterator=back[-1].prev_iterator)))

    assert [len(page.data) for page in forwards] == [250, 250, 100]
    assert [one.id for page in forwards for one in page.data] == sent[::-1]
    assert [page.data for page in back[::-1]] == [page.data for page in forwards]


def send_many(sdk: Sdk, app: str) -> list[str]:
    """Send many messages in a few requests, which the SDK has no word for; return their ids, oldest first."""
    made: list[str] = []
    with httpx.Client(base_url=sdk.address, headers={"authorization": f"Bearer {sdk.token}"}) as client:
        for _ in range(MANY // 100):
            batch = {"messages": [{"eventType": "o", "payload": {}}] * 100}
            answer = client.post(f"/api/v1/app/{app}/msg/batch", json=batch)
            assert answer.status_code == 202, answer.text
            made += [one["message"]["id"] for one in answer.json()["data"]]
    return made


# --- the other engine


@pytest.mark.parametrize("url", ["postgres"], indirect=True)
async def test_on_postgresql_a_message_fails_and_is_recovered(url: str, receiver: FakeReceiver) -> None:
    receiver.answer(500, times=1)
    service = make(url, retry_schedule="0")
    with served(service) as address:
        async with sdk_of("async", address, service.token(), "acme") as sdk:
            client, app = await application(sdk)
            made = await endpoint(client, app, receiver.url)
            await client.message.create(app, said(7))
            await until(lambda: client.endpoint.get_stats(app, made.id), lambda stats: stats.fail == 1)
            since = datetime.now(UTC) - HOUR
            task = await finished(client, await client.endpoint.recover(app, made.id, models.RecoverIn(since=since)))
            requests = await receiver.arrived(2)
            key = (await client.endpoint.get_secret(app, made.id)).key
    await asyncio.to_thread(service.webhooks.wait, service.webhooks.close())

    assert task.data == {"changed": 1}
    for request in requests:
        verify(request, key)
