"""Write `docs/reference/rest.md` and `openapi.json`: what the API's document says, with an example that was played."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

from tests.docs.pages import ROOT
from tests.docs.rest_play import Played, operations, play

OPENAPI = ROOT / "docs/reference/openapi.json"
PAGING = ("limit", "iterator", "order")
NAMES = ("app_id", "endpoint_id", "msg_id")  # in a path, explained once


@cache
def document() -> dict[str, Any]:
    """The API's own document, as an application without anything declared has it."""
    from fastapi import FastAPI

    from anzol import Settings, Webhooks

    found: dict[str, Any] = Webhooks(FastAPI(), Settings(database_url="sqlite:///:none:", worker=False)).api.openapi()
    return found


def published() -> str:
    """Return the document as it is published."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def operations_by_tag() -> str:
    """Every operation by tag, with its example."""
    found = list(operations(document()))
    tags = list(dict.fromkeys(operation["tags"][0] for _, (_, _, operation) in found))
    examples = play()
    index = "".join(f"- [{tag}](#{anchor(tag)})\n" for tag in tags)
    return index + "".join(section(tag, found, examples) for tag in tags)


def section(tag: str, found: list[tuple[str, tuple[str, str, Any]]], examples: dict[str, Played]) -> str:
    parts = [written(name, *rest, examples[name]) for name, rest in found if rest[2]["tags"][0] == tag]
    return f"\n## {tag}\n" + "".join(parts)


def written(name: str, method: str, path: str, operation: dict[str, Any], example: Played) -> str:
    """One operation."""
    body = operation.get("requestBody")
    lines = [
        f'\n<a id="{name}"></a>\n### `{method} {path}`\n',
        f"{said(operation)}\n",
        f"*{who(operation)}* Operation `{name}`.",
        *([f"Body: {shape(body)}."] if body else []),
        f"Answers: {', '.join(answers(operation))}.\n",
    ]
    text = "\n".join(lines) + "\n"
    rows = [parameter(one) for one in operation.get("parameters", ()) if one["name"] not in (*PAGING, *NAMES)]
    if any(one["name"] == "iterator" and one["in"] == "query" for one in operation.get("parameters", ())):
        text += "A [list](#lists).\n\n"
    if rows:
        text += table(("parameter", "in", "what it does"), rows) + "\n"
    return f"{text}```http\n{example.request}\n```\n\n```http\n{example.answer}\n```\n"


def said(operation: dict[str, Any]) -> str:
    text = operation.get("description") or f"{operation['summary']}."
    return "\n\n".join(" ".join(part.split()) for part in text.replace("``", "`").split("\n\n"))


def who(operation: dict[str, Any]) -> str:
    """Who may."""
    if "x-scope" not in operation and "x-capability" not in operation:
        return "Anybody."
    scope, capability = operation.get("x-scope"), operation.get("x-capability")
    keys = f"Keys with the scope `{scope}`" if scope else "Any key"
    customers = f"customers' tokens with `{capability}`" if capability else "no customer's token"
    return f"{keys}; {customers}."


def answers(operation: dict[str, Any]) -> Iterator[str]:
    """What it answers with, beside what every operation may."""
    from anzol.api.problems import ALWAYS, CODES

    usual = {str(CODES[code][0]) for code in ALWAYS}
    for status, answer in sorted(operation["responses"].items()):
        if status < "300":
            yield f"{status} {shape(answer)}".strip()
        elif status not in usual:
            yield f"{status} {', '.join(codes(answer['description']))}"


def codes(description: str) -> list[str]:
    from anzol.api.problems import CODES

    return [f"[`{code}`](errors.md#{code})" for code in CODES if f"`{code}`:" in description]


def shape(content: dict[str, Any]) -> str:
    """The shape of a body, by its name."""
    for media, one in content.get("content", {}).items():
        schema = one.get("schema", {})
        name = schema.get("$ref", "").rpartition("/")[2]
        return f"[`{name}`](#{name})" if name else f"`{media}`"
    return ""


def parameter(one: dict[str, Any]) -> tuple[str, ...]:
    text = one.get("description") or kind(one["schema"])
    return f"`{one['name']}`{', required' if one.get('required') else ''}", one["in"], plain(text)


def shapes() -> str:
    """The fields of every body."""
    return "".join(fields(name, schema) for name, schema in sorted(document()["components"]["schemas"].items()))


def fields(name: str, schema: dict[str, Any]) -> str:
    head = f'<a id="{name}"></a>\n### `{name}`\n\n{plain(schema.get("description", ""))}\n\n'
    if "enum" in schema:
        return head + f"{', '.join(f'`{one}`' for one in schema['enum'])}\n\n"
    required = schema.get("required", ())
    rows = [
        (f"`{key}`{', required' if key in required and name.endswith(INCOMING) else ''}", kind(one), meaning(one))
        for key, one in schema.get("properties", {}).items()
    ]
    return head + table(("field", "type", "what it is"), rows) + "\n"


INCOMING = ("In", "Put", "Patch")


def kind(schema: dict[str, Any]) -> str:
    """A type in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](#{name})"
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(kind(one) for one in schema["anyOf"]))
    if schema.get("type") == "array":
        return f"list of {kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "any JSON")


def meaning(schema: dict[str, Any]) -> str:
    return plain(schema.get("description", ""))


def plain(text: str) -> str:
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")


def anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
