"""What rows say in users' words: from an engine's rows to the model."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Final, Protocol, overload

from anzol import ids
from anzol.clock import from_micros
from anzol.errors import VaultError
from anzol.headers import TOKEN
from anzol.lifecycle import Cause, Disabled, Incident, Outcome, State, SweepState, Validation
from anzol.model import (
    Attempt,
    AuditEntry,
    Customer,
    Delivery,
    Endpoint,
    EventTypeCard,
    Health,
    PauseRule,
    Report,
    Secret,
    StoredMessage,
    Sweep,
    Timing,
    WorkerCard,
)
from anzol.storage.face import Profile, Unannounced
from anzol.storage.vault import Vault

log = logging.getLogger("anzol.storage")

CENTURY: Final = timedelta(days=36525)  # what lies further ahead than this is no plan, and soon no number of SQLite's


class Row(Protocol):
    """A row as a driver gives it: values in the order of the query."""

    def __iter__(self) -> Iterator[Any]: ...

    @overload
    def __getitem__(self, place: int, /) -> Any: ...

    @overload
    def __getitem__(self, places: slice, /) -> Sequence[Any]: ...


def when(micros: int | None) -> datetime | None:
    """Return a time that may be missing."""
    return None if micros is None else from_micros(micros)


def span(micros: int | None) -> timedelta | None:
    """Return a duration that may be missing."""
    return None if micros is None else timedelta(microseconds=micros)


def write_list(values: Sequence[object]) -> str:
    """Write names, or pairs of them, as JSON."""
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False) if values else "[]"


def pairs(text: str) -> tuple[tuple[str, str], ...]:
    """Read headers stored as JSON."""
    return tuple((name, value) for name, value in json.loads(text))


def write_schedule(schedule: Sequence[timedelta] | None) -> str | None:
    """Write a schedule as JSON: microseconds each."""
    return None if schedule is None else json.dumps([step // timedelta(microseconds=1) for step in schedule])


def read_schedule(text: str | None) -> tuple[timedelta, ...] | None:
    """Read what `write_schedule` wrote."""
    return None if text is None else tuple(timedelta(microseconds=step) for step in json.loads(text))


def write_wire(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Write headers as they came, byte for byte, as JSON."""
    # By hand in half the time of `json.dumps`: it is done for every attempt.
    written = [f"[{quoted(name.decode('latin-1'))}, {quoted(value.decode('latin-1'))}]" for name, value in headers]
    return f"[{', '.join(written)}]"


def read_wire(text: str) -> tuple[tuple[bytes, bytes], ...]:
    """Read what `write_wire` wrote."""
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in json.loads(text))


def seal_headers(vault: Vault, headers: Sequence[tuple[str, str]], *where: bytes | str | int) -> bytes | None:
    """Seal custom headers, names and values."""
    return vault.seal(json.dumps(list(headers)).encode(), "headers", *where) if headers else None


def open_headers(vault: Vault, sealed: bytes | None, *where: bytes | str | int) -> tuple[tuple[str, str], ...]:
    """Open what `seal_headers` sealed."""
    return () if not sealed else pairs(vault.open(sealed, "headers", *where).decode())


def profile_of(row: Row, vault: Vault) -> Profile:
    """Return the profile in a row of ``profiles``; blobs, and what damage may have reached, are in hexadecimal."""
    shown, owner, customer, environment, url, headers, prefix, throttle, fifo, schedule, parked, *rest = row
    failures, failing_since, open_until, circuit_step, change_at, sealed, customer_throttle = rest
    raw, customer_id = bytes.fromhex(shown), bytes.fromhex(owner)
    where = (environment, customer_id, raw)
    health = (failures, failing_since, open_until, circuit_step)
    bare = inactive(raw, customer_id, environment, bool(fifo), health, change_at)

    def whole() -> Profile:
        secrets = open_secrets(vault, [(version, bytes.fromhex(value)) for version, value in sealed], *where)
        return replace(
            bare,
            customer=text(customer) or "",
            customer_throttle=rate(customer_throttle),
            url=text(url) or "",
            secrets=secrets,
            headers=open_headers(vault, bytes.fromhex(headers or ""), *where),
            header_prefix=header_start(text(prefix)),
            throttle=rate(throttle),
            schedule=within_reach(read_schedule(text(schedule))),
            active=bool(secrets) and not parked,
        )

    return readable(bare, whole)


def inactive(
    raw: bytes,
    customer_id: bytes,
    environment: str,
    fifo: bool,
    health: tuple[int, int | None, int | None, int],
    change_at: int | None,
) -> Profile:
    """Return a profile with nothing in it that could be damaged, and to which nothing is sent.

    Args:
        health: Failures, failing since, circuit open until, circuit step.
    """
    failures, failing_since, open_until, circuit_step = health
    return Profile(
        endpoint_id=raw,
        customer="",
        customer_id=customer_id,
        environment=environment,
        url="",
        secrets=(),
        headers=(),
        header_prefix=None,
        throttle=None,
        fifo=fifo,
        schedule=None,
        active=False,
        failures=failures,
        failing_since=failing_since,
        circuit_open_until=open_until,
        circuit_step=circuit_step,
        secrets_change_at=change_at,
    )


def readable(bare: Profile, whole: Callable[[], Profile]) -> Profile:
    """Return the whole profile, or the bare one if it cannot be read: it must not stop the others."""
    try:
        return whole()
    except (VaultError, ValueError, TypeError, OverflowError) as error:
        unreadable(ids.show(ids.ENDPOINT, bare.endpoint_id), error)
        return bare


def text(value: str) -> str | None:
    """Return the text that is given in hexadecimal; empty is none."""
    return bytes.fromhex(value).decode() or None


def rate(value: str) -> int | None:
    """Return the throttle that is given in hexadecimal."""
    shown = text(value)
    if shown is not None and int(shown) < 1:
        raise ValueError(f"{shown} is not a throttle")
    return None if shown is None else int(shown)


def header_start(prefix: str | None) -> str | None:
    """Return the prefix of headers; one with a line break would write headers of its own."""
    if prefix is not None and not TOKEN.fullmatch(prefix):
        raise ValueError(f"{prefix!r} is not the start of a header's name")
    return prefix


def within_reach(schedule: tuple[timedelta, ...] | None) -> tuple[timedelta, ...] | None:
    """Return a schedule whose times are all within reach."""
    if schedule is not None and not all(timedelta(0) <= delay <= CENTURY for delay in schedule):
        raise ValueError("its schedule has a delay below zero or of more than a century")
    return schedule


def unreadable(shown: str, error: Exception) -> None:
    """Say that nothing is sent to an endpoint."""
    if isinstance(error, VaultError):
        complain(f"Nothing is sent to {shown}: {error}")
    else:
        complain(
            f"Nothing is sent to {shown}: its row, or its customer's, is damaged ({error}). Set its URL, schedule, "
            "throttles and header prefix anew, or delete it; look for who can write to the database."
        )


@lru_cache(maxsize=1000)
def complain(what: str) -> None:
    """Log *what*, once: profiles are read again and again."""
    log.error(what)


def open_secrets(vault: Vault, sealed: Iterable[tuple[int, bytes]], *where: bytes | str) -> tuple[str, ...]:
    """Open (version, value) pairs, the newest first."""
    newest_first = sorted(sealed, key=lambda pair: pair[0], reverse=True)
    return tuple(vault.open(value, "secret", *where, version).decode() for version, value in newest_first)


def endpoint_of(row: Row) -> Endpoint:
    """Return the endpoint in a row of ``endpoints``."""
    raw, uid, customer, url, description, event_types, channels, names, throttle, fifo, contact, prefix, *more = row
    schedule, metadata, disabled, created_at, updated_at, parked, failures, failing_since, open_until, waiting = more
    return Endpoint(
        id=ids.show(ids.ENDPOINT, raw),
        uid=uid,
        customer=customer,
        url=url,
        description=description,
        event_types=tuple(json.loads(event_types)),
        channels=tuple(json.loads(channels)),
        headers=tuple(json.loads(names)),
        throttle=throttle,
        fifo=bool(fifo),
        contact=contact,
        header_prefix=prefix,
        schedule=read_schedule(schedule),
        metadata=json.loads(metadata),
        enabled=disabled is None,
        disabled_because=None if disabled is None else Disabled(disabled),
        paused=bool(parked & 2),
        health=Health(failures, when(failing_since), when(open_until), waiting),
        created_at=from_micros(created_at),
        updated_at=from_micros(updated_at),
    )


def customer_of(row: Row) -> Customer:
    """Return the customer in a row of ``customers``."""
    raw, uid, name, metadata, throttle, created_at, updated_at, paused = row
    shown = ids.show(ids.CUSTOMER, raw)
    times = from_micros(created_at), from_micros(updated_at)
    return Customer(shown, uid, name, json.loads(metadata), times[0], bool(paused), throttle, times[1])


def event_type_of(row: Row) -> EventTypeCard:
    """Return the event type in a row of ``event_types``."""
    name, description, schemas, declared, group_name, archived, deprecated, flags, validation, created, updated = row
    return EventTypeCard(
        name=name,
        description=description,
        schemas=None if schemas is None else json.loads(schemas),
        declared=bool(declared),
        group_name=group_name,
        archived=bool(archived),
        deprecated=bool(deprecated),
        feature_flags=tuple(json.loads(flags)),
        validation=Validation(validation),
        created_at=from_micros(created),
        updated_at=from_micros(updated),
    )


def audit_of(row: Row) -> AuditEntry:
    """Return the entry in a row of ``audits``."""
    number, at, actor, action, object_id, customer, detail = row
    return AuditEntry(str(number), from_micros(at), actor, action, object_id, customer, json.loads(detail))


def secret_of(row: Row, vault: Vault, *where: bytes | str) -> Secret:
    """Return the secret in a row of ``secrets``."""
    version, value, created_at, expires_at = row
    opened = vault.open(value, "secret", *where, version).decode()
    return Secret(opened, from_micros(created_at), when(expires_at))


def message_of(row: Row) -> StoredMessage:
    """Return the message in a row of ``messages``."""
    raw, customer, event_type, method, content_type, body, headers, query, channels, tags, key, deliver_at, at = row
    return StoredMessage(
        id=ids.show(ids.MESSAGE, raw),
        customer=customer,
        event_type=event_type,
        method=method,
        content_type=content_type,
        body=body,
        headers=pairs(headers),
        query=query,
        channels=tuple(json.loads(channels)),
        tags=tuple(json.loads(tags)),
        key=key,
        deliver_at=when(deliver_at),
        created_at=from_micros(at),
    )


def delivery_of(row: Row) -> Delivery:
    """Return the delivery in a row of ``deliveries``."""
    message, endpoint, customer, event_type, state, cause, attempts, in_flight, parked, due_at, created_at, ended = row
    return Delivery(
        message_id=ids.show(ids.MESSAGE, message),
        endpoint_id=ids.show(ids.ENDPOINT, endpoint),
        customer=customer,
        event_type=event_type,
        state=State(state),
        cause=None if cause is None else Cause(cause),
        attempts=attempts,
        in_flight=bool(in_flight),
        parked=parked,
        due_at=when(due_at),
        created_at=from_micros(created_at),
        ended_at=when(ended),
    )


def attempt_of(row: Row) -> Attempt:
    """Return the attempt in a row of ``attempts``."""
    raw, message, endpoint, number, outcome, status, detail, note, manual, started_at, *rest = row
    resolve, connect, tls, first_byte, total, headers, body = rest
    return Attempt(
        id=ids.show(ids.ATTEMPT, raw),
        message_id=ids.show(ids.MESSAGE, message),
        endpoint_id=ids.show(ids.ENDPOINT, endpoint),
        number=number,
        outcome=Outcome(outcome),
        status=status,
        detail=detail,
        note=note,
        manual=bool(manual),
        started_at=from_micros(started_at),
        timing=Timing(span(resolve), span(connect), span(tls), span(first_byte), timedelta(microseconds=total)),
        response_headers=read_wire(headers),
        response_body=body,
    )


def report_of(row: Row) -> Report:
    """Return the incident in a row of ``incidents``."""
    number, kind, at, customer, endpoint, url, contact, message, detail = row
    return Report(
        id=number,
        kind=Incident(kind),
        at=from_micros(at),
        customer=customer,
        endpoint_id=ids.show(ids.ENDPOINT, endpoint),
        url=url,
        contact=contact,
        message_id=None if message is None else ids.show(ids.MESSAGE, message),
        detail=detail,
    )


def unannounced_of(row: Row) -> Unannounced:
    """Return the incident in a row of ``incidents_unannounced``."""
    number, kind, at, environment, owner, uid, endpoint, endpoint_uid, message, key, detail, since, *attempt = row
    attempt_id, status, started_at = attempt
    return Unannounced(
        id=number,
        kind=Incident(kind),
        at=from_micros(at),
        environment=environment,
        customer_id=ids.show(ids.CUSTOMER, owner),
        customer=uid,
        endpoint_id=ids.show(ids.ENDPOINT, endpoint),
        endpoint_uid=endpoint_uid,
        message_id=None if message is None else ids.show(ids.MESSAGE, message),
        message_key=key,
        detail=detail,
        failing_since=when(since),
        attempt_id=None if attempt_id is None else ids.show(ids.ATTEMPT, attempt_id),
        attempt_status=status,
        attempt_at=when(started_at),
    )


def rule_of(row: Row) -> PauseRule:
    """Return the rule in a row of ``pause_rules``."""
    number, customer, event_type, endpoint, created_at, actor = row
    shown = None if endpoint is None else ids.show(ids.ENDPOINT, endpoint)
    return PauseRule(number, customer, event_type, shown, from_micros(created_at), actor)


def worker_of(row: Row) -> WorkerCard:
    """Return the worker in a row of ``workers``."""
    number, host, pid, version, started_at, expires_at, lanes, in_flight = row
    return WorkerCard(number, host, pid, version, from_micros(started_at), from_micros(expires_at), lanes, in_flight)


def sweep_of(row: Row) -> Sweep:
    """Return the sweep in a row of ``sweeps``; what it has counted so far is nobody's affair before its end."""
    raw, kind, customer, endpoint_id, scope, state, changed, result, error, actor, created_at, updated_at = row
    return Sweep(
        id=ids.show(ids.SWEEP, raw),
        kind=kind,
        customer=customer,
        endpoint_id=endpoint_id,
        scope=json.loads(scope),
        state=SweepState(state),
        changed=changed,
        result=json.loads(result) if state == SweepState.FINISHED else {},
        error=error,
        actor=actor,
        created_at=from_micros(created_at),
        updated_at=from_micros(updated_at),
    )
