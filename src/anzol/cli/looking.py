"""Looking: `anzol status`, `events list`, `messages`, `attempts`. Nothing is changed by any of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from anzol.cli.options import (
    After,
    App,
    Customer,
    Database,
    EndpointId,
    EventType,
    Json,
    Limit,
    Since,
    Until,
    command,
    time_option,
)
from anzol.errors import InvalidValue

if TYPE_CHECKING:
    from anzol.app import Webhooks
    from anzol.cli.screen import Screen
    from anzol.lifecycle import Outcome
    from anzol.model import Attempt, Delivery, Match, Status, StoredMessage, WorkerCard

events = typer.Typer(help="The declared webhooks.", no_args_is_help=True)


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    command(program, "status", status)
    command(program, "messages", messages)
    command(program, "attempts", attempts)
    command(events, "list", events_list)
    program.add_typer(events, name="events")


def status(*, app: App = None, database: Database = None, json: Json = False) -> None:
    """Show what waits, what is overdue, who works.

    Exit code 1: work is overdue and nobody works.
    """
    from anzol.cli.exits import Exit
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen

    found = run(lambda webhooks: webhooks.status(), app, database)
    Screen(as_json=json).result(found, told(found, datetime.now(UTC)))
    if found.oldest_due is not None and not found.workers:
        raise typer.Exit(Exit.FAILED)


def told(found: Status, now: datetime) -> str:
    """Write a status for people."""
    from anzol.cli.screen import count, moment, span

    since = f", for {span(now - found.oldest_due)}" if found.oldest_due else ""
    lines = [
        f"waiting       {count(found.pending, 'delivery', 'deliveries')}, {found.due:,} of them due",
        f"accepted      {count(found.accepted_waiting, 'message')} not fanned out yet",
        f"in flight     {found.in_flight:,}",
        f"parked        {found.parked:,}",
        f"longest due   {moment(found.oldest_due)}{since}",
        f"endpoints     {found.failing_endpoints:,} failing, {found.disabled_endpoints:,} disabled",
        f"schema        {found.schema_version}",
        *(worker_line(worker, now) for worker in found.workers),
    ]
    if not found.workers:
        lines.append("workers       none" + ("; work is overdue: start `anzol worker`" if found.oldest_due else ""))
    return "\n".join(lines)


def worker_line(worker: WorkerCard, now: datetime) -> str:
    """Write one live worker for people."""
    from anzol.cli.screen import clean, count, moment, span

    lease = span(max(timedelta(), worker.expires_at - now))
    return (
        f"worker {worker.id:<6} {clean(worker.host)}, process {worker.pid}, Anzol {clean(worker.version)}, "
        f"since {moment(worker.started_at)}, {count(worker.lanes, 'lane')}, {worker.in_flight:,} in flight, "
        f"lease for {lease} more"
    )


def events_list(*, app: App = None, json: Json = False) -> None:
    """List the webhooks that the app declares."""
    from anzol.cli.opening import declaring
    from anzol.cli.screen import Screen

    types = declaring(app).catalog
    fields = ("name", "method", "summary", "description", "tags", "deprecated", "usage")
    data = [{field: getattr(kind, field) for field in fields} for kind in types]
    rows = [(kind.name, kind.method, ", ".join(kind.tags), kind.summary, mark(kind.deprecated)) for kind in types]
    Screen(as_json=json).table(
        {"items": data}, ("event type", "method", "tags", "summary", ""), rows, empty="The app declares no webhooks."
    )


def mark(deprecated: bool) -> str:
    """Write that an event type is deprecated."""
    return "deprecated" if deprecated else ""


def messages(
    message_id: Annotated[str | None, typer.Argument(metavar="ID", help="Show one whole, with its deliveries.")] = None,
    *,
    customer: Customer = None,
    event_type: EventType = None,
    since: Since = None,
    until: Until = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    limit: Limit = 50,
    after: After = None,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List messages, or show one whole.

    Newest first. Of one message: its body, its deliveries, and why an endpoint was not to get it.
    """
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen, moment

    screen = Screen(as_json=json)
    if message_id:
        show_message(screen, message_id, app, database)
        return
    page = run(
        lambda webhooks: webhooks.messages.list(
            customer,
            event_type=event_type,
            since=time_option(since, "since"),
            until=time_option(until, "until"),
            tag=tag,
            after=after,
            limit=limit,
        ),
        app,
        database,
    )
    rows = [(m.id, moment(m.created_at), m.customer, m.event_type, size(m)) for m in page.items]
    screen.page(page, ("message", "sent", "customer", "event type", "bytes"), rows, empty="No messages.")


def size(message: StoredMessage) -> str:
    """Write how long a message's body is, or that it was erased."""
    return "erased" if message.body is None else f"{len(message.body):,}"


def show_message(screen: Screen, message_id: str, app: str | None, database: str | None) -> None:
    """Show one message, what became of it at every endpoint, and why an endpoint was not to get it."""
    from anzol.cli.opening import run
    from anzol.cli.screen import clean, moment, readable

    async def read(webhooks: Webhooks) -> tuple[StoredMessage, list[Delivery], Sequence[Match]]:
        message = await webhooks.messages.get(message_id)
        deliveries = [delivery async for delivery in webhooks.deliveries.all(message=message_id)]
        return message, deliveries, await webhooks.messages.matches(message_id)

    message, deliveries, matches = run(read, app, database)
    if screen.as_json:
        screen.result({"message": message, "deliveries": deliveries, "matches": matches}, "")
        return
    lines = [
        f"message     {message.id}",
        f"event type  {message.event_type} ({message.method.upper()}, {message.content_type})",
        f"customer    {message.customer}",
        f"sent        {moment(message.created_at)}",
        *(f"{name:<10}  {value}" for name, value in extras(message)),
        "",
        "erased" if message.body is None else str(readable(message.body)),
        "",
        *(delivery_line(delivery) for delivery in deliveries),
        *(
            f"{match.endpoint_id}  not sent: {match.reason}  {match.url}"
            for match in matches
            if match.reason != "matched"
        ),
    ]
    if not deliveries and not matches:
        lines.append("The customer has no endpoint, so it goes nowhere.")
    print(clean("\n".join(lines)))


def extras(message: StoredMessage) -> list[tuple[str, str]]:
    """Return what only some messages have."""
    from anzol.cli.screen import moment

    pairs = [
        ("key", message.key or ""),
        ("channels", ", ".join(message.channels)),
        ("tags", ", ".join(message.tags)),
        ("query", message.query),
        ("due", moment(message.deliver_at) if message.deliver_at else ""),
        *((f"header {name}", value) for name, value in message.headers),
    ]
    return [(name, value) for name, value in pairs if value]


def delivery_line(delivery: Delivery) -> str:
    """Write what became of a message at one endpoint."""
    from anzol.cli.screen import count, moment

    state = delivery.state.name.lower()
    if delivery.ended_at is not None:
        when = f"{moment(delivery.ended_at)}"
    elif delivery.in_flight:
        when = "in flight"
    else:
        when = f"parked: {delivery.parked}" if delivery.parked else f"due {moment(delivery.due_at)}"
    return f"{delivery.endpoint_id}  {state}  {count(delivery.attempts, 'attempt')}  {when}"


def attempts(
    *,
    customer: Customer = None,
    endpoint: EndpointId = None,
    message: Annotated[str | None, typer.Option("--message", "-m", metavar="ID", help="Only this message's.")] = None,
    event_type: EventType = None,
    outcome: Annotated[
        list[str] | None, typer.Option(help="Only these outcomes: ok, http_status, timeout, ...")
    ] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that did not succeed.")] = False,
    since: Since = None,
    until: Until = None,
    limit: Limit = 50,
    after: After = None,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List every request made, and what came back.

    Newest first.
    """
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen, moment, span

    chosen = chosen_outcomes(outcome or (), failed=failed)
    page = run(
        lambda webhooks: webhooks.attempts.list(
            customer,
            endpoint=endpoint,
            message=message,
            event_type=event_type,
            outcomes=chosen,
            since=time_option(since, "since"),
            until=time_option(until, "until"),
            after=after,
            limit=limit,
        ),
        app,
        database,
    )
    rows = [
        (moment(a.started_at), a.message_id, a.endpoint_id, str(a.number), what(a), span(a.timing.total), a.detail)
        for a in page.items
    ]
    columns = ("started", "message", "endpoint", "no.", "outcome", "took", "detail")
    Screen(as_json=json).page(page, columns, rows, empty="No attempts.")


def what(attempt: Attempt) -> str:
    """Write an outcome for people: the status where there is one."""
    return attempt.outcome.label if attempt.status is None else f"{attempt.outcome.label} {attempt.status}"


def chosen_outcomes(names: Sequence[str], *, failed: bool) -> tuple[Outcome, ...]:
    """Return the outcomes of these labels; raises InvalidValue."""
    from anzol.lifecycle import Outcome

    labels = {outcome.label: outcome for outcome in Outcome}
    for name in names:
        if name not in labels:
            raise InvalidValue(f"There is no outcome {name!r}.", field="outcome", do=f"There are: {', '.join(labels)}.")
    if failed and not names:
        return tuple(outcome for outcome in Outcome if outcome is not Outcome.OK)
    return tuple(labels[name] for name in names)
