"""One operation of the OpenAPI document: what is sent, what an answer means, when it is sent again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import timedelta
from typing import Any

from anzol.catalog import EventType
from anzol.encoding import Parameter
from anzol.references import PREFIX
from anzol.schemas import Schema

Operation = dict[str, Any]

ORDER = ("tags", "summary", "description", "operationId", "parameters", "requestBody", "responses")


def bare(operation: Operation) -> Operation:
    """Return FastAPI's operation without the answers that it assumes: a 200 that says nothing, a 422."""
    kept = {key: value for key, value in operation.items() if key not in ("parameters", "requestBody", "responses")}
    kept["parameters"] = operation.get("parameters", [])
    kept["responses"] = {
        status: answer for status, answer in operation.get("responses", {}).items() if not assumed(status, answer)
    }
    return kept | {"requestBody": deepcopy(operation.get("requestBody", {}))}


def assumed(status: str, answer: Mapping[str, Any]) -> bool:
    """Say whether nobody declared this answer: FastAPI's 422, and its 200 that says nothing."""
    schemas = [content.get("schema", {}) for content in answer.get("content", {}).values()]
    if status == "422":
        return {"$ref": f"{PREFIX}HTTPValidationError"} in schemas
    empty = all(not schema or schema.get("type") == "null" for schema in schemas)
    return status == "200" and answer.get("description") == "Successful Response" and empty


def operation(
    event: EventType,
    declared: Operation,
    described: Mapping[str, Schema],
    schemas: Mapping[str, Schema],
    schedule: Sequence[timedelta],
) -> Operation:
    """Return the operation of one event type, out of FastAPI's and the schemas of what is sent."""
    made = {
        **declared,
        "summary": summary(event, declared.get("summary", "")),
        "description": f"{declared.get('description', '')}\n\n{promise(schedule)}".strip(),
        "parameters": own_headers(event.name) + parameters(event, declared, described, schemas),
        "requestBody": request_body(event, declared["requestBody"], described),
        "responses": answers() | declared["responses"],
    }
    if not made["requestBody"]:
        del made["requestBody"]
    return {key: made[key] for key in (*ORDER, *made) if key in made}


def summary(event: EventType, declared: str) -> str:
    """Return the summary with the event's name in it: menus of documentation tools show nothing else."""
    return declared if event.name in declared else f"{declared} ({event.name})".strip()


def request_body(event: EventType, declared: Operation, described: Mapping[str, Schema]) -> Operation:
    """Return the body: always there, of the media type that is sent, with the declared examples."""
    if event.body is None:
        return declared
    content = declared.get("content", {})
    key = part_key(event, "body")
    schema = described[key] or content.get(event.media_type, {}).get("schema", {})
    media = {name: value for name, value in content.get(event.media_type, {}).items() if name != "schema"}
    return {**declared, "required": True, "content": {**content, event.media_type: {"schema": schema, **media}}}


def parameters(
    event: EventType, declared: Operation, described: Mapping[str, Schema], schemas: Mapping[str, Schema]
) -> list[dict[str, Any]]:
    """Return the declared headers and query parameters, each with the schema and the presence of what is sent."""
    shown = []
    for place, part in places(event):
        for key, schema, always in sent_parts(part, described[part_key(event, part.name)], schemas):
            about = documented(declared["parameters"], place, part.documented.get(key, ()))
            name = part.names.get(key, key)
            shown.append({**about, "name": name, "in": place, "required": always, "schema": schema})
    return shown + extras(event, declared)


def extras(event: EventType, declared: Operation) -> list[dict[str, Any]]:
    """Return the parameters that only the document has (``openapi_extra``), as they are."""
    own = {
        (place, plain(name)) for place, part in places(event) for names in part.documented.values() for name in names
    }
    return [part for part in declared["parameters"] if (part.get("in"), plain(part.get("name", ""))) not in own]


def documented(parameters: Iterable[dict[str, Any]], place: str, names: Iterable[str]) -> dict[str, Any]:
    """Return what the document says of a parameter: its description, examples, deprecation."""
    plain_names = {plain(name) for name in names}
    found = (part for part in parameters if part.get("in") == place and plain(part.get("name", "")) in plain_names)
    return next(found, {})


def places(event: EventType) -> Iterable[tuple[str, Parameter]]:
    """Yield every declared parameter with its place."""
    yield from (("query", part) for part in event.query)
    yield from (("header", part) for part in event.headers)


def plain(name: str) -> str:
    """Return a name for comparison: some FastAPIs write a parameter model's headers with underscores."""
    return name.replace("_", "-").lower()


def part_key(event: EventType, part: str) -> str:
    """Return the key of one body or parameter among all."""
    return f"{event.method} {event.name} {part}"


def sent_parts(part: Parameter, schema: Schema, schemas: Mapping[str, Schema]) -> Iterable[tuple[str, Schema, bool]]:
    """Yield what a parameter is sent as: key among its names, schema, whether it always is. None is never sent."""
    if "" in part.names:
        default = part.default() if part.default else ...
        yield "", without_null(schema), default is not None and not nullable(schema)
        return
    while PREFIX in str(schema.get("$ref", "")):
        schema = schemas[schema["$ref"].removeprefix(PREFIX)]
    for key, about in schema.get("properties", {}).items():
        always = key in schema.get("required", ()) and not nullable(about)
        yield key, without_null(about), always


def nullable(schema: Schema) -> bool:
    """Say whether the value may be None."""
    return schema.get("type") == "null" or any(choice.get("type") == "null" for choice in schema.get("anyOf", ()))


def without_null(schema: Schema) -> Schema:
    """Return the schema of a value that is there."""
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**choices[0], **rest} if len(choices) == 1 else {**rest, "anyOf": choices} if choices else rest


def own_headers(name: str) -> list[dict[str, Any]]:
    """Return the headers that every webhook carries."""
    return [
        header("webhook-id", "The message's id, the same on every attempt: how to recognise a repeated one.", {}),
        header(
            "webhook-timestamp",
            "When this attempt was made: whole seconds since the Unix epoch. Refuse what is older than a few minutes.",
            {"pattern": "^[0-9]+$"},
        ),
        header(
            "webhook-signature",
            "Signatures over `id.timestamp.body`, each such as `v1,K5oZ...`, separated by blanks. One has to match.",
            {},
        ),
        header("webhook-event", "The webhook's name. Not covered by the signature.", {"enum": [name]}),
    ]


def header(name: str, description: str, schema: Schema) -> dict[str, Any]:
    """Return one required header."""
    about = {"type": "string", **schema}
    return {"name": name, "in": "header", "required": True, "description": description, "schema": about}


def answers() -> dict[str, Any]:
    """Return what the receiver may answer, and what that does."""
    later = {"Retry-After": {"description": "Seconds, or a date.", "schema": {"type": "string"}}}
    return {
        "2XX": {"description": "Received. The content of the answer does not matter."},
        "410": {"description": "Gone: the endpoint is switched off, and nothing more is sent to it."},
        "429": {"description": "Too many: sent again, not before `Retry-After`.", "headers": deepcopy(later)},
        "503": {"description": "Not now: sent again, not before `Retry-After`.", "headers": deepcopy(later)},
        "default": {"description": "Anything else is a failure, redirects too: sent again by the schedule."},
    }


def promise(schedule: Sequence[timedelta]) -> str:
    """Say how it is delivered: the schedule in words."""
    first, *later = schedule or (timedelta(0),)
    start = "at once" if not first else f"after {spoken(first)}"
    again = f", then again after {', '.join(map(spoken, later))}" if later else ", and not again"
    return (
        f"**Delivery.** Sent {start}{again}, until an answer with a 2xx status; `Retry-After` is respected, and `410` "
        "ends it. The same message can arrive more than once: its `webhook-id` stays the same. Signed as in Standard "
        "Webhooks: verify `webhook-signature` over the raw body before anything else."
    )


def spoken(delay: timedelta) -> str:
    """Write a delay: ``5 minutes``, ``1.5 hours``."""
    for name, length in (("hour", 3600), ("minute", 60), ("second", 1)):
        amount = delay.total_seconds() / length
        if amount >= 1 or name == "second":
            return f"{amount:g} {name}{'' if amount == 1 else 's'}"
    raise AssertionError("seconds are the last")
