"""Applications through the API."""

from __future__ import annotations

import pytest
from httpx import AsyncClient

from tests.api.acting import walked
from tests.api.conftest import Service

pytestmark = pytest.mark.asyncio


async def make(client: AsyncClient, **given: object) -> dict[str, object]:
    answer = await client.post("/app", json={"name": "Acme"} | given)
    assert answer.status_code == 201, answer.text
    made: dict[str, object] = answer.json()
    return made


async def test_health_asks_nobody_who_he_is(service: Service) -> None:
    async with service.client(None) as client:
        answer = await client.get("/health")

    assert answer.status_code == 204


async def test_without_a_credential_there_is_nothing_to_see(service: Service) -> None:
    async with service.client(None) as client:
        answer = await client.get("/app")

    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")


async def test_an_application_is_found_by_its_id_and_by_its_uid(service: Service) -> None:
    async with service.client() as client:
        made = await make(client, uid="acme", throttleRate=5, metadata={"plan": "gold"})
        by_id = (await client.get(f"/app/{made['id']}")).json()
        by_uid = (await client.get("/app/acme")).json()

    assert made == by_id == by_uid
    assert {name: made[name] for name in ("uid", "name", "throttleRate", "rateLimit", "metadata")} == {
        "uid": "acme",
        "name": "Acme",
        "throttleRate": 5,
        "rateLimit": 5,
        "metadata": {"plan": "gold"},
    }


async def test_an_application_without_a_uid_has_none(service: Service) -> None:
    async with service.client() as client:
        first, second = await make(client), await make(client)
        answer = await client.get(f"/app/{first['id']}")

    assert (first["uid"], second["uid"], answer.json()["uid"]) == (None, None, None)
    assert first["id"] != second["id"]


async def test_a_uid_is_used_once_unless_the_one_that_is_there_is_asked_for(service: Service) -> None:
    async with service.client() as client:
        made = await make(client, uid="acme")
        again = await client.post("/app", json={"name": "Other", "uid": "acme"})
        found = await client.post("/app", params={"get_if_exists": True}, json={"name": "Other", "uid": "acme"})

    assert (again.status_code, again.json()["code"]) == (409, "conflict")
    assert (found.status_code, found.json()) == (200, made)


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({}, ["body", "name"]),
        ({"name": None}, ["body", "name"]),
        ({"name": "x" * 257}, ["body", "name"]),
        ({"name": "a\0b"}, ["body", "name"]),
        ({"name": "A", "uid": ""}, ["body", "uid"]),
        ({"name": "A", "uid": "a b"}, ["body", "uid"]),
        ({"name": "A", "uid": "x" * 257}, ["body", "uid"]),
        ({"name": "A", "uid": "app_1"}, ["body", "uid"]),
        ({"name": "A", "uid": "~operational"}, ["body", "uid"]),
        ({"name": "A", "throttleRate": 0}, ["body", "throttleRate"]),
        ({"name": "A", "throttleRate": "many"}, ["body", "throttleRate"]),
        ({"name": "A", "metadata": {"a": 1}}, ["body", "metadata", "a"]),
        ({"name": "A", "metadata": {str(n): "" for n in range(51)}}, ["body", "metadata"]),
    ],
)
async def test_what_does_not_fit_is_refused_with_its_place(
    service: Service, given: dict[str, object], place: list[str]
) -> None:
    async with service.client() as client:
        made, put = await client.post("/app", json=given), await client.put("/app/acme", json=given)

    for answer in (made, put):
        assert (answer.status_code, answer.json()["code"]) == (422, "validation_error")
        assert answer.json()["detail"][0]["loc"] == place


async def test_put_makes_an_application_under_the_uid_in_the_path_and_then_sets_all_of_it(service: Service) -> None:
    async with service.client() as client:
        made = await client.put("/app/acme", json={"name": "Acme", "throttleRate": 3, "metadata": {"a": "b"}})
        changed = await client.put("/app/acme", json={"name": "Acme Corp"})

    assert (made.status_code, made.json()["uid"], made.json()["throttleRate"]) == (201, "acme", 3)
    assert (changed.status_code, changed.json()["id"]) == (200, made.json()["id"])
    assert {name: changed.json()[name] for name in ("uid", "name", "throttleRate", "metadata")} == {
        "uid": "acme",
        "name": "Acme Corp",
        "throttleRate": None,
        "metadata": {},
    }


async def test_put_with_another_uid_renames(service: Service) -> None:
    async with service.client() as client:
        made = await make(client, uid="acme")
        await make(client, uid="taken")
        renamed = await client.put("/app/acme", json={"name": "Acme", "uid": "acme-2"})
        gone = await client.get("/app/acme")
        conflict = await client.put("/app/acme-2", json={"name": "Acme", "uid": "taken"})
        unnamed = await client.put(f"/app/{made['id']}", json={"name": "Acme", "uid": None})

    assert (renamed.status_code, renamed.json()["id"], renamed.json()["uid"]) == (200, made["id"], "acme-2")
    assert gone.status_code == 404
    assert (conflict.status_code, conflict.json()["code"]) == (409, "conflict")
    assert (unnamed.json()["id"], unnamed.json()["uid"]) == (made["id"], None)


async def test_put_makes_nothing_under_an_id_that_is_not_there_or_no_uid(service: Service) -> None:
    async with service.client() as client:
        unknown = await client.put("/app/app_0000000000000000000001", json={"name": "A"})
        crooked = await client.put("/app/a%20b", json={"name": "A"})
        operational = await client.put("/app/~operational", json={"name": "A"})

    assert unknown.status_code == 404
    assert (crooked.status_code, crooked.json()["detail"][0]["loc"]) == (422, ["path", "app_id"])
    assert operational.status_code == 422


async def test_patch_leaves_what_is_not_given_takes_away_what_is_null_and_sets_the_rest(service: Service) -> None:
    async with service.client() as client:
        await make(client, uid="acme", throttleRate=5, metadata={"a": "b"})
        nothing = (await client.patch("/app/acme", json={})).json()
        older = (await client.patch("/app/acme", json={"rateLimit": 7})).json()
        nulls = (await client.patch("/app/acme", json={"throttleRate": None, "metadata": None})).json()
        values = (await client.patch("/app/acme", json={"name": "B", "uid": "b", "metadata": {"c": "d"}})).json()
        unnamed = (await client.patch("/app/b", json={"uid": None})).json()

    assert (nothing["name"], nothing["throttleRate"], nothing["metadata"]) == ("Acme", 5, {"a": "b"})
    assert (older["throttleRate"], older["metadata"]) == (7, {"a": "b"})
    assert (nulls["throttleRate"], nulls["metadata"], nulls["uid"]) == (None, {}, "acme")
    assert (values["name"], values["uid"], values["metadata"]) == ("B", "b", {"c": "d"})
    assert (unnamed["uid"], unnamed["name"], unnamed["id"]) == (None, "B", values["id"])


async def test_a_name_cannot_be_taken_away(service: Service) -> None:
    async with service.client() as client:
        await make(client, uid="acme")
        answer = await client.patch("/app/acme", json={"name": None})

    assert answer.status_code == 422


async def test_a_deleted_application_is_gone(service: Service) -> None:
    async with service.client() as client:
        await make(client, uid="acme")
        deleted = await client.delete("/app/acme")
        answers = [await client.request(method, "/app/acme") for method in ("GET", "DELETE")]
        patched = await client.patch("/app/acme", json={})

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert [answer.status_code for answer in (*answers, patched)] == [404, 404, 404]


async def test_the_application_of_operational_endpoints_is_not_to_be_seen(service: Service) -> None:
    async with service.client() as client:
        await client.post("/operational-webhook/endpoint", json={"url": "https://example.com/"})
        listed = (await client.get("/app")).json()["data"]
        found = await client.get("/app/~operational")

    assert (listed, found.status_code) == ([], 404)


async def test_six_hundred_applications_are_listed_page_by_page_both_ways(service: Service) -> None:
    async with service.client() as client:
        made = [(await make(client, uid=f"customer-{number:03}"))["id"] for number in range(600)]
        for order, wanted in (("ascending", made), ("descending", made[::-1])):
            assert await walked(client, "/app", order) == wanted


async def test_an_application_sees_itself_alone(service: Service) -> None:
    async with service.client() as client:
        mine, other = await make(client, uid="mine"), await make(client, uid="other")
    async with service.client(service.customer_token(str(mine["id"]))) as client:
        seen = [(await client.get(f"/app/{name}")).status_code for name in (mine["id"], "mine", other["id"], "other")]
        refused = [
            await client.get("/app"),
            await client.post("/app", json={"name": "A"}),
            await client.put("/app/mine", json={"name": "A"}),
            await client.patch("/app/mine", json={"name": "A"}),
            await client.delete("/app/mine"),
        ]

    assert seen == [200, 200, 404, 404]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(403, "insufficient_access")] * 5
