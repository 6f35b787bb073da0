"""What every store owes to the records of providers, asked of each of them in the same words."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conformance.stores_under_test import OPENERS, at, new_record
from hodei.adapters.postgres import PostgresStore
from hodei.domain.providers.record import ProviderMode
from hodei.ports.stores import Store


@pytest.fixture(params=[*OPENERS, "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    if request.param == "postgres":
        opened = await PostgresStore.open(request.getfixturevalue("postgres_url"))
    else:
        opened = await OPENERS[request.param](tmp_path)
    yield opened
    await opened.close()


async def test_what_is_put_is_there_with_every_field(store: Store):
    record = new_record("gpu-box", mode=ProviderMode.DISABLED, is_builtin=True)

    assert await store.put_provider(record)

    assert await store.provider_records() == [record]


async def test_records_come_by_name(store: Store):
    for name in ("b", "a", "B"):
        assert await store.put_provider(new_record(name))

    assert [each.name for each in await store.provider_records()] == ["B", "a", "b"]


async def test_a_change_takes_the_place_of_the_version_before_it(store: Store):
    record = new_record("a")
    assert await store.put_provider(record)

    changed = record.changed(at(1), priority=9)
    assert await store.put_provider(changed)

    assert await store.provider_records() == [changed]
    assert (changed.version, changed.created_at, changed.updated_at) == (2, at(0), at(1))


async def test_a_name_that_is_taken_stays_with_whoever_has_it(store: Store):
    record = new_record("a")
    assert await store.put_provider(record)

    assert not await store.put_provider(new_record("a", priority=1))

    assert await store.provider_records() == [record]


async def test_of_two_changes_of_one_version_one_counts(store: Store):
    record = new_record("a")
    assert await store.put_provider(record)
    changes = [record.changed(at(1), priority=priority) for priority in range(5)]

    async with asyncio.TaskGroup() as group:
        puts = [group.create_task(store.put_provider(each)) for each in changes]

    taken = [each for each, put in zip(changes, puts, strict=True) if put.result()]
    assert await store.provider_records() == taken
    assert len(taken) == 1


async def test_a_change_does_not_bring_back_what_was_removed(store: Store):
    record = new_record("a")
    assert await store.put_provider(record)
    assert await store.remove_provider(record.name, version=1)

    assert not await store.put_provider(record.changed(at(1), priority=1))

    assert await store.provider_records() == []


async def test_only_the_version_that_was_seen_is_removed(store: Store):
    record = new_record("a")
    assert await store.put_provider(record)
    assert await store.put_provider(record.changed(at(1)))

    assert not await store.remove_provider(record.name, version=1)
    assert len(await store.provider_records()) == 1
    assert await store.remove_provider(record.name, version=2)
    assert not await store.remove_provider(record.name, version=2)


async def test_a_removed_name_may_be_used_again(store: Store):
    record = new_record("a")
    assert await store.put_provider(record)
    assert await store.remove_provider(record.name, version=1)

    assert await store.put_provider(record)
