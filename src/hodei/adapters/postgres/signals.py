"""Hints between servers by NOTIFY, over a connection of its own.

Never within a commit: a transaction that notifies takes a lock of the whole database until it has
committed, and commits then drop to a fifth. What there is to tell is told after it, once every few
milliseconds at most, all in one statement.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import structlog

from hodei.lifecycle.wake import Wake
from hodei.ports.signals import Listener, Topic
from hodei.ports.stores import StoreUnavailableError

from .connection import Connection, connect, translated_errors
from .hint_pace import HintPace
from .session_names import session_name

log = structlog.get_logger()

_PAUSE_S: Final = 0.02
"""After a hint: what comes meanwhile is told together."""
_RETRY_AFTER_S: Final = 1.0
_ANSWER_S: Final = 5.0
_STILL_THERE_S: Final = 10.0
"""A connection that nothing was sent on for so long is asked whether it is there."""
_MOST_BYTES: Final = 7900
"""PostgreSQL takes less than 8000. More names than that are not told one by one."""
_CHANNELS: Final = {topic: f"hodei_{topic.value}" for topic in Topic}
_NOTIFY: Final = "SELECT pg_notify(channel, payload) FROM unnest($1::text[], $2::text[]) AS hint (channel, payload)"


class PostgresSignals:
    """Implements `hodei.ports.signals.Signals`; `run` is what carries the hints."""

    def __init__(self, url: str, *, server: str) -> None:
        self._url = url
        self._session_name = session_name(server)
        self._listeners: defaultdict[Topic, list[Listener]] = defaultdict(list)
        self._to_send: dict[Topic, dict[str, None]] = {}
        self._wake = Wake()
        self._pace = HintPace()

    def send(self, topic: Topic, names: Sequence[str] = (), *, can_wait: bool = False) -> None:
        """See `Signals.send`."""
        self._to_send.setdefault(topic, {}).update(dict.fromkeys(names))
        now = asyncio.get_running_loop().time()
        if wait_s := self._pace.wait_s(topic, now, can_wait=can_wait):
            self._wake.notify_within(wait_s)
        else:
            self._wake.notify()

    def listen(self, topic: Topic, listener: Listener) -> None:
        """See `Signals.listen`."""
        self._listeners[topic].append(listener)

    async def run(self) -> None:
        """Carries hints until it is cancelled; a connection that is lost is made again."""
        while True:
            try:
                connection = await connect(self._url, application_name=self._session_name)
            except StoreUnavailableError as error:
                log.warning("signals_delayed", message=str(error))
                await asyncio.sleep(_RETRY_AFTER_S)
                continue
            try:
                with translated_errors(self._url):
                    await self._carry(connection)
            except StoreUnavailableError as error:
                log.warning("signals_lost", message=str(error))
            finally:
                connection.terminate()

    async def _carry(self, connection: Connection) -> None:
        async with asyncio.timeout(_ANSWER_S):
            for channel in _CHANNELS.values():
                await connection.add_listener(channel, self._heard)
        # Whatever was told while nobody listened is not told again.
        for topic in Topic:
            self._tell(topic, ())
        while True:
            await self._wake.wait_up_to(_STILL_THERE_S)
            hints, self._to_send = self._to_send, {}
            self._pace.note(hints, asyncio.get_running_loop().time())
            channels = [_CHANNELS[topic] for topic in hints]
            payloads = [_payload(list(names)) for names in hints.values()]
            async with asyncio.timeout(_ANSWER_S):
                await connection.execute(_NOTIFY, channels, payloads)
            await asyncio.sleep(_PAUSE_S)

    def _heard(self, connection: Any, sender: int, channel: str, payload: object) -> None:  # noqa: ANN401
        if sender == connection.get_server_pid():
            return
        topic = next(topic for topic, name in _CHANNELS.items() if name == channel)
        self._tell(topic, json.loads(str(payload)))

    def _tell(self, topic: Topic, names: Sequence[str]) -> None:
        for listener in self._listeners[topic]:
            listener(names)


def _payload(names: list[str]) -> str:
    text = json.dumps(names)
    return text if len(text.encode()) <= _MOST_BYTES else "[]"
