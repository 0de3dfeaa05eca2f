"""Payloads against the JSON Schema of their event type, before they are accepted; and schemas, before they are stored.

Regular expressions run in linear time where they can, else with a bound on going back. Formats (``date-time`` and so
on) are notes, as JSON Schema 2020-12 has it, and refuse nothing. Nothing that a schema refers to is ever fetched.
"""

from __future__ import annotations

import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final, NoReturn

import jsonschema_rs

from anzol.api.ground import Ground
from anzol.api.problems import Problem
from anzol.catalog import METHODS, EventType
from anzol.errors import NotFound
from anzol.lifecycle import Validation
from anzol.model import EventTypeCard
from anzol.schemas import sent_schema

FRESH: Final = 2.0  # seconds that what is known of an event type is believed
REMEMBERED: Final = 4096  # event types, those included that nobody has described
MOST_FAULTS: Final = 50
LONGEST: Final = 300  # characters of one reason
QUIET: Final = 60.0  # seconds between two warnings about one event type
BACK: Final = 10_000  # steps that a pattern may go back
MASK: Final = "the value"

log = logging.getLogger("anzol.api")

Fault = tuple[tuple[str | int, ...], str, str]


@dataclass(frozen=True, slots=True)
class Rule:
    """What is known of an event type. ``source``: what the validator was made of; ``until`` by the process's clock."""

    validator: jsonschema_rs.Validator | None
    manner: Validation
    source: object
    until: float


class Validator:
    """Checks payloads; what it knows of an event type is at most `FRESH` seconds old, and is asked for no sooner."""

    def __init__(self, ground: Ground, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._ground = ground
        self._monotonic = monotonic
        self._known: OrderedDict[tuple[str, str], Rule] = OrderedDict()
        self._warned: dict[tuple[str, str], float] = {}

    async def check(self, environment: str, event_type: str, text: str | bytes) -> None:
        """Refuse a payload that does not fit; *text* is its JSON, which is read and never changed.

        Raises:
            Problem: ``validation_error`` with the place of each fault, such as ``["body", "payload", "amount"]``.
        """
        rule = await self._rule(environment, event_type)
        if rule.validator is None or rule.manner is Validation.OFF:
            return
        faults = faults_of(rule.validator, text)
        if faults and rule.manner is Validation.REFUSE:
            raise Problem("validation_error", faults=faults)
        if faults:
            self._warn(environment, event_type, faults)

    def forget(self) -> None:
        """Believe nothing any more: an event type was changed here."""
        self._known = OrderedDict((key, replace(rule, until=0.0)) for key, rule in self._known.items())

    async def _rule(self, environment: str, event_type: str) -> Rule:
        key = (environment, event_type)
        known, now = self._known.get(key), self._monotonic()
        if known is not None and known.until > now:
            return known
        if known is not None:  # others go on with what was known while this one looks
            self._known[key] = replace(known, until=now + FRESH)
        try:
            rule = await self._look(key, known)
        except BaseException:
            self._known.pop(key, None)
            raise
        self._known[key] = rule
        self._known.move_to_end(key)
        while len(self._known) > REMEMBERED:
            self._warned.pop(self._known.popitem(last=False)[0], None)
        return rule

    async def _look(self, key: tuple[str, str], known: Rule | None) -> Rule:
        declared = of_name(self._ground, key[1])
        card = await self._card(*key)
        manner = card.validation if card else Validation.REFUSE
        source = declared or (card.schemas if card else None)
        until = self._monotonic() + FRESH
        if known is not None and (known.source is source or (declared is None and known.source == source)):
            return replace(known, manner=manner, until=until)
        schema = declared_schema(declared) if declared else newest(card.schemas if card else None)
        return Rule(None if schema is None else compiled(schema), manner, source, until)

    async def _card(self, environment: str, name: str) -> EventTypeCard | None:
        try:
            return await (await self._ground.storage()).event_type(environment, name)
        except NotFound:
            return None

    def _warn(self, environment: str, event_type: str, faults: list[Fault]) -> None:
        """Say once a minute where payloads do not fit; never what is in them."""
        key, now = (environment, event_type), self._monotonic()
        if now - self._warned.get(key, -QUIET) < QUIET:
            return
        self._warned[key] = now
        places = ", ".join(f"{'.'.join(map(str, place[1:]))} ({kind})" for place, _, kind in faults[:5])
        log.warning("A payload of %s does not fit its schema, and was accepted: %s.", event_type, places)


def of_name(ground: Ground, name: str) -> EventType | None:
    """Return the declared event type of this name; of several methods the first one, POST before others."""
    found = [event for event in ground.declared() if event.name == name]
    return min(found, key=lambda event: METHODS.index(event.method)) if found else None


def declared_schema(event: EventType) -> Mapping[str, Any] | None:
    """Return the schema of what is declared, if that is JSON."""
    if event.body is None or event.body.raw or "json" not in event.media_type:
        return None
    return sent_schema(event.body.adapter)


def newest(schemas: Mapping[str, Any] | None) -> Any:
    """Return the schema of the highest version: by number, where versions are numbers; None where there is none."""
    if not schemas:
        return None
    return schemas[max(schemas, key=lambda version: (version.isdecimal(), len(version.lstrip("0")), version))]


def compiled(schema: Any) -> jsonschema_rs.Validator:
    """Return what checks by *schema*, in the draft that its ``$schema`` names, else 2020-12.

    Raises:
        jsonschema_rs.ValidationError: it is no schema.
    """
    return jsonschema_rs.validator_for(
        schema,
        mask=MASK,
        validate_formats=False,
        retriever=nowhere,
        pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=BACK),
    )


def nowhere(uri: str) -> NoReturn:
    """Fetch nothing."""
    raise LookupError(f"{shortened(uri)} is not in the schema itself, and nothing is fetched")


def check_schemas(schemas: Mapping[str, Any] | None, *place: str) -> None:
    """Refuse schemas that are none.

    Args:
        place: Where they are in the request, such as ``"body", "schemas"``.

    Raises:
        Problem: ``validation_error``; the fault's place leads into the schema.
    """
    for version, schema in (schemas or {}).items():
        if not isinstance(schema, dict | bool):
            raise Problem("validation_error", faults=[((*place, version), "A schema is an object.", "value_error")])
        try:
            compiled(schema)
        except jsonschema_rs.ValidationError as error:
            raise Problem("validation_error", faults=[unfit(error, (*place, version))]) from None
        except (ValueError, RecursionError, jsonschema_rs.ReferencingError) as error:
            reason = shortened(str(error) or "It is too deep.")
            raise Problem("validation_error", faults=[((*place, version), reason, "value_error")]) from None


def unfit(error: jsonschema_rs.ValidationError, place: tuple[str | int, ...]) -> Fault:
    """Return the fault of a schema that is none."""
    reason = error.message.replace("LookupError: ", "")
    return (*place, *error.instance_path), shortened(f"This is no JSON Schema: {reason}"), "value_error"


def faults_of(validator: jsonschema_rs.Validator, text: str | bytes) -> list[Fault]:
    """Return what does not fit: up to 50 places, reasons and keywords."""
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError) as error:
        return [(("body", "payload"), shortened(f"It cannot be read: {error}"), "json_invalid")]
    try:
        found = list(islice(validator.iter_errors(payload), MOST_FAULTS))
    except ValueError as error:  # deeper than the validator goes
        return [(("body", "payload"), shortened(f"It cannot be checked: {error}"), "value_error")]
    return [(("body", "payload", *fault.instance_path), phrased(fault), fault.kind.name) for fault in found]


def phrased(fault: jsonschema_rs.ValidationError) -> str:
    """Return the reason as a sentence."""
    reason = shortened(fault.message)
    return f"{reason[:1].upper()}{reason[1:]}."


def shortened(reason: str) -> str:
    """Return a reason, cut where it is long: choices and patterns of a schema may be."""
    return reason if len(reason) <= LONGEST else f"{reason[:LONGEST]}..."
