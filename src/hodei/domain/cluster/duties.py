"""What only one server may do at a time, and which one it is to be.

Every server works out the same answer from the same rows; nobody is asked. A duty goes to the live
server with the highest hash of its name and the duty's, so that a server that comes or goes moves
only duties of its own. It is never taken from a live server: the owner hands it over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NewType

from hodei.domain.workers.worker import Worker
from hodei.kernel.ids import ProviderName, ServerId

Duty = NewType("Duty", str)
"""Its name."""

CLOCK: Final = Duty("clock")
"""Queueing jobs whose time has come, and ending those past their deadline."""
UPKEEP: Final = Duty("upkeep")
"""Deleting what is old."""

_HOST: Final = "host:"


def host_duty(name: str) -> Duty:
    """Looking after the workers that live on the host of the server of this name.

    It is that server's while it lives. Whoever has it meanwhile cannot destroy anything there, and
    only waits until the agents have ended their jobs by themselves.
    """
    return Duty(f"{_HOST}{name}")


def provider_duty(provider: ProviderName) -> Duty:
    """Keeping a provider's pool, and looking after its workers."""
    return Duty(f"provider:{provider}")


def duty_of(worker: Worker) -> Duty:
    """The duty to look after a worker: to judge its silence and to end it."""
    return host_duty(worker.home) if worker.home else provider_duty(worker.provider)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A server as it is seen."""

    id: ServerId
    name: str
    offers: frozenset[Duty]
    """What it can do."""
    is_live: bool
    is_draining: bool
    """It wants no duties, and hands over those that it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """Whose a duty is."""

    owner: ServerId | None
    epoch: int
    """Grows by one whenever it changes hands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """What a server is to do about duties now."""

    take: tuple[tuple[Duty, int], ...]
    """Each with the epoch at which it was seen without an owner."""
    give_up: tuple[Duty, ...]


def moves(me: ServerId, peers: Sequence[Peer], duties: Mapping[Duty, Ownership]) -> Moves:
    """What `me` is to take and to give up."""
    known = {*duties, *(duty for peer in peers if peer.is_live for duty in peer.offers)}
    live = {peer.id for peer in peers if peer.is_live}
    nobody = Ownership(owner=None, epoch=0)
    take: list[tuple[Duty, int]] = []
    give_up: list[Duty] = []
    for duty in sorted(known):
        now = duties.get(duty, nobody)
        is_mine_to_be = wanted_owner(duty, peers) == me
        if is_mine_to_be and now.owner not in live:
            take.append((duty, now.epoch))
        elif now.owner == me and not is_mine_to_be:
            give_up.append(duty)
    return Moves(take=tuple(take), give_up=tuple(give_up))


def wanted_owner(duty: Duty, peers: Sequence[Peer]) -> ServerId | None:
    """Whose the duty is to be; None when there is nobody for it."""
    willing = [peer for peer in peers if peer.is_live and not peer.is_draining]
    able = [peer for peer in willing if duty in peer.offers]
    if duty.startswith(_HOST):
        at_home = [peer for peer in able if host_duty(peer.name) == duty]
        able = at_home or willing
    best = max(able, key=lambda peer: (_weight(duty, peer.name), peer.id), default=None)
    return None if best is None else best.id


def _weight(duty: Duty, name: str) -> bytes:
    return blake2b(f"{duty}\0{name}".encode(), digest_size=8).digest()
