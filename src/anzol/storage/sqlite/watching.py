"""The face's group of looking on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from anzol.model import Endpoint
from anzol.storage.books import Recorded
from anzol.storage.sqlite import watch
from anzol.storage.sqlite.calls import Calls


class Watching(Calls):
    """Attempts as they are recorded, and whose they are."""

    async def recorded(
        self,
        environment: str,
        *,
        customer: str | None = None,
        mark: str | None,
        reach: timedelta,  # noqa: ARG002 of no use where rows are numbered as they are recorded
        limit: int,
    ) -> Recorded:
        return await self.look(watch.recorded, environment, customer, mark, limit)

    async def endpoints_of(self, environment: str, endpoint_ids: Sequence[str]) -> Mapping[str, Endpoint]:
        return await self.look(watch.endpoints_of, environment, endpoint_ids)
