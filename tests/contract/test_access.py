"""Who may call the REST API: keys, revocations, one-time codes, and answers that are given again."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from datetime import datetime, timedelta

import pytest

from anzol.actors import acting
from anzol.clock import from_micros
from anzol.errors import Conflict, InvalidValue, NotFound
from anzol.model import ApiKey
from anzol.storage.books import Kept, NewApiKey, Revocation
from anzol.storage.face import Retention
from tests.contract.conftest import ENVIRONMENT, Scene, beside

HOUR = 3600
LEASE = timedelta(seconds=30)
SLOT, REQUEST, OTHER = b"s" * 32, b"r" * 32, b"o" * 32


def time(scene: Scene, seconds: float = 0) -> datetime:
    return from_micros(scene.now) + timedelta(seconds=seconds)


def digest() -> bytes:
    return os.urandom(32)


async def key(scene: Scene, name: str = "Billing", environment: str = ENVIRONMENT, **fields: object) -> ApiKey:
    known = {"digest": digest(), "name": name, "hint": "x9Qz", "scopes": ("read", "publish"), "created_by": "cli:ada"}
    return await scene.storage.create_api_key(environment, NewApiKey(**(known | fields)))  # type: ignore[arg-type]  # by name


async def cleaned(scene: Scene, limit: int = 100) -> list[int]:
    pieces = []
    while piece := await scene.storage.clean(Retention(), limit=limit):
        pieces.append(piece)
    return pieces


# --- environments ---------------------------------------------------------------------------------------------------


async def test_environments_are_those_that_something_is_in(scene: Scene) -> None:
    assert await scene.storage.environments() == []

    await scene.send(environment="sandbox")
    await scene.endpoint()
    await key(scene, environment="a key's")
    await key(scene, environment="a key's")

    assert await scene.storage.environments() == ["a key's", "production", "sandbox"]


# --- keys -----------------------------------------------------------------------------------------------------------


async def test_a_key_is_found_by_its_digest_whatever_its_environment(scene: Scene) -> None:
    mine = digest()
    expires = time(scene, HOUR)

    made = await key(scene, digest=mine, expires_at=expires)

    assert made.id.startswith("key_")
    assert (made.environment, made.name, made.hint) == (ENVIRONMENT, "Billing", "x9Qz")
    assert (made.scopes, made.created_by) == (("read", "publish"), "cli:ada")
    assert (made.created_at, made.expires_at) == (time(scene), expires)
    assert (made.revoked_at, made.used_at) == (None, None)
    assert await scene.storage.api_key(mine) == made
    assert await scene.storage.api_key(digest()) is None


async def test_there_are_no_two_keys_with_the_same_text(scene: Scene) -> None:
    mine = digest()
    await key(scene, digest=mine)

    with pytest.raises(Conflict):
        await key(scene, digest=mine, environment="sandbox")

    assert len((await scene.storage.api_keys("sandbox")).items) == 0


async def test_keys_are_listed_either_way_in_pages(scene: Scene) -> None:
    await key(scene, environment="sandbox")
    names = [(await key(scene, f"{number}")).name for number in range(5)]

    first = await scene.storage.api_keys(ENVIRONMENT, limit=2)
    second = await scene.storage.api_keys(ENVIRONMENT, limit=2, after=first.next)
    last = await scene.storage.api_keys(ENVIRONMENT, limit=2, after=second.next)
    back = await scene.storage.api_keys(ENVIRONMENT, limit=5, after=last.first, oldest_first=True)
    oldest = await scene.storage.api_keys(ENVIRONMENT, limit=3, oldest_first=True)

    shown = [[item.name for item in page.items] for page in (first, second, last, back, oldest)]
    assert shown == [["4", "3"], ["2", "1"], ["0"], names[1:], names[:3]]
    assert (first.next, second.next, last.next, back.next) == (first.last, second.last, None, None)
    assert None not in (first.first, last.first, last.last, oldest.next)
    assert (await scene.storage.api_keys("empty")).first is None


async def test_what_is_no_cursor_is_refused(scene: Scene) -> None:
    with pytest.raises(InvalidValue):
        await scene.storage.api_keys(ENVIRONMENT, after="x")


async def test_a_revoked_key_stays_in_the_list_revoked_since_the_first_time(scene: Scene) -> None:
    mine = digest()
    made = await key(scene, digest=mine)
    scene.later(1)
    at = time(scene)
    await scene.storage.revoke_api_key(ENVIRONMENT, made.id)
    scene.later(1)
    await scene.storage.revoke_api_key(ENVIRONMENT, made.id)

    (listed,) = (await scene.storage.api_keys(ENVIRONMENT)).items
    found = await scene.storage.api_key(mine)

    assert listed.revoked_at == at
    assert found == listed


@pytest.mark.parametrize("environment", ["sandbox", "never used"])
async def test_a_key_of_another_environment_is_not_there(scene: Scene, environment: str) -> None:
    await key(scene, environment="sandbox")
    made = await key(scene)

    for shown in (made.id, "key_" + "0" * 22, "no id"):
        with pytest.raises(NotFound):
            await scene.storage.revoke_api_key(environment, shown)

    assert (await scene.storage.api_keys(ENVIRONMENT)).items[0].revoked_at is None


async def test_the_last_use_of_keys_is_never_set_back(scene: Scene) -> None:
    one, other, unused = [await key(scene) for _ in range(3)]
    late, early = time(scene, 60), time(scene, 30)

    await scene.storage.note_api_keys({one.id: late, other.id: early})
    await scene.storage.note_api_keys({one.id: early, other.id: late, "key_" + "0" * 22: late})
    await scene.storage.note_api_keys({})

    used = {item.id: item.used_at for item in (await scene.storage.api_keys(ENVIRONMENT)).items}
    assert used == {one.id: late, other.id: late, unused.id: None}


async def test_who_made_and_revoked_a_key_is_written_down(scene: Scene) -> None:
    with acting("cli:ada"):
        made = await key(scene)
    with acting("key:Ops"):
        await scene.storage.revoke_api_key(ENVIRONMENT, made.id)

    entries = (await scene.storage.audits(ENVIRONMENT, oldest_first=True)).items

    told = [(entry.actor, entry.action, entry.object_id, entry.detail["name"]) for entry in entries]
    assert told == [
        ("cli:ada", "api-key.created", made.id, "Billing"),
        ("key:Ops", "api-key.revoked", made.id, "Billing"),
    ]


# --- revocations ----------------------------------------------------------------------------------------------------


async def test_revocations_are_found_by_their_subjects_in_their_environment(scene: Scene) -> None:
    now, soon, later = time(scene), time(scene, 60), time(scene, HOUR)
    times = {"issued_through": now, "effective_at": soon, "keep_until": later}
    await scene.storage.revoke(ENVIRONMENT, "token:aa", **times)
    await scene.storage.revoke(ENVIRONMENT, "token:bb", **times)
    await scene.storage.revoke("sandbox", "token:cc", **times)

    found = await scene.storage.revocations(ENVIRONMENT, ["token:aa", "token:cc", "token:dd"])

    assert list(found) == [Revocation("token:aa", now, soon)]
    assert list(await scene.storage.revocations(ENVIRONMENT, [])) == []
    assert list(await scene.storage.revocations("never used", ["token:aa"])) == []


async def test_a_subject_may_be_revoked_again_now_and_in_the_future(scene: Scene) -> None:
    shown = (await scene.storage.put_customer(ENVIRONMENT, "acme")).id
    subject, keep = f"customer:{shown}", time(scene, HOUR)

    async def revoke(issued: float, effective: float) -> None:
        times = {"issued_through": time(scene, issued), "effective_at": time(scene, effective)}
        await scene.storage.revoke(ENVIRONMENT, subject, **times, keep_until=keep)

    await revoke(0, 600)
    await revoke(0, 0)
    await revoke(10, 0)
    await revoke(5, 0)

    assert list(await scene.storage.revocations(ENVIRONMENT, [subject])) == [
        Revocation(subject, time(scene, 10), time(scene)),
        Revocation(subject, time(scene), time(scene, 600)),
    ]
    entries = (await scene.storage.audits(ENVIRONMENT, customer="acme", action="access.revoked")).items
    assert {entry.object_id for entry in entries} == {subject}


async def test_a_revocation_is_forgotten_after_its_time(scene: Scene) -> None:
    for number in range(5):
        times = {"issued_through": time(scene), "effective_at": time(scene), "keep_until": time(scene, HOUR + number)}
        await scene.storage.revoke(ENVIRONMENT, f"token:{number}", **times)
    subjects = [f"token:{number}" for number in range(5)]
    scene.later(HOUR + 3)

    found = await scene.storage.revocations(ENVIRONMENT, subjects)
    pieces = await cleaned(scene, limit=2)

    assert [one.subject for one in found] == subjects[3:]
    assert pieces == [2, 1]
    assert list(await scene.storage.revocations(ENVIRONMENT, subjects)) == list(found)


# --- codes ----------------------------------------------------------------------------------------------------------


async def test_a_code_is_taken_once(scene: Scene) -> None:
    code = digest()
    await scene.storage.add_portal_code(code, ENVIRONMENT, '{"sub":"app_x"}', expires_at=time(scene, 60))
    await scene.storage.add_portal_code(digest(), "sandbox", "{}", expires_at=time(scene, 60))

    taken = await scene.storage.take_portal_code(code)

    assert taken == (ENVIRONMENT, '{"sub":"app_x"}')
    for gone in (code, digest()):
        with pytest.raises(NotFound):
            await scene.storage.take_portal_code(gone)


async def test_of_many_who_take_a_code_at_once_one_has_it(scene: Scene) -> None:
    code = digest()
    await scene.storage.add_portal_code(code, ENVIRONMENT, "{}", expires_at=time(scene, 60))

    answers = await asyncio.gather(*(scene.storage.take_portal_code(code) for _ in range(20)), return_exceptions=True)

    assert Counter(type(answer) for answer in answers) == {tuple: 1, NotFound: 19}


async def test_of_two_processes_that_take_a_code_at_once_one_has_it(scene: Scene) -> None:
    codes = [digest() for _ in range(10)]
    for code in codes:
        await scene.storage.add_portal_code(code, ENVIRONMENT, "{}", expires_at=time(scene, 60))

    async with beside(scene) as there:
        answers = await asyncio.gather(
            *(one.storage.take_portal_code(code) for code in codes for one in (scene, there)), return_exceptions=True
        )

    assert Counter(type(answer) for answer in answers) == {tuple: 10, NotFound: 10}


async def test_a_code_that_has_expired_is_worth_nothing_and_goes(scene: Scene) -> None:
    codes = [digest() for _ in range(4)]
    for place, code in enumerate(codes):
        await scene.storage.add_portal_code(code, ENVIRONMENT, "{}", expires_at=time(scene, 60 + place))
    scene.later(62)

    with pytest.raises(NotFound):
        await scene.storage.take_portal_code(codes[2])

    assert await cleaned(scene, limit=2) == [2, 1]
    assert await scene.storage.take_portal_code(codes[3]) == (ENVIRONMENT, "{}")


# --- answers --------------------------------------------------------------------------------------------------------


async def begin(scene: Scene, request: bytes = REQUEST, slot: bytes = SLOT) -> Kept | None:
    return await scene.storage.begin_request(slot, request, lease=LEASE)


async def test_of_many_who_begin_a_request_at_once_one_makes_it(scene: Scene) -> None:
    begun = await asyncio.gather(*(begin(scene) for _ in range(20)))

    assert Counter(kept is None for kept in begun) == {True: 1, False: 19}
    assert {kept for kept in begun if kept is not None} == {Kept(same=True, status=None, body=None)}


async def test_of_two_processes_that_begin_a_request_at_once_one_makes_it(scene: Scene) -> None:
    async with beside(scene) as there:
        for number in range(10):
            slot = bytes([number]) * 32
            begun = await asyncio.gather(begin(scene, slot=slot), begin(there, slot=slot))
            assert sorted(kept is None for kept in begun) == [False, True]


async def test_slots_are_of_one_request_each(scene: Scene) -> None:
    assert await begin(scene) is None
    assert await begin(scene, slot=b"t" * 32) is None
    assert await begin(scene, OTHER) == Kept(same=False, status=None, body=None)


async def test_an_answer_is_given_again_for_12_hours(scene: Scene) -> None:
    await begin(scene)
    scene.later(20)
    await scene.storage.keep_answer(SLOT, 201, b'{"id":"\x00"}')
    scene.later(12 * HOUR - 1)

    kept, other = await begin(scene), await begin(scene, OTHER)
    scene.later(1)

    assert kept == Kept(same=True, status=201, body=b'{"id":"\x00"}')
    assert other == Kept(same=False, status=201, body=b'{"id":"\x00"}')
    assert await begin(scene, OTHER) is None
    assert await begin(scene) == Kept(same=False, status=None, body=None)


async def test_a_claim_whose_lease_has_ended_is_taken_over_by_one(scene: Scene) -> None:
    await begin(scene)
    scene.later(LEASE.total_seconds() - 1)
    assert await begin(scene) is not None
    scene.later(1)

    begun = await asyncio.gather(*(begin(scene, OTHER) for _ in range(20)))

    assert Counter(kept is None for kept in begun) == {True: 1, False: 19}
    assert {kept for kept in begun if kept is not None} == {Kept(same=True, status=None, body=None)}


async def test_a_request_that_did_not_succeed_frees_its_slot(scene: Scene) -> None:
    await begin(scene)
    await scene.storage.drop_request(SLOT)

    assert await begin(scene, OTHER) is None


async def test_an_answer_that_is_kept_is_neither_dropped_nor_changed_by_who_comes_late(scene: Scene) -> None:
    await begin(scene)
    await scene.storage.keep_answer(SLOT, 200, b"first")

    await scene.storage.keep_answer(SLOT, 202, b"late")
    await scene.storage.drop_request(SLOT)

    assert await begin(scene) == Kept(same=True, status=200, body=b"first")


async def test_an_answer_of_a_request_that_nobody_began_is_not_kept(scene: Scene) -> None:
    await scene.storage.keep_answer(SLOT, 200, b"")

    assert await begin(scene) is None


async def test_old_answers_are_cleaned_away(scene: Scene) -> None:
    for number in range(5):
        slot = bytes([number]) * 32
        await begin(scene, slot=slot)
        await scene.storage.keep_answer(slot, 200, b"")
        scene.later(1)
    scene.later(12 * HOUR - 3)

    assert await cleaned(scene, limit=2) == [2, 1]
    assert await begin(scene, slot=bytes([3]) * 32) == Kept(same=True, status=200, body=b"")
