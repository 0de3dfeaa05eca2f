"""What a `Webhooks` stands on once it is used. Nothing is read or opened before; everything is made on first use."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from anzol.addresses import check_url
from anzol.api.ground import Ground
from anzol.catalog import Catalog, Encoded, Envelope, EventType
from anzol.clock import Clock, SystemClock, from_micros
from anzol.declarations import Source, read
from anzol.errors import DeclarationError, NameNotResolved, SettingsError, UnknownWebhook
from anzol.guard import Guard
from anzol.openapi import webhooks_document
from anzol.outbox import Intake, Webhook
from anzol.registry import Records
from anzol.settings import Settings
from anzol.storage.face import Storage
from anzol.storage.foreign import ForeignOutbox
from anzol.storage.places import PostgresPlace, SqlitePlace

if TYPE_CHECKING:
    from fastapi import FastAPI

    from anzol.sender import Sender

T = TypeVar("T")
PATIENCE: Final = 3.0  # seconds for a name's look-up when an endpoint is set; at delivery it is looked up again

logger = logging.getLogger("anzol")


class Core:
    """Settings, catalog and storage of one `Webhooks`; each made when it is first asked for, in each process.

    Made without locks: of two threads that ask first the slower one's copy is dropped unopened, and a fork in between
    leaves nothing held.
    """

    def __init__(self, source: Source, settings: Settings | None) -> None:
        self.source = source
        self.clock: Clock = SystemClock()
        self.sessions = ForeignOutbox(self.storage, self.storage_sync, self.opened)
        self._settings = settings
        self._opened: dict[str, Storage] = {}
        self._intake: Intake | None = None
        self._ready_in = 0  # the process in which storage is ready
        self._apps: list[weakref.ref[FastAPI]] = []
        self.used: Callable[[], None] = lambda: None  # told of every use on an event loop

    # --- settings and storage ---

    @property
    def settings(self) -> Settings:
        if self._settings is None:
            self._settings = Settings()
        return self._settings

    def stand_on(self, settings: Settings, clock: Clock) -> Callable[[], None]:
        """Stand on other settings and another clock, as a test bench does; return what puts all back as it was."""
        former = self._settings, self.clock, self.sessions, self._opened, self._intake, self._ready_in
        self._settings, self.clock = settings, clock
        self.sessions = ForeignOutbox(self.storage, self.storage_sync, self.opened)
        self._opened, self._intake, self._ready_in = {}, None, 0

        def back() -> None:
            self._settings, self.clock, self.sessions, self._opened, self._intake, self._ready_in = former

        return back

    def opened(self) -> Storage:
        """Return the database, which may not be ready yet."""
        storage = self._opened.get("storage")
        return storage or self._opened.setdefault("storage", open_storage(self.settings, self.clock))

    async def storage(self) -> Storage:
        """Return the database, ready: migrated, and its deployment mark checked."""
        storage = self.opened()
        if self._ready_in != os.getpid():
            await self._migrate_in_development()
            await storage.prepare(deployment=self.settings.mark)
            self._ready_in = os.getpid()
        self.used()
        return storage

    async def _migrate_in_development(self) -> None:
        """Bring PostgreSQL up to date where it is nobody's decision; a SQLite file is brought up to date everywhere."""
        place = self.settings.place
        if self.settings.dev and isinstance(place, PostgresPlace):
            from anzol.storage.opening import migrate

            await migrate(place)

    def storage_sync(self) -> Storage:
        """As `storage`, from code without an event loop."""
        if self._ready_in != os.getpid():
            finish(self.storage())
        return self.opened()

    async def close(self) -> None:
        """Finish what was accepted and close files; what is used afterwards is opened again."""
        await asyncio.to_thread(self.sessions.close)
        if "storage" in self._opened:
            await self._opened["storage"].close()

    # --- the uses ---

    @property
    def intake(self) -> Intake:
        if self._intake is None:
            settings = self.settings
            self._intake = Intake(
                environment=settings.environment,
                payload_limit=settings.payload_limit,
                farthest=settings.retention / 2,
                clock=self.clock,
                encode=self.encode,
                storage=self.storage,
                storage_sync=self.storage_sync,
                sessions=self.sessions,
            )
        return self._intake

    @property
    def records(self) -> Records:
        return Records(
            environment=self.settings.environment,
            storage=self.storage,
            check_target=self.check_target,
            names=lambda: self.catalog.names,
            name_of=lambda function: self.find(function, None).name,
            random=os.urandom,
            clock=self.clock,
        )

    @property
    def ground(self) -> Ground:
        """What the REST API stands on."""
        return Ground(
            settings=lambda: self.settings,
            clock=self.clock,
            random=os.urandom,
            storage=self.storage,
            records=lambda: self.records,
            intake=lambda: self.intake,
            jwt_secrets=lambda: self.settings.jwt_secrets,
            declared=lambda: self.catalog,
            document=self.document,
            sender=self.sender,
        )

    def sender(self) -> Sender:
        """Make a sender for the running event loop: behind the guard, through the proxy if there is one."""
        from anzol.app.delivering import make_sender  # which stands on this

        return make_sender(self.settings)

    def document(self) -> dict[str, Any]:
        """Return the OpenAPI document of the declared webhooks."""
        return webhooks_document(self.sources[0], schedule=LazySchedule(self))

    async def check_target(self, url: str) -> None:
        """Refuse a URL that may not be delivered to. A name that does not resolve yet may: each attempt looks anew."""
        target = check_url(url, self.settings.policy)
        guard = Guard(self.settings.policy)
        try:
            async with asyncio.timeout(PATIENCE):
                await guard.addresses(target)
        except (NameNotResolved, TimeoutError):
            logger.info("The host %s of a new endpoint does not resolve yet.", target.host)
        finally:
            await guard.close()

    # --- the catalog ---

    def add_app(self, app: FastAPI) -> None:
        """Take the application's own webhooks as the catalog, the latest application's first."""
        self._apps.insert(0, weakref.ref(app))

    @property
    def sources(self) -> list[Source]:
        """Where webhooks are declared: on the installed applications that are still there; else as given."""
        alive: list[Source] = [app for app in (known() for known in self._apps) if app is not None]
        return alive or [self.source]

    @property
    def has_app(self) -> bool:
        """Whether there is an application to declare webhooks on."""
        return any(known() is not None for known in self._apps)

    @property
    def catalog(self) -> Catalog:
        """All that is declared now; what was declared late is there."""
        return read(self.sources[0])

    def find(self, webhook: Webhook, method: str | None) -> EventType:
        """Return the declared event type; raises UnknownWebhook."""
        return self.find_catalog(webhook, method).find(webhook, method=method)

    def encode(self, webhook: Webhook, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None) -> Encoded:
        """Validate and encode once; raises UnknownWebhook and InvalidPayload."""
        return self.find_catalog(webhook, method).encode(webhook, args, kwargs, method=method)

    def envelope(self, webhook: Webhook, data: T, timestamp: datetime | None) -> Envelope[T]:
        """Put *data* into an envelope with the event's name; of now, if no time is given."""
        at = timestamp or from_micros(self.clock.micros())
        return self.find_catalog(webhook, None).envelope(webhook, data, timestamp=at)

    def find_catalog(self, webhook: Webhook, method: str | None) -> Catalog:
        """Return the catalog that has *webhook*; the first one, where none has."""
        first, *others = self.sources
        catalog = read(first)
        for other in others:
            try:
                catalog.find(webhook, method=method)
                break
            except UnknownWebhook:
                catalog = read(other)
        return catalog

    def check_installed(self, app: FastAPI) -> None:
        """Refuse a router that *app* does not have among its webhooks: it would be neither documented nor sent."""
        if self.source is app:
            return
        there = {event.function for event in read(app)}
        missing = [event.name for event in read(self.source) if event.function not in there]
        if missing:
            raise DeclarationError(
                f"{', '.join(missing)}: declared on a router that is not part of app.webhooks.",
                do="Write FastAPI(webhooks=router), or app.webhooks.include_router(router).",
            )


class LazySchedule(Sequence[timedelta]):
    """The schedule of the settings, which are not read before somebody looks at it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def __len__(self) -> int:
        return len(self._core.settings.retry_schedule)

    @overload
    def __getitem__(self, index: int) -> timedelta: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[timedelta]: ...

    def __getitem__(self, index: int | slice) -> timedelta | Sequence[timedelta]:
        return self._core.settings.retry_schedule[index]


def open_storage(settings: Settings, clock: Clock) -> Storage:
    """Make the storage that the settings name; it opens its database when it is first used.

    Raises:
        SettingsError: the folder of the database is not there; on PostgreSQL, the secret key or asyncpg is missing.
        VaultError: the key file is gone, or cannot be read or made.
    """
    from anzol.storage import opening

    place = settings.place
    if isinstance(place, SqlitePlace) and not place.path.parent.is_dir():
        folder = place.path.parent
        raise SettingsError(f"The folder {folder} of the database is not there.", do="Make it, or name another.")
    old = tuple(key.get_secret_value() for key in settings.old_secret_keys)
    logger.info("The database is %s.", place)
    return opening.storage_at(place, clock=clock, secret_key=settings.plain_key, old_keys=old)


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run *coroutine* to its end from code that cannot await; in a thread of its own if a loop runs in this one."""
    return in_thread(lambda: asyncio.run(coroutine)) if loop_runs() else asyncio.run(coroutine)


def loop_runs() -> bool:
    """Say whether an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def in_thread(act: Callable[[], T]) -> T:
    """Do *act* in a thread of its own and wait for it."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(act())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            failed.append(error)

    thread = threading.Thread(target=run, name="anzol-wait")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]
