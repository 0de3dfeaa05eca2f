"""Write the parts of the documentation that the code already says: ``python -m tests.docs.reference`` (`make docs`).

A page marks such a part with ``<!-- generated: name -->`` and ``<!-- end -->``; a test holds that it is up to date.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from pydantic import ByteSize

from tests.docs import rest
from tests.docs.pages import ROOT, pages

PART = re.compile(r"(<!-- generated: (?P<name>\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
INCLUDED = re.compile(r"(<!-- include: (?P<path>\S+) -->\n```[^\n]*\n).*?^```\n", re.DOTALL | re.MULTILINE)


def lifecycle() -> str:
    """The states of a delivery, from the transition table."""
    from anzol.lifecycle import TRANSITIONS

    rows = [
        (before.name.lower(), after.name.lower(), cause.name.lower()) for (before, cause), after in TRANSITIONS.items()
    ]
    meaning = comments("lifecycle.py", "Cause")
    return table(("from", "to", "because", "that is"), [(*row, meaning[row[2].upper()]) for row in rows])


def outcomes() -> str:
    """The error classes of attempts, from the closed list and its comments."""
    from anzol.lifecycle import Outcome

    return table(("outcome", "means"), [(f"`{outcome.label}`", MEANINGS[outcome.label]) for outcome in Outcome])


MEANINGS = {
    "ok": "2xx. A body that was cut off afterwards is noted, and is no failure.",
    "http_status": "Any other status; it is kept with the attempt.",
    "dns_error": "The name has no address, or no answer came.",
    "address_refused": "The address guard does not let it through. No connection was made.",
    "connect_timeout": "No connection within 5 seconds.",
    "connection_refused": "Nobody listens there.",
    "connection_closed": "It was closed or reset before an answer.",
    "tls_error": "The certificate is expired, for another name, from an unknown authority; or no TLS was spoken.",
    "timeout": "Connected, but the whole did not end within the deadline.",
    "bad_response": "What came back is not an HTTP response, or an unbounded one.",
    "interrupted": "The worker died while the request was under way; it is tried again.",
    "proxy_error": "The proxy in `ANZOL_PROXY_URL` failed; not counted against the endpoint.",
}


def errors() -> str:
    """The tree of errors, as it is drawn at the head of its module."""
    import anzol.errors

    tree = inspect.getdoc(anzol.errors) or ""
    return f"```text\n{inspect.cleandoc(tree.split('::', 1)[1])}\n```\n"


def problems() -> str:
    """Every code that the REST API answers with, each under a heading of its own."""
    from anzol.api.problems import CODES

    return "\n".join(f"### `{code}`\n\n{status}. {meaning}\n" for code, (status, meaning) in CODES.items())


def settings() -> str:
    """Every setting, from the class that reads them."""
    from anzol.settings import Settings

    rows = [
        (f"`ANZOL_{name.upper()}`", default_of(field), escaped(field.description or ""))
        for name, field in Settings.model_fields.items()
    ]
    return table(("variable", "default", "what it does"), rows)


def commands() -> str:
    """Every command with its arguments and options, from the program itself."""
    from typer.main import get_command

    from anzol.cli.program import program

    return "".join(section("anzol", command) for command in walk(get_command(program)))


def api() -> str:
    """The public names, with what each says of itself."""
    import anzol

    rows = [(f"`{name}`", first_sentence(getattr(anzol, name))) for name in sorted(anzol.__all__, key=str.lower)]
    return table(("name", "what it is"), rows)


def webhooks() -> str:
    """The methods and attributes of `Webhooks`, and of what it holds."""
    from anzol import Webhooks
    from anzol.registry import Attempts, Customers, Deliveries, Endpoints, Messages

    held = {"customers": Customers, "endpoints": Endpoints, "messages": Messages}
    held |= {"deliveries": Deliveries, "attempts": Attempts}
    rows = members("webhooks", Webhooks)
    for name, kind in held.items():
        rows += members(f"webhooks.{name}", kind)
    return table(("name", "what it does"), [row for row in rows if row[1]])


def members(path: str, kind: type) -> list[tuple[str, ...]]:
    found = inspect.getmembers(kind, lambda one: inspect.isfunction(one) or isinstance(one, property))
    found += [(name, one) for name, one in inspect.getmembers(kind, inspect.ismethod)]
    public = [
        (name, one) for name, one in sorted(found) if not name.startswith("_") and name not in ("records", "core")
    ]
    return [(f"`{path}.{name}{signature(one)}`", first_sentence(one)) for name, one in public]


def signature(thing: object) -> str:
    """Write the names of the parameters, as one would type them."""
    if isinstance(thing, property):
        return ""
    names, keywords = [], False
    for name, one in inspect.signature(thing).parameters.items():
        if name in ("self", "cls"):
            continue
        if one.kind is one.KEYWORD_ONLY and not keywords:
            names.append("*")
            keywords = True
        names.append(name if one.default is one.empty else f"{name}=...")
    return f"({', '.join(names)})"


def walk(command: object, path: str = "anzol") -> list[tuple[str, object]]:
    children = getattr(command, "commands", {})
    if not children:
        return [(path, command)]
    return [leaf for name, child in sorted(children.items()) for leaf in walk(child, f"{path} {name}")]


def section(_program: str, leaf: tuple[str, object]) -> str:
    path, command = leaf
    parameters = [one for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
    rows = [(shown(one), escaped(getattr(one, "help", None) or "")) for one in parameters]
    text = f"## `{path}`\n\n{paragraphs(command.help or '')}\n\n"
    return text + (table(("argument", "what it does"), rows) + "\n" if rows else "")


def shown(parameter: object) -> str:
    if parameter.param_type_name == "argument":
        name = (parameter.metavar or parameter.name or "").strip("[]").upper()
        return f"`{name}`" if parameter.required else f"`[{name}]`"
    return ", ".join(f"`{name}`" for name in [*parameter.opts, *parameter.secondary_opts])


def default_of(field: object) -> str:
    from pydantic_core import PydanticUndefined

    from anzol.settings import read_switch

    value = field.default if field.default_factory is None else field.default_factory()
    if value is PydanticUndefined:
        return "required"
    if read_switch in [getattr(one, "func", None) for one in field.metadata]:
        return "`on`" if value else "`off`"
    return "" if value in (None, "", (), []) else f"`{plain(value)}`"


def plain(value: object) -> str:
    """Write a setting's value as one would set it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        return duration(value)
    if isinstance(value, tuple) and len(value) == 2 and all(isinstance(one, int) for one in value):
        return "-".join(str(one) for one in dict.fromkeys(value))
    if isinstance(value, tuple):
        return ",".join(plain(one) for one in value)
    return value.human_readable(separator="") if isinstance(value, ByteSize) else str(value)


def duration(value: timedelta) -> str:
    seconds = value.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds > size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s" if seconds else "0"


def comments(module: str, name: str) -> dict[str, str]:
    """Return the comment behind each member of a class, by the member's name."""
    source = (ROOT / "src/anzol" / module).read_text()
    node = next(one for one in ast.parse(source).body if isinstance(one, ast.ClassDef) and one.name == name)
    lines = source.splitlines()[node.lineno - 1 : node.end_lineno]
    return {match[1]: match[2] for line in lines if (match := re.match(r"\s+([A-Z_]+) = \d+\s+# (.*)", line))}


def first_sentence(thing: object) -> str:
    text = " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
    return escaped(text.replace("``", "`"))


def paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).replace("\b", "").split("\n\n"))


def escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


WRITERS: dict[str, Callable[[], str]] = {
    "lifecycle": lifecycle,
    "outcomes": outcomes,
    "errors": errors,
    "problems": problems,
    "settings": settings,
    "commands": commands,
    "api": api,
    "webhooks": webhooks,
    "operations": rest.operations_by_tag,
    "shapes": rest.shapes,
}


def renewed(text: str) -> str:
    """Return a page's text with its generated parts and its included files written anew."""
    text = PART.sub(lambda match: match[1] + "\n" + WRITERS[match["name"]]() + "\n" + match[3], text)
    return INCLUDED.sub(lambda match: match[1] + (ROOT / match["path"]).read_text().strip() + "\n```\n", text)


def marked(page: Path) -> bool:
    text = page.read_text()
    return PART.search(text) is not None or INCLUDED.search(text) is not None


def main() -> None:
    """Write every generated part anew."""
    for page in filter(marked, pages()):
        page.write_text(renewed(page.read_text()))
    rest.OPENAPI.write_text(rest.published())


if __name__ == "__main__":
    main()
