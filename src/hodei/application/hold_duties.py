"""Keeps this server's place among the others, and its share of what one does for all.

Whoever has been silent for its lease is ended by the others and can commit nothing more; so a
server counts its own lease from before it asked for it, by a clock that stands for nobody, and lets
go of everything a little earlier. Where the store knows that a process is gone, its lease is not
waited for.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from hodei.application.standing import Standing
from hodei.domain.cluster.duties import Duty, Peer, moves
from hodei.kernel.clock import Clock, IdSource
from hodei.kernel.errors import UnavailableError
from hodei.kernel.ids import ServerId
from hodei.lifecycle.wake import Wake
from hodei.ports.cluster import (
    ClusterView,
    Membership,
    ServerEntry,
    ServerNameTakenError,
    ServerSeen,
)

log = structlog.get_logger()

LEASE_S = 15.0
"""A server that was silent for so long is dead to the others."""
_MARGIN_S = 2.0
"""By which a server is dead to itself sooner: what it has begun has that long to be over."""
_RENEW_EVERY_S = 5.0
_LOOK_EVERY_S = 0.5
"""So long, too, is a process seen to be gone before it is taken for dead: its session may only have
been cut, and come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceHooks:
    """What others do about this server's place."""

    streams: Callable[[], int]
    """How many workers are connected."""
    let_go: Callable[[], Awaitable[None]]
    """Gives up whatever only a member may do; returns once nothing of it goes on."""
    looked: Callable[[ClusterView], Awaitable[None]]
    """Takes note of what there is."""
    joined: Callable[[], None]
    """Tells the others that this server is one of them, so that they look at once and tell their
    workers: one that knows of no other server must wait for its own when that dies."""


class HoldDuties:
    """The one task that speaks for this server among the others.

    Args:
        membership: Is this task's own.
        standing: Is kept up to date.
        entry: What is said of this server; each life gets an id of its own.
        clock: Its monotonic time is what the lease is counted by.
        ids: Gives the ids of lives.
        hooks: See there.
    """

    def __init__(
        self,
        *,
        membership: Membership,
        standing: Standing,
        entry: ServerEntry,
        clock: Clock,
        ids: IdSource,
        hooks: PlaceHooks,
    ) -> None:
        self._membership = membership
        self._standing = standing
        self._entry = entry
        self._clock = clock
        self._ids = ids
        self._hooks = hooks
        self._lease_ends = 0.0
        self._renew_at = 0.0
        self._is_draining = False
        self._drained = asyncio.Event()
        self._wake = Wake()
        self._gone_since: Mapping[ServerId, float] = {}

    async def start(self) -> None:
        """Becomes a member and takes what is its own; returns once it has.

        Raises:
            ServerNameTakenError: Another server of the name lives.
            StoreUnavailableError: The store does not answer.
        """
        await self._join()
        await self.keep()

    async def run(self) -> None:
        """Keeps the place until it is cancelled; one that is lost is taken again."""
        while True:
            await self._wake.wait_up_to(_LOOK_EVERY_S)
            try:
                await self.keep()
            except UnavailableError as error:
                log.warning("place_unsure", message=str(error))
            except ServerNameTakenError as error:
                log.error("place_taken", message=str(error))  # noqa: TRY400 - it says all

    def look_now(self) -> None:
        """Has `run` look at the others without waiting for its time."""
        self._wake.notify()

    async def drain(self) -> None:
        """Says to the others that it wants no duties; returns once it has none any more.

        `run` does it, and keeps the place until `leave`.
        """
        self._is_draining = True
        self._renew_at = 0.0
        self._wake.notify()
        await self._drained.wait()

    async def leave(self) -> None:
        """Is no member any more. `run` has ended before.

        Raises:
            StoreUnavailableError: The others find out by themselves.
        """
        self._standing.lose()
        await self._membership.leave()

    async def _join(self) -> None:
        asked_at = self._clock.monotonic()
        entry = replace(self._entry, id=ServerId(self._ids.new()))
        await self._membership.join(entry, lease_s=LEASE_S)
        self._lease_ends = asked_at + LEASE_S - _MARGIN_S
        self._renew_at = asked_at + _RENEW_EVERY_S
        self._standing.join(entry.id)
        self._hooks.joined()
        log.info("server_joined", server_id=entry.id, name=entry.name)

    async def keep(self) -> None:
        """Looks once, and does what follows; `run` is what calls it.

        Raises:
            UnavailableError: The store does not answer.
            ServerNameTakenError: It has lost its place, and another of its name has one.
        """
        if self._standing.me is None:
            await self._join()
        try:
            # Not later: an answer that comes after the end of the lease says nothing about now.
            async with asyncio.timeout(self._left_s()):
                is_member = await self._renewed()
            async with asyncio.timeout(self._left_s()):
                if is_member and await self._act(await self._membership.look()):
                    return
            await self._lose("the others took it for dead")
        except TimeoutError:
            await self._lose("its lease ended before it was renewed")
        except UnavailableError:
            if self._left_s() <= 0:
                await self._lose("its lease ended while the store did not answer")
            raise

    def _left_s(self) -> float:
        return self._lease_ends - self._clock.monotonic()

    async def _renewed(self) -> bool:
        asked_at = self._clock.monotonic()
        if asked_at < self._renew_at:
            return True
        streams = self._hooks.streams()
        if not await self._membership.renew(streams=streams, is_draining=self._is_draining):
            return False
        self._lease_ends = asked_at + LEASE_S - _MARGIN_S
        self._renew_at = asked_at + _RENEW_EVERY_S
        return True

    async def _lose(self, why: str) -> None:
        log.warning("place_lost", server_id=self._standing.me, message=why)
        self._standing.lose()
        # Before it joins again: what was begun in the former life must not commit in the next.
        await self._hooks.let_go()

    async def _act(self, view: ClusterView) -> bool:
        """Does what follows from what is seen; returns whether this server is a member."""
        me = self._standing.me
        if me is None or me not in _living(view):
            return False
        if dead := self._dead(view, me):
            await self._expel(dead)
            view = await self._membership.look()
        living = _living(view)
        peers = [_peer(each, is_live=each.entry.id in living) for each in view.servers]
        planned = moves(me, peers, view.duties)
        for duty in planned.give_up:
            await self._give_up(duty)
        mine = {duty for duty, now in view.duties.items() if now.owner == me}
        mine -= set(planned.give_up)
        for duty, epoch in planned.take:
            if await self._membership.take(duty, epoch=epoch):
                log.info("duty_taken", duty=duty)
                mine.add(duty)
        self._standing.view = view
        self._standing.meet([each.entry for each in living.values() if each.entry.id != me])
        self._standing.assign(frozenset(mine))
        if self._is_draining and not mine:
            self._drained.set()
        await self._hooks.looked(view)
        return True

    async def _expel(self, dead: Sequence[ServerSeen]) -> None:
        for each in dead:
            if await self._membership.expel(each.entry.id, lease_s=LEASE_S):
                log.warning("server_lost", name=each.entry.name, server_id=each.entry.id)

    async def _give_up(self, duty: Duty) -> None:
        # Not its own any more before anybody can take it.
        self._standing.assign(self._standing.duties - {duty})
        await self._membership.give_up(duty)
        log.info("duty_given_up", duty=duty)

    def _dead(self, view: ClusterView, me: ServerId) -> list[ServerSeen]:
        """Members that are silent for their lease, or whose process is gone for a while."""
        now = self._clock.monotonic()
        others = [each for each in _living(view).values() if each.entry.id != me]
        gone = [each.entry.id for each in others if not each.has_session]
        self._gone_since = {each: self._gone_since.get(each, now) for each in gone}
        return [
            each
            for each in others
            if each.silent_s > LEASE_S
            or now - self._gone_since.get(each.entry.id, now) >= _LOOK_EVERY_S
        ]


def _living(view: ClusterView) -> dict[ServerId, ServerSeen]:
    return {each.entry.id: each for each in view.servers if each.ended_at is None}


def _peer(seen: ServerSeen, *, is_live: bool) -> Peer:
    return Peer(
        id=seen.entry.id,
        name=seen.entry.name,
        offers=frozenset(seen.entry.offers),
        is_live=is_live,
        is_draining=seen.is_draining,
    )
