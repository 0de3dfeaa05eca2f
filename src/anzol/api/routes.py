"""Routes of the API: what each operation asks for, its errors, who acts, and answers kept for a repeated POST."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Callable, Coroutine
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from anzol.actors import acting
from anzol.api.access import Allowed, Caller, May, Scope, caller_of, ground_of
from anzol.api.problems import Problem, always_json, documented
from anzol.api.tokens import Capability
from anzol.storage.face import Storage

PREFIX: Final = "/api/v1"
Handle = Callable[[Request], Coroutine[Any, Any, Response]]
LEASE: Final = timedelta(seconds=30)  # that a request under way keeps its twins waiting
LOOK: Final = 0.02  # seconds before a twin looks again; longer each time
KEY: Final = "idempotency-key"
LONGEST_KEY: Final = 256
NONCE: Final = 12  # bytes


class Resource(APIRouter):
    """The operations of one kind of thing, all under one tag; each is added with what it asks for."""

    def __init__(self, tag: str, prefix: str = "", *, route_class: type[APIRoute] | None = None) -> None:
        super().__init__(prefix=prefix, tags=[tag], route_class=route_class or Operation)

    def operation(
        self,
        method: str,
        path: str,
        *,
        may: May | None,
        operation_id: str,
        status: int = 200,
        or_status: int | None = None,
        problems: tuple[str, ...] = (),
        **options: Any,
    ) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Add an operation.

        Args:
            may: What the caller must be allowed; None: nobody is asked.
            operation_id: In the dialect's words, such as ``v1.application.create``.
            or_status: With which it may answer as well, and the same: one that makes what is not there.
            problems: Codes that it answers with beside those of every operation.
        """
        if method == "POST":
            problems = (*problems, "idempotency_conflict", "conflict")
        options.setdefault("response_model", None)  # what is annotated is not what is sent
        responses = documented(*problems)
        if "response_class" in options:
            responses = always_json(responses)
        if or_status is not None:
            responses[or_status] = {"description": "The same", "model": options["response_model"]}
        dependencies = [] if may is None else [Depends(Allowed(may))]
        return self.api_route(
            path,
            methods=[method],
            status_code=status,
            operation_id=operation_id,
            responses=responses,
            dependencies=dependencies,
            openapi_extra=asked(may),
            **options,
        )


def asked(may: May | None) -> dict[str, Any]:
    """Return what the document says of who may."""
    if may is None:
        return {}
    capability = may.capability.value if may.capability else None
    return {"x-scope": may.scope.value if may.scope else None, "x-capability": capability}


class Operation(APIRoute):
    """A route whose changes carry the caller's name, and whose POST may be made again under the same key."""

    def get_route_handler(self) -> Handle:
        handle = super().get_route_handler()
        if self.methods == {"GET"} or not self.openapi_extra:
            return handle

        async def handled(request: Request) -> Response:
            caller = await caller_of(request)
            with acting(caller.actor):
                if request.method == "POST" and KEY in request.headers:
                    return await once(request, caller, handle)
                return await handle(request)

        return handled


async def once(request: Request, caller: Caller, handle: Handle) -> Response:
    """Answer a POST as the same one was answered before; the first of several is made, the others wait for it.

    Raises:
        Problem: ``idempotency_conflict``: the key was used by another request.
    """
    key = check_key(request.headers[KEY])
    slot, digest = slot_of(caller, key), await digest_of(request)
    storage = await ground_of(request).storage()
    kept = await begun(storage, slot, digest, caller.seal)
    if kept is not None:
        return kept
    try:
        response = await handle(request)
    except BaseException:
        await storage.drop_request(slot)
        raise
    body = getattr(response, "body", None)
    if HTTPStatus.OK <= response.status_code < HTTPStatus.MULTIPLE_CHOICES and isinstance(body, bytes):
        await storage.keep_answer(slot, response.status_code, sealed(caller.seal, slot, body))
    else:
        await storage.drop_request(slot)
    return response


async def begun(storage: Storage, slot: bytes, digest: bytes, seal: bytes) -> Response | None:
    """Return the answer of a twin, waiting for one that is under way; None: this request is to be made."""
    nap = LOOK
    while (kept := await storage.begin_request(slot, digest, lease=LEASE)) is not None:
        if not kept.same:
            raise Problem("idempotency_conflict", "The idempotency key was used by another request.")
        if kept.status is not None:
            return answered(kept.status, opened(seal, slot, kept.body or b""))
        await asyncio.sleep(nap)
        nap = min(1.0, nap * 2)
    return None


def answered(status: int, body: bytes) -> Response:
    """Return an answer once more."""
    return Response(body, status, media_type="application/json" if body else None)


def sealed(seal: bytes, slot: bytes, body: bytes) -> bytes:
    """Encrypt an answer for the caller alone: keys, tokens and secrets are in some, and the database must not tell."""
    nonce = os.urandom(NONCE)
    return nonce + AESGCM(seal).encrypt(nonce, body, slot)


def opened(seal: bytes, slot: bytes, kept: bytes) -> bytes:
    """Decrypt what `sealed` made."""
    return AESGCM(seal).decrypt(kept[:NONCE], kept[NONCE:], slot)


def check_key(key: str) -> str:
    """Return an idempotency key once it is 1 to 256 printable characters; raises Problem."""
    if not 0 < len(key) <= LONGEST_KEY or not key.isprintable():
        raise Problem("invalid_request", f"An idempotency key has 1 to {LONGEST_KEY} printable characters.")
    return key


def slot_of(caller: Caller, key: str) -> bytes:
    """Return under what an answer is kept: 32 bytes of credential and key."""
    return hashlib.sha256(caller.credential + key.encode("latin-1", "replace")).digest()


async def digest_of(request: Request) -> bytes:
    """Return what two requests with the same key must have in common: 32 bytes of method, address and body."""
    url = request.url
    return hashlib.sha256(f"{request.method} {url.path}?{url.query}\n".encode() + await request.body()).digest()


READ: Final = May(Scope.READ, Capability.VIEW)
READ_ALL: Final = May(Scope.READ)  # of an environment; customers see nothing of it
MANAGE_ENDPOINT: Final = May(Scope.MANAGE, Capability.MANAGE_ENDPOINT)
MANAGE: Final = May(Scope.MANAGE)
PUBLISH: Final = May(Scope.PUBLISH)
SEE_SECRET: Final = May(Scope.ACCESS, Capability.VIEW_SECRET)
ROTATE_SECRET: Final = May(Scope.ACCESS, Capability.MANAGE_SECRET)
SEND_AGAIN: Final = May(Scope.MANAGE, Capability.CREATE_ATTEMPTS)
ACCESS: Final = May(Scope.ACCESS)
ANYBODY: Final = May(None, Capability.VIEW)  # with a credential
