"""What the facts mean: one function a question, each saying what is wrong, and what to do. No I/O in here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from anzol.cli import serverfindings
from anzol.cli.facts import Facts
from anzol.cli.finding import Finding, Level, errored
from anzol.cli.plan import INBOX_UID
from anzol.cli.screen import count, moment, span
from anzol.errors import AddressRefused
from anzol.lifecycle import Disabled
from anzol.model import Endpoint

NETWORK_FILESYSTEMS: Final = frozenset(
    {"nfs", "nfs3", "nfs4", "cifs", "smb3", "smbfs", "9p", "fuse.sshfs", "glusterfs"}
)
SHORT_DISK: Final = 256 * 1024 * 1024
LONG_WAL: Final = 1024 * 1024 * 1024
FEW_DESCRIPTORS: Final = 2048
SKEW: Final = timedelta(seconds=60)
Network = IPv4Network | IPv6Network

OVERDUE: Final = timedelta(seconds=60)
KEY_LENGTH: Final = 32  # characters
LEFT_BY_DEV: Final = (
    "It is the test inbox of `anzol dev`, which alone may reach it. Elsewhere: anzol endpoints delete {} --yes"
)
NAMED: Final = 3  # endpoints that a finding names


# --- the app


def app_is_there(facts: Facts) -> Iterator[Finding]:
    """Is the app found, does importing it work, has it a Webhooks?"""
    if facts.app_error is not None:
        yield errored("app", facts.app_error)


def settings_hold(facts: Facts) -> Iterator[Finding]:
    """Is every setting known and possible?"""
    if facts.settings_error is not None:
        yield errored("settings", facts.settings_error)


def declarations_hold(facts: Facts) -> Iterator[Finding]:
    """Can what is declared be sent? A router that became paths is found here, too."""
    for lint in facts.lints:
        level = Level.ERROR if lint.fatal else Level.WARNING
        yield Finding(level, "declarations", f"webhook {lint.webhook!r}: {lint.problem}", lint.do)


def something_is_declared(facts: Facts) -> Iterator[Finding]:
    """Does the app declare a webhook at all?"""
    if facts.with_app and not facts.declared and not facts.lints and facts.app_error is None:
        yield Finding(
            Level.WARNING, "nothing-declared", "The app declares no webhooks.", "Write @app.webhooks.post(...)."
        )


def subscriptions_are_declared(facts: Facts) -> Iterator[Finding]:
    """Does an endpoint wait for an event type that nobody sends?"""
    if not facts.declared:
        return
    wanted: dict[str, list[Endpoint]] = {}
    for endpoint in facts.endpoints:
        for name in set(endpoint.event_types) - set(facts.declared):
            wanted.setdefault(name, []).append(endpoint)
    for name, endpoints in sorted(wanted.items()):
        subscribed = f"{count(len(endpoints), 'endpoint')} subscribed: {named(endpoints)}"
        yield Finding(
            Level.WARNING,
            "subscription",
            f"{name!r} is not declared by the app, but {subscribed}.",
            "Declare it, or change the endpoints: anzol endpoints update ID --event-type ...",
        )


# --- the database


def database_can_be_written(facts: Facts) -> Iterator[Finding]:
    """Is there a folder, and may this user write the file and its neighbours in it?"""
    file = facts.database
    if file is None:
        return
    if not file.folder_exists:
        yield Finding(Level.ERROR, "database", f"The folder {file.path.parent} is not there.", "Make it.")
    elif not file.folder_writable:
        yield Finding(
            Level.ERROR,
            "database",
            f"The folder {file.path.parent} cannot be written; SQLite keeps its log beside the database.",
            "Give this user the right to write in it.",
        )
    elif file.exists and not file.writable:
        yield Finding(Level.ERROR, "database", f"{file.path} cannot be written.", "Check its owner and mode.")


def database_is_there(facts: Facts) -> Iterator[Finding]:
    """Has the database been made?"""
    file = facts.database
    if file is not None and file.folder_exists and not file.exists:
        yield Finding(
            Level.NOTE, "no-database", f"There is no database {file.path} yet.", "The app makes it, or: anzol migrate"
        )


def database_is_chosen(facts: Facts) -> Iterator[Finding]:
    """Is the database where it is because somebody said so?"""
    settings = facts.settings
    if settings is not None and "database_url" not in settings.model_fields_set and not settings.dev:
        yield Finding(
            Level.WARNING,
            "database-implicit",
            "ANZOL_DATABASE_URL is not set: the database is anzol.db in whatever folder the app is started from.",
            "Set it to an absolute path: sqlite:////var/lib/app/anzol.db",
        )


def disk_is_local(facts: Facts) -> Iterator[Finding]:
    """Is the file on a disk of this machine? Locks and shared memory do not reach over a network."""
    file = facts.database
    if file is not None and file.filesystem in NETWORK_FILESYSTEMS:
        yield Finding(
            Level.ERROR,
            "network-disk",
            f"{file.path} is on a network filesystem ({file.filesystem}), where SQLite's locks do not hold.",
            "Put it on a local disk.",
        )


def disk_has_room(facts: Facts) -> Iterator[Finding]:
    """Is there room for what will be accepted?"""
    file = facts.database
    if file is not None and file.total and file.free < SHORT_DISK:
        megabytes = file.free // (1024 * 1024)
        yield Finding(
            Level.ERROR,
            "disk-full",
            f"{megabytes} MB are left on the disk of {file.path}; when it is full, nothing is accepted.",
            "Make room, or shorten ANZOL_RETENTION.",
        )


def log_is_short(facts: Facts) -> Iterator[Finding]:
    """Does something keep SQLite from folding its log back into the database?"""
    file = facts.database
    if file is not None and file.wal > LONG_WAL:
        yield Finding(
            Level.WARNING,
            "long-log",
            f"The log of {file.path} has {file.wal // (1024 * 1024):,} MB: a reader has it open for long.",
            "Find the program that reads the file (a backup, a shell) and end its transaction.",
        )


def key_is_long(facts: Facts) -> Iterator[Finding]:
    """Is the key one that nobody guesses?"""
    key = None if facts.settings is None else facts.settings.secret_key
    length = None if key is None else len(key.get_secret_value())
    if length is not None and length < KEY_LENGTH:
        what = f"ANZOL_SECRET_KEY has {length} characters: whoever has the database may guess it."
        do = f"Take {KEY_LENGTH} or more; keep this one in ANZOL_OLD_SECRET_KEYS, then run `anzol secrets rekey`."
        yield Finding(Level.WARNING, "key-length", what, do)


def key_is_kept(facts: Facts) -> Iterator[Finding]:
    """Is the key file there, and is it for its owner's eyes only?"""
    key, settings = facts.key, facts.settings
    if key is None or settings is None or settings.secret_key is not None:
        return
    if key.exists and key.mode & 0o077:
        yield Finding(
            Level.ERROR,
            "key-file",
            f"Others may read {key.path} (mode {key.mode:o}): whoever has it opens every endpoint's secret.",
            f"chmod 600 {key.path}",
        )
    if not key.exists and facts.database is not None and facts.database.exists:
        yield Finding(
            Level.ERROR,
            "key-file",
            f"The key file {key.path} is missing; the endpoints' secrets cannot be opened without it.",
            "Put it back beside the database, or set ANZOL_SECRET_KEY to what was in it.",
        )


def schema_fits(facts: Facts) -> Iterator[Finding]:
    """Has the database the schema that this Anzol works with?"""
    if facts.schema is None:
        return
    there, here = facts.schema
    if there < here:
        what = f"The database's schema is {there}, this Anzol works with {here}."
        yield Finding(Level.ERROR, "schema", what, "anzol migrate")
    if there > here:
        what = f"The database's schema is {there}, of a newer Anzol; this one knows {here}."
        yield Finding(Level.ERROR, "schema", what, "Install the newer version.")


def storage_answers(facts: Facts) -> Iterator[Finding]:
    """Can the database be opened: right key, right deployment, not locked?"""
    if facts.storage_error is not None:
        yield errored("storage", facts.storage_error)


def sources_answer(facts: Facts) -> Iterator[Finding]:
    """Can every database that `session=` wrote to be reached, and has it the table?"""
    for source in facts.sources:
        if source.error is not None:
            yield Finding(Level.ERROR, "outbox", f"{source.shown}: {source.error.what}", source.error.do)


# --- the work


def somebody_works(facts: Facts) -> Iterator[Finding]:
    """Is work overdue while no worker is alive?"""
    status, settings = facts.status, facts.settings
    if status is None or status.workers:
        return
    if status.oldest_due is not None and facts.now - status.oldest_due > OVERDUE:
        waited = span(facts.now - status.oldest_due)
        number = count(status.accepted_waiting + status.due, "message or delivery", "messages and deliveries")
        yield Finding(
            Level.ERROR,
            "no-worker",
            f"{number} overdue, the oldest for {waited}, and no worker is alive.",
            "anzol worker",
        )
    elif settings is not None and not settings.worker:
        yield Finding(
            Level.WARNING, "no-worker", "ANZOL_WORKER is off, and no worker is alive.", "Start one: anzol worker"
        )


def work_keeps_up(facts: Facts) -> Iterator[Finding]:
    """Do the workers keep up?"""
    status = facts.status
    if status is None or not status.workers or status.oldest_due is None:
        return
    if (late := facts.now - status.oldest_due) > OVERDUE:
        yield Finding(
            Level.WARNING,
            "behind",
            f"The oldest due delivery has waited for {span(late)} though {count(len(status.workers), 'worker')} work.",
            "Look at anzol attempts --failed, and at the machine's load.",
        )


def workers_are_near(facts: Facts) -> Iterator[Finding]:
    """Are all workers on this machine? A SQLite file is for one machine."""
    workers = facts.status.workers if facts.status is not None and facts.database is not None else ()
    strangers = sorted({worker.host for worker in workers} - {facts.host})
    if strangers:
        yield Finding(
            Level.ERROR,
            "other-host",
            f"Workers on {', '.join(strangers)} use this SQLite file, too; that is safe within one machine only.",
            "Run the workers where the file is (a container counts as a machine unless it has the same host name).",
        )


def workers_agree(facts: Facts) -> Iterator[Finding]:
    """Are all workers of one version?"""
    workers = facts.status.workers if facts.status is not None else ()
    versions = sorted({worker.version for worker in workers})
    if len(versions) > 1:
        what = f"Workers of several versions are alive: {', '.join(versions)}."
        yield Finding(Level.WARNING, "versions", what, "Restart the older ones.")


def clocks_agree(facts: Facts) -> Iterator[Finding]:
    """Do other processes' times lie in the future of this clock?"""
    latest = facts.newest.created_at if facts.newest is not None else facts.now
    started = [worker.started_at for worker in (facts.status.workers if facts.status is not None else ())]
    ahead = max([latest, *started]) - facts.now
    if ahead > SKEW:
        yield Finding(
            Level.ERROR,
            "clock",
            f"The database has times {span(ahead)} ahead of this clock: deliveries wait until then.",
            "Set this machine's clock (NTP); receivers refuse what is signed more than 5 minutes off.",
        )


def nothing_is_paused(facts: Facts) -> Iterator[Finding]:
    """Is something held back?"""
    for rule in facts.pauses:
        parts = {"customer": rule.customer, "event type": rule.event_type, "endpoint": rule.endpoint_id}
        meant = ", ".join(f"{name} {value}" for name, value in parts.items() if value is not None) or "Everything"
        what = f"Paused since {moment(rule.created_at)} by {rule.actor}: {meant}."
        yield Finding(Level.NOTE, "paused", what, "anzol resume")


def descriptors_suffice(facts: Facts) -> Iterator[Finding]:
    """May a worker have its thousand connections?"""
    if facts.descriptors is not None and facts.descriptors < FEW_DESCRIPTORS:
        yield Finding(
            Level.WARNING,
            "descriptors",
            f"A process may have {facts.descriptors:,} files open; a worker has up to 1,000 requests under way.",
            "ulimit -n 8192, or LimitNOFILE=8192 in the systemd unit.",
        )


# --- the endpoints


def endpoints_answer(facts: Facts) -> Iterator[Finding]:
    """Which endpoints fail, or were disabled because they did?"""
    disabled = [e for e in facts.endpoints if e.disabled_because in (Disabled.GONE, Disabled.FAILING)]
    failing = [e for e in facts.endpoints if e.enabled and e.health.failing_since is not None]
    if disabled:
        what = f"{count(len(disabled), 'endpoint')} disabled after failing or answering 410: {named(disabled)}."
        yield Finding(
            Level.WARNING, "disabled", what, "anzol attempts --failed --endpoint ID, then: anzol endpoints enable ID"
        )
    if failing:
        what = f"{count(len(failing), 'endpoint')} failing at present: {named(failing)}."
        yield Finding(Level.WARNING, "failing", what, "anzol attempts --failed --endpoint ID")


def endpoints_are_allowed(facts: Facts) -> Iterator[Finding]:
    """Which endpoints' URLs does the address guard refuse by now?"""
    from anzol.addresses import check_address, check_url

    if facts.settings is None:
        return
    policy = facts.settings.policy
    for endpoint in facts.endpoints:
        try:
            target = check_url(endpoint.url, policy)
            if target.literal is not None:
                check_address(target.literal, policy)
        except AddressRefused as error:
            what = f"{endpoint.id} of {endpoint.customer} cannot be delivered to: {error.what}"
            inbox = endpoint.uid == INBOX_UID
            yield Finding(Level.ERROR, "address", what, LEFT_BY_DEV.format(endpoint.id) if inbox else error.do)


def endpoints_are_encrypted(facts: Facts) -> Iterator[Finding]:
    """Which endpoints get their payloads in the clear?"""
    plain = [endpoint for endpoint in facts.endpoints if endpoint.url.lower().startswith("http://")]
    if plain and facts.settings is not None and not facts.settings.dev:
        what = f"Payloads go unencrypted to {count(len(plain), 'endpoint')}: {named(plain)}."
        yield Finding(Level.WARNING, "plain-http", what, "Ask for https URLs; ANZOL_HTTPS_ONLY=true refuses others.")


def named(endpoints: Sequence[Endpoint]) -> str:
    """Name the first few."""
    shown = [f"{endpoint.id} ({endpoint.customer})" for endpoint in endpoints[:NAMED]]
    more = len(endpoints) - NAMED
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


# --- the settings


def networks_are_closed(facts: Facts) -> Iterator[Finding]:
    """Does a setting let customers reach into the inside?"""
    from anzol.addresses import FORBIDDEN_4, FORBIDDEN_6

    if facts.settings is None:
        return
    closed: list[Network] = [network for network, _ in FORBIDDEN_4]
    closed += [network for network, _ in FORBIDDEN_6]
    for network in facts.settings.allow_networks:
        inside = any(overlap(network, other) for other in closed)
        if inside and (network.prefixlen == 0 or not facts.settings.dev):
            yield Finding(
                Level.ERROR if network.prefixlen == 0 else Level.WARNING,
                "open-network",
                f"ANZOL_ALLOW_NETWORKS opens {network}: every customer can make this machine ask what is in there.",
                "Open only the addresses that deliveries must reach, such as 10.1.2.3/32.",
            )


def overlap(one: Network, other: Network) -> bool:
    """Say whether two networks have an address in common."""
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def retention_outlasts_schedule(facts: Facts) -> Iterator[Finding]:
    """Is a message kept until its last attempt?"""
    settings = facts.settings
    if settings is None:
        return
    length = sum(settings.retry_schedule, timedelta())
    if length > settings.retention:
        yield Finding(
            Level.ERROR,
            "retention",
            f"The retry schedule takes {span(length)}, but messages are kept for {span(settings.retention)}.",
            "Raise ANZOL_RETENTION, or shorten ANZOL_RETRY_SCHEDULE.",
        )


def mode_is_meant(facts: Facts) -> Iterator[Finding]:
    """Is this development? Then deliveries may go to loopback."""
    if facts.settings is not None and facts.settings.dev:
        what = "FASTAPI_ENV is development: deliveries to this machine itself are let through."
        yield Finding(Level.NOTE, "development", what, "Take it away where customers register URLs.")


CHECKS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (
    app_is_there,
    settings_hold,
    declarations_hold,
    something_is_declared,
    database_can_be_written,
    database_is_there,
    database_is_chosen,
    disk_is_local,
    disk_has_room,
    log_is_short,
    key_is_long,
    key_is_kept,
    schema_fits,
    storage_answers,
    sources_answer,
    somebody_works,
    work_keeps_up,
    workers_are_near,
    workers_agree,
    clocks_agree,
    nothing_is_paused,
    descriptors_suffice,
    endpoints_answer,
    endpoints_are_allowed,
    endpoints_are_encrypted,
    subscriptions_are_declared,
    networks_are_closed,
    retention_outlasts_schedule,
    mode_is_meant,
)


def examine(facts: Facts) -> list[Finding]:
    """Return everything there is to say, the worst first."""
    order = list(Level)
    findings = [finding for check in CHECKS for finding in check(facts)]
    if facts.server is not None:
        findings += [finding for check in serverfindings.CHECKS for finding in check(facts.server)]
    return sorted(findings, key=lambda one: order.index(one.level))


def questions(facts: Facts) -> int:
    """Return how many questions were asked."""
    return len(CHECKS) + (0 if facts.server is None else len(serverfindings.CHECKS))
