"""For tests of applications that send webhooks, and of those that receive them; Anzol's own tests use it too.

::

    with harness(webhooks) as bench, TestClient(app) as client:
        receiver = bench.receiver("acme")
        client.post("/subscriptions", json={...})
        bench.deliver_due()

        assert bench.sent(new_subscription, to="acme") == [Subscription(...)]
        assert receiver.requests[0].verified
"""

from anzol.clock import OwnedClock
from anzol.testing.bench import AsyncBench, Bench, Harness, harness
from anzol.testing.receiver import FakeReceiver, Received

__all__ = ["AsyncBench", "Bench", "FakeReceiver", "Harness", "OwnedClock", "Received", "harness"]
