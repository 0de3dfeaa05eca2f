"""A worker for an application: made of its settings, with everything that it needs opened and closed around it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anzol.app.core import Core
from anzol.app.handlers import Handlers
from anzol.dialler import Proxy, tls_context
from anzol.guard import Guard
from anzol.relay import Relay
from anzol.rules import DeliveryRules
from anzol.sender import Sender
from anzol.settings import Settings
from anzol.worker import Worker


@asynccontextmanager
async def opened_worker(core: Core, handlers: Handlers) -> AsyncIterator[Worker]:
    """Give a worker for the loop that this runs on; its storage is ready."""
    settings = core.settings
    storage = await core.storage()
    sender = make_sender(settings)
    relay = Relay(storage, core.sessions)
    try:
        yield Worker(
            storage,
            sender,
            policy=settings.policy,
            clock=core.clock,
            rules=rules_of(settings),
            retention=settings.kept,
            relay=relay,
            tell=handlers.tell,
        )
    finally:
        await relay.close()
        await sender.close()
        await storage.leave()


def make_sender(settings: Settings) -> Sender:
    """Make the sender: behind the guard, through the proxy if there is one; it closes the guard."""
    proxy = Proxy.parse(settings.proxy_url.get_secret_value()) if settings.proxy_url else None
    tls = tls_context(str(settings.ca_bundle)) if settings.ca_bundle else None
    return Sender(Guard(settings.policy), tls=tls, proxy=proxy)


def rules_of(settings: Settings) -> DeliveryRules:
    """Return what the worker goes by."""
    return DeliveryRules(
        schedule=settings.retry_schedule,
        timeout=settings.delivery_timeout,
        connect_timeout=settings.connect_timeout,
        disable_after=settings.disable_after,
        backlog=settings.backlog_limit,
    )
