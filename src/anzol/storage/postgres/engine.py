"""Storage in PostgreSQL: any number of processes, on any number of machines, and the database between them.

Senders only insert. Each worker's rounds and each worker's results have a connection of their own; what people set and
look at shares two more. Where the calls run is said in `anzol.storage.postgres.home`.
"""

from __future__ import annotations

from anzol.clock import Clock, SystemClock
from anzol.storage.postgres.accepting import Accepting
from anzol.storage.postgres.accessing import Accessing
from anzol.storage.postgres.connections import Place
from anzol.storage.postgres.delivering import Delivering
from anzol.storage.postgres.keeping import Keeping
from anzol.storage.postgres.reading import Reading
from anzol.storage.postgres.registering import Auditing, Cataloguing, Registering
from anzol.storage.postgres.sweeping import Sweeping
from anzol.storage.postgres.watching import Watching
from anzol.storage.vault import Vault


class PostgresStorage(
    Accepting, Accessing, Delivering, Registering, Cataloguing, Auditing, Reading, Keeping, Sweeping, Watching
):
    """One schema of a PostgreSQL database. Opened when first used; any thread, any event loop; anew after a fork.

    Args:
        url: ``postgresql://user:password@host:port/database``, as libpq reads it.
        schema: Where Anzol's tables are.
        clock: The time is the database's own with the machine's clock; with another one, it is that one's.
        pooler: A pooler that lends connections by the transaction is between: no LISTEN, no prepared statements.
        patience: Seconds to wait for others' locks before StorageBusy.
    """

    def __init__(
        self,
        url: str,
        *,
        vault: Vault,
        schema: str = "anzol",
        clock: Clock | None = None,
        pooler: bool = False,
        patience: float = 5.0,
    ) -> None:
        super().__init__(Place(url, schema, pooler, patience), clock=clock or SystemClock(), vault=vault)

    async def leave(self) -> None:
        await self.homes.left_here()

    async def close(self) -> None:
        """Finish what was accepted, close every connection that is not a working worker's."""
        await self.homes.close()
