"""The `Outbox` dependency: customer and session as the path operation's own dependencies give them."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Annotated, Any, get_origin

from fastapi import Depends, params

from anzol.outbox import Intake, Outbox, judged

# A dependency as FastAPI takes it: a function, `Depends(...)`, or the alias `Annotated[..., Depends(...)]`.
Dependency = Callable[..., Any] | params.Depends | Any


def outbox_dependency(
    intake: Callable[[], Intake], to: Dependency, session: Dependency | None
) -> Callable[..., Outbox]:
    """Return a dependency that makes an `Outbox`.

    FastAPI calls a dependency once for each request: *session* given here is the path operation's own.
    """

    def outbox(customer: Any, session: Any = None) -> Outbox:
        standing = intake()
        return Outbox(standing, judged(standing, customer, session=session))

    wanted = {"customer": to} if session is None else {"customer": to, "session": session}
    outbox.__signature__ = Signature(  # type: ignore[attr-defined]  # FastAPI reads what to resolve from here
        [Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation(given)) for name, given in wanted.items()],
        return_annotation=Outbox,
    )
    return outbox


def annotation(dependency: Dependency) -> Any:
    """Write a dependency as the annotation of a parameter."""
    if get_origin(dependency) is Annotated:
        return dependency
    return Annotated[Any, dependency if isinstance(dependency, params.Depends) else Depends(dependency)]
