"""Who gets what: every operation, with every kind of credential, asked for what is one's own and what is another's.

The rules. A credential that is worth nothing: 401. One that does not allow the operation: 403, whatever is named, so
that it tells nothing. What belongs to somebody else: 404, in the very words that are said of what was never there.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Final

import jwt
import pytest
import pytest_asyncio

from anzol.api import probe
from anzol.api.access import Scope
from anzol.api.routes import PREFIX
from anzol.api.tokens import IMPLIED, Capability
from anzol.api.whole import RESOURCES
from anzol.storage.books import NewApiKey
from tests.api import matrix
from tests.api.acting import good
from tests.api.conftest import ENVIRONMENT, FAR, Service, make
from tests.api.matrix import ELSEWHERE, OPEN, ROWS, VIEW, Row, Said, World, ask

pytestmark = pytest.mark.asyncio(loop_scope="module")
OTHERS: Final = "staging"  # another environment of the same database
NO_WORLD: Final = World("", {}, "")
CANARY: Final = "cAnArYofSomebodyElse0001"
BY_NAME: Final = [pytest.param(row, id=row.name) for row in ROWS]


@dataclass(slots=True)
class Matrix:
    """A service with two customers in one environment, one in another; and worlds to be changed, one for each change."""

    service: Service
    bad: dict[str, str | None] = field(default_factory=dict)
    keys: dict[frozenset[str], str] = field(default_factory=dict)
    mine: World = NO_WORLD
    foreign: World = NO_WORLD
    around: dict[str, str] = field(default_factory=dict)
    spare: dict[str, World] = field(default_factory=dict)
    own: dict[str, dict[str, str]] = field(default_factory=dict)
    addresses: Any = field(default_factory=count)

    async def ask(self, row: Row, names: Mapping[str, str], token: str | None) -> Said:
        """Ask, each time from an address of its own: who guesses too often is told something else."""
        number = next(self.addresses)
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        bearer = None if token is None else f"Bearer {token}"
        return await ask(self.service.webhooks.api, row, {**self.around, **names}, bearer, address)

    def customer(self, world: World, *capabilities: Capability) -> str:
        return self.service.customer_token(world.ids["app_id"], *capabilities)

    def key(self, *scopes: str) -> str:
        return self.keys[frozenset(scopes)]

    async def done(self, row: Row, who: str, token: str) -> Said:
        """Have a row done, with what nobody else is to change."""
        around = self.own[f"{row.name} {who}"] if row.is_of_environment else {}
        return await self.ask(row, {**self.world_for(row, who).ids, **around}, token)

    def world_for(self, row: Row, who: str) -> World:
        """Return what an operation may change; what only looks shares one."""
        return self.spare.get(f"{row.name} {who}", self.mine)


def encoded(part: bytes) -> str:
    return urlsafe_b64encode(part).decode().rstrip("=")


def forged(token: str, algorithm: str, secret: bytes) -> str:
    """Return a token with another header, signed as this server's are, or not at all."""
    head = encoded(json.dumps({"alg": algorithm, "typ": "JWT"}).encode())
    signed = f"{head}.{token.split('.')[1]}"
    made = b"" if algorithm == "none" else hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{encoded(made)}"


async def bad_credentials(matrix: Matrix) -> dict[str, str | None]:
    """Make a credential of each kind that is worth nothing."""
    service, token = matrix.service, matrix.service.token()
    storage = await service.webhooks.core.storage()
    revoked, revoked_customers = (
        service.token(expires_at=FAR + 1),
        service.customer_token(matrix.mine.ids["app_id"], expires_at=FAR + 1),
    )
    for text in (revoked, revoked_customers):
        async with service.client(text) as client:
            assert (await client.post("/auth/logout")).status_code == 204
    async with service.client() as client:
        gone = good(await client.post("/app", json={"name": "gone"}), 201)["id"]
        await client.delete(f"/app/{gone}")
        key = good(await client.post("/auth/api-token", json={"name": "revoked"}), 201)
        await client.post(f"/auth/api-token/{key['id']}/expire")
    late = NewApiKey(
        hashlib.sha256(b"sk_late").digest(), "late", "late", tuple(Scope), "test", datetime(2020, 1, 1, tzinfo=UTC)
    )
    await storage.create_api_key(ENVIRONMENT, late)
    claims = jwt.decode(token, options={"verify_signature": False})
    return {
        "none": None,
        "nonsense": "nonsense",
        "expired": service.token(expires_at=2),
        "expired, a customer's": service.customer_token(matrix.mine.ids["app_id"], expires_at=2),
        "revoked": revoked,
        "revoked, a customer's": revoked_customers,
        "of a customer that is gone": service.customer_token(gone),
        "algorithm none": forged(token, "none", b""),
        "algorithm HS512": signed_512(claims, service.secret),
        "algorithm RS256, signed with the secret": forged(token, "RS256", service.secret),
        "another secret": service.token(secret=b"z" * 32),
        "an environment that is not there": service.token("nowhere"),
        "unknown key": "sk_unknown",
        "expired key": "sk_late",
        "revoked key": key["token"],
    }


def signed_512(claims: dict[str, Any], secret: bytes) -> str:
    """Sign with the server's secret, but with another hash."""
    head, body = (encoded(json.dumps(part).encode()) for part in ({"alg": "HS512", "typ": "JWT"}, claims))
    return f"{head}.{body}.{encoded(hmac.new(secret, f'{head}.{body}'.encode(), hashlib.sha512).digest())}"


async def keys_of(service: Service) -> dict[frozenset[str], str]:
    """Make a key of each scope alone, and of all but each."""
    every = {scope.value for scope in Scope}
    made = {}
    async with service.client() as client:
        for scopes in [{one} for one in every] + [every - {one} for one in every]:
            answer = await client.post("/auth/api-token", json={"name": "k", "scopes": sorted(scopes)})
            made[frozenset(scopes)] = good(answer, 201)["token"]
    return made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def table(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Matrix]:
    folder: Path = tmp_path_factory.mktemp("matrix")
    service = make(f"sqlite:///{folder}/anzol.db", worker=False, api_rate="off", portal_rate="off")
    made = Matrix(service)
    changes = [
        f"{row.name} {who}"
        for row in ROWS
        if row.method != "GET" and row.is_of_one
        for who in ("environment", "key", "customer")
        if who != "customer" or row.capability
    ]
    async with service.client() as client:
        worlds = [await matrix.world(client, "mine"), await matrix.world(client, "foreign", CANARY)]
        worlds += [await matrix.world(client, f"spare-{number}") for number, _ in enumerate(changes)]
        made.around = await matrix.surroundings(client, "thing.happened")
        for number, row in enumerate(row for row in ROWS if row.is_of_environment):
            for who in ("environment", "key", "customer"):
                made.own[f"{row.name} {who}"] = await matrix.surroundings(client, f"thing.{who}.{number}")
    async with service.webhooks.worker() as worker:
        await worker.drain_once()
        await worker.close()
    storage = await service.webhooks.core.storage()
    worlds = await matrix.with_attempts(storage, ENVIRONMENT, worlds)
    made.mine, made.foreign, *spare = worlds
    made.spare = dict(zip(changes, spare, strict=True))
    await storage.create_customer(OTHERS, "mine", name="Of another environment", metadata={}, throttle=None)
    made.keys = await keys_of(service)
    made.bad = await bad_credentials(made)
    yield made
    await service.webhooks.close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody answers to a probe; that is said at once."""
    monkeypatch.setattr(probe, "DEADLINE", 0.05)


def is_refused(said: Said, status: int) -> None:
    codes = {401: "authentication_failed", 403: "insufficient_access", 404: "not_found"}
    assert said.status == status, said.body
    assert json.loads(said.body)["code"] == codes[status]


def tells_nothing(said: Said, world: World, names: Mapping[str, str]) -> None:
    """Hold that an answer has nothing of a world but what the request itself has named."""
    for secret in {world.canary, world.canary.lower(), *world.ids.values()} - set(names.values()):
        assert secret not in said.text, said.text


def asked_of(row: Row, names: Mapping[str, str]) -> dict[str, str]:
    """Return those of the names that a row's request has in it."""
    told = f"{row.path} {row.body} {row.query}"
    return {name: value for name, value in names.items() if f"{{{name}}}" in told}


def renamed(text: str, old: Mapping[str, str], new: Mapping[str, str]) -> str:
    """Return a text in which things have the names of others."""
    for name, value in old.items():
        text = text.replace(value, new.get(name, value))
    return text


def without(capability: Capability) -> tuple[Capability, ...]:
    """Return all capabilities but one and those that imply it; looking is in each."""
    return tuple(one for one in Capability if one is not capability and capability not in IMPLIED.get(one, ()))


# --- the table


async def test_every_operation_is_in_the_table_once(table: Matrix) -> None:
    documented = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, operations in table.service.webhooks.api.openapi()["paths"].items()
        for method in operations
    }
    known = [row.documented for row in (*ROWS, *OPEN)] + [*ELSEWHERE]

    assert sorted(known) == sorted(documented)


async def test_every_route_is_in_the_document(table: Matrix) -> None:
    paths = table.service.webhooks.api.openapi()["paths"]
    documented = {f"{method.upper()} {path}" for path, operations in paths.items() for method in operations}
    routes = {
        f"{method} {PREFIX}{route.path}"
        for resource in RESOURCES
        for route in resource.router.routes
        for method in route.methods or ()
    }

    assert routes == documented


# --- worth nothing


@pytest.mark.parametrize("row", BY_NAME)
async def test_who_has_nothing_to_show_gets_nothing(table: Matrix, row: Row) -> None:
    for token in table.bad.values():
        said = await table.ask(row, table.foreign.ids, token)

        is_refused(said, 401)
        tells_nothing(said, table.foreign, table.foreign.ids)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in OPEN])
async def test_health_is_told_to_anybody(table: Matrix, row: Row) -> None:
    for token in table.bad.values():
        assert (await table.ask(row, {}, token)).status == row.status


# --- another's


@pytest.mark.parametrize("row", BY_NAME)
async def test_what_is_anothers_is_as_if_it_were_not_there(table: Matrix, row: Row) -> None:
    nothing = matrix.nobody()
    for capabilities in ((), (VIEW,)):
        token = table.customer(table.mine, *capabilities)
        said = await table.ask(row, table.foreign.ids, token)

        tells_nothing(said, table.foreign, asked_of(row, table.foreign.ids))
        if row.capability is None or (capabilities and row.capability is not VIEW):
            is_refused(said, 403)
        elif row.is_of_one:
            is_refused(said, 404)
            twin = await table.ask(row, nothing, token)
            assert said.text == renamed(twin.text, nothing, table.foreign.ids)
        else:
            assert said.status == row.status


@pytest.mark.parametrize("row", [param for param in BY_NAME if param.values[0].named])  # type: ignore[attr-defined]
async def test_a_part_of_anothers_is_not_found_under_ones_own(table: Matrix, row: Row) -> None:
    for name in row.named:
        names = {**table.mine.ids, name: table.foreign.ids[name]}
        for token in (table.customer(table.mine), table.service.token()):
            said = await table.ask(row, names, token)

            tells_nothing(said, table.foreign, asked_of(row, names))
            if row.capability is None and token != table.service.token():
                is_refused(said, 403)
            else:
                is_refused(said, 404)


@pytest.mark.parametrize("row", BY_NAME)
async def test_another_environment_sees_nothing_of_this_one(table: Matrix, row: Row) -> None:
    token = table.service.token(OTHERS)
    said = await table.ask(row, table.foreign.ids, token)

    tells_nothing(said, table.foreign, asked_of(row, table.foreign.ids))
    if row.makes_by_name:
        assert said.status == 201
        async with table.service.client(token) as client:
            await client.delete(f"/event-type/{json.loads(said.body)['name']}", params={"expunge": True})
    elif row.is_of_one or row.is_of_environment:
        is_refused(said, 404)
    else:
        assert said.status == row.status, said.body


# --- one's own


@pytest.mark.parametrize("row", BY_NAME)
async def test_what_a_credential_does_not_allow_is_refused(table: Matrix, row: Row) -> None:
    assert row.scope is not None
    others = {scope.value for scope in Scope} - {row.scope}
    tokens = [table.key(*others)]
    if row.capability is None:
        tokens.append(table.customer(table.mine))
    elif row.capability is not VIEW:
        tokens += [table.customer(table.mine, VIEW), table.customer(table.mine, *without(row.capability))]
    for token in tokens:
        said = await table.ask(row, table.mine.ids, token)

        is_refused(said, 403)
        tells_nothing(said, table.foreign, {})


@pytest.mark.parametrize("row", BY_NAME)
async def test_an_environment_may_do_all_with_what_is_its_own(table: Matrix, row: Row) -> None:
    said = await table.done(row, "environment", table.service.token())

    assert said.status == row.status, said.body


@pytest.mark.parametrize("row", BY_NAME)
async def test_a_key_with_just_the_scope_may(table: Matrix, row: Row) -> None:
    assert row.scope is not None
    said = await table.done(row, "key", table.key(row.scope))

    assert said.status == row.status, said.body


@pytest.mark.parametrize("row", [param for param in BY_NAME if param.values[0].capability])  # type: ignore[attr-defined]
async def test_a_customer_with_just_the_capability_may_and_sees_nothing_of_another(table: Matrix, row: Row) -> None:
    assert row.capability is not None
    token = table.customer(table.world_for(row, "customer"), row.capability)
    said = await table.done(row, "customer", token)

    assert said.status == row.status, said.body
    tells_nothing(said, table.foreign, {})


# --- beside the table


async def test_a_code_that_is_worth_nothing_is_refused_whoever_brings_it(table: Matrix) -> None:
    row = Row("POST", "/auth/one-time-token", 200, None, None, {"oneTimeToken": "nothing"})
    for token in (*table.bad.values(), table.service.token(), table.customer(table.mine)):
        is_refused(await table.ask(row, {}, token), 401)


async def test_whoever_has_a_credential_may_take_it_back(table: Matrix) -> None:
    row = Row("POST", "/auth/logout", 204, None, VIEW)
    good_ones = [
        table.service.token(expires_at=FAR + 2),
        table.service.customer_token(table.mine.ids["app_id"], VIEW, expires_at=FAR + 2),
    ]
    for token in good_ones:
        assert (await table.ask(row, {}, token)).status == 204
        is_refused(await table.ask(row, {}, token), 401)
    for token in table.bad.values():
        is_refused(await table.ask(row, {}, token), 401)
