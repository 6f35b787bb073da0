"""Notices connections to the workers' port that never become a call.

TLS turns strangers away inside gRPC's core, which tells nobody: what is seen is that a handshake
began, and that no call came of it.
"""

import asyncio
from collections import OrderedDict

import structlog

from hodei.application.counters import Counters

log = structlog.get_logger()

_WITHIN_S = 2.0
"""What a worker gets from the beginning of its handshake to its first call; it takes milliseconds."""
_MOST_PEERS = 4096
"""Connections that are known to have been used; older ones are long gone."""


class Handshakes:
    """Counts and logs handshakes without a call. One listener's."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._counters: Counters | None = None
        self._without_call = 0
        self._peers: OrderedDict[str, None] = OrderedDict()

    def count_in(self, counters: Counters) -> None:
        """Says where refusals are counted, as `handshakes_refused`."""
        self._counters = counters

    def begun(self) -> None:
        """A handshake begins. From any thread."""
        # The loop may have ended before the core's threads have.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._begin)

    def used(self, peer: str) -> None:
        """A call has come from this address and port."""
        if peer in self._peers:
            return
        self._peers[peer] = None
        if len(self._peers) > _MOST_PEERS:
            self._peers.popitem(last=False)
        self._without_call = max(0, self._without_call - 1)

    def _begin(self) -> None:
        self._without_call += 1
        self._loop.call_later(_WITHIN_S, self._judge)

    def _judge(self) -> None:
        """Of as many handshakes as began, those without a call are left over, whichever it was."""
        if self._without_call:
            self._without_call -= 1
            if self._counters is not None:
                self._counters.add("handshakes_refused")
            log.warning("worker_handshake_refused", advice="see the line of gRPC's core before it")
