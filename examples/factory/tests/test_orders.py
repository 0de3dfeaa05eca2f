from datetime import timedelta

from fastapi.testclient import TestClient
from shop.events import Order, order_placed

from anzol.testing import Bench


def test_an_order_is_told_to_the_customer(bench: Bench, client: TestClient) -> None:
    receiver = bench.receiver("acme")
    client.post("/orders", json={"sku": "hook", "quantity": 2})

    bench.deliver_due()

    [request] = receiver.requests
    assert request.verified
    assert request.json() == {"sku": "hook", "quantity": 2}


def test_an_order_that_fails_is_told_to_nobody(bench: Bench, client: TestClient) -> None:
    response = client.post("/orders", json={"sku": "hook", "quantity": 100})

    assert response.status_code == 409
    assert bench.sent(order_placed) == []


def test_what_is_sent_is_what_was_ordered(bench: Bench, client: TestClient) -> None:
    client.post("/orders", json={"sku": "hook", "quantity": 2})

    assert bench.sent(order_placed, to="acme") == [Order(sku="hook", quantity=2)]


def test_a_customer_whose_server_is_down_is_told_later(bench: Bench, client: TestClient) -> None:
    receiver = bench.receiver("acme")
    receiver.answer(503, retry_after=60, times=1)
    client.post("/orders", json={"sku": "hook", "quantity": 2})

    assert bench.deliver_due() == 1
    assert bench.advance(timedelta(seconds=59)) == 0
    assert bench.advance(timedelta(seconds=1)) == 1
    assert [request.message_id for request in receiver.requests] == [receiver.requests[0].message_id] * 2
