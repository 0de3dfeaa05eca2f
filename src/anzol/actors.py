"""Who is acting: said once where a request or a command comes in, written down wherever something changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

CODE: Final = "code"  # the application itself
_actor: ContextVar[str] = ContextVar("anzol_actor", default=CODE)


def actor() -> str:
    """Return who is acting in this context, such as ``code``, ``key:Billing`` or ``customer:acme``."""
    return _actor.get()


@contextmanager
def acting(name: str) -> Iterator[None]:
    """Have *name* act while this lasts, in this context and in tasks that it starts."""
    token = _actor.set(name)
    try:
        yield
    finally:
        _actor.reset(token)
