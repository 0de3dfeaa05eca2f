"""Code that the field's generators make from the document accepts what is sent, and refuses what is not."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import pytest
from fastapi import Body, FastAPI, Header
from pydantic import BaseModel, Field, ValidationError, computed_field

from anzol.catalog import Envelope
from anzol.declarations import read
from anzol.openapi import complete, webhooks_document

HERE = Path(__file__).parent


class Line(BaseModel):
    product: str
    price: Decimal
    quantity: int = 1


class Invoice(BaseModel):
    number: int
    lines: list[Line] = []
    paid_at: datetime | None = Field(None, serialization_alias="paidAt")

    @computed_field
    @property
    def total(self) -> Decimal:
        return sum((line.price * line.quantity for line in self.lines), Decimal(0))


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]


LINE = Line(product="saw", price=Decimal("1E-7"))


def shop() -> FastAPI:
    """An application whose webhooks share models with its paths, where FastAPI alone would describe the input."""
    app = FastAPI()

    @app.post("/invoices")
    def create(invoice: Invoice) -> Invoice:
        return invoice

    @app.webhooks.post("invoice.paid")
    def invoice_paid(body: Invoice, x_region: Annotated[str | None, Header()] = None) -> None: ...

    @app.webhooks.post("pet-bought")
    def pet_bought(body: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...

    @app.webhooks.put("enveloped")
    def enveloped(body: Envelope[Line]) -> None: ...

    @app.webhooks.post("several")
    def several(line: Line, note: Annotated[str, Body()]) -> None: ...

    complete(app)
    return app


def sent(app: FastAPI) -> dict[str, Any]:
    """Return the body of one real message of each webhook."""
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    arguments: dict[str, tuple[Any, ...]] = {
        "invoice.paid": (Invoice(number=1, lines=[LINE], paid_at=at),),
        "pet-bought": (Cat(kind="cat"),),
        "enveloped": (Envelope(type="enveloped", timestamp=at, data=LINE),),
        "several": (LINE, "quickly"),
    }
    return {name: json.loads(read(app).encode(name, args).body) for name, args in arguments.items()}


@pytest.fixture(params=["whole", "webhooks only"])
def document(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    app = shop()
    made = app.openapi() if request.param == "whole" else webhooks_document(app)
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(made))
    return path


@pytest.fixture
def python(document: Path) -> Iterator[ModuleType]:
    """What datamodel-code-generator makes of the webhooks, as a module."""
    target = document.with_name("generated_models.py")
    subprocess.run(
        [
            *(
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "datamodel_code_generator",
                "--input",
                document,
                "--output",
                target,
            ),
            *("--input-file-type", "openapi", "--openapi-scopes", "webhooks", "--formatters", "builtin"),
            *("--output-model-type", "pydantic_v2.BaseModel"),
        ],
        check=True,
        timeout=120,
    )
    specification = importlib.util.spec_from_file_location("generated_models", target)
    assert specification
    assert specification.loader
    module = sys.modules["generated_models"] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    yield module
    del sys.modules["generated_models"]


def model_of(document: Path, module: ModuleType, name: str, method: str = "post") -> type[BaseModel]:
    content = json.loads(document.read_text())["webhooks"][name][method]["requestBody"]["content"]
    reference = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    model: type[BaseModel] = getattr(module, reference.replace("_", " ").title().replace(" ", "") if "_" in reference else reference)  # fmt: skip
    return model


@pytest.mark.parametrize(("name", "method"), [("invoice.paid", "post"), ("enveloped", "put"), ("several", "post")])
def test_python_models_accept_what_is_sent(document: Path, python: ModuleType, name: str, method: str) -> None:
    model = model_of(document, python, name, method)
    body = sent(shop())[name]

    assert set(model.model_validate_json(json.dumps(body)).model_dump(by_alias=True)) == set(body)
    for field in body:
        with pytest.raises(ValidationError):
            model.model_validate({key: value for key, value in body.items() if key != field})


def npm(*arguments: str, folder: Path) -> None:
    done = subprocess.run(
        ["npm", *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False,
        env={**os.environ, "npm_config_update_notifier": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def tools(request: pytest.FixtureRequest) -> Path:
    """The folder of the generators' programs, installed once for each lock file; scripts of packages are not run."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node here: the TypeScript generators cannot run")
    lock = (HERE / "package-lock.json").read_bytes()
    folder = Path(str(request.config.cache.mkdir(f"document-{sha256(lock).hexdigest()[:12]}")))  # type: ignore[union-attr]  # always there
    if not (folder / "installed").exists():
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
        (folder / "installed").touch()
    return folder / "node_modules" / ".bin"


def run(program: Path, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False)


def checked(tools: Path, folder: Path, program: str) -> str:
    """Check a TypeScript program strictly; return what the compiler says, empty when it is right."""
    (folder / "program.ts").write_text(program)
    options = ("--strict", "--noEmit", "--target", "es2022", "--module", "esnext", "--moduleResolution", "bundler")
    return run(tools / "tsc", *options, "program.ts", folder=folder).stdout


def program(imports: str, types: dict[str, str]) -> str:
    """Write a program that assigns each real body to its type, and the same body without each of its fields.

    ``@ts-expect-error`` fails when the line after it is right.
    """
    lines = [imports]
    for number, (name, body) in enumerate(sent(shop()).items()):
        lines.append(f"export const right{number}: {types[name]} = {json.dumps(body)};")
        for field in body:
            less = {key: value for key, value in body.items() if key != field}
            lines += [
                "// @ts-expect-error",
                f"export const lacks{number}_{field}: {types[name]} = {json.dumps(less)};",
                "// @ts-expect-error",
                f"export const wrong{number}_{field}: {types[name]} = {json.dumps({**body, field: {'not': 'this'}})};",
            ]
    return "\n".join(lines)


def test_openapi_typescript_accepts_what_is_sent(document: Path, tools: Path) -> None:
    folder = document.parent
    made = run(tools / "openapi-typescript", document, "-o", "types.ts", folder=folder)
    assert made.returncode == 0, made.stderr
    methods = {"invoice.paid": "post", "pet-bought": "post", "enveloped": "put", "several": "post"}
    types = {
        name: f'webhooks["{name}"]["{method}"]["requestBody"]["content"]["application/json"]'
        for name, method in methods.items()
    }
    header = 'NonNullable<webhooks["invoice.paid"]["post"]["parameters"]["header"]>["webhook-timestamp"]'
    imports = f"""import type {{ webhooks }} from "./types";
export const timestamp: {header} = "1769860800";
// @ts-expect-error
export const number: {header} = 1769860800;"""

    assert checked(tools, folder, program(imports, types)) == ""


def test_hey_api_accepts_what_is_sent(document: Path, tools: Path) -> None:
    folder = document.parent
    options = ("-i", document, "-o", "made", "--no-log-file", "-p", "@hey-api/typescript")
    made = run(tools / "openapi-ts", *options, folder=folder)
    assert made.returncode == 0, made.stdout + made.stderr
    types = {
        "invoice.paid": "InvoicePaidWebhookPayload",
        "pet-bought": "PetBoughtWebhookPayload",
        "enveloped": "EnvelopedWebhookPayload",
        "several": "SeveralWebhookPayload",
    }
    imports = f'import type {{ {", ".join(types.values())} }} from "./made/types.gen";'

    assert checked(tools, folder, program(imports, types)) == ""
