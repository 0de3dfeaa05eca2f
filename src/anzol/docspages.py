"""The documentation pages from Anzol's own assets: `/docs` and `/redoc` without internet, and a page of the webhooks.

FastAPI's pages load Swagger UI and ReDoc from a CDN and start them with inline scripts. These are the same pages with
the same settings, from this package, under a policy that lets nothing else in.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from hashlib import sha256
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.openapi.docs import swagger_ui_default_parameters
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route, request_response

from anzol.declarations import Source, fingerprint, webhook_routes
from anzol.openapi import webhooks_document
from anzol.retry import DEFAULT_SCHEDULE

ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
    "oauth2-redirect.js": "text/javascript",
    "start.js": "text/javascript",
    "favicon.png": "image/png",
}
SCRIPTS = {"swagger": "swagger-ui-bundle.js", "redoc": "redoc.standalone.js"}
FOREVER = "public, max-age=31536000, immutable"

# Requests may go to other servers: "Try it out" asks those that the document names. Scripts come from here alone.
SWAGGER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: https:; "
    "font-src 'self' data:; connect-src 'self' http: https:; base-uri 'none'; form-action 'self'"
)
# ReDoc asks for its maker's logo at its maker's server; that is not let through.
REDOC_POLICY = SWAGGER_POLICY.replace("data: https:", "data:") + "; worker-src 'self' blob:"
# The public page asks for nothing but its own document.
PUBLIC_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" type="image/png" href="{assets}/favicon.png">
<link rel="stylesheet" href="{assets}/swagger-ui.css">
</head>
<body>
<noscript>This page is drawn by JavaScript. The document itself: <a href="{url}">{url}</a></noscript>
<div id="swagger-ui" data-settings="{settings}"></div>
<script src="{assets}/{script}"></script>
<script src="{assets}/start.js"></script>
</body>
</html>
"""
REDIRECT = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Swagger UI: OAuth2 redirect</title></head>
<body><script src="{assets}/oauth2-redirect.js"></script></body>
</html>
"""


@cache
def content(name: str) -> bytes:
    """Read an asset from the package."""
    return (files("anzol") / "static" / "docs" / name).read_bytes()


@cache
def compressed(name: str) -> bytes:
    """Return an asset for those who take gzip, which is a quarter of it."""
    return gzip.compress(content(name), 6, mtime=0)


@cache
def asset_version() -> str:
    """Return what changes whenever an asset does; part of their address, so that they may be cached forever."""
    digest = sha256()
    for name in sorted(ASSETS):
        digest.update(content(name))
    return digest.hexdigest()[:12]


async def send_asset(request: Request) -> Response:
    """Answer with an asset."""
    name = request.path_params["name"]
    if name not in ASSETS or request.path_params["version"] != asset_version():
        return Response("Not found", status_code=404, media_type="text/plain")
    headers = {"cache-control": FOREVER, "vary": "accept-encoding", "x-content-type-options": "nosniff"}
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["content-encoding"] = "gzip"
        return Response(compressed(name), media_type=ASSETS[name], headers=headers)
    return Response(content(name), media_type=ASSETS[name], headers=headers)


def page(title: str, assets: str, policy: str, settings: dict[str, Any]) -> HTMLResponse:
    """Return a page that starts a documentation tool with *settings*; ``assets`` is the address of their folder."""
    filled = PAGE.format(
        title=escape(title),
        assets=escape(assets),
        script=SCRIPTS[settings["tool"]],
        url=escape(settings["url"]),
        settings=escape(json.dumps(jsonable_encoder(settings))),
    )
    return html(filled, policy)


def html(filled: str, policy: str) -> HTMLResponse:
    """Return a page under a policy; never out of a cache, since it names the assets' version."""
    headers = {
        "content-security-policy": policy,
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    return HTMLResponse(filled, headers=headers)


def serve_docs(app: FastAPI) -> None:
    """Serve the application's documentation pages from Anzol's assets: those that it has, where it has them.

    ``docs_url``, ``redoc_url``, ``openapi_url``, ``swagger_ui_parameters`` and so on count as ever; what is None stays
    off, and a page that the application made itself stays its own. May be called again.
    """
    if app.openapi_url is None:
        return
    pages: list[tuple[str | None, Callable[[FastAPI, str], Response]]] = [
        (app.docs_url, swagger_page),
        (app.redoc_url, redoc_page),
        (app.swagger_ui_oauth2_redirect_url if app.docs_url else None, redirect_page),
    ]
    replaced = [take_over(app, path, make) for path, make in pages if path is not None]
    if any(replaced):
        app.router.routes.insert(0, Route(f"{assets_path(app)}/{{version}}/{{name}}", send_asset, name="anzol_docs"))


def take_over(app: FastAPI, path: str, make: Callable[[FastAPI, str], Response]) -> bool:
    """Answer in place of the page that FastAPI registered at *path*: a route added later would never be asked."""

    async def answer(request: Request) -> Response:
        return make(app, request.scope.get("root_path", "").rstrip("/"))

    for route in app.router.routes:
        if getattr(route, "path", None) == path and isinstance(route, Route) and is_fastapis(route.endpoint):
            route.endpoint = answer
            route.app = request_response(answer)
            return True
    return False


def is_fastapis(endpoint: Any) -> bool:
    """Say whether FastAPI itself registered this endpoint."""
    return getattr(endpoint, "__module__", "") == "fastapi.applications"


def assets_path(app: FastAPI) -> str:
    """Return the path of the assets in the application: beneath its first page."""
    return f"{(app.docs_url or app.redoc_url or '').rstrip('/')}/anzol-assets"


def assets_address(app: FastAPI, root: str) -> str:
    """Return the address of the assets for a browser."""
    return f"{root}{assets_path(app)}/{asset_version()}"


def swagger_page(app: FastAPI, root: str) -> Response:
    """Return the application's Swagger UI, set up as FastAPI would."""
    redirect = app.swagger_ui_oauth2_redirect_url
    settings = {
        "tool": "swagger",
        "url": f"{root}{app.openapi_url}",
        "parameters": {"validatorUrl": None, **swagger_ui_default_parameters, **(app.swagger_ui_parameters or {})},
        "oauth2RedirectUrl": f"{root}{redirect}" if redirect else None,
        "oauth": app.swagger_ui_init_oauth,
    }
    return page(f"{app.title} - Swagger UI", assets_address(app, root), SWAGGER_POLICY, settings)


def redoc_page(app: FastAPI, root: str) -> Response:
    """Return the application's ReDoc."""
    settings = {"tool": "redoc", "url": f"{root}{app.openapi_url}"}
    return page(f"{app.title} - ReDoc", assets_address(app, root), REDOC_POLICY, settings)


def redirect_page(app: FastAPI, root: str) -> Response:
    """Return the page to which an OAuth2 server sends the browser back."""
    return html(REDIRECT.format(assets=escape(assets_address(app, root))), PUBLIC_POLICY)


def webhooks_page(
    source: Source | Callable[[], Source], *, schedule: Sequence[timedelta] = DEFAULT_SCHEDULE, **about: Any
) -> APIRouter:
    """Return a router with a public page of the webhooks alone, for those who are to receive them.

    Include it with a prefix of your own: ``app.include_router(webhooks_page(app), prefix="/webhooks")``. The page is
    at ``<prefix>/``, its OpenAPI document at ``<prefix>/openapi.json``. Neither shows any path of the application.

    Args:
        source: An application or a router, or a function that returns it.
        about: As for `anzol.openapi.webhooks_document`: ``title``, ``version``, ``description``, ``contact``.
    """
    router = APIRouter(include_in_schema=False)
    kept: dict[tuple[int, ...], bytes] = {}

    def document() -> bytes:
        declared = source if isinstance(source, FastAPI | APIRouter) else source()
        seen = fingerprint(webhook_routes(declared))
        if seen not in kept:
            kept.clear()
            kept[seen] = json.dumps(webhooks_document(declared, schedule=schedule, **about)).encode()
        return kept[seen]

    async def send_page() -> Response:
        title = str(json.loads(document())["info"]["title"])
        return page(title, f"anzol-assets/{asset_version()}", PUBLIC_POLICY, PUBLIC_SETTINGS)

    async def send_document() -> Response:
        headers = {"cache-control": "no-cache", "access-control-allow-origin": "*"}
        return Response(document(), media_type="application/json", headers=headers)

    router.add_api_route("/", send_page, methods=["GET"])
    router.add_api_route("/openapi.json", send_document, methods=["GET"])
    router.add_api_route("/anzol-assets/{version}/{name}", send_asset, methods=["GET"])
    return router


PUBLIC_SETTINGS: dict[str, Any] = {
    "tool": "swagger",
    "url": "openapi.json",
    "webhooksOnly": True,
    "parameters": {
        **swagger_ui_default_parameters,
        "supportedSubmitMethods": [],
        "validatorUrl": None,
        "defaultModelsExpandDepth": 0,
    },
}
