"""Health: what `/live` and `/ready` answer for one process, and the router that serves them.

Nothing that is answered comes out of an error's text: it may name files, hosts, users. That is in the log.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal
from weakref import WeakKeyDictionary

from fastapi import APIRouter
from starlette.responses import JSONResponse

from anzol.errors import (
    AnzolError,
    SchemaNewer,
    SchemaOutdated,
    SettingsError,
    StorageBusy,
    VaultError,
    WrongDeployment,
)
from anzol.storage.face import Probe

if TYPE_CHECKING:
    from anzol.app.core import Core

Scope = Literal["process", "system"]
FRESH: Final = 1.0  # seconds that an answer is good for
PATIENCE: Final = 2.0  # seconds that the database may take to commit
UNATTENDED: Final = timedelta(seconds=60)  # that work may wait while no worker lives; as in the log

logger = logging.getLogger("anzol")


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. ``scope`` says whether it is of this process, or of all of them together."""

    name: str
    ok: bool
    detail: str
    scope: Scope = "process"


@dataclass(frozen=True, slots=True)
class Readiness:
    """What `/ready` answers."""

    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        return all(check.ok for check in self.checks)

    def within(self, scope: Scope | None) -> Readiness:
        """Return it with the checks of one scope alone; None: all of them."""
        return self if scope is None else Readiness(tuple(check for check in self.checks if check.scope == scope))

    def plain(self) -> dict[str, Any]:
        """Return it as JSON knows it."""
        return {"ready": self.ready, "checks": [asdict(check) for check in self.checks]}


@dataclass(frozen=True, slots=True)
class Own:
    """How the worker of this very process does: in one word for people, and whether it is past recovery."""

    ok: bool
    detail: str
    dead: bool = False


class Health:
    """Looks after one process. An answer is kept for a second, so that probes cost next to nothing.

    Args:
        own: How this process's own worker does; None where it has none.
    """

    def __init__(self, core: Core, own: Callable[[], Own | None]) -> None:
        self._core = core
        self._own = own
        self._kept: Readiness | None = None
        self._kept_at = 0.0
        self._looking: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
        self._failing: tuple[str, ...] = ()

    def live(self) -> Check:
        """Say whether this process still does what it is for; where not, only a new process helps."""
        own = self._own()
        return Check("process", ok=not (own and own.dead), detail=own.detail if own else "answers")

    async def ready(self) -> Readiness:
        """Say whether this process, and the whole, can do their work."""
        async with self._looking.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if self._kept is None or time.monotonic() - self._kept_at >= FRESH:
                self._kept = self._told(await self._look())
                self._kept_at = time.monotonic()
        return self._kept

    async def _look(self) -> Readiness:
        own = self._own()
        mine = (Check("worker", ok=own.ok, detail=own.detail),) if own else ()
        return Readiness((*await self._asked(), *mine))

    async def _asked(self) -> tuple[Check, ...]:
        """Ask the database."""
        try:
            began = time.perf_counter()
            async with asyncio.timeout(PATIENCE):
                found = await (await self._core.storage()).probe()
            took = time.perf_counter() - began
            settings = self._core.settings
            return judged(found, took, settings.mark, settings.ready_overdue)
        except TimeoutError:
            logger.warning("The database did not commit within %g s.", PATIENCE)
            return (Check("database", ok=False, detail=f"did not commit within {PATIENCE:g} s"),)
        except AnzolError as error:
            if not self._failing:
                logger.warning("This process is not ready: %s", error)
            return (refused(error),)
        except Exception:
            logger.exception("The database could not be asked how it is.")
            return (refused(AnzolError("")),)

    def _told(self, found: Readiness) -> Readiness:
        """Log that it has become another, once."""
        failing = tuple(check.name for check in found.checks if not check.ok)
        if failing != self._failing:
            logger.warning("Health: %s.", f"not ready ({', '.join(failing)})" if failing else "ready again")
        self._failing = failing
        return found


# --- judging


def judged(found: Probe, took: float, mark: str, limit: timedelta) -> tuple[Check, ...]:
    """Return the checks that a probe answers, which *took* seconds."""
    waits = timedelta(microseconds=max(0, found.now - found.waits_since) if found.waits_since is not None else 0)
    unattended = not found.workers and waits >= UNATTENDED
    current = found.schema_version >= found.schema_wanted  # what a newer one cannot work with has refused the probe
    return (
        Check("database", ok=True, detail=f"a commit took {took * 1000:.1f} ms"),
        Check("migrations", ok=current, detail=f"schema {found.schema_version}, wanted {found.schema_wanted}"),
        Check("deployment", ok=found.mark == mark, detail="ours" if found.mark == mark else "another deployment's"),
        Check("workers", ok=not unattended, detail=f"alive: {found.workers}", scope="system"),
        Check("overdue", ok=waits < limit, detail=waiting(waits), scope="system"),
    )


def waiting(waits: timedelta) -> str:
    """Write how long work waits for a worker."""
    return f"work waits for a worker since {waits.total_seconds():.0f} s" if waits else "nothing waits for a worker"


REFUSED: Final[Mapping[type[AnzolError], tuple[str, str]]] = {
    SchemaOutdated: ("migrations", "migrations are missing: run `anzol migrate`"),
    SchemaNewer: ("migrations", "the schema is a newer Anzol's"),
    WrongDeployment: ("deployment", "another deployment's"),
    VaultError: ("database", "the secret key does not open it"),
    StorageBusy: ("database", "locked"),
    SettingsError: ("settings", "a setting is refused"),
}


def refused(error: AnzolError) -> Check:
    """Return the check that an error fails; in fixed words."""
    for kind, (name, detail) in REFUSED.items():
        if isinstance(error, kind):
            return Check(name, ok=False, detail=detail)
    return Check("database", ok=False, detail="cannot commit; the log says why")


# --- serving


def live_answer(check: Check) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of `/live`."""
    return (200 if check.ok else 503), {"live": check.ok, "detail": check.detail}


def ready_answer(found: Readiness) -> tuple[int, dict[str, Any]]:
    """Return the status and the body of `/ready`."""
    return (200 if found.ready else 503), found.plain()


def health_router(health: Health) -> APIRouter:
    """Return a router with ``/live`` and ``/ready``."""
    router = APIRouter(include_in_schema=False)

    async def live() -> JSONResponse:
        return answer(*live_answer(health.live()))

    async def ready(scope: Scope | None = None) -> JSONResponse:
        return answer(*ready_answer((await health.ready()).within(scope)))

    router.add_api_route("/live", live, methods=["GET", "HEAD"])
    router.add_api_route("/ready", ready, methods=["GET", "HEAD"])
    return router


def answer(status: int, body: dict[str, Any]) -> JSONResponse:
    """Return a response that no cache keeps."""
    return JSONResponse(body, status_code=status, headers={"cache-control": "no-store"})
