"""What every store of the saga engine owes, asked of each of them in the same words."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from conformance.durable_stores_under_test import (
    FUTURE,
    NOON,
    OPENERS,
    PAST,
    R1,
    R2,
    SHARD,
    A,
    B,
    at,
    attempt,
    delivery,
    event,
    evolved,
    run_row,
    task,
    timer,
    write,
)
from hodei.kernel.errors import BrokenError, InvalidFieldsError
from hodei.ports.durable import (
    Committed,
    DurableStore,
    Fence,
    Fenced,
    Moved,
    NotOpen,
    RunFilter,
    Taken,
    TaskWrite,
    TimerFiring,
    Unread,
)
from hodei.ports.durable_rows import (
    DeliveryKind,
    OutboxRow,
    Parked,
    ParkReason,
    Payload,
    RunId,
    RunStatus,
    ShardId,
    TaskState,
)
from hodei.ports.stores import StoreUnavailableError


@pytest.fixture(params=OPENERS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[DurableStore]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgres" else ""
    async with OPENERS[request.param](tmp_path, url) as opened:
        yield opened
        await opened.close()


async def test_a_run_is_read_as_it_was_written(store: DurableStore):
    plain = run_row()
    parked = run_row(
        R2,
        status=RunStatus.COMPENSATING,
        parked=Parked(reason=ParkReason.CRASHED, message="three times \u2603", since=NOON),
        runnable_at=None,
        request_id="r-1",
        local_pending=True,
        outcome=b"\x00\xff",
        closed_at=at(9),
    )
    await write(store, new_runs=(plain, parked))

    assert await store.load_run(R1) == plain
    assert await store.load_run(R2) == parked
    assert await store.load_run(RunId("nobody")) is None


async def test_history_is_read_in_order_and_in_pages(store: DurableStore):
    rows = [event(1), event(2, command_id=7, kind="Other", data=b""), event(3), event(4)]
    await write(store, new_runs=(run_row(),), history=tuple(rows[:2]))
    await write(store, history=tuple(rows[2:]))

    assert await store.read_history(R1, after_seq=0) == rows
    assert await store.read_history(R1, after_seq=1, limit=2) == rows[1:3]
    assert await store.read_history(R1, after_seq=4) == []


async def test_a_place_in_a_history_is_given_once(store: DurableStore):
    await write(store, new_runs=(run_row(),), history=(event(1),))

    refused = await attempt(store, history=(event(1, kind="Late"),), deliveries=(delivery("s"),))

    assert refused == Moved(key=R1)
    assert await store.read_history(R1, after_seq=0) == [event(1)]
    assert await store.read_inbox(R1, limit=9) == []


async def test_a_run_is_written_only_over_the_revision_that_was_read(store: DurableStore):
    first = run_row()
    await write(store, new_runs=(first,))
    second = evolved(first, crashes=1)
    await write(store, runs=(second,))

    refused = await attempt(
        store, runs=(evolved(first, failures=5),), history=(event(1),), timers=(timer(1, PAST),)
    )

    assert refused == Moved(key=R1)
    assert await store.load_run(R1) == second
    assert await store.read_history(R1, after_seq=0) == []
    assert await store.timers_of(R1) == []
    assert await attempt(store, runs=(evolved(run_row(R2)),)) == Moved(key=R2)


async def test_a_run_that_grows_does_so_as_a_whole_or_not_at_all(store: DurableStore):
    epoch = (await store.take(A, [SHARD], ttl_s=60))[SHARD]
    fence = Fence(shard_id=SHARD, owner=A, epoch=epoch)
    first = run_row()
    await write(store, fence=fence, new_runs=(first,), history=(event(1),))
    grown = evolved(
        first,
        status=RunStatus.COMPENSATING,
        parked=Parked(reason=ParkReason.COMPENSATION_FAILED, message="no", since=NOON),
        local_pending=True,
        runnable_at=None,
        next_seq=4,
    )
    events = (event(2, command_id=7, kind="Other", data=b""), event(3))

    assert await attempt(store, fence=fence, runs=(grown,), history=events) == Committed()

    assert await store.load_run(R1) == grown
    assert [
        each.run_id for each in (await store.list_runs(RunFilter(only_parked=True), limit=9)).runs
    ] == [R1]
    late, last = evolved(grown, crashes=1), event(4)
    of_another, of_before = replace(fence, owner=B), replace(fence, epoch=epoch - 1)
    for wrong, runs, history, refusal in (
        (of_another, (late,), (last,), Fenced(shard_id=SHARD)),
        (of_before, (late,), (last,), Fenced(shard_id=SHARD)),
        (fence, (grown,), (last,), Moved(key=R1)),
        (fence, (evolved(late),), (last,), Moved(key=R1)),
        (fence, (late,), (event(3, kind="Late"),), Moved(key=R1)),
        (fence, (evolved(run_row(R2)),), (replace(last, run_id=R2, seq=1),), Moved(key=R2)),
    ):
        assert await attempt(store, fence=wrong, runs=runs, history=history) == refusal
    for gap in ((event(6),), (last, event(6))):
        with pytest.raises(BrokenError):
            await attempt(store, fence=fence, runs=(late,), history=gap)
    assert await store.load_run(R1) == grown
    assert await store.read_history(R1, after_seq=0) == [event(1), *events]


async def test_a_run_that_grows_to_its_end_leaves_nothing_behind(store: DurableStore):
    fence = Fence(shard_id=SHARD, owner=A, epoch=(await store.take(A, [SHARD], ttl_s=60))[SHARD])
    first = run_row()
    await write(store, fence=fence, new_runs=(first,), timers=(timer(1, FUTURE),))

    ended = evolved(first, status=RunStatus.COMPLETED, closed_at=NOON)
    await write(store, fence=fence, runs=(ended,), history=(event(1),))

    assert await store.load_run(R1) == ended
    assert await store.timers_of(R1) == []


async def test_of_two_writers_at_once_one_is_refused(store: DurableStore):
    first = run_row()
    await write(store, new_runs=(first,))

    outcomes = [None, None]

    async def race(which: int) -> None:
        outcomes[which] = await attempt(
            store, runs=(evolved(first, next_seq=2),), history=(event(1, kind=f"by {which}"),)
        )

    async with asyncio.TaskGroup() as group:
        group.create_task(race(0))
        group.create_task(race(1))

    assert sorted(type(each).__name__ for each in outcomes) == ["Committed", "Moved"]
    assert len(await store.read_history(R1, after_seq=0)) == 1


async def test_only_the_owner_of_a_shard_passes_its_fence(store: DurableStore):
    epoch = (await store.take(A, [SHARD], ttl_s=60))[SHARD]
    fence = Fence(shard_id=SHARD, owner=A, epoch=epoch)
    await write(store, fence=fence, new_runs=(run_row(),))

    for wrong in (
        replace(fence, owner=B),
        replace(fence, epoch=epoch - 1),
        replace(fence, epoch=epoch + 1),
        replace(fence, shard_id=ShardId(1)),
    ):
        refused = await attempt(store, fence=wrong, history=(event(1),))
        assert refused == Fenced(shard_id=wrong.shard_id)
    assert await store.read_history(R1, after_seq=0) == []


async def test_a_writer_whose_lease_ran_out_is_fenced_once_another_has_the_shard(
    store: DurableStore,
):
    old = (await store.take(A, [SHARD], ttl_s=0))[SHARD]
    fence = Fence(shard_id=SHARD, owner=A, epoch=old)
    await write(store, fence=fence, new_runs=(run_row(),))

    new = (await store.take(B, [SHARD], ttl_s=60))[SHARD]

    assert new > old
    assert await attempt(store, fence=fence, history=(event(1),)) == Fenced(shard_id=SHARD)
    assert (await store.renew(A, ttl_s=60)).epochs == {}


async def test_a_lease_that_is_held_is_not_taken(store: DurableStore):
    assert await store.take(A, [SHARD], ttl_s=60) == {SHARD: 1}

    assert await store.take(B, [SHARD], ttl_s=60) == {}
    assert await store.take(A, [SHARD], ttl_s=60) == {}
    held = await store.renew(A, ttl_s=60)
    assert held.epochs == {SHARD: 1}
    assert held.now.tzinfo is not None


async def test_a_lease_that_ran_out_and_that_nobody_took_goes_on_with_its_epoch(
    store: DurableStore,
):
    await store.take(A, [SHARD], ttl_s=0)

    assert (await store.renew(A, ttl_s=60)).epochs == {SHARD: 1}
    assert await store.take(B, [SHARD], ttl_s=60) == {}


async def test_a_lease_that_was_given_up_is_taken_at_once_with_a_new_epoch(store: DurableStore):
    await store.take(A, [SHARD, ShardId(1)], ttl_s=60)
    await store.release(B, [SHARD])
    await store.release(A, [SHARD])

    assert await store.take(B, [SHARD, ShardId(1)], ttl_s=60) == {SHARD: 2}
    assert (await store.renew(A, ttl_s=60)).epochs == {ShardId(1): 1}


async def test_a_shard_has_one_owner_whoever_asks_at_once(store: DurableStore):
    taken: dict[str, dict[ShardId, int]] = {}

    async def take(server: str) -> None:
        taken[server] = await store.take(A if server == "a" else B, [SHARD], ttl_s=60)

    async with asyncio.TaskGroup() as group:
        group.create_task(take("a"))
        group.create_task(take("b"))

    assert sorted(map(len, taken.values())) == [0, 1]


async def test_servers_are_alive_for_as_long_as_they_said(store: DurableStore):
    assert await store.heartbeat(B, ttl_s=60) == [B]
    assert await store.heartbeat(A, ttl_s=60) == [A, B]
    await store.heartbeat(B, ttl_s=0)

    assert await store.heartbeat(A, ttl_s=60) == [A]
    assert await store.shard_count() >= 1


async def test_deliveries_arrive_in_order_with_what_they_carry(store: DurableStore):
    await write(store, new_runs=(run_row(), run_row(R2)))
    sent = [
        delivery("b", kind=DeliveryKind.TIMER),
        delivery("a", data=b"\xff\x00"),
        delivery("c", kind=DeliveryKind.RESULT),
    ]
    await write(store, at=at(5), deliveries=(sent[0], delivery("x", R2), sent[1]))
    await write(store, at=at(4), deliveries=(sent[2],))

    rows = await store.read_inbox(R1, limit=9)

    assert [each.delivery for each in rows] == sent
    assert [each.at for each in rows] == [at(5), at(5), at(4)]
    assert sorted(each.id for each in rows) == [each.id for each in rows]
    assert await store.read_inbox(R1, limit=2) == rows[:2]


async def test_a_delivery_with_a_known_key_is_passed_over_even_after_it_was_read(
    store: DurableStore,
):
    first = run_row()
    await write(store, new_runs=(first,), deliveries=(delivery("s"),))
    (row,) = await store.read_inbox(R1, limit=9)

    again = await write(store, deliveries=(delivery("s"), delivery("t"), delivery("t")))
    await write(store, runs=(evolved(first),), consumed=(row.id,))
    read = await write(store, deliveries=(delivery("s"),))

    assert again.repeated == ("s", "t")
    assert read.repeated == ("s",)
    assert [each.delivery.key for each in await store.read_inbox(R1, limit=9)] == ["t"]


async def test_a_run_that_has_ended_takes_no_delivery_but_knows_those_it_had(store: DurableStore):
    first = run_row()
    await write(store, new_runs=(first,), deliveries=(delivery("s"),))
    await write(store, runs=(evolved(first, status=RunStatus.FAILED, closed_at=at(1)),))

    assert await attempt(store, deliveries=(delivery("new"),)) == NotOpen(run_id=R1)
    assert await attempt(store, deliveries=(delivery("x", R2),)) == NotOpen(run_id=R2)
    assert (await write(store, deliveries=(delivery("s"),))).repeated == ("s",)


async def test_a_run_does_not_end_over_what_it_has_not_read(store: DurableStore):
    first = run_row()
    await write(store, new_runs=(first,), deliveries=(delivery("start"),))
    (start,) = await store.read_inbox(R1, limit=9)
    await write(store, deliveries=(delivery("late"),))
    end = {
        "runs": (evolved(first, status=RunStatus.COMPLETED, closed_at=at(1)),),
        "require_read": (R1,),
    }

    assert await attempt(store, **end, consumed=(start.id,)) == Unread(run_id=R1)

    (_, late) = await store.read_inbox(R1, limit=9)
    await write(store, **end, consumed=(start.id, late.id))
    assert await store.read_inbox(R1, limit=9) == []


async def test_a_run_that_ends_leaves_no_timer_no_task_and_no_unread_row(store: DurableStore):
    first, other = run_row(), run_row(R2)
    for row in (first, other):
        await write(
            store,
            new_runs=(row,),
            timers=(timer(1, PAST, row.run_id),),
            tasks_new=(task(2, row.run_id),),
            deliveries=(delivery("s", row.run_id),),
        )

    await write(store, runs=(evolved(first, status=RunStatus.TERMINATED, closed_at=at(1)),))

    assert await store.timers_of(R1) == []
    assert await store.tasks_of(R1) == []
    assert await store.read_inbox(R1, limit=9) == []
    assert await store.runs_due([SHARD], limit=9) == [R2]
    assert [each.key.run_id for each in await store.timers_due([SHARD], limit=9)] == [R2]
    assert [each.run_id for each in await store.claimable_tasks(["platform"], limit=9)] == [R2]


async def test_a_workflow_id_has_one_open_run(store: DurableStore):
    first = run_row(workflow_id="order-7")
    second = run_row(R2, workflow_id="order-7")
    await write(store, new_runs=(first,))

    assert await attempt(store, new_runs=(second,), history=(event(1, R2),)) == Taken(by=R1)
    assert await store.load_run(R2) is None
    await write(store, new_runs=(replace(second, namespace="other"),))
    assert await store.newest_run("default", "order-7") == first


async def test_a_run_may_end_and_another_of_its_id_begin_in_one_batch(store: DurableStore):
    first = run_row(workflow_id="order-7")
    second = run_row(R2, workflow_id="order-7", first_run_id=R1)
    await write(store, new_runs=(first,))

    await write(
        store,
        runs=(evolved(first, status=RunStatus.CONTINUED_AS_NEW, closed_at=at(1)),),
        new_runs=(second,),
        history=(event(1, R2),),
        deliveries=(delivery("start", R2, DeliveryKind.START),),
    )

    assert await store.newest_run("default", "order-7") == second
    assert await store.runs_due([SHARD], limit=9) == [R2]


async def test_a_request_to_start_is_answered_once_even_after_its_run_ended(store: DurableStore):
    first = run_row(workflow_id="order-7", request_id="req")
    await write(store, new_runs=(first,))
    await write(store, runs=(evolved(first, status=RunStatus.COMPLETED, closed_at=at(1)),))
    second = run_row(R2, workflow_id="order-7", request_id="req")

    assert await attempt(store, new_runs=(second,)) == Taken(by=R1)

    await write(store, new_runs=(replace(second, request_id="another"),))
    assert (await store.newest_run("default", "order-7") or first).run_id == R2


async def test_runs_are_due_that_have_something_to_do_and_may(store: DurableStore):
    rows = {
        name: run_row(RunId(f"run-{name}"), workflow_id=name, **changes)
        for name, changes in {
            "inbox": {"runnable_at": at(2)},
            "local": {"runnable_at": at(1), "local_pending": True},
            "idle": {},
            "later": {"runnable_at": FUTURE},
            "suspended": {"runnable_at": None},
            "elsewhere": {"shard_id": ShardId(1)},
        }.items()
    }
    await write(
        store,
        new_runs=tuple(rows.values()),
        deliveries=tuple(
            delivery("s", row.run_id) for name, row in rows.items() if name not in {"local", "idle"}
        ),
    )

    assert await store.runs_due([SHARD], limit=9) == ["run-local", "run-inbox"]
    assert await store.runs_due([SHARD], limit=1) == ["run-local"]
    assert await store.runs_due([ShardId(1)], limit=9) == ["run-elsewhere"]
    assert await store.runs_due([], limit=9) == []


async def test_timers_are_due_by_the_clock_of_the_store(store: DurableStore):
    now = (await store.renew(A, ttl_s=1)).now
    late, later = timer(1, now - timedelta(seconds=2)), timer(2, now - timedelta(seconds=1))
    ahead = timer(3, FUTURE)
    await write(store, new_runs=(run_row(),), timers=(ahead, later, late))

    assert await store.timers_due([SHARD], limit=9) == [late, later]
    assert await store.timers_due([SHARD], limit=1) == [late]
    assert await store.timers_due([ShardId(1)], limit=9) == []
    assert await store.next_timer([SHARD]) == late.fire_at
    assert await store.next_timer([ShardId(1)]) is None
    assert await store.timers_of(R1) == [late, later, ahead]


async def test_a_timer_fires_once_and_not_at_all_once_it_was_cancelled(store: DurableStore):
    one, two = timer(1, PAST), timer(2, PAST)
    await write(store, new_runs=(run_row(),), timers=(one, two))
    firings = tuple(
        TimerFiring(timer=each.key, delivery=delivery(f"timer:{each.key.command_id}"))
        for each in (one, two)
    )

    await write(store, timers_gone=(two.key, two.key))
    await write(store, timers_fired=firings)
    await write(store, timers_fired=firings)

    assert [each.delivery.key for each in await store.read_inbox(R1, limit=9)] == ["timer:1"]
    assert await store.timers_of(R1) == []


async def test_a_task_is_read_as_it_was_written(store: DurableStore):
    full = task(
        2,
        state=TaskState.RUNNING,
        attempt=2,
        token=2**62,
        worker="w-1",
        started_at=at(1),
        heartbeat_at=at(2),
        heartbeat_details=Payload(codec="json", data=b'{"a":1}'),
        due_at=at(3),
        last_failure=b"\x00",
    )
    await write(store, new_runs=(run_row(),), tasks_new=(full, task(1)))

    assert await store.load_task(full.task_id) == full
    assert await store.tasks_of(R1) == [task(1), full]


async def test_a_task_is_claimed_by_one_of_those_who_try(store: DurableStore):
    queued = task(1)
    await write(store, new_runs=(run_row(),), tasks_new=(queued,))
    claims = [
        TaskWrite(
            before=queued,
            after=replace(queued, revision=2, state=TaskState.RUNNING, worker=worker, token=7),
        )
        for worker in ("w-1", "w-2")
    ]

    assert isinstance(await attempt(store, tasks=(claims[0],)), Committed)
    assert await attempt(store, tasks=(claims[1],), deliveries=(delivery("x"),)) == Moved(
        key=queued.task_id
    )
    assert await store.load_task(queued.task_id) == claims[0].after
    assert await store.read_inbox(R1, limit=9) == []


async def test_a_task_that_is_done_is_gone_and_its_result_delivered_together(store: DurableStore):
    queued = task(1)
    await write(store, new_runs=(run_row(),), tasks_new=(queued,))
    done = TaskWrite(before=queued, after=None)
    result = delivery("task:1:1", kind=DeliveryKind.RESULT)

    await write(store, tasks=(done,), deliveries=(result,))
    again = await attempt(store, tasks=(done,), deliveries=(replace(result, key="task:1:2"),))

    assert again == Moved(key=queued.task_id)
    assert await store.load_task(queued.task_id) is None
    assert [each.delivery for each in await store.read_inbox(R1, limit=9)] == [result]


async def test_tasks_are_claimable_by_queue_priority_and_age(store: DurableStore):
    tasks = (
        task(1, available_at=at(3)),
        task(2, available_at=at(2)),
        task(3, available_at=at(9), priority=5),
        task(4, available_at=FUTURE),
        task(5, queue="other"),
        task(6, state=TaskState.RUNNING, worker="w-1"),
        task(7, cancel_requested=True),
    )
    await write(store, new_runs=(run_row(),), tasks_new=tasks)

    claimable = await store.claimable_tasks(["platform", "nobody's"], limit=9)

    assert [each.command_id for each in claimable] == [3, 2, 1]


async def test_a_task_that_is_to_be_cancelled_is_marked_whatever_happens_to_it(
    store: DurableStore,
):
    queued = task(1)
    await write(store, new_runs=(run_row(),), tasks_new=(queued,))
    read = await store.load_task(queued.task_id)

    await write(store, tasks_cancelled=(queued.task_id, task(9).task_id))

    marked = replace(queued, cancel_requested=True, revision=2)
    assert read == queued
    assert await store.load_task(queued.task_id) == marked
    assert await attempt(store, tasks=(TaskWrite(before=queued, after=None),)) == Moved(
        key=queued.task_id
    )
    assert await store.overdue_tasks([SHARD], limit=9) == [marked]


async def test_tasks_are_overdue_by_the_clock_of_the_store(store: DurableStore):
    late = task(1, state=TaskState.RUNNING, due_at=PAST)
    tasks = (late, task(2, due_at=FUTURE), task(3, state=TaskState.RUNNING, cancel_requested=True))
    await write(store, new_runs=(run_row(),), tasks_new=tasks)

    assert await store.overdue_tasks([SHARD], limit=9) == [late]
    assert await store.overdue_tasks([ShardId(1)], limit=9) == []
    assert await store.next_task_time([SHARD]) == PAST
    assert await store.next_task_time([ShardId(1)]) is None


async def test_the_next_time_of_tasks_is_ahead_of_those_that_may_be_had_already(
    store: DurableStore,
):
    soon = FUTURE - timedelta(days=1)
    await write(store, new_runs=(run_row(),), tasks_new=(task(1),))
    assert await store.next_task_time([SHARD]) is None

    await write(store, tasks_new=(task(2, available_at=soon), task(3, due_at=FUTURE)))

    assert await store.next_task_time([SHARD]) == soon


async def test_runs_are_listed_newest_first_by_what_is_asked_of_them(store: DurableStore):
    parked = Parked(reason=ParkReason.CRASHED, message="x", since=NOON)
    rows = [
        run_row(RunId(f"run-{number}"), workflow_id=f"wf-{number}", started_at=at(number), **more)
        for number, more in enumerate(
            ({}, {"type": "other"}, {"status": RunStatus.FAILED}, {"parked": parked}, {})
        )
    ]
    for row in rows:
        await write(store, new_runs=(row,))

    async def listed(**parts: object) -> list[int]:
        page = await store.list_runs(replace(RunFilter(), **parts), limit=9)
        return [rows.index(each) for each in page.runs]

    assert await listed() == [4, 3, 2, 1, 0]
    assert await listed(type="other") == [1]
    assert await listed(statuses=(RunStatus.FAILED,)) == [2]
    assert await listed(only_parked=True) == [3]
    assert await listed(workflow_id="wf-4") == [4]
    assert await listed(namespace="nowhere") == []


async def test_pages_of_runs_follow_one_another(store: DurableStore):
    rows = [run_row(RunId(f"run-{n}"), workflow_id=f"{n}", started_at=at(n)) for n in range(5)]
    for row in rows[:4]:
        await write(store, new_runs=(row,))

    first = await store.list_runs(RunFilter(), limit=2)
    await write(store, new_runs=(rows[4],))
    second = await store.list_runs(RunFilter(), limit=2, cursor=first.next_cursor)

    assert [*first.runs, *second.runs] == [rows[3], rows[2], rows[1], rows[0]]
    assert second.next_cursor == ""
    with pytest.raises(InvalidFieldsError, match="page_token"):
        await store.list_runs(RunFilter(), limit=2, cursor="nonsense")


async def test_the_outbox_is_read_in_order_from_a_position(store: DurableStore):
    rows = [OutboxRow(topic="run.closed", run_id=R1, at=at(n), data=b"\xff") for n in range(3)]
    await write(store, new_runs=(run_row(),), outbox=tuple(rows[:2]))
    await write(store, outbox=(rows[2],))

    read = await store.read_outbox(after=0, limit=9)

    assert [row for _, row in read] == rows
    assert await store.read_outbox(after=read[0][0], limit=1) == [read[1]]
    assert await store.read_outbox(after=read[-1][0], limit=9) == []


async def test_a_store_that_is_closed_says_so(store: DurableStore):
    await store.close()
    await store.close()

    with pytest.raises(StoreUnavailableError):
        await attempt(store)
    with pytest.raises(StoreUnavailableError):
        await store.load_run(R1)


async def test_runs_that_ended_before_go_with_all_that_was_theirs(store: DurableStore):
    old, open_one = run_row(R1), run_row(R2)
    recent = run_row(RunId("r-3"), workflow_id="wf-3")
    await write(
        store,
        new_runs=(old, open_one, recent),
        history=tuple(event(1, each) for each in (R1, R2, recent.run_id)),
        deliveries=tuple(delivery("k", each) for each in (R1, R2, recent.run_id)),
        outbox=(
            OutboxRow(topic="old", run_id=R1, at=at(1), data=b""),
            OutboxRow(topic="recent", run_id=R1, at=at(20), data=b""),
        ),
    )
    for row, seconds in ((old, 9), (recent, 10)):
        over = evolved(row, status=RunStatus.COMPLETED, closed_at=at(seconds))
        await write(store, runs=(over,))

    gone = await store.let_runs_go(closed_before=at(10), after=0, at_most=10)

    assert (gone.runs, gone.next) == (1, None)
    assert [await store.load_run(each) is None for each in (R1, R2, recent.run_id)] == [
        True,
        False,
        False,
    ]
    assert await store.read_history(R1, after_seq=0) == []
    assert len(await store.read_history(R2, after_seq=0)) == 1
    assert [row.topic for _, row in await store.read_outbox(after=0, limit=9)] == ["recent"]
    [(position, _)] = await store.read_outbox(after=1, limit=9)
    assert position == 2
    # Its keys are gone with it: its id could begin anew.
    await write(store, new_runs=(old,), deliveries=(delivery("k"),))
    assert len(await store.read_inbox(R1, limit=9)) == 1


async def test_runs_go_some_at_a_time_until_all_were_looked_at(store: DurableStore):
    rows = [run_row(RunId(f"r-{number}"), workflow_id=f"wf-{number}") for number in range(5)]
    await write(store, new_runs=tuple(rows))
    for row in rows:
        over = evolved(row, status=RunStatus.FAILED, closed_at=at(1))
        await write(store, runs=(over,))

    removed, after = 0, 0
    while after is not None:
        gone = await store.let_runs_go(closed_before=at(2), after=after, at_most=2)
        removed, after = removed + gone.runs, gone.next

    assert removed == 5
    assert (await store.list_runs(RunFilter(), limit=9)).runs == ()
