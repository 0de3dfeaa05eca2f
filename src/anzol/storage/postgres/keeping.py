"""The face's last part: the schema and the mark, keys, housekeeping, and the rules that must hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from anzol.storage.face import Probe, Retention
from anzol.storage.postgres import clean, invariants
from anzol.storage.postgres import deployment as marks
from anzol.storage.postgres.calls import Calls

SEALED: Final = 500  # endpoints sealed again in one transaction
WITHDRAWN: Final = 10_000  # deliveries or messages


class Keeping(Calls):
    """What keeps a database fit."""

    def begin_anew(self) -> None:
        super().begin_anew()
        self._sweep = clean.Sweep()

    async def prepare(self, *, deployment: str) -> None:
        """Check that the schema is current and the mark is ours; set the mark where there is none.

        Migrations are not applied: on a database that others use too this is somebody's decision (`anzol migrate`).
        """
        await self.change(marks.prepare, deployment)

    async def probe(self) -> Probe:
        return await self.change(marks.probe)

    async def adopt(self, *, deployment: str, withdraw_pending: bool) -> int:
        """Make a copied or renamed database this deployment's; return how much that waited was withdrawn."""
        withdrawn = 0
        if withdraw_pending:
            await self.change(marks.withdraw_claims)
            while page := await self.change(marks.withdraw_page, WITHDRAWN):
                withdrawn += page
        # The mark comes last: what is cut off halfway is another deployment's still, and nothing is sent from it.
        await self.change(marks.adopt, deployment)
        return withdrawn

    async def rekey(self) -> int:
        after: bytes | None = bytes(16)
        total = 0
        while after is not None:
            after, count = await self.change(marks.rekey_endpoints, after, SEALED)
            total += count
        # The mark comes last: until everything is sealed anew, start-up asks for the former key.
        return total + await self.change(marks.rekey_mark)

    async def broken(self) -> Sequence[str]:
        """Return a sentence for every broken rule of the database: none, or there is a fault in Anzol."""
        return await self.look(invariants.broken)

    async def clean(self, retention: Retention, *, limit: int) -> int:
        return await self.change(clean.clean, retention, limit, self._sweep)
