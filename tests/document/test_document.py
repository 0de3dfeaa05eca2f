"""The OpenAPI document says exactly what is sent, and nothing that FastAPI says of paths is touched."""

import json
import re
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Header, Query, Request
from fastapi.openapi.utils import get_openapi
from fastapi.security import HTTPBearer
from fastapi.testclient import TestClient
from openapi_spec_validator import OpenAPIV31SpecValidator, validate
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, computed_field, create_model

from anzol.catalog import Encoded, Envelope
from anzol.declarations import read
from anzol.openapi import complete, webhooks_document
from anzol.operations import promise, spoken

pytestmark = pytest.mark.declarations


class Plan(Enum):
    FREE = "free"
    PAID = "paid"


class Line(BaseModel):
    product: str
    price: Decimal
    quantity: int = 1


class Invoice(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    number: int
    lines: list[Line] = []
    plan: Plan = Plan.FREE
    paid_at: datetime | None = Field(None, alias="paidAt")

    @computed_field
    @property
    def total(self) -> Decimal:
        return sum((line.price * line.quantity for line in self.lines), Decimal(0))


class Node(BaseModel):
    name: str = ""
    children: list["Node"] = []


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


class Secret(BaseModel):
    internal: str


def invoice_paid(body: Invoice, x_region: Annotated[str | None, Header()] = None, page: int = 1) -> None:
    """An invoice was paid."""


def tree_grown(body: Node) -> None: ...
def pet_bought(pet: Annotated[Cat | Dog, Field(discriminator="kind")], buyer: Annotated[str, Body()]) -> None: ...
def enveloped(body: Envelope[Line]) -> None: ...
def numbered(body: list[int]) -> None: ...
def noted(body: Annotated[str, Body(media_type="text/plain")]) -> None: ...
def pinged() -> None: ...


WEBHOOKS = {
    "invoice.paid": invoice_paid,
    "tree.grown": tree_grown,
    "pet.bought": pet_bought,
    "enveloped": enveloped,
    "numbered": numbered,
    "noted": noted,
    "pinged": pinged,
}


def declare(app: FastAPI) -> None:
    for name, function in WEBHOOKS.items():
        app.webhooks.post(name, tags=["billing"])(function)


def with_paths(app: FastAPI) -> None:
    @app.post("/invoices")
    def create(invoice: Invoice, page: Annotated[int, Query()] = 1) -> Invoice:
        return invoice

    @app.post("/trees")
    def grow(tree: Node) -> Secret:
        return Secret(internal="")

    @app.get("/lines")
    def lines() -> list[Line]:
        return []


def shop(**options: Any) -> FastAPI:
    version = options.pop("openapi_version", None)
    app = FastAPI(title="Shop", **options)
    app.openapi_version = version or app.openapi_version
    with_paths(app)
    declare(app)
    return app


def completed(app: FastAPI) -> dict[str, Any]:
    complete(app)
    return app.openapi()


def operation(document: dict[str, Any], name: str, method: str = "post") -> dict[str, Any]:
    found: dict[str, Any] = document["webhooks"][name][method]
    return found


def body_schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    content = operation(document, name)["requestBody"]["content"]
    (media,) = content.values()
    return {**media["schema"], "components": document["components"]}


def referred(part: Any) -> set[str]:
    return set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(part)))


def everything_reached(document: dict[str, Any]) -> dict[str, Any]:
    """Return the paths with every schema that they reach."""
    schemas = document["components"]["schemas"]
    found: dict[str, Any] = {}
    waiting = referred(document["paths"])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = schemas[name]
            waiting |= referred(schemas[name])
    return {"paths": document["paths"], "schemas": found}


def drops_webhooks(app: FastAPI) -> None:
    """Override `app.openapi` by the recipe that everybody has copied, which knows no webhooks."""

    def custom() -> dict[str, Any]:
        if app.openapi_schema:
            return app.openapi_schema
        app.openapi_schema = get_openapi(title="Custom", version="2", routes=app.routes)
        app.openapi_schema["info"]["x-logo"] = {"url": "logo.png"}
        return app.openapi_schema

    app.openapi = custom  # type: ignore[method-assign]  # the recipe does that


def test_the_documents_webhooks_are_the_catalogs() -> None:
    app = shop()
    document = completed(app)

    assert list(document["webhooks"]) == list(read(app).names)
    for event in read(app):
        assert list(document["webhooks"][event.name]) == [event.method.lower()]


@pytest.mark.parametrize("name", WEBHOOKS)
def test_what_is_sent_fits_what_is_documented(name: str) -> None:
    app = shop()
    document = completed(app)
    sent = read(app).example(name)

    check_body(document, name, sent)
    check_parameters(operation(document, name)["parameters"], sent)


def check_body(document: dict[str, Any], name: str, sent: Encoded) -> None:
    if not sent.content_type:
        assert "requestBody" not in operation(document, name)
        return
    assert list(operation(document, name)["requestBody"]["content"]) == [sent.content_type]
    assert operation(document, name)["requestBody"]["required"]
    value = json.loads(sent.body) if sent.content_type == "application/json" else sent.body.decode()
    jsonschema.validate(value, body_schema(document, name), cls=jsonschema.Draft202012Validator)


def check_parameters(parameters: list[dict[str, Any]], sent: Encoded) -> None:
    required = {parameter["name"] for parameter in parameters if parameter["required"]}
    query = {pair.partition("=")[0] for pair in sent.query.split("&") if pair}
    assert required - {name for name, _ in sent.headers} - query == {
        "webhook-id", "webhook-timestamp", "webhook-signature", "webhook-event",
    }  # fmt: skip


def test_the_body_is_the_serialised_one_whole() -> None:
    document = completed(shop())
    invoice = document["components"]["schemas"][operation(document, "invoice.paid")["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]]  # fmt: skip

    assert invoice["required"] == ["number", "lines", "plan", "paidAt", "total"]
    assert "readOnly" not in json.dumps(invoice)
    assert body_is(
        document, Invoice(number=1, lines=[Line(product="a", price=Decimal("1.5"))], paidAt=datetime.now(UTC))
    )


def body_is(document: dict[str, Any], invoice: Invoice) -> bool:
    value = json.loads(invoice.model_dump_json(by_alias=True))
    validator = jsonschema.Draft202012Validator(body_schema(document, "invoice.paid"))
    return validator.is_valid(value) and not any(
        validator.is_valid({key: item for key, item in value.items() if key != left_out}) for left_out in value
    )


def test_paths_and_their_schemas_stay_byte_for_byte() -> None:
    alone = shop().openapi()

    assert json.dumps(everything_reached(completed(shop()))) == json.dumps(everything_reached(alone))
    assert json.dumps(everything_reached(completed(shop(separate_input_output_schemas=False)))) == json.dumps(
        everything_reached(shop(separate_input_output_schemas=False).openapi())
    )


def test_paths_stay_also_when_only_they_have_the_model_as_input() -> None:
    def build() -> FastAPI:
        app = FastAPI()

        @app.post("/trees")
        def grow(tree: Node) -> None: ...

        app.webhooks.post("tree.grown")(tree_grown)
        return app

    document = completed(build())

    assert json.dumps(everything_reached(document)) == json.dumps(everything_reached(build().openapi()))
    assert body_schema(document, "tree.grown")["$ref"] == "#/components/schemas/NodeWebhook"
    assert referred(document["components"]["schemas"]["NodeWebhook"]) == {"NodeWebhook"}


def test_a_schema_that_says_the_same_is_shared() -> None:
    app = FastAPI()

    @app.post("/secret")
    def path(secret: Secret) -> None: ...

    @app.webhooks.post("told")
    def told(body: Secret) -> None: ...

    document = completed(app)

    assert body_schema(document, "told")["$ref"] == "#/components/schemas/Secret"
    assert "SecretWebhook" not in document["components"]["schemas"]


def test_nothing_that_fastapi_assumed_is_left() -> None:
    app = FastAPI()
    app.webhooks.post("invoice.paid")(invoice_paid)
    app.webhooks.post("pet.bought")(pet_bought)
    document = completed(app)
    named = set(document["components"]["schemas"])

    assert "422" not in operation(document, "invoice.paid")["responses"]
    assert "200" not in operation(document, "invoice.paid")["responses"]
    assert named == {"Invoice", "Line", "Plan", "Cat", "Dog", "PetBoughtBody"}
    assert named == referred(document)


def test_names_headers_answers_and_schedule_are_said() -> None:
    document = completed(shop())
    said = operation(document, "invoice.paid")
    parameters = {parameter["name"]: parameter for parameter in said["parameters"]}

    assert said["operationId"] == "invoice_paid"
    assert said["summary"] == "Invoice Paid (invoice.paid)"
    assert said["description"].startswith(
        "An invoice was paid.\n\n**Delivery.** Sent at once, then again after 5 seconds,"
    )
    assert said["tags"] == ["billing"]
    assert list(said["responses"]) == ["2XX", "410", "429", "503", "default"]
    assert "Retry-After" in said["responses"]["503"]["headers"]
    assert parameters["webhook-timestamp"]["schema"] == {"type": "string", "pattern": "^[0-9]+$"}
    assert parameters["webhook-event"]["schema"]["enum"] == ["invoice.paid"]
    assert (parameters["x-region"]["required"], parameters["x-region"]["schema"]) == (False, {"type": "string"})
    assert (parameters["page"]["required"], parameters["page"]["schema"]["type"]) == (True, "integer")


def test_the_schedule_is_put_into_words() -> None:
    assert promise([timedelta(0), timedelta(seconds=1), timedelta(minutes=90)]).startswith(
        "**Delivery.** Sent at once, then again after 1 second, 1.5 hours, until"
    )
    assert promise([timedelta(minutes=1)]).startswith("**Delivery.** Sent after 1 minute, and not again, until")
    assert spoken(timedelta(seconds=0.5)) == "0.5 seconds"


@pytest.mark.parametrize(
    "build",
    [
        shop,
        lambda: shop(openapi_version="3.1.1"),
        lambda: shop(separate_input_output_schemas=False),
        lambda: shop(servers=[{"url": "/v1"}], openapi_tags=[{"name": "billing"}]),
        FastAPI,
    ],
)
def test_the_document_is_valid(build: Any) -> None:
    app = build()

    validate(completed(app), cls=OpenAPIV31SpecValidator)
    validate(webhooks_document(app), cls=OpenAPIV31SpecValidator)


def test_a_document_of_the_old_version_keeps_them_as_an_extension() -> None:
    app = FastAPI()
    app.openapi_version = "3.0.2"

    @app.webhooks.post("told")
    def told(body: Secret) -> None: ...

    document = completed(app)

    validate(document)
    assert "webhooks" not in document
    assert document["x-webhooks"]["told"]["post"]["operationId"] == "told"


def test_a_webhook_declared_late_appears() -> None:
    app = shop()
    before = completed(app)

    @app.webhooks.post("late")
    def late(body: Line) -> None: ...

    assert "late" not in before["webhooks"]
    assert operation(app.openapi(), "late")["operationId"] == "late"
    assert app.openapi() is app.openapi()


def test_a_path_declared_late_appears() -> None:
    app = FastAPI()
    app.webhooks.post("pinged")(pinged)
    complete(app)

    @app.get("/late")
    def late() -> None: ...

    assert "/late" in app.openapi()["paths"]


def test_completing_again_changes_nothing() -> None:
    app = shop()
    first = deepcopy(completed(app))

    assert completed(app) == first


@pytest.mark.parametrize("order", ["before", "after"])
def test_an_override_that_drops_webhooks_is_completed(order: str) -> None:
    app = shop()
    if order == "before":
        drops_webhooks(app)
    complete(app)
    if order == "after":
        drops_webhooks(app)

    document = TestClient(app).get("/openapi.json").json()

    assert document["info"] == {"title": "Custom", "version": "2", "x-logo": {"url": "logo.png"}}
    assert list(document["webhooks"]) == list(WEBHOOKS)
    assert document == app.openapi()
    validate(document, cls=OpenAPIV31SpecValidator)


def test_an_override_that_drops_webhooks_follows_late_declarations() -> None:
    app = shop()
    drops_webhooks(app)
    completed(app)

    @app.webhooks.post("late")
    def late(body: Cat) -> None: ...

    assert list(app.openapi()["webhooks"]) == [*WEBHOOKS, "late"]


def test_an_override_that_calls_what_was_there_is_not_completed_twice() -> None:
    app = shop()
    complete(app)
    original = app.openapi

    def custom() -> dict[str, Any]:
        document = original()
        document["webhooks"]["invoice.paid"]["post"]["x-mine"] = True
        return document

    app.openapi = custom  # type: ignore[method-assign]  # as the documentation shows
    document = TestClient(app).get("/openapi.json").json()
    said = operation(document, "invoice.paid")

    assert said["x-mine"]
    assert said["description"].count("**Delivery.**") == 1
    assert [parameter["name"] for parameter in said["parameters"]].count("webhook-id") == 1


def test_a_subclass_that_overrides_openapi_is_completed() -> None:
    class Own(FastAPI):
        def openapi(self) -> dict[str, Any]:
            document = super().openapi()
            document["info"]["x-own"] = 1
            return document

    app = Own()
    app.webhooks.post("pinged")(pinged)
    document = completed(app)

    assert document["info"]["x-own"] == 1
    assert operation(document, "pinged")["operationId"] == "pinged"


def test_what_was_declared_beyond_the_body_is_kept() -> None:
    bearer = HTTPBearer()
    app = FastAPI()

    @app.webhooks.post(
        "told",
        operation_id="tellMe",
        summary="Somebody told (told)",
        deprecated=True,
        status_code=202,
        responses={418: {"description": "Teapot", "model": Secret}, "default": {"description": "Mine"}},
        dependencies=[Depends(bearer)],
        openapi_extra={
            "x-stage": "beta",
            "parameters": [{"in": "header", "name": "x-extra", "schema": {"type": "string"}}],
        },
    )
    def told(
        body: Annotated[Line, Body(openapi_examples={"one": {"value": {"product": "a", "price": 1}}})],
        x_id: Annotated[str, Header(description="Whose it is", deprecated=True)],
    ) -> None: ...

    document = completed(app)
    said = operation(document, "told")
    parameters = {parameter["name"]: parameter for parameter in said["parameters"]}

    assert (said["operationId"], said["summary"], said["deprecated"], said["x-stage"]) == (
        "tellMe", "Somebody told (told)", True, "beta",
    )  # fmt: skip
    assert {"202", "418"} <= set(said["responses"])
    assert said["responses"]["default"] == {"description": "Mine"}
    assert "Secret" in document["components"]["schemas"]
    assert said["security"] == [{"HTTPBearer": []}]
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert said["requestBody"]["content"]["application/json"]["examples"]["one"]["value"]["product"] == "a"
    assert (parameters["x-id"]["description"], parameters["x-id"]["deprecated"]) == ("Whose it is", True)
    assert parameters["x-extra"] == {"in": "header", "name": "x-extra", "schema": {"type": "string"}}
    validate(document, cls=OpenAPIV31SpecValidator)
    assert operation(webhooks_document(app), "told") == said


def test_a_body_that_only_the_document_describes_is_kept() -> None:
    app = FastAPI()
    schema = {"type": "object", "properties": {"free": {"type": "string"}}}

    @app.webhooks.post("free", openapi_extra={"requestBody": {"content": {"application/json": {"schema": schema}}}})
    def free(request: Request) -> None: ...

    assert operation(completed(app), "free")["requestBody"]["content"]["application/json"]["schema"] == schema


def test_webhooks_that_only_the_document_has_are_kept() -> None:
    app = shop()

    def custom() -> dict[str, Any]:
        document = get_openapi(title="t", version="1", routes=app.routes, webhooks=app.webhooks.routes)
        document["webhooks"]["by.hand"] = {"post": {"responses": {"200": {"description": "ok"}}}}
        return document

    app.openapi = custom  # type: ignore[method-assign]  # as the documentation shows
    document = completed(app)

    assert document["webhooks"]["by.hand"] == {"post": {"responses": {"200": {"description": "ok"}}}}


def test_a_hidden_webhook_is_sent_and_not_shown() -> None:
    app = FastAPI()
    app.webhooks.post("hidden", include_in_schema=False)(pinged)

    assert "webhooks" not in completed(app)
    assert read(app).encode("hidden").body == b""


def test_operation_ids_are_unique_and_do_not_depend_on_chance() -> None:
    app = FastAPI(generate_unique_id_function=lambda route: route.name)

    @app.get("/paid")
    def invoice_paid() -> None: ...

    @app.webhooks.api_route("many", methods=["PUT", "POST", "PATCH"])
    def many(body: Line) -> None: ...

    app.webhooks.post("invoice.paid")(tree_grown)
    app.webhooks.post("invoice-paid")(tree_grown)
    document = completed(app)
    ids = {
        (name, method): found["operationId"]
        for name, item in document["webhooks"].items()
        for method, found in item.items()
    }

    assert list(ids.values()) == [
        "many_post",
        "many_put",
        "many_patch",
        "invoice_paid_post",
        "invoice_paid_post_webhook",
    ]
    assert document["paths"]["/paid"]["get"]["operationId"] == "invoice_paid"


def test_the_router_of_an_application_that_chose_its_ids_keeps_them() -> None:
    app, router = FastAPI(), APIRouter(generate_unique_id_function=lambda route: f"event-{route.name}")
    router.post("tree.grown")(tree_grown)
    app.webhooks.include_router(router)

    assert operation(completed(app), "tree.grown")["operationId"] == "event-tree_grown"


def test_mounted_and_behind_a_prefix_the_document_is_complete() -> None:
    inner, outer, behind = shop(), FastAPI(), shop()
    complete(inner)
    complete(behind)
    outer.mount("/inner", inner)

    mounted = TestClient(outer).get("/inner/openapi.json").json()
    prefixed = TestClient(behind, root_path="/behind").get("/openapi.json").json()

    assert list(mounted["webhooks"]) == list(prefixed["webhooks"]) == list(WEBHOOKS)
    assert prefixed["servers"] == [{"url": "/behind"}]


def test_the_webhooks_only_document_leaks_nothing_else() -> None:
    app = shop(openapi_tags=[{"name": "billing", "description": "Money"}, {"name": "internal"}], version="9")
    document = webhooks_document(app, description="For receivers.")

    assert document["openapi"].startswith("3.1")
    assert document["paths"] == {}
    assert document["info"] == {"title": "Shop webhooks", "version": "9", "description": "For receivers."}
    assert document["tags"] == [{"name": "billing", "description": "Money"}]
    assert "Secret" not in json.dumps(document)
    assert set(document["components"]["schemas"]) == referred(document)
    assert {name for name in document["components"]["schemas"] if name.endswith("Webhook")} == set()


def test_a_router_has_a_document_without_any_application() -> None:
    router = APIRouter()
    router.post("invoice.paid")(invoice_paid)
    document = webhooks_document(router, title="Events", version="3")

    validate(document, cls=OpenAPIV31SpecValidator)
    assert (document["info"], list(document["webhooks"])) == ({"title": "Events", "version": "3"}, ["invoice.paid"])


def test_parameter_models_are_documented_as_they_are_sent() -> None:
    class Trace(BaseModel):
        x_trace_id: str
        x_note: str | None = None
        x_plan: Plan = Plan.FREE

    app = FastAPI()

    @app.webhooks.post("traced")
    def traced(body: Secret, trace: Annotated[Trace, Header()]) -> None: ...

    document = completed(app)
    parameters = {one["name"]: (one["required"], one["schema"]) for one in operation(document, "traced")["parameters"]}

    assert parameters["x-trace-id"][0]
    assert parameters["x-note"] == (False, {"type": "string", "title": "X Note"})
    assert parameters["x-plan"] == (True, {"$ref": "#/components/schemas/Plan"})
    assert "x_trace_id" not in parameters
    assert "Plan" in document["components"]["schemas"]


def test_two_models_of_one_name_are_both_described() -> None:
    def other() -> type[BaseModel]:
        class Line(BaseModel):
            text: str

        return Line

    app = FastAPI()
    app.webhooks.post("a")(enveloped)

    @app.webhooks.post("b")
    def b(body: other()) -> None: ...  # type: ignore[valid-type]  # the same name on purpose

    document = completed(app)

    validate(document, cls=OpenAPIV31SpecValidator)
    for name in ("a", "b"):
        value = json.loads(read(app).example(name).body)
        jsonschema.validate(value, body_schema(document, name), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize("place", [Header, Query])
@pytest.mark.parametrize("as_a_model", [False, True], ids=["one by one", "in a model"])
@pytest.mark.parametrize(
    ("names", "sent"),
    [
        ({"alias": "x-a"}, "x-a"),
        ({"validation_alias": "x-v"}, "x-v"),
        ({"serialization_alias": "x-s"}, "x-s"),
        ({"alias": "x-a", "validation_alias": "x-v", "serialization_alias": "x-s"}, "x-s"),
        ({"validation_alias": AliasChoices("x-1", "x-2")}, "x-1"),
    ],
)
@pytest.mark.filterwarnings("ignore:The '.*alias' attribute with value")  # of what the oldest FastAPI makes of a model
def test_a_parameter_with_several_names_is_documented_under_the_one_that_is_sent(
    place: Any, as_a_model: bool, names: dict[str, Any], sent: str
) -> None:
    model = create_model("Parameters", my_page=(int, Field(1, description="Which page.", **names)))
    declared = Annotated[model, place()] if as_a_model else Annotated[int, place(description="Which page.", **names)]  # type: ignore[valid-type]  # made here

    default = model() if as_a_model else 1

    def turned(body: Secret, my_page: declared = default) -> None: ...  # type: ignore[valid-type]  # made here

    app = FastAPI()
    app.webhooks.post("turned")(turned)
    request = read(app).encode("turned", (Secret(internal=""),))
    parameters = operation(completed(app), "turned")["parameters"]

    assert (request.query or request.headers) in (f"{sent}=1", ((sent, "1"),))
    assert [(one["name"], one["required"], one["description"]) for one in parameters[4:]] == [
        (sent, True, "Which page.")
    ]
