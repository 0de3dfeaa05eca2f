"""The fake receiver of `anzol.testing`, spoken to by plain HTTP clients."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from standardwebhooks import Webhook

from anzol.testing import FakeReceiver, OwnedClock

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def signed(body: bytes, at: datetime, message_id: str = "msg_1") -> dict[str, str]:
    signature = Webhook(SECRET).sign(message_id, at, body.decode())
    stamp = str(int(at.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": stamp,
        "webhook-signature": signature,
        "webhook-event": "a.b",
    }


def test_it_notes_what_arrives_and_answers_204() -> None:
    with FakeReceiver() as receiver:
        answer = httpx.put(f"{receiver.url}?page=2", content=b'{"a": 1}', headers={"X-Own": "1"})

        [request] = receiver.requests
        assert answer.status_code == 204
        assert (request.method, request.path, request.json()) == ("PUT", "/webhooks?page=2", {"a": 1})
        assert request.header("x-own") == "1"
        assert request.header("x-other") is None
        assert not request.verified
        assert request.problem == "no secret to verify with"


def test_it_verifies_with_the_time_it_is_given() -> None:
    clock = OwnedClock(datetime(2026, 1, 1, tzinfo=UTC))
    with FakeReceiver(SECRET, clock=clock) as receiver:
        headers = signed(b"{}", datetime(2026, 1, 1, tzinfo=UTC))
        httpx.post(receiver.url, content=b"{}", headers=headers)
        httpx.post(receiver.url, content=b"[]", headers=headers)
        clock.advance(timedelta(hours=1))
        httpx.post(receiver.url, content=b"{}", headers=headers)

        right, forged, late = receiver.requests
        assert (right.verified, forged.verified, late.verified) == (True, False, False)
        assert (right.event_type, right.message_id) == ("a.b", "msg_1")
        assert "fits" in forged.problem
        assert late.problem != forged.problem


def test_it_answers_as_told_for_a_while_or_for_good() -> None:
    with FakeReceiver() as receiver, httpx.Client() as client:
        receiver.answer(500, body=b"broken")
        receiver.answer(429, retry_after=30, times=2)
        answers = [client.post(receiver.url) for _ in range(4)]
        receiver.answer(410)
        gone = client.post(receiver.url)

    assert [answer.status_code for answer in answers] == [429, 429, 500, 500]
    assert answers[0].headers["retry-after"] == "30"
    assert answers[2].content == b"broken"
    assert gone.status_code == 410


def test_it_hangs_up() -> None:
    with FakeReceiver() as receiver:
        receiver.hang_up(times=1)
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.post(receiver.url)

        assert httpx.post(receiver.url).status_code == 204
        assert len(receiver.requests) == 2


def test_it_stalls_until_released() -> None:
    with FakeReceiver() as receiver:
        receiver.stall()
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(receiver.url, timeout=0.2)
        receiver.release()

        assert httpx.post(receiver.url).status_code == 204


def test_it_closes_though_a_request_is_stalled_and_leaves_no_thread() -> None:
    before = threading.active_count()
    receiver = FakeReceiver()
    receiver.stall()
    failures: list[Exception] = []

    def ask() -> None:
        try:
            httpx.post(receiver.url, timeout=30)
        except httpx.HTTPError as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    receiver.wait_for(1)
    receiver.close()
    asking.join()

    assert len(failures) == 1
    assert threading.active_count() == before


async def test_waiting_says_how_many_came() -> None:
    with FakeReceiver() as receiver:
        async with httpx.AsyncClient() as client:
            await client.post(receiver.url)

        assert len(await receiver.arrived(1)) == 1
        with pytest.raises(TimeoutError, match="1 of 2 requests arrived within"):
            receiver.wait_for(2, timeout=0.01)
