"""Every answer that is no success: ``{"code", "detail"}``, with 422 in FastAPI's own shape.

The codes are a promise; each is in the reference with an anchor of its own.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from anzol.errors import (
    AnzolError,
    Conflict,
    InvalidCustomer,
    InvalidPayload,
    InvalidValue,
    KeyConflict,
    NotFound,
    PayloadTooLarge,
    RequestConflict,
    StorageError,
    UnknownWebhook,
)

log = logging.getLogger("anzol.api")

# code: (status, what it means); the reference is made of this.
CODES: Final[Mapping[str, tuple[int, str]]] = {
    "invalid_request": (400, "The request cannot be read: no JSON, a key twice, too deep, not UTF-8."),
    "authentication_failed": (401, "There is no credential, or it is worth nothing: unknown, expired, revoked."),
    "insufficient_access": (403, "The credential is good, and does not allow this."),
    "not_found": (404, "There is no such thing, or it is not yours."),
    "method_not_allowed": (405, "The path does not take this method."),
    "conflict": (409, "What is there does not allow it: a uid that is taken, a key used for something else."),
    "idempotency_conflict": (409, "The idempotency key was used by another request."),
    "too_large": (413, "The body is over the limit."),
    "unsupported_media_type": (415, "The body is to be application/json."),
    "validation_error": (422, "A value does not fit; `detail` is a list of faults, each with its place."),
    "rate_limited": (429, "Too many requests with this credential; `Retry-After` says when to come again."),
    "internal_error": (500, "A fault of Anzol's own; the log says which."),
    "unavailable": (503, "The database or this process has more to do than it can; `Retry-After` says when."),
}


@dataclass(slots=True)
class Problem(Exception):
    """An answer that is no success, raised where it is found out.

    Args:
        code: One of `CODES`.
        detail: What, why, and what to do.
        faults: Of a ``validation_error``: (place, reason, kind) for each; a place such as ``("body", "url")``.
    """

    code: str
    detail: str = ""
    faults: Sequence[tuple[tuple[str | int, ...], str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return CODES[self.code][0]

    def body(self) -> bytes:
        """Return it as JSON."""
        if self.code == "validation_error":
            faults = [{"loc": list(place), "msg": reason, "type": kind} for place, reason, kind in self.faults]
            return encode({"code": self.code, "detail": faults})
        return encode({"code": self.code, "detail": self.detail or CODES[self.code][1]})


def encode(data: object) -> bytes:
    """Write JSON; what UTF-8 cannot say is escaped."""
    return json.dumps(data, separators=(",", ":")).encode()


def fault(field: str, reason: str, kind: str = "value_error", place: str = "body") -> Problem:
    """Return the problem of one field."""
    return Problem("validation_error", faults=(((place, *field.split(".")) if field else (place,), reason, kind),))


def answer(problem: Problem) -> Response:
    """Return a problem as a response."""
    return Response(problem.body(), problem.status, dict(problem.headers), "application/json")


def problem_of(error: Exception) -> Problem:
    """Say in the API's words what went wrong."""
    match error:
        case Problem():
            return error
        case InvalidPayload(faults=[_, *_] as faults):
            return Problem(
                "validation_error",
                faults=[(("body", "payload", *place.split(".")), why, "value_error") for place, why in faults],
            )
        case KeyConflict() | Conflict():
            return Problem("conflict", str(error))
        case RequestConflict():
            return Problem("idempotency_conflict", str(error))
        case PayloadTooLarge():
            return Problem("too_large", str(error))
        case NotFound():
            return Problem("not_found", str(error))
        case InvalidValue(field=named):
            return fault(wired(named), str(error))
        case InvalidCustomer() | InvalidPayload() | UnknownWebhook():
            return fault("", str(error))
        case StorageError():
            log.warning("A request was answered with 503: %s", error)
            return Problem("unavailable", headers={"retry-after": "1"})
        case AnzolError():
            return Problem("invalid_request", str(error))
        case HTTPException():
            return of_status(error)
        case _:
            log.error("A request was answered with 500.", exc_info=error)
            return Problem("internal_error")


def wired(field: str) -> str:
    """Return a field's name as it is on the wire; of ``headers.x-key`` only the first part is a field of ours."""
    first, dot, rest = field.partition(".")
    return f"{to_camel(first)}{dot}{rest}"


def of_status(error: HTTPException) -> Problem:
    """Return the problem that an error of the framework's is."""
    codes = {status: code for code, (status, _) in reversed([*CODES.items()])}
    if error.status_code == HTTPStatus.NOT_FOUND:
        return Problem("not_found", "There is no such path.")
    return Problem(codes.get(error.status_code, "invalid_request"), str(error.detail), headers=error.headers or {})


def of_validation(error: RequestValidationError) -> Problem:
    """Return the problem of values that do not fit the declared shapes."""
    faults = error.errors()
    if any(fault["type"] == "json_invalid" for fault in faults):
        return Problem("invalid_request", "The body is no JSON.")
    return Problem("validation_error", faults=[(tuple(one["loc"]), one["msg"], one["type"]) for one in faults])


def answer_problems(app: FastAPI) -> None:
    """Have an application answer every error in this shape."""

    async def told(_: Request, error: Exception) -> Response:
        return answer(of_validation(error) if isinstance(error, RequestValidationError) else problem_of(error))

    for kind in (Problem, AnzolError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, told)


class Fault(BaseModel):
    """One value that does not fit."""

    loc: list[str | int] = Field(description="Where: `body`, `query`, `path` or `header`, and the way from there.")
    msg: str = Field(description="What is wrong with it.")
    type: str = Field(description="The kind of fault.")


class ProblemOut(BaseModel):
    """An answer that is no success."""

    code: str = Field(json_schema_extra={"enum": [*sorted(CODES)]})
    detail: str | list[Fault] = Field(description="What, why and what to do; of a `validation_error`, each fault.")


ALWAYS: Final = (
    "invalid_request",
    "authentication_failed",
    "insufficient_access",
    "not_found",
    "validation_error",
    "rate_limited",
    "unavailable",
    "internal_error",
)


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """Return what the document says of these problems, beside those that every operation may have."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in dict.fromkeys((*ALWAYS, *codes)):
        status, meaning = CODES[code]
        text = f"`{code}`: {meaning}"
        if status in found:
            found[status]["description"] += f" {text}"
        else:
            found[status] = {"description": text, "model": ProblemOut}
    return found


def always_json(responses: Mapping[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    """Return problems of an operation that answers with something else than JSON: these are JSON all the same.

    FastAPI would give a model the operation's own content type.
    """
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ProblemOut.__name__}"}}}
    return {status: {"description": one["description"], "content": content} for status, one in responses.items()}
