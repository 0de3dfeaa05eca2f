"""Class `Webhooks`: what FastAPI's ``app.webhooks`` leaves out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from functools import cached_property
from typing import Any, Final, TypeVar

from fastapi import APIRouter, FastAPI

from anzol.app.core import Core, LazySchedule, loop_runs
from anzol.app.delivering import opened_worker
from anzol.app.dependency import Dependency, outbox_dependency
from anzol.app.handlers import H, Handlers, known_incident
from anzol.app.health import Health, health_router
from anzol.app.lifespan import Running, install_lifespan
from anzol.catalog import Catalog, Envelope
from anzol.docspages import serve_docs, webhooks_page
from anzol.errors import AnzolError, AppError, DeclarationError, InvalidValue
from anzol.model import Message, Status
from anzol.openapi import complete
from anzol.outbox import CustomerId, Outbox, Recipient, Webhook, customer_id, judged, send_example
from anzol.recovery import Recovery
from anzol.registry import Attempts, Customers, Deliveries, Endpoints, Messages, Records
from anzol.settings import Settings, is_development
from anzol.worker import Worker

T = TypeVar("T")
STATE: Final = "anzol"  # under this name an application's state holds its Webhooks


class Webhooks(Recovery):
    """Sends what an application declares on ``app.webhooks``, and lets its customers register for it.

    Making one reads and opens nothing: it may stand at the top of a module that is imported before a fork.

    Args:
        source: The FastAPI application; or the router on which webhooks are declared, then `install` comes later.
        settings: Else they are read from the environment (``ANZOL_...``), on first use.
        docs: Serve ``/docs`` and ``/redoc`` with assets of Anzol's own, so that they work without internet.
    """

    def __init__(self, source: FastAPI | APIRouter, settings: Settings | None = None, *, docs: bool = False) -> None:
        if not isinstance(source, FastAPI | APIRouter):
            raise DeclarationError(
                f"Webhooks was given a {type(source).__name__}.", do="Give it the FastAPI app, or an APIRouter."
            )
        self._serves_docs = docs
        self._handlers = Handlers()
        self.core = Core(source, settings)
        self._running = Running(self.core, self._handlers)
        self._health = Health(self.core, self._running.own)
        if isinstance(source, FastAPI):
            self.install(source)

    # --- the application ---

    def install(self, app: FastAPI) -> None:
        """Mend the application's document, and run with it: worker started after it, drained before it ends.

        Installing again changes nothing; each application that a test builds may be installed.

        Raises:
            DeclarationError: the application has another `Webhooks` already.
        """
        installed = getattr(app.state, STATE, None)
        if installed is self:
            return
        if installed is not None:
            raise DeclarationError(
                "This application has another Webhooks already.",
                do="Make one, and include other routers with app.webhooks.include_router(...).",
            )
        setattr(app.state, STATE, self)
        self.core.add_app(app)
        complete(app, schedule=LazySchedule(self.core))
        if self._serves_docs or is_development():
            serve_docs(app)
        install_lifespan(app, self._running)

    @classmethod
    def of(cls, app: FastAPI) -> Webhooks:
        """Return the `Webhooks` of an application.

        Raises:
            AppError: it has none.
        """
        found = getattr(app.state, STATE, None)
        if not isinstance(found, cls):
            raise AppError("This application has no Webhooks.", do="Write webhooks = Webhooks(app).")
        return found

    def running(self) -> AbstractAsyncContextManager[None]:
        """Run without an application's lifespan: storage ready, worker started, and drained at the end."""
        return self._running.running(None)

    async def close(self) -> None:
        """Close the database of a program that has no lifespan; what is used afterwards is opened again."""
        await self.core.close()

    def worker(self) -> AbstractAsyncContextManager[Worker]:
        """Open a worker for the running event loop, as `anzol worker` does; its ``run()`` delivers until stopped."""
        return opened_worker(self.core, self._handlers)

    @property
    def docs(self) -> APIRouter:
        """A public page of the webhooks alone, and its document: ``app.include_router(webhooks.docs, prefix=...)``."""
        return webhooks_page(lambda: self.core.sources[0], schedule=LazySchedule(self.core))

    @property
    def health(self) -> APIRouter:
        """How this process does, ``/live`` and ``/ready``: ``app.include_router(webhooks.health, prefix=...)``.

        For probes and alarms. Both answer without a login, and neither says anything of customers, files or hosts.
        """
        return health_router(self._health)

    @cached_property
    def api(self) -> FastAPI:
        """The REST API: ``app.mount("/webhooks", webhooks.api)``; its own document is at ``/docs`` below that.

        It is no part of the host's document: what an application's users call is not what its webhooks need.
        """
        from anzol.api.whole import make_api  # a quarter of a second that only those pay who ask for it

        return make_api(self.core.ground)

    @property
    def settings(self) -> Settings:
        """The settings in force; raises SettingsError where one is refused."""
        return self.core.settings

    @property
    def catalog(self) -> Catalog:
        """All webhooks that are declared now; raises DeclarationError where one cannot be sent."""
        return self.core.catalog

    # --- sending ---

    def to(
        self,
        customer: CustomerId,
        *,
        session: Any = None,
        key: str | None = None,
        channels: Iterable[str] = (),
        deliver_at: datetime | None = None,
        tags: Iterable[str] = (),
    ) -> Recipient:
        """Say to whom a message goes and how; ``.send(...)`` says what.

        Args:
            customer: The id in your own system. The customer need not exist.
            session: Write in the transaction of this SQLAlchemy or SQLModel session or connection, or sqlite3
                connection: the message exists if and only if that is committed. Without, it is durable when `send`
                returns.
            key: Makes sending again harmless: the same key and body is the same message.
            channels: Only endpoints on one of these channels, or on none in particular, get it.
            deliver_at: Not before this time; aware, and at most half of how long messages are kept ahead.
            tags: For finding it again.

        Raises:
            InvalidCustomer: *customer* is not an id.
            InvalidValue: another argument does not fit; ``field`` names it.
        """
        intake = self.core.intake
        return Recipient(
            intake,
            judged(intake, customer, session=session, key=key, channels=channels, deliver_at=deliver_at, tags=tags),
        )

    def outbox(self, *, to: Dependency, session: Dependency | None = None) -> Callable[..., Outbox]:
        """Return a dependency that gives path operations an `Outbox`.

        Args:
            to: The dependency that returns the customer's id.
            session: The dependency that returns the session; the path operation and the outbox share it. Given
                as the function, as ``Depends(...)``, or as the ``Annotated`` alias that path operations use.
        """
        return outbox_dependency(lambda: self.core.intake, to, session)

    def envelope(self, webhook: Webhook, data: T, *, timestamp: datetime | None = None) -> Envelope[T]:
        """Put *data* into an `Envelope` that carries the webhook's name, for one declared with ``Envelope[T]``."""
        return self.core.envelope(webhook, data, timestamp)

    async def send_example(
        self,
        webhook: Webhook,
        *,
        customer: CustomerId | None = None,
        endpoint: str | None = None,
        method: str | None = None,
    ) -> Message:
        """Send the declared example, or one made from the types: to a customer, or to one endpoint alone.

        Raises:
            InvalidValue: neither customer nor endpoint is given, or both.
            NotFound: there is no such endpoint.
        """
        encoded = self.core.find_catalog(webhook, method).example(webhook, method=method)
        if (customer is None) == (endpoint is None):
            raise InvalidValue("An example goes to a customer, or to an endpoint: give one of them.", field="customer")
        to = customer_id(customer) if endpoint is None else (await self.endpoints.get(endpoint)).customer
        return await send_example(self.core.intake, encoded, to, endpoint)

    # --- looking and setting ---

    @property
    def records(self) -> Records:
        """What the registry stands on."""
        return self.core.records

    @property
    def customers(self) -> Customers:
        """The customers of this environment."""
        return Customers(self.records)

    @property
    def endpoints(self) -> Endpoints:
        """Where the customers' messages go."""
        return Endpoints(self.records)

    @property
    def messages(self) -> Messages:
        """What was sent."""
        return Messages(self.records)

    @property
    def deliveries(self) -> Deliveries:
        """Messages on their way to endpoints, and where each has ended."""
        return Deliveries(self.records)

    @property
    def attempts(self) -> Attempts:
        """Every HTTP request that was made, with its reply."""
        return Attempts(self.records)

    async def status(self) -> Status:
        """Return how the whole is doing: what waits, what is overdue, who works."""
        storage = await self.core.storage()
        return await storage.status(self.settings.environment)

    def on(self, incident: str) -> Callable[[H], H]:
        """Run a function, once for each incident, in the process whose worker saw it; it is given a `Report`.

        Args:
            incident: ``endpoint.failing``, ``endpoint.disabled``, ``endpoint.recovered``, ``endpoint.full`` or
                ``message.exhausted``.
        """
        kind = known_incident(incident)
        return lambda handler: self._handlers.add(kind, handler)

    # --- code that cannot await ---

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run one of this object's coroutines to its end: ``webhooks.wait(webhooks.endpoints.create(...))``.

        For scripts and ``def`` path operations.

        Raises:
            AnzolError: called on an event loop, which it would block.
        """
        if loop_runs():
            coroutine.close()
            raise AnzolError("wait() was called on an event loop, which it would block.", do="Write `await` instead.")
        return asyncio.run(coroutine)
