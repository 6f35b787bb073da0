"""What happened is told, and what happens, each event once and in order."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import cast

import pytest

from hodei.application.follow_events import FollowEvents
from hodei.application.journal import worker_write
from hodei.application.links import Run
from hodei.domain.jobs.reasons import ReasonCode
from hodei.domain.workers.events import EnrolmentOffer, WorkerProvisioningRequested
from hodei.kernel.errors import NotFoundError
from hodei.kernel.ids import BEFORE_THE_FIRST, JobId, Position, ProviderName, WorkerId
from hodei.ports.stores import Batch, EventStore, StoredEvent
from support.builders import result, started
from support.fake_provider import FakeProvider
from support.plane import Plane, running


@pytest.fixture
def provider() -> FakeProvider:
    return FakeProvider(slots=1)


@pytest.fixture
async def plane(provider: FakeProvider) -> AsyncIterator[Plane]:
    async with running(Plane(provider), leases=False) as plane:
        yield plane


class Reader:
    """A client that reads events."""

    def __init__(self, plane: Plane, events: AsyncIterator[list[StoredEvent]]) -> None:
        self.events: list[StoredEvent] = []
        self._events = events
        self.task = plane.tasks.start(self._read(), name="reader")

    @property
    def kinds(self) -> list[str]:
        return [type(stored.event).__name__ for stored in self.events]

    async def _read(self) -> None:
        async for together in self._events:
            self.events += together


def follow(
    plane: Plane,
    job_id: str,
    *,
    after: int = BEFORE_THE_FIRST,
    follow: bool = True,
    with_workers: bool = False,
) -> Reader:
    events = plane.follower.follow_job(
        JobId(job_id), after=Position(after), follow=follow, with_workers=with_workers
    )
    return Reader(plane, events)


async def test_a_follower_hears_of_a_jobs_whole_life_and_is_then_let_go(
    plane: Plane, provider: FakeProvider
) -> None:
    await plane.submit(ids=("a", "b"))
    reader = follow(plane, "a")
    await plane.settle()
    assert reader.kinds == ["JobCreated", "JobQueued"]
    agent = await plane.agent_of(provider, 0)
    await plane.settle()
    job = agent.link.of(Run)[0].job
    await agent.say(started(job))
    assert not reader.task.done()
    await agent.say(result(job))
    assert reader.kinds == ["JobCreated", "JobQueued", "JobAssigned", "JobAccepted", "JobSucceeded"]
    assert reader.task.done()
    assert [stored.position for stored in reader.events] == sorted(
        {stored.position for stored in reader.events}
    )


@pytest.mark.parametrize("with_workers", [False, True])
async def test_an_end_that_is_stored_and_not_told_yet_is_followed_to_its_telling(
    plane: Plane, provider: FakeProvider, *, with_workers: bool
) -> None:
    await plane.submit(ids=("a",))
    await plane.settle()
    agent = await plane.agent_of(provider)
    await plane.settle()
    answer = asyncio.Event()

    async def hold(batch: Batch) -> None:
        await answer.wait()

    plane.store.before_answer = hold
    await agent.say(result(await plane.job(JobId("a"))))
    is_stored = (await plane.job(JobId("a"))).is_terminal
    is_shown = (await plane.journal.job(JobId("a"))).is_terminal
    reader = follow(plane, "a", with_workers=with_workers)
    # Somebody who knows the newest position of the store, where the end already lies.
    ahead = follow(plane, "a", after=await plane.store.last_position(), with_workers=with_workers)
    await plane.settle()
    before = reader.kinds[-1]
    answer.set()
    await plane.settle()
    assert (is_stored, is_shown) == (True, False)
    # Who hears of the end and asks for the job must find it ended.
    assert before == "JobAssigned"
    assert reader.kinds[-1] == "JobSucceeded"
    assert reader.kinds.count("JobSucceeded") == 1
    assert (reader.task.done(), ahead.task.done()) == (True, True)


async def test_the_end_of_a_waiting_job_that_is_stored_and_not_told_yet_is_told() -> None:
    plane = Plane()
    await plane.submit(ids=("a",))
    answer = asyncio.Event()

    async def hold(batch: Batch) -> None:
        await answer.wait()

    plane.store.before_answer = hold
    cancel = plane.tasks.start(_cancel(plane), name="cancel")
    await plane.settle()
    reader = follow(plane, "a")
    await plane.settle()
    answer.set()
    await plane.settle()
    assert cancel.done()
    assert reader.kinds == ["JobCreated", "JobQueued", "JobCancelRequested", "JobCancelled"]
    assert reader.task.done()


async def _cancel(plane: Plane) -> None:
    await plane.canceller.cancel(JobId("a"), by="me", message="")


async def test_a_follower_goes_on_where_it_left_off(plane: Plane, provider: FakeProvider) -> None:
    await plane.submit(ids=("a",))
    await plane.settle()
    history = follow(plane, "a", follow=False)
    await plane.settle()
    later = follow(plane, "a", after=history.events[-1].position)
    agent = await plane.agent_of(provider)
    await plane.settle()
    await agent.say(result(await plane.job(JobId("a"))))
    assert history.kinds == ["JobCreated", "JobQueued"]
    assert later.kinds == ["JobAssigned", "JobSucceeded"]


async def test_the_history_of_a_job_that_has_ended_is_told_and_that_is_all(plane: Plane) -> None:
    await plane.submit(ids=("a",))
    await plane.canceller.cancel(JobId("a"), by="me", message="")
    reader = follow(plane, "a")
    await plane.settle()
    assert reader.kinds[-1] == "JobCancelled"
    assert reader.task.done()


async def test_a_job_that_is_retried_after_its_end_is_followed_to_its_next_end(
    plane: Plane, provider: FakeProvider
) -> None:
    await plane.submit(ids=("a",))
    await plane.settle()
    agent = await plane.agent_of(provider)
    await plane.settle()
    await agent.say(result(await plane.job(JobId("a")), ReasonCode.NON_ZERO_EXIT_CODE))
    await plane.retrier.retry(JobId("a"), by="me")
    reader = follow(plane, "a")
    await plane.settle()
    assert not reader.task.done()
    assert reader.kinds[-2:] == ["JobQueued", "JobAssigned"]
    await agent.say(result(await plane.job(JobId("a"))))
    assert reader.kinds.count("JobFailed") == reader.kinds.count("JobSucceeded") == 1
    assert reader.task.done()


async def test_the_workers_that_come_up_for_a_job_are_told_of_with_it(
    plane: Plane, provider: FakeProvider
) -> None:
    await plane.submit(ids=("a",))
    reader = follow(plane, "a", with_workers=True)
    await plane.settle()
    agent = await plane.agent_of(provider)
    # Another worker, of another job, is nobody's business.
    await plane.submit(ids=("b",))
    await plane.settle()
    await agent.say(result(await plane.job(JobId("a"))))
    assert reader.task.done()
    wanted = [
        "JobCreated",
        "JobQueued",
        "WorkerProvisioningRequested",
        "WorkerProvisioned",
        "WorkerRegistered",
        "WorkerReady",
        "JobAssigned",
        "JobSucceeded",
    ]
    assert reader.kinds == wanted
    late = follow(plane, "a", with_workers=True)
    await plane.settle()
    assert late.kinds == wanted


class EventfulStore:
    """Events during whose first reading something happens."""

    def __init__(self, events: EventStore, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self._events = events
        self._meanwhile: Callable[[], Awaitable[None]] | None = meanwhile

    async def read_events(
        self, *, after: Position, limit: int, streams: Sequence[str] = ()
    ) -> list[StoredEvent]:
        page = await self._events.read_events(after=after, limit=limit, streams=streams)
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return page

    def __getattr__(self, name: str) -> object:
        return getattr(self._events, name)


async def test_a_worker_that_is_requested_during_the_first_look_is_told_of() -> None:
    # Makes no worker by itself: the one that comes is the test's.
    async with running(Plane(FakeProvider(slots=1, max_workers=0)), leases=False) as plane:

        async def request_one() -> None:
            at = plane.journal.now()
            request = WorkerProvisioningRequested(
                worker_id=WorkerId("late"),
                provider=ProviderName("fake"),
                slots=1,
                offer=EnrolmentOffer(otp_hmac=b"", expires_at=at),
                for_job=JobId("a"),
            )
            write = worker_write(None, [request], at)
            await plane.journal.commit(at=at, workers=[write])

        await plane.submit(ids=("a",))
        plane.follower = FollowEvents(
            journal=plane.journal,
            events=cast("EventStore", EventfulStore(plane.store, request_one)),
            bus=plane.bus,
            fleet=plane.fleet,
        )
        reader = follow(plane, "a", with_workers=True)
        await plane.settle()
        assert reader.kinds == ["JobCreated", "JobQueued", "WorkerProvisioningRequested"]


async def test_a_waiting_follower_costs_the_store_nothing_when_others_jobs_move(
    plane: Plane, provider: FakeProvider
) -> None:
    provider.provision_gate.clear()
    await plane.submit(ids=("a",))
    reader = follow(plane, "a", with_workers=True)
    await plane.settle()
    looked = 0
    job = plane.journal.job

    async def count(job_id: JobId) -> object:
        nonlocal looked
        looked += job_id == "a"
        return await job(job_id)

    plane.journal.job = count  # pyright: ignore[reportAttributeAccessIssue]
    for index in range(20):
        await plane.submit(ids=(f"other-{index}",))
        await plane.settle()
    assert looked == 0
    assert not reader.task.done()


async def test_a_follower_that_falls_behind_reads_the_store_and_misses_nothing(
    plane: Plane, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.bus._MOST_QUEUED", 2)
    everything = Reader(plane, plane.follower.follow_all(after=BEFORE_THE_FIRST, follow=True))
    await plane.submit(ids=("a",))
    reader = follow(plane, "a", with_workers=True)
    await plane.settle()
    await plane.submit(ids=tuple("bcdef"))
    agent = await plane.agent_of(provider, 0)
    await plane.settle()
    await agent.say(result(await plane.job(JobId("a"))))
    stored = await plane.store.read_events(after=BEFORE_THE_FIRST, limit=1000)
    assert everything.events == stored
    assert "WorkerReady" in reader.kinds
    assert reader.kinds[-1] == "JobSucceeded"
    assert len({each.position for each in reader.events}) == len(reader.events)


async def test_a_follower_that_falls_behind_hears_of_workers_that_came_up_meanwhile(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hodei.application.bus._MOST_QUEUED", 2)
    plane = Plane(provider)
    await plane.submit(ids=("a",))
    events = plane.follower.follow_job(
        JobId("a"), after=BEFORE_THE_FIRST, follow=True, with_workers=True
    )
    seen = await anext(events)
    async with running(plane, leases=False):
        agent = await plane.agent_of(provider)
        await plane.settle()
        await agent.say(result(await plane.job(JobId("a"))))
        seen += [event async for together in events for event in together]
    assert "WorkerProvisioningRequested" in [type(each.event).__name__ for each in seen]
    assert type(seen[-1].event).__name__ == "JobSucceeded"


async def test_followers_that_leave_leave_nothing_behind() -> None:
    plane = Plane()
    await plane.submit(ids=("a",))
    readers = [
        follow(plane, "a"),
        follow(plane, "a", with_workers=True),
        Reader(plane, plane.follower.follow_all(after=BEFORE_THE_FIRST, follow=True)),
    ]
    await plane.settle()
    for reader in readers:
        reader.task.cancel()
    await plane.settle()
    assert not plane.bus._followers
    assert not plane.bus._by_stream


async def test_a_job_that_is_not_there_cannot_be_followed(plane: Plane) -> None:
    with pytest.raises(NotFoundError):
        async for _ in plane.follower.follow_job(
            JobId("nothing"), after=BEFORE_THE_FIRST, follow=True, with_workers=False
        ):
            pass


async def test_what_befalls_a_worker_that_was_not_made_for_the_job_is_told_while_it_holds_it(
    plane: Plane, provider: FakeProvider
) -> None:
    await plane.submit(ids=("a", "b"))
    await plane.settle()
    agents = [await plane.agent_of(provider, index) for index in (0, 1)]
    await plane.settle()
    of = {agent.link.of(Run)[0].job.id: agent for agent in agents}
    reader = follow(plane, "b", with_workers=True)
    other = follow(plane, "a", with_workers=True)
    await plane.settle()
    provider.see(is_seen=False)
    await plane.settle()
    provider.crash(of[JobId("b")].id, "somebody stopped it")
    await plane.settle()
    fates = {"WorkerHealthChanged", "WorkerStopped", "WorkerLost"}
    assert [kind for kind in reader.kinds if kind in fates][:1] == ["WorkerHealthChanged"]
    assert "WorkerStopped" in reader.kinds
    # Whoever comes later is told the same; others are not told of it at all.
    late = follow(plane, "b", with_workers=True, follow=False)
    await plane.settle()
    assert [k for k in late.kinds if k in fates] == [k for k in reader.kinds if k in fates]
    assert "WorkerStopped" not in other.kinds
    without = follow(plane, "b", follow=False)
    await plane.settle()
    assert not set(without.kinds) & fates
