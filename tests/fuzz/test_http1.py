"""Whatever arrives, the reader comes to an end, keeps to its caps, and raises nothing."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from anzol.http1 import MAX_BODY, MAX_HEAD, MAX_HEADERS, Response
from tests.fuzz.responses import PIECES, mutated, split

SOUP = st.lists(
    st.one_of(
        st.sampled_from(PIECES), st.binary(max_size=20), st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"5\r\nhello\r\n"])
    ),
    max_size=30,
).map(b"".join)


def holds(response: Response) -> None:
    assert len(response.body) <= MAX_BODY
    assert len(response.headers) <= MAX_HEADERS + 1
    assert sum(len(name) + len(value) for name, value in response.headers) <= MAX_HEAD + 2 * len(PIECES)
    if response.done:
        assert bool(response.fault) != bool(response.status)
        assert response.status == 0 or 200 <= response.status <= 599
    if response.reusable:
        assert response.done
        assert (response.cut, response.incomplete, response.fault) == (False, False, "")


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.one_of(st.binary(max_size=300), SOUP, mutated()))
def test_any_bytes_in_any_pieces_come_to_an_end(draw: st.DataObject, data: bytes) -> None:
    response = Response()
    for piece in draw.draw(split(data)):
        if response.feed(piece):
            break
        holds(response)
    else:
        response.end(broken=draw.draw(st.booleans()))

    holds(response)
    assert not response.reusable or response.status


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(SOUP, mutated()), max_size=6))
def test_a_reader_that_goes_on_after_the_end_stays_at_the_end(pieces: list[bytes]) -> None:
    response = Response()
    ended = None
    for piece in pieces:
        response.feed(piece)
        holds(response)
        if response.done and ended is None:
            ended = (response.status, response.body, response.fault)
        if ended is not None:
            assert (response.status, response.body, response.fault) == ended
            assert response.done
