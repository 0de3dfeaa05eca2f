"""The face's group of access to the REST API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from anzol import ids
from anzol.model import ApiKey, Page
from anzol.storage.books import Kept, NewApiKey, Revocation
from anzol.storage.postgres import access
from anzol.storage.postgres.calls import Calls


class Accessing(Calls):
    """Keys, revocations, one-time codes, answers."""

    async def environments(self) -> Sequence[str]:
        return await self.look(access.environments)

    async def create_api_key(self, environment: str, key: NewApiKey) -> ApiKey:
        return await self.change(access.create_api_key, environment, key, ids.new(self.clock.micros()))

    async def api_key(self, digest: bytes) -> ApiKey | None:
        return await self.look(access.api_key, digest)

    async def api_keys(
        self, environment: str, *, after: str | None = None, limit: int = 50, oldest_first: bool = False
    ) -> Page[ApiKey]:
        return await self.look(access.api_keys, environment, after, limit, oldest_first)

    async def revoke_api_key(self, environment: str, key_id: str) -> None:
        await self.change(access.revoke_api_key, environment, key_id)

    async def note_api_keys(self, used: Mapping[str, datetime]) -> None:
        if used:
            await self.change(access.note_api_keys, used)

    async def revoke(
        self, environment: str, subject: str, *, issued_through: datetime, effective_at: datetime, keep_until: datetime
    ) -> None:
        await self.change(access.revoke, environment, subject, issued_through, effective_at, keep_until)

    async def revocations(self, environment: str, subjects: Sequence[str]) -> Sequence[Revocation]:
        return await self.look(access.revocations, environment, subjects)

    async def add_portal_code(self, digest: bytes, environment: str, claims: str, *, expires_at: datetime) -> None:
        await self.change(access.add_portal_code, digest, environment, claims, expires_at)

    async def take_portal_code(self, digest: bytes) -> tuple[str, str]:
        return await self.change(access.take_portal_code, digest)

    async def begin_request(self, slot: bytes, request: bytes, *, lease: timedelta) -> Kept | None:
        return await self.change(access.begin_request, slot, request, lease)

    async def keep_answer(self, slot: bytes, status: int, body: bytes) -> None:
        await self.change(access.keep_answer, slot, status, body)

    async def drop_request(self, slot: bytes) -> None:
        await self.change(access.drop_request, slot)
