"""Mending: `trigger`, `resend`, `recover`, `pause`, `resume`, `cancel`.

What touches many is shown first, and done with --yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from anzol.cli.options import (
    App,
    Customer,
    Database,
    EndpointId,
    EventType,
    Json,
    Since,
    Until,
    Yes,
    command,
    time_option,
)
from anzol.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anzol.app import Webhooks
    from anzol.lifecycle import State
    from anzol.model import Match, Message, PauseRule


def register(program: typer.Typer) -> None:
    """Add this family's commands."""
    command(program, "trigger", trigger)
    command(program, "resend", resend)
    command(program, "recover", recover)
    command(program, "pause", pause)
    command(program, "resume", resume)
    command(program, "cancel", cancel)


# --- sending


def trigger(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="The event type's name.")],
    *,
    customer: Annotated[
        str | None, typer.Option("--customer", "-c", help="To all of this customer's endpoints.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option("--endpoint", "-e", metavar="ID", help="To this one alone.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="The body as JSON; else the declared example.")] = None,
    method: Annotated[str | None, typer.Option("--method", help="Where a name is declared under several.")] = None,
    app: App = None,
    json: Json = False,
) -> None:
    """Send an example of a declared webhook.

    Or, with --data, a body of your own, checked as `send` checks it.
    """
    from anzol.cli.opening import closing, declaring
    from anzol.cli.screen import Screen

    if (customer is None) == (endpoint is None):
        raise InvalidValue("To whom? Give --customer or --endpoint, one of them.", field="customer")
    body = None if data is None else read_json(data)

    async def send(webhooks: Webhooks) -> tuple[Message, Sequence[Match]]:
        if body is None:
            sent = await webhooks.send_example(event, customer=customer, endpoint=endpoint, method=upper(method))
        else:
            sent = await send_body(webhooks, event, body, customer=customer, endpoint=endpoint, method=upper(method))
        return sent, await webhooks.messages.matches(sent.id)

    import asyncio

    message, matches = asyncio.run(closing(declaring(app), send))
    screen = Screen(as_json=json)
    if any(match.reason == "matched" for match in matches):
        screen.result(message, f"{message.id} accepted; a worker delivers it. See: anzol messages {message.id}")
    else:
        screen.result(message, f"{message.id} accepted.")
        screen.progress(f"No endpoint gets it{unmatched(matches)}. See: anzol endpoints list")


def unmatched(matches: Sequence[Match]) -> str:
    """Say why none of a customer's endpoints is to get a message."""
    reasons = sorted({match.reason for match in matches})
    return f" ({', '.join(reasons)})" if reasons else ": the customer has none"


async def send_body(
    webhooks: Webhooks, event: str, body: list[Any], *, customer: str | None, endpoint: str | None, method: str | None
) -> Message:
    """Send one body, to a customer or to one endpoint alone."""
    from anzol.outbox import customer_id, send_example

    encoded = webhooks.core.find_catalog(event, method).encode(event, tuple(body), {}, method=method)
    to = customer_id(customer) if endpoint is None else (await webhooks.endpoints.get(endpoint)).customer
    return await send_example(webhooks.core.intake, encoded, to, endpoint)


def read_json(text: str) -> list[Any]:
    """Read the body, as the one argument of `send`; raises InvalidValue."""
    import json

    try:
        return [json.loads(text)]
    except ValueError as cause:
        raise InvalidValue(
            f"--data is not JSON: {cause}.", field="data", do="""Write --data '{"name": 1}'."""
        ) from cause


def upper(method: str | None) -> str | None:
    """Write a method as the catalog has it."""
    return method.upper() if method else None


# --- sending again


def resend(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE")],
    endpoint_id: Annotated[str, typer.Argument(metavar="ENDPOINT")],
    *,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Deliver one message to one endpoint again.

    Now, whatever became of it before.
    """
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen

    delivery = run(lambda webhooks: webhooks.resend(message_id, endpoint_id), app, database)
    Screen(as_json=json).result(delivery, f"{message_id} is due again at {endpoint_id}")


def recover(
    *,
    since: Since = None,
    until: Until = None,
    customer: Customer = None,
    endpoint: EndpointId = None,
    event_type: EventType = None,
    state: Annotated[list[str] | None, typer.Option(help="exhausted (unless given), cancelled, delivered.")] = None,
    yes: Yes = False,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Resend what was not delivered, since a time.

    To an endpoint, or to a customer. Without --yes it only counts.
    """
    from anzol.cli.opening import run

    if since is None:
        raise InvalidValue("Since when? Give --since.", field="since", do="Such as --since 6h.")
    if customer is None and endpoint is None:
        raise InvalidValue("Whose? Give --customer or --endpoint.", field="endpoint")
    states = read_states(state or ["exhausted"])

    async def work(webhooks: Webhooks) -> int:
        begin, end = time_option(since, "since"), time_option(until, "until")
        assert begin is not None
        if yes:
            return await webhooks.recover(
                since=begin, until=end, endpoint=endpoint, customer=customer, event_type=event_type, states=states
            )
        chosen = webhooks.deliveries.all(
            customer, endpoint=endpoint, event_type=event_type, states=states, since=begin, until=end
        )
        return sum([1 async for _ in chosen])

    changed(run(work, app, database), yes, "due again", json=json)


def read_states(names: list[str]) -> tuple[State, ...]:
    """Return the states of these names; raises InvalidValue."""
    from anzol.lifecycle import State

    ended = {state.name.lower(): state for state in State if state is not State.PENDING}
    for name in names:
        if name not in ended:
            raise InvalidValue(
                f"There is no ended state {name!r}.", field="state", do=f"There are: {', '.join(ended)}."
            )
    return tuple(ended[name] for name in names)


def changed(number: int, done: bool, what: str, *, json: bool) -> None:
    """Say how many deliveries were changed, or would be."""
    from anzol.cli.screen import Screen, count

    deliveries = count(number, "delivery", "deliveries")
    verb = "is" if number == 1 else "are"
    text = f"{deliveries} {verb} {what}" if done else f"{deliveries} would be {what}; add --yes to do it"
    Screen(as_json=json).result({"deliveries": number, "done": done}, text)


# --- holding back


def pause(
    *,
    customer: Customer = None,
    endpoint: EndpointId = None,
    event_type: EventType = None,
    everything: Annotated[bool, typer.Option("--all", help="Hold back everything.")] = False,
    yes: Yes = False,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Hold deliveries back; nothing is lost.

    Those that wait and those to come. Without --yes it only says what would be.
    """
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen

    meant = named(customer, endpoint, event_type, everything=everything)

    async def preview(webhooks: Webhooks) -> int:
        from anzol.lifecycle import State

        waiting = webhooks.deliveries.all(customer, endpoint=endpoint, event_type=event_type, states=(State.PENDING,))
        return sum([1 async for _ in waiting])

    async def work(webhooks: Webhooks) -> PauseRule:
        return await webhooks.pause(customer=customer, event_type=event_type, endpoint=endpoint, everything=everything)

    screen = Screen(as_json=json)
    if yes:
        screen.result(run(work, app, database), f"paused: {meant}")
    else:
        waiting = run(preview, app, database)
        text = f"{meant} would be paused, {waiting:,} of it waiting now; add --yes to do it"
        screen.result({"deliveries": waiting, "done": False}, text)


def resume(
    *,
    customer: Customer = None,
    endpoint: EndpointId = None,
    event_type: EventType = None,
    everything: Annotated[bool, typer.Option("--all", help="Take back a pause of everything.")] = False,
    yes: Yes = False,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Let go of what was paused; or list the pauses.

    Named by the same options as when it was paused. Without --yes it lists what is paused.
    """
    from anzol.cli.exits import Exit
    from anzol.cli.opening import run
    from anzol.cli.screen import Screen, moment

    screen = Screen(as_json=json)
    if not yes:
        rules = run(lambda webhooks: webhooks.paused(), app, database)
        rows = [(scope(rule), moment(rule.created_at), rule.actor) for rule in rules]
        screen.table({"items": rules}, ("paused", "since", "by"), rows, empty="Nothing is paused.")
        if rules and (customer or endpoint or event_type or everything):
            screen.progress("Nothing was resumed; add --yes to do it")
        return
    meant = named(customer, endpoint, event_type, everything=everything)
    number = run(
        lambda webhooks: webhooks.resume(customer=customer, event_type=event_type, endpoint=endpoint), app, database
    )
    screen.result({"rules": number}, f"resumed: {meant}" if number else f"there was no pause of exactly: {meant}")
    if not number:
        raise typer.Exit(Exit.NOT_FOUND)


def scope(rule: PauseRule) -> str:
    """Write what a pause holds back."""
    return named(rule.customer, rule.endpoint_id, rule.event_type, everything=True)


def named(customer: str | None, endpoint: str | None, event_type: str | None, *, everything: bool) -> str:
    """Write what the options name; refuse that nothing is named, unless everything is meant."""
    parts = {"customer": customer, "endpoint": endpoint, "event type": event_type}
    given = [f"{name} {value}" for name, value in parts.items() if value is not None]
    if not given and not everything:
        raise InvalidValue("What? Give --customer, --endpoint or --event-type, or --all.", field="all")
    return ", ".join(given) or "everything"


# --- calling off


def cancel(
    *,
    customer: Customer = None,
    endpoint: EndpointId = None,
    message: Annotated[str | None, typer.Option("--message", "-m", metavar="ID", help="Only this message's.")] = None,
    event_type: EventType = None,
    since: Since = None,
    until: Until = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this tag.")] = None,
    yes: Yes = False,
    app: App = None,
    database: Database = None,
    json: Json = False,
) -> None:
    """Call off deliveries that still wait. Without --yes it only counts."""
    from anzol.cli.opening import run

    if not any((customer, endpoint, message, event_type, since, until, tag)):
        raise InvalidValue(
            "What? Give --customer, --endpoint, --message, --event-type, --since or --tag.", field="customer"
        )
    number = run(
        lambda webhooks: webhooks.cancel(
            customer,
            endpoint=endpoint,
            message=message,
            event_type=event_type,
            since=time_option(since, "since"),
            until=time_option(until, "until"),
            tag=tag,
            preview=not yes,
        ),
        app,
        database,
    )
    changed(number, yes, "cancelled", json=json)
