"""Housekeeping in bounded pieces: what has ended and is old goes, what waits for nobody is cancelled."""
from dataclasses import dataclass
@dataclass
class Sweep:
    message: int = 0
async def clean(work, retention, limit, sweep): return 0
async def erase(work, customer_id, limit): return 0
