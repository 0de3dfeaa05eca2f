"""Forks: who has connections open is told before one, and after it on both sides."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Protocol


class Forking(Protocol):
    """What must be told of forks."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


_open: weakref.WeakSet[Forking] = weakref.WeakSet()


def on_fork(storage: Forking) -> None:
    """Have *storage* told of forks."""
    _open.add(storage)


def _tell(act: Callable[[Forking], None]) -> Callable[[], None]:
    def told() -> None:
        for storage in list(_open):
            act(storage)

    return told


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_tell(lambda storage: storage.before_fork()),
        after_in_parent=_tell(lambda storage: storage.after_fork_in_parent()),
        after_in_child=_tell(lambda storage: storage.after_fork_in_child()),
    )
