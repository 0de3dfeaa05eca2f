"""What many tests of the API do first."""

from __future__ import annotations

from typing import Any

from httpx import AsyncClient, Response

URL = "https://127.0.0.1:9/hook"


async def application(client: AsyncClient, uid: str = "acme") -> str:
    """Make an application; return the path of its endpoints."""
    answer = await client.post("/app", json={"name": uid, "uid": uid})
    assert answer.status_code == 201, answer.text
    return f"/app/{uid}/endpoint"


async def endpoint(client: AsyncClient, path: str, **given: Any) -> dict[str, Any]:
    """Register an endpoint."""
    return good(await client.post(path, json={"url": URL} | given), 201)


def good(answer: Response, status: int = 200) -> Any:
    """Return what an answer says, once it has the status."""
    assert answer.status_code == status, answer.text
    return answer.json()


def bad(answer: Response, status: int, code: str) -> Any:
    """Return the detail of a problem, once it is this one."""
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()["detail"]


def place(answer: Response) -> list[str | int]:
    """Return where the first fault of a 422 is."""
    where: list[str | int] = bad(answer, 422, "validation_error")[0]["loc"]
    return where


async def walked(client: AsyncClient, path: str, order: str | None = None, limit: int = 250) -> list[str]:
    """Go through all pages, then back to the first one; hold that both ways show the same. Return ids, or names."""
    ask = {"limit": str(limit)} | ({"order": order} if order else {})
    pages = [good(await client.get(path, params=ask))]
    while not pages[-1]["done"]:
        pages.append(good(await client.get(path, params=ask | {"iterator": pages[-1]["iterator"]})))
    back = [pages[-1]]
    while len(back) < len(pages):
        back.append(good(await client.get(path, params=ask | {"iterator": back[-1]["prevIterator"]})))
    assert [page["data"] for page in back[::-1]] == [page["data"] for page in pages]
    return [item.get("id") or item["name"] for page in pages for item in page["data"]]
