"""What becomes of deliveries, on real storage, with time that the test owns."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from anzol.lifecycle import Cause, Disabled, Incident, Outcome, State
from anzol.retry import DEFAULT_SCHEDULE
from anzol.rules import DeliveryRules
from anzol.storage.face import EndpointChanges, Selection
from tests.delivery.fakes import OK, SECRET, TIMEOUT, reply
from tests.delivery.stepping import ENVIRONMENT, MINUTE, Steps, stepping

DAY = timedelta(days=1)


@pytest.fixture
async def steps(tmp_path: Path) -> AsyncIterator[Steps]:
    async with stepping(tmp_path) as made:
        yield made


async def test_a_message_goes_to_every_endpoint_that_wants_it_once(steps: Steps) -> None:
    await steps.endpoint("one.example")
    await steps.endpoint("two.example")
    await steps.endpoint("other.example", event_types=("invoice.void",))
    await steps.send(b'{"n":1}')

    assert await steps.drain() == 2
    assert sorted(steps.script.hosts()) == ["one.example", "two.example"]
    assert [one.state for one in await steps.deliveries()] == [State.DELIVERED] * 2
    assert await steps.drain() == 0


async def test_the_request_is_exactly_what_was_promised(steps: Steps) -> None:
    endpoint = await steps.endpoint("one.example", headers=(("x-team", "blue"),), header_prefix="svix-")
    await steps.storage.update_endpoint(ENVIRONMENT, endpoint.id, EndpointChanges(url="http://one.example/in?key=1"))
    message = await steps.send(b'{"n":1}', method="PUT", headers=(("x-declared", "yes"),), query="page=2")
    await steps.drain()

    request = steps.script.sent[0][1]
    lines = dict(line.split(": ", 1) for line in request.head.decode().splitlines())
    signed = f"{message}.{lines['webhook-timestamp']}.".encode() + b'{"n":1}'
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signature = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert (request.method, request.target.path, request.body) == ("PUT", "/in?key=1&page=2", b'{"n":1}')
    assert lines.pop("user-agent").startswith("Anzol/")
    assert lines == {
        "webhook-id": message,
        "webhook-timestamp": str(steps.clock.micros() // 1_000_000),
        "webhook-signature": signature,
        "svix-id": message,
        "svix-timestamp": str(steps.clock.micros() // 1_000_000),
        "svix-signature": signature,
        "webhook-event": "invoice.paid",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "x-declared": "yes",
        "x-team": "blue",
    }


async def test_a_webhook_without_a_body_has_no_content_type(steps: Steps) -> None:
    await steps.endpoint("one.example")
    await steps.send(b"", content_type="")
    await steps.drain()

    assert "content-type" not in steps.script.sent[0][1].head.decode()


async def test_no_declared_header_stands_beside_a_signed_one_of_its_name(steps: Steps) -> None:
    await steps.endpoint("one.example", headers=(("svix-signature", "mine"),), header_prefix="svix-")
    message = await steps.send(b"{}", headers=(("svix-id", "declared"), ("x-declared", "yes")))
    await steps.drain()

    lines = steps.script.sent[0][1].head.decode().splitlines()
    names = [line.split(":")[0] for line in lines]
    assert len(names) == len(set(names))
    assert {f"svix-id: {message}", "x-declared: yes"} <= set(lines)


async def test_the_schedule_is_kept_to_its_end_in_no_time(tmp_path: Path) -> None:
    async with stepping(tmp_path, DeliveryRules(spread=0.0, disable_after=None)) as steps:
        await steps.endpoint()
        steps.script.default = reply(500)
        message = await steps.send()
        assert await steps.drain() == 1
        for delay in DEFAULT_SCHEDULE[1:]:
            assert await steps.wait(delay - timedelta(seconds=1)) == 0
            assert await steps.wait(timedelta(seconds=1)) == 1

        (delivery,) = await steps.deliveries()
        assert (delivery.state, delivery.cause, delivery.attempts) == (State.EXHAUSTED, Cause.GAVE_UP, 10)
        assert [one.number for one in await steps.attempts()] == list(range(1, 11))
        exhausted = [report for report in steps.reports if report.kind is Incident.MESSAGE_EXHAUSTED]
        assert [report.message_id for report in exhausted] == [message]
        assert await steps.wait(10 * DAY) == 0


async def test_an_endpoints_own_schedule_counts(steps: Steps) -> None:
    await steps.endpoint(schedule=(timedelta(0), MINUTE))
    steps.script.default = reply(500)
    await steps.send()
    await steps.drain()

    assert await steps.wait(MINUTE) == 1
    (delivery,) = await steps.deliveries()
    assert delivery.state is State.EXHAUSTED


async def test_retry_after_puts_the_next_attempt_off(steps: Steps) -> None:
    await steps.endpoint()
    steps.script.default = reply(503, None, (b"Retry-After", b"120"))
    await steps.send()
    await steps.drain()

    assert await steps.wait(timedelta(seconds=119)) == 0
    steps.script.default = OK
    assert await steps.wait(timedelta(seconds=1)) == 1


async def test_jitter_moves_an_attempt_by_a_fifth_at_most(tmp_path: Path) -> None:
    async with stepping(tmp_path, DeliveryRules()) as steps:
        for number in range(30):
            await steps.endpoint(f"e{number}.example")
        steps.script.default = reply(500)
        await steps.send()
        assert await steps.drain() == 30

        waits = [(one.due_at - one.created_at).total_seconds() for one in await steps.deliveries() if one.due_at]
        assert len({round(wait, 3) for wait in waits}) > 20
        assert all(4.0 <= wait <= 6.0 for wait in waits)


async def test_410_with_many_waiting_disables_once_and_parks_the_rest(steps: Steps) -> None:
    endpoint = await steps.endpoint()
    steps.script.default = reply(410)
    for _ in range(200):
        await steps.send()
    tried = await steps.drain()

    assert tried <= 8
    assert [report.kind for report in steps.reports] == [Incident.ENDPOINT_DISABLED]
    after = await steps.storage.endpoint(ENVIRONMENT, endpoint.id)
    assert (after.enabled, after.disabled_because) == (False, Disabled.GONE)
    deliveries = await steps.deliveries()
    refused = [one for one in deliveries if one.cause is Cause.REFUSED]
    parked = [one for one in deliveries if one.state is State.PENDING]
    assert len(refused) == tried == len(await steps.attempts())
    assert len(parked) == 200 - tried
    assert {(one.parked, one.attempts, one.in_flight) for one in parked} == {("disabled", 0, False)}


async def test_enabling_again_releases_what_waited(steps: Steps) -> None:
    endpoint = await steps.endpoint()
    steps.script.default = reply(410)
    for _ in range(50):
        await steps.send()
    tried = await steps.drain()
    steps.script.default = OK
    assert await steps.wait(DAY) == 0
    await steps.storage.enable_endpoint(ENVIRONMENT, endpoint.id)

    assert await steps.drain() == 50 - tried
    assert {one.state for one in await steps.deliveries()} == {State.DELIVERED, State.EXHAUSTED}


@pytest.mark.parametrize("how", ["disable", "pause", "delete"])
async def test_what_waits_is_not_sent_once_the_endpoint_is_parked(steps: Steps, how: str) -> None:
    endpoint = await steps.endpoint(throttle=1)
    for _ in range(20):
        await steps.send()
    before = await steps.drain()
    match how:
        case "disable":
            await steps.storage.disable_endpoint(ENVIRONMENT, endpoint.id, Disabled.BY_CUSTOMER)
        case "pause":
            await steps.storage.pause(ENVIRONMENT, customer=None, event_type=None, endpoint_id=endpoint.id, actor="me")
        case "delete":
            await steps.storage.delete_endpoint(ENVIRONMENT, endpoint.id)

    assert before < 20
    assert await steps.wait(MINUTE) == 0


async def test_failing_for_five_days_disables_once(steps: Steps) -> None:
    endpoint = await steps.endpoint()
    steps.script.default = TIMEOUT
    for _ in range(14):
        await steps.send()
        await steps.wait(timedelta(hours=10))

    after = await steps.storage.endpoint(ENVIRONMENT, endpoint.id)
    assert after.disabled_because is Disabled.FAILING
    kinds = [report.kind for report in steps.reports]
    assert kinds.count(Incident.ENDPOINT_FAILING) == 1
    assert kinds.count(Incident.ENDPOINT_DISABLED) == 1
    assert kinds.index(Incident.ENDPOINT_FAILING) < kinds.index(Incident.ENDPOINT_DISABLED)


async def test_an_endpoint_that_recovers_is_told_of_once(steps: Steps) -> None:
    await steps.endpoint()
    steps.script.default = reply(500)
    for _ in range(40):
        await steps.send()
    await steps.drain()
    steps.script.default = OK
    for _ in range(60):
        await steps.wait(timedelta(minutes=10))

    assert {one.state for one in await steps.deliveries()} == {State.DELIVERED}
    assert [report.kind for report in steps.reports] == [Incident.ENDPOINT_FAILING, Incident.ENDPOINT_RECOVERED]


async def test_while_the_circuit_is_open_one_probe_goes_at_a_time(steps: Steps) -> None:
    await steps.endpoint()
    steps.script.default = reply(500)
    for _ in range(100):
        await steps.send()
    opened = await steps.drain()
    probes = [await steps.wait(MINUTE) for _ in range(5)]

    assert opened <= 20
    assert max(probes) <= 1
    assert sum(probes) >= 2


async def test_our_proxys_failures_are_not_charged_to_the_endpoint(steps: Steps) -> None:
    endpoint = await steps.endpoint()
    steps.script.default = reply(None, Outcome.PROXY_ERROR)
    await steps.send()
    await steps.drain()
    for _ in range(40):
        await steps.wait(timedelta(hours=12))

    after = await steps.storage.endpoint(ENVIRONMENT, endpoint.id)
    assert after.enabled
    assert after.health.failures == 0
    steps.script.default = OK
    assert await steps.wait(timedelta(hours=1)) == 1
    assert steps.reports == []


async def test_an_address_that_may_not_be_dialled_is_an_attempt_with_nothing_on_the_wire(steps: Steps) -> None:
    endpoint = await steps.endpoint()
    await steps.storage.update_endpoint(ENVIRONMENT, endpoint.id, EndpointChanges(url="http://one.example:22/in"))
    await steps.send()
    await steps.drain()

    (attempt,) = await steps.attempts()
    assert attempt.outcome is Outcome.ADDRESS_REFUSED
    assert steps.script.sent == []
    (delivery,) = await steps.deliveries()
    assert delivery.state is State.PENDING


async def test_a_secret_that_cannot_be_read_burns_no_attempt(steps: Steps) -> None:
    await steps.endpoint(secret="nonsense")
    await steps.send()
    await steps.drain()

    assert await steps.attempts() == []
    (delivery,) = await steps.deliveries()
    assert (delivery.state, delivery.in_flight) == (State.PENDING, False)
    assert delivery.due_at - delivery.created_at == MINUTE


async def test_fifo_order_holds_through_retries_and_exhaustion(steps: Steps) -> None:
    await steps.endpoint(fifo=True, schedule=(timedelta(0), MINUTE))
    steps.script.answers["one.example"] = [OK, reply(500), reply(500), reply(500), OK]
    for number in range(4):
        await steps.send(b"%d" % number)
    await steps.drain()
    for _ in range(6):
        await steps.wait(MINUTE)

    assert steps.script.bodies("one.example") == [b"0", b"1", b"1", b"2", b"2", b"3"]


async def test_deliver_at_is_waited_for(steps: Steps) -> None:
    await steps.endpoint()
    at = steps.clock.micros() + 3_600_000_000
    await steps.send(deliver_at=at)
    await steps.drain()

    assert await steps.wait(timedelta(minutes=59)) == 0
    assert await steps.wait(MINUTE) == 1


async def test_a_throttle_is_kept_by_the_clock(steps: Steps) -> None:
    await steps.endpoint(throttle=2)
    for _ in range(10):
        await steps.send()

    assert [await steps.drain()] + [await steps.wait(timedelta(seconds=0.5)) for _ in range(10)] == [1] * 10 + [0]


async def test_a_resend_is_one_more_delivery_of_the_same_message(steps: Steps) -> None:
    endpoint = await steps.endpoint()
    message = await steps.send(b"again")
    await steps.drain()
    await steps.storage.resend(ENVIRONMENT, message, endpoint.id)

    assert await steps.drain() == 1
    assert steps.script.bodies("one.example") == [b"again", b"again"]
    assert [one.manual for one in await steps.attempts()] == [False, True]


# Crashes


async def test_a_crash_between_send_and_settle_is_seen_and_made_good(steps: Steps) -> None:
    await steps.endpoint()
    await steps.send(b"once or twice")
    doomed = steps.another()
    _, dispatcher, turns = await doomed._steps()
    await dispatcher.round(everywhere=True)
    await turns.finished()
    assert len(steps.script.sent) == 1
    assert await steps.attempts() == []

    assert await steps.drain() == 0
    assert await steps.wait(timedelta(seconds=31)) == 1
    assert [one.outcome for one in await steps.attempts()] == [Outcome.INTERRUPTED, Outcome.OK]
    assert steps.script.bodies("one.example") == [b"once or twice"] * 2


async def test_a_delivery_that_kills_its_workers_ends_as_poison(steps: Steps) -> None:
    await steps.endpoint()
    message = await steps.send()
    for _ in range(steps.rules.most_interruptions):
        _, dispatcher, turns = await steps.another()._steps()
        await dispatcher.round(everywhere=True)
        await turns.finished()
        steps.clock.advance(timedelta(seconds=31))
    await steps.drain()

    (delivery,) = await steps.deliveries()
    assert (delivery.state, delivery.cause) == (State.EXHAUSTED, Cause.INTERRUPTED)
    assert [report.message_id for report in steps.reports] == [message]
    assert len(steps.script.sent) == steps.rules.most_interruptions


async def test_results_of_a_worker_that_was_given_up_are_fenced_off(steps: Steps) -> None:
    await steps.endpoint()
    await steps.send()
    frozen = steps.another()
    tenure, dispatcher, turns = await frozen._steps()
    await dispatcher.round(everywhere=True)
    await turns.finished()
    await steps.wait(timedelta(seconds=31))
    await tenure.settlement.flush()

    assert [one.outcome for one in await steps.attempts()] == [Outcome.INTERRUPTED, Outcome.OK]
    (delivery,) = await steps.deliveries()
    assert (delivery.state, delivery.attempts) == (State.DELIVERED, 2)


async def test_what_is_over_the_backlog_is_told_of_and_recovered(tmp_path: Path) -> None:
    async with stepping(tmp_path, DeliveryRules(spread=0.0, backlog=2)) as steps:
        await steps.endpoint("one.example")
        steps.script.answers["one.example"] = reply(503)
        for _ in range(3):
            await steps.send()
        await steps.drain()
        states = [one.state for one in await steps.deliveries()]
        steps.script.answers["one.example"] = OK
        await steps.storage.recover(ENVIRONMENT, Selection(states=(State.CANCELLED,)), after=None, limit=10)
        await steps.wait(MINUTE)

        assert states == [State.PENDING] * 2 + [State.CANCELLED]
        assert [report.kind for report in steps.reports] == [Incident.ENDPOINT_FULL]
        assert [one.state for one in await steps.deliveries()] == [State.DELIVERED] * 3
