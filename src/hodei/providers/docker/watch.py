"""What becomes of containers, told from the engine's events, and from a look where some were missed.

Each container is reported once: when it has ended, or when somebody has frozen it, for a worker that
answers nobody is of no use. One that is told to stop has a moment to do so by itself; then it is
killed, so that its jobs go on elsewhere at once and not after the engine's ten seconds.
"""

import asyncio
import json
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog
from aiodocker.channel import ChannelSubscriber
from aiodocker.events import DockerEvents
from aiodocker.exceptions import DockerError
from aiohttp import ClientError

from hodei.kernel.ids import WorkerId
from hodei.lifecycle.service import TaskSet
from hodei.ports.providers import (
    InstanceEvent,
    InstanceStopped,
    ProviderUnavailableError,
    SightChanged,
    WatchGap,
)
from hodei.providers.docker.container import WORKER_LABEL
from hodei.providers.docker.engine import Engine

log = structlog.get_logger()

_ACTIONS: Final = ("die", "oom", "kill", "pause", "destroy")
_STOPPING: Final = {str(int(each)) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)}
_LEAVE_WITHIN_S: Final = 0.25
"""What a container that is told to stop gets to end by itself."""
_QUIET_S: Final = 15.0
"""An engine that has said nothing for so long is asked whether it is there."""
_ANSWER_TO_CHECK_S: Final = 10.0
_RETRY_AFTER_S: Final = 0.2
"""Before an engine that is gone is asked again: its return is as urgent as its absence."""
_LAST_WORDS_CHARS: Final = 300


@dataclass(slots=True)
class _Signs:
    """What the engine told of a container before its end."""

    out_of_memory: bool = False
    signals: list[str] = field(default_factory=list[str])


class ContainerWatch:
    """Follows the containers that have certain labels."""

    def __init__(
        self, engine: Engine, labels: dict[str, str], tell: Callable[[InstanceEvent], None]
    ) -> None:
        self._engine = engine
        self._labels = [f"{name}={value}" for name, value in labels.items()]
        self._tell = tell
        self._reported: set[str] = set()
        self._signs: dict[str, _Signs] = {}
        self._since = ""
        self._is_seen = True
        self._rounds = 0
        self._stopping = TaskSet()

    @property
    def filters(self) -> str:
        """The labels, as the Engine API takes them."""
        return json.dumps({"label": self._labels})

    async def run(self) -> None:
        """Tells what happens until it is cancelled."""
        try:
            while True:
                began_at = asyncio.get_running_loop().time()
                try:
                    await self._follow()
                except ProviderUnavailableError as error:
                    self._lose_sight(str(error))
                    await asyncio.sleep(_RETRY_AFTER_S)
                    continue
                # The engine has gone, most likely, which asking it will tell. One that is there and
                # tells nothing is not asked all the time.
                if asyncio.get_running_loop().time() - began_at < _RETRY_AFTER_S:
                    await asyncio.sleep(_RETRY_AFTER_S)
        finally:
            await self._stopping.close()

    async def _follow(self) -> None:
        """Looks at every container, then listens until the engine goes away."""
        # By the engine's clock and from before the look, so that nothing falls between the two.
        now = _seconds(str((await self._engine.info())["SystemTime"]))
        self._since = self._since or now
        if not self._is_seen:
            self._is_seen = True
            self._tell(SightChanged(is_seen=True, message="the Docker engine is there again"))
        if self._rounds:
            self._tell(WatchGap())
        self._rounds += 1
        await self._report_missed()
        await self._listen()

    async def _report_missed(self) -> None:
        try:
            async with self._engine.asked() as docker:
                listed = await docker.containers.list(all="true", filters=self.filters)
        except DockerError as error:
            raise ProviderUnavailableError(f"the Docker engine is not well: {error}") from error
        for container in listed:
            state = str(container["State"])
            if state in {"exited", "dead", "paused"} and container.id not in self._reported:
                await self._report_state(container.id, container["Labels"], state)

    async def _report_state(self, container: str, labels: dict[str, str], state: str) -> None:
        shown = await self._inspect(container)
        if shown is None:
            return
        if state == "paused":
            self._report(container, labels, "its container was paused (docker pause)", None)
            return
        exit_code = int(shown.get("ExitCode", 0))
        signs = _Signs(out_of_memory=bool(shown.get("OOMKilled")))
        words = str(shown.get("Error") or "") or await self._last_words(container, exit_code)
        self._report_end(container, labels, signs, exit_code, words)

    async def _listen(self) -> None:
        docker = self._engine.docker
        events = DockerEvents(docker)
        subscriber = events.subscribe(create_task=False)
        filters = json.dumps({"type": ["container"], "label": self._labels, "event": _ACTIONS})

        async def read() -> None:
            try:
                await events.run(since=self._since, filters=filters)
            except (DockerError, ClientError, OSError, ValueError) as error:
                log.info("docker_events_ended", message=str(error))

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            while (event := await self._next(subscriber)) is not None:
                await self._take(event)
            reading.cancel()

    async def _next(self, subscriber: ChannelSubscriber) -> dict[str, Any] | None:
        """The next event; None when there is no engine any more to tell one."""
        while True:
            try:
                async with asyncio.timeout(_QUIET_S):
                    return await subscriber.get()
            except TimeoutError:
                pass
            try:
                async with self._engine.asked(_ANSWER_TO_CHECK_S) as docker:
                    await docker.version()
            except (ProviderUnavailableError, DockerError) as error:
                log.warning("docker_engine_silent", message=str(error))
                return None

    async def _take(self, event: dict[str, Any]) -> None:
        actor = event.get("Actor", {})
        container, labels = str(actor.get("ID", "")), actor.get("Attributes", {})
        self._since = _instant(int(event.get("timeNano", 0))) or self._since
        signs = self._signs.setdefault(container, _Signs())
        match event.get("Action"):
            case "oom":
                signs.out_of_memory = True
            case "kill":
                signs.signals.append(number := str(labels.get("signal", "")))
                if number in _STOPPING:
                    self._stopping.start(self._see_off(container), name=f"see off {container[:12]}")
            case "pause":
                self._report(container, labels, "its container was paused (docker pause)", None)
            case "die":
                await self._report_death(container, labels, signs)
            case "destroy":
                self._report(container, labels, "its container was removed", None)
                self._reported.discard(container)
                self._signs.pop(container, None)
            case _:
                pass

    async def _report_death(self, container: str, labels: dict[str, str], signs: _Signs) -> None:
        if container in self._reported:
            return
        exit_code = int(labels.get("exitCode") or 0)
        was_killed = exit_code == 128 + signal.SIGKILL
        if was_killed and not signs.signals and not signs.out_of_memory:
            # The engine may tell of the lack of memory only after the end that it led to.
            shown = await self._inspect(container)
            signs.out_of_memory = bool(shown and shown.get("OOMKilled"))
        words = "" if signs.signals else await self._last_words(container, exit_code)
        self._report_end(container, labels, signs, exit_code, words)

    def _report_end(
        self, container: str, labels: dict[str, str], signs: _Signs, exit_code: int, words: str
    ) -> None:
        reason = _obituary(signs, exit_code, words)
        self._report(container, labels, reason, exit_code, out_of_memory=signs.out_of_memory)

    def _report(
        self,
        container: str,
        labels: dict[str, str],
        reason: str,
        exit_code: int | None,
        *,
        out_of_memory: bool = False,
    ) -> None:
        if container in self._reported or WORKER_LABEL not in labels:
            return
        self._reported.add(container)
        self._tell(
            InstanceStopped(
                worker_id=WorkerId(labels[WORKER_LABEL]),
                reason=reason,
                exit_code=exit_code,
                out_of_memory=out_of_memory,
            )
        )

    async def _see_off(self, container: str) -> None:
        await asyncio.sleep(_LEAVE_WITHIN_S)
        try:
            async with self._engine.asked() as docker:
                await docker.containers.container(container).kill(signal="KILL")
        except (DockerError, ProviderUnavailableError):
            # It has ended by itself, or the engine goes with it.
            pass

    async def _inspect(self, container: str) -> dict[str, Any] | None:
        """The state of a container; None where it is not there any more."""
        try:
            async with self._engine.asked() as docker:
                shown = await docker.containers.container(container).show()
        except DockerError:
            return None
        return dict(shown["State"])

    async def _last_words(self, container: str, exit_code: int) -> str:
        """The end of what the agent said; nothing of one that was killed or meant to go."""
        if exit_code in {0, 128 + signal.SIGKILL}:
            return ""
        try:
            async with self._engine.asked() as docker:
                said = await docker.containers.container(container).log(
                    stdout=True, stderr=True, tail=1
                )
        except DockerError:
            return ""
        return "".join(said).strip()[-_LAST_WORDS_CHARS:]

    def _lose_sight(self, message: str) -> None:
        if self._is_seen:
            self._is_seen = False
            log.warning("docker_engine_lost", message=message)
            self._tell(SightChanged(is_seen=False, message=message))


def _obituary(signs: _Signs, exit_code: int, words: str) -> str:
    """How a container ended, for people."""
    if signs.out_of_memory:
        return "its container ran out of memory: raise the job's memory (--memory)"
    if signs.signals:
        numbers = ", then ".join(dict.fromkeys(signs.signals))
        return f"its container was ended from outside by signal {numbers} (docker stop, kill or rm)"
    text = f"its agent exited with code {exit_code}"
    return f"{text}: {words}" if words else text


def _seconds(instant: str) -> str:
    """A time of the engine's clock, RFC 3339 to the nanosecond, as the Engine API takes it."""
    whole = int(datetime.fromisoformat(instant).timestamp())
    fraction = re.search(r"\.(\d+)", instant)
    return f"{whole}.{fraction[1]:0<9}" if fraction else str(whole)


def _instant(nanoseconds: int) -> str:
    """A time as the Engine API takes it; empty for none."""
    if not nanoseconds:
        return ""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{seconds}.{rest:09d}"
