"""What a server has besides its stores where others may share its database.

One on SQLite is alone: it has every duty, tells nobody, and asks nobody whether it may.
"""

import socket
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from hodei.application.standing import Standing
from hodei.kernel.clock import Clock, IdSource
from hodei.lifecycle.system_clock import FollowingClock, SystemClock
from hodei.ports.cluster import Membership
from hodei.ports.signals import Signals
from hodei.server.config import ServerConfig
from hodei.server.data_dir import DataDir
from hodei.server.shared_identity import share_identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """Of a server on PostgreSQL."""

    clock: FollowingClock
    membership: Membership
    signals: Signals
    carry_signals: Callable[[], Coroutine[Any, Any, None]]
    """Runs until it is cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbours:
    """Of any server."""

    name: str
    clock: Clock
    standing: Standing
    shared: Shared | None

    @property
    def signals(self) -> Signals | None:
        """To and from others; None where there are none."""
        return None if self.shared is None else self.shared.signals


async def meet_neighbours(config: ServerConfig, data_dir: DataDir, ids: IdSource) -> Neighbours:
    """Finds out about the others, and makes the data directory one of their installation's.

    Raises:
        DataDirError: It is of another installation, or lacks the key to this one.
        SchemaError: The database's schema is not one that this code can use.
        StoreUnavailableError: The database does not answer.
    """
    name = config.name or socket.gethostname()
    if not config.database_url:
        standing = Standing(home="", is_alone=True)
        return Neighbours(name=name, clock=SystemClock(), standing=standing, shared=None)
    # The client of PostgreSQL takes 8 MB, which a server on SQLite does not carry.
    from hodei.adapters.postgres import PostgresMembership, PostgresSignals  # noqa: PLC0415

    clock = FollowingClock()
    clock.follow(await share_identity(config, data_dir, ids))
    signals = PostgresSignals(config.database_url, server=name)
    shared = Shared(
        clock=clock,
        membership=PostgresMembership(config.database_url, server=name),
        signals=signals,
        carry_signals=signals.run,
    )
    standing = Standing(home=name, is_alone=False)
    return Neighbours(name=name, clock=clock, standing=standing, shared=shared)
