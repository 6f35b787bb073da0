"""What the store in memory adds to the conformance suite."""

from dataclasses import replace

import pytest

from conformance.stores_under_test import NOON, at, new_job, new_worker, put_worker
from hodei.adapters.memory import MemoryStore
from hodei.kernel.errors import BrokenError
from hodei.kernel.ids import BEFORE_THE_FIRST
from hodei.ports.stores import Batch


async def test_a_job_that_is_not_what_its_events_lead_to_is_refused():
    store = MemoryStore()
    write = new_job("a")
    forged = replace(write, after=replace(write.after, queued_by="somebody else"))

    with pytest.raises(BrokenError, match=r"job:a is not what .* differs in \['queued_by'\]"):
        await store.commit(Batch(at=NOON, jobs=(new_job("b"), forged)))

    assert await store.last_position() == BEFORE_THE_FIRST


async def test_a_batch_of_another_time_than_its_states_is_refused():
    store = MemoryStore()
    worker = await put_worker(store, new_worker("w-1"))

    with pytest.raises(BrokenError, match="differs in"):
        await store.commit(Batch(at=at(1), workers=(new_worker("w-2"),)))

    assert await store.living_workers() == [worker]
