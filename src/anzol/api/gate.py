"""The API's outermost part: what is alike for every request, and the short way of the hot ones.

FastAPI behind it is asked for everything else. Here are: a slash at the end, HEAD and OPTIONS, how many and how much is
let in, and what a body must be before anybody reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from starlette.types import Message, Receive, Scope, Send

from anzol.api.hot import Asked, Hot
from anzol.api.limits import Door, Pass
from anzol.api.problems import Problem, answer, problem_of
from anzol.api.reading import check
from anzol.api.routes import PREFIX

APPLICATION: Final = f"{PREFIX}/app/"
SLACK: Final = 64 * 1024  # bytes of a body around its payload
LARGE: Final = 16 * 1024 * 1024  # bytes of a batch, of a document
LARGE_PATHS: Final = ("/msg/batch", "/event-type/import/openapi")
UNCOUNTED: Final = f"{PREFIX}/health"  # is answered however much is under way
WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})
JSON_TYPE: Final = re.compile(rb"application/(?:[\w.!#$&^+-]+\+)?json *(?:;.*)?", re.IGNORECASE)
ACCEPTED: Final = 202


class Gone(Exception):
    """Whoever asked is not there any more; nobody is to be answered."""


class Api(FastAPI):
    """The API: a FastAPI application that can be mounted, with a gate before it."""

    @cached_property
    def door(self) -> Door:
        """Who is let in."""
        return Door()

    @cached_property
    def limits(self) -> tuple[int, int]:
        """How many bytes a body may have, and one on the paths that take much."""
        limit = self.state.ground.settings().payload_limit + SLACK
        return limit, max(limit, LARGE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await super().__call__(scope, receive, send)
            return
        path = path_of(scope)
        if len(path) > 1 and path.endswith("/"):
            path = path[:-1]
        if path.startswith(UNCOUNTED):
            await self._ask(scope, path, receive, send, None)
            return
        try:
            place = self.door.enter()
        except Problem as problem:
            await answer(problem)(scope, receive, send)
            return
        try:
            aim = aim_of(path) if scope["method"] == "POST" and not self.user_middleware else None
            if aim is not None:
                await self._publish(aim, scope, receive, send, place)
            else:
                await self._ask(scope, path, receive, send, place)
        except Gone:
            pass
        finally:
            place.leave()

    async def _publish(self, aim: tuple[str, bool], scope: Scope, receive: Receive, send: Send, place: Pass) -> None:
        """Answer a hot request by the short way."""
        name, batch = aim
        try:
            head = Head(scope)
            body = await read_body(head, receive, self.limits[batch], place)
            head.check_type()
            asked = Asked(
                name,
                scope["path"],
                scope["query_string"],
                body,
                head.text(b"authorization"),
                head.text(b"idempotency-key"),
                (scope.get("client") or ("",))[0],
            )
            hot: Hot = self.state.hot
            sent = await (hot.create_batch(asked) if batch else hot.create(asked))
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001 - every fault has its answer, and is logged there
            await answer(problem_of(error))(scope, receive, send)
            return
        await send(
            {
                "type": "http.response.start",
                "status": ACCEPTED,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(sent))],
            }
        )
        await send({"type": "http.response.body", "body": sent})

    async def _ask(self, scope: Scope, path: str, receive: Receive, send: Send, place: Pass | None) -> None:
        """Have FastAPI answer."""
        method = scope["method"]
        scope = asked_as(scope, path, "GET" if method == "HEAD" else method)
        outgoing = Outgoing(self, path, send, place, silent=method == "HEAD")
        if method == "OPTIONS" and (methods := self.methods(path)):
            await outgoing.options(methods)
            return
        if method in WITH_BODY and place is not None:
            try:
                scope, receive = await self._checked(scope, path, receive, place)
            except Problem as problem:
                await answer(problem)(scope, receive, outgoing)
                return
        await super().__call__(scope, receive, outgoing)

    async def _checked(self, scope: Scope, path: str, receive: Receive, place: Pass) -> tuple[Scope, Receive]:
        """Read a body, and refuse it where it is no JSON; return the request with that body."""
        head = Head(scope)
        body = await read_body(head, receive, self.limits[path.endswith(LARGE_PATHS)], place)
        if body:
            head.check_type()
            check(body)
            if head.get(b"content-type") is None:
                scope = {**scope, "headers": [*scope["headers"], (b"content-type", b"application/json")]}
        return scope, once_more(body, receive)

    def methods(self, path: str) -> list[str]:
        """Return the methods that a path takes; none where there is no such path."""
        found: list[str] = []
        for pattern, methods in self._paths:
            if pattern.fullmatch(path):
                found.extend(methods)
        return sorted(set(found) | ({"HEAD"} if "GET" in found else set()) | ({"OPTIONS"} if found else set()))

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], list[str]]]:
        """The document's paths and their methods."""
        return [
            (re.compile(re.sub(r"\\\{[^/]*?\\\}", "[^/]+", re.escape(path))), [method.upper() for method in operations])
            for path, operations in self.openapi()["paths"].items()
        ]


class Head:
    """A request's headers, as they are looked for here: by lower-case bytes."""

    def __init__(self, scope: Scope) -> None:
        self._headers: Iterable[tuple[bytes, bytes]] = scope["headers"]

    def get(self, name: bytes) -> bytes | None:
        """Return a header's first value."""
        for known, value in self._headers:
            if known == name:
                return value
        return None

    def text(self, name: bytes) -> str | None:
        """Return a header's first value as text."""
        value = self.get(name)
        return None if value is None else value.decode("latin-1")

    def length(self) -> int:
        """Return how long the body says that it is; 0 where it does not."""
        given = self.get(b"content-length")
        return int(given) if given is not None and given.isdigit() and len(given) < 20 else 0

    def check_type(self) -> None:
        """Refuse a body that says it is no JSON; raises Problem."""
        given = self.get(b"content-type")
        if given is not None and not JSON_TYPE.fullmatch(given.strip()):
            raise Problem("unsupported_media_type", "Send the body as `content-type: application/json`.")


async def read_body(head: Head, receive: Receive, limit: int, place: Pass) -> bytes:
    """Return a request's body.

    Raises:
        Problem: it is too large, or there is no room for it now.
        Gone: it has ended in the middle.
    """
    said = head.length()
    if said > limit:
        raise too_large(limit)
    place.hold(said)
    message = await receive()
    body: bytes = message.get("body", b"")
    size, pieces = len(body), [body]
    while message.get("more_body", False):
        check_room(size, limit, place)
        message = await receive()
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
    if message["type"] == "http.disconnect":
        raise Gone
    check_room(size, limit, place)
    return body if len(pieces) == 1 else b"".join(pieces)


def check_room(size: int, limit: int, place: Pass) -> None:
    """Refuse a body that has come to be too large, or for which there is no room; raises Problem."""
    if size > limit:
        raise too_large(limit)
    place.hold(size)


def too_large(limit: int) -> Problem:
    """Return the problem of a body over the limit."""
    return Problem("too_large", f"The body is over {limit} bytes.")


def once_more(body: bytes, receive: Receive) -> Receive:
    """Return what gives a body that was read already, and then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


class Outgoing:
    """What goes out of FastAPI, put right: no body for HEAD, all methods with 405, no place kept for a stream."""

    def __init__(self, api: Api, path: str, send: Send, place: Pass | None, *, silent: bool) -> None:
        self._api = api
        self._path = path
        self._send = send
        self._place = place
        self._silent = silent

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = self._begun(message)
        elif self._silent and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)

    async def options(self, methods: list[str]) -> None:
        """Say what a path takes."""
        await self._send(
            {"type": "http.response.start", "status": 204, "headers": [(b"allow", ", ".join(methods).encode())]}
        )
        await self._send({"type": "http.response.body", "body": b""})

    def _begun(self, message: Message) -> Message:
        headers: list[tuple[bytes, bytes]] = list(message.get("headers", ()))
        kind = next((value for name, value in headers if name.lower() == b"content-type"), b"")
        if self._place is not None and kind.startswith(b"text/event-stream"):
            self._place.leave()
        if message["status"] == HTTPStatus.METHOD_NOT_ALLOWED and (methods := self._api.methods(self._path)):
            headers = [(name, value) for name, value in headers if name.lower() != b"allow"]
            headers.append((b"allow", ", ".join(methods).encode()))
        return {**message, "headers": headers}


def path_of(scope: Scope) -> str:
    """Return a request's path below what the application is mounted at."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


def asked_as(scope: Scope, path: str, method: str) -> Scope:
    """Return a request's scope with this path below its root, and this method; itself where it is so already."""
    whole: str = scope["path"]
    if method == scope["method"] and whole.endswith(path):
        return scope
    cut = whole if whole.endswith(path) else whole.removesuffix("/")
    raw: bytes | None = scope.get("raw_path")
    return {**scope, "path": cut, "raw_path": raw and raw.removesuffix(b"/"), "method": method}


def aim_of(path: str) -> tuple[str, bool] | None:
    """Return whose messages a path is for, and whether in a batch; None: it is no hot one."""
    if not path.startswith(APPLICATION):
        return None
    name, _, rest = path[len(APPLICATION) :].partition("/")
    if name and rest in ("msg", "msg/batch"):
        return name, rest != "msg"
    return None
