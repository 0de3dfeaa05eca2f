"""What is declared on FastAPI's routers is in the catalog, in every supported FastAPI; what cannot be sent is refused."""

import enum
import sys
from datetime import UTC, datetime
from functools import partial
from types import ModuleType
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from fastapi import APIRouter, BackgroundTasks, Body, Cookie, Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, ConfigDict, Field
from starlette.routing import Mount

from anzol.declarations import Finding, lint, read
from anzol.errors import DeclarationError, UnknownWebhook

pytestmark = pytest.mark.declarations

PUBLISHED = '''
from datetime import datetime

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Subscription(BaseModel):
    username: str
    monthly_fee: float
    start_date: datetime


@app.webhooks.post("new-subscription")
def new_subscription(body: Subscription):
    """
    When a new user subscribes to your service we'll send you a POST request with this
    data to the URL that you register for the event `new-subscription` in the dashboard.
    """


@app.get("/users/")
def read_users():
    return ["Rick", "Morty"]
'''

# The page's code as it is read elsewhere: asynchronous, annotated, as a coroutine that returns something, on a router.
VARIANTS = {
    "as published": PUBLISHED,
    "async": PUBLISHED.replace("def new", "async def new"),
    "annotated": PUBLISHED.replace("body: Subscription", 'body: "Annotated[Subscription, Body()]"').replace(
        "from fastapi import FastAPI", "from typing import Annotated\nfrom fastapi import Body, FastAPI"
    ),
    "returning": PUBLISHED.replace("Subscription):", "Subscription) -> None:"),
    "future annotations": "from __future__ import annotations\n" + PUBLISHED,
    "a router included": PUBLISHED.replace("app = FastAPI()", "app = FastAPI()\nrouter = APIRouter()")
    .replace("import FastAPI", "import APIRouter, FastAPI")
    .replace("@app.webhooks", "@router")
    .replace('@app.get("/users/")', 'app.webhooks.include_router(router)\n@app.get("/users/")'),
    "a router given": PUBLISHED.replace("app = FastAPI()", "router = APIRouter()\napp = FastAPI(webhooks=router)")
    .replace("import FastAPI", "import APIRouter, FastAPI")
    .replace("@app.webhooks", "@router"),
}


class Item(BaseModel):
    name: str
    price: float = 1.0


def published(source: str) -> dict[str, Any]:
    """Run a program of the documentation as a module of its own and return what it defines."""
    module = sys.modules["published"] = ModuleType("published")
    exec(compile(source, "published.py", "exec", dont_inherit=True), vars(module))
    return vars(module)


def fatal(app: FastAPI) -> list[str]:
    return [finding.problem for finding in lint(app) if finding.fatal]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_published_example_is_read_in_every_variant(variant: str) -> None:
    program = published(VARIANTS[variant])

    catalog = read(program["app"])
    sent = catalog.encode(
        program["new_subscription"],
        (program["Subscription"](username="ana", monthly_fee=9.5, start_date=datetime(2026, 1, 31, 12, tzinfo=UTC)),),
    )

    assert [(event.name, event.method) for event in catalog] == [("new-subscription", "POST")]
    assert sent.body == b'{"username":"ana","monthly_fee":9.5,"start_date":"2026-01-31T12:00:00Z"}'
    assert sent.content_type == "application/json"
    assert lint(program["app"]) == []


@pytest.mark.filterwarnings("ignore:Duplicate Operation ID")
def test_the_catalog_has_exactly_what_the_document_has() -> None:
    app, inner, outer = FastAPI(), APIRouter(tags=["inner"]), APIRouter()

    @app.webhooks.post("direct")
    def direct(body: Item) -> None: ...

    @inner.put("inner.put")
    def inner_put(body: Item) -> None: ...

    @inner.delete("inner.put")
    def inner_delete(body: Item) -> None: ...

    outer.include_router(inner)
    app.webhooks.include_router(outer)

    @inner.api_route("many", methods=["PATCH", "POST"])
    def many(body: Item) -> None: ...

    @outer.post("hidden", include_in_schema=False)
    def hidden(body: Item) -> None: ...

    # FastAPI before 0.137 copied an included router's routes, so what is declared on it afterwards is not there.
    documented = {(name, m.upper()) for name, methods in app.openapi()["webhooks"].items() for m in methods}
    assert {(event.name, event.method) for event in read(app) if event.documented} == documented
    assert {("direct", "POST"), ("inner.put", "PUT"), ("inner.put", "DELETE")} <= documented
    assert "hidden" not in app.openapi()["webhooks"]


def test_a_router_is_read_without_any_application() -> None:
    router, included = APIRouter(tags=["billing"]), APIRouter()

    @included.post("invoice.paid")
    def invoice_paid(body: Item) -> None: ...

    router.include_router(included)

    assert read(router).find(invoice_paid).tags == ("billing",)


def test_tags_docs_examples_and_deprecation_come_through_included_routers() -> None:
    class Area(enum.Enum):
        SALES = "sales"

    app, router = FastAPI(), APIRouter(tags=["outer"], deprecated=True)

    @router.post("item.sold", tags=[Area.SALES], summary="An item was sold")
    def item_sold(body: Annotated[Item, Body(examples=[{"name": "saw", "price": 3}])]) -> None:
        """Somebody bought it.

        \f
        Not for receivers.
        """

    app.webhooks.include_router(router)
    event = read(app).find("item.sold")

    assert event.tags == ("outer", "sales")
    assert event.summary == "An item was sold"
    assert event.description == "Somebody bought it."
    assert event.deprecated
    assert event.examples == ({"name": "saw", "price": 3},)


def test_openapi_examples_are_examples() -> None:
    app = FastAPI()

    @app.webhooks.post("sold")
    def sold(body: Item = Body(openapi_examples={"one": {"summary": "s", "value": {"name": "axe"}}})) -> None: ...

    assert read(app).example("sold").body == b'{"name":"axe","price":1.0}'


def test_a_webhook_declared_late_is_read() -> None:
    app, router = FastAPI(), APIRouter()
    app.webhooks.include_router(router)
    before = read(app)

    @app.webhooks.post("late")
    def late(body: Item) -> None: ...

    assert len(before) == 0
    assert read(app).find(late).name == "late"


def test_nothing_is_read_again_while_no_route_is_added() -> None:
    app = FastAPI()

    @app.webhooks.post("one")
    def one(body: Item) -> None: ...

    assert read(app) is read(app)


def test_routes_of_other_kinds_among_the_webhooks_are_none() -> None:
    app = FastAPI(webhooks=APIRouter(routes=[Mount("/static", routes=[])]))

    assert len(read(app)) == 0


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("/new-subscription", "new-subscription"),
        ("new subscription", "new-subscription"),
        ("user/{id}/created", "user-id-created"),
        ("assinatura.criação", "assinatura.cria-o"),
        ("x" * 257, "x" * 256),
        ("a\nb", "a-b"),
        ("new:subscription", "new-subscription"),
    ],
)
def test_a_name_that_cannot_travel_is_refused_with_a_better_one(name: str, suggestion: str) -> None:
    app = FastAPI()

    @app.webhooks.post(name)
    def webhook(body: Item) -> None: ...

    with pytest.raises(DeclarationError) as refusal:
        read(app)
    assert repr(suggestion) in refusal.value.do


def test_an_empty_name_is_refused() -> None:
    app = FastAPI()

    @app.webhooks.post("")
    def webhook(body: Item) -> None: ...

    assert fatal(app) == ["it has no name."]


def test_a_prefix_is_glued_to_the_name_and_its_slash_refused() -> None:
    app, router = FastAPI(), APIRouter(prefix="/billing")

    @router.post("invoice.paid")
    def invoice_paid(body: Item) -> None: ...

    app.webhooks.include_router(router)

    with pytest.raises(DeclarationError, match="a router's prefix puts one there") as refusal:
        read(app)
    assert "'/billinginvoice.paid'" in refusal.value.what
    assert "'billinginvoice.paid'" in refusal.value.do


@pytest.mark.parametrize("method", ["get", "head", "options", "trace"])
def test_a_method_without_a_body_is_refused(method: str) -> None:
    app = FastAPI()
    getattr(app.webhooks, method)("asked")(lambda: None)

    with pytest.raises(DeclarationError, match=f"{method.upper()} carries no body"):
        read(app)


class Pair(NamedTuple):
    first: int
    second: str


def with_background(body: Item, tasks: BackgroundTasks) -> None: ...
def with_response(body: Item, response: Response) -> None: ...
def with_cookie(body: Item, session: str = Cookie()) -> None: ...
def with_dependency(body: Item, user: str = Depends(lambda: "ana")) -> None: ...
def with_everything(body: Item, **rest: Any) -> None: ...
def with_host(body: Item, host: str = Header()) -> None: ...
def with_id(body: Item, webhook_id: str = Header()) -> None: ...
def with_type(body: Item, content_type: str = Header()) -> None: ...
def with_bad_alias(body: Item, value: str = Header(alias="x y")) -> None: ...
def with_bare_list(body: list) -> None: ...  # type: ignore[type-arg]  # the bare list is the point
def with_named_tuple(body: Pair) -> None: ...
def with_xml(body: Annotated[Item, Body(media_type="application/xml")]) -> None: ...


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (with_background, "tasks is a BackgroundTasks"),
        (with_response, "response is a Response"),
        (with_cookie, "session is a cookie"),
        (with_dependency, "user depends on <lambda>, which never runs"),
        (with_everything, "stands for no parameter"),
        (with_host, "is header host, which is set when the request is made"),
        (with_id, "is header webhook-id, which is set when the request is made"),
        (with_type, "is header content-type, which is set when the request is made"),
        (with_bad_alias, "which is no header's name"),
        (with_bare_list, "body is a list, and FastAPI takes that for files"),
        (with_named_tuple, "body is a Pair, and FastAPI takes that for files"),
        (with_xml, "its body is application/xml, which Anzol cannot make"),
    ],
)
def test_what_a_webhook_cannot_send_is_refused(function: Any, reason: str) -> None:
    app = FastAPI()
    app.webhooks.post("refused")(function)

    with pytest.raises(DeclarationError, match="'refused' cannot be sent") as refusal:
        read(app)
    assert reason in refusal.value.what
    assert refusal.value.do


def test_a_path_parameter_is_refused() -> None:
    app = FastAPI()

    @app.webhooks.post("user.{user_id}")
    def user(body: Item, user_id: int) -> None: ...

    @app.webhooks.post("other")
    def other(body: Item, user_id: Annotated[int, Path()]) -> None: ...

    problems = fatal(app)

    assert any("braces make a path parameter" in problem for problem in problems)
    assert sum("user_id is a path parameter" in problem for problem in problems) == 2


def test_forms_and_files_are_refused() -> None:
    pytest.importorskip("python_multipart")
    from fastapi import File, Form, UploadFile

    app = FastAPI()

    @app.webhooks.post("form")
    def form(name: Annotated[str, Form()]) -> None: ...

    @app.webhooks.post("file")
    def file(data: Annotated[bytes, File()]) -> None: ...

    @app.webhooks.post("upload")
    def upload(data: UploadFile) -> None: ...

    assert fatal(app) == [
        "name is a form field; webhooks carry one signed body.",
        "data is a file; webhooks carry one signed body.",
        "data is a file; webhooks carry one signed body.",
    ]


def test_a_dependency_of_a_router_that_declares_parameters_is_refused_and_one_that_does_not_is_ignored() -> None:
    def needs(x_tenant: str = Header()) -> None: ...
    def quiet() -> None: ...

    app, loud, silent = FastAPI(), APIRouter(dependencies=[Depends(needs)]), APIRouter(dependencies=[Depends(quiet)])

    @loud.post("loud")
    def first(body: Item) -> None: ...

    @silent.post("silent")
    def second(body: Item) -> None: ...

    app.webhooks.include_router(loud)
    app.webhooks.include_router(silent)

    assert [finding.webhook for finding in lint(app) if finding.fatal] == ["loud"]


def test_a_security_scheme_is_documentation() -> None:
    app, bearer = FastAPI(), HTTPBearer()

    @app.webhooks.post("by.decorator", dependencies=[Depends(bearer)])
    def by_decorator(body: Item) -> None: ...

    @app.webhooks.post("by.parameter", status_code=202, responses={418: {"description": "Teapot"}})
    def by_parameter(body: Item, token: Annotated[Any, Depends(bearer)]) -> None: ...

    catalog = read(app)

    assert catalog.encode(by_decorator, (Item(name="a"),)).headers == ()
    assert catalog.encode(by_parameter, (Item(name="a"),)).body == b'{"name":"a","price":1.0}'


def test_requests_and_bare_dicts_are_warned_of_and_sent() -> None:
    app = FastAPI()

    @app.webhooks.post("by.request")
    async def by_request(request: Request) -> None: ...

    @app.webhooks.post("by.dict")
    async def by_dict(body: dict) -> None: ...  # type: ignore[type-arg]  # the bare dict is the point

    @app.webhooks.post("by.any")
    async def by_any(body: dict[str, Any]) -> None: ...

    warnings = [(finding.webhook, finding.fatal) for finding in lint(app)]

    assert warnings == [("by.request", False), ("by.dict", False), ("by.any", False)]
    for name in ("by.request", "by.dict", "by.any"):
        assert read(app).encode(name, ({"any": 1},)).body == b'{"any":1}'


def test_a_body_that_fastapi_takes_for_a_query_parameter_is_warned_of() -> None:
    def by_any(body: Any) -> None: ...
    def unannotated(body): ...  # type: ignore[no-untyped-def]  # that is the point
    def marked(body: Annotated[Any, Body()]) -> None: ...

    app = FastAPI()
    for function in (by_any, unannotated, marked):
        app.webhooks.post(function.__name__)(function)

    warnings = {finding.webhook: finding.problem for finding in lint(app) if "query" in finding.problem}

    assert list(warnings) == ["by_any", "unannotated"]
    assert warnings["by_any"] == "body is sent in the query: nothing in its type says that it is the body."


def test_objects_that_are_called_are_declared_like_functions() -> None:
    class Announced(BaseModel):
        def __call__(self, body: Item) -> None: ...

    app = FastAPI()
    announced, partly = Announced(), partial(listed)
    for name, declared in {"a": announced, "b": announced, "c": partly, "d": partly}.items():
        app.webhooks.post(name)(declared)

    assert [finding.problem for finding in lint(app)] == [
        "its function Announced is declared as b too.",
        "its function partial is declared as d too.",
    ]
    assert read(app).encode("c", ([{"name": "a"}],)).body == b'[{"name":"a","price":1.0}]'


def test_duplicates_and_functions_under_two_names_are_warned_of() -> None:
    app = FastAPI()

    @app.webhooks.post("same")
    def first(body: Item) -> None: ...

    @app.webhooks.post("same")
    def second(body: Item) -> None: ...

    @app.webhooks.post("a")
    @app.webhooks.post("b")
    def both(body: Item) -> None: ...

    findings = {finding.webhook: finding.problem for finding in lint(app)}

    assert findings["same"] == "it is declared 2 times for POST; only the last one counts."
    assert findings["a"] == "its function both is declared as b too."
    assert read(app).find("same").function is second
    with pytest.raises(UnknownWebhook):
        read(app).find(first)


def test_webhooks_included_as_paths_are_warned_of() -> None:
    app, router = FastAPI(), APIRouter()

    @router.post("invoice.paid")
    def invoice_paid(body: Item) -> None: ...

    app.include_router(router)

    assert lint(app) == [
        Finding(
            "invoice.paid",
            "it is a path of the application, which nobody calls.",
            "Use app.webhooks.include_router, not app.include_router.",
        )
    ]


def test_a_finding_reads_as_a_sentence() -> None:
    assert str(Finding("x", "it is wrong.", "Mend it.")) == "webhook 'x': it is wrong. Mend it."


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str] = []


class Camel(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    user_name: str = Field(alias="userName")


def union(body: Cat | Dog) -> None: ...
def optional(body: Item | None = None) -> None: ...
def discriminated(body: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...
def discriminated_by_body(body: Cat | Dog = Body(discriminator="kind")) -> None: ...
def listed(body: list[Item]) -> None: ...
def scalar(body: Annotated[int, Body()]) -> None: ...
def mapped(body: dict[str, Item]) -> None: ...
def several(item: Item, buyer: Camel) -> None: ...
def several_with_default(item: Item, count: Annotated[int, Body(gt=0)] = 1) -> None: ...
def embedded(item: Annotated[Item, Body(embed=True)]) -> None: ...
def renamed(item: Annotated[Item, Body(embed=True, alias="the-item")]) -> None: ...
def reserved(schema: Item, json: Annotated[int, Body()], copy: Annotated[str, Body()]) -> None: ...
def embedded_union(body: Annotated[Cat | Dog, Body(embed=True, discriminator="kind")]) -> None: ...
def plain_text(body: Annotated[str, Body(media_type="text/plain")]) -> None: ...
def pdf(body: Annotated[bytes, Body(media_type="application/pdf")]) -> None: ...
def problem(body: Annotated[Item, Body(media_type="application/problem+json")]) -> None: ...
def empty() -> None: ...


@pytest.mark.parametrize(
    ("function", "args", "body", "media_type"),
    [
        (union, ({"kind": "dog"},), b'{"kind":"dog","tricks":[]}', "application/json"),
        (optional, (), b"null", "application/json"),
        (optional, (Item(name="a"),), b'{"name":"a","price":1.0}', "application/json"),
        (discriminated, (Cat(kind="cat"),), b'{"kind":"cat","lives":9}', "application/json"),
        (discriminated_by_body, ({"kind": "cat"},), b'{"kind":"cat","lives":9}', "application/json"),
        (listed, ([Item(name="a"), {"name": "b"}],), b'[{"name":"a","price":1.0},{"name":"b","price":1.0}]', "application/json"),
        (scalar, (5,), b"5", "application/json"),
        (mapped, ({"k": Item(name="a")},), b'{"k":{"name":"a","price":1.0}}', "application/json"),
        (several, (Item(name="a"), {"userName": "x"}), b'{"item":{"name":"a","price":1.0},"buyer":{"userName":"x"}}', "application/json"),
        (several_with_default, (Item(name="a"),), b'{"item":{"name":"a","price":1.0},"count":1}', "application/json"),
        (embedded, (Item(name="a"),), b'{"item":{"name":"a","price":1.0}}', "application/json"),
        (renamed, (Item(name="a"),), b'{"the-item":{"name":"a","price":1.0}}', "application/json"),
        (reserved, (Item(name="a"), 1, "c"), b'{"schema":{"name":"a","price":1.0},"json":1,"copy":"c"}', "application/json"),
        (embedded_union, (Dog(kind="dog"),), b'{"body":{"kind":"dog","tricks":[]}}', "application/json"),
        (plain_text, ("olá",), "olá".encode(), "text/plain"),
        (pdf, (b"%PDF\xff",), b"%PDF\xff", "application/pdf"),
        (problem, (Item(name="a"),), b'{"name":"a","price":1.0}', "application/problem+json"),
        (empty, (), b"", ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:Field name .* shadows an attribute")
def test_every_kind_of_body_is_read_and_sent(
    function: Any, args: tuple[Any, ...], body: bytes, media_type: str
) -> None:
    app = FastAPI()
    app.webhooks.post("any")(function)

    sent = read(app).encode(function, args)

    assert (sent.body, sent.content_type, sent.method) == (body, media_type, "POST")


class Color(enum.Enum):
    RED = "red"


def headed(
    body: Item,
    x_request_id: Annotated[str, Header()],
    x_flag: Annotated[bool, Header()] = True,
    x_when: Annotated[datetime | None, Header()] = None,
    x_tag: Annotated[list[str], Header()] = ["a", "b"],  # noqa: B006  # FastAPI copies it
    plain_name: Annotated[int, Header(convert_underscores=False)] = 3,
    alias: Annotated[str | None, Header(alias="X-Alias")] = None,
    color: Annotated[Color, Query()] = Color.RED,
    page: int = 1,
    find: Annotated[str | None, Query(alias="q")] = None,
    ids: Annotated[list[int], Query()] = [1, 2],  # noqa: B006  # FastAPI copies it
) -> None: ...


def test_declared_headers_and_query_parameters_are_sent() -> None:
    app = FastAPI()
    app.webhooks.post("headed")(headed)
    item = Item(name="a")

    least = read(app).encode(headed, (item, "r1"))
    most = read(app).encode(
        "headed",
        (item,),
        {
            "x_request_id": "r2",
            "x_when": datetime(2026, 1, 2, tzinfo=UTC),
            "alias": "z",
            "find": "a b&ç",
            "x_flag": False,
        },
    )

    assert least.headers == (
        ("x-request-id", "r1"), ("x-flag", "true"), ("x-tag", "a"), ("x-tag", "b"), ("plain_name", "3"),
    )  # fmt: skip
    assert least.query == "color=red&page=1&ids=1&ids=2"
    assert ("x-when", "2026-01-02T00:00:00Z") in most.headers
    assert ("X-Alias", "z") in most.headers
    assert ("x-flag", "false") in most.headers
    assert most.query == "color=red&page=1&q=a+b%26%C3%A7&ids=1&ids=2"


def test_parameter_models_are_sent_field_by_field() -> None:
    class Trace(BaseModel):
        x_trace_id: str
        x_sampled: bool = False
        x_none: str | None = None

    class Paging(BaseModel):
        page: int = 1
        order: str = Field("asc", alias="sort")

    def modelled(body: Item, trace: Annotated[Trace, Header()], paging: Annotated[Paging, Query()]) -> None: ...

    app = FastAPI()
    app.webhooks.post("modelled")(modelled)
    sent = read(app).encode(modelled, (Item(name="a"), Trace(x_trace_id="t"), {"sort": "desc"}))

    assert sent.headers == (("x-trace-id", "t"), ("x-sampled", "false"))
    assert sent.query == "page=1&sort=desc"
