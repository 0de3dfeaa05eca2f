"""The stored catalog: what the application declares, and what comes from the API, side by side."""

from __future__ import annotations

import asyncio

import pytest

from anzol.errors import Conflict, NotFound
from anzol.lifecycle import Validation
from anzol.model import EventTypeCard
from anzol.storage.books import EventTypeChanges
from tests.contract.conftest import ENVIRONMENT, Scene

PAID = ("invoice.paid", "An invoice was paid", {"type": "object"})
VOID = ("invoice.void", "An invoice was taken back", {"type": "object"})


async def create(scene: Scene, name: str, **fields: object) -> EventTypeCard:
    return await scene.storage.create_event_type(ENVIRONMENT, name, EventTypeChanges(**fields))  # type: ignore[arg-type] # as a test gives them


async def put(scene: Scene, name: str, *, make: bool = False, **fields: object) -> tuple[EventTypeCard, bool]:
    changes = EventTypeChanges(**fields)  # type: ignore[arg-type] # as a test gives them
    return await scene.storage.put_event_type(ENVIRONMENT, name, changes, make=make)


async def get(scene: Scene, name: str) -> EventTypeCard:
    return await scene.storage.event_type(ENVIRONMENT, name)


async def names(scene: Scene, **how: object) -> list[str]:
    page = await scene.storage.event_types(ENVIRONMENT, **how)  # type: ignore[arg-type] # as a test gives them
    return [card.name for card in page.items]


async def actions(scene: Scene) -> list[tuple[str, str]]:
    page = await scene.storage.audits(ENVIRONMENT, oldest_first=True, limit=100)
    return [(entry.action, entry.object_id) for entry in page.items]


# --- what is declared


async def test_a_declared_event_type_has_its_schema_as_version_one(scene: Scene) -> None:
    await scene.storage.sync_event_types(ENVIRONMENT, [PAID])

    card = await get(scene, "invoice.paid")
    assert card.declared
    assert card.description == "An invoice was paid"
    assert card.schemas == {"1": {"type": "object"}}
    assert not card.archived


async def test_what_is_declared_no_more_stays_and_is_not_declared(scene: Scene) -> None:
    await scene.storage.sync_event_types(ENVIRONMENT, [PAID, VOID])
    await create(scene, "user.left", description="From the API")
    scene.later(5)

    await scene.storage.sync_event_types(ENVIRONMENT, [PAID])

    assert [(await get(scene, name)).declared for name in ("invoice.paid", "invoice.void", "user.left")] == [
        True,
        False,
        False,
    ]
    gone, kept = await get(scene, "invoice.void"), await get(scene, "invoice.paid")
    assert gone.updated_at > gone.created_at
    assert kept.updated_at == kept.created_at


async def test_nothing_declared_leaves_nothing_declared(scene: Scene) -> None:
    await scene.storage.sync_event_types(ENVIRONMENT, [PAID])
    await scene.storage.sync_event_types("staging", [PAID])

    await scene.storage.sync_event_types(ENVIRONMENT, [])

    assert not (await get(scene, "invoice.paid")).declared
    assert (await scene.storage.event_type("staging", "invoice.paid")).declared


async def test_the_same_catalog_again_writes_nothing(scene: Scene) -> None:
    await scene.storage.sync_event_types(ENVIRONMENT, [PAID, VOID])
    before = await get(scene, "invoice.paid")
    scene.later(5)

    await scene.storage.sync_event_types(ENVIRONMENT, [VOID, PAID])

    assert await get(scene, "invoice.paid") == before
    assert await actions(scene) == [("event_type.created", "invoice.paid"), ("event_type.created", "invoice.void")]


async def test_what_is_declared_takes_over_one_from_the_api_and_keeps_what_the_code_does_not_say(scene: Scene) -> None:
    await create(scene, "invoice.paid", description="Else", group_name="billing", feature_flags=("beta",))

    await scene.storage.sync_event_types(ENVIRONMENT, [PAID])

    card = await get(scene, "invoice.paid")
    assert (card.declared, card.description, card.group_name) == (True, "An invoice was paid", "billing")
    assert card.feature_flags == ("beta",)


# --- what comes from the API


async def test_an_event_type_is_made_with_what_is_given_and_else_empty(scene: Scene) -> None:
    card = await create(scene, "user.left", description="Gone", feature_flags=("a", "b"), validation=Validation.WARN)

    assert card == await get(scene, "user.left")
    assert (card.description, card.feature_flags, card.validation) == ("Gone", ("a", "b"), Validation.WARN)
    assert (card.schemas, card.group_name, card.archived, card.deprecated) == (None, None, False, False)
    assert not card.declared
    assert card.created_at == card.updated_at


async def test_a_name_is_taken_once(scene: Scene) -> None:
    await create(scene, "user.left", description="First")

    with pytest.raises(Conflict, match=r"user\.left"):
        await create(scene, "user.left", description="Second")

    assert (await get(scene, "user.left")).description == "First"


async def test_of_two_made_at_once_one_conflicts(scene: Scene) -> None:
    results = await asyncio.gather(
        *(create(scene, "user.left", description=f"{number}") for number in range(4)), return_exceptions=True
    )

    assert sorted(isinstance(result, Conflict) for result in results) == [False, True, True, True]


async def test_one_that_is_archived_is_brought_back(scene: Scene) -> None:
    await create(scene, "user.left", description="Gone", group_name="users")
    await scene.storage.delete_event_type(ENVIRONMENT, "user.left", expunge=False)
    assert (await get(scene, "user.left")).archived

    card = await create(scene, "user.left", description="Back")

    assert (card.archived, card.description, card.group_name) == (False, "Back", "users")


async def test_putting_makes_or_changes_and_says_which(scene: Scene) -> None:
    first, made = await put(scene, "user.left", make=True, description="Gone", schemas={"1": {"type": "string"}})
    scene.later(5)
    second, again = await put(scene, "user.left", make=True, deprecated=True)

    assert (made, again) == (True, False)
    assert first.schemas == second.schemas == {"1": {"type": "string"}}
    assert (second.description, second.deprecated) == ("Gone", True)
    assert second.updated_at > first.updated_at


async def test_changing_one_that_is_not_there_is_refused(scene: Scene) -> None:
    with pytest.raises(NotFound, match=r"user\.left"):
        await put(scene, "user.left", description="Gone")
    with pytest.raises(NotFound):
        await get(scene, "user.left")


async def test_nothing_changed_is_not_written(scene: Scene) -> None:
    before = await create(scene, "user.left", schemas={"1": {"a": 1, "b": [True]}})
    scene.later(5)

    card, _ = await put(scene, "user.left", schemas={"1": {"b": [True], "a": 1}}, description="")

    assert card == before
    assert await actions(scene) == [("event_type.created", "user.left")]


async def test_schemas_can_be_taken_away(scene: Scene) -> None:
    await create(scene, "user.left", schemas={"1": {}})

    card, _ = await put(scene, "user.left", schemas=None)

    assert card.schemas is None


async def test_of_a_declared_one_the_code_says_description_and_schemas(scene: Scene) -> None:
    await scene.storage.sync_event_types(ENVIRONMENT, [PAID])

    with pytest.raises(Conflict, match="declared"):
        await put(scene, "invoice.paid", description="Else")
    with pytest.raises(Conflict, match="declared"):
        await put(scene, "invoice.paid", schemas=None)
    card, _ = await put(scene, "invoice.paid", description="An invoice was paid", validation=Validation.OFF)

    assert (card.description, card.validation) == ("An invoice was paid", Validation.OFF)


async def test_a_declared_one_is_not_removed(scene: Scene) -> None:
    await scene.storage.sync_event_types(ENVIRONMENT, [PAID])

    for expunge in (False, True):
        with pytest.raises(Conflict, match="declared"):
            await scene.storage.delete_event_type(ENVIRONMENT, "invoice.paid", expunge=expunge)

    assert not (await get(scene, "invoice.paid")).archived


async def test_an_archived_one_is_listed_on_request_and_an_expunged_one_is_gone(scene: Scene) -> None:
    for name in ("a", "b", "c"):
        await create(scene, name)
    await scene.storage.delete_event_type(ENVIRONMENT, "a", expunge=False)
    await scene.storage.delete_event_type(ENVIRONMENT, "b", expunge=True)

    assert await names(scene) == ["c"]
    assert await names(scene, archived=True) == ["c", "a"]
    with pytest.raises(NotFound):
        await scene.storage.delete_event_type(ENVIRONMENT, "b", expunge=False)


# --- lists


async def test_a_list_goes_by_name_either_way(scene: Scene) -> None:
    for name in ("b.b", "a", "B", "b_a", "c"):
        await create(scene, name)
    await scene.storage.create_event_type("staging", "other", EventTypeChanges())

    first = await scene.storage.event_types(ENVIRONMENT, limit=2)
    second = await scene.storage.event_types(ENVIRONMENT, limit=2, after=first.next)
    third = await scene.storage.event_types(ENVIRONMENT, limit=2, after=second.next)
    back = await scene.storage.event_types(ENVIRONMENT, limit=2, after=third.first, oldest_first=True)

    assert [card.name for page in (first, second, third) for card in page.items] == ["c", "b_a", "b.b", "a", "B"]
    assert [card.name for card in back.items] == ["a", "b.b"]
    assert (first.first, first.last, third.next) == ("c", "b_a", None)
    assert await names(scene, oldest_first=True) == ["B", "a", "b.b", "b_a", "c"]


async def test_an_empty_list_has_no_cursors(scene: Scene) -> None:
    page = await scene.storage.event_types("unknown")

    assert (page.items, page.next, page.first, page.last) == ((), None, None, None)
