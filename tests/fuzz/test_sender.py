"""Whatever a receiver says, a send comes to one reply, and nothing is left behind."""

from __future__ import annotations

import asyncio

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anzol.addresses import LOOPBACK, Policy, check_url
from anzol.guard import Guard
from anzol.http1 import MAX_BODY
from anzol.lifecycle import Outcome
from anzol.sender import Reply, Request, Sender
from tests.delivery.receivers import Receiver
from tests.fuzz.responses import mutated, responses

POLICY = Policy(allow_networks=LOOPBACK)
SAYABLE = st.one_of(responses(), mutated(), st.binary(max_size=200))
POSSIBLE = {Outcome.OK, Outcome.HTTP_STATUS, Outcome.BAD_RESPONSE, Outcome.CONNECTION_CLOSED}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(SAYABLE, min_size=1, max_size=15))
def test_any_answer_is_one_reply(answers: list[bytes]) -> None:
    replies, requests = asyncio.run(exchanged(answers))

    assert len(replies) == len(answers) == requests
    for reply in replies:
        assert reply.outcome in POSSIBLE
        assert (reply.status is not None) == (reply.outcome in {Outcome.OK, Outcome.HTTP_STATUS})
        assert len(reply.body) <= MAX_BODY


async def exchanged(answers: list[bytes]) -> tuple[list[Reply], int]:
    """Send one request for each answer, one after another; return the replies and how many requests were seen."""

    async def says(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await receiver.request(reader)
        writer.write(answers[len(receiver.requests) - 1])
        writer.write_eof()
        await reader.read()

    async with Receiver(says) as receiver:
        sender = Sender(Guard(POLICY))
        target = check_url(receiver.url, POLICY)
        replies = []
        for _ in answers:
            replies.append(await sender.send(Request(target, "POST", b"", b"{}", deadline=20)))
            while sender.idle:  # until the end of the connection was seen: it can carry no more
                await asyncio.sleep(0)
        await sender.close()
        return replies, len(receiver.requests)
