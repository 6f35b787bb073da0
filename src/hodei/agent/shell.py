"""Performs what the reactor decides: the agent's process, with its event loop.

Everything happens on one loop. An event goes into the reactor, its effects are performed in order,
and what they lead to comes back as further events.
"""

import asyncio
import os
import signal
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hodei.agent import json_log
from hodei.agent.bootstrap import Bootstrap
from hodei.agent.bundle import inherited_environment
from hodei.agent.channel import Keepalive
from hodei.agent.enrolment import enrol, worker_info
from hodei.agent.execution import Execution, ExecutionParts
from hodei.agent.identity import KeySource
from hodei.agent.json_log import log
from hodei.agent.metrics import CACHED_FOR_S, Sample, Sampler
from hodei.agent.reactor.core import Limits, Reactor
from hodei.agent.reactor.effects import (
    ArmTimer,
    CancelTimer,
    Connect,
    DropSpool,
    Effect,
    Exit,
    ForgetJob,
    KillTree,
    KnowServers,
    Note,
    PauseReading,
    ReadSpool,
    RenewCertificate,
    ResumeReading,
    Send,
    SignalTree,
    StartProcess,
    WriteSpool,
)
from hodei.agent.reactor.events import (
    Enrolled,
    Event,
    JobKey,
    SigTerm,
    SlotLost,
    TimerFired,
    TimerKey,
)
from hodei.agent.reactor.session import EXIT_BROKEN, EXIT_REFUSED, EXIT_SERVERLESS
from hodei.agent.slots import SlotProcess
from hodei.agent.spool import Spool
from hodei.agent.spool_thread import SpoolThread
from hodei.agent.timers import Timers
from hodei.agent.uplink import Uplink, UplinkParts
from hodei.agent.wire_messages import Vitals
from hodei.agent.workspace import Workspaces
from hodei.kernel.errors import RefusedError
from hodei.lifecycle.system_clock import SystemIdSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """What tests and benchmarks set otherwise."""

    limits: Limits = field(default_factory=Limits)
    keepalive: Keepalive = field(default_factory=Keepalive)
    renew_share: float = 2 / 3
    """Of a certificate's life, after which it is renewed."""
    first_sample_after_s: float = 0.5
    """Not at once: the first job should not wait for it."""


def run_agent(
    bootstrap: Bootstrap,
    *,
    work_dir: Path,
    slots: Sequence[SlotProcess],
    key_source: KeySource,
    tuning: Tuning | None = None,
) -> int:
    """Is the agent, until it ends; returns its exit code.

    0 after a drain, 3 when the server will not have this worker, 4 when there was no server for
    too long, 5 when a part of the agent died, 143 after a second SIGTERM.

    Args:
        bootstrap: Whom to dial, and as whom.
        work_dir: Private to this agent; holds workspaces and the spool.
        slots: Forked from this process, not attached yet.
        key_source: Makes keys.
        tuning: Other than the usual limits.
    """
    json_log.set_up()
    try:
        return asyncio.run(Shell(bootstrap, work_dir, slots, key_source, tuning or Tuning()).run())
    except Exception as error:  # noqa: BLE001 - the edge of the process: it is logged and ends
        log.error("agent_broken", error)
        return EXIT_BROKEN


class Shell:
    """The agent's parts, and the loop between reactor and world."""

    def __init__(
        self,
        bootstrap: Bootstrap,
        work_dir: Path,
        slots: Sequence[SlotProcess],
        key_source: KeySource,
        tuning: Tuning,
    ) -> None:
        self._bootstrap = bootstrap
        self._work_dir = work_dir
        self._slots = slots
        self._key_source = key_source
        self._tuning = tuning
        self._chance = SystemIdSource().fraction
        self._events: deque[Event] = deque()
        self._executions: dict[JobKey, Execution] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sample = Sample()

    async def run(self) -> int:
        """Runs the agent; returns its exit code."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            with ExitStack() as closing:
                self._assemble(closing)
                return await self._serve()

    def _assemble(self, closing: ExitStack) -> None:
        self._loop = loop = asyncio.get_running_loop()
        self._exit_code: asyncio.Future[int] = loop.create_future()
        self._work_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._info = worker_info(self._bootstrap, self._work_dir)
        self._sampler = Sampler(self._work_dir)
        self._reactor = Reactor(slots=len(self._slots), limits=self._tuning.limits, now=loop.time())
        self._timers = Timers(self._on_timer)
        self._spool = SpoolThread(Spool(self._work_dir / "spool"), self._emit)
        null_fd = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._execution_parts = ExecutionParts(
            workspaces=Workspaces(self._work_dir / "jobs"),
            environment=inherited_environment(os.environb),
            worker_id=self._bootstrap.worker_id,
            null_fd=null_fd,
            emit=self._emit,
            wall_ns=time.time_ns,
        )
        self._uplink = Uplink(
            UplinkParts(
                slots=len(self._slots),
                info=self._info,
                key_source=self._key_source,
                keepalive=self._tuning.keepalive,
                renew_share=self._tuning.renew_share,
                emit=self._emit,
                vitals=self._vitals,
                chance=self._chance,
                start_task=self._start,
            )
        )
        closing.callback(os.close, null_fd)
        closing.callback(self._spool.close)
        closing.callback(self._timers.close)
        closing.callback(self._end_tasks)
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, self._on_signal)
            closing.callback(loop.remove_signal_handler, signum)

    async def _serve(self) -> int:
        for slot in self._slots:
            await slot.attach()
            self._start(self._watch_slot(slot), f"slot {slot.index}")
        self._start(self._keep_sampling(), "metrics")
        self._start(self._enrol(), "enrolment")
        code = await self._exit_code
        await self._uplink.finish()
        log.info("agent_ended", exit_code=code)
        return code

    def _start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Starts a task that ends with the agent at the latest. Its failure ends the agent."""
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        for execution in self._executions.values():
            execution.close()

    # --- Events in, effects out -----------------------------------------------------------------

    def _emit(self, event: Event) -> None:
        """Hands an event to the reactor, behind those that are being handled."""
        self._events.append(event)
        if len(self._events) > 1:
            return
        try:
            while self._events:
                # Taken out only afterwards: what its effects emit queues up behind it.
                for effect in self._reactor.handle(self._events[0], self._loop.time()):
                    self._perform(effect)
                self._events.popleft()
        except Exception as error:  # noqa: BLE001 - a defect; whoever called must not go on with it
            log.error("agent_broken", error)
            self._exit(EXIT_BROKEN)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send():
                self._uplink.send(effect.message)
            case ArmTimer():
                self._timers.arm(effect.timer, effect.at)
            case CancelTimer():
                self._timers.cancel(effect.timer)
            case PauseReading():
                self._executions[effect.key.job].pause(effect.key.stream)
            case ResumeReading():
                self._executions[effect.key.job].resume(effect.key.stream)
            case WriteSpool():
                self._spool.write(effect)
            case ReadSpool():
                self._spool.read(effect)
            case DropSpool():
                self._spool.drop(effect)
            case _:
                self._perform_rare(effect)

    def _perform_rare(
        self,
        effect: StartProcess
        | SignalTree
        | KillTree
        | ForgetJob
        | Connect
        | RenewCertificate
        | KnowServers
        | Exit
        | Note,
    ) -> None:
        match effect:
            case StartProcess():
                self._start_process(effect)
            case SignalTree():
                self._slots[effect.slot].signal_tree(signal.SIGTERM)
            case KillTree():
                self._slots[effect.slot].kill_tree()
            case ForgetJob():
                self._forget(effect.key)
            case Connect():
                self._uplink.connect(effect.hello, elsewhere=effect.elsewhere)
            case RenewCertificate():
                self._uplink.renew()
            case KnowServers():
                self._uplink.know(effect.worker_addresses)
            case Exit():
                self._exit(effect.code)
            case Note():
                (log.warning if effect.is_warning else log.info)(effect.event, **effect.facts)

    def _start_process(self, effect: StartProcess) -> None:
        execution = Execution(self._execution_parts, effect.run, self._slots[effect.slot])
        self._executions[effect.run.key] = execution
        self._start(execution.run(), f"job {effect.run.key.job_id}")

    def _forget(self, key: JobKey) -> None:
        self._spool.forget(key)
        if execution := self._executions.pop(key, None):
            execution.close()

    def _exit(self, code: int) -> None:
        if not self._exit_code.done():
            self._exit_code.set_result(code)

    # --- What happens by itself -----------------------------------------------------------------

    async def _enrol(self) -> None:
        key = self._start(self._key_source.new_key(), "key")
        try:
            async with asyncio.timeout(self._tuning.limits.agent_timeout_s):
                enrolment = await enrol(self._bootstrap, self._info, key, self._chance)
            renew_after_s = self._uplink.use(enrolment.identity, enrolment.worker_addresses)
        except TimeoutError:
            log.warning("no_server", for_s=self._tuning.limits.agent_timeout_s)
            self._exit(EXIT_SERVERLESS)
            return
        except RefusedError as error:
            log.warning("enrolment_refused", message=str(error))
            self._exit(EXIT_REFUSED)
            return
        log.info("enrolled", worker_id=self._bootstrap.worker_id)
        self._emit(Enrolled(renew_after_s=renew_after_s))

    async def _watch_slot(self, slot: SlotProcess) -> None:
        await slot.died.wait()
        self._emit(SlotLost(slot=slot.index))

    async def _keep_sampling(self) -> None:
        await asyncio.sleep(self._tuning.first_sample_after_s)
        while True:
            self._sample = await asyncio.to_thread(self._sampler.sample)
            await asyncio.sleep(CACHED_FOR_S)

    def _vitals(self) -> Vitals:
        return Vitals(
            worker_id=self._bootstrap.worker_id, wall_ns=time.time_ns(), sample=self._sample
        )

    def _on_timer(self, timer: TimerKey) -> None:
        self._emit(TimerFired(timer=timer, wall_ns=time.time_ns()))

    def _on_signal(self) -> None:
        self._emit(SigTerm(wall_ns=time.time_ns()))
