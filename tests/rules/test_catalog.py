"""The catalog sends exactly what the declared types say, and refuses the rest by name and path."""

import inspect
import json
import math
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import wraps
from typing import Annotated, Any
from uuid import UUID

import jsonschema
import pydantic
import pytest
from fastapi import Body, FastAPI, Header, Query
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import (
    AwareDatetime,
    Base64Bytes,
    BaseModel,
    ByteSize,
    ConfigDict,
    Field,
    Json,
    computed_field,
    field_serializer,
    model_serializer,
)

from anzol.catalog import Catalog, Envelope
from anzol.declarations import read
from anzol.errors import InvalidPayload, UnknownWebhook

pytestmark = pytest.mark.declarations


class Line(BaseModel):
    product: str
    price: Decimal
    quantity: int = 1


class Order(BaseModel):
    model_config = ConfigDict(populate_by_name=True)

    id: UUID
    lines: list[Line] = []
    placed_on: date = Field(alias="placedOn")
    note: str | None = None
    secret: str = Field("hidden", exclude=True)

    @computed_field
    @property
    def total(self) -> Decimal:
        return sum((line.price * line.quantity for line in self.lines), Decimal(0))


class InsideOrder(Order):
    margin: float = 0.4


class InsideLine(Line):
    cost: float = 0.1


ID = UUID(int=1)
LINE = Line(product="saw", price=Decimal(1))
ORDER = Order(id=ID, placedOn=date(2026, 1, 31), lines=[Line(product="saw", price=Decimal("1.50"))])
SENT = {
    "id": "00000000-0000-0000-0000-000000000001",
    "lines": [{"product": "saw", "price": "1.50", "quantity": 1}],
    "placedOn": "2026-01-31",
    "note": None,
    "total": "1.50",
}


def order_paid(order: Order, x_request: Annotated[str | None, Header()] = None) -> None: ...
def order_sent(order: Order) -> None: ...
def order_lost(order: Order) -> None: ...
def order_merged(first: Order, second: Order, page: Annotated[int, Query(ge=1)] = 1) -> None: ...
def enveloped(body: Envelope[Line]) -> None: ...
def nested(body: dict[str, list[Line] | None]) -> None: ...
def found(words: str) -> None: ...
def number(body: Annotated[float, Body()]) -> None: ...


@pytest.fixture
def catalog() -> Catalog:
    app = FastAPI()
    app.webhooks.post("order.paid")(order_paid)
    app.webhooks.post("order.sent")(order_sent)
    app.webhooks.put("order.changed")(order_lost)
    app.webhooks.delete("order.changed")(order_merged)
    app.webhooks.post("enveloped")(enveloped)
    app.webhooks.post("nested")(nested)
    app.webhooks.post("number")(number)
    app.webhooks.post("found")(found)
    return read(app)


def refused(catalog: Catalog, webhook: Any, *args: Any, **kwargs: Any) -> InvalidPayload:
    with pytest.raises(InvalidPayload) as refusal:
        catalog.encode(webhook, args, kwargs)
    return refusal.value


def test_an_instance_is_sent_as_its_type_serialises(catalog: Catalog) -> None:
    assert json.loads(catalog.encode(order_sent, (ORDER,)).body) == SENT


def test_the_body_is_compact_utf8(catalog: Catalog) -> None:
    sent = catalog.encode("enveloped", (Envelope(type="enveloped", timestamp=datetime(2026, 1, 1, tzinfo=UTC), data=Line(product="pão", price=Decimal(1))),))  # fmt: skip

    assert (
        sent.body
        == '{"type":"enveloped","timestamp":"2026-01-01T00:00:00Z","data":{"product":"pão","price":"1","quantity":1}}'.encode()
    )


@pytest.mark.parametrize("webhook", [order_sent, order_paid])
def test_fields_that_only_a_subclass_has_are_not_sent(catalog: Catalog, webhook: Any) -> None:
    line = InsideLine(product="saw", price=Decimal("1.50"))
    inside = InsideOrder(id=ID, placedOn=date(2026, 1, 31), lines=[line])

    assert json.loads(catalog.encode(webhook, (inside,)).body) == SENT


def test_dicts_are_validated_by_alias_and_by_name(catalog: Catalog) -> None:
    by_alias = catalog.encode(order_sent, ({**SENT, "total": "999"},))
    by_name = catalog.encode(order_sent, ({"id": str(ID), "placed_on": "2026-01-31", "lines": SENT["lines"]},))

    assert json.loads(by_alias.body) == json.loads(by_name.body) == SENT


def test_an_object_with_the_declared_attributes_is_sent_as_the_declared_type(catalog: Catalog) -> None:
    class Row:
        id, placed_on, note, lines, password = ID, date(2026, 1, 31), None, ORDER.lines, "never sent"

    assert json.loads(catalog.encode(order_sent, (Row(),)).body) == SENT


def test_an_invalid_dict_is_refused_by_path(catalog: Catalog) -> None:
    error = refused(catalog, order_sent, {"id": "x", "placedOn": "2026-01-31", "lines": [{"product": 1, "price": "a"}]})

    assert [path for path, _ in error.faults] == ["order.id", "order.lines[0].product", "order.lines[0].price"]
    assert "order.lines[0].price" in str(error)
    assert "'order.sent'" in error.what


def test_the_refused_value_is_not_in_the_error(catalog: Catalog) -> None:
    error = refused(catalog, "number", "hunter2")

    assert "hunter2" not in str(error)


def test_a_mutated_instance_is_coerced_or_refused(catalog: Catalog) -> None:
    right, wrong = ORDER.model_copy(deep=True), ORDER.model_copy(deep=True)
    right.id = "00000000-0000-0000-0000-000000000001"  # type: ignore[assignment]  # what a mutation may do
    wrong.lines[0].price = "dear"  # type: ignore[assignment]  # what a mutation may do

    assert json.loads(catalog.encode(order_sent, (right,)).body) == SENT
    assert [path for path, _ in refused(catalog, order_sent, wrong).faults] == ["order.lines[0].price"]


def test_a_table_row_is_sent_whole_also_when_it_is_expired() -> None:
    sqlmodel = pytest.importorskip("sqlmodel")

    class Account(sqlmodel.SQLModel, table=True):  # type: ignore[name-defined,misc,call-arg]  # imported as it may lack
        __tablename__ = "catalog_test_account"
        id: int = sqlmodel.Field(primary_key=True)
        owner: str

    app = FastAPI()

    @app.webhooks.post("account")
    def account(body: Account) -> None: ...

    engine = sqlmodel.create_engine("sqlite://")
    sqlmodel.SQLModel.metadata.create_all(engine, tables=[Account.__table__])
    with sqlmodel.Session(engine) as session:
        row = Account(id=5, owner="ana")
        never_stored = read(app).encode(account, (row,)).body
        session.add(row)
        session.commit()  # and now its attributes are expired
        stored = read(app).encode(account, (row,)).body
    engine.dispose()

    assert never_stored == stored == b'{"id":5,"owner":"ana"}'
    # A table model validates nothing, not even when it is asked to.
    assert refused(read(app), account, Account(id="5", owner="ana")).faults == (
        ("body", "field id is not the declared int"),
    )


def test_an_unvalidated_instance_without_its_fields_is_refused(catalog: Catalog) -> None:
    alone = Order.model_construct(note="x")
    inside = ORDER.model_copy(update={"lines": [Line.model_construct(product="saw")]})

    assert [path for path, _ in refused(catalog, order_sent, alone).faults] == ["order.id", "order.placedOn"]
    assert [path for path, _ in refused(catalog, order_sent, inside).faults] == ["order.lines[0].price"]
    assert [path for path, _ in refused(catalog, nested, {"a": [Line.model_construct(product="saw")]}).faults] == [
        "body.a[0].price"
    ]


@pytest.mark.parametrize(
    "nothing", [Line.model_construct(product=None, price=Decimal(1)), {"product": None, "price": 1}]
)
def test_none_in_place_of_something_is_refused(catalog: Catalog, nothing: Any) -> None:
    order = Order(id=UUID(int=1), placedOn=date(2026, 1, 1))
    order.lines.append(nothing)

    with pytest.raises(InvalidPayload) as refusal:
        catalog.encode("order.sent", (order,))
    assert [path for path, _ in refusal.value.faults] == ["order.lines[0].product"]


def test_none_in_a_table_row_is_refused_though_it_is_not_validated() -> None:
    sqlmodel = pytest.importorskip("sqlmodel")

    class Ship(sqlmodel.SQLModel, table=True):  # type: ignore[name-defined,misc,call-arg]  # imported as it may lack
        __tablename__ = "catalog_test_ship"
        id: int | None = sqlmodel.Field(default=None, primary_key=True)
        name: str

    app = FastAPI()

    @app.webhooks.post("built")
    def built(body: list[Ship]) -> None: ...

    with pytest.raises(InvalidPayload) as refusal:
        read(app).encode(built, ([Ship(name="a"), Ship(name=None)],))
    assert refusal.value.faults == (("body[1].name", "is None, which is not declared"),)
    assert read(app).encode(built, ([Ship(name="a")],)).body == b'[{"id":null,"name":"a"}]'


def test_a_field_with_a_serialiser_of_its_own_may_be_none() -> None:
    class Counted(BaseModel):
        count: int = None  # type: ignore[assignment]  # defaults are not validated

        @field_serializer("count")
        def counted(self, value: int | None) -> int:
            return value or 0

    app = FastAPI()

    @app.webhooks.post("x")
    def x(body: Counted) -> None: ...

    assert read(app).encode(x, (Counted(),)).body == b'{"count":0}'


def test_an_object_with_nothing_of_the_declared_model_is_refused() -> None:
    class Paging(BaseModel):
        page: int = 1

    app = FastAPI()

    @app.webhooks.post("x")
    def x(body: Paging) -> None: ...

    with pytest.raises(InvalidPayload, match="body: is a Line, which has no field of Paging"):
        read(app).encode(x, (Line(product="a", price=Decimal(1)),))
    assert read(app).encode(x, ({},)).body == b'{"page":1}'


def test_what_holds_itself_or_is_too_deep_is_refused() -> None:
    class Node(BaseModel):
        children: list["Node"] = []

    app, loop, deep = FastAPI(), Node(), Node()

    @app.webhooks.post("x")
    def x(body: Node) -> None: ...

    loop.children.append(loop)
    for _ in range(2000):
        deep = Node.model_construct(children=[deep])

    for node in (loop, deep):
        with pytest.raises(InvalidPayload, match="holds itself, or is nested too deeply"):
            read(app).encode(x, (node,))


def test_undeclared_fields_of_an_open_model_outlive_a_change() -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        count: int = 1

    app = FastAPI()

    @app.webhooks.post("x")
    def x(body: Open) -> None: ...

    changed = Open.model_validate({"note": "kept"})
    changed.count = "7"  # type: ignore[assignment]  # as a careless caller would

    assert read(app).encode(x, (changed,)).body == b'{"count":7,"note":"kept"}'


def test_several_bodies_are_refused_by_their_own_names(catalog: Catalog) -> None:
    error = refused(catalog, order_merged, ORDER, {"id": "x", "placedOn": "2026-01-31"})

    assert [path for path, _ in error.faults] == ["second.id"]


def test_headers_and_query_parameters_are_validated(catalog: Catalog) -> None:
    assert [path for path, _ in refused(catalog, order_merged, ORDER, ORDER, page=0).faults] == ["page"]
    assert [path for path, _ in refused(catalog, order_paid, ORDER, x_request=3).faults] == ["x_request"]


@pytest.mark.parametrize("value", ["a\r\nevil: 1", "a\x00", " a", "a\n", "olá"])
def test_a_header_that_http_cannot_carry_is_refused(catalog: Catalog, value: str) -> None:
    error = refused(catalog, order_paid, ORDER, x_request=value)

    assert error.faults[0][0] == "x_request"
    assert catalog.encode(order_paid, (ORDER,), {"x_request": "a b"}).headers == (("x-request", "a b"),)


def test_wrong_arguments_are_refused_with_the_declared_form(catalog: Catalog) -> None:
    assert "declared is order_paid(order, x_request=...)" in str(refused(catalog, order_paid))
    assert "got an unexpected keyword argument 'body'" in str(refused(catalog, order_paid, ORDER, body=ORDER))
    assert "too many positional arguments" in str(refused(catalog, order_sent, ORDER, ORDER))


def test_a_required_parameter_after_an_optional_one_is_missed() -> None:
    app = FastAPI()

    @app.webhooks.post("late")
    def late(body: Line = Body(LINE), x_id: str = Header()) -> None: ...

    assert refused(read(app), late).faults == (("x_id", "missing; declared is late(body=..., x_id)"),)
    assert read(app).encode(late, (), {"x_id": "1"}).body == b'{"product":"saw","price":"1","quantity":1}'


def test_half_a_surrogate_pair_is_refused(catalog: Catalog) -> None:
    by_value = refused(catalog, "nested", {"a": [LINE.model_copy(update={"product": "\ud800"})]})
    in_query = refused(catalog, "found", words="\ud800")

    assert by_value.faults == (("body", "a string holds half of a surrogate pair, which UTF-8 cannot carry"),)
    assert in_query.faults[0][0] == "words"


def test_half_a_surrogate_pair_in_a_plain_text_is_refused() -> None:
    app = FastAPI()

    @app.webhooks.post("note")
    def note(body: str = Body(media_type="text/plain")) -> None: ...

    assert refused(read(app), note, "\ud800").faults == (
        ("body", "a string holds half of a surrogate pair, which UTF-8 cannot carry"),
    )
    assert read(app).encode(note, ("\U0001f600",), {}).body == "\U0001f600".encode()


def test_what_serialises_to_something_unserialisable_is_refused() -> None:
    class Odd(BaseModel):
        value: Any

    app = FastAPI()

    @app.webhooks.post("odd")
    def odd(body: Odd) -> None: ...

    assert [path for path, _ in refused(read(app), odd, Odd(value=object())).faults] == ["body"]


def test_a_webhook_is_found_by_name_and_by_function(catalog: Catalog) -> None:
    assert catalog.find("order.paid") is catalog.find(order_paid)
    assert catalog.names == ("order.paid", "order.sent", "order.changed", "enveloped", "nested", "number", "found")
    assert len(catalog) == 8


def test_an_unknown_name_says_which_was_meant(catalog: Catalog) -> None:
    with pytest.raises(UnknownWebhook, match=r"Did you mean 'order\.paid'\?"):
        catalog.find("order_paid")
    with pytest.raises(UnknownWebhook, match=r"Declared are: order\.paid, order\.sent"):
        catalog.find("zzz")
    with pytest.raises(UnknownWebhook, match="None is declared"):
        Catalog().find("zzz")


def test_a_function_of_another_router_says_how_to_include_it(catalog: Catalog) -> None:
    with pytest.raises(UnknownWebhook, match=r"test_a_function.*its router is not part of app\.webhooks") as refusal:
        catalog.find(test_a_function_of_another_router_says_how_to_include_it)
    assert "app.webhooks.include_router" in refusal.value.do


def test_a_name_with_several_methods_is_found_by_method(catalog: Catalog) -> None:
    assert catalog.find("order.changed", method="put").function is order_lost
    assert catalog.find(order_merged).method == "DELETE"
    with pytest.raises(UnknownWebhook, match="is declared for PUT, DELETE"):
        catalog.find("order.changed")
    with pytest.raises(UnknownWebhook, match="not for POST"):
        catalog.find("order.changed", method="POST")


def test_a_function_with_several_methods_is_sent_with_the_first_in_order() -> None:
    app = FastAPI()

    @app.webhooks.api_route("many", methods=["PUT", "PATCH", "DELETE"])
    def many(body: Line) -> None: ...

    catalog = read(app)
    assert catalog.find(many).method == "PUT"
    assert catalog.find(many, method="DELETE").method == "DELETE"


def test_methods_and_decorated_functions_are_found() -> None:
    class Shop:
        def opened(self, body: Line) -> None: ...

        @classmethod
        def closed(cls, body: Line) -> None: ...

    def logged(function: Any) -> Any:
        return wraps(function)(lambda *args: function(*args))

    app, shop = FastAPI(), Shop()
    app.webhooks.post("opened")(shop.opened)
    app.webhooks.post("closed")(Shop.closed)
    decorated = logged(app.webhooks.post("sent")(order_sent))

    catalog = read(app)
    assert catalog.find(shop.opened).name == "opened"
    assert catalog.find(Shop.closed).name == "closed"
    assert catalog.find(decorated).name == "sent"
    with pytest.raises(UnknownWebhook, match="opened is not among"):
        catalog.find(Shop().opened)


def test_a_function_under_two_names_is_sent_by_name() -> None:
    app = FastAPI()
    app.webhooks.post("a")(order_sent)
    app.webhooks.post("b")(order_sent)

    with pytest.raises(UnknownWebhook, match="order_sent is declared as a and b"):
        read(app).find(order_sent)


def test_an_envelope_carries_the_events_name(catalog: Catalog) -> None:
    made = catalog.envelope(enveloped, Line(product="a", price=Decimal(1)), timestamp=datetime(2026, 1, 1, tzinfo=UTC))

    assert made.type == "enveloped"
    assert json.loads(catalog.encode(enveloped, (made,)).body)["data"]["product"] == "a"
    assert refused(catalog, enveloped, made.model_copy(update={"type": "other"})).faults == (
        ("body.type", "is 'other', but the webhook is 'enveloped'"),
    )


def test_an_envelopes_name_is_checked_in_a_dict_too(catalog: Catalog) -> None:
    envelope = {"type": "other", "timestamp": "2026-01-01T00:00:00Z", "data": {"product": "a", "price": 1}}

    assert refused(catalog, enveloped, envelope).faults[0][0] == "body.type"


@pytest.mark.parametrize("name", ["order.paid", "order.sent", "enveloped", "nested", "number"])
def test_an_example_of_every_type_fits_its_schema(catalog: Catalog, name: str) -> None:
    example = catalog.example(name)

    jsonschema.validate(json.loads(example.body), catalog.schema(name), cls=jsonschema.Draft202012Validator)
    assert catalog.example(name) == example


class Hard(BaseModel):
    text: Annotated[str, Field(min_length=10, max_length=12)]
    at: AwareDatetime
    small: Annotated[int, Field(gt=3, lt=5)]
    step: Annotated[int, Field(multiple_of=7, ge=10)]
    ratio: Annotated[float, Field(gt=0, lt=1)]
    most: Annotated[int, Field(le=-5)]
    many: Annotated[list[Line], Field(min_length=2)]
    pair: tuple[int, str]
    parent: "Hard | None" = None
    mapping: dict[str, int]
    email: Annotated[str, Field(examples=["eva@example.com"])]


def test_an_example_keeps_to_constraints_and_declared_examples() -> None:
    app = FastAPI()

    @app.webhooks.post("hard")
    def hard(body: Hard, x_id: Annotated[str, Header()], page: Annotated[int, Query(ge=4)]) -> None: ...

    example = read(app).example("hard")
    body = json.loads(example.body)

    assert body["email"] == "eva@example.com"
    assert (body["small"], len(body["many"]), body["parent"]) == (4, 2, None)
    assert 0 < body["ratio"] < 1
    assert (example.query, example.headers) == ("page=4", (("x-id", "string"),))


def test_a_declared_example_that_does_not_fit_is_passed_over() -> None:
    app = FastAPI()

    @app.webhooks.post("x")
    def x(body: Annotated[Line, Body(examples=[{"wrong": 1}, {"product": "b", "price": 2}])]) -> None: ...

    assert json.loads(read(app).example("x").body)["product"] == "b"


def test_a_type_that_no_example_can_be_made_of_says_so() -> None:
    app = FastAPI()

    @app.webhooks.post("x")
    def x(body: Annotated[str, Body(pattern="^[A-Z]{3}-[0-9]{4}$")]) -> None: ...

    with pytest.raises(InvalidPayload, match=r"declare one with Body\(examples=\[\.\.\.\]\)"):
        read(app).example("x")


def test_a_models_own_examples_are_used() -> None:
    class Known(BaseModel):
        model_config = ConfigDict(json_schema_extra={"examples": [{"name": "from the model"}]})
        name: str

    app = FastAPI()

    @app.webhooks.post("x")
    def x(body: Known) -> None: ...

    assert read(app).example(x).body == b'{"name":"from the model"}'


def test_examples_are_json_also_of_a_strict_type() -> None:
    class Strict(BaseModel):
        model_config = ConfigDict(strict=True)
        day: date
        size: ByteSize
        inner: Json[list[int]]
        data: Base64Bytes
        nothing: None

    app = FastAPI()

    @app.webhooks.post("made")
    def made(body: Strict) -> None: ...

    @app.webhooks.post("declared")
    def declared(
        body: Annotated[list[Annotated[date, Field(strict=True)]], Body(examples=[["2026-05-05"]])],
    ) -> None: ...

    example = json.loads(read(app).example("made").body)
    assert (example["day"], example["inner"], example["nothing"]) == ("2026-01-31", [1], None)
    assert read(app).example("declared").body == b'["2026-05-05"]'


class Masked(BaseModel):
    when: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    @field_serializer("when")
    def masked(self, value):  # type: ignore[no-untyped-def]  # what it returns is not said
        return {"year": value.year}


class Sparse(BaseModel):
    model_config = ConfigDict(extra="forbid")
    note: str | None = None
    count: int = 0

    @model_serializer(mode="wrap")
    def without_nothing(self, whole):  # type: ignore[no-untyped-def]  # what it returns is not said
        return {key: value for key, value in whole(self).items() if value is not None} | {"version": 2}


class Measured(BaseModel):
    model_config = ConfigDict(ser_json_inf_nan="strings")
    ratio: float


@pytest.mark.parametrize("value", [Masked(), Sparse(), Sparse(note="a"), Measured(ratio=math.inf), Measured(ratio=0.5)])
def test_what_a_serialiser_makes_fits_the_schema_though_it_does_not_say_what(value: BaseModel) -> None:
    def sent(body: Any) -> None: ...

    sent.__annotations__["body"] = type(value)
    app = FastAPI()
    app.webhooks.post("x")(sent)
    schema = read(app).schema("x")

    jsonschema.validate(json.loads(read(app).encode("x", (value,)).body), schema)
    assert list(schema["$defs"][type(value).__name__]["properties"]) == list(type(value).model_fields)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([], schema)


def test_a_field_that_may_be_missing_is_not_required() -> None:
    sentinel = getattr(pydantic, "MISSING", None)
    if sentinel is None:
        pytest.skip("this Pydantic has no MISSING")
    model = pydantic.create_model("Patch", note=(str | sentinel, sentinel), count=(int, 1))
    app = FastAPI()

    @app.webhooks.post("x")
    def x(body: model) -> None: ...  # type: ignore[valid-type]  # made here

    assert read(app).encode(x, (model(),)).body == b'{"count":1}'
    assert read(app).schema(x)["$defs"]["Patch"]["required"] == ["count"]


def test_the_schema_requires_what_is_always_sent_and_nothing_is_read_only(catalog: Catalog) -> None:
    schema = catalog.schema("order.sent")["$defs"]["Order"]

    assert schema["required"] == ["id", "lines", "placedOn", "note", "total"]
    assert "readOnly" not in schema["properties"]["total"]
    assert "secret" not in schema["properties"]


class Anything(BaseModel):
    text: str
    number: float
    when: datetime
    choice: int | str | None = None
    tags: set[str] = set()
    amount: Decimal = Decimal(0)

    @field_serializer("number")
    def rounded(self, value: float) -> str:
        return f"{value:.2f}"


SCHEMA_APP = FastAPI()
SCHEMA_APP.webhooks.post("any")(lambda body: None)  # replaced below by a typed one


@SCHEMA_APP.webhooks.post("any")
def anything(body: Anything) -> None: ...


@settings(deadline=None)
@example(Anything(text="", number=0, when=datetime(2000, 1, 1, tzinfo=UTC), amount=Decimal("9.9999900E-7")))
@given(
    st.builds(
        Anything,
        text=st.text(st.characters(codec="utf-8")),
        number=st.floats(allow_nan=False, allow_infinity=False),
        when=st.datetimes(),
        choice=st.none() | st.integers(-(10**9), 10**9) | st.text(st.characters(codec="utf-8")),
        tags=st.sets(st.text(st.characters(codec="utf-8"), max_size=5), max_size=3),
        amount=st.decimals(allow_nan=False, allow_infinity=False),
    )
)
def test_whatever_is_sent_fits_the_schema(value: Anything) -> None:
    body = read(SCHEMA_APP).encode(anything, (value,)).body

    jsonschema.validate(json.loads(body), SCHEMA, cls=jsonschema.Draft202012Validator)
    assert body == value.model_dump_json(by_alias=True).encode()


SCHEMA = read(SCHEMA_APP).schema(anything)


def test_not_a_number_is_sent_as_the_type_serialises_it(catalog: Catalog) -> None:
    assert catalog.encode("number", (math.nan,)).body == b"NaN" or catalog.encode("number", (math.nan,)).body == b"null"


def test_the_declared_function_is_never_called() -> None:
    app = FastAPI()

    @app.webhooks.post("x")
    def x(body: Line) -> None:
        raise AssertionError("called")

    assert inspect.isfunction(read(app).find("x").function)
    assert read(app).encode(x, (Line(product="a", price=Decimal(1)),)).body
