"""From FastAPI's routes to the catalog. The only file that knows FastAPI's routing.

Reads ``app.webhooks`` or an ``APIRouter``, directly and through the routers included into it, in every FastAPI from
the floor to the newest (docs/decisions/0002-fastapi-floor.md). Nothing here calls a declared function.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, get_args

from fastapi import APIRouter, FastAPI, params
from fastapi import routing as fastapi_routing
from fastapi.datastructures import DefaultPlaceholder
from fastapi.routing import APIRoute
from fastapi.security.base import SecurityBase
from pydantic import BaseModel, Field, TypeAdapter, create_model
from starlette.background import BackgroundTasks
from starlette.requests import HTTPConnection
from starlette.responses import Response

from anzol.annotations import aliases, is_bare, is_collection, is_hidden_body, is_model, is_root, serialised_name
from anzol.catalog import METHODS, Catalog, Envelope, EventType, called, identity
from anzol.encoding import Body, Parameter, speaks_json
from anzol.errors import DeclarationError
from anzol.headers import FORBIDDEN, FORBIDDEN_PREFIXES, TOKEN

Source = FastAPI | APIRouter

NAME = re.compile(r"[A-Za-z0-9_.-]{1,256}", re.ASCII)
# Sent by Anzol itself, with a value that a declaration could only contradict.
OWN_HEADERS = FORBIDDEN | {"content-type", "content-encoding", "user-agent", "accept-encoding"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one declaration. ``fatal``: it cannot be sent, `read` raises; otherwise a warning."""

    webhook: str
    problem: str
    do: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"webhook {self.webhook!r}: {self.problem} {self.do}".rstrip()


# Under this attribute a source carries what was read from it: routers are not hashable, and the two live as long.
KNOWN = "anzol_catalog"


def read(source: Source) -> Catalog:
    """Return the catalog of what is declared on *source*; raises DeclarationError.

    Cheap to call again: read anew only after a route was added, so that webhooks declared late are there.
    """
    routes = webhook_routes(source)
    seen = fingerprint(routes)
    known: tuple[tuple[int, ...], Catalog] | None = vars(source).get(KNOWN)
    if known is None or known[0] != seen:
        known = seen, Catalog(event_types(routes))
        setattr(source, KNOWN, known)
    return known[1]


def webhook_routes(source: Source) -> Sequence[Any]:
    """Return the routes on which webhooks are declared: an application's ``webhooks``, a router's own."""
    return source.webhooks.routes if isinstance(source, FastAPI) else source.routes


def fingerprint(routes: Iterable[Any]) -> tuple[int, ...]:
    """Return what changes whenever a route is added to *routes* or to a router included among them."""
    marks: list[int] = []
    for route in routes:
        marks.append(id(route))
        included = getattr(route, "original_router", None)
        if included is not None:
            marks.extend(fingerprint(included.routes))
    return tuple(marks)


def declared(routes: Sequence[Any]) -> Iterator[Any]:
    """Yield every declared route as it counts: with the prefix, tags and so on of the routers it came through."""
    # FastAPI 0.137 made `routes` a tree; before it, including a router copied its routes into a flat list.
    contexts = getattr(fastapi_routing, "iter_route_contexts", iter)
    for context in contexts(routes):
        if isinstance(getattr(context, "original_route", context), APIRoute):
            yield context


def event_types(routes: Sequence[Any]) -> Iterator[EventType]:
    """Yield an event type for each route and method; raises DeclarationError at the first that cannot be sent."""
    for route in declared(routes):
        for finding in check(route):
            if finding.fatal:
                raise DeclarationError(f"{finding.webhook!r} cannot be sent: {finding.problem}", do=finding.do)
        for method in sorted(route.methods, key=METHODS.index):
            yield event_type(route, method)


def event_type(route: Any, method: str) -> EventType:
    """Make the event type of a route that was checked."""
    body = read_body(route)
    headers, query = read_parameters(route.dependant.header_params), read_parameters(route.dependant.query_params)
    return EventType(
        name=route.path,
        method=method,
        media_type=body.media_type if body else "",
        summary=route.summary or "",
        description=route.description,
        operation_id=read_operation_id(route),
        tags=tuple(str(tag.value if isinstance(tag, Enum) else tag) for tag in route.tags),
        deprecated=bool(route.deprecated),
        documented=route.include_in_schema,
        examples=tuple(read_examples(route)),
        function=route.endpoint,
        signature=read_signature(route),
        body=body,
        headers=headers,
        query=query,
        body_default={field.name: field.get_default for field in route.dependant.body_params if not required(field)},
        plain=is_plain(body, headers, query),
    )


def read_operation_id(route: Any) -> str:
    """Return the operation's id when somebody chose it: for this webhook, or by a function for all."""
    chosen = not isinstance(route.generate_unique_id_function, DefaultPlaceholder)
    return route.operation_id or (route.unique_id if chosen else "")


def is_plain(body: Body | None, headers: Sequence[Parameter], query: Sequence[Parameter]) -> bool:
    """Say whether one positional argument is the whole request, so that nothing needs binding."""
    return body is not None and body.embedded is None and not headers and not query


def required(field: Any) -> bool:
    """Say whether a parameter has no default."""
    return bool(field.field_info.is_required())


def read_signature(route: Any) -> inspect.Signature:
    """Return what `send` takes after the webhook: the function's parameters without what FastAPI would inject."""
    optional = {field.name for field in all_fields(route) if not required(field)}
    left_out = {dependency.name for dependency in route.dependant.dependencies if dependency.name}
    if route.dependant.body_params:
        left_out.add(route.dependant.request_param_name)
    kept = []
    for parameter in inspect.signature(route.endpoint).parameters.values():
        if parameter.name not in left_out:
            default = ... if parameter.name in optional else inspect.Parameter.empty
            kept.append(parameter.replace(default=default, annotation=inspect.Parameter.empty))
    return inspect.Signature(in_order(kept))


def in_order(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    """Give every positional parameter after an optional one a default, as a signature demands.

    ``(body: Item = Body(), page: int = Query(1), x_id: str = Header())`` is right in Python, for there everything has
    a default. `EventType.bind` misses what is required afterwards.
    """
    seen = False
    ordered = []
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            ordered.append(parameter)
            continue
        seen = seen or parameter.default is not inspect.Parameter.empty
        ordered.append(parameter.replace(default=...) if seen else parameter)
    return ordered


def all_fields(route: Any) -> list[Any]:
    """Return every parameter that carries a value: body, headers, query."""
    dependant = route.dependant
    return [*dependant.body_params, *dependant.header_params, *dependant.query_params]


def read_body(route: Any) -> Body | None:
    """Return how the body is made, or None when none is declared."""
    fields = route.dependant.body_params
    if not fields:
        name = route.dependant.request_param_name
        return Body((name,), TypeAdapter(Any), "application/json") if name else None
    media_type = route.body_field.field_info.media_type
    if all(field is not route.body_field for field in fields):
        adapter, embedded = embed(route.path, fields)
        return Body(tuple(field.name for field in fields), adapter, media_type, embedded=embedded)
    annotation = fields[0].field_info.annotation
    model = annotation if is_model(annotation) and not is_root(annotation) else None
    named = route.path if model is not None and issubclass(model, Envelope) else ""
    return Body((fields[0].name,), adapter_of(fields[0]), media_type, model, named=named)


def adapter_of(field: Any) -> TypeAdapter[Any]:
    """Return FastAPI's own adapter of a parameter: its type with everything that was declared about it."""
    adapter: TypeAdapter[Any] = field._type_adapter
    return adapter


def embed(webhook: str, fields: Sequence[Any]) -> tuple[TypeAdapter[Any], dict[str, str]]:
    """Make the one model of several body parameters, and the parameter's name for each of its fields.

    Its fields are numbered: a parameter may be called ``schema`` or ``_id``, a model's field may not.
    """
    names = {f"field_{index}": field.name for index, field in enumerate(fields)}
    parts: dict[str, Any] = {
        f"field_{index}": (embedded_type(field), Field(serialization_alias=wire_name(field)))
        for index, field in enumerate(fields)
    }
    title = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", webhook))
    return TypeAdapter(create_model(f"{title}Body", **parts)), names


def embedded_type(field: Any) -> Any:
    """Return a body parameter's type with its constraints, free of FastAPI's own alias."""
    info = field.field_info
    about = Field(title=info.title, description=info.description, examples=info.examples)
    if info.discriminator is not None:
        return Annotated[(info.annotation, *info.metadata, Field(discriminator=info.discriminator), about)]
    return Annotated[(info.annotation, *info.metadata, about)]


def wire_name(field: Any) -> str:
    """Return the key under which an embedded body parameter, a header or a query parameter is sent."""
    return next(iter(aliases(field.field_info)), str(field.name))


def read_parameters(fields: Sequence[Any]) -> tuple[Parameter, ...]:
    """Return the declared headers or query parameters."""
    return tuple(
        Parameter(
            name=field.name,
            adapter=adapter_of(field),
            names=parameter_names(field),
            documented=documented_names(field),
            default=None if required(field) else field.get_default,
            description=field.field_info.description or "",
        )
        for field in fields
    )


def parameter_names(field: Any) -> dict[str, str]:
    """Return the names on the wire: one under ``""``, or one for each field of a parameter model."""
    model = parameter_model(field)
    if model is None:
        return {"": wire_name(field)}
    dashes = getattr(field.field_info, "convert_underscores", False)
    return {
        serialised_name(name, info): next(iter(aliases(info)), name.replace("_", "-") if dashes else name)
        for name, info in model.model_fields.items()
    }


def documented_names(field: Any) -> dict[str, frozenset[str]]:
    """Return, with the keys of `parameter_names`, every name that some FastAPI's document has for it."""
    model = parameter_model(field)
    if model is None:
        return {"": frozenset([field.name, *aliases(field.field_info)])}
    fields = model.model_fields.items()
    return {serialised_name(name, info): frozenset([name, *aliases(info)]) for name, info in fields}


def parameter_model(field: Any) -> type[BaseModel] | None:
    """Return the model of a parameter that is declared as one (FastAPI 0.115)."""
    annotation = field.field_info.annotation
    choices = [annotation, *(choice for choice in get_args(annotation) if choice is not type(None))]
    return next((choice for choice in choices if is_model(choice)), None)


def read_examples(route: Any) -> Iterator[Any]:
    """Yield the bodies that the declaration gives as examples, in OpenAPI's way or in JSON Schema's."""
    if route.body_field is None:
        return
    info = route.body_field.field_info
    for example in (getattr(info, "openapi_examples", None) or {}).values():
        if isinstance(example, Mapping) and "value" in example:
            yield example["value"]
    yield from info.examples or ()


def lint(source: Source) -> list[Finding]:
    """Return everything that is wrong or doubtful about the declarations, for start-up and `anzol doctor`."""
    routes = list(declared(webhook_routes(source)))
    findings = [finding for route in routes for finding in check(route)]
    findings += repeated(routes)
    findings += twice(routes)
    if isinstance(source, FastAPI):
        findings += misplaced(source, routes)
    return findings


def repeated(routes: Sequence[Any]) -> Iterator[Finding]:
    """Find names that are declared twice for one method: FastAPI forgets the earlier one without a word."""
    counted = Counter((route.path, method) for route in routes for method in route.methods)
    for (name, method), count in counted.items():
        if count > 1:
            problem = f"it is declared {count} times for {method}; only the last one counts."
            yield Finding(name, problem, "Give each its own name.")


def twice(routes: Sequence[Any]) -> Iterator[Finding]:
    """Find functions that are declared under two names: sending by function cannot tell which is meant."""
    declared_as: dict[Hashable, list[Any]] = {}
    for route in routes:
        declared_as.setdefault(identity(route.endpoint), []).append(route)
    for same in declared_as.values():
        first, *others = sorted({route.path for route in same})
        if others:
            problem = f"its function {called(same[0].endpoint)} is declared as {' and '.join(others)} too."
            yield Finding(first, problem, "Send by name, or declare a function for each.")


def misplaced(app: FastAPI, webhooks: Sequence[Any]) -> Iterator[Finding]:
    """Find webhooks that became paths: ``app.include_router`` where ``app.webhooks.include_router`` was meant."""
    functions = {identity(route.endpoint) for route in webhooks}
    for route in declared(app.routes):
        if not route.path.startswith("/") or identity(route.endpoint) in functions:
            problem = "it is a path of the application, which nobody calls."
            yield Finding(route.path, problem, "Use app.webhooks.include_router, not app.include_router.")


def check(route: Any) -> Iterator[Finding]:
    """Find what is wrong with one route."""
    yield from check_name(route.path)
    yield from check_methods(route)
    yield from check_injected(route)
    yield from check_parameters(route)
    yield from check_body(route)


def check_name(name: str) -> Iterator[Finding]:
    """Find a name that cannot travel in a header and in a path."""
    if NAME.fullmatch(name):
        return
    if "{" in name or "}" in name:
        problem = "braces make a path parameter, and a webhook has no path of its own: the customer's URL is the path."
    elif name.startswith("/"):
        problem = "a webhook's name is not a path and has no leading slash (a router's prefix puts one there)."
    elif not name:
        problem = "it has no name."
    elif len(name) > 256:
        problem = f"its name has {len(name)} characters; 256 are the most."
    else:
        problem = "its name holds characters that a header or a path would not carry unchanged."
    do = f"Use letters, digits, '_', '.' and '-', such as {suggested(name)!r}."
    yield Finding(name, problem, do, fatal=True)


def suggested(name: str) -> str:
    """Return the nearest name that is allowed."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.")[:256] or "order.paid"


def check_methods(route: Any) -> Iterator[Finding]:
    """Find methods that carry no message."""
    for method in sorted(set(route.methods) - set(METHODS)):
        problem = f"{method} carries no body that a receiver would read."
        yield Finding(route.path, problem, "Declare it with post, put, patch or delete.", fatal=True)


def check_injected(route: Any) -> Iterator[Finding]:
    """Find parameters that FastAPI would fill in when the function is called, which it never is."""
    dependant, name = route.dependant, route.path
    for parameter in inspect.signature(route.endpoint).parameters.values():
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            yield Finding(name, f"{parameter} stands for no parameter in particular.", "Name each.", fatal=True)
    for attribute, kind in INJECTED:
        if getattr(dependant, attribute) is not None:
            problem = f"parameter {getattr(dependant, attribute)} is a {kind}: a webhook's function is never called."
            yield Finding(name, problem, "Remove it.", fatal=True)
    if dependant.request_param_name is not None:
        problem = "it declares a Request, so nothing says what is sent, and nothing checks it."
        yield Finding(name, problem, "Declare the body's type instead.")
    for dependency in dependant.dependencies:
        yield from check_dependency(name, dependency)


INJECTED = (
    ("websocket_param_name", "WebSocket"),
    ("http_connection_param_name", HTTPConnection.__name__),
    ("response_param_name", Response.__name__),
    ("background_tasks_param_name", BackgroundTasks.__name__),
    ("security_scopes_param_name", "SecurityScopes"),
)


def check_dependency(name: str, dependency: Any) -> Iterator[Finding]:
    """Find a dependency that the request would need: a security scheme is documentation, anything else never runs."""
    if isinstance(dependency.call, SecurityBase):
        return
    if dependency.name is not None:
        problem = f"parameter {dependency.name} depends on {called(dependency.call)}, which never runs."
        yield Finding(name, problem, "Declare what is sent as Body, Header or Query.", fatal=True)
    elif asks(dependency):
        problem = f"dependency {called(dependency.call)} declares parameters, which `send` would have no argument for."
        yield Finding(name, problem, "Declare them on the webhook's own function.", fatal=True)


def asks(dependency: Any) -> bool:
    """Say whether a dependency, or one beneath it, declares parameters of the request."""
    own = (dependency.body_params, dependency.header_params, dependency.query_params, dependency.cookie_params)
    return any(own) or any(asks(beneath) for beneath in dependency.dependencies)


def check_parameters(route: Any) -> Iterator[Finding]:
    """Find parameters that a webhook cannot send."""
    name, dependant = route.path, route.dependant
    for field in dependant.path_params:
        problem = f"{field.name} is a path parameter, and the path is the customer's own URL."
        yield Finding(name, problem, "Send it in the body, as a query parameter or as a header.", fatal=True)
    for field in dependant.cookie_params:
        problem = f"{field.name} is a cookie, and a receiver is no browser."
        yield Finding(name, problem, "Send it as a header: Header() instead of Cookie().", fatal=True)
    for field in dependant.query_params:
        if is_hidden_body(field.field_info.annotation):
            problem = f"{field.name} is sent in the query: nothing in its type says that it is the body."
            yield Finding(name, problem, "Declare a model, or mark it: Annotated[..., Body()].")
    for field in dependant.header_params:
        for header in parameter_names(field).values():
            yield from check_header(name, field.name, header)


def check_header(name: str, parameter: str, header: str) -> Iterator[Finding]:
    """Find a declared header that HTTP does not allow or that Anzol sends itself."""
    if not TOKEN.fullmatch(header):
        problem = f"parameter {parameter} would be sent as {header!r}, which is no header's name."
        yield Finding(name, problem, "Give it another alias.", fatal=True)
    elif header.lower() in OWN_HEADERS or header.lower().startswith(FORBIDDEN_PREFIXES):
        problem = f"parameter {parameter} is header {header.lower()}, which is set when the request is made."
        yield Finding(name, problem, "Remove it; the document says that it is sent.", fatal=True)


def check_body(route: Any) -> Iterator[Finding]:
    """Find bodies that cannot be encoded, and those that say nothing about their content."""
    name, fields = route.path, route.dependant.body_params
    for field in fields:
        annotation = field.field_info.annotation
        if isinstance(field.field_info, params.File) and is_collection(annotation):
            problem = f"{field.name} is a {annotation.__name__}, and FastAPI takes that for files."
            yield Finding(
                name, problem, "Say of what, such as list[Item]; or mark it: Annotated[..., Body()].", fatal=True
            )
        elif isinstance(field.field_info, params.Form):
            kind = "file" if isinstance(field.field_info, params.File) else "form field"
            problem = f"{field.name} is a {kind}; webhooks carry one signed body."
            yield Finding(name, problem, "Declare a model, which is sent as JSON.", fatal=True)
        elif is_bare(annotation):
            problem = f"{field.name} is a bare {getattr(annotation, '__name__', 'object')}:"
            yield Finding(name, f"{problem} receivers learn nothing of it.", "Declare a model.")
    yield from check_media_type(name, route)


def check_media_type(name: str, route: Any) -> Iterator[Finding]:
    """Find a body under another media type than JSON that is not already text or bytes."""
    fields = route.dependant.body_params
    if not fields or isinstance(fields[0].field_info, params.Form):
        return
    media_type = route.body_field.field_info.media_type
    if speaks_json(media_type):
        return
    annotation = fields[0].field_info.annotation
    if len(fields) > 1 or fields[0] is not route.body_field or annotation not in (str, bytes):
        problem = f"its body is {media_type}, which Anzol cannot make from {annotation}."
        yield Finding(name, problem, "Declare one body parameter of type str or bytes.", fatal=True)
