"""`anzol endpoints ...`: where customers' messages go, from a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from anzol.cli.options import After, App, Database, Json, Limit, Yes, command, read_span
from anzol.errors import InvalidValue

if TYPE_CHECKING:
    from anzol.app import Webhooks
    from anzol.model import Endpoint, Secret

family = typer.Typer(help="Where customers' messages go.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The endpoint's id, ep_...")]
Url = Annotated[str | None, typer.Option("--url", help="Where to deliver.")]
EventTypes = Annotated[list[str] | None, typer.Option("--event-type", "-t", help="Only these; repeat it for several.")]
Channels = Annotated[list[str] | None, typer.Option("--channel", help="Only messages on these.")]
Headers = Annotated[list[str] | None, typer.Option("--header", "-H", help="'Name: value', sent with every delivery.")]
Description = Annotated[str | None, typer.Option("--description")]
Throttle = Annotated[int | None, typer.Option("--throttle", help="Deliveries a second at most; 0: no limit.")]
Fifo = Annotated[bool | None, typer.Option("--fifo/--no-fifo", help="One after the other, in the order of sending.")]
Contact = Annotated[str | None, typer.Option("--contact", help="Whom to tell when it fails.")]


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    command(family, "list", list_all)
    command(family, "create", create)
    command(family, "show", show)
    command(family, "update", update)
    command(family, "enable", enable)
    command(family, "disable", disable)
    command(family, "delete", delete)
    command(family, "secret", secret)
    command(family, "rotate", rotate)
    program.add_typer(family, name="endpoints")


def list_all(
    *,
    customer: Annotated[str | None, typer.Option("--customer", "-c", help="Only this customer's.")] = None,
    limit: Limit = 50,
    after: After = None,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """List endpoints, newest first."""
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen

    page = run(lambda webhooks: webhooks.endpoints.list(customer, after=after, limit=limit), app, database)
    rows = [
        (one.id, one.customer, one.url, ", ".join(one.event_types) or "all", state(one), f"{one.health.waiting:,}")
        for one in page.items
    ]
    columns = ("endpoint", "customer", "url", "event types", "state", "waiting")
    Screen(as_json=json).page(page, columns, rows, empty="No endpoints.")


def state(endpoint: Endpoint) -> str:
    """Write how an endpoint stands, in a word or a few."""
    if not endpoint.enabled:
        because = endpoint.disabled_because
        return f"disabled ({because.name.lower()})" if because is not None else "disabled"
    if endpoint.paused:
        return "paused"
    if endpoint.health.failures:
        return f"failing ({endpoint.health.failures} in a row)"
    return "enabled"


def create(
    *,
    customer: Annotated[str, typer.Option("--customer", "-c", help="Whose: the id in your own system.")],
    url: Annotated[str, typer.Option("--url", help="Where to deliver.")],
    event_type: EventTypes = None,
    channel: Channels = None,
    header: Headers = None,
    description: Description = None,
    throttle: Throttle = None,
    fifo: Fifo = None,
    contact: Contact = None,
    uid: Annotated[str | None, typer.Option("--uid", help="Its id in your own system.")] = None,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Register an endpoint; its signing secret is printed."""
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen

    async def work(webhooks: Webhooks) -> tuple[Endpoint, str]:
        made = await webhooks.endpoints.create(
            customer,
            url=url,
            event_types=event_type or (),
            channels=channel or (),
            headers=read_pairs(header),
            description=description or "",
            throttle=throttle or None,
            fifo=bool(fifo),
            contact=contact,
            uid=uid,
        )
        return made, await webhooks.endpoints.secret(made.id)

    made, signing = run(work, app, database, fresh=True)
    told = f"{made.id} created for {made.customer}\nsecret  {signing}\nGive the secret to whoever writes the receiver."
    Screen(as_json=json).result({"endpoint": made, "secret": signing}, told)


def read_pairs(lines: Sequence[str] | None) -> dict[str, str]:
    """Read ``Name: value`` lines; raises InvalidValue."""
    pairs = {}
    for line in lines or ():
        name, colon, value = line.partition(":")
        if not colon:
            raise InvalidValue(f"{line!r} is not a header.", field="header", do="Write it as 'Name: value'.")
        pairs[name.strip()] = value.strip()
    return pairs


def show(endpoint_id: Id, *, app: App = None, database: Database = None, json: Json = False) -> None:
    """Show one endpoint whole, its secret apart."""
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen

    found = run(lambda webhooks: webhooks.endpoints.get(endpoint_id), app, database)
    Screen(as_json=json).facts(found, facts(found))


def facts(one: Endpoint) -> list[tuple[str, str]]:
    """Return what there is to say of an endpoint; what is not set is left out."""
    from anzol.cli.screen import moment

    pairs = [
        ("endpoint", one.id),
        ("uid", one.uid or ""),
        ("customer", one.customer),
        ("url", one.url),
        ("state", state(one)),
        ("failing since", moment(one.health.failing_since) if one.health.failing_since else ""),
        ("waiting", f"{one.health.waiting:,}"),
        ("event types", ", ".join(one.event_types) or "all"),
        ("channels", ", ".join(one.channels) or "all"),
        ("headers", ", ".join(one.headers)),
        ("throttle", f"{one.throttle} a second" if one.throttle else ""),
        ("fifo", "yes" if one.fifo else ""),
        ("contact", one.contact or ""),
        ("description", one.description),
        ("created", moment(one.created_at)),
        ("updated", moment(one.updated_at)),
    ]
    return [(name, value) for name, value in pairs if value]


def update(
    endpoint_id: Id,
    *,
    url: Url = None,
    event_type: EventTypes = None,
    all_events: Annotated[bool, typer.Option("--all-event-types", help="Subscribe to all of them again.")] = False,
    channel: Channels = None,
    header: Headers = None,
    description: Description = None,
    throttle: Throttle = None,
    fifo: Fifo = None,
    contact: Contact = None,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Change what is given; what is not given stays. --header replaces all headers."""
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen

    changes: dict[str, Any] = {
        "url": url,
        "event_types": () if all_events else event_type,
        "channels": channel,
        "headers": read_pairs(header) if header else None,
        "description": description,
        "throttle": throttle,
        "fifo": fifo,
        "contact": contact,
    }
    given = {name: value for name, value in changes.items() if value is not None}
    if not given:
        raise InvalidValue("Nothing to change was given.", field="url", do="Give --url, --event-type, ...; see --help.")
    if given.get("throttle") == 0:
        given["throttle"] = None
    found = run(lambda webhooks: webhooks.endpoints.update(endpoint_id, **given), app, database)
    Screen(as_json=json).facts(found, facts(found))


def enable(endpoint_id: Id, *, app: App = None, database: Database = None, json: Json = False) -> None:
    """Let it have messages again, those that waited included."""
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen

    found = run(lambda webhooks: webhooks.endpoints.enable(endpoint_id), app, database)
    Screen(as_json=json).result(found, f"{endpoint_id} is enabled; {found.health.waiting:,} waiting")


def disable(endpoint_id: Id, *, app: App = None, database: Database = None, json: Json = False) -> None:
    """Park it: no new messages, and what waits stays."""
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen

    found = run(lambda webhooks: webhooks.endpoints.disable(endpoint_id), app, database)
    Screen(as_json=json).result(found, f"{endpoint_id} is disabled; {found.health.waiting:,} waiting, parked")


def delete(
    endpoint_id: Id, *, yes: Yes = False, app: App = None, database: Database = None, json: Json = False
) -> None:
    """Delete one; what waits for it is cancelled. Without --yes it only says what would be."""
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen, count

    async def work(webhooks: Webhooks) -> Endpoint:
        found = await webhooks.endpoints.get(endpoint_id)
        if yes:
            await webhooks.endpoints.delete(endpoint_id)
        return found

    found = run(work, app, database)
    waiting = count(found.health.waiting, "waiting delivery", "waiting deliveries")
    done = f"{found.id} is deleted, {waiting} cancelled"
    asked = f"{found.id} ({found.url}) would be deleted, and {waiting} cancelled; add --yes to do it"
    Screen(as_json=json).result({"endpoint": found, "done": yes}, done if yes else asked)


def secret(endpoint_id: Id, *, app: App = None, database: Database = None, json: Json = False) -> None:
    """Print the signing secret, and old ones that still sign."""
    from anzol.cli.opening import run

    show_secrets(run(lambda webhooks: webhooks.endpoints.secrets(endpoint_id), app, database), json=json)


def rotate(
    endpoint_id: Id,
    *,
    keep_old: Annotated[str, typer.Option("--keep-old", help="How long the old one signs too: 0, 1h, ... 7d.")] = "24h",
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Make a new signing secret and print it; the old one signs beside it for a while."""
    from anzol.cli.opening import run

    kept: timedelta = read_span(keep_old, "keep-old")
    found = run(lambda webhooks: webhooks.endpoints.rotate_secret(endpoint_id, keep_old=kept), app, database)
    show_secrets(found, json=json)


def show_secrets(secrets: Sequence[Secret], *, json: bool) -> None:
    """Print secrets; the current one alone on the first line, so that a script can take it."""
    from anzol.cli.screen import Screen, moment

    current, *old = secrets
    lines = [current.value, *(f"{one.value}  signs until {moment(one.expires_at)}" for one in old)]
    Screen(as_json=json).result({"items": secrets}, "\n".join(lines))
