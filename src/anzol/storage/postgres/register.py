"""Customers, endpoints and their secrets: what people set.

Who changes an endpoint locks its row first, so that changes of one endpoint come one after another, and the row of its
lane is as its own says. In this order always: endpoints (by id), lanes (by id), customers.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from anzol import ids
from anzol.errors import Conflict, InvalidValue, NotFound
from anzol.lifecycle import Disabled, Incident
from anzol.model import Endpoint, Secret, Unset
from anzol.storage.auditing import COLUMNS, fields_changed, write_detail
from anzol.storage.face import BY_HAND, EndpointChanges, NewEndpoint
from anzol.storage.postgres.incidents import changed
from anzol.storage.postgres.texts import refuse_nul
from anzol.storage.postgres.work import Work, note
from anzol.storage.rows import endpoint_of, seal_headers, secret_of

if TYPE_CHECKING:
    from asyncpg import Record

DISABLED, PAUSED, DELETED = 1, 2, 4  # what parks a lane, added up
COUNTED: Final = 100_000  # waiting deliveries of an endpoint are counted no further
MICRO: Final = timedelta(microseconds=1)


# --- customers


async def make_customer(work: Work, environment: str, uid: str) -> bytes:
    """Return the id of a customer; make its row, or revive that of a deleted one, where there is none."""
    return (await made_customer(work, environment, uid))[0]


async def made_customer(work: Work, environment: str, uid: str) -> tuple[bytes, bool]:
    """As `make_customer`; and say whether there was none."""
    while True:
        row = await work.one("customer_row", environment=environment, uid=uid)
        if row is not None and row[1] is None:
            return bytes(row[0]), False
        if row is None:
            new = ids.derive(environment, uid)
            made = await work.one("customer_new", id=new, environment=environment, uid=uid)
        else:
            made = await work.one("customer_revived", id=row[0])
        if made is not None:
            return bytes(made[0]), True
        # Somebody else has just made it, revived it, or taken it away: look again.


async def keep_customer(work: Work, environment: str, uid: str) -> bytes:
    """As `make_customer`; and nobody deletes it before this transaction has ended."""
    while True:
        customer_id = await make_customer(work, environment, uid)
        if await work.one("customer_kept", id=customer_id) is not None:
            return customer_id


async def find_customer(work: Work, environment: str, uid: str) -> Record:
    """Return the row of a live customer.

    Raises:
        NotFound: there is none.
    """
    return await work.the("customer", f"customer {uid!r} in {environment!r}", environment=environment, uid=uid)


# --- endpoints


@dataclass(frozen=True, slots=True)
class Place:
    """Where an endpoint belongs: the parts that bind the sealing of its secrets."""

    environment: str
    customer_id: bytes
    id: bytes

    @property
    def parts(self) -> tuple[str, bytes, bytes]:
        return self.environment, self.customer_id, self.id


async def create_endpoint(work: Work, environment: str, endpoint: NewEndpoint, endpoint_id: bytes) -> Endpoint:
    """Register an endpoint, its first secret and its lane."""
    refuse_nul(**texts_of(endpoint), customer=endpoint.customer)
    await work.one("gate_shared")
    place = Place(environment, await keep_customer(work, environment, endpoint.customer), endpoint_id)
    disabled = None if endpoint.enabled else int(Disabled.BY_CUSTOMER)
    columns = columns_of(work, place, endpoint)
    while await work.one("endpoint_new", **columns, **identity(place), disabled=disabled) is None:
        await refuse_taken(work, place, endpoint.uid)  # unless the other one has just been deleted
    await work.run("lane_new", endpoint=endpoint_id, parked=0 if endpoint.enabled else DISABLED)
    await work.run("lanes_pause", lanes=[endpoint_id])
    await add_secret(work, place, endpoint.secret)
    await changed(work, Incident.ENDPOINT_CREATED, [endpoint_id])
    await note_endpoint(work, place, "endpoint.created")
    return await show_endpoint(work, endpoint_id)


async def note_endpoint(work: Work, place: Place, action: str, **detail: object) -> None:
    """Write down who does this to an endpoint."""
    shown = ids.show(ids.ENDPOINT, place.id)
    await note(work, place.environment, action, shown, place.customer_id, write_detail(detail))


def identity(place: Place) -> dict[str, Any]:
    """Return the columns that say which endpoint it is."""
    return {"id": place.id, "environment": place.environment, "customer_id": place.customer_id}


def texts_of(given: NewEndpoint | EndpointChanges) -> dict[str, Any]:
    """Return the texts that are given, by name."""
    names = ("uid", "url", "description", "event_types", "channels", "contact", "header_prefix")
    return {name: value for name in names if not isinstance(value := getattr(given, name), Unset)}


def columns_of(work: Work, place: Place, given: NewEndpoint | EndpointChanges) -> dict[str, Any]:
    """Return the columns of what is given."""
    columns = texts_of(given)
    for name in ("throttle", "fifo"):
        if not isinstance(value := getattr(given, name), Unset):
            columns[name] = value
    if not isinstance(schedule := given.schedule, Unset):
        columns["schedule"] = None if schedule is None else [step // MICRO for step in schedule]
    if not isinstance(metadata := given.metadata, Unset):
        columns["metadata"] = json.dumps(dict(metadata))
    if not isinstance(headers := given.headers, Unset):
        columns["headers"] = seal_headers(work.vault, headers, *place.parts)
        columns["header_names"] = [name for name, _ in headers]
    return columns


async def refuse_taken(work: Work, place: Place, uid: str | None) -> None:
    """Refuse a uid that another endpoint of the customer has.

    Raises:
        Conflict: one has it.
    """
    row = None
    if uid is not None:
        row = await work.one("endpoint_uid", customer_id=place.customer_id, uid=uid, but=place.id)
    if row is not None:
        shown = ids.show(ids.ENDPOINT, row[0])
        raise Conflict(f"The customer has another endpoint with the uid {uid!r}: {shown}.", do="Choose another uid.")


async def find_endpoint(work: Work, environment: str, endpoint_id: str) -> Place:
    """Return where an endpoint that is not deleted belongs.

    Raises:
        NotFound: there is none in this environment.
    """
    row = await work.one("endpoint_place", environment=environment, id=read_id(ids.ENDPOINT, endpoint_id, "endpoint"))
    if row is None:
        raise NotFound(f"There is no endpoint {endpoint_id!r} in {environment!r}.")
    return Place(environment, row[1], row[0])


async def hold_endpoint(work: Work, environment: str, endpoint_id: str) -> Place:
    """As `find_endpoint`; from here on nobody else changes it."""
    raw = read_id(ids.ENDPOINT, endpoint_id, "endpoint")
    await work.run("endpoints_lock", endpoints=[raw])
    place = await find_endpoint(work, environment, endpoint_id)
    await lock_lanes(work, [raw])
    return place


def read_id(prefix: str, shown: str, what: str) -> bytes:
    """Read a shown id; what is none cannot be found."""
    try:
        return ids.read(prefix, shown)
    except InvalidValue as cause:
        raise NotFound(f"There is no {what} {shown!r}: {cause.what}") from cause


async def show_endpoint(work: Work, endpoint_id: bytes) -> Endpoint:
    """Return an endpoint as users see it."""
    return endpoint_of(await work.the("endpoint_row", "endpoint", id=endpoint_id, bound=COUNTED))


async def update_endpoint(work: Work, environment: str, endpoint_id: str, changes: EndpointChanges) -> Endpoint:
    """Change what is given; a holder of the lane looks again."""
    refuse_nul(**texts_of(changes))
    place = await hold_endpoint(work, environment, endpoint_id)
    columns = columns_of(work, place, changes)
    if columns.get("uid") is not None:
        await work.one("customer_locked", id=place.customer_id)  # of two that take one uid, one comes first
        await refuse_taken(work, place, columns["uid"])
    former = await work.the("endpoint_columns", "endpoint", id=place.id)
    await work.run("endpoint_changed", **(NOTHING | columns), id=place.id, given=list(columns))
    await changed(work, Incident.ENDPOINT_UPDATED, [place.id])
    await look(work, [place.id])
    changing = fields_changed(dict(zip(COLUMNS, former, strict=True)), columns)
    await note_endpoint(work, place, "endpoint.updated", changed=changing)
    return await show_endpoint(work, place.id)


NOTHING: Final = dict.fromkeys(
    (
        "url",
        "uid",
        "description",
        "event_types",
        "channels",
        "header_names",
        "headers",
        "throttle",
        "fifo",
        "contact",
        "header_prefix",
        "schedule",
        "metadata",
    )
)


async def delete_endpoint(work: Work, environment: str, endpoint_id: str) -> None:
    """Make a tombstone of an endpoint."""
    place = await hold_endpoint(work, environment, endpoint_id)
    await bury(work, [place.id])
    await note_endpoint(work, place, "endpoint.deleted")


async def bury(work: Work, endpoints: Sequence[bytes]) -> None:
    """Keep of endpoints what the history shows; their secrets go."""
    if not endpoints:
        return
    await work.run("endpoints_lock", endpoints=endpoints)
    await lock_lanes(work, endpoints)
    await changed(work, Incident.ENDPOINT_DELETED, endpoints, detail=None)
    for query in ("endpoint_deleted", "endpoint_secrets_gone", "endpoint_rules_gone"):
        await work.run(query, endpoints=endpoints)
    await park(work, endpoints, DELETED)


async def enable_endpoint(work: Work, environment: str, endpoint_id: str) -> Endpoint:
    """Let an endpoint have deliveries again, with a clean slate."""
    place = await hold_endpoint(work, environment, endpoint_id)
    await changed(work, Incident.ENDPOINT_ENABLED, [place.id], disabled=True)
    await work.run("endpoint_enabled", id=place.id)
    await work.run("lane_clean", endpoint=place.id)
    await look(work, [place.id])
    await note_endpoint(work, place, "endpoint.enabled")
    return await show_endpoint(work, place.id)


async def disable_endpoint(work: Work, environment: str, endpoint_id: str, because: Disabled) -> Endpoint:
    """Park an endpoint."""
    place = await hold_endpoint(work, environment, endpoint_id)
    await changed(work, Incident.ENDPOINT_DISABLED, [place.id], disabled=False, detail=BY_HAND)
    await work.run("endpoint_disabled", id=place.id, because=int(because))
    await park(work, [place.id], DISABLED)
    await note_endpoint(work, place, "endpoint.disabled", because=because.name.lower())
    return await show_endpoint(work, place.id)


# --- lanes


async def touch(work: Work, lanes: Iterable[bytes]) -> None:
    """Have lanes looked at: a held one by its holder now, a free one when its next delivery is due."""
    await look(work, await lock_lanes(work, lanes))


async def lock_lanes(work: Work, lanes: Iterable[bytes]) -> list[bytes]:
    """Lock lanes, in order of their endpoints; return those that there are."""
    wanted = list(lanes)
    return await work.column("lanes_lock", lanes=wanted) if wanted else []


async def look(work: Work, lanes: Sequence[bytes]) -> None:
    """As `touch`, for lanes that are locked."""
    if not lanes:
        return
    for holder, due in await work.all("lanes_look", lanes=lanes):
        if holder is not None:
            work.holders.add(holder)
        elif due:
            work.nudging = True


async def park(work: Work, lanes: Sequence[bytes], flag: int) -> None:
    """Park lanes that are locked; their holders see it now."""
    holders = await work.column("lanes_park", lanes=lanes, flag=flag)
    work.holders.update(holder for holder in holders if holder is not None)


# --- secrets


async def add_secret(work: Work, place: Place, secret: str) -> None:
    """Store a secret as the current one."""
    version = int((await work.the("secret_version", "version"))[0])
    sealed = work.vault.seal(secret.encode(), "secret", *place.parts, version)
    await work.run("secret_new", id=version, endpoint=place.id, value=sealed)


async def secrets_of(work: Work, environment: str, endpoint_id: str) -> tuple[Secret, ...]:
    """Return the live secrets, the current one first."""
    place = await find_endpoint(work, environment, endpoint_id)
    return tuple(secret_of(row, work.vault, *place.parts) for row in await work.all("secrets", endpoint=place.id))


async def rotate_secret(
    work: Work, environment: str, endpoint_id: str, secret: str, keep_old: timedelta, most: int
) -> tuple[Secret, ...]:
    """Make *secret* the current one; the one before signs for *keep_old* more, older ones no longer than they did."""
    place = await hold_endpoint(work, environment, endpoint_id)
    if len(await work.all("secrets", endpoint=place.id)) >= most:
        raise Conflict(f"The endpoint has {most} live secrets already.", do="Wait until one of them has ended.")
    await work.run("secrets_expire", endpoint=place.id, keep=keep_old // MICRO)
    await add_secret(work, place, secret)
    await work.run("endpoint_touched", id=place.id)
    await look(work, [place.id])
    await note_endpoint(work, place, "secret.rotated", old_signs_for=int(keep_old.total_seconds()))
    return await secrets_of(work, environment, endpoint_id)


# --- what else is registered


async def add_outbox_source(work: Work, url: str) -> None:
    """Remember a database to be moved over, once."""
    digest = blake2b(url.encode(), digest_size=16).digest()
    await work.run("outbox_source_new", digest=digest, url=work.vault.seal(url.encode(), "outbox", digest))


async def outbox_sources(work: Work) -> tuple[str, ...]:
    """Return the databases to be moved over."""
    return tuple(work.vault.open(url, "outbox", digest).decode() for digest, url in await work.all("outbox_sources"))
