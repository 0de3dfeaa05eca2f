"""An example of an event type, sent to one endpoint."""

# Annotations are real objects here: FastAPI reads them.
import json
from typing import Annotated, Any, Final

from pydantic import Field

from anzol.api.access import Environment, OwnCustomer
from anzol.api.endpoint import EndpointId, Keeping
from anzol.api.ground import Place
from anzol.api.message_shapes import MessageOut, message_of
from anzol.api.problems import Problem, fault
from anzol.api.routes import SEND_AGAIN, Resource
from anzol.api.shapes import EventTypeName, Shape
from anzol.api.validation import compiled, newest, of_name
from anzol.api.writing import written
from anzol.catalog import Encoded, EventType, encode, meant
from anzol.encoding import Misfit
from anzol.errors import NotFound
from anzol.examples import arguments, fits, made, schema_examples, spread
from anzol.outbox import check_size, send_example

router = Resource("Endpoint", prefix="/app/{app_id}/endpoint/{endpoint_id}/send-example")
MOST_LOOKS: Final = 2000  # into definitions, to make one value


class ExampleIn(Shape):
    """Which example."""

    event_type: EventTypeName
    example_index: Annotated[
        int | None,
        Field(ge=0, description="Which of the declared examples, from 0; the first one that fits unless given."),
    ] = None


@router.operation(
    "POST", "", may=SEND_AGAIN, operation_id="v1.endpoint.send-example", status=202, response_model=MessageOut
)
async def send_example_to(
    endpoint_id: EndpointId, given: ExampleIn, keeper: Keeping, customer: OwnCustomer, place: Environment
) -> Any:
    """Send an endpoint an example of an event type, whatever it is subscribed to. It carries the tag `example`."""
    endpoint = await keeper.find(endpoint_id)
    if not endpoint.enabled:
        raise Problem("conflict", "The endpoint is disabled; enable it first.")
    intake = place.intake
    encoded = await example(place, given)
    check_size(encoded, intake.payload_limit)
    message = await send_example(intake, encoded, customer.uid, endpoint.id)
    stored = await (await place.storage()).message(place.environment, message.id)
    return written(message_of(stored, with_content=True), 202)


async def example(place: Place, given: ExampleIn) -> Encoded:
    """Return an example of an event type: as the code declares it, else by its stored schema.

    Raises:
        Problem: there is no such event type, or no example of it.
    """
    declared = of_name(place.ground, given.event_type)
    if declared is not None:
        return declared_example(declared, given.example_index)
    try:
        card = await (await place.storage()).event_type(place.environment, given.event_type)
    except NotFound:
        names = place.records.names()
        do = meant(given.event_type, names) if names else "Make it with `POST /event-type`."
        raise fault("eventType", f"There is no event type {given.event_type!r}. {do}") from None
    body = stored_example(card.name, newest(card.schemas), given.example_index)
    return Encoded(card.name, "POST", "application/json", body)


def declared_example(event: EventType, index: int | None) -> Encoded:
    """Return an example of a declared event type."""
    try:
        return encode(event, {**arguments(event), **chosen(event, index)})
    except Misfit as misfit:
        raise none_of(event.name, "; ".join(reason for _, reason in misfit.faults)) from None


def chosen(event: EventType, index: int | None) -> dict[str, Any]:
    """Return the arguments of the example that is asked for; none where none is, or none is declared."""
    candidates = [] if event.body is None else [*event.examples, *schema_examples(event.body.adapter)]
    if index is None or event.body is None or not candidates:
        return {}
    given = spread(event.body, picked(candidates, index))
    if given is None or not fits(event.body, given):
        raise none_of(event.name, "the declared one does not fit its type")
    return given


def stored_example(name: str, schema: Any, index: int | None) -> bytes:
    """Return an example by a stored schema: one that it holds, else one that is made by it."""
    if not isinstance(schema, dict):
        raise none_of(name, "it has no schema")
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        return json.dumps(picked(examples, index or 0)).encode()
    try:
        value = made(schema, Definitions(schema))
        if compiled(schema).is_valid(value):
            return json.dumps(value, allow_nan=False).encode()
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        pass  # what a schema may say is not always what a value can be made of
    raise none_of(name, "none can be made by its schema; put `examples` into that")


class Definitions(dict[str, Any]):
    """A schema's definitions by name; looked at so often that a schema which branches without end is given up."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__({**schema.get("definitions", {}), **schema.get("$defs", {})})
        self._looks = MOST_LOOKS

    def __getitem__(self, name: str) -> Any:
        self._looks -= 1
        if self._looks < 0:
            raise LookupError("no example of this schema is small")
        return super().__getitem__(name)


def picked(examples: list[Any], index: int) -> Any:
    """Return one of the examples; raises Problem."""
    if index >= len(examples):
        raise fault(
            "exampleIndex", f"There are {len(examples)} examples; the last one has the index {len(examples) - 1}."
        )
    return examples[index]


def none_of(name: str, why: str) -> Problem:
    """Return the problem of an event type that has no example."""
    return Problem("conflict", f"There is no example of {name!r}: {why}.")
