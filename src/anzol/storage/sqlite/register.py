"""Customers, endpoints and their secrets: what people set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from hashlib import blake2b
from typing import Any

from anzol import ids
from anzol.errors import Conflict, InvalidValue, NotFound
from anzol.lifecycle import Disabled, Incident
from anzol.model import Endpoint, Secret, Unset
from anzol.storage.auditing import COLUMNS, fields_changed, write_detail
from anzol.storage.face import BY_HAND, EndpointChanges, NewEndpoint
from anzol.storage.rows import endpoint_of, seal_headers, secret_of, write_schedule
from anzol.storage.sqlite.incidents import changed
from anzol.storage.sqlite.work import Row, Work, encode, note

DISABLED, PAUSED, DELETED = 1, 2, 4  # what parks a lane, added up


def make_customer(work: Work, environment: str, uid: str) -> bytes:
    """Return the id of a customer; make its row, or revive that of a deleted one, where there is none."""
    return made_customer(work, environment, uid)[0]


def made_customer(work: Work, environment: str, uid: str) -> tuple[bytes, bool]:
    """As `make_customer`; and say whether there was none."""
    number = work.environment(environment)
    row = work.one("customer_row", environment=number, uid=uid)
    if row is None:
        work.run("customer_new", id=ids.derive(environment, uid), environment=number, uid=uid, now=work.now)
        return ids.derive(environment, uid), True
    customer_id, deleted_at = row
    if deleted_at is not None:
        work.run("customer_revived", id=customer_id, now=work.now)
    return bytes(customer_id), deleted_at is not None


def find_customer(work: Work, environment: str, uid: str) -> Row:
    """Return the row of a live customer.

    Raises:
        NotFound: there is none.
    """
    return work.the("customer", f"customer {uid!r} in {environment!r}", environment=environment, uid=uid)


def create_endpoint(work: Work, environment: str, endpoint: NewEndpoint, endpoint_id: bytes) -> Endpoint:
    """Register an endpoint, its first secret and its lane."""
    customer_id = make_customer(work, environment, endpoint.customer)
    refuse_taken(work, customer_id, endpoint.uid, 0)
    seq = work.number("anzol_endpoint")
    work.run(
        "endpoint_new",
        seq=seq,
        id=endpoint_id,
        environment=work.environment(environment),
        customer_id=customer_id,
        uid=endpoint.uid,
        url=endpoint.url,
        description=endpoint.description,
        event_types=encode(list(endpoint.event_types)),
        channels=encode(list(endpoint.channels)),
        header_names=encode([name for name, _ in endpoint.headers]),
        headers=seal_headers(work.vault, endpoint.headers, environment, customer_id, endpoint_id),
        throttle=endpoint.throttle,
        fifo=endpoint.fifo,
        contact=endpoint.contact,
        header_prefix=endpoint.header_prefix,
        schedule=write_schedule(endpoint.schedule),
        metadata=encode(dict(endpoint.metadata)),
        disabled=None if endpoint.enabled else int(Disabled.BY_CUSTOMER),
        now=work.now,
    )
    work.run("lane_new", endpoint=seq, parked=0 if endpoint.enabled else DISABLED)
    work.run("lanes_pause", scope=encode([seq]))
    add_secret(work, Place(environment, customer_id, endpoint_id, seq), endpoint.secret)
    changed(work, Incident.ENDPOINT_CREATED, seq)
    note_endpoint(work, Place(environment, customer_id, endpoint_id, seq), "endpoint.created")
    return show_endpoint(work, seq)


def note_endpoint(work: Work, place: Place, action: str, **detail: object) -> None:
    """Write down who does this to an endpoint."""
    note(work, place.environment, action, ids.show(ids.ENDPOINT, place.id), place.customer_id, write_detail(detail))


def refuse_taken(work: Work, customer_id: bytes, uid: str | None, but: int) -> None:
    """Refuse a uid that another endpoint of the customer has."""
    row = None if uid is None else work.one("endpoint_uid", customer_id=customer_id, uid=uid, but=but)
    if row is not None:
        shown = ids.show(ids.ENDPOINT, row[0])
        raise Conflict(f"The customer has another endpoint with the uid {uid!r}: {shown}.", do="Choose another uid.")


class Place:
    """Where an endpoint's secrets belong: the parts that bind their sealing."""

    __slots__ = ("customer_id", "environment", "id", "seq")

    def __init__(self, environment: str, customer_id: bytes, endpoint_id: bytes, seq: int) -> None:
        self.environment = environment
        self.customer_id = customer_id
        self.id = endpoint_id
        self.seq = seq

    @property
    def parts(self) -> tuple[str, bytes, bytes]:
        return self.environment, self.customer_id, self.id


def find_endpoint(work: Work, environment: str, endpoint_id: str) -> Place:
    """Return where an endpoint that is not deleted belongs.

    Raises:
        NotFound: there is none in this environment.
    """
    row = work.one("endpoint_place", environment=environment, id=read_id(ids.ENDPOINT, endpoint_id, "endpoint"))
    if row is None:
        raise NotFound(f"There is no endpoint {endpoint_id!r} in {environment!r}.")
    seq, raw, customer_id = row
    return Place(environment, customer_id, raw, seq)


def read_id(prefix: str, shown: str, what: str) -> bytes:
    """Read a shown id; what is none cannot be found."""
    try:
        return ids.read(prefix, shown)
    except InvalidValue as cause:
        raise NotFound(f"There is no {what} {shown!r}: {cause.what}") from cause


def show_endpoint(work: Work, seq: int) -> Endpoint:
    """Return an endpoint as users see it."""
    return endpoint_of(work.the("endpoint_row", "endpoint", seq=seq))


def update_endpoint(work: Work, environment: str, endpoint_id: str, changes: EndpointChanges) -> Endpoint:
    """Change what is given; a holder of the lane looks again."""
    place = find_endpoint(work, environment, endpoint_id)
    columns = changed_columns(work, place, changes)
    if isinstance(columns.get("uid"), str):
        refuse_taken(work, place.customer_id, columns["uid"], place.seq)
    changing = changed_fields(work, place, columns)
    for column, value in columns.items():
        work.run(f"endpoint_set_{column}", seq=place.seq, value=value)
    work.run("endpoint_updated", seq=place.seq, now=work.now)
    changed(work, Incident.ENDPOINT_UPDATED, place.seq)
    note_endpoint(work, place, "endpoint.updated", changed=changing)
    touch(work, [place.seq])
    return show_endpoint(work, place.seq)


def changed_fields(work: Work, place: Place, columns: dict[str, Any]) -> list[str]:
    """Return the names of columns that will be others, before they are."""
    row = work.the("endpoint_columns", "endpoint", seq=place.seq)
    return fields_changed(dict(zip(COLUMNS, row, strict=True)), columns)


def changed_columns(work: Work, place: Place, changes: EndpointChanges) -> dict[str, Any]:
    """Return the columns to set and their values."""
    columns: dict[str, Any] = {}
    for name in ("url", "uid", "description", "throttle", "contact", "header_prefix"):
        if not isinstance(value := getattr(changes, name), Unset):
            columns[name] = value
    for name in ("event_types", "channels"):
        if not isinstance(value := getattr(changes, name), Unset):
            columns[name] = encode(list(value))
    if not isinstance(changes.fifo, Unset):
        columns["fifo"] = int(changes.fifo)
    if not isinstance(changes.schedule, Unset):
        columns["schedule"] = write_schedule(changes.schedule)
    if not isinstance(changes.metadata, Unset):
        columns["metadata"] = encode(dict(changes.metadata))
    if not isinstance(changes.headers, Unset):
        columns["headers"] = seal_headers(work.vault, changes.headers, *place.parts)
        columns["header_names"] = encode([name for name, _ in changes.headers])
    return columns


def touch(work: Work, lanes: Sequence[int]) -> None:
    """Have lanes looked at: a held one by its holder now, a free one when its next delivery is due."""
    work.run("lanes_look", lanes=encode(list(lanes)), now=work.now)
    work.nudging = True


def delete_endpoint(work: Work, environment: str, endpoint_id: str) -> None:
    """Make a tombstone of an endpoint."""
    place = find_endpoint(work, environment, endpoint_id)
    bury(work, place.seq)
    note_endpoint(work, place, "endpoint.deleted")


def bury(work: Work, seq: int) -> None:
    """Keep of an endpoint what the history shows; its secrets go."""
    changed(work, Incident.ENDPOINT_DELETED, seq, detail=None)
    work.run("endpoint_deleted", seq=seq, now=work.now)
    work.run("endpoint_secrets_gone", endpoint=seq)
    work.run("endpoint_rules_gone", endpoint=seq)
    work.run("lane_park", endpoint=seq, flag=DELETED, now=work.now)
    work.nudging = True


def enable_endpoint(work: Work, environment: str, endpoint_id: str) -> Endpoint:
    """Let an endpoint have deliveries again, with a clean slate."""
    place = find_endpoint(work, environment, endpoint_id)
    changed(work, Incident.ENDPOINT_ENABLED, place.seq, disabled=True)
    work.run("endpoint_enabled", seq=place.seq, now=work.now)
    work.run("lane_clean", endpoint=place.seq)
    touch(work, [place.seq])
    note_endpoint(work, place, "endpoint.enabled")
    return show_endpoint(work, place.seq)


def disable_endpoint(work: Work, environment: str, endpoint_id: str, because: Disabled) -> Endpoint:
    """Park an endpoint."""
    place = find_endpoint(work, environment, endpoint_id)
    changed(work, Incident.ENDPOINT_DISABLED, place.seq, disabled=False, detail=BY_HAND)
    work.run("endpoint_disable", endpoint=place.seq, because=int(because), now=work.now)
    work.run("lane_park", endpoint=place.seq, flag=DISABLED, now=work.now)
    work.nudging = True
    note_endpoint(work, place, "endpoint.disabled", because=because.name.lower())
    return show_endpoint(work, place.seq)


def add_secret(work: Work, place: Place, secret: str) -> None:
    """Store a secret as the current one."""
    version = work.number("anzol_endpoint_secret")
    sealed = work.vault.seal(secret.encode(), "secret", *place.parts, version)
    work.run("secret_new", id=version, endpoint=place.seq, value=sealed, now=work.now)


def secrets_of(work: Work, environment: str, endpoint_id: str) -> tuple[Secret, ...]:
    """Return the live secrets, the current one first."""
    place = find_endpoint(work, environment, endpoint_id)
    rows = work.all("secrets", endpoint=place.seq, now=work.now)
    return tuple(secret_of(row, work.vault, *place.parts) for row in rows)


def rotate_secret(
    work: Work, environment: str, endpoint_id: str, secret: str, keep_old: timedelta, most: int
) -> tuple[Secret, ...]:
    """Make *secret* the current one; the one before signs for *keep_old* more, older ones no longer than they did."""
    place = find_endpoint(work, environment, endpoint_id)
    if len(work.all("secrets", endpoint=place.seq, now=work.now)) >= most:
        raise Conflict(f"The endpoint has {most} live secrets already.", do="Wait until one of them has ended.")
    until = work.now + keep_old // timedelta(microseconds=1)
    work.run("secrets_expire", endpoint=place.seq, until=until)
    add_secret(work, place, secret)
    work.run("endpoint_updated", seq=place.seq, now=work.now)
    touch(work, [place.seq])
    note_endpoint(work, place, "secret.rotated", old_signs_for=int(keep_old.total_seconds()))
    return secrets_of(work, environment, endpoint_id)


def add_outbox_source(work: Work, url: str) -> None:
    """Remember a database to be moved over, once."""
    digest = blake2b(url.encode(), digest_size=16).digest()
    if work.one("outbox_source", digest=digest) is None:
        work.run("outbox_source_new", digest=digest, url=work.vault.seal(url.encode(), "outbox", digest))


def outbox_sources(work: Work) -> tuple[str, ...]:
    """Return the databases to be moved over."""
    return tuple(work.vault.open(url, "outbox", digest).decode() for digest, url in work.all("outbox_sources"))
