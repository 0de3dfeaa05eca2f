"""The engine on a test's own terms: a database of its own, a clock that stands, deliveries when the test says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Final, TypeVar, overload

from pydantic import ValidationError

from anzol.app import Webhooks
from anzol.app.core import in_thread
from anzol.app.delivering import make_sender, rules_of
from anzol.catalog import EventType
from anzol.clock import OwnedClock
from anzol.errors import AnzolError
from anzol.model import StoredMessage
from anzol.outbox import CustomerId, Webhook, customer_id
from anzol.relay import Relay
from anzol.settings import Settings
from anzol.testing.receiver import FakeReceiver
from anzol.testing.transactions import written_in
from anzol.worker import Worker

T = TypeVar("T")
START: Final = datetime(2026, 1, 1, 12, tzinfo=UTC)


def harness(webhooks: Webhooks, *, start: datetime = START) -> Harness:
    """Put *webhooks* on a test bench: ``with harness(webhooks) as bench``, or ``async with``.

    Until it ends, what is sent goes to a temporary SQLite database and nothing is delivered before the test asks for
    it; no worker is started by the application's lifespan. Receivers on loopback are let through, nothing else is.

    Args:
        start: What the clock says at the beginning; it moves only by `Bench.advance`.
    """
    return Harness(webhooks, start)


class Harness:
    """What `harness` returns: enter it with ``with`` in a plain test, with ``async with`` in one that awaits."""

    def __init__(self, webhooks: Webhooks, start: datetime) -> None:
        self._webhooks = webhooks
        self._start = start
        self._bench: Bench | None = None
        self._async_bench: AsyncBench | None = None

    def __enter__(self) -> Bench:
        self._bench = Bench(AsyncBench(self._webhooks, self._start))
        self._bench.open()
        return self._bench

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._bench is not None
        self._bench.close()

    async def __aenter__(self) -> AsyncBench:
        self._async_bench = AsyncBench(self._webhooks, self._start)
        await self._async_bench.open()
        return self._async_bench

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._async_bench is not None
        await self._async_bench.close()


class AsyncBench:
    """The bench of a test that awaits. ``clock`` is the time that everything goes by."""

    def __init__(self, webhooks: Webhooks, start: datetime) -> None:
        self.webhooks = webhooks
        self.clock = OwnedClock(start)
        self._engine: Engine | None = None
        self._receivers: list[FakeReceiver] = []

    async def open(self) -> None:
        """Stand *webhooks* on a fresh database, beside a worker that works when told."""
        self._engine = Engine(self.webhooks, self.clock)
        await self._engine.open()

    async def close(self) -> None:
        """Put *webhooks* back where they stood; leave no thread and no file."""
        for receiver in self._receivers:
            await asyncio.to_thread(receiver.close)
        await self._working.close()
        self._engine = None

    async def receiver(self, customer: CustomerId, **options: Any) -> FakeReceiver:
        """Register an endpoint for *customer* that leads to a `FakeReceiver`, which has the endpoint's secret.

        Args:
            options: Those of ``webhooks.endpoints.create``, such as ``event_types``, ``fifo``, ``throttle``.
        """
        receiver = FakeReceiver(clock=self.clock)
        self._receivers.append(receiver)
        endpoint = await self.webhooks.endpoints.create(customer, url=receiver.url, **options)
        receiver.endpoint_id = endpoint.id
        receiver.secrets = [await self.webhooks.endpoints.secret(endpoint.id)]
        return receiver

    async def deliver_due(self) -> int:
        """Deliver everything that is due by the clock; return how many requests that took.

        What was sent with ``session=`` is there once that is committed.
        """
        return await self._working.worker.drain_once()

    async def advance(self, by: timedelta) -> int:
        """Let *by* pass, then deliver what is due; return how many requests that took.

        Retries come at exactly the schedule's delays here: jitter is off.
        """
        await self._working.worker.close()  # or a leap over its lease would count, and be logged, as its death
        self.clock.advance(by)
        return await self.deliver_due()

    async def messages(self, webhook: Webhook | None = None, *, to: CustomerId | None = None) -> list[StoredMessage]:
        """Return what was sent and committed, oldest first: of this webhook, to this customer, if they are given."""
        await self._working.relay.drain()
        newest_first = [message async for message in self.webhooks.messages.all(to, event_type=webhook)]
        return newest_first[::-1]

    @overload
    async def sent(
        self, webhook: Callable[[T], object], *, to: CustomerId | None = None, session: Any = None
    ) -> list[T]: ...

    @overload
    async def sent(self, webhook: Webhook, *, to: CustomerId | None = None, session: Any = None) -> list[Any]: ...

    async def sent(self, webhook: Webhook, *, to: CustomerId | None = None, session: Any = None) -> list[Any]:
        """Return the bodies of the messages of *webhook*, oldest first, as the type that was declared.

        Args:
            to: Only those to this customer.
            session: Those too that wait in this session's transaction: for tests that roll back at their end.
        """
        event = self.webhooks.core.find(webhook, None)
        bodies = [message.body or b"" for message in await self.messages(webhook, to=to)]
        if session is not None:
            customer = None if to is None else customer_id(to)
            waiting = [new for new in await written_in(session) if new.event_type == event.name]
            bodies += [new.body for new in waiting if customer in (None, new.customer)]
        return [body_of(event, body) for body in bodies]

    @property
    def _working(self) -> Engine:
        if self._engine is None:
            raise not_open()
        return self._engine


class Engine:
    """What stands behind a bench: database, relay, sender, worker."""

    def __init__(self, webhooks: Webhooks, clock: OwnedClock) -> None:
        self._webhooks = webhooks
        self._clock = clock
        self._undo = AsyncExitStack()

    async def open(self) -> None:
        """Make and prepare everything; what was made is closed if that fails."""
        async with AsyncExitStack() as undo:
            await self._open(undo)
            self._undo = undo.pop_all()

    async def _open(self, undo: AsyncExitStack) -> None:
        core = self._webhooks.core
        folder = Path(undo.enter_context(TemporaryDirectory(prefix="anzol-")))
        settings = tame(core.settings, folder)
        undo.callback(core.stand_on(settings, self._clock))
        storage = await core.storage()
        undo.push_async_callback(core.close)
        sender = make_sender(settings)
        undo.push_async_callback(sender.close)
        self.relay = Relay(storage, core.sessions)
        undo.push_async_callback(self.relay.close)
        self.worker = Worker(
            storage,
            sender,
            policy=settings.policy,
            clock=self._clock,
            rules=replace(rules_of(settings), spread=0.0),
            retention=settings.kept,
            relay=self.relay,
            tell=self._webhooks._handlers.tell,
        )
        undo.push_async_callback(self.worker.close)

    async def close(self) -> None:
        """Close everything, the last made first."""
        await self._undo.aclose()


class Bench:
    """The bench of a plain test, such as one with FastAPI's TestClient. ``clock`` is the time that everything goes by.

    Its calls block; made on an event loop, they block that.
    """

    def __init__(self, bench: AsyncBench) -> None:
        self._bench = bench
        self._runner = asyncio.Runner()
        self._over = False

    @property
    def webhooks(self) -> Webhooks:
        """What is on the bench."""
        return self._bench.webhooks

    @property
    def clock(self) -> OwnedClock:
        """The time; it moves only by `advance`."""
        return self._bench.clock

    def open(self) -> None:
        """As `AsyncBench.open`."""
        self._do(self._bench.open())

    def close(self) -> None:
        """As `AsyncBench.close`."""
        self._do(self._bench.close())
        self._runner.close()
        self._over = True

    def receiver(self, customer: CustomerId, **options: Any) -> FakeReceiver:
        """As `AsyncBench.receiver`."""
        return self._do(self._bench.receiver(customer, **options))

    def deliver_due(self) -> int:
        """As `AsyncBench.deliver_due`."""
        return self._do(self._bench.deliver_due())

    def advance(self, by: timedelta) -> int:
        """As `AsyncBench.advance`."""
        return self._do(self._bench.advance(by))

    def messages(self, webhook: Webhook | None = None, *, to: CustomerId | None = None) -> list[StoredMessage]:
        """As `AsyncBench.messages`."""
        return self._do(self._bench.messages(webhook, to=to))

    @overload
    def sent(self, webhook: Callable[[T], object], *, to: CustomerId | None = None, session: Any = None) -> list[T]: ...

    @overload
    def sent(self, webhook: Webhook, *, to: CustomerId | None = None, session: Any = None) -> list[Any]: ...

    def sent(self, webhook: Webhook, *, to: CustomerId | None = None, session: Any = None) -> list[Any]:
        """As `AsyncBench.sent`; *session* is a synchronous one."""
        return self._do(self._bench.sent(webhook, to=to, session=session))

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        if self._over:
            coroutine.close()
            raise not_open()
        # On its own loop, for the engine's connections live on it; in a thread, where this one runs a loop already.
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self._runner.run(coroutine)
        return in_thread(lambda: self._runner.run(coroutine))


def not_open() -> AnzolError:
    """Make the error of a bench that is used before or after its time."""
    return AnzolError("The test bench is not open.", do="Use it inside `with harness(webhooks) as bench:`.")


def tame(settings: Settings, folder: Path) -> Settings:
    """Return *settings* for a bench: a database in *folder*, no worker of the lifespan's, receivers on loopback."""
    return settings.model_copy(
        update={
            "database_url": f"sqlite:///{folder / 'anzol.db'}",
            "secret_key": None,
            "old_secret_keys": (),
            "worker": False,
            "https_only": False,
            "proxy_url": None,
            "allow_networks": (ip_network("127.0.0.0/8"), ip_network("::1/128")),
            "ports": ((1, 65535),),
        }
    )


def body_of(event: EventType, body: bytes) -> Any:
    """Return a body as the declared type, where it can be read back as that; else as its JSON."""
    if event.body is None:
        return None
    if event.body.raw:
        return event.body.adapter.validate_python(body)
    try:
        return event.body.adapter.validate_json(body)
    except ValidationError:  # what is serialised need not be what is validated
        return json.loads(body)
