"""What the words of a message stand for: whose the application is, and how its event type is sent."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from anzol import ids
from anzol.actors import acting
from anzol.api.access import Caller, find_customer
from anzol.api.application import ApplicationIn, make
from anzol.api.ground import Ground, Place
from anzol.api.problems import Problem, fault
from anzol.catalog import Catalog, EventType
from anzol.encoding import Pair, Parameter, header_pairs, query_text
from anzol.errors import InvalidValue, NotFound, UnknownWebhook
from anzol.model import Customer
from anzol.registry.customers import TURNOVER

JSON: Final = "application/json"
NAMES: Final = 10_000  # applications that are remembered
FRESH: Final = 5.0  # seconds for which that is believed


class Names:
    """Remembers whose an application's id or uid is; only those that are there, and for seconds."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()
        self._turnover = TURNOVER.count

    def get(self, environment: str, name: str) -> str | None:
        """Return the customer's uid, if it is known."""
        if self._turnover != TURNOVER.count:
            self._known.clear()
            self._turnover = TURNOVER.count
        found = self._known.get((environment, name))
        return found[0] if found is not None and found[1] > time.monotonic() else None

    def put(self, environment: str, name: str, uid: str, *, looked: float, turnover: int) -> None:
        """Remember what was found out, unless a customer was renamed meanwhile.

        Args:
            looked: When it was begun to be found out.
            turnover: What `TURNOVER` was then.
        """
        if turnover == TURNOVER.count:
            self._known[environment, name] = uid, looked + FRESH
            if len(self._known) > NAMES:
                self._known.popitem(last=False)


@dataclass(frozen=True, slots=True)
class Form:
    """How messages of an event type are sent: what the application's code declares beside the body."""

    method: str = "POST"
    content_type: str = JSON
    declared_headers: tuple[Parameter, ...] = ()
    declared_query: tuple[Parameter, ...] = ()

    @property
    def headers(self) -> tuple[Pair, ...]:
        """The declared headers, with their defaults."""
        return header_pairs(self.declared_headers, defaults(self.declared_headers)) if self.declared_headers else ()

    @property
    def query(self) -> str:
        """The declared query, with its defaults."""
        return query_text(self.declared_query, defaults(self.declared_query)) if self.declared_query else ""


PLAIN: Final = Form()


class Forms:
    """Finds out how an event type is sent.

    Where the application's code declares a catalog, a name that is neither there nor stored is a mistake. Where it
    declares nothing, any name will do. An archived type is sent like any other: it is not offered any more to those
    who choose, and whoever chose it before gets it on.
    """

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._catalog: Catalog | None = None
        self._forms: dict[str, Form] = {}

    async def find(self, environment: str, event_type: str) -> Form:
        """Return how it is sent.

        Raises:
            InvalidValue: it is unknown, or cannot be sent by its name and body alone.
        """
        catalog = self._ground.declared()
        if self._catalog is not catalog:
            self._catalog, self._forms = catalog, {}
        if not len(catalog):
            return PLAIN
        form = self._forms.get(event_type)
        if form is None:
            if event_type not in catalog.names:
                await self._check_stored(environment, event_type, catalog)
                return PLAIN
            form = self._forms[event_type] = form_of(catalog, event_type)
        return form

    async def _check_stored(self, environment: str, event_type: str, catalog: Catalog) -> None:
        storage = await self._ground.storage()
        try:
            await storage.event_type(environment, event_type)
        except NotFound:
            try:
                catalog.find(event_type)
            except UnknownWebhook as error:
                raise InvalidValue(str(error), field="event_type") from None


def form_of(catalog: Catalog, name: str) -> Form:
    """Return how a declared event type is sent; of several methods POST, or else the first.

    Raises:
        InvalidValue: its body is no JSON, or it has headers or a query that must be given.
    """
    events = [event for event in catalog if event.name == name]
    event = next((event for event in events if event.method == "POST"), events[0])
    missing = [part.name for part in (*event.headers, *event.query) if part.default is None]
    if missing or not is_json(event):
        why = f"It is declared with {', '.join(missing)}" if missing else "Its body is no JSON"
        raise InvalidValue(f"{name!r} can be sent by the application's code alone.", field="event_type", do=f"{why}.")
    return Form(event.method, event.media_type, event.headers, event.query)


def is_json(event: EventType) -> bool:
    """Say whether an event type's body is JSON."""
    return event.media_type == JSON or event.media_type.endswith("+json")


def defaults(parameters: Sequence[Parameter]) -> dict[str, object]:
    """Return each parameter's default; all have one."""
    return {part.name: part.default() for part in parameters if part.default is not None}


async def customer_or_made(place: Place, caller: Caller, name: str, inline: ApplicationIn | None) -> Customer:
    """Return the customer that the path names, made if it is not there and comes along; raises Problem."""
    try:
        return await find_customer(place, caller, name)
    except Problem:
        if inline is None:
            raise
    with acting(caller.actor):
        customer, _ = await make(place, named(inline, name))
    return customer


def named(inline: ApplicationIn, name: str) -> ApplicationIn:
    """Return an application that comes along with something, under the uid that the path gives it; raises Problem."""
    if name.startswith(ids.CUSTOMER):
        raise missing(name)
    if inline.uid not in (None, name):
        raise fault("application.uid", f"It is {inline.uid!r}, and the path says {name!r}.")
    try:
        return ApplicationIn.model_validate({**inline.model_dump(), "uid": name})
    except ValueError:
        raise missing(name) from None  # nothing that could be one's uid


def missing(name: str) -> Problem:
    """Return the problem of an application that is not there."""
    return Problem("not_found", f"There is no application {name[:300]!r}.")
