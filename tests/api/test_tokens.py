"""Tokens: what is believed, and what is refused without a fault of the server's."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from anzol.api.tokens import Capability, Token, TokenRefused, mint, organization_of, read
from tests.api.conftest import FAR, Service

SECRET = b"s" * 32
NOW = datetime(2026, 11, 24, tzinfo=UTC)
ORGANIZATION = organization_of("production")
APP = "app_" + "0" * 22


def claims(**changed: Any) -> dict[str, Any]:
    return {"sub": ORGANIZATION, "iat": 1, "nbf": 1, "exp": FAR} | changed


def signed(said: dict[str, Any], secret: Any = SECRET, algorithm: str = "HS256") -> str:
    return jwt.encode(said, secret, algorithm=algorithm)


def part(data: object) -> str:
    text = data if isinstance(data, str) else json.dumps(data)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_what_is_minted_is_read_back() -> None:
    token = Token(
        ORGANIZATION,
        APP,
        1764000000.25,
        FAR,
        frozenset({Capability.VIEW, Capability.CREATE_ATTEMPTS}),
        "one",
        "ada",
        ("beta",),
    )

    assert read(mint(token, SECRET), [SECRET], NOW) == token


def test_a_token_of_an_environment_says_nothing_of_a_customer() -> None:
    token = read(signed(claims()), [SECRET], NOW)

    assert (token.organization, token.customer_id) == (ORGANIZATION, None)


def test_a_token_of_the_key_before_is_good() -> None:
    assert read(signed(claims(), b"o" * 32), [SECRET, b"o" * 32], NOW).organization == ORGANIZATION


def test_a_token_without_capabilities_has_all_of_them() -> None:
    token = read(signed(claims(sub=APP, org=ORGANIZATION)), [SECRET], NOW)

    assert token.capabilities == frozenset(Capability)


def test_managing_endpoints_implies_their_secrets_and_looking() -> None:
    token = read(signed(claims(sub=APP, org=ORGANIZATION, cap=["ManageEndpoint"])), [SECRET], NOW)

    assert token.capabilities == {
        Capability.VIEW,
        Capability.VIEW_SECRET,
        Capability.MANAGE_SECRET,
        Capability.MANAGE_ENDPOINT,
    }


def forged() -> dict[str, str]:
    """Tokens that are worth nothing, by what is wrong with them."""
    rsa_key = rsa.generate_private_key(65537, 2048)
    good = signed(claims())
    head, body, signature = good.split(".")
    deep = "[" * 5000
    return {
        "none": f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "none, signed": f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.{signature}",
        "None": f"{part({'alg': 'None'})}.{body}.{signature}",
        "RS256": signed(claims(), rsa_key, "RS256"),
        "HS384": signed(claims(), SECRET * 2, "HS384"),
        "HS512": signed(claims(), SECRET * 2, "HS512"),
        "no algorithm": f"{part({'typ': 'JWT'})}.{body}.{signature}",
        "an algorithm that is no text": f"{part({'alg': {'a': 1}})}.{body}.{signature}",
        "another secret": signed(claims(), b"x" * 32),
        "no secret": signed(claims(), b"\0" * 32),
        "tampered": f"{head}.{part(claims(sub=organization_of('other')))}.{signature}",
        "signature cut": good[:-4],
        "no signature": f"{head}.{body}.",
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.{signature}",
        "no base64": f"{head}.***.{signature}",
        "header no JSON": f"{part('{')}.{body}.{signature}",
        "header a list": f"{part('[]')}.{body}.{signature}",
        "header deep": f"{part(deep)}.{body}.{signature}",
        "claims a list": f"{head}.{part('[]')}.{signature}",
        "expired": signed(claims(exp=2)),
        "not yet": signed(claims(nbf=FAR)),
        "no end": signed({"sub": ORGANIZATION, "iat": 1}),
        "end no number": signed(claims(exp="tomorrow")),
        "end infinite": signed(claims(exp=float("inf"))),
        "end nowhere": signed(claims(exp=float("nan"))),
        "end a truth": signed(claims(exp=True)),
        "end too far": signed(claims(exp=1 << 60)),
        "nobody": signed({"exp": FAR}),
        "subject no text": f"{head}.{part(claims(sub=[1]))}.{signature}",
        "subject of no kind": signed(claims(sub="usr_1")),
        "customer of no environment": signed(claims(sub=APP)),
        "a megabyte": "x" * 1_000_000,
        "not ASCII": "ключ.ключ.ключ",
        "half a character": "\udc80.\udc80.\udc80",
        "dots": "...........",
        "nothing": "",
    }


FORGED = forged()


@pytest.mark.parametrize("what", FORGED)
def test_a_forged_token_is_refused(what: str) -> None:
    with pytest.raises(TokenRefused):
        read(FORGED[what], [SECRET], NOW)


@pytest.mark.asyncio
async def test_no_credential_makes_a_fault_of_the_servers(service: Service) -> None:
    odd = [b"Bearer", b"Bearer ", b"Basic dTpw", b"", b"Bearer \xff\xfe", b"Bearer sk_", b"bearer\t\x80", b"Bearer a b"]
    shown = [f"Bearer {text}".encode("utf-8", "surrogateescape") for text in FORGED.values() if len(text) < 60_000]
    async with service.client(None) as client:
        statuses = {}
        for value in [*odd, *shown][:45]:
            answer = await client.get("/app", headers=[(b"authorization", value)])
            statuses[value[:60]] = (answer.status_code, answer.json()["code"])

    assert set(statuses.values()) == {(401, "authentication_failed")}


@pytest.mark.asyncio
async def test_a_token_of_another_environment_is_refused_until_it_is_used(service: Service) -> None:
    async with service.client(service.token("elsewhere")) as client:
        answer = await client.get("/app")

    assert answer.status_code == 401
